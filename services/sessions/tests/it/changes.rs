//! Changes of a session, and what they do to its dispatch.

use fakes::{Double, Fault};
use futures::future::join_all;
use longhaul::{JobId, State};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PATIENCE, text};

const PATH: &str = "/api/v1/llm/query";

async fn put(f: &Fixture, id: &str, fields: Value) -> crate::fixture::Reply {
    f.call_as("ada", "PUT", &format!("/sessions/{id}"), Some(&fields)).await
}

/// The job of a session's dispatch of this number, once it has ended.
async fn ended(f: &Fixture, session: &str, number: u32) -> longhaul::JobRecord {
    let id = JobId::new(format!("sessions-dispatch-{session}-{number}")).unwrap();
    f.longhaul.wait(&id, PATIENCE).await.unwrap().found().unwrap()
}

#[tokio::test]
async fn a_change_of_skill_or_keywords_dispatches_anew() {
    let double = Double::start().await;
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let worker = f.work();
    f.ended(&id).await;
    let changed = put(&f, &id, json!({ "focusKeywords": ["useMemo"] })).await;
    assert_eq!(
        (changed.status, &changed.body["metadata"]),
        (200, &json!([])),
        "the old answer is to other keywords"
    );
    assert_eq!(ended(&f, &id, 1).await.state, State::Completed);
    let sent: Value = serde_json::from_slice(&double.seen(PATH)[1].body).unwrap();
    assert_eq!(sent, json!({ "topic": "React Development", "sub_topics": ["useMemo"] }));
    let shown = f.get(&format!("/sessions/{id}/background")).await.body;
    assert_eq!(shown["id"], format!("sessions-dispatch-{id}-1"));
    assert_eq!(f.get(&format!("/sessions/{id}")).await.body["metadata"].as_array().unwrap().len(), 10);

    // The same again, or another title, is no reason to ask.
    put(&f, &id, json!({ "focusKeywords": ["useMemo"], "title": "Memo" })).await;
    assert_eq!(
        f.get(&format!("/sessions/{id}/background")).await.body["id"],
        format!("sessions-dispatch-{id}-1")
    );

    // A dispatch that runs is ended by the next one, and so is its call.
    let other = f
        .post(
            "/skills",
            &json!({ "name": "Knitting", "category": "c", "type": "learning", "proficiency": 1 }),
        )
        .await;
    double.fail(PATH, Fault::Hang);
    put(&f, &id, json!({ "focusKeywords": ["purl"] })).await;
    double.wait_for(PATH, 3).await;
    put(&f, &id, json!({ "teachSkillId": other.body["_id"] })).await;
    double.wait_for_hang_up(PATH, 1).await;
    assert_eq!(ended(&f, &id, 2).await.state, State::Cancelled);
    assert_eq!(ended(&f, &id, 3).await.state, State::Completed);
    let sent: Value = serde_json::from_slice(&double.seen(PATH)[3].body).unwrap();
    assert_eq!(sent, json!({ "topic": "Knitting", "sub_topics": ["purl"] }));

    // Without a skill there is nothing to dispatch, and no older answer.
    let without = put(&f, &id, json!({ "teachSkillId": null })).await.body;
    assert_eq!((without.get("teachSkillId"), &without["metadata"]), (None, &json!([])));
    assert_eq!(f.get(&format!("/sessions/{id}/background")).await.status, 404);
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn updates_at_once_leave_what_is_searched_as_it_is_shown() {
    let f = Fixture::alone().await;
    let id = f.session(json!({ "title": "plain", "description": "plain" })).await;
    let changes: Vec<Value> = (0..8)
        .flat_map(|n| {
            [json!({ "title": format!("zebra{n}") }), json!({ "description": format!("giraffe{n}") })]
        })
        .collect();
    let replies = join_all(changes.iter().map(|change| put(&f, &id, change.clone()))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let session = f.get(&format!("/sessions/{id}")).await.body;
    for name in ["title", "description"] {
        let found = f.get(&format!("/sessions/search?q={}", text(&session[name]))).await.body;
        assert_eq!(found["total"], 1, "{name}: {session}");
    }
    for old in ["plain", "zebra0%20giraffe0%20zebra1"] {
        assert_eq!(f.get(&format!("/sessions/search?q={old}")).await.body["total"], 0, "{old}");
    }
}

#[tokio::test]
async fn a_null_empties_what_may_be_left_out() {
    let f = Fixture::alone().await;
    let id = f.session(json!({ "description": "secret" })).await;
    let nulls = json!({ "description": null, "maxParticipants": null, "focusKeywords": null, "title": null });
    let body = put(&f, &id, nulls).await.body;
    assert_eq!((body.get("description"), body.get("maxParticipants")), (None, None));
    assert_eq!((&body["focusKeywords"], &body["title"]), (&json!([]), &json!("React Hooks Masterclass")));
    assert_eq!(f.get("/sessions/search?q=secret").await.body["total"], 0);
}

#[tokio::test]
async fn the_places_cannot_be_fewer_than_those_who_have_joined() {
    let f = Fixture::alone().await;
    let id = f.session(json!({ "maxParticipants": 3 })).await;
    for user in ["bob", "carol"] {
        f.call_as(user, "POST", &format!("/sessions/{id}/join"), None).await;
    }
    let told = "maxParticipants must not be less than 2, the number of those who have joined";
    assert_eq!(put(&f, &id, json!({ "maxParticipants": 1 })).await.error(), (400, json!([told])));
    assert_eq!(put(&f, &id, json!({ "maxParticipants": 2 })).await.body["maxParticipants"], 2);
    let full = f.call_as("dave", "POST", &format!("/sessions/{id}/join"), None).await;
    assert_eq!(full.error(), (400, json!("Session is full")));
}

#[tokio::test]
async fn times_are_held_in_order_by_an_update_too() {
    let f = Fixture::alone().await;
    let id = f.session(json!({})).await;
    let told = (400, json!(["endTime must be after startTime"]));
    assert_eq!(put(&f, &id, json!({ "endTime": "13:00" })).await.error(), told);
    assert_eq!(put(&f, &id, json!({ "startTime": "16:00" })).await.error(), told);
    assert_eq!(put(&f, &id, json!({ "startTime": "09:00", "endTime": "10:00" })).await.status, 200);
}

#[tokio::test]
async fn a_host_retries_a_dispatch_that_failed() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Status(400));
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let retry = async || f.call_as("ada", "POST", &format!("/sessions/{id}/background/retry"), None).await;
    assert_eq!(retry().await.error(), (400, json!("The background process has not failed")));
    let _worker = f.work();
    assert_eq!(f.ended(&id).await.state, State::Failed);
    let retried = retry().await;
    assert_eq!((retried.status, &retried.body["kind"]), (200, &json!("sessions.dispatch")));
    assert_eq!(f.ended(&id).await.state, State::Completed);
    assert_eq!(f.get(&format!("/sessions/{id}")).await.body["metadata"].as_array().unwrap().len(), 10);
    // A record that was cleared away is no reason to be without keywords.
    f.longhaul.delete(&crate::fixture::job_id(&id)).await.unwrap();
    assert_eq!(retry().await.status, 200);
    assert_eq!(f.ended(&id).await.state, State::Completed);
    let none = f.session(json!({})).await;
    let reply = f.call_as("ada", "POST", &format!("/sessions/{none}/background/retry"), None).await;
    assert_eq!(reply.error(), (404, json!("No background process for this session")));
}

#[tokio::test]
async fn a_wait_is_read_however_it_is_written() {
    let f = Fixture::alone().await;
    let id = f.dispatched().await;
    let _worker = f.work();
    f.ended(&id).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (prefer, applied) in [
        ("wait=5", Some("wait=5")),
        ("WAIT=5", Some("wait=5")),
        ("wait=\"5\"", Some("wait=5")),
        ("respond-async, wait = 5", Some("wait=5")),
        ("wait=99999", Some("wait=60")),
        ("wait=abc", None),
    ] {
        let request = client.get(format!("{}/sessions/{id}/background", f.url)).header("prefer", prefer);
        let reply = request.bearer_auth(f.token("ada")).send().await.unwrap();
        let told = reply.headers().get("preference-applied").map(|value| value.to_str().unwrap());
        assert_eq!((reply.status().as_u16(), told), (200, applied), "{prefer}");
    }
}
