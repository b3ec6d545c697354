use serde_json::{Map, Value, json};

/// Deeper than any body that is sent; a schema may refer to itself.
const DEPTH: usize = 6;

/// A value that fits a schema: its example, or the members that must be there.
pub(super) fn of(document: &Value, schema: &Value) -> Value {
    made(document, schema, DEPTH)
}

fn made(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let named = document.pointer(reference.trim_start_matches('#'));
        return named.map_or(Value::Null, |named| made(document, named, depth - 1));
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        let forms = schema[choice].as_array().into_iter().flatten();
        if let Some(form) = forms.into_iter().find(|form| form["type"] != "null") {
            return made(document, form, depth - 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => "…".into(),
        Some("integer") => 1.into(),
        Some("number") => json!(1.0),
        Some("boolean") => true.into(),
        Some("array") => Value::Array(vec![made(document, &schema["items"], depth - 1)]),
        _ => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let members = required
                .map(|name| (name.to_owned(), made(document, &schema["properties"][name], depth - 1)));
            Value::Object(members.collect::<Map<String, Value>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_examples_and_what_must_be_there_and_ends_where_a_schema_refers_to_itself() {
        let document = json!({"components": {"schemas": {
            "Node": {"type": "object", "required": ["name", "next"], "properties": {
                "name": {"type": "string", "example": "ada"}, "next": {"$ref": "#/components/schemas/Node"},
                "left_out": {"type": "integer"},
            }},
        }}});
        let sample = of(&document, &json!({"type": "array", "items": {"$ref": "#/components/schemas/Node"}}));
        assert_eq!(sample[0]["name"], "ada");
        assert!(sample[0].get("left_out").is_none());
        assert_eq!(sample[0]["next"]["name"], "ada");
    }
}
