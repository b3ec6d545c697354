//! JSON that fits a schema, as a model that is held to one would write it.

use serde_json::{Map, Value, json};

/// A value that fits `schema`, whose texts say what they are and what they are about, so that a test can tell in
/// which request and for which field they were written.
///
/// Knows the parts of JSON Schema that models are held to: types, `enum`, `const`, `anyOf`, `oneOf`, `$ref` within
/// the schema, bounds of numbers and of the lengths of texts and lists. It does not make up texts for a `pattern`.
pub(crate) fn fitting(schema: &Value, about: &str) -> Value {
    let words: Vec<&str> = about.split_whitespace().take(MAX_WORDS).collect();
    Writer { root: schema, about: words.join(" ") }.value(schema, "answer", 0)
}

/// The words of a question that are repeated in each text.
const MAX_WORDS: usize = 24;
/// Entries of a list whose schema asks for no more.
const ENTRIES: u64 = 3;
/// Schemas that refer to themselves end here.
const MAX_DEPTH: usize = 16;

struct Writer<'a> {
    root: &'a Value,
    about: String,
}

impl Writer<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        let next = depth + 1;
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.root.pointer(reference.trim_start_matches('#'));
            return target.map_or(Value::Null, |target| self.value(target, name, next));
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            let choices = schema[choice].as_array().into_iter().flatten();
            if let Some(first) = choices.into_iter().find(|one| one["type"] != "null") {
                return self.value(first, name, next);
            }
        }
        match kind(schema) {
            "object" => {
                let properties = schema["properties"].as_object().into_iter().flatten();
                properties.map(|(name, schema)| (name.clone(), self.value(schema, name, next))).collect()
            }
            "array" => {
                let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
                let least = schema["minItems"].as_u64().unwrap_or(0);
                let entry = |number| self.value(&schema["items"], &format!("{name} {number}"), next);
                (1..=ENTRIES.max(least).min(most)).map(entry).collect()
            }
            "integer" => json!(number(schema).ceil() as i64),
            "number" => json!(number(schema)),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => Value::String(self.text(schema, name)),
        }
    }

    fn text(&self, schema: &Value, name: &str) -> String {
        let mut text = format!("{name} of: {}", self.about);
        let least = schema["minLength"].as_u64().unwrap_or(0) as usize;
        while text.chars().count() < least {
            text.push_str(" and so on");
        }
        let most = schema["maxLength"].as_u64().map_or(usize::MAX, |most| most as usize);
        text.chars().take(most).collect()
    }
}

/// A schema's type; of several, the first that is not null.
fn kind(schema: &Value) -> &str {
    let kinds = schema["type"].as_array().into_iter().flatten();
    let first = kinds.filter_map(Value::as_str).find(|kind| *kind != "null");
    first.or(schema["type"].as_str()).unwrap_or(if schema["properties"].is_object() { "object" } else { "" })
}

fn number(schema: &Value) -> f64 {
    let least = schema["minimum"].as_f64().or(schema["exclusiveMinimum"].as_f64().map(|least| least + 1.0));
    let most = schema["maximum"].as_f64().or(schema["exclusiveMaximum"].as_f64().map(|most| most - 1.0));
    least.unwrap_or(1.0).min(most.unwrap_or(f64::MAX))
}

/// The reason why a server would not hold a model to this schema in its strict mode: there, every object names all of
/// its properties as required and allows no others.
pub(crate) fn not_strict(schema: &Value, path: &str) -> Option<String> {
    let Value::Object(fields) = schema else { return None };
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != Value::Bool(false) {
            return Some(format!(
                "In context=({path}), 'additionalProperties' is required to be supplied and to be false."
            ));
        }
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        if let Some(missing) = properties.keys().find(|name| !required.iter().any(|r| r == *name)) {
            return Some(format!(
                "In context=({path}), 'required' is required to be supplied and to be an array including \
                 every key in properties. Missing '{missing}'."
            ));
        }
        let inner =
            properties.iter().find_map(|(name, schema)| not_strict(schema, &format!("{path} {name}")));
        return inner.map(|reason| reason.replace("( ", "("));
    }
    let deeper = ["items", "$defs", "anyOf"];
    deeper.iter().filter_map(|name| fields.get(*name)).find_map(|inner| match inner {
        Value::Array(choices) => choices.iter().find_map(|choice| not_strict(choice, path)),
        Value::Object(schemas) if !schemas.contains_key("type") => {
            schemas.values().find_map(|schema| not_strict(schema, path))
        }
        schema => not_strict(schema, path),
    })
}

/// Leaves out the last field of an object and of every object in it, as models do that are not held to a schema.
pub(crate) fn without_last_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let last = fields.keys().next_back().cloned();
            last.and_then(|last| fields.remove(&last));
            fields.values_mut().for_each(without_last_fields);
        }
        Value::Array(entries) => entries.iter_mut().for_each(without_last_fields),
        _ => {}
    }
}

/// The schema that stands in words in a message, where one does.
pub(crate) fn told_in_words(message: &str) -> Option<Map<String, Value>> {
    let (_, rest) = message.split_once("JSON Schema")?;
    let start = rest.find('{')?;
    let mut values = serde_json::Deserializer::from_str(&rest[start..]).into_iter();
    values.next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_its_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "title": { "type": "string", "maxLength": 20 },
                "words": { "type": "array", "minItems": 4, "items": { "type": "string" } },
                "hours": { "type": "integer", "minimum": 2, "maximum": 9 },
                "level": { "enum": ["apply", "create"] },
                "note": { "type": ["string", "null"] },
                "part": { "$ref": "#/$defs/part" },
            },
            "$defs": { "part": { "type": "object", "properties": { "done": { "type": "boolean" } } } },
        });
        assert_eq!(
            fitting(&schema, "Write about\n leaves"),
            json!({
                "title": "title of: Write abou",
                "words": (1..5).map(|n| format!("words {n} of: Write about leaves")).collect::<Vec<_>>(),
                "hours": 2,
                "level": "apply",
                "note": "note of: Write about leaves",
                "part": { "done": true },
            })
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({ "type": "object", "properties": { "next": { "$ref": "#" } } });
        assert!(fitting(&schema, "x")["next"]["next"].is_object());
    }

    #[test]
    fn strictness_is_looked_for_at_every_depth() {
        let leaf = |additional: bool| {
            json!({
                "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"],
                "additionalProperties": additional,
            })
        };
        let list = |leaf: Value| {
            json!({
                "type": "object", "properties": { "list": { "type": "array", "items": leaf } },
                "required": ["list"], "additionalProperties": false,
            })
        };
        assert_eq!(not_strict(&list(leaf(false)), ""), None);
        assert!(not_strict(&list(leaf(true)), "").unwrap().contains("In context=(list), 'additional"));
        let optional = json!({ "properties": { "b": {} }, "additionalProperties": false });
        assert!(not_strict(&optional, "").unwrap().contains("Missing 'b'"));
    }

    #[test]
    fn a_schema_is_found_in_words() {
        let told = told_in_words("It must fit this JSON Schema: {\"type\":\"object\"}. Thank you {you}.");
        assert_eq!(told.unwrap()["type"], "object");
        assert!(told_in_words("You answer questions {a}.").is_none());
    }
}
