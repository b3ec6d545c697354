use futures::future::join_all;
use serde_json::{Value, json};

use crate::fixture::{Fixture, text};

fn titles(listed: &Value) -> Vec<String> {
    listed["data"].as_array().unwrap().iter().map(|session| text(&session["title"])).collect()
}

#[tokio::test]
async fn a_user_joins_and_leaves() {
    let f = Fixture::alone().await;
    let id = f.session(json!({ "maxParticipants": 2 })).await;
    let call =
        async |user: &str, what: &str| f.call_as(user, "POST", &format!("/sessions/{id}/{what}"), None).await;
    let refused = |told: &str| (400, json!(told));
    assert_eq!(call("ada", "join").await.error(), refused("You cannot join your own session"));
    let joined = call("bob", "join").await;
    assert_eq!((joined.status, &joined.body["participants"]), (200, &json!(["bob"])));
    assert_eq!(call("bob", "join").await.error(), refused("You are already a participant in this session"));
    f.clock.advance(std::time::Duration::from_secs(1));
    let joined = call("alan", "join").await;
    assert_eq!(joined.body["participants"], json!(["bob", "alan"]), "in the order in which they joined");
    assert_eq!(joined.body["updatedAt"], "2026-01-01T00:00:01.000Z");
    assert_eq!(call("grace", "join").await.error(), refused("Session is full"));
    assert_eq!(call("grace", "leave").await.error(), refused("You are not a participant in this session"));
    assert_eq!(call("ada", "leave").await.error(), refused("You are not a participant in this session"));

    let listed = f.call_as("bob", "GET", "/sessions", None).await.body;
    assert_eq!((&listed["total"], &listed["data"][0]["_id"]), (&json!(1), &json!(id)));
    let left = call("bob", "leave").await;
    assert_eq!((left.status, &left.body["participants"]), (200, &json!(["alan"])));
    assert_eq!(f.call_as("bob", "GET", "/sessions", None).await.body["total"], 0);
    assert_eq!(call("grace", "join").await.status, 200, "the place is free again");
}

#[tokio::test]
async fn of_many_who_join_at_once_no_more_get_in_than_there_are_places() {
    let f = Fixture::alone().await;
    let id = f.session(json!({ "maxParticipants": 3 })).await;
    let path = format!("/sessions/{id}/join");
    // Everybody knocks twice.
    let users: Vec<String> = (0..40).map(|n| format!("user{}", n / 2)).collect();
    let replies = join_all(users.iter().map(|user| f.call_as(user, "POST", &path, None))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 3);
    let in_it = f.get(&format!("/sessions/{id}")).await.body["participants"].as_array().unwrap().clone();
    assert_eq!(in_it.len(), 3);
}

#[tokio::test]
async fn a_session_without_a_bound_takes_everybody() {
    let f = Fixture::alone().await;
    let id = f.session(json!({ "maxParticipants": "left out" })).await;
    for n in 0..12 {
        let path = format!("/sessions/{id}/join");
        assert_eq!(f.call_as(&format!("user{n}"), "POST", &path, None).await.status, 200);
    }
}

#[tokio::test]
async fn lists_come_in_pages_newest_first() {
    let f = Fixture::alone().await;
    for n in 1..=12 {
        f.session(json!({ "title": format!("Session {n}"), "isPublic": n % 2 == 0 })).await;
        f.clock.advance(std::time::Duration::from_millis(1));
    }
    let first = f.get("/sessions").await.body;
    assert_eq!(titles(&first).len(), 10);
    assert_eq!(titles(&first)[0], "Session 12");
    let frame =
        |listed: &Value| json!([listed["total"], listed["page"], listed["limit"], listed["totalPages"]]);
    assert_eq!(frame(&first), json!([12, 1, 10, 2]));
    assert_eq!(first.as_object().unwrap().len(), 5);
    let second = f.get("/sessions?page=2").await.body;
    assert_eq!(
        (titles(&second), frame(&second)),
        (vec!["Session 2".into(), "Session 1".into()], json!([12, 2, 10, 2]))
    );
    let third = f.get("/sessions?page=3&limit=5").await.body;
    assert_eq!((titles(&third).len(), frame(&third)), (2, json!([12, 3, 5, 3])));
    assert_eq!(titles(&f.get("/sessions?page=99").await.body).len(), 0);

    let public = f.call_as("bob", "GET", "/sessions/public?limit=2", None).await.body;
    assert_eq!(
        (titles(&public), frame(&public)),
        (vec!["Session 12".into(), "Session 10".into()], json!([6, 1, 2, 3]))
    );
    let empty = f.call_as("bob", "GET", "/sessions", None).await.body;
    assert_eq!(empty, json!({ "data": [], "total": 0, "page": 1, "limit": 10, "totalPages": 0 }));

    for (query, told) in [
        ("page=0", json!(["page must not be less than 1"])),
        ("page=-1&limit=101", json!(["page must not be less than 1", "limit must not be greater than 100"])),
        ("limit=ten", json!(["limit must be an integer number"])),
        ("page=99999999999999999999", json!(["page must be an integer number"])),
    ] {
        for path in ["/sessions", "/sessions/public", "/sessions/search"] {
            assert_eq!(
                f.get(&format!("{path}?{query}")).await.error(),
                (400, told.clone()),
                "{path}?{query}"
            );
        }
    }
}

#[tokio::test]
async fn a_search_finds_words_anywhere_in_what_one_may_see() {
    let f = Fixture::alone().await;
    f.session(json!({ "title": "Äpfel schälen", "focusKeywords": ["Messer"], "isPublic": true })).await;
    f.session(json!({ "title": "100% cotton_wool", "description": "soft", "isPublic": true })).await;
    let private = f.session(json!({ "title": "Hidden Äpfel", "isPublic": false })).await;
    let search = async |user: &str, query: &str| {
        let reply = f.call_as(user, "GET", &format!("/sessions/search?{query}"), None).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let mut titles = titles(&reply.body);
        titles.sort();
        titles
    };
    let (hidden, apples, wool) = ("Hidden Äpfel", "Äpfel schälen", "100% cotton_wool");
    assert_eq!(search("ada", "q=%C3%84PFEL").await, [hidden, apples]);
    assert_eq!(search("bob", "q=%C3%A4pfel").await, [apples], "another's private session is not found");
    assert_eq!(search("bob", "q=messer+sch%C3%A4len").await, [apples], "each word may stand elsewhere");
    assert_eq!(search("bob", "q=messer+cotton").await, Vec::<String>::new());
    for query in ["q=100%25", "q=n_w", "q=programming+soft"] {
        assert_eq!(search("bob", query).await, [wool], "{query}");
    }
    for query in ["q=%25%25", "q=l_c", "q=%5C", "q=%00x"] {
        assert_eq!(search("bob", query).await, Vec::<String>::new(), "{query}");
    }
    assert_eq!(search("bob", "").await, [wool, apples]);
    assert_eq!(search("bob", "q=%FF").await, Vec::<String>::new());
    // A word of 50,000 bytes is more than SQLite looks for.
    assert_eq!(search("bob", &format!("q={}", "x".repeat(2_000))).await, Vec::<String>::new());
    let told = "q must be shorter than or equal to 2000 characters";
    let long = f.call_as("bob", "GET", &format!("/sessions/search?q={}", "x".repeat(50_001)), None).await;
    assert_eq!(long.error(), (400, json!([told])));

    let path = format!("/sessions/{private}");
    let change =
        async |fields: Value| assert_eq!(f.call_as("ada", "PUT", &path, Some(&fields)).await.status, 200);
    change(json!({ "isPublic": true })).await;
    assert_eq!(f.call_as("bob", "POST", &format!("{path}/join"), None).await.status, 200);
    change(json!({ "isPublic": false, "status": "completed" })).await;
    assert_eq!(search("ada", "status=completed").await, [hidden]);
    assert_eq!(search("bob", "status=completed").await, [hidden], "whoever has joined finds it");
    assert_eq!(search("ada", "status=upcoming&q=%C3%A4pfel").await, [apples]);
    assert_eq!(search("carol", "status=completed").await, Vec::<String>::new());
    let told = json!(["status must be one of the following values: upcoming, ongoing, completed, cancelled"]);
    assert_eq!(f.get("/sessions/search?status=over").await.error(), (400, told));
}

#[tokio::test]
async fn lists_are_filtered_and_sorted() {
    let f = Fixture::alone().await;
    for (title, category, date, is_teaching) in [
        ("b", "Art", "2026-02-01", true),
        ("A", "Art", "2026-03-01", false),
        ("c", "Food", "2026-01-20", true),
    ] {
        f.session(
            json!({ "title": title, "skillCategory": category, "date": date, "isTeaching": is_teaching }),
        )
        .await;
        f.clock.advance(std::time::Duration::from_millis(1));
    }
    for path in ["/sessions", "/sessions/public", "/sessions/search"] {
        let listed = async |query: &str| titles(&f.get(&format!("{path}?{query}")).await.body);
        assert_eq!(listed("").await, ["c", "A", "b"], "{path}");
        assert_eq!(listed("order=asc").await, ["b", "A", "c"], "{path}");
        assert_eq!(listed("sort=date").await, ["A", "b", "c"], "{path}");
        assert_eq!(listed("sort=title&order=asc").await, ["A", "b", "c"], "{path}");
        assert_eq!(listed("skillCategory=Art").await, ["A", "b"], "{path}");
        assert_eq!(listed("isTeaching=false&status=upcoming").await, ["A"], "{path}");
        assert_eq!(listed("status=cancelled").await, Vec::<String>::new(), "{path}");
        for (query, words) in [
            ("sort=size", "sort must be one of the following values: createdAt, date, title"),
            ("order=up", "order must be one of the following values: asc, desc"),
            ("isTeaching=1", "isTeaching must be one of the following values: true, false"),
        ] {
            assert_eq!(
                f.get(&format!("{path}?{query}")).await.error(),
                (400, json!([words])),
                "{path}?{query}"
            );
        }
    }
}

#[tokio::test]
async fn a_session_that_is_over_or_cancelled_takes_nobody() {
    let f = Fixture::alone().await;
    let join = async |id: &str| f.call_as("bob", "POST", &format!("/sessions/{id}/join"), None).await;
    let over = (400, json!("You cannot join a session that is over"));
    let past = f.session(json!({ "date": "2024-01-15" })).await;
    assert_eq!(join(&past).await.error(), over);
    // The clock stands at 2026-01-01T00:00:00Z, when it is still the day before elsewhere.
    let yesterday = f.session(json!({ "date": "2025-12-31" })).await;
    assert_eq!(join(&yesterday).await.status, 200);
    for (status, told) in [
        ("completed", over.clone()),
        ("cancelled", (400, json!("You cannot join a session that has been cancelled"))),
    ] {
        let id = f.session(json!({})).await;
        f.call_as("ada", "PUT", &format!("/sessions/{id}"), Some(&json!({ "status": status }))).await;
        assert_eq!(join(&id).await.error(), told);
    }
}

#[tokio::test]
async fn a_private_session_is_not_there_for_strangers() {
    let f = Fixture::alone().await;
    let id = f.session(json!({ "isPublic": false })).await;
    let path = format!("/sessions/{id}");
    for (method, path) in [
        ("GET", path.clone()),
        ("PUT", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/join")),
        ("POST", format!("{path}/leave")),
        ("GET", format!("{path}/background")),
        ("POST", format!("{path}/background/retry")),
    ] {
        let reply = f.call_as("bob", method, &path, Some(&json!({}))).await;
        assert_eq!(reply.error(), (404, json!("Session not found")), "{method} {path}");
    }
    assert_eq!(f.get(&path).await.status, 200);
    // Whoever joined while it was public stays in it.
    let publish = async |is_public: bool| {
        f.call_as("ada", "PUT", &path, Some(&json!({ "isPublic": is_public }))).await;
    };
    publish(true).await;
    f.call_as("bob", "POST", &format!("{path}/join"), None).await;
    publish(false).await;
    assert_eq!(f.call_as("bob", "GET", &path, None).await.status, 200);
    assert_eq!(f.call_as("carol", "GET", &path, None).await.status, 404);
}
