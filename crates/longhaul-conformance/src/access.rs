//! The contract of access: every store keeps tokens and the audit log in the same way.

use std::time::Duration;

use longhaul::access::{
    AUDIT_KEPT_FOR, Added, Audit, AuditEntry, AuditPage, CREATED_BY, MAX_TOKENS, Token, TokenRate, Tokens,
};
use longhaul::{JobFilter, NewJob, Timestamp};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{HOUR, named, secs};

fn token(fx: &Fixture, id: &str) -> Token {
    Token {
        id: id.into(),
        name: format!("the token {id}, \"quoted\""),
        scopes: vec!["enqueue:mail@bulk".into(), "read:own".into()],
        rate: Some(TokenRate { n: 100, per: secs(60) }),
        created_at: fx.clock.now(),
        expires_at: None,
        digest: "0f".repeat(32),
    }
}

async fn add(fx: &Fixture, token: &Token) -> Added {
    ok("keep a token", Tokens::of(&*fx.store).add(token).await)
}

async fn tokens(fx: &Fixture) -> Vec<Token> {
    ok("list tokens", Tokens::of(&*fx.store).list().await)
}

/// "A token is kept with its scopes until it is deleted."
pub async fn a_token_is_kept_with_its_scopes_until_it_is_deleted(fx: &Fixture) {
    let first = token(fx, "tok_1");
    assert_eq!(add(fx, &first).await, Added::Yes);
    fx.clock.advance(secs(1));
    let second = Token { rate: None, scopes: vec!["viewer".into()], ..token(fx, "tok_0") };
    assert_eq!(add(fx, &second).await, Added::Yes);
    assert_eq!(tokens(fx).await, [first.clone(), second.clone()], "the oldest first");
    fx.clock.advance(HOUR * 24 * 365);
    fx.sweep().await;
    let deleted = ok("delete a token", Tokens::of(&*fx.store).delete("tok_1").await);
    assert_eq!(deleted, Some(first));
    assert_eq!(ok("delete a token", Tokens::of(&*fx.store).delete("tok_2").await), None);
    // What is kept for no time is forgotten by the clock, and then by a sweep.
    fx.clock.advance(Duration::from_millis(1));
    fx.sweep().await;
    assert_eq!(tokens(fx).await, [second]);
}

/// "A token that expires is forgotten after that."
pub async fn a_token_that_expires_is_forgotten_after_that(fx: &Fixture) {
    let expires_at = Some(fx.clock.now().plus(secs(60)));
    let token = Token { expires_at, ..token(fx, "tok_1") };
    add(fx, &token).await;
    fx.clock.advance(secs(59));
    fx.sweep().await;
    assert_eq!(tokens(fx).await, std::slice::from_ref(&token));
    assert!(!token.has_expired(fx.clock.now()));
    fx.clock.advance(secs(1));
    assert!(token.has_expired(fx.clock.now()));
    fx.clock.advance(secs(1));
    fx.sweep().await;
    assert!(tokens(fx).await.is_empty());
}

/// "A store keeps a bounded number of tokens."
pub async fn a_store_keeps_a_bounded_number_of_tokens(fx: &Fixture) {
    // Beside each other, as samples, for a token's own call reads all of them.
    let samples: Vec<longhaul::Sample> = (0..MAX_TOKENS)
        .map(|n| longhaul::Sample {
            series: longhaul::access::TOKEN_SERIES.into(),
            at: fx.clock.now(),
            source: format!("tok_{n}"),
            keep_for: HOUR,
            body: crate::jobs::json(r#"{"name":"n","scopes":[],"digest":"d"}"#),
        })
        .collect();
    ok("keep samples", fx.store.put_samples(&samples).await);
    assert_eq!(tokens(fx).await.len(), MAX_TOKENS);
    fx.clock.advance(secs(1));
    assert_eq!(add(fx, &token(fx, "more")).await, Added::TooMany);
    assert_eq!(tokens(fx).await.len(), MAX_TOKENS);
}

/// "A job tells the token that it was enqueued with, and is found by it."
pub async fn a_job_tells_the_token_that_it_was_enqueued_with_and_is_found_by_it(fx: &Fixture) {
    let by = |name: &str, token: &str| {
        let mut job: NewJob = named(name);
        job.labels.insert(CREATED_BY.into(), token.into());
        job
    };
    fx.enqueue_all(vec![by("a", "tok_1"), by("b", "tok_2"), named("c"), by("d", "tok_1")]).await;
    let of =
        |token: &str| JobFilter { labels: vec![(CREATED_BY.into(), token.into())], ..JobFilter::default() };
    let found: Vec<String> = fx.list(&of("tok_1")).await.iter().map(|id| id.as_str().to_owned()).collect();
    assert_eq!(found, ["d", "a"]);
    assert!(fx.list(&of("tok_3")).await.is_empty());
}

fn entry(at: Timestamp, id: &str) -> AuditEntry {
    AuditEntry {
        id: id.into(),
        at,
        who: "Ada \"the first\"".into(),
        role: Some("operator".into()),
        token: None,
        action: "queue.pause".into(),
        object: "mail".into(),
        count: None,
        refused: None,
        request_id: "r-1".into(),
    }
}

async fn note(fx: &Fixture, entry: &AuditEntry) {
    ok("note an action", Audit::of(&*fx.store).note(entry.clone()).await);
}

async fn page(fx: &Fixture, cursor: Option<&str>, limit: usize) -> AuditPage {
    ok("read the audit log", Audit::of(&*fx.store).page(cursor, limit).await)
}

fn ids(page: &AuditPage) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.id.as_str()).collect()
}

/// "The audit log is read newest first and page by page."
pub async fn the_audit_log_is_read_newest_first_and_page_by_page(fx: &Fixture) {
    assert_eq!(page(fx, None, 10).await, AuditPage::default());
    let begun = fx.clock.now();
    let whole = AuditEntry { count: Some(3), token: Some("tok_1".into()), role: None, ..entry(begun, "a") };
    note(fx, &whole).await;
    // Two of one moment, and others hours later.
    note(fx, &entry(begun, "b")).await;
    fx.clock.advance(HOUR * 5);
    note(fx, &entry(fx.clock.now(), "c")).await;
    fx.clock.advance(Duration::from_millis(1));
    note(fx, &entry(fx.clock.now(), "d")).await;
    let all = page(fx, None, 10).await;
    assert_eq!((ids(&all), all.next.as_deref()), (vec!["d", "c", "b", "a"], None));
    assert_eq!(all.entries[3], whole);
    let first = page(fx, None, 3).await;
    assert_eq!(ids(&first), ["d", "c", "b"]);
    // What comes meanwhile moves nothing.
    note(fx, &entry(fx.clock.now(), "e")).await;
    let second = page(fx, first.next.as_deref(), 3).await;
    assert_eq!((ids(&second), second.next.as_deref()), (vec!["a"], None));
    let exact = page(fx, None, 5).await;
    assert_eq!((exact.entries.len(), exact.next.as_deref()), (5, None), "no page after the last entry");
}

/// "An entry of the audit log takes the place of an earlier one of its moment and id."
pub async fn an_entry_of_the_audit_log_takes_the_place_of_an_earlier_one_of_its_moment_and_id(fx: &Fixture) {
    let refused =
        |count| AuditEntry { count, refused: Some("forbidden".into()), ..entry(Timestamp(7_200_000), "a") };
    note(fx, &refused(None)).await;
    fx.clock.advance(HOUR * 2);
    note(fx, &refused(Some(2))).await;
    assert_eq!(page(fx, None, 10).await.entries, [refused(Some(2))]);
}

/// "An entry of the audit log is forgotten after its time."
pub async fn an_entry_of_the_audit_log_is_forgotten_after_its_time(fx: &Fixture) {
    note(fx, &entry(fx.clock.now(), "a")).await;
    fx.clock.advance(secs(60));
    note(fx, &entry(fx.clock.now(), "b")).await;
    fx.clock.advance(AUDIT_KEPT_FOR - secs(60) + Duration::from_millis(1));
    fx.sweep().await;
    assert_eq!(ids(&page(fx, None, 10).await), ["b"]);
    fx.clock.advance(HOUR * 2);
    fx.sweep().await;
    assert_eq!(page(fx, None, 10).await, AuditPage::default());
}
