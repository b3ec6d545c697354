use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Request;
use longhaul::testing::{Call, Intercept};
use longhaul::{Clock, Longhaul, State};
use serde_json::{Value, json};

use crate::fixture::{Fixture, process_job};

#[tokio::test]
async fn a_course_is_made_and_listed_for_its_owner() {
    let f = Fixture::alone().await;
    let reply = f.post("/courses", &json!({ "name": "  Biology " })).await;
    assert_eq!(reply.status, 201);
    let course = reply.json();
    assert_eq!(course["name"], "Biology");
    assert_eq!(course.as_object().unwrap().len(), 3);
    assert!(course["created_at"].as_str().unwrap().ends_with('Z'));
    // As PowerShell sends it.
    let second = f.call("POST", "/api/courses", "\u{feff}{\"name\": \"Physics\"}").await.json();
    assert_eq!(f.get("/courses").await.json(), json!([second, course]));

    let token = f.token("bob");
    let request = Request::get("/courses").header("authorization", format!("Bearer {token}"));
    assert_eq!(f.send(request.body(Body::empty()).unwrap()).await.json(), json!([]));
}

#[tokio::test]
async fn a_course_needs_a_name() {
    let f = Fixture::alone().await;
    let refused = async |body: &str| f.call("POST", "/courses", body.to_owned()).await.error();
    assert_eq!(refused("{\"name\": \" \"}").await, (400, "Course name cannot be empty".into()));
    assert_eq!(refused("{").await, (400, "Request body must be JSON".into()));
    assert!(refused("{\"title\": 1}").await.1.contains("missing field `name`"));
    let long = json!({ "name": "x".repeat(256) }).to_string();
    assert_eq!(refused(&long).await, (400, "Course name too long".into()));
    let huge = json!({ "name": "x".repeat(300_000) }).to_string();
    assert_eq!(refused(&huge).await.0, 413);
}

#[tokio::test]
async fn every_route_wants_a_token() {
    let f = Fixture::alone().await;
    for (method, path) in [
        ("GET", "/courses"),
        ("POST", "/courses"),
        ("PATCH", "/courses/1"),
        ("DELETE", "/courses/1"),
        ("POST", "/courses/1/materials"),
        ("GET", "/courses/1/materials"),
        ("GET", "/courses/1/materials/search?query=x"),
        ("POST", "/courses/1/chat"),
        ("GET", "/courses/1/chat"),
        ("GET", "/materials/1"),
        ("DELETE", "/materials/1"),
        ("GET", "/materials/1/download"),
        ("POST", "/materials/1/reprocess"),
    ] {
        for prefix in ["", "/api"] {
            let request = || Request::builder().method(method).uri(format!("{prefix}{path}"));
            let reply = f.send(request().body(Body::empty()).unwrap()).await;
            assert_eq!(
                reply.error(),
                (401, "Missing authentication token".into()),
                "{method} {prefix}{path}"
            );
            assert_eq!(reply.headers["www-authenticate"], "Bearer");
            let bad = request().header("authorization", "Bearer nonsense");
            let reply = f.send(bad.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.error(), (401, "Invalid or expired authentication token".into()));
        }
    }
}

#[tokio::test]
async fn what_belongs_to_another_user_is_not_there() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let material = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    let token = f.token("bob");
    for (method, path, detail) in [
        ("DELETE", format!("/courses/{course}"), "Course not found"),
        ("GET", format!("/courses/{course}/materials"), "Course not found"),
        ("POST", format!("/courses/{course}/materials"), "Course not found"),
        ("GET", format!("/courses/{course}/materials/search?query=x"), "Course not found"),
        ("POST", format!("/courses/{course}/chat"), "Course not found"),
        ("GET", format!("/courses/{course}/chat"), "Course not found"),
        ("GET", format!("/materials/{material}"), "Material not found"),
        ("DELETE", format!("/materials/{material}"), "Material not found"),
        ("GET", format!("/materials/{material}/download"), "Material not found"),
        ("POST", format!("/materials/{material}/reprocess"), "Material not found"),
    ] {
        let request = Request::builder().method(method).uri(&path);
        let request = request.header("authorization", format!("Bearer {token}"));
        let reply = f.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.error(), (404, detail.into()), "{method} {path}");
    }
    assert_eq!(f.get(&format!("/materials/{material}")).await.status, 200);
}

#[tokio::test]
async fn a_course_is_renamed_by_its_owner_alone() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let path = format!("/courses/{course}");
    let renamed = f.call("PATCH", &path, json!({ "name": " Botany " }).to_string()).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["name"]), (200, &json!("Botany")));
    assert_eq!(f.get("/courses").await.json(), json!([renamed.json()]));
    let refused = f.call("PATCH", &path, json!({ "name": "" }).to_string()).await.error();
    assert_eq!(refused, (400, "Course name cannot be empty".into()));
    let stranger = f.call_as("bob", "PATCH", &path, json!({ "name": "Mine" }).to_string()).await;
    assert_eq!(stranger.error(), (404, "Course not found".into()));
    assert_eq!(f.get("/courses").await.json()[0]["name"], "Botany");
}

#[tokio::test]
async fn a_deleted_course_takes_all_that_is_in_it_along() {
    let f = Fixture::alone().await;
    let (course, kept) = (f.course().await, f.course().await);
    let read = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    let other = f.uploaded(&kept, "b.txt", b"Roots are brown.").await;
    let worker = f.work();
    f.ended(&read).await;
    f.ended(&other).await;
    f.post(&format!("/courses/{course}/chat"), &json!({ "message": "What are leaves?" })).await;
    drop(worker);
    let waiting = f.uploaded(&course, "c.txt", b"Stems are long.").await;

    assert_eq!(f.call("DELETE", &format!("/courses/{course}"), "").await.status, 204);
    assert_eq!(f.reaches(&process_job(&waiting), State::Cancelled).await.state, State::Cancelled);
    assert_eq!(f.call("DELETE", &format!("/courses/{course}"), "").await.status, 404);
    for path in [format!("/materials/{read}"), format!("/courses/{course}/materials")] {
        assert_eq!(f.get(&path).await.status, 404, "{path}");
    }
    let _worker = f.work();
    let purges = f.all_ended("materials.purge-course").await;
    assert!(!purges.is_empty() && purges.iter().all(|job| job.state == State::Completed), "{purges:?}");
    for table in ["material_chunks", "material_terms"] {
        assert_eq!(f.rows(table, &read).await, 0, "{table}");
        assert!(f.rows(table, &other).await > 0, "{table}");
    }
    let chats = f.db.read("SELECT id FROM course_chats", vec![]).await.unwrap();
    assert!(chats.is_empty());
    assert_eq!(f.files(), [f.folder.path().join("files/materials").join(&other)]);
}

#[tokio::test]
async fn a_list_of_waiting_materials_costs_one_call_of_the_store_and_counts_no_positions() {
    let (looked_up, listed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&looked_up), Arc::clone(&listed));
    let f = Fixture::open_with(tempfile::tempdir().unwrap(), Clock::system(), &[], |store| {
        Longhaul::new(Intercept::new(store, move |store, call| {
            match &call {
                Call::Get(ids) => counters.0.fetch_add(ids.len(), Ordering::Relaxed),
                Call::List(..) => counters.1.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
            async move { call.on(store.as_ref()).await }
        }))
    })
    .await;
    let course = f.course().await;
    for number in 0..60 {
        f.uploaded(&course, &format!("{number}.txt"), b"Leaves are green.").await;
    }
    let list = f.get(&format!("/courses/{course}/materials")).await.json();
    assert_eq!(list.as_array().unwrap().len(), 60);
    assert!(list.as_array().unwrap().iter().all(|material| material["processing_status"] == "pending"));
    assert_eq!((looked_up.load(Ordering::Relaxed), listed.load(Ordering::Relaxed)), (0, 1));
}

#[tokio::test]
async fn a_long_list_comes_in_parts_that_follow_each_other() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    for number in 0..5 {
        f.uploaded(&course, &format!("{number}.txt"), b"Leaves are green.").await;
    }
    let whole = f.get(&format!("/courses/{course}/materials")).await;
    assert!(!whole.headers.contains_key("link"));
    let mut parts: Vec<Value> = Vec::new();
    let mut path = Some(format!("/courses/{course}/materials?limit=2"));
    while let Some(next) = path {
        let reply = f.get(&next).await;
        parts.extend(reply.json().as_array().unwrap().clone());
        let link = reply.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        path = link.map(|link| link[1..link.find('>').unwrap()].to_owned());
    }
    assert_eq!(Value::Array(parts), whole.json());
    let refused = async |query: &str| f.get(&format!("/courses?{query}")).await.error();
    for query in ["limit=0", "limit=1001"] {
        assert_eq!(refused(query).await, (400, "Limit must be between 1 and 1000".into()));
    }
    assert_eq!(refused("after=yesterday").await, (400, "Cursor is not valid".into()));
    assert_eq!(refused("limit=many").await.0, 400);
}
