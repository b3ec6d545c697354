//! Callers without a token are told apart by address, behind trusted proxies too.

use serde_json::json;

use crate::fixture::{Fixture, Reply};

const ONE_TASK: (&str, &str) = ("GITHUB_TASKS_PER_USER", "1");

async fn analyze(f: &Fixture, username: &str, forwarded_for: &str) -> Reply {
    let url = format!("{}/api/v1/github/analyze", f.url);
    let request = f.client.post(url).header("x-forwarded-for", forwarded_for);
    f.send(request.body(json!({ "username": username }).to_string())).await
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_a_limit_of_its_own() {
    let f = Fixture::with(&[ONE_TASK, ("TRUSTED_PROXIES", "127.0.0.0/8, ::1")]).await;
    for n in 0..25 {
        assert_eq!(analyze(&f, &format!("user{n}"), &format!("203.0.113.{n}")).await.status, 200);
    }
    // The second task of a client is one too many, whatever the client writes before the proxy's word.
    assert_eq!(analyze(&f, "other", "203.0.113.7").await.status, 429);
    assert_eq!(analyze(&f, "other", "198.51.100.1, 203.0.113.7:4711").await.status, 429);
    // A whole network of IPv6 is one client.
    assert_eq!(analyze(&f, "six", "2001:db8::1").await.status, 200);
    assert_eq!(analyze(&f, "other", "[2001:db8::2]:80").await.status, 429);
}

#[tokio::test]
async fn without_trusted_proxies_the_headers_of_a_client_change_nothing() {
    let f = Fixture::with(&[ONE_TASK]).await;
    assert_eq!(analyze(&f, "user1", "203.0.113.1").await.status, 200);
    let refused = analyze(&f, "user2", "203.0.113.2").await;
    assert_eq!(refused.error(), (429, "Too many tasks: at most 1 may be in progress at a time".into()));
    assert_eq!(refused.headers["retry-after"], "5");
}
