use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use longhaul::{Longhaul, MemoryStore, State};
use longhaul_http::{HttpConfig, router};
use serde_json::Value;

use crate::app::{App, request};

const METHODS: [&str; 6] = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"];

async fn document(app: &App) -> Value {
    app.get("/api/openapi.json").await.json()
}

#[tokio::test]
async fn the_document_is_as_it_was_reviewed() {
    let document = document(&App::new()).await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&sorted(document)).unwrap());
}

/// The same whatever order of members the build's features give to JSON.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            members.into_iter().map(|(name, value)| (name, sorted(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

#[tokio::test]
async fn every_documented_operation_is_mounted_and_no_other_method() {
    let app = App::new();
    for (path, item) in document(&app).await["paths"].as_object().unwrap() {
        let documented: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let mounted =
            format!("/api{}", path.replace("{id}", "x").replace("{queue}", "x").replace("{name}", "x"));
        for method in METHODS {
            let method: Method = method.parse().unwrap();
            let answer = app.send(request(method.clone(), &mounted).body(Body::empty()).unwrap()).await;
            let is_refused = answer.status == 405;
            assert_eq!(is_refused, !documented.contains(method.as_str()), "{method} {mounted}");
            if is_refused {
                let allowed: BTreeSet<String> =
                    answer.header("allow").split(',').filter(|m| *m != "HEAD").map(str::to_owned).collect();
                assert_eq!(allowed, documented, "{mounted}");
            } else {
                assert!(answer.body.is_empty() || !answer.text().contains("no_such_route"), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_mounted_path_is_documented() {
    let longhaul = Longhaul::new(MemoryStore::new());
    let router: Router = router(longhaul, HttpConfig::default());
    // axum tells of a router's paths in its debug form only.
    let printed = format!("{router:?}");
    let paths = printed.split("paths: {").nth(1).and_then(|rest| rest.split('}').next_back().and(Some(rest)));
    let mounted: BTreeSet<String> = paths
        .expect("axum prints the paths")
        .split('"')
        .filter(|text| text.starts_with('/'))
        .filter(|text| !text.contains("__private__axum"))
        .map(str::to_owned)
        .collect();
    let document = document(&App::new()).await;
    let documented: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(mounted, documented);
    assert!(documented.len() >= 29, "{documented:?}");
}

#[tokio::test]
async fn the_document_names_where_it_is_mounted_and_every_state() {
    let document = document(&App::new()).await;
    assert_eq!(document["openapi"].as_str().unwrap().get(..3), Some("3.1"));
    assert_eq!(document["servers"][0]["url"], "/api");
    let states = &document["components"]["schemas"]["State"]["enum"];
    assert_eq!(*states, serde_json::to_value(State::ALL).unwrap());
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document(&App::new()).await;
    let text = document.to_string();
    let references: BTreeSet<&str> =
        text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.contains("#/components/schemas/Problem"), "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("references are local");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn a_job_has_the_members_that_the_document_gives_it() {
    let app = App::new();
    let worker = app.work();
    let job = app.run("s", "stumble", "{}").await.json();
    let schema = document(&app).await["components"]["schemas"]["Job"].clone();
    let documented: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let mut sent: BTreeSet<String> = job.as_object().unwrap().keys().cloned().collect();
    for seldom in [
        "duplicate",
        "replaced",
        "created_by",
        "traceparent",
        "args_cut",
        "args_bytes",
        "output_cut",
        "output_bytes",
    ] {
        sent.insert(seldom.into());
    }
    assert_eq!(sent.iter().collect::<BTreeSet<_>>(), documented);
    drop(worker);
}
