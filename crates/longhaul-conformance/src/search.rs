//! The contract of searches by words: see [`JobFilter::with_query`](longhaul::JobFilter::with_query).

use longhaul::{Action, AttemptError, ErrorKind, JobFilter, NewJob, Outcome, Page, search};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{HOUR, KIND, completed, id, job, json, named};

fn query(words: &str) -> JobFilter {
    ok("read a query", JobFilter::default().with_query(words))
}

/// Jobs that differ in all that a search looks at.
async fn jobs(fx: &Fixture) {
    let fails = fx.running_from(named("failed")).await.lease;
    let error = AttemptError::new(ErrorKind::Error, "No user 17 in \"eu\"");
    fx.end(&fails, Outcome::Failed { error }).await;
    let ends = fx.running_from(NewJob { args: json(r#"{"size": "large"}"#), ..named("done") }).await.lease;
    fx.end(&ends, completed()).await;
    let labels = [("env".to_owned(), "test".to_owned())].into();
    fx.enqueue(NewJob { labels, limit_keys: vec!["tenant".into(), "openai".into()], ..named("keyed") }).await;
    let args = json(r#"{"user": {"id": 7, "name": "Ann B"}, "tags": ["red", "blue"], "n": 1.0}"#);
    fx.enqueue(NewJob { kind: "mail".into(), queue: "mail".into(), args, ..named("mail") }).await;
    fx.enqueue(NewJob { parent: Some(id("mail")), ..named("child") }).await;
    let args = json(r#"{"who": "Zo\u00eb said \"hi\"", "big": 12345678901234567890123}"#);
    fx.enqueue(NewJob { kind: "odd".into(), args, ..named("escaped") }).await;
}

/// "Every term of a filter must be true."
pub async fn every_term_of_a_filter_must_be_true(fx: &Fixture) {
    jobs(fx).await;
    let print = search::fingerprint(KIND, "No user 99 in \"us\"");
    for (words, expected) in [
        ("queue:mail", vec!["mail"]),
        ("-queue:mail -state:failed", vec!["escaped", "child", "keyed", "done"]),
        ("kind:mail", vec!["mail"]),
        ("-kind:resize -kind:odd", vec!["mail"]),
        ("state:completed", vec!["done"]),
        ("state:completed state:failed", vec![]),
        ("id:keyed", vec!["keyed"]),
        ("-id:keyed -id:mail -id:child -id:escaped", vec!["done", "failed"]),
        ("id:k*", vec!["keyed"]),
        ("id:keyed*", vec!["keyed"]),
        ("id:keyed*x", vec![]),
        ("id:K*", vec![]),
        ("-id:k* -id:mail* state:available", vec!["escaped", "child"]),
        ("id:m* id:ma*", vec!["mail"]),
        ("parent:mail", vec!["child"]),
        ("-parent:mail state:available", vec!["escaped", "mail", "keyed"]),
        ("key:openai", vec!["keyed"]),
        ("-key:openai kind:resize state:available", vec!["child"]),
        ("label.env:test", vec!["keyed"]),
        ("-label.env:test state:available", vec!["escaped", "child", "mail"]),
        ("args.user.id:7", vec!["mail"]),
        ("args.user.name:\"Ann B\" args.tags:blue args.n:1", vec!["mail"]),
        ("args.user.name:ann", vec![]),
        ("args.size:large", vec!["done"]),
        ("-args.width:640", vec!["escaped", "mail", "done"]),
        ("error:user", vec!["failed"]),
        ("error:\"no USER 17\"", vec!["failed"]),
        (&format!("error:{print}"), vec!["failed"]),
        ("-error:user state:failed", vec![]),
        ("ann blue", vec!["mail"]),
        ("ann -blue", vec![]),
        ("Zoë", vec!["escaped"]),
        (r#""said \"HI\"""#, vec!["escaped"]),
        ("args.big:12345678901234567890123", vec!["escaped"]),
        ("args.big:12345678901234567890124", vec![]),
        ("\"Ann B\"", vec!["mail"]),
        ("queue:images large", vec!["done"]),
        ("", vec!["escaped", "child", "mail", "keyed", "done", "failed"]),
    ] {
        let found = fx.list(&query(words)).await;
        assert_eq!(found, expected.into_iter().map(id).collect::<Vec<_>>(), "{words}");
    }
}

/// "A page tells how many jobs it looked at."
pub async fn a_page_tells_how_many_jobs_it_looked_at(fx: &Fixture) {
    fx.enqueue_all((0..30).map(|_| job()).collect()).await;
    let page = async |filter: &JobFilter, limit| {
        ok("list", fx.store.list(filter, Page { limit, ..Page::default() }).await)
    };
    let none = page(&query("args.width:1"), 10).await;
    assert_eq!((none.jobs.len(), none.searched, none.next), (0, 30, None));
    let some = page(&query("args.width:640"), 10).await;
    assert_eq!(some.jobs.len(), 10);
    assert!((10..=30).contains(&some.searched), "{}", some.searched);
    assert!(some.next.is_some());
}

/// "An action keeps to the terms of its filter."
pub async fn an_action_keeps_to_the_terms_of_its_filter(fx: &Fixture) {
    jobs(fx).await;
    let cancel = Action::cancel(HOUR);
    assert_eq!(fx.act_on(&query("args.user.id:8"), cancel.clone(), 100).await, 0);
    assert_eq!(fx.act_on(&query("state:available args.user.id:7"), cancel.clone(), 100).await, 1);
    assert_eq!(fx.act_on(&query("-key:openai state:available"), cancel, 100).await, 2);
    assert_eq!(fx.claim_ids().await, [id("keyed")]);
    assert_eq!(fx.act_on(&query("-error:user state:failed"), Action::Delete, 100).await, 0);
    assert_eq!(fx.act_on(&query("error:user"), Action::Retry, 100).await, 1);
    assert_eq!(fx.claim_ids().await, [id("failed")]);
}
