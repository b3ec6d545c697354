//! The service's own statements on Postgres; the other tests run them on SQLite.

use fakes::Double;
use futures::future::join_all;
use longhaul::State;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn sessions_are_made_joined_changed_found_and_deleted_on_postgres() {
    let double = Double::start().await;
    let f = Fixture::on_postgres(&double).await;
    let skill = f.skill().await;
    let fields = |title: &str| json!({ "title": title, "teachSkillId": skill, "date": "2999-01-15", "maxParticipants": 3 });
    let id = f.session(fields("100% Hooks")).await;
    let other = f.session(fields("Snake_case")).await;
    let path = format!("/sessions/{id}");
    let _worker = f.work();
    assert_eq!(f.ended(&id).await.state, State::Completed);
    assert_eq!(f.get(&path).await.body["metadata"].as_array().unwrap().len(), 10);

    let join = format!("{path}/join");
    let users: Vec<String> = (0..16).map(|n| format!("user{}", n / 2)).collect();
    let replies = join_all(users.iter().map(|user| f.call_as(user, "POST", &join, None))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 3, "{replies:?}");
    let member = f.get(&path).await.body["participants"][0].as_str().unwrap().to_owned();
    assert_eq!(f.call_as(&member, "GET", "/sessions", None).await.body["total"], 1);
    assert_eq!(f.call_as(&member, "POST", &format!("{path}/leave"), None).await.status, 200);

    // Each is made of what the one before it has left.
    let changes: Vec<_> = (0..8).map(|n| json!({ "description": format!("part{n}") })).collect();
    let replies = join_all(changes.iter().map(|change| f.call_as("ada", "PUT", &path, Some(change)))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let last = f.get(&path).await.body["description"].as_str().unwrap().to_owned();
    let renewed = f.call_as("ada", "PUT", &path, Some(&json!({ "focusKeywords": ["useMemo"] }))).await;
    assert_eq!((renewed.status, &renewed.body["metadata"]), (200, &json!([])));

    for (query, total) in [
        (format!("q={last}"), 1),
        ("q=100%25".into(), 1),
        ("q=e_c".into(), 1),
        ("q=%00hooks&status=upcoming&isTeaching=true&skillCategory=Programming".into(), 2),
        ("skillCategory=%00".into(), 0),
        ("status=cancelled".into(), 0),
        ("limit=1&page=2".into(), 2),
    ] {
        let found = f.get(&format!("/sessions/search?{query}")).await;
        assert_eq!((found.status, &found.body["total"]), (200, &json!(total)), "{query}");
    }
    assert_eq!(f.get("/sessions/public").await.body["total"], 2);
    for path in [&path, &format!("/sessions/{other}"), &format!("/skills/{skill}")] {
        let deleted = f.call_as("ada", "DELETE", path, None).await;
        assert_eq!((deleted.status, f.get(path).await.status), (200, 404), "{deleted:?}");
    }
}
