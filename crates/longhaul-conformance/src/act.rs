//! The contract of [`Store::act`](longhaul::Store::act).

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{
    Action, CancelReason, Condition, Finish, JobFilter, JobRecord, LeaseStatus, Lookup, NewJob, Outcome,
    Start, State, Swept, Term,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{
    HOUR, QUEUE, cancelled, chunk, completed, delayed, failed, finish, id, job, json, named, progress, retry,
    secs, step, unique,
};

const CANCEL: Action = Action::cancel(secs(10));

/// "Cancelling a waiting job ends it at once."
pub async fn cancelling_a_waiting_job_ends_it_at_once(fx: &Fixture) {
    let retried = fx.running().await;
    fx.end(&retried.lease, retry(secs(10))).await;
    let available = fx.enqueue(job()).await;
    let scheduled = fx.enqueue(delayed(secs(10))).await;
    fx.clock.advance(secs(1));
    for id in [&available, &scheduled, &retried.lease.id] {
        let before = fx.job(id).await;
        assert_eq!(fx.act(id, CANCEL).await, 1);
        let after = fx.job(id).await;
        assert_eq!((after.state, after.finished_at), (State::Cancelled, Some(fx.now())));
        assert_eq!((after.attempt, after.cancel_requested, after.position), (before.attempt, false, None));
        assert_eq!(after.last_event, before.last_event + 1);
        assert_eq!(fx.act(id, CANCEL).await, 0, "once");
    }
    fx.clock.advance(HOUR);
    assert_eq!(fx.sweep().await, Swept::default());
    assert!(fx.claim_ids().await.is_empty(), "none of them is run");
}

/// "Cancelling a running job asks it to stop."
pub async fn cancelling_a_running_job_asks_it_to_stop(fx: &Fixture) {
    let (asked, other) = (fx.running().await, fx.running().await);
    let before = fx.job(&asked.lease.id).await;
    assert_eq!(fx.act(&asked.lease.id, CANCEL).await, 1);
    let after = fx.job(&asked.lease.id).await;
    let expected = JobRecord {
        cancel_requested: true,
        cancel_reason: Some(CancelReason::Asked),
        last_event: before.last_event + 1,
        ..before
    };
    assert_eq!(after, expected, "it runs on, and all else is as it was");
    assert!(!fx.job(&other.lease.id).await.cancel_requested);
    assert_eq!(fx.record(&asked.lease, vec![chunk("1")]).await, LeaseStatus::CancelRequested);
    assert_eq!(fx.heartbeat(&other.lease).await, LeaseStatus::Held);

    // Asking again cannot buy it time.
    fx.clock.advance(secs(9));
    fx.act(&asked.lease.id, Action::cancel(HOUR)).await;
    fx.clock.advance(secs(2));
    fx.heartbeat(&asked.lease).await;
    assert_eq!(fx.sweep().await, Swept { fenced: 1, ..Swept::default() });

    fx.act(&other.lease.id, Action::cancel(HOUR)).await;
    fx.end_asked(&other.lease, cancelled()).await;
    assert_eq!(fx.state(&other.lease.id).await, State::Cancelled, "and it may stop by itself");
}

/// "A job that was asked to stop already is left alone unless its grace becomes shorter."
pub async fn a_job_that_was_asked_to_stop_already_is_left_alone_unless_its_grace_becomes_shorter(
    fx: &Fixture,
) {
    fx.claim_many(3).await;
    let all = JobFilter::default();
    // As whoever works through a large number does it: until nothing is left to be done.
    let mut done = Vec::new();
    for _ in 0..3 {
        done.push(fx.act_on(&all, CANCEL, 2).await);
    }
    assert_eq!(done, [2, 1, 0]);
    fx.clock.advance(secs(1));
    for grace in [secs(10), HOUR, Duration::MAX] {
        let acted = ok("act", fx.store.act(&all, Action::cancel(grace), 10).await);
        assert_eq!((acted.matched, acted.done, acted.complete), (3, 0, true), "{grace:?} ends later");
    }
    assert_eq!(fx.act_on(&all, Action::cancel(secs(2)), 10).await, 3, "it ends sooner");
    assert_eq!(fx.act_on(&all, Action::cancel(secs(2)), 10).await, 0);
    fx.clock.advance(secs(3));
    assert_eq!(fx.sweep().await, Swept { fenced: 3, ..Swept::default() });

    // A new run knows nothing of the request to the one before.
    assert_eq!(fx.act_on(&all, Action::Retry, 10).await, 3);
    assert_eq!(fx.claim_ids().await.len(), 3);
    assert_eq!(fx.act_on(&all, Action::cancel(HOUR), 10).await, 3);
}

/// "Cancelling a finished job does nothing."
pub async fn cancelling_a_finished_job_does_nothing(fx: &Fixture) {
    for outcome in [completed(), failed(), cancelled()] {
        let lease = fx.running().await.lease;
        fx.end(&lease, outcome).await;
        let before = fx.seen(&lease.id).await;
        fx.clock.advance(secs(1));
        assert_eq!(fx.act(&lease.id, CANCEL).await, 0);
        assert_eq!(fx.seen(&lease.id).await, before);
    }
    assert_eq!(fx.act(&id("unknown"), CANCEL).await, 0);
    assert_eq!(fx.act_on(&JobFilter::default(), CANCEL, 100).await, 0);
}

/// "Retrying a finished job makes it available with all its attempts."
pub async fn retrying_a_finished_job_makes_it_available_with_all_its_attempts(fx: &Fixture) {
    for outcome in [completed(), failed(), cancelled()] {
        let new = NewJob { max_attempts: 2, max_crashes: 1, ..job() };
        let claimed = fx.running_from(new.clone()).await;
        fx.crash_workers().await;
        fx.end(&fx.claim_one().await.lease, retry(Duration::ZERO)).await;
        let last = fx.claim_one().await;
        fx.record(&last.lease, vec![longhaul::Entry::Progress(progress(50.0))]).await;
        fx.end(&last.lease, outcome).await;
        fx.clock.advance(secs(1));
        let ended = fx.job(&claimed.lease.id).await;
        assert_eq!((ended.attempt, ended.crashes), (2, 1));

        assert_eq!(fx.act(&claimed.lease.id, Action::Retry).await, 1);
        let again = fx.job(&claimed.lease.id).await;
        assert_eq!((again.state, again.run_at, again.position), (State::Available, fx.now(), Some(1)));
        assert_eq!((again.attempt, again.crashes), (0, 0), "all its attempts, and crashes");
        assert_eq!((again.output, again.progress, again.finished_at), (None, None, None));
        assert_eq!(again.errors, ended.errors, "its history is kept");
        assert!(again.last_event > ended.last_event);
        assert_eq!((again.args, again.created_at), (ended.args, ended.created_at));
        assert_eq!(fx.act(&claimed.lease.id, Action::Retry).await, 0, "once");

        for attempt in 1..=2 {
            let claimed = fx.claim_one().await;
            assert_eq!(claimed.attempt, attempt);
            let end = if attempt == 1 { retry(Duration::ZERO) } else { completed() };
            fx.end(&claimed.lease, end).await;
        }
        assert_eq!(fx.finish(&last.lease, failed()).await, LeaseStatus::Lost, "the old lease is void");
        assert_eq!(fx.state(&claimed.lease.id).await, State::Completed);
    }
}

/// "Retrying keeps the steps of a failed job."
pub async fn retrying_keeps_the_steps_of_a_failed_job(fx: &Fixture) {
    for outcome in [failed(), cancelled()] {
        let claimed = fx.running().await;
        fx.record(&claimed.lease, vec![step("ocr", "1")]).await;
        let end = Finish { entries: vec![step("index", "2")], ..finish(&claimed.lease, outcome) };
        fx.finish_all(vec![end]).await;
        fx.act(&claimed.lease.id, Action::Retry).await;
        let again = fx.claim_one().await;
        let done = BTreeMap::from([("ocr".to_owned(), json("1")), ("index".to_owned(), json("2"))]);
        assert_eq!(again.steps, done, "paid work is not paid twice");
        fx.end(&again.lease, completed()).await;
    }
}

/// "Retrying a completed job forgets its steps."
pub async fn retrying_a_completed_job_forgets_its_steps(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.record(&claimed.lease, vec![step("ocr", "1")]).await;
    let end = Finish { entries: vec![step("index", "2")], ..finish(&claimed.lease, completed()) };
    fx.finish_all(vec![end]).await;
    fx.act(&claimed.lease.id, Action::Retry).await;
    let again = fx.claim_one().await;
    assert_eq!(again.steps, BTreeMap::new(), "it begins from nothing");
    fx.record(&again.lease, vec![step("ocr", "9")]).await;
    fx.end(&again.lease, retry(Duration::ZERO)).await;
    let steps = BTreeMap::from([("ocr".to_owned(), json("9"))]);
    assert_eq!(fx.claim_one().await.steps, steps, "and its new steps are kept");
}

/// "Retrying an unfinished job does nothing."
pub async fn retrying_an_unfinished_job_does_nothing(fx: &Fixture) {
    let running = fx.running().await.lease;
    let retried = fx.running().await.lease;
    fx.end(&retried, retry(secs(10))).await;
    let (available, scheduled) = (fx.enqueue(job()).await, fx.enqueue(delayed(secs(10))).await);
    for id in [&running.id, &retried.id, &available, &scheduled] {
        let before = fx.seen(id).await;
        assert_eq!(fx.act(id, Action::Retry).await, 0);
        assert_eq!(fx.seen(id).await, before);
    }
    assert_eq!(fx.heartbeat(&running).await, LeaseStatus::Held);
    assert_eq!(fx.act(&id("unknown"), Action::Retry).await, 0);
    assert_eq!(fx.act_on(&JobFilter::default(), Action::Retry, 100).await, 0);
}

/// "Retrying a job whose unique key another holds does nothing."
pub async fn retrying_a_job_whose_unique_key_another_holds_does_nothing(fx: &Fixture) {
    let keyed = |name: &str, period| NewJob { id: Some(id(name)), ..unique("k", period) };
    let old = fx.running_from(keyed("old", None)).await.lease;
    fx.end(&old, failed()).await;
    let holder = fx.running_from(keyed("holder", Some(secs(60)))).await.lease;
    let before = fx.seen(&id("old")).await;
    assert_eq!(fx.act(&id("old"), Action::Retry).await, 0, "while the other runs");
    fx.end(&holder, completed()).await;
    assert_eq!(fx.act(&id("old"), Action::Retry).await, 0, "and within its period");
    assert_eq!(fx.seen(&id("old")).await, before);

    // The one that holds the key may run again itself, and holds it as long as it takes.
    assert_eq!(fx.act(&id("holder"), Action::Retry).await, 1);
    fx.clock.advance(secs(61));
    assert_eq!(fx.offer(keyed("x", None)).await.id, id("holder"));
    assert_eq!(fx.sweep().await, Swept::default());
    assert_eq!(fx.offer(keyed("x", None)).await.id, id("holder"), "the period that was to end is forgotten");
    fx.end(&fx.claim_one().await.lease, completed()).await;
    fx.clock.advance(secs(59));
    assert_eq!(fx.offer(keyed("x", None)).await.id, id("holder"), "its period begins anew");

    fx.clock.advance(secs(2));
    assert_eq!(fx.act(&id("old"), Action::Retry).await, 1, "once the key is free");
    assert_eq!(fx.offer(keyed("x", None)).await.id, id("old"), "it holds the key again");
    assert_eq!(fx.act(&id("holder"), Action::Retry).await, 0);
    assert_eq!(fx.claim_ids().await, [id("old")]);
}

/// "Deleting removes a finished job and frees its key."
pub async fn deleting_removes_a_finished_job_and_frees_its_key(fx: &Fixture) {
    for (name, outcome) in [("a", completed()), ("b", failed()), ("c", cancelled())] {
        let keyed = NewJob { id: Some(id(name)), ..unique("k", Some(HOUR)) };
        let claimed = fx.running_from(keyed).await;
        fx.record(&claimed.lease, vec![chunk("1"), step("ocr", "1")]).await;
        fx.end(&claimed.lease, outcome).await;
        assert_eq!(fx.act(&id(name), Action::Delete).await, 1);
        assert_eq!(fx.lookup(&id(name)).await, Lookup::Gone);
        assert_eq!(fx.act(&id(name), Action::Delete).await, 0, "once");
        assert_eq!(fx.act(&id(name), Action::Retry).await, 0, "there is nothing left to retry");
        assert!(fx.list(&JobFilter::default()).await.is_empty());
        assert!(fx.counts(QUEUE).await.is_empty());
        assert_eq!(fx.finish(&claimed.lease, completed()).await, LeaseStatus::Lost);
    }
    let again = fx.running_from(NewJob { id: Some(id("a")), ..unique("k", Some(HOUR)) }).await;
    assert_eq!(again.steps, BTreeMap::new(), "of a deleted job of the same id nothing comes back");
    fx.end(&again.lease, failed()).await;

    // Only its own key: by now the key may be another job's.
    let holder = fx.enqueue(NewJob { id: Some(id("holder")), ..unique("k", None) }).await;
    assert_eq!(fx.act(&id("a"), Action::Delete).await, 1);
    assert_eq!(fx.offer(unique("k", None)).await.id, holder);

    // A period ends with its job, so that an older job of the key may run again.
    fx.end(&fx.claim_one().await.lease, failed()).await;
    let cached = fx.running_from(unique("k", Some(HOUR))).await.lease;
    fx.end(&cached, completed()).await;
    assert_eq!(fx.act(&holder, Action::Retry).await, 0);
    assert_eq!(fx.act(&cached.id, Action::Delete).await, 1);
    assert_eq!(fx.act(&holder, Action::Retry).await, 1);
}

/// "Deleting an unfinished job does nothing."
pub async fn deleting_an_unfinished_job_does_nothing(fx: &Fixture) {
    let running = fx.running_from(unique("k", None)).await.lease;
    let (available, scheduled) = (fx.enqueue(job()).await, fx.enqueue(delayed(secs(10))).await);
    for id in [&running.id, &available, &scheduled] {
        let before = fx.seen(id).await;
        assert_eq!(fx.act(id, Action::Delete).await, 0);
        assert_eq!(fx.seen(id).await, before);
    }
    assert_eq!(fx.act(&running.id, CANCEL).await, 1);
    assert_eq!(fx.act(&running.id, Action::Delete).await, 0, "a request to stop is not yet the end");
    assert_eq!(fx.heartbeat(&running).await, LeaseStatus::CancelRequested);
    assert_eq!(fx.offer(unique("k", None)).await.id, running.id, "the key is still held");
    assert_eq!(fx.act(&id("unknown"), Action::Delete).await, 0);
}

/// "An action stops at its limit."
pub async fn an_action_stops_at_its_limit(fx: &Fixture) {
    let elsewhere = NewJob { queue: "elsewhere".into(), ..named("elsewhere") };
    fx.enqueue_all((0..5).map(|_| job()).chain([elsewhere]).collect()).await;
    let ended = fx.claim_one().await.lease;
    fx.end(&ended, Outcome::Cancelled { reason: "enough".into(), cancel_reason: CancelReason::Asked }).await;
    let filter = JobFilter { queues: vec![QUEUE.into()], ..JobFilter::default() };
    let cancelled = async || fx.counts(QUEUE).await.get(&State::Cancelled).copied().unwrap_or_default();
    assert_eq!(fx.act_on(&filter, CANCEL, 0).await, 0);
    assert_eq!(fx.act_on(&filter, CANCEL, 3).await, 3);
    assert_eq!(cancelled().await, 4);
    assert_eq!(fx.act_on(&filter, CANCEL, 3).await, 1, "what it does not apply to is not counted");
    assert_eq!(fx.act_on(&filter, CANCEL, 3).await, 0);
    assert_eq!(fx.act_on(&filter, Action::Retry, 2).await, 2);
    assert_eq!(fx.claim_ids().await.len(), 2);
    assert_eq!(fx.act_on(&filter, Action::Delete, 2).await, 2);
    assert_eq!(fx.act_on(&filter, Action::Delete, 2).await, 1);
    assert_eq!(fx.counts(QUEUE).await, BTreeMap::from([(State::Running, 2)]));
    assert_eq!(fx.state(&id("elsewhere")).await, State::Available, "what does not fit is left alone");
}

/// "An action tells how many jobs fit and how many it changed."
pub async fn an_action_tells_how_many_jobs_fit_and_how_many_it_changed(fx: &Fixture) {
    let running = fx.claim_many(2).await;
    fx.end(&running[0], failed()).await;
    fx.enqueue_all(vec![job(), job()]).await;
    let act = async |filter: JobFilter, action, limit| ok("act", fx.store.act(&filter, action, limit).await);
    let waiting = JobFilter { states: vec![State::Available], ..JobFilter::default() };
    let some = act(waiting.clone(), CANCEL, 1).await;
    assert_eq!((some.matched, some.done, some.complete), (1, 1, false), "one is left");
    let rest = act(waiting.clone(), CANCEL, 10).await;
    assert_eq!((rest.matched, rest.done, rest.complete), (1, 1, true));
    let none = act(waiting, CANCEL, 10).await;
    assert_eq!((none.matched, none.done, none.complete), (0, 0, true));

    // Of two failed jobs with one unique key, one takes it; the other fits and is left alone.
    for name in ["a", "b"] {
        let end = fx.running_from(NewJob { id: Some(id(name)), ..unique("k", None) }).await;
        fx.end(&end.lease, failed()).await;
    }
    let keyed = JobFilter { ids: vec![id("a"), id("b")], ..JobFilter::default() };
    let retried = act(keyed, Action::Retry, 10).await;
    assert_eq!((retried.matched, retried.done, retried.complete), (2, 1, true));

    // The cancel of its only child frees a closing job, which fits all the same, also where its args were looked at before.
    let args = json("\"wanted\"");
    let closing = NewJob { start: Start::AfterChildren, args: args.clone(), ..named("closing") };
    let child = NewJob { parent: Some(id("closing")), args, ..named("child") };
    fx.enqueue_all(vec![closing, child]).await;
    let condition = Condition::Text("wanted".to_owned());
    let wanted = JobFilter { terms: vec![Term { condition, negated: false }], ..JobFilter::default() };
    let both = act(wanted, CANCEL, 10).await;
    assert_eq!((both.matched, both.done, both.complete), (2, 2, true));
}

/// "An action checks its filter where it writes."
pub async fn an_action_checks_its_filter_where_it_writes(fx: &Fixture) {
    let failed_ones = JobFilter { states: vec![State::Failed], ..JobFilter::default() };
    for round in 0..20 {
        let lease = fx.running_from(NewJob { id: Some(id(&format!("{round}"))), ..job() }).await.lease;
        fx.end(&lease, failed()).await;
        // The first action is on its way: it may have looked and not yet written.
        let mut slow = Box::pin(fx.store.act(&failed_ones, Action::Retry, 100));
        let early = futures::poll!(slow.as_mut());
        if early.is_pending() {
            ok("act", fx.store.act(&failed_ones, Action::Retry, 100).await);
        }
        let again = fx.claim_one().await.lease;
        fx.end(&again, completed()).await;
        let done = fx.seen(&again.id).await;
        if early.is_pending() {
            ok("act", slow.await);
        }
        assert_eq!(fx.seen(&again.id).await, done, "a job that has completed is no failed one");
    }
}

/// "An action leaves alone what comes to fit while it acts."
pub async fn an_action_leaves_alone_what_comes_to_fit_while_it_acts(fx: &Fixture) {
    let closing = NewJob { start: Start::AfterChildren, ..named("closing") };
    let child = NewJob { parent: Some(id("closing")), ..named("child") };
    fx.enqueue_all(vec![closing, child]).await;
    let available = JobFilter { states: vec![State::Available], ..JobFilter::default() };
    // The cancel of its only child frees the closing job.
    let acted = ok("act", fx.store.act(&available, CANCEL, 10).await);
    assert_eq!((acted.matched, acted.done, acted.complete), (1, 1, true));
    assert_eq!(fx.state(&id("closing")).await, State::Available);
}
