use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_course_is_made_and_listed_for_its_owner() {
    let f = Fixture::alone().await;
    let reply = f.post("/courses", &json!({ "name": "  Biology " })).await;
    assert_eq!(reply.status, 201);
    let course = reply.json();
    assert_eq!(course["name"], "Biology");
    assert_eq!(course.as_object().unwrap().len(), 3);
    assert!(course["created_at"].as_str().unwrap().ends_with('Z'));
    let second = f.post("/api/courses", &json!({ "name": "Physics" })).await.json();
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
