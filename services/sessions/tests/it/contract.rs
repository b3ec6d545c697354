//! The original document of this service (docs/services/sessions.md) from its beginning to its end, over HTTP.

use fakes::Double;
use fakes::pages::{Checker, Page};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use service_support::Service;

use crate::fixture::{Fixture, text};
use crate::log::Log;

/// The original document's requests, as they stand there.
const SNIPPETS: &str = include_str!("seed.md");

/// The original document's snippets in order: a session with a skill that is not there, the query, the skill.
fn snippets() -> Page {
    let base = "POST http://127.0.0.1:5000/";
    Page::read(&SNIPPETS.replace("```bash", "```http").replace("<token>", "{token}").replace(base, "POST /"))
}

#[tokio::test]
async fn the_original_snippets_run_as_they_stand() {
    let f = Fixture::alone().await;
    let page = snippets();
    let targets: Vec<&str> = page.exchanges.iter().map(|e| e.request.target.as_str()).collect();
    assert_eq!(targets, ["/sessions", "/api/v1/llm/query", "/skills"]);
    let mut checker = Checker::new(&f.url);
    checker.set("token", &f.token("60d5ec49f1b2c8b1f8e4f1a1"));
    // No answer is printed there, so none may be an error.
    checker.check_page(&page, async |_| {}).await;
    let _worker = f.work();
    let listed = f.call_as("60d5ec49f1b2c8b1f8e4f1a1", "GET", "/sessions", None).await;
    let job = f.ended(&text(&listed.body["data"][0]["_id"])).await;
    assert_eq!(job.errors[0].message, "Skill not found: 60d5ec49f1b2c8b1f8e4f1a1");
}

#[tokio::test]
async fn a_session_is_created_dispatched_and_filled() {
    let log = Log::listen();
    let double = Double::start().await;
    let f = Fixture::dispatching_to(&double).await;
    let user = "60d5ec49f1b2c8b1f8e4f1a1";
    let call = async |method: &str, path: &str, body: Option<&str>| {
        f.send(method, path, Some(&f.token(user)), body.map(str::to_owned)).await
    };
    let page = snippets();
    let [session, query, skill] = &page.exchanges[..] else { panic!("{page:?}") };

    let skill = call("POST", "/skills", Some(&skill.request.body)).await;
    assert_eq!(skill.status, 201);
    assert_json_snapshot!("skill", skill.body, { "._id" => "[id]" });
    let skill_id = text(&skill.body["_id"]);
    assert!(skill_id.len() == 24 && skill_id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));

    let body = session.request.body.replace("60d5ec49f1b2c8b1f8e4f1a1", &skill_id);
    let created = call("POST", "/sessions", Some(&body)).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.body["teachSkillId"], skill_id);
    assert_json_snapshot!("session", created.body, { "._id" => "[id]", ".teachSkillId" => "[skill id]" });
    let id = text(&created.body["_id"]);

    let path = format!("/sessions/{id}/background");
    let waiting = call("GET", &path, None).await;
    assert_json_snapshot!("background_before", waiting.body, {
        ".id" => "[job id]", ".args.session_id" => "[id]", ".labels.session" => "[id]",
    });

    let worker = f.work();
    f.ended(&id).await;
    let sent = double.seen("/api/v1/llm/query");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].headers["content-type"], "application/json");
    let sent: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(sent, serde_json::from_str::<Value>(&query.request.body).unwrap());

    let filled = call("GET", &format!("/sessions/{id}"), None).await;
    assert_json_snapshot!("session_filled", filled.body, { "._id" => "[id]", ".teachSkillId" => "[skill id]" });
    let done = call("GET", &path, None).await;
    assert_json_snapshot!("background_after", done.body, {
        ".id" => "[job id]", ".args.session_id" => "[id]", ".labels.session" => "[id]", ".worker" => "[worker]",
    });
    worker.shutdown(crate::fixture::PATIENCE).await;

    // The original document's example of a log: the request's lines and the background's, each in its order.
    let lines = log.lines();
    let of = |parts: [&str; 6]| -> Vec<String> {
        let is_of = |line: &&String| parts.iter().any(|part| !part.is_empty() && line.contains(part));
        lines.iter().filter(is_of).cloned().collect()
    };
    let request = of(["Controller]", "Creating new", "Session created", "Triggering", "", ""]);
    let logged =
        r#"{"title":"React Hooks Masterclass","description":"Learn React Hooks in depth","teachSkillId":"#;
    assert!(
        request[1].starts_with(&format!("[SessionsController] Request body: {logged}\"{skill_id}\"")),
        "{request:?}"
    );
    assert_eq!(
        [&request[..1], &request[2..]].concat(),
        [
            format!("[SessionsController] Received session creation request from user: {user}"),
            format!("[SessionsService] Creating new session for user: {user}"),
            format!("[SessionsService] Session created successfully with ID: {id}"),
            format!("[SessionsService] Triggering background process for session: {id}"),
            "[SessionsController] Session creation completed successfully".to_owned(),
        ]
    );
    let background =
        of(["process execution", "Fetching", "Skill found", "Executing", "ExternalHttp", "initiated"]);
    assert_eq!(
        background,
        [
            "[SessionsService] Starting background process execution".to_owned(),
            format!("[SessionsService] Fetching skill data for ID: {skill_id}"),
            "[SessionsService] Skill found: React Development (Category: Programming)".to_owned(),
            "[SessionsService] Executing background process to Python API".to_owned(),
            "[ExternalHttpService] Starting background process to send session data to Python API".to_owned(),
            format!("[ExternalHttpService] Sending request to Python API: {}/llm/query", double.python_api()),
            "[ExternalHttpService] Response received successfully".to_owned(),
            "[SessionsService] Background process initiated successfully".to_owned(),
        ]
    );
    assert_eq!(request.len() + background.len(), lines.len(), "there is no other line: {lines:?}");
}

#[tokio::test]
async fn with_nothing_configured_the_server_answers_itself() {
    let f = Fixture::alone().await;
    assert_eq!(f.sessions.health(), [("dispatch", format!("{}/api/v1/llm/query", f.url))]);
    let id = f.dispatched().await;
    let _worker = f.work();
    let job = f.ended(&id).await;
    assert_eq!(job.output.unwrap().to_value()["generator"], "outline");
    let session = f.get(&format!("/sessions/{id}")).await.body;
    assert_eq!(session["metadata"].as_array().unwrap().len(), 10);
    assert_eq!(session["metadata"][0], "useState");
}

#[tokio::test]
async fn only_a_session_with_a_skill_and_keywords_is_dispatched() {
    let log = Log::listen();
    let f = Fixture::alone().await;
    let skill = f.skill().await;
    for fields in [
        json!({ "teachSkillId": "left out" }),
        json!({ "teachSkillId": null }),
        json!({ "teachSkillId": skill, "focusKeywords": [] }),
        json!({ "teachSkillId": skill, "focusKeywords": [" "] }),
        json!({ "teachSkillId": skill, "focusKeywords": "left out" }),
    ] {
        let id = f.session(fields.clone()).await;
        let background = f.get(&format!("/sessions/{id}/background")).await;
        let told = (404, json!("No background process for this session"));
        assert_eq!(background.error(), told, "{fields}");
    }
    assert!(log.lines().iter().any(|line| line.contains("Background process not triggered for session")));
    let jobs = f
        .longhaul
        .store()
        .list(&longhaul::JobFilter::default(), longhaul::Page::default())
        .await
        .unwrap()
        .jobs;
    assert!(jobs.is_empty(), "no job was enqueued: {jobs:?}");
}

#[tokio::test]
async fn a_session_and_a_skill_are_changed_and_removed_by_their_owner() {
    let f = Fixture::alone().await;
    let skill = f.skill().await;
    let path = format!("/skills/{skill}");
    let goals = json!({ "proficiency": 90.5, "goals": ["ship"], "agenda": "hooks" });
    let changed = f.call_as("ada", "PUT", &path, Some(&goals)).await;
    assert_json_snapshot!("skill_changed", changed.body, { "._id" => "[id]" });
    assert_eq!(f.get("/skills").await.body, json!([changed.body]));
    assert_eq!(f.get(&path).await.body, changed.body);

    let id =
        f.session(json!({ "isPublic": "left out", "focusKeywords": "left out", "description": null })).await;
    let path = format!("/sessions/{id}");
    let before = f.get(&path).await.body;
    assert_json_snapshot!("session_least", before, { "._id" => "[id]" });
    f.clock.advance(std::time::Duration::from_secs(5));
    let change =
        json!({ "title": "React Effects", "status": "ongoing", "maxParticipants": 3, "hostId": "bob" });
    let after = f.call_as("ada", "PUT", &path, Some(&change)).await;
    let mut expected = before.clone();
    for (name, value) in [
        ("title", json!("React Effects")),
        ("status", json!("ongoing")),
        ("maxParticipants", json!(3)),
        ("updatedAt", json!("2026-01-01T00:00:05.000Z")),
    ] {
        expected[name] = value;
    }
    assert_eq!((after.status, &after.body), (200, &expected));
    let found = f.get("/sessions/search?q=effects").await.body;
    assert_eq!(found["total"], 1, "a search finds the new title");

    let gone = f.call_as("ada", "DELETE", &path, None).await;
    assert_eq!((gone.status, gone.body), (200, json!({ "message": "Session deleted successfully" })));
    assert_eq!(f.get(&path).await.error(), (404, json!("Session not found")));
    assert_eq!(f.get("/sessions").await.body["total"], 0);
    let gone = f.call_as("ada", "DELETE", &format!("/skills/{skill}"), None).await;
    assert_eq!((gone.status, gone.body), (200, json!({ "message": "Skill deleted successfully" })));
    assert_eq!(f.get("/skills").await.body, json!([]));
}
