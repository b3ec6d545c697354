//! Symptoms of size: calls of ten thousand jobs, and actions on all there is.

use std::time::Duration;

use longhaul::{
    Action, Backoff, Enqueued, Error, Finish, Idempotency, JobFilter, JobId, LeaseStatus, NewJob, Policy,
    Start, State, Unique,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{HOUR, QUEUE, completed, delayed, failed, finish, job, json, named};

const MANY: usize = 10_000;

/// A job in which nothing is left out but its keys.
fn full(number: usize) -> NewJob {
    let backing_off = Policy { backoff: Some(Backoff::default()), ..Policy::default() };
    NewJob {
        version: 2,
        args: json(&format!(r#"{{"text":"{}"}}"#, "x".repeat(80))),
        priority: 3,
        start: Start::After(HOUR),
        policy: Policy { timeout: Some(HOUR), ..backing_off },
        limit_keys: vec!["provider".into()],
        labels: [("tenant".to_owned(), format!("t{number}"))].into(),
        ..named(&format!("job-{number}"))
    }
}

/// One in which nothing at all is left out.
fn keyed(number: usize) -> NewJob {
    let idempotency = Idempotency { key: format!("i{number}"), fingerprint: "f".into(), keep_for: HOUR };
    NewJob {
        start: Start::Now,
        unique: Some(Unique { period: Some(HOUR), ..Unique::new(format!("u{number}")) }),
        idempotency: Some(idempotency),
        parent: Some(JobId::from_store("parent".into())),
        ..full(number)
    }
}

/// More values than one statement may have parameters.
pub async fn a26_a_call_of_ten_thousand_full_jobs_is_kept_whole_or_not_at_all(fx: &Fixture) {
    let mut jobs: Vec<NewJob> = (0..MANY).map(full).collect();
    let good = std::mem::replace(&mut jobs[MANY - 1].kind, "not a name".into());
    let refused = fx.store.enqueue(jobs.clone()).await;
    assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == "[9999].kind"), "{refused:?}");
    assert!(fx.counts(QUEUE).await.is_empty(), "none is there");
    jobs[MANY - 1].kind = good;
    let enqueued = fx.enqueue_all(jobs).await;
    assert!(enqueued.iter().all(|answer| !answer.is_duplicate()));
    assert_eq!(fx.counts(QUEUE).await, [(State::Scheduled, MANY as u64)].into());
    let ids = enqueued.into_iter().map(|Enqueued { id, .. }| id).collect();
    let all = JobFilter { ids, ..JobFilter::default() };
    let acted = ok("act", fx.store.act(&all, Action::cancel(HOUR), MANY).await);
    assert_eq!((acted.matched, acted.done), (MANY as u64, MANY as u64));
    assert_eq!(fx.counts(QUEUE).await, [(State::Cancelled, MANY as u64)].into());
}

/// As many follow-ups as one end may have.
pub async fn a26_a_finish_with_a_thousand_follow_ups_creates_all_of_them(fx: &Fixture) {
    let lease = fx.running().await.lease;
    let follow_ups = (0..1_000).map(keyed).collect();
    let end = Finish { follow_ups, ..finish(&lease, completed()) };
    assert_eq!(fx.finish_all(vec![end]).await, [LeaseStatus::Held]);
    assert_eq!(fx.counts(QUEUE).await, [(State::Available, 1_000), (State::Completed, 1)].into());
}

/// Jobs in every state, and actions without a word on states.
pub async fn a31_an_action_on_a_whole_queue_changes_only_what_it_is_for_and_counts_it(fx: &Fixture) {
    let ends = [completed(), failed(), crate::jobs::cancelled()];
    for outcome in ends {
        let ends = fx.claim_many(10).await.iter().map(|lease| finish(lease, outcome.clone())).collect();
        fx.finish_all(ends).await;
    }
    fx.claim_many(10).await;
    fx.enqueue_all((0..10).map(|_| job()).collect()).await;
    fx.enqueue_all((0..10).map(|_| delayed(HOUR)).collect()).await;
    let mut blocked = vec![NewJob { start: Start::AfterChildren, ..named("all") }];
    blocked.push(NewJob { parent: blocked[0].id.clone(), ..delayed(HOUR) });
    fx.enqueue_all(blocked).await;
    let before = fx.counts(QUEUE).await;

    let unfinished = [State::Blocked, State::Scheduled, State::Available, State::Running];
    let of = |states: &[State]| JobFilter {
        queues: vec![QUEUE.into()],
        states: states.to_vec(),
        ..JobFilter::default()
    };
    for action in [Action::Retry, Action::Delete] {
        let what = format!("{action:?}");
        assert_eq!(fx.act_on(&of(&unfinished), action, 1_000).await, 0, "{what}");
    }
    let ended = [State::Completed, State::Failed, State::Cancelled];
    let cancel = Action::cancel(Duration::ZERO);
    assert_eq!(fx.act_on(&of(&ended), cancel, 1_000).await, 0);
    assert_eq!(fx.counts(QUEUE).await, before);

    // In pieces, and each piece once more than is needed: what is done is not done again.
    let mut done = 0;
    for _ in 0..10 {
        done += fx.act_on(&of(&[State::Failed]), Action::Retry, 3).await;
    }
    assert_eq!(done, 10);
    let mut after = before.clone();
    after.remove(&State::Failed);
    after.insert(State::Available, before[&State::Available] + 10);
    assert_eq!(fx.counts(QUEUE).await, after);
    let acted = ok("act", fx.store.act(&of(&[]), Action::Delete, 1_000).await);
    let all: u64 = after.values().sum();
    assert_eq!(
        (acted.matched, acted.done, acted.complete),
        (all, 20, true),
        "all fit, those that have ended go"
    );
}
