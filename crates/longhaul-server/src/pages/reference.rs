//! `GET /api/reference`: the OpenAPI document, for people.

mod operation;
mod sample;
mod schema;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{Markup, html};
use serde_json::Value;

use super::page;

/// The document as JSON, whose parts are all optional: easier to walk than its types.
struct Reference {
    document: Arc<str>,
    made: OnceLock<Markup>,
}

/// An operation with its place.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    told: &'a Value,
}

/// The methods in the order in which a path shows them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page, which is rendered at the first request.
pub(crate) fn routes(document: Arc<str>) -> Router {
    Router::new()
        .route("/api/reference", get(show))
        .with_state(Arc::new(Reference { document, made: OnceLock::new() }))
}

async fn show(State(reference): State<Arc<Reference>>) -> Response {
    // The text was written from a document, so that it is JSON.
    let made =
        reference.made.get_or_init(|| render(&serde_json::from_str(&reference.document).unwrap_or_default()));
    page(StatusCode::OK, "Longhaul API reference", made).into_response()
}

fn render(document: &Value) -> Markup {
    let base = document["servers"][0]["url"].as_str().unwrap_or_default().trim_end_matches('/');
    let groups = groups(document);
    html! {
        header {
            h1 { "API reference" }
            p.dim { "Longhaul " (text(&document["info"]["version"])) ". " a href=(format!("{base}/")) { "What runs here" } ", "
                a href=(format!("{base}/api/openapi.json")) { "this as OpenAPI 3.1" } "." }
            p { (text(&document["info"]["description"])) }
        }
        main {
            nav aria-label="Operations" {
                @for (tag, about, operations) in &groups {
                    h2 { a href=(format!("#{tag}")) { (tag) } }
                    p.dim { (about) }
                    ul {
                        @for operation in operations {
                            li { a href=(format!("#{}", operation.anchor())) { code { (operation.method.to_uppercase()) " " (operation.path) } }
                                " " (text(&operation.told["summary"])) }
                        }
                    }
                }
                h2 { a href="#schemas" { "schemas" } }
            }
            @for (tag, about, operations) in &groups {
                section id=(tag) {
                    h2 { (tag) }
                    p.dim { (about) }
                    @for operation in operations { (operation::render(document, operation)) }
                }
            }
            section id="schemas" {
                h2 { "Schemas" }
                @for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
                    (schema::render_named(name, schema))
                }
            }
        }
    }
}

impl Operation<'_> {
    fn anchor(&self) -> &str {
        text(&self.told["operationId"])
    }
}

/// The operations by their first tag: the common ones in the order of the document, then the services.
fn groups(document: &Value) -> Vec<(&str, &str, Vec<Operation<'_>>)> {
    let about = |tag: &str| {
        let tags = document["tags"].as_array();
        let own = tags.into_iter().flatten().find(|known| known["name"] == tag);
        own.map_or("", |known| text(&known["description"]))
    };
    let mut groups: Vec<(&str, &str, Vec<Operation<'_>>)> = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let Some(told) = item.get(method) else { continue };
            let tag = text(&told["tags"][0]);
            let operation = Operation { method, path, told };
            match groups.iter_mut().find(|(known, ..)| *known == tag) {
                Some((.., operations)) => operations.push(operation),
                None => groups.push((tag, about(tag), vec![operation])),
            }
        }
    }
    // Services have a description; what is common to all comes first.
    groups.sort_by_key(|(tag, about, _)| (!about.is_empty(), *tag != "jobs", *tag));
    groups
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
