use serde_json::{Map, Value};

/// The value in the form of a JSON Schema: types, `required`, `enum`, `minimum`, `maximum` and the schemas of fields and
/// entries are looked at, which is what services ask models for. Lengths are left to the service, which knows what can
/// be done about them. A value of another form is turned into the one that is asked for where it can mean nothing else.
///
/// # Errors
/// The place of the first thing that does not fit, and the form that it must have; never the text that stands there.
pub(crate) fn fit(value: Value, schema: &Value) -> Result<Value, String> {
    let value = match value {
        // A document within a text.
        Value::String(text) if is_kind(schema, "object") => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        value => value,
    };
    if !is_kind(schema, "object") {
        return fit_at(value, schema, "");
    }
    match value {
        Value::Array(mut entries) if entries.len() == 1 => fit_at(entries.swap_remove(0), schema, ""),
        Value::Object(mut fields) if fields.len() == 1 && !has_a_field_of(&fields, schema) => {
            // Some models name the document: {"lesson": {…}}.
            let inner = fields.values_mut().next().map(Value::take).unwrap_or_default();
            fit_at(if inner.is_object() { inner } else { Value::Object(Map::new()) }, schema, "")
        }
        value => fit_at(value, schema, ""),
    }
}

fn fit_at(value: Value, schema: &Value, place: &str) -> Result<Value, String> {
    let value = match kind(schema) {
        Some("object") => object(value, schema, place)?,
        Some("array") => list(value, schema, place)?,
        Some("string") => Value::String(text(value, schema).ok_or_else(|| told(place, "must be a text"))?),
        Some("integer") => number(&value)
            .filter(|number| number.is_i64() || number.is_u64())
            .ok_or_else(|| told(place, "must be a whole number"))?,
        Some("number") => number(&value).ok_or_else(|| told(place, "must be a number"))?,
        Some("boolean") => truth(&value).ok_or_else(|| told(place, "must be true or false"))?,
        _ => value,
    };
    let above = |name: &str| schema[name].as_f64().zip(value.as_f64()).map(|(bound, number)| number - bound);
    if above("minimum").is_some_and(|by| by < 0.0) {
        return Err(told(place, &format!("must not be less than {}", schema["minimum"])));
    }
    if above("maximum").is_some_and(|by| by > 0.0) {
        return Err(told(place, &format!("must not be greater than {}", schema["maximum"])));
    }
    Ok(value)
}

fn object(value: Value, schema: &Value, place: &str) -> Result<Value, String> {
    let Value::Object(mut fields) = value else { return Err(told(place, "must be an object")) };
    let Some(properties) = schema["properties"].as_object() else { return Ok(Value::Object(fields)) };
    rename(&mut fields, properties);
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let inner = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let missing = required.filter(|name| !fields.contains_key(*name));
    let missing: Vec<String> = missing.map(|name| told(&inner(name), "is missing")).collect();
    if !missing.is_empty() {
        return Err(missing.join(", "));
    }
    for (name, schema) in properties {
        if let Some(value) = fields.get_mut(name) {
            *value = fit_at(value.take(), schema, &inner(name))?;
        }
    }
    Ok(Value::Object(fields))
}

/// Gives fields the names that the schema has for them, where they differ in capitals and in what parts their words: `Title`,
/// `lesson_title` for `lessonTitle`.
fn rename(fields: &mut Map<String, Value>, properties: &Map<String, Value>) {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
    };
    for name in properties.keys() {
        if fields.contains_key(name) {
            continue;
        }
        let like =
            fields.keys().find(|other| !properties.contains_key(*other) && plain(other) == plain(name));
        if let Some(value) = like.cloned().and_then(|like| fields.remove(&like)) {
            fields.insert(name.clone(), value);
        }
    }
}

fn list(value: Value, schema: &Value, place: &str) -> Result<Value, String> {
    let entries = match value {
        Value::Array(entries) => entries,
        // A list of one entry.
        one @ (Value::String(_) | Value::Object(_)) if fits(&one, &schema["items"]) => vec![one],
        _ => return Err(told(place, "must be a list")),
    };
    let fitted = (1..)
        .zip(entries)
        .map(|(number, entry)| fit_at(entry, &schema["items"], &format!("{place}[{number}]")));
    fitted.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn fits(value: &Value, schema: &Value) -> bool {
    fit_at(value.clone(), schema, "").is_ok()
}

/// A text. Databases and people have no use for a NUL in one.
fn text(value: Value, schema: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        // Paragraphs, or an entry with a name: {"keyword": "leaves"}.
        Value::Array(lines) if !lines.is_empty() => {
            let lines: Option<Vec<&str>> = lines.iter().map(Value::as_str).collect();
            lines?.join("\n")
        }
        Value::Object(fields) if fields.len() == 1 => fields.values().next()?.as_str()?.to_owned(),
        _ => return None,
    };
    let text = text.replace('\0', "");
    let Some(words) = schema["enum"].as_array() else { return Some(text) };
    let words = words.iter().filter_map(Value::as_str);
    let word = words.into_iter().find(|word| word.to_lowercase() == text.trim().to_lowercase());
    // A word of a list that is not one of them may still be known to the service.
    Some(word.map_or(text, str::to_owned))
}

fn number(value: &Value) -> Option<Value> {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => serde_json::from_str(text.trim()).ok()?,
        _ => return None,
    };
    let whole =
        number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15).map(|float| float as i64);
    Some(whole.map_or(Value::Number(number), Value::from))
}

fn truth(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) => text.trim().to_ascii_lowercase().parse::<bool>().ok().map(Value::Bool),
        _ => None,
    }
}

fn kind(schema: &Value) -> Option<&str> {
    schema["type"].as_str()
}

fn is_kind(schema: &Value, name: &str) -> bool {
    kind(schema) == Some(name)
}

fn has_a_field_of(fields: &Map<String, Value>, schema: &Value) -> bool {
    let Some(properties) = schema["properties"].as_object() else { return false };
    let mut renamed = fields.clone();
    rename(&mut renamed, properties);
    renamed.keys().any(|name| properties.contains_key(name))
}

fn told(place: &str, what: &str) -> String {
    if place.is_empty() { format!("the reply {what}") } else { format!("'{place}' {what}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        let text = json!({ "type": "string" });
        json!({
            "type": "object",
            "required": ["title", "tasks"],
            "properties": {
                "title": text, "minutes": { "type": "integer", "minimum": 1 }, "share": { "type": "number" },
                "level": { "type": "string", "enum": ["Apply", "Create"] }, "done": { "type": "boolean" },
                "tasks": { "type": "array", "items": text },
                "parts": { "type": "array", "items": { "type": "object", "required": ["name"], "properties": { "name": text } } },
            },
        })
    }

    fn with(name: &str, value: Value) -> Result<Value, String> {
        let mut reply = json!({ "title": "t", "tasks": ["a"] });
        reply[name] = value;
        fit(reply, &schema()).map(|fitted| fitted[name].clone())
    }

    #[test]
    fn a_value_that_can_mean_one_thing_only_is_taken_for_it() {
        for (name, value, expected) in [
            ("minutes", json!("15"), json!(15)),
            ("minutes", json!(15.0), json!(15)),
            ("share", json!("0.5"), json!(0.5)),
            ("title", json!(7), json!("7")),
            ("title", json!(["a", "b"]), json!("a\nb")),
            ("title", json!({ "title": "a" }), json!("a")),
            ("level", json!(" apply"), json!("Apply")),
            ("done", json!("True"), json!(true)),
            ("tasks", json!("paper, pens"), json!(["paper, pens"])),
            ("tasks", json!([{ "task": "a" }, 1]), json!(["a", "1"])),
            ("parts", json!({ "name": "n" }), json!([{ "name": "n" }])),
        ] {
            assert_eq!(with(name, value.clone()).unwrap(), expected, "{name}: {value}");
        }
    }

    #[test]
    fn names_differ_in_capitals_and_in_what_parts_their_words() {
        let schema = json!({ "type": "object", "required": ["lessonTitle"], "properties": {
            "lessonTitle": { "type": "string" }, "parts": { "type": "array", "items": { "type": "object",
            "required": ["name"], "properties": { "name": { "type": "string" } } } } } });
        for name in ["lesson_title", "LessonTitle", "Lesson Title", "lesson-title"] {
            let reply = json!({ name: "t", "Parts": [{ "NAME": "n" }] });
            assert_eq!(
                fit(reply, &schema).unwrap(),
                json!({ "lessonTitle": "t", "parts": [{ "name": "n" }] })
            );
            assert_eq!(fit(json!({ name: "t" }), &schema).unwrap(), json!({ "lessonTitle": "t" }));
        }
        let both = json!({ "lessonTitle": "t", "LessonTitle": "u" });
        assert_eq!(fit(both.clone(), &schema).unwrap(), both);
    }

    #[test]
    fn the_place_and_the_form_are_told_and_the_text_never() {
        for (name, value, expected) in [
            ("minutes", json!("15 minutes"), "'minutes' must be a whole number"),
            ("minutes", json!(1.5), "'minutes' must be a whole number"),
            ("minutes", json!(-5), "'minutes' must not be less than 1"),
            ("title", json!(null), "'title' must be a text"),
            ("title", json!({ "a": 1, "b": 2 }), "'title' must be a text"),
            ("tasks", json!(null), "'tasks' must be a list"),
            ("tasks", json!(["a", null]), "'tasks[2]' must be a text"),
            ("parts", json!([{ "name": "n" }, {}]), "'parts[2].name' is missing"),
            ("done", json!("secret"), "'done' must be true or false"),
        ] {
            assert_eq!(with(name, value.clone()).unwrap_err(), expected, "{name}: {value}");
        }
        assert_eq!(fit(json!({}), &schema()).unwrap_err(), "'title' is missing, 'tasks' is missing");
        assert_eq!(fit(json!([1, 2]), &schema()).unwrap_err(), "the reply must be an object");
    }
}
