use maud::{Markup, html};
use serde_json::Value;

use super::text;
use crate::pages::with_code;

/// A schema that has a name, with its anchor.
pub(super) fn render_named(name: &str, schema: &Value) -> Markup {
    html! {
        article id=(format!("schema-{name}")) {
            h3 { (name) }
            @if let Some(description) = schema["description"].as_str() { p { (with_code(description)) } }
            (render(schema))
        }
    }
}

/// The members of an object, or the name of anything else.
pub(super) fn render(schema: &Value) -> Markup {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let parts = [schema].into_iter().chain(schema["allOf"].as_array().into_iter().flatten());
    let members: Vec<(&String, &Value)> =
        parts.flat_map(|part| part["properties"].as_object().into_iter().flatten()).collect();
    // Forms without names of their own, of which each is told.
    let forms = schema["oneOf"].as_array().into_iter().flatten();
    let forms: Vec<&Value> = forms.filter(|form| form["properties"].is_object()).collect();
    html! {
        @if !forms.is_empty() {
            @for form in forms { (render(form)) }
        } @else if members.is_empty() {
            p { (name(schema)) }
        } @else {
            dl {
                @for (member, told) in members {
                    dt { code { (member) } }
                    dd {
                        (name(told))
                        @if required.contains(&member.as_str()) { span.dim { ", required" } }
                        @if let Some(description) = told["description"].as_str() { br; (with_code(description)) }
                    }
                }
            }
        }
    }
}

/// A short name of a schema, which leads to it where it has one of its own.
pub(super) fn name(schema: &Value) -> Markup {
    if let Some(reference) = schema["$ref"].as_str() {
        let own = reference.rsplit('/').next().unwrap_or_default();
        return html! { a href=(format!("#schema-{own}")) { (own) } };
    }
    if let Some(content) = schema.get("contentSchema") {
        return html! { "text, which is JSON of " (name(content)) };
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(forms) = schema[choice].as_array() {
            return html! {
                @for (at, form) in forms.iter().enumerate() { @if at > 0 { " or " } (name(form)) }
            };
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> =
            words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
        return html! { @for (at, word) in words.iter().enumerate() { @if at > 0 { " | " } code { (word) } } };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    if kinds.contains(&"array") {
        return html! { "list of " (name(&schema["items"])) @if kinds.contains(&"null") { " or null" } };
    }
    match kinds.as_slice() {
        [] => html! { "any JSON value" },
        kinds => {
            html! { (kinds.join(" or ")) @if !text(&schema["format"]).is_empty() { " (" (text(&schema["format"])) ")" } }
        }
    }
}
