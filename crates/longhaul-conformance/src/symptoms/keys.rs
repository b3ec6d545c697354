//! Symptoms of unique keys and own ids: held for ever, given back too early, joined with what has long failed.

use longhaul::{
    Action, CancelReason, EnqueueStatus, JobFilter, JobId, LeaseStatus, Lookup, NewJob, OnClash, Outcome,
    State, Unique,
};

use crate::Fixture;
use crate::jobs::{HOUR, LEASE, completed, delayed, failed, finish, id, job, named, retry, secs, unique};

/// A job with the unique key `k`.
fn keyed(name: &str) -> NewJob {
    NewJob { id: Some(id(name)), ..unique("k", None) }
}

async fn assert_held(fx: &Fixture, holder: &JobId, when: &str) {
    let answer = fx.offer(unique("k", None)).await;
    assert_eq!((answer.status, &answer.id), (EnqueueStatus::Duplicate, holder), "{when}");
}

async fn assert_free(fx: &Fixture, when: &str) {
    let answer = fx.offer(unique("k", None)).await;
    assert_eq!(answer.status, EnqueueStatus::Created, "{when}");
    assert_eq!(fx.act(&answer.id, Action::cancel(HOUR)).await, 1);
}

/// A job that waits for its retry, others that want its key, and fifty that fall due with it.
pub async fn a5_a_clash_of_unique_keys_keeps_no_other_job_from_being_promoted(fx: &Fixture) {
    let wait = LEASE / 2;
    let older = fx.running_from(keyed("older")).await;
    fx.end(&older.lease, failed()).await;
    let ends: Vec<_> = fx.claim_many(20).await.iter().map(|lease| finish(lease, failed())).collect();
    fx.finish_all(ends).await;
    let waits = fx.running_from(keyed("x")).await;
    fx.end(&waits.lease, retry(wait)).await;
    fx.enqueue_all((0..50).map(|_| delayed(wait)).collect()).await;

    let x = id("x");
    assert_held(fx, &x, "it waits for its retry").await;
    let refresh = Unique { on_clash: OnClash::Refresh, ..Unique::new("k") };
    assert_eq!(fx.offer(NewJob { unique: Some(refresh), ..job() }).await.id, x);
    assert_eq!(fx.act(&id("older"), Action::Retry).await, 0, "the key is another's now");
    let all_failed = JobFilter { states: vec![State::Failed], ..JobFilter::default() };
    assert_eq!(fx.act_on(&all_failed, Action::Retry, 100).await, 20, "the clash concerns one job");
    assert_eq!(fx.claim_ids().await.len(), 20);

    fx.clock.advance(wait);
    assert_eq!(fx.sweep().await.promoted, 51);
    let claimed = fx.claim(crate::jobs::claim()).await;
    assert_eq!(claimed.len(), 51);
    assert!(claimed.iter().any(|claimed| claimed.lease.id == x && claimed.attempt == 2));
}

/// A retry by hand of a job whose key has gone to another, and the removal of a job that held it before.
pub async fn a5_a_key_that_has_passed_on_is_neither_taken_nor_freed_by_its_old_holder(fx: &Fixture) {
    let cached = NewJob { id: Some(id("old")), ..unique("k", Some(secs(60))) };
    let lease = fx.running_from(cached).await.lease;
    fx.end(&lease, completed()).await;
    assert_held(fx, &id("old"), "within its period").await;
    fx.clock.advance(secs(61));
    fx.enqueue(keyed("new")).await;
    assert_eq!(fx.act(&id("old"), Action::Retry).await, 0);
    assert_eq!(fx.finish(&lease, completed()).await, LeaseStatus::Held, "an answer that was lost");
    assert_held(fx, &id("new"), "after a repeated finish of the old one").await;
    assert_eq!(fx.act(&id("old"), Action::Delete).await, 1);
    assert_held(fx, &id("new"), "after the old one was deleted").await;
    fx.sweep().await;
    assert_held(fx, &id("new"), "after a sweep").await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_free(fx, "at its own end").await;
}

/// Every way out of a run, with no attempt to spare.
pub async fn a8_a_unique_key_is_free_exactly_when_its_job_has_ended(fx: &Fixture) {
    let only = |name: &str| NewJob { max_attempts: 1, max_crashes: 1, ..keyed(name) };

    // The worker dies, and again: poison.
    let lease = fx.running_from(only("dies")).await.lease;
    assert_held(fx, &lease.id, "while it runs").await;
    fx.clock.advance(LEASE + secs(1));
    assert_held(fx, &lease.id, "before anybody has noticed").await;
    assert_eq!(fx.sweep().await.rescued, 1);
    assert_held(fx, &lease.id, "after the rescue").await;
    fx.claim_one().await;
    assert_eq!(fx.crash_workers().await.poisoned, 1);
    assert_free(fx, "as poison").await;
    assert_eq!(fx.finish(&lease, completed()).await, LeaseStatus::Lost);

    // It ends, its answer is lost, and it says so again when another has the key.
    for outcome in [
        completed(),
        failed(),
        Outcome::Cancelled { reason: "enough".into(), cancel_reason: CancelReason::Asked },
    ] {
        let lease = fx.running_from(NewJob { id: None, ..only("ends") }).await.lease;
        fx.end(&lease, outcome.clone()).await;
        let next = fx.enqueue(NewJob { id: None, ..only("next") }).await;
        assert_eq!(fx.finish(&lease, outcome).await, LeaseStatus::Held);
        assert_held(fx, &next, "by its next holder, after the first one's end was told twice").await;
        fx.act(&next, Action::cancel(HOUR)).await;
    }

    // It is put off.
    let delay = secs(1);
    for outcome in [retry(delay), Outcome::Snoozed { delay }, Outcome::RateLimited { delay }] {
        let lease = fx.running_from(NewJob { id: None, max_attempts: 2, ..only("waits") }).await.lease;
        fx.end(&lease, outcome).await;
        assert_held(fx, &lease.id, "while it waits").await;
        fx.clock.advance(delay);
        fx.end(&fx.claim_one().await.lease, failed()).await;
        assert_free(fx, "once its last attempt has failed").await;
    }

    // It is asked to stop: does so, is fenced off, or its worker is dead.
    for way in ["stops", "is fenced off", "died"] {
        let lease = fx.running_from(NewJob { id: None, ..only("asked") }).await.lease;
        let grace = if way == "died" { HOUR } else { secs(1) };
        fx.act(&lease.id, Action::cancel(grace)).await;
        assert_held(fx, &lease.id, "a request to stop is no end").await;
        match way {
            "stops" => fx.end_asked(&lease, retry(delay)).await,
            "is fenced off" => {
                fx.clock.advance(secs(2));
                assert_eq!(fx.sweep().await.fenced, 1);
            }
            _ => drop(fx.crash_workers().await),
        }
        assert_eq!(fx.state(&lease.id).await, State::Cancelled);
        assert_free(fx, way).await;
    }

    // It is deleted with others: as long as it has not ended, it is not.
    let everything = JobFilter { queues: vec![crate::jobs::QUEUE.into()], ..JobFilter::default() };
    let cached = NewJob { id: Some(id("cached")), ..unique("k", Some(HOUR)) };
    let lease = fx.running_from(cached).await.lease;
    fx.act_on(&everything, Action::Delete, 100).await;
    assert_held(fx, &lease.id, "deleting it while it runs does nothing").await;
    fx.end(&lease, completed()).await;
    assert_held(fx, &lease.id, "for its period").await;
    assert_eq!(fx.act_on(&everything, Action::Delete, 100).await, 1);
    assert_free(fx, "once it is deleted").await;
}

/// The worker shuts down with no grace, and the key is wanted at once.
pub async fn a9_a_job_that_a_shutdown_hands_back_holds_its_unique_key(fx: &Fixture) {
    let lease = fx.running_from(keyed("a")).await.lease;
    fx.end(&lease, Outcome::Released).await;
    assert_held(fx, &id("a"), "in the queue").await;
    let again = fx.claim_one().await.lease;
    assert_held(fx, &id("a"), "in other hands").await;
    assert_eq!(fx.finish(&lease, Outcome::Released).await, LeaseStatus::Lost);
    assert_held(fx, &id("a"), "after the first worker said so again").await;
    fx.end(&again, completed()).await;
    assert_free(fx, "at its end").await;
}

/// Case, accents in two spellings, blanks, patterns and separators: a database's notion of equal text is none of ours.
pub async fn a11_unique_keys_are_equal_only_where_every_byte_is(fx: &Fixture) {
    let long = "x".repeat(511);
    let longs = [format!("{long}1"), format!("{long}2")];
    let keys = [
        "a",
        "A",
        "a ",
        " a",
        "a\n",
        "é",
        "e\u{301}",
        "É",
        "ß",
        "ss",
        "ı",
        "i",
        "1",
        "1.0",
        "01",
        "%",
        "_",
        "*",
        "?",
        "{a}",
        "a:b",
        "a::b",
        "a/b",
        "a\\b",
        "'",
        "\"",
        "null",
        "\u{feff}a",
        "\u{200b}a",
        "😀",
        "\u{1}",
        &longs[0],
        &longs[1],
    ];
    let jobs = || keys.iter().map(|key| unique(key, None)).collect::<Vec<_>>();
    let created = fx.enqueue_all(jobs()).await;
    for (key, answer) in keys.iter().zip(&created) {
        assert_eq!(answer.status, EnqueueStatus::Created, "{key:?}");
    }
    for (first, second) in created.iter().zip(fx.enqueue_all(jobs()).await) {
        assert_eq!((&second.id, second.status), (&first.id, EnqueueStatus::Duplicate));
    }
}

/// One rule for a call of one job and for a call of many.
pub async fn a32_a_key_whose_job_has_failed_is_not_answered_with_the_failure(fx: &Fixture) {
    let cached = || NewJob { max_attempts: 1, ..unique("k", Some(HOUR)) };
    for singly in [1, 3] {
        let lease = fx.running_from(cached()).await.lease;
        fx.end(&lease, failed()).await;
        let mut jobs = vec![cached()];
        jobs.resize_with(singly, job);
        let answers = fx.enqueue_all(jobs).await;
        assert!(answers.iter().all(|answer| answer.status == EnqueueStatus::Created), "{answers:?}");
        assert_ne!(answers[0].id, lease.id);
        for claimed in fx.claim(crate::jobs::claim()).await {
            fx.end(&claimed.lease, failed()).await;
        }
    }
}

/// An id stands for its job as long as the job is kept, and whoever posts it again is told of that one.
pub async fn a33_an_own_id_is_a_duplicate_while_its_job_is_kept_and_free_once_it_is_gone(fx: &Fixture) {
    let nightly = || named("nightly");
    for outcome in [completed(), failed()] {
        let lease = fx.running_from(nightly()).await.lease;
        fx.end(&lease, outcome).await;
        let ended = fx.seen(&id("nightly")).await;
        let single = fx.offer(nightly()).await;
        let batch = fx.enqueue_all(vec![nightly(), nightly()]).await;
        for answer in std::iter::once(single).chain(batch) {
            assert_eq!((answer.id, answer.status), (id("nightly"), EnqueueStatus::Duplicate));
        }
        assert_eq!(fx.seen(&id("nightly")).await, ended, "the caller sees how it ended");
        // The ways to run it again: by hand, or anew once it is gone.
        assert_eq!(fx.act(&id("nightly"), Action::Retry).await, 1);
        fx.end(&fx.claim_one().await.lease, Outcome::Released).await;
        fx.claim_one().await;
        assert_eq!(fx.crash_workers().await.rescued, 1);
        let again = fx.claim_one().await.lease;
        assert_eq!(again.id, id("nightly"), "its id through all of it");
        fx.end(&again, completed()).await;
        assert_eq!(fx.act(&id("nightly"), Action::Delete).await, 1);
        assert_eq!(fx.lookup(&id("nightly")).await, Lookup::Gone);
    }
    fx.enqueue(nightly()).await;
}
