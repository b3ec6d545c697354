//! Whatever is wrong with a request is answered in NestJS's form, and never with a 500.

use serde_json::{Value, json};

use crate::fixture::{Fixture, session, skill};

/// Every route that wants a token.
const ROUTES: [(&str, &str); 16] = [
    ("POST", "/skills"),
    ("GET", "/skills"),
    ("GET", "/skills/60d5ec49f1b2c8b1f8e4f1a1"),
    ("PUT", "/skills/60d5ec49f1b2c8b1f8e4f1a1"),
    ("DELETE", "/skills/60d5ec49f1b2c8b1f8e4f1a1"),
    ("POST", "/sessions"),
    ("GET", "/sessions"),
    ("GET", "/sessions/public"),
    ("GET", "/sessions/search"),
    ("GET", "/sessions/60d5ec49f1b2c8b1f8e4f1a1"),
    ("PUT", "/sessions/60d5ec49f1b2c8b1f8e4f1a1"),
    ("DELETE", "/sessions/60d5ec49f1b2c8b1f8e4f1a1"),
    ("POST", "/sessions/60d5ec49f1b2c8b1f8e4f1a1/join"),
    ("POST", "/sessions/60d5ec49f1b2c8b1f8e4f1a1/leave"),
    ("GET", "/sessions/60d5ec49f1b2c8b1f8e4f1a1/background"),
    ("POST", "/sessions/60d5ec49f1b2c8b1f8e4f1a1/background/retry"),
];

#[tokio::test]
async fn every_route_wants_a_token_that_holds() {
    let f = Fixture::alone().await;
    let valid = f.token("ada");
    let expired = f.token("ada");
    let [head, claims, signature] = valid.split('.').collect::<Vec<_>>()[..] else { panic!("{valid}") };
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let forged = format!("{head}.{claims}.{}", signature.chars().rev().collect::<String>());
    let missing = (401, json!("Missing authentication token"));
    let invalid = (401, json!("Invalid or expired authentication token"));
    for (method, path) in ROUTES {
        let reply = f.send(method, path, None, None).await;
        assert_eq!(reply.error(), missing, "{method} {path}");
        assert_eq!(reply.body["error"], "Unauthorized");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
        for token in [&unsigned, &forged, "nonsense"] {
            assert_eq!(f.send(method, path, Some(token), None).await.error(), invalid, "{method} {path}");
        }
    }
    f.clock.advance(std::time::Duration::from_secs(31 * 86_400));
    for (method, path) in ROUTES {
        assert_eq!(f.send(method, path, Some(&expired), None).await.error(), invalid, "{method} {path}");
    }
}

const FORM: &str = "must be a valid representation of military time in the format HH:MM";

#[tokio::test]
async fn a_session_is_validated_field_by_field() {
    let f = Fixture::alone().await;
    let nothing = f.post("/sessions", &json!({})).await;
    assert_eq!(nothing.body["error"], "Bad Request");
    let missing = json!([
        "title should not be empty",
        "title must be a string",
        "date must be a valid ISO 8601 date string",
        "startTime should not be empty",
        "startTime must be a string",
        "endTime should not be empty",
        "endTime must be a string",
        "skillCategory should not be empty",
        "skillCategory must be a string",
        "isTeaching must be a boolean value",
    ]);
    assert_eq!(nothing.error(), (400, missing.clone()));
    for body in ["[]", "null", "1", "\"title\"", "[{\"title\": \"x\"}]"] {
        let reply = f.send("POST", "/sessions", Some(&f.token("ada")), Some(body.to_owned())).await;
        assert_eq!(reply.error(), (400, missing.clone()), "{body}");
    }
    for (fields, told) in [
        (json!({ "title": "" }), json!(["title should not be empty"])),
        (json!({ "title": 5 }), json!(["title must be a string"])),
        (
            json!({ "title": "x".repeat(201) }),
            json!(["title must be shorter than or equal to 200 characters"]),
        ),
        (json!({ "title": "a\u{0}b" }), json!(["title must not contain null characters"])),
        (json!({ "description": ["x"] }), json!(["description must be a string"])),
        (json!({ "date": "next week" }), json!(["date must be a valid ISO 8601 date string"])),
        (json!({ "date": 20240115 }), json!(["date must be a valid ISO 8601 date string"])),
        (json!({ "startTime": "2 pm" }), json!([format!("startTime {FORM}")])),
        (
            json!({ "startTime": "9:05", "endTime": "24:00" }),
            json!([format!("startTime {FORM}"), format!("endTime {FORM}")]),
        ),
        (json!({ "startTime": "16:00", "endTime": "14:00" }), json!(["endTime must be after startTime"])),
        (json!({ "startTime": "16:00", "endTime": "16:00" }), json!(["endTime must be after startTime"])),
        (json!({ "isTeaching": "yes" }), json!(["isTeaching must be a boolean value"])),
        (json!({ "isPublic": 1 }), json!(["isPublic must be a boolean value"])),
        (json!({ "maxParticipants": 0 }), json!(["maxParticipants must not be less than 1"])),
        (json!({ "maxParticipants": 1.5 }), json!(["maxParticipants must be an integer number"])),
        (
            json!({ "maxParticipants": "ten" }),
            json!(["maxParticipants must not be less than 1", "maxParticipants must be an integer number"]),
        ),
        (json!({ "teachSkillId": "react" }), json!(["teachSkillId must be a mongodb id"])),
        (json!({ "teachSkillId": { "$ne": null } }), json!(["teachSkillId must be a mongodb id"])),
        (
            json!({ "focusKeywords": "useState" }),
            json!(["each value in focusKeywords must be a string", "focusKeywords must be an array"]),
        ),
        (json!({ "focusKeywords": [1] }), json!(["each value in focusKeywords must be a string"])),
        (
            json!({ "focusKeywords": vec!["x"; 101] }),
            json!(["focusKeywords must contain no more than 100 elements"]),
        ),
        (
            json!({ "title": null, "date": null, "isTeaching": null }),
            json!([
                "title should not be empty",
                "title must be a string",
                "date must be a valid ISO 8601 date string",
                "isTeaching must be a boolean value",
            ]),
        ),
    ] {
        assert_eq!(f.post("/sessions", &session(fields.clone())).await.error(), (400, told), "{fields}");
    }
    assert_eq!(f.get("/sessions").await.body["total"], 0, "nothing was created");
}

#[tokio::test]
async fn a_skill_is_validated_field_by_field() {
    let f = Fixture::alone().await;
    let missing = json!([
        "name should not be empty",
        "name must be a string",
        "category should not be empty",
        "category must be a string",
        "type must be one of the following values: teaching, learning",
        "proficiency must not be greater than 100",
        "proficiency must not be less than 0",
        "proficiency must be a number conforming to the specified constraints",
    ]);
    assert_eq!(f.post("/skills", &json!({})).await.error(), (400, missing));
    for (name, value, told) in [
        ("type", json!("both"), json!(["type must be one of the following values: teaching, learning"])),
        ("proficiency", json!(101), json!(["proficiency must not be greater than 100"])),
        ("proficiency", json!(-1), json!(["proficiency must not be less than 0"])),
        ("goals", json!(5), json!(["goals must be a string"])),
        ("agenda", json!([5]), json!(["each value in agenda must be a string"])),
    ] {
        let mut body = skill();
        body[name] = value;
        assert_eq!(f.post("/skills", &body).await.error(), (400, told), "{body}");
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_never_logged() {
    let log = crate::log::Log::listen();
    let f = Fixture::alone().await;
    let fields = json!({ "password": "hunter2", "hostId": "bob", "status": "completed", "metadata": ["x"], "_id": "1" });
    let reply = f.post("/sessions", &session(fields)).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.body["hostId"], "ada");
    assert_eq!((&reply.body["status"], &reply.body["metadata"]), (&json!("upcoming"), &json!([])));
    assert_eq!(reply.body.get("password"), None);
    let long = session(json!({ "description": "ü".repeat(5_000) }));
    assert_eq!(f.post("/sessions", &long).await.status, 201);
    let lines = log.lines();
    assert!(!lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
    let longest = lines.iter().map(String::len).max().unwrap();
    assert!((1_024..1_100).contains(&longest), "a body is cut at a kilobyte: {longest}");
}

#[tokio::test]
async fn bodies_that_are_no_json_or_too_large_are_refused() {
    let f = Fixture::alone().await;
    let token = f.token("ada");
    for path in ["/sessions", "/skills"] {
        let send = async |body: String| f.send("POST", path, Some(&token), Some(body)).await;
        assert_eq!(send("{\"title\": ".into()).await.error().0, 400);
        assert_eq!(send("[".repeat(10_000)).await.error().0, 400);
        assert_eq!(send("\"\\ud800\"".into()).await.error().0, 400);
        assert_eq!(send(String::new()).await.error().0, 400);
        let huge = json!({ "title": "x".repeat(200_000) }).to_string();
        assert_eq!(send(huge).await.error(), (413, json!("request entity too large")));
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_ones_own_is_refused() {
    let f = Fixture::alone().await;
    let (session_id, skill_id) = (f.session(json!({})).await, f.skill().await);
    let (no_session, no_skill) = ((404, json!("Session not found")), (404, json!("Skill not found")));
    for id in ["60d5ec49f1b2c8b1f8e4f1a1", "1", "%ff", "..%2f", "60d5ec49f1b2c8b1f8e4f1ag", "%00"] {
        for (method, path, told) in [
            ("GET", format!("/sessions/{id}"), &no_session),
            ("PUT", format!("/sessions/{id}"), &no_session),
            ("DELETE", format!("/sessions/{id}"), &no_session),
            ("POST", format!("/sessions/{id}/join"), &no_session),
            ("POST", format!("/sessions/{id}/leave"), &no_session),
            ("GET", format!("/sessions/{id}/background"), &no_session),
            ("POST", format!("/sessions/{id}/background/retry"), &no_session),
            ("GET", format!("/skills/{id}"), &no_skill),
            ("PUT", format!("/skills/{id}"), &no_skill),
            ("DELETE", format!("/skills/{id}"), &no_skill),
        ] {
            let reply = f.call_as("ada", method, &path, Some(&json!({}))).await;
            assert_eq!(&reply.error(), told, "{method} {path}");
        }
    }
    let forbidden = |what: &str| (403, json!(format!("You can only {what} your own sessions")));
    let path = format!("/sessions/{session_id}");
    let bob = async |method: &str, path: &str| f.call_as("bob", method, path, Some(&json!({}))).await.error();
    assert_eq!(bob("PUT", &path).await, forbidden("update"));
    assert_eq!(bob("DELETE", &path).await, forbidden("delete"));
    assert_eq!(bob("GET", &format!("{path}/background")).await, forbidden("view the background process of"));
    let retry = bob("POST", &format!("{path}/background/retry")).await;
    assert_eq!(retry, forbidden("retry the background process of"));
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(bob(method, &format!("/skills/{skill_id}")).await, no_skill);
    }
    // Capitals are digits too.
    assert_eq!(f.get(&format!("/sessions/{}", session_id.to_uppercase())).await.status, 200);
    let patch = f.call_as("ada", "PATCH", &path, Some(&json!({}))).await;
    assert_eq!(patch.error(), (404, json!(format!("Cannot PATCH {path}"))));
}

#[tokio::test]
async fn an_update_is_validated_too() {
    let f = Fixture::alone().await;
    let path = format!("/sessions/{}", f.session(json!({})).await);
    let before = f.get(&path).await.body;
    for (change, told) in [
        (json!({ "title": " " }), json!(["title should not be empty"])),
        (
            json!({ "status": "over" }),
            json!(["status must be one of the following values: upcoming, ongoing, completed, cancelled"]),
        ),
        (json!({ "maxParticipants": -1 }), json!(["maxParticipants must not be less than 1"])),
    ] {
        let reply = f.call_as("ada", "PUT", &path, Some(&change)).await;
        assert_eq!(reply.error(), (400, told), "{change}");
    }
    let mut unchanged = f.call_as("ada", "PUT", &path, Some(&json!({ "unknown": 1 }))).await.body;
    unchanged["updatedAt"] = before["updatedAt"].clone();
    assert_eq!(unchanged, before);
    assert_eq!(Value::Null, before["unknown"]);
}
