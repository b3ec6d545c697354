use maud::{Markup, html};
use serde_json::Value;

use super::{Operation, sample, schema, text};
use crate::pages::with_code;

/// An operation: what it takes, an example, and what it answers.
pub(super) fn render(document: &Value, operation: &Operation<'_>) -> Markup {
    let told = operation.told;
    let parameters: Vec<&Value> = told["parameters"].as_array().into_iter().flatten().collect();
    html! {
        article id=(operation.anchor()) {
            h3 { code { (operation.method.to_uppercase()) " " (operation.path) } }
            p { strong { (with_code(text(&told["summary"]))) } }
            @if let Some(description) = told["description"].as_str() { p { (with_code(description)) } }
            @if !parameters.is_empty() {
                h4 { "Parameters" }
                dl { @for parameter in parameters { (parameter_line(parameter)) } }
            }
            @for (kind, content) in told["requestBody"]["content"].as_object().into_iter().flatten() {
                h4 { "Body " code { (kind) } }
                (schema::render(&content["schema"]))
            }
            h4 { "Example" }
            pre { (curl(document, operation)) }
            h4 { "Answers" }
            dl {
                @for (status, answer) in told["responses"].as_object().into_iter().flatten() {
                    dt { code { (status) } }
                    dd {
                        (with_code(text(&answer["description"])))
                        @for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                            ": " (schema::name(&content["schema"])) @if kind != "application/json" { " as " code { (kind) } }
                        }
                        @for (name, header) in answer["headers"].as_object().into_iter().flatten() {
                            br; code { (name) } ": " (with_code(text(&header["description"])))
                        }
                    }
                }
            }
        }
    }
}

fn parameter_line(parameter: &Value) -> Markup {
    let need = if parameter["required"] == true { ", required" } else { "" };
    html! {
        dt { code { (text(&parameter["name"])) } " " span.dim { (text(&parameter["in"])) (need) } }
        dd { (with_code(text(&parameter["description"]))) }
    }
}

/// The call, for a shell. What the caller must fill in stands in capitals, as shells write variables.
fn curl(document: &Value, operation: &Operation<'_>) -> String {
    let told = operation.told;
    let base = text(&document["servers"][0]["url"]).trim_end_matches('/');
    let named = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        Some(name) => format!("${}", name.to_uppercase()),
        None => part.to_owned(),
    };
    let path = operation.path.split('/').map(named).collect::<Vec<_>>().join("/");
    let required = |place: &'static str| {
        let all = told["parameters"].as_array().into_iter().flatten();
        all.filter(move |one| one["in"] == place && one["required"] == true)
    };
    let query: Vec<String> = required("query")
        .map(|one| format!("{}=${}", text(&one["name"]), text(&one["name"]).to_uppercase()))
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut call = match operation.method {
        "get" => "curl -s".to_owned(),
        method => format!("curl -s -X {}", method.to_uppercase()),
    };
    call.push_str(&format!(" \"http://127.0.0.1:8000{base}{path}{query}\""));
    if told["security"][0].get("user").is_some() {
        call.push_str(" \\\n  -H \"Authorization: Bearer $TOKEN\"");
    }
    let content = &told["requestBody"]["content"];
    if content.get("multipart/form-data").is_some() {
        call.push_str(" \\\n  -F file=@document.pdf");
    } else if let Some(json) = content.get("application/json") {
        let body = match &json["example"] {
            Value::Null => sample::of(document, &json["schema"]),
            example => example.clone(),
        };
        call.push_str(&format!(
            " \\\n  -H 'Content-Type: application/json' \\\n  -d '{}'",
            body.to_string().replace('\'', "'\\''")
        ));
    }
    call
}
