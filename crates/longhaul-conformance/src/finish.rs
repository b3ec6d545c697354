//! The contracts of [`Store::finish`](longhaul::Store::finish), but for its follow-ups, and of
//! [`Store::finish_and_claim`](longhaul::Store::finish_and_claim).

use std::time::Duration;

use longhaul::{
    Action, AttemptError, CancelReason, Dependency, ErrorKind, Event, EventBody, Finish, FinishAndClaim,
    JobFilter, JobRecord, KEPT_ERRORS, KeyConfig, Lease, LeaseStatus, NewJob, OnClash, Outcome, State,
    Unique, WaitsFor,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{
    HOUR, QUEUE, cancelled, chunk, claim, completed, failed, finish, id, job, json, limited, named, progress,
    retry, secs, slots,
};
use crate::waits::waits;

/// The last event of the job's log, which is its state.
async fn last_event(fx: &Fixture, lease: &Lease) -> Event {
    let mut events = fx.events(&lease.id).await;
    events.pop().unwrap_or_else(|| panic!("{} has a state", lease.id))
}

/// "A completed job keeps its output."
pub async fn a_completed_job_keeps_its_output(fx: &Fixture) {
    for output in [r#"{"z": 1.50, "a":[null, "\u00e9 é"]}"#, "null"] {
        let claimed = fx.running().await;
        let running = fx.job(&claimed.lease.id).await;
        fx.clock.advance(secs(4));
        fx.end(&claimed.lease, Outcome::Completed { output: json(output) }).await;
        let record = fx.job(&claimed.lease.id).await;
        let expected = JobRecord {
            state: State::Completed,
            output: Some(json(output)),
            finished_at: Some(fx.now()),
            last_event: running.last_event + 2,
            ..running
        };
        assert_eq!(record, expected, "all else is as it was while it ran");
        fx.clock.advance(HOUR);
        assert_eq!(fx.job(&claimed.lease.id).await, expected, "and stays");
        assert!(fx.claim_ids().await.is_empty(), "it is not run again");
    }
}

/// "A retry waits for its delay and keeps its error."
pub async fn a_retry_waits_for_its_delay_and_keeps_its_error(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.clock.advance(secs(4));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok();
    let first = AttemptError { traceparent, ..AttemptError::new(ErrorKind::Timeout, "Grüße \u{1} \"'\n") };
    fx.end(&claimed.lease, Outcome::Retry { error: first.clone(), delay: secs(10) }).await;
    let first = AttemptError { attempt: 1, at: fx.now(), ..first };
    let record = fx.job(&claimed.lease.id).await;
    assert_eq!((record.state, record.attempt), (State::Scheduled, 1));
    assert_eq!(record.run_at, fx.now().plus(secs(10)));
    assert_eq!(
        record.errors,
        std::slice::from_ref(&first),
        "with the attempt and the time, which the store sets"
    );
    assert_eq!((record.finished_at, record.output, record.crashes), (None, None, 0));
    let body = EventBody::State {
        state: State::Scheduled,
        error: Some(first.clone()),
        children: None,
        cancel_reason: None,
    };
    assert_eq!(last_event(fx, &claimed.lease).await.body, body);

    fx.clock.advance(secs(9));
    fx.sweep().await;
    assert!(fx.claim_ids().await.is_empty());
    fx.clock.advance(secs(1));
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.attempt, 2);
    let claimed_at =
        EventBody::State { state: State::Running, error: None, children: None, cancel_reason: None };
    assert_eq!(last_event(fx, &claimed.lease).await.body, claimed_at, "a new attempt has not failed");
    fx.end(&claimed.lease, retry(Duration::ZERO)).await;
    let record = fx.job(&claimed.lease.id).await;
    assert_eq!(record.state, State::Available, "without a delay it need not wait to be promoted");
    let second = AttemptError::new(ErrorKind::Error, "the disk is full");
    assert_eq!(record.errors, [first, AttemptError { attempt: 2, at: fx.now(), ..second }], "oldest first");
    assert_eq!(fx.claim_one().await.attempt, 3);
}

/// "A failed job keeps its error."
pub async fn a_failed_job_keeps_its_error(fx: &Fixture) {
    let claimed = fx.running().await;
    let running = fx.job(&claimed.lease.id).await;
    fx.clock.advance(secs(4));
    fx.end(&claimed.lease, failed()).await;
    let error =
        AttemptError { attempt: 1, at: fx.now(), ..AttemptError::new(ErrorKind::Fatal, "no such image") };
    let expected = JobRecord {
        state: State::Failed,
        errors: vec![error.clone()],
        finished_at: Some(fx.now()),
        last_event: running.last_event + 1,
        ..running
    };
    assert_eq!(fx.job(&claimed.lease.id).await, expected);
    let body =
        EventBody::State { state: State::Failed, error: Some(error), children: None, cancel_reason: None };
    assert_eq!(last_event(fx, &claimed.lease).await.body, body);
    fx.clock.advance(HOUR);
    assert!(fx.claim_ids().await.is_empty(), "it is not run again, whatever attempts are left");
}

/// "A cancelled outcome ends the job."
pub async fn a_cancelled_outcome_ends_the_job(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.clock.advance(secs(4));
    fx.end(&claimed.lease, cancelled()).await;
    let record = fx.job(&claimed.lease.id).await;
    assert_eq!((record.state, record.finished_at), (State::Cancelled, Some(fx.now())));
    let error = AttemptError::new(ErrorKind::Cancelled, "not needed any more");
    let error = AttemptError { attempt: 1, at: fx.now(), ..error };
    assert_eq!(record.errors, std::slice::from_ref(&error), "the reason is kept");
    let body = EventBody::State {
        state: State::Cancelled,
        error: Some(error),
        children: None,
        cancel_reason: Some(CancelReason::Asked),
    };
    assert_eq!(last_event(fx, &claimed.lease).await.body, body);
    fx.clock.advance(HOUR);
    assert!(fx.claim_ids().await.is_empty());
}

/// "A snooze costs no attempt."
pub async fn a_snooze_costs_no_attempt(fx: &Fixture) {
    let id = fx.enqueue(NewJob { max_attempts: 1, ..job() }).await;
    for _ in 0..3 {
        let claimed = fx.claim_one().await;
        assert_eq!(claimed.attempt, 1, "every time");
        fx.end(&claimed.lease, Outcome::Snoozed { delay: secs(10) }).await;
        let record = fx.job(&id).await;
        assert_eq!((record.state, record.run_at), (State::Scheduled, fx.now().plus(secs(10))));
        assert_eq!((record.attempt, record.crashes, record.interruptions), (0, 0, 0));
        assert_eq!(record.errors, [], "nothing went wrong");
        fx.clock.advance(secs(10));
    }
    fx.end(&fx.claim_one().await.lease, Outcome::Snoozed { delay: Duration::ZERO }).await;
    assert_eq!(fx.state(&id).await, State::Available, "for no time at all");
}

/// "A release costs no attempt and counts as an interruption."
pub async fn a_release_costs_no_attempt_and_counts_as_an_interruption(fx: &Fixture) {
    let claimed = fx.running_from(NewJob { max_attempts: 2, max_crashes: 0, ..job() }).await;
    fx.end(&claimed.lease, retry(Duration::ZERO)).await;
    for interruptions in 1..=3 {
        let claimed = fx.claim_one().await;
        assert_eq!(claimed.attempt, 2);
        fx.end(&claimed.lease, Outcome::Released).await;
        let record = fx.job(&claimed.lease.id).await;
        assert_eq!((record.attempt, record.crashes, record.interruptions), (1, 0, interruptions));
        assert_eq!(record.errors.len(), 1, "an interruption is no error");
    }
}

/// "A released job is available at once."
pub async fn a_released_job_is_available_at_once(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.clock.advance(secs(4));
    fx.end(&claimed.lease, Outcome::Released).await;
    let record = fx.job(&claimed.lease.id).await;
    assert_eq!((record.state, record.position), (State::Available, Some(1)));
    assert_eq!(fx.claim_ids().await, [claimed.lease.id]);
}

/// "A released job keeps its place."
pub async fn a_released_job_keeps_its_place(fx: &Fixture) {
    let first = fx.running().await;
    fx.clock.advance(secs(4));
    let second = fx.enqueue(job()).await;
    fx.clock.advance(secs(4));
    fx.end(&first.lease, Outcome::Released).await;
    assert_eq!(fx.claim_ids().await, [first.lease.id, second], "what was begun goes before what was not");
}

/// "A job made anew under an old id does not know the old leases."
pub async fn a_job_made_anew_under_an_old_id_does_not_know_the_old_leases(fx: &Fixture) {
    let old = fx.running_from(named("a")).await.lease;
    fx.end(&old, completed()).await;
    assert_eq!(fx.act_on(&JobFilter::id(id("a")), Action::Delete, 1).await, 1);
    let new = fx.running_from(named("a")).await.lease;
    assert_ne!(old, new);
    assert_eq!(fx.heartbeat(&old).await, LeaseStatus::Lost);
    assert_eq!(fx.finish(&old, completed()).await, LeaseStatus::Lost);
    assert_eq!(fx.state(&id("a")).await, State::Running);
    assert_eq!(fx.finish(&new, completed()).await, LeaseStatus::Held);
}

/// "A finish with an old token changes nothing."
pub async fn a_finish_with_an_old_token_changes_nothing(fx: &Fixture) {
    let outcomes = || {
        let snooze = Outcome::Snoozed { delay: secs(5) };
        [completed(), retry(secs(5)), failed(), cancelled(), snooze, Outcome::Released]
    };
    let late = |lease: &Lease, outcome| Finish {
        entries: vec![chunk("1"), longhaul::Entry::Progress(progress(1.0))],
        ..finish(lease, outcome)
    };
    let old = fx.running().await.lease;
    assert_eq!(fx.crash_workers().await.rescued, 1);
    let waiting = fx.seen(&old.id).await;
    for outcome in outcomes() {
        assert_eq!(fx.finish_all(vec![late(&old, outcome)]).await, [LeaseStatus::Lost], "rescued");
        assert_eq!(fx.seen(&old.id).await, waiting);
    }

    let new = fx.claim_one().await.lease;
    let running = fx.seen(&old.id).await;
    let never = Lease { token: new.token + 1, ..new.clone() };
    let unknown = Lease { id: id("unknown"), token: 1 };
    for outcome in outcomes() {
        for lease in [&old, &never, &unknown] {
            let status = fx.finish_all(vec![late(lease, outcome.clone())]).await;
            assert_eq!(status, [LeaseStatus::Lost], "{lease:?}");
        }
    }
    assert_eq!(fx.seen(&old.id).await, running, "its successor runs undisturbed");
    assert_eq!(fx.heartbeat(&new).await, LeaseStatus::Held);
    fx.end(&new, completed()).await;
}

/// "A finish has its effect once."
pub async fn a_finish_has_its_effect_once(fx: &Fixture) {
    for first in [completed(), retry(secs(5)), failed(), cancelled(), Outcome::Released] {
        let lease = fx.running().await.lease;
        fx.end(&lease, first.clone()).await;
        let ended = fx.seen(&lease.id).await;
        for second in [first, completed(), failed()] {
            let entries = vec![chunk("1")];
            fx.finish_all(vec![Finish { entries, ..finish(&lease, second) }]).await;
        }
        assert_eq!(fx.seen(&lease.id).await, ended, "the first one stands");
        fx.act(&lease.id, Action::cancel(secs(1))).await;
    }
    let lease = fx.running().await.lease;
    let twice = vec![finish(&lease, failed()), finish(&lease, completed())];
    assert_eq!(fx.finish_all(twice).await, [LeaseStatus::Held; 2], "in one call, too");
    assert_eq!(fx.state(&lease.id).await, State::Failed);
}

/// "The entries of a finish come before its outcome."
pub async fn the_entries_of_a_finish_come_before_its_outcome(fx: &Fixture) {
    for (outcome, state) in [(completed(), State::Completed), (retry(secs(5)), State::Scheduled)] {
        let claimed = fx.running().await;
        fx.record(&claimed.lease, vec![chunk("1")]).await;
        let seen = fx.job(&claimed.lease.id).await.last_event;
        let entries = vec![chunk("2"), longhaul::Entry::Progress(progress(9.0)), chunk("3")];
        fx.finish_all(vec![Finish { entries, ..finish(&claimed.lease, outcome.clone()) }]).await;
        let events = fx.events_after(&claimed.lease.id, seen, 10).await;
        assert!(events.is_sorted_by(|a, b| a.seq < b.seq));
        assert!(events.iter().all(|event| event.attempt == 1 && event.at == fx.now()), "{events:?}");
        let record = fx.job(&claimed.lease.id).await;
        let mut expected = vec![
            EventBody::Chunk { data: json("2") },
            EventBody::Progress(progress(9.0)),
            EventBody::Chunk { data: json("3") },
        ];
        if let Outcome::Completed { output } = outcome {
            expected.push(EventBody::Output { output });
        }
        let (error, cancel_reason) = (record.errors.last().cloned(), record.cancel_reason);
        expected.push(EventBody::State { state, error, children: None, cancel_reason });
        assert_eq!(events.into_iter().map(|event| event.body).collect::<Vec<_>>(), expected);
        assert_eq!(record.progress, Some(progress(9.0)));
    }
}

/// "A retry, snooze, rate limit or release of a job asked to cancel ends it as cancelled."
pub async fn a_retry_snooze_rate_limit_or_release_of_a_job_asked_to_cancel_ends_it_as_cancelled(
    fx: &Fixture,
) {
    for again in [
        retry(Duration::ZERO),
        retry(secs(5)),
        Outcome::Snoozed { delay: secs(5) },
        Outcome::RateLimited { delay: secs(5) },
        Outcome::Released,
    ] {
        let claimed = fx.running().await;
        fx.act(&claimed.lease.id, Action::cancel(HOUR)).await;
        fx.clock.advance(secs(4));
        assert_ne!(fx.finish(&claimed.lease, again.clone()).await, LeaseStatus::Lost);
        let record = fx.job(&claimed.lease.id).await;
        assert_eq!((record.state, record.finished_at), (State::Cancelled, Some(fx.now())), "{again:?}");
        assert!(!record.cancel_requested, "what was asked has been done");
        if let Outcome::Retry { error, .. } = again {
            assert_eq!(record.errors[0].message, error.message, "what it said is kept");
        }
        fx.clock.advance(HOUR);
        assert!(fx.sweep().await.is_empty());
        assert!(fx.claim_ids().await.is_empty(), "it is not run again");
    }
}

/// "A completion of a job asked to cancel stands."
pub async fn a_completion_of_a_job_asked_to_cancel_stands(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.act(&claimed.lease.id, Action::cancel(secs(5))).await;
    let follow_ups = vec![named("next")];
    let end = Finish { follow_ups, ..finish(&claimed.lease, completed()) };
    assert_ne!(fx.finish_all(vec![end]).await, [LeaseStatus::Lost]);
    let record = fx.job(&claimed.lease.id).await;
    assert_eq!((record.state, record.cancel_requested), (State::Completed, false));
    assert_eq!(record.output, Some(json(r#"{"bytes": 1.50}"#)));
    assert_eq!(fx.state(&id("next")).await, State::Available, "with all that follows from it");
    fx.clock.advance(secs(60));
    assert!(fx.sweep().await.is_empty(), "and there is nothing left to fence off");

    let claimed = fx.claim_one().await;
    fx.act(&claimed.lease.id, Action::cancel(secs(5))).await;
    assert_ne!(fx.finish(&claimed.lease, failed()).await, LeaseStatus::Lost);
    assert_eq!(fx.state(&claimed.lease.id).await, State::Failed, "so does a failure for good");
}

/// "Each finish of a batch stands alone."
pub async fn each_finish_of_a_batch_stands_alone(fx: &Fixture) {
    let lost = fx.running().await.lease;
    fx.end(&lost, Outcome::Released).await;
    fx.claim_one().await;
    let [one, two, three] = [fx.running().await.lease, fx.running().await.lease, fx.running().await.lease];
    let unknown = Lease { id: id("unknown"), token: 1 };
    let entries = vec![chunk("1")];
    let batch = vec![
        finish(&one, completed()),
        finish(&lost, completed()),
        Finish { entries, follow_ups: vec![named("next")], ..finish(&two, failed()) },
        finish(&unknown, completed()),
        Finish { follow_ups: vec![named("third-s")], ..finish(&three, completed()) },
    ];
    let (held, gone) = (LeaseStatus::Held, LeaseStatus::Lost);
    assert_eq!(fx.finish_all(batch).await, [held, gone, held, gone, held], "in order");
    assert_eq!(fx.state(&one.id).await, State::Completed);
    assert_eq!(fx.state(&lost.id).await, State::Running);
    assert_eq!(fx.state(&two.id).await, State::Failed);
    assert_eq!(fx.state(&three.id).await, State::Completed);
    assert_eq!(fx.lookup(&id("next")).await, longhaul::Lookup::Unknown);
    assert_eq!(fx.state(&id("third-s")).await, State::Available);
    assert_eq!(fx.finish_all(Vec::new()).await, [], "and none is a batch, too");
}

/// "The last twenty errors are kept."
pub async fn the_last_twenty_errors_are_kept(fx: &Fixture) {
    let id = fx.enqueue(NewJob { max_attempts: 100, ..job() }).await;
    let attempts = async || {
        let errors = fx.job(&id).await.errors;
        errors.into_iter().map(|error| (error.attempt, error.message)).collect::<Vec<_>>()
    };
    let expected =
        |first: u32, last: u32| (first..=last).map(|n| (n, format!("error {n}"))).collect::<Vec<_>>();
    let kept = u32::try_from(KEPT_ERRORS).unwrap_or(u32::MAX);
    assert_eq!(kept, 20);
    for attempt in 1..kept + 5 {
        let claimed = fx.claim_one().await;
        let error = AttemptError::new(ErrorKind::Error, format!("error {attempt}"));
        fx.end(&claimed.lease, Outcome::Retry { error, delay: Duration::ZERO }).await;
        assert_eq!(attempts().await, expected(attempt.saturating_sub(kept - 1).max(1), attempt));
    }
    fx.end(&fx.claim_one().await.lease, failed()).await;
    let errors = attempts().await;
    assert_eq!((errors.len(), errors[0].0, errors[19].0), (20, 6, 25), "the last one's among them");
}

/// "A turn does not wait."
pub async fn a_turn_does_not_wait(fx: &Fixture) {
    let lease = fx.running().await.lease;
    let waiting = longhaul::Claim { wait: secs(3600), ..claim() };
    let turn = fx.finish_and_claim(vec![finish(&lease, completed())], waiting.clone()).await;
    assert_eq!((turn.finished, turn.claimed), (vec![LeaseStatus::Held], Vec::new()));
    assert_eq!(fx.finish_and_claim(Vec::new(), waiting).await, longhaul::FinishAndClaim::default());
}

/// "A turn finishes and then claims."
pub async fn a_turn_finishes_and_then_claims(fx: &Fixture) {
    let (done, back) = (fx.running().await.lease, fx.running().await.lease);
    let lost = Lease { token: done.token + 1, ..done.clone() };
    let finishes = vec![
        finish(&lost, failed()),
        Finish { follow_ups: vec![named("next")], ..finish(&done, completed()) },
        finish(&back, Outcome::Released),
    ];
    let turn = fx.finish_and_claim(finishes, claim()).await;
    assert_eq!(turn.finished, [LeaseStatus::Lost, LeaseStatus::Held, LeaseStatus::Held]);
    let mut ids: Vec<_> = turn.claimed.iter().map(|claimed| claimed.lease.id.clone()).collect();
    ids.sort();
    let mut expected = vec![back.id.clone(), id("next")];
    expected.sort();
    assert_eq!(ids, expected, "the claim sees what the finishes set free");
    assert_eq!(fx.state(&done.id).await, State::Completed);

    fx.enqueue_all(vec![job(), job()]).await;
    let finishes = turn.claimed.iter().map(|claimed| finish(&claimed.lease, completed())).collect();
    let second =
        fx.finish_and_claim(finishes, longhaul::Claim { queues: vec![slots(QUEUE, 1)], ..claim() }).await;
    assert_eq!(second.finished, [LeaseStatus::Held; 2]);
    assert_eq!(second.claimed.len(), 1, "as many as there are slots");
    let none = fx.finish_and_claim(Vec::new(), longhaul::Claim { queues: Vec::new(), ..claim() }).await;
    assert_eq!(none, FinishAndClaim::default());
}

/// "A turn claims what its finishes make due."
pub async fn a_turn_claims_what_its_finishes_make_due(fx: &Fixture) {
    let now = Duration::ZERO;
    let parent = Some(id("again"));
    let mut run = fx.running_from(named("again")).await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), parent, ..named("unfinished") }).await;
    for outcome in [
        retry(now),
        Outcome::Snoozed { delay: now },
        Outcome::RateLimited { delay: now },
        Outcome::Released,
        waits(WaitsFor::Children, Some(now)),
        waits(WaitsFor::Signal("go".into()), Some(now)),
    ] {
        let mut turn = fx.finish_and_claim(vec![finish(&run.lease, outcome.clone())], claim()).await;
        assert_eq!(turn.claimed.len(), 1, "{outcome:?}");
        run = turn.claimed.remove(0);
        assert_eq!(run.lease.id, id("again"));
    }

    // Each ends a job that another one waits for.
    let one = KeyConfig { slots: Some(1), ..KeyConfig::default() };
    ok("configure a key", fx.store.set_key("k", Some(&one)).await);
    let follow = Unique { on_clash: OnClash::Follow, ..Unique::new("u") };
    let last = || NewJob { unique: Some(follow.clone()), ..limited("last", &["k"]) };
    for (name, next) in [
        ("dependant", NewJob { depends_on: vec![Dependency::on(id("last"))], ..named("dependant") }),
        ("follower", NewJob { unique: Some(follow.clone()), ..named("follower") }),
        ("admitted", limited("admitted", &["k"])),
    ] {
        let run = fx.running_from(last()).await;
        fx.enqueue(next).await;
        assert!(fx.claim_ids().await.is_empty(), "{name} waits");
        let turn = fx.finish_and_claim(vec![finish(&run.lease, completed())], claim()).await;
        let claimed: Vec<_> = turn.claimed.iter().map(|claimed| claimed.lease.id.as_str()).collect();
        assert_eq!(claimed, [name]);
        fx.end(&turn.claimed[0].lease, completed()).await;
        for name in [name, "last"] {
            assert_eq!(fx.act(&id(name), Action::Delete).await, 1);
        }
    }

    assert_eq!(fx.act(&id("unfinished"), Action::cancel(HOUR)).await, 1);
    fx.enqueue(NewJob { parent: Some(id("again")), ..named("child") }).await;
    let child = fx.claim_one().await.lease;
    let ends = vec![finish(&run.lease, waits(WaitsFor::Children, None)), finish(&child, completed())];
    let turn = fx.finish_and_claim(ends, claim()).await;
    assert_eq!(turn.claimed[0].lease.id, id("again"));
}
