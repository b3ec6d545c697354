//! Wrong requests are refused in the form of docs/services/lessons.md, and never with a 500.

use fakes::Double;
use serde_json::{Value, json};

use crate::fixture::{Fixture, text, wikipedia};

#[tokio::test]
async fn a_request_that_lacks_something_is_refused() {
    let f = Fixture::with(vec![]).await;
    let whole = json!({ "subject": "english", "topic": "verbs", "user_id": "user123" });
    let with = |name: &str, value: Value| {
        let mut body = whole.clone();
        body[name] = value;
        body.to_string()
    };
    let required = "Subject, topic, and user_id are required";
    let long = "x".repeat(201);
    let mut wrong = vec![
        ("{}".to_owned(), required.to_owned()),
        (String::new(), "Request body must be JSON".into()),
        ("{\"subject\":".into(), "Request body must be JSON".into()),
        ("[".repeat(10_000), "Request body must be JSON".into()),
        ("[]".into(), "Request body must be a JSON object".into()),
        ("null".into(), "Request body must be a JSON object".into()),
        ("\"english\"".into(), "Request body must be a JSON object".into()),
        ("\u{0}".into(), "Request body must be JSON".into()),
        (with("include_wikipedia", json!("yes")), "include_wikipedia must be true or false".into()),
        (with("include_wikipedia", json!(1)), "include_wikipedia must be true or false".into()),
    ];
    for name in ["subject", "topic", "user_id"] {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(name);
        wrong.push((without.to_string(), required.into()));
        for empty in [json!(null), json!(""), json!(" \t\n")] {
            wrong.push((with(name, empty), required.into()));
        }
        for value in [json!(1), json!(true), json!(["x"]), json!({ "x": 1 })] {
            wrong.push((with(name, value), format!("{name} must be a string")));
        }
        wrong.push((with(name, json!(long)), format!("{name} must be at most 200 characters")));
        wrong.push((with(name, json!("a\u{0}b")), format!("{name} must not contain control characters")));
    }
    for (body, told) in wrong {
        let reply = f.send("POST", "/lessons", Some(body.clone())).await;
        assert_eq!(reply.error(), (400, told), "{body}");
    }
    assert_eq!(f.get("/lessons/tasks").await.body["total_tasks"], 0, "nothing was enqueued");

    let huge = with("topic", json!("x".repeat(70_000)));
    let reply = f.send("POST", "/lessons", Some(huge)).await;
    assert_eq!(reply.error(), (413, "Request body exceeds 64 KB".into()));
}

#[tokio::test]
async fn what_is_more_than_asked_for_is_left_alone() {
    let f = Fixture::with(vec![]).await;
    let body = json!({
        "subject": "  Ελληνικά ", "topic": "a/b?c=d&e%20f ☃ \"'<>", "user_id": "x".repeat(200),
        "include_wikipedia": null, "unknown": { "deep": [1, 2, 3] }, "version": "9.9",
    });
    let reply = f.post(&body).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["message"], "Lesson generation started for Ελληνικά/a/b?c=d&e%20f ☃ \"'<>");
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_told_so() {
    let f = Fixture::with(vec![]).await;
    let no_task = (404, "The task may have expired or the task_id is invalid");
    let no_lesson = (404, "Use POST /lessons to create a new lesson");
    let long = format!("/lessons/status/{}", "x".repeat(5_000));
    for (path, (status, suggestion), message) in [
        (
            "/lessons/status/550e8400-e29b-41d4-a716-446655440000",
            no_task,
            "Task 550e8400-e29b-41d4-a716-446655440000 not found",
        ),
        ("/lessons/status/x", no_task, "Task x not found"),
        ("/lessons/status/%2e%2e%2f%2e%2e%2fetc%2fpasswd", no_task, "Task ../../etc/passwd not found"),
        ("/lessons/status/%00", no_task, "Task \u{0} not found"),
        ("/lessons/status/%ff", no_task, "Task of that name not found"),
        (&long, no_task, ""),
        ("/lessons/english/verbs", no_lesson, "No lesson found for english/verbs"),
        ("/lessons/a%2Fb/c%3Fd", no_lesson, "No lesson found for a/b/c?d"),
        ("/lessons/%00/verbs", no_lesson, "No lesson found of that name"),
        ("/lessons/english/%ff", no_lesson, "No lesson found of that name"),
        ("/lessons/english/verbs/versions", no_lesson, "No lesson found for english/verbs"),
        ("/lessons/english/verbs?version=1.3", no_lesson, "No lesson found for english/verbs in version 1.3"),
    ] {
        let reply = f.get(path).await;
        let told = reply.error();
        assert_eq!(
            (told.0, reply.body["detail"]["suggestion"].as_str()),
            (status, Some(suggestion)),
            "{path}"
        );
        assert!(message.is_empty() || told.1 == message, "{path}: {}", told.1);
    }
    for path in
        ["version=x", "version=1", "version=", "version=2.0", "version=1.01", "version=1.0&version=1.1"]
    {
        let reply = f.get(&format!("/lessons/english/verbs?{path}")).await;
        assert_eq!(reply.error(), (400, "version must be like 1.3".into()), "{path}");
    }
}

#[tokio::test]
async fn a_search_needs_a_query() {
    let f = Fixture::with(vec![]).await;
    for (query, told) in [
        ("", "Query is required".to_owned()),
        ("?query=", "Query is required".into()),
        ("?query=%20%20", "Query is required".into()),
        ("?query=a&query=b", "query and limit must be given once each".into()),
        ("?query=a&limit=0", "limit must be between 1 and 50".into()),
        ("?query=a&limit=51", "limit must be between 1 and 50".into()),
        ("?query=a&limit=x", "limit must be between 1 and 50".into()),
        (&format!("?query={}", "x".repeat(501)), "query must be at most 500 characters".into()),
    ] {
        assert_eq!(f.get(&format!("/search_lessons{query}")).await.error(), (400, told), "{query}");
    }
    for query in ["%00", "%25", "_", "%5C", "'%3B--", "%ff", "a%20b%20c%20d%20e%20f%20g%20h%20i%20j"] {
        let reply = f.get(&format!("/search_lessons?query={query}")).await;
        assert_eq!((reply.status, &reply.body["count"]), (200, &json!(0)), "{query}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_is_told_so() {
    let f = Fixture::with(vec![]).await;
    for (method, path) in [
        ("GET", "/lessons"),
        ("DELETE", "/lessons/english/verbs"),
        ("POST", "/lessons/tasks"),
        ("PUT", "/lessons/status/x"),
        ("POST", "/search_lessons"),
    ] {
        let reply = f.send(method, path, None).await;
        assert_eq!(
            (reply.status, reply.body),
            (405, json!({ "detail": "Method Not Allowed" })),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn jobs_of_others_are_no_tasks_and_args_of_strangers_do_no_harm() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    for args in [
        json!({}),
        json!({ "subject": 1 }),
        json!({
            "subject": "", "topic": " ", "user_id": "", "include_wikipedia": true,
        }),
    ] {
        let job = json!({ "kind": "lessons.generate", "args": args }).to_string();
        let reply = f.send("POST", "/api/jobs", Some(job)).await;
        assert_eq!(reply.status, 202, "{reply:?}");
    }
    let _worker = f.work();
    let tasks = f.get("/lessons/tasks").await.body;
    assert_eq!(tasks["total_tasks"], 3);
    for task in tasks["tasks"].as_array().unwrap() {
        let ended = f.ended(&text(&task["task_id"])).await;
        assert_eq!(ended["status"], "failed", "{ended}");
    }
    assert!(double.seen("/w/api.php").is_empty());
}
