//! Hosts take turns, and a dispatch that waits for its store is there.

use fakes::Double;
use longhaul::State;
use serde_json::{Value, json};

use crate::fixture::{Fixture, session, skill, text};

const PATH: &str = "/api/v1/llm/query";

/// Makes a session of a host's that is dispatched, for a skill of this name.
async fn hosted(f: &Fixture, host: &str, name: &str) -> String {
    let mut wanted = skill();
    wanted["name"] = name.into();
    let made = f.call_as(host, "POST", "/skills", Some(&wanted)).await;
    let fields = json!({ "teachSkillId": made.body["_id"] });
    let reply = f.call_as(host, "POST", "/sessions", Some(&session(fields))).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    text(&reply.body["_id"])
}

#[tokio::test]
async fn one_hosts_many_sessions_leave_a_turn_to_another_who_comes_behind_them() {
    let double = Double::start().await;
    let f = Fixture::dispatching_to(&double).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(hosted(&f, "eve", "Knitting").await);
    }
    sessions.push(hosted(&f, "bob", "Chess").await);
    let _worker = f.work_at(1);
    for session in &sessions {
        assert_eq!(f.ended(session).await.state, State::Completed);
    }
    let topic = |body: &[u8]| text(&serde_json::from_slice::<Value>(body).unwrap()["topic"]);
    let topics: Vec<String> = double.seen(PATH).iter().map(|seen| topic(&seen.body)).collect();
    assert_eq!(topics.len(), 21);
    assert!(topics[..2].contains(&"Chess".to_owned()), "{topics:?}");
}

#[tokio::test]
async fn a_dispatch_that_waits_for_its_store_is_available_until_it_is_there() {
    let double = Double::start().await;
    let (f, away) = Fixture::apart(&double).await;
    away.leave();
    let id = f.dispatched().await;
    let path = format!("/sessions/{id}/background");
    let waiting = f.get(&path).await;
    assert_eq!(waiting.status, 200, "{waiting:?}");
    let body = &waiting.body;
    assert_eq!(
        (&body["id"], &body["kind"], &body["state"], &body["attempt"]),
        (
            &json!(format!("sessions-dispatch-{id}")),
            &json!("sessions.dispatch"),
            &json!("available"),
            &json!(0)
        )
    );
    let retried = f.post(&format!("{path}/retry"), &json!(null)).await;
    assert_eq!(retried.error(), (400, json!("The background process has not failed")));

    away.come_back();
    assert_eq!(f.get(&path).await.body["state"], "available", "its store does not know it yet");
    assert_eq!(f.post(&format!("{path}/retry"), &json!(null)).await.status, 400);
    let _worker = f.work();
    let there: Vec<String> = waiting.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(f.db.deliver().await.unwrap(), 1);
    assert_eq!(f.ended(&id).await.state, State::Completed);
    let ended = f.get(&path).await.body;
    assert_eq!(ended.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), there, "the same form");
}
