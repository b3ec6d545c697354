//! Symptoms of text that somebody cannot keep or read: NUL, half characters, keys twice, names that no URL can carry.

use std::time::Duration;

use longhaul::{
    Action, AttemptError, CancelReason, Entry, Error, ErrorKind, EventBody, Finish, JobFilter, Json, Lease,
    LeaseStatus, LogLevel, Lookup, NewJob, Outcome, Page, Progress, Record, State, WorkerInfo, admit,
};

use crate::Fixture;
use crate::admission::failed_because;
use crate::jobs::{
    HOUR, LEASE, QUEUE, claim, completed, finish, id, idempotent, job, json, log, named, progress, slots,
    step, unique, worker,
};

const NUL: &str = "a\0b";
const REPLACED: &str = "a\u{fffd}b";

fn report(message: &str) -> Entry {
    Entry::Progress(Progress { message: message.into(), ..progress(10.0) })
}

fn failed_with(message: &str) -> Outcome {
    Outcome::Failed { error: AttemptError::new(ErrorKind::Error, message) }
}

/// The entries of a log as the texts in them.
async fn texts(fx: &Fixture, lease: &Lease) -> Vec<String> {
    let bodies = fx.events(&lease.id).await.into_iter().map(|event| event.body);
    bodies
        .filter_map(|body| match body {
            EventBody::Log { message, .. } => Some(message),
            EventBody::Progress(progress) => Some(progress.message),
            _ => None,
        })
        .collect()
}

/// The text of a run is stored with the character replaced, and its end is written.
pub async fn a22_a_nul_in_what_a_run_says_keeps_no_end_from_being_written(fx: &Fixture) {
    let ends = [
        (completed(), State::Completed),
        (failed_with(NUL), State::Failed),
        (Outcome::Cancelled { reason: NUL.into(), cancel_reason: CancelReason::Asked }, State::Cancelled),
        (Outcome::Retry { error: AttemptError::new(ErrorKind::Error, NUL), delay: HOUR }, State::Scheduled),
    ];
    for (outcome, state) in ends {
        let (lease, good) = (fx.running().await.lease, fx.running().await.lease);
        let bodies = || vec![log(NUL), report(NUL)];
        assert_eq!(fx.record(&lease, bodies()).await, LeaseStatus::Held);
        let end = Finish { entries: bodies(), ..finish(&lease, outcome) };
        let turn = fx.finish_and_claim(vec![end, finish(&good, completed())], claim()).await;
        assert_eq!(turn.finished, [LeaseStatus::Held; 2]);
        let record = fx.job(&lease.id).await;
        assert_eq!((record.state, fx.state(&good.id).await), (state, State::Completed));
        assert!(record.errors.iter().all(|error| error.message == REPLACED), "{:?}", record.errors);
        assert_eq!(record.progress.map(|progress| progress.message).as_deref(), Some(REPLACED));
        assert_eq!(texts(fx, &lease).await, [REPLACED; 4]);
    }
}

/// A worker's names are text for people, and text from outside is no key: neither takes others down.
pub async fn a22_a_nul_in_a_name_concerns_nobody_else(fx: &Fixture) {
    let odd = WorkerInfo { process: NUL.into(), host: NUL.into(), ..worker("odd") };
    let lease = fx.running().await.lease;
    assert_eq!(fx.heartbeat_all(&odd, std::slice::from_ref(&lease), LEASE).await, [LeaseStatus::Held]);
    let hosts: Vec<_> = fx.workers().await.into_iter().map(|worker| worker.host).collect();
    assert!(hosts.contains(&REPLACED.to_owned()), "{hosts:?}");

    let nobody = Lease { id: id(NUL), token: lease.token };
    let ends = vec![finish(&nobody, completed()), finish(&lease, completed())];
    let beats = fx.heartbeat_all(&worker("w1"), &[nobody.clone(), lease.clone()], LEASE).await;
    assert_eq!(beats, [LeaseStatus::Lost, LeaseStatus::Held]);
    let records = [&nobody, &lease].map(|lease| Record { lease: lease.clone(), entries: vec![log("x")] });
    assert_eq!(fx.record_all(records.into()).await, [LeaseStatus::Lost, LeaseStatus::Held]);
    assert_eq!(fx.finish_all(ends).await, [LeaseStatus::Lost, LeaseStatus::Held]);
    let lookups = fx.lookup_all(&[id(NUL), lease.id.clone()]).await;
    assert!(matches!(lookups[..], [Lookup::Unknown, Lookup::Found(_)]), "{lookups:?}");
    assert!(matches!(fx.store.events(&id(NUL), 0, 10, Duration::ZERO).await, Ok(None)));

    let text = JobFilter { text: Some(NUL.into()), ..JobFilter::default() };
    let label = JobFilter { labels: vec![(NUL.into(), "x".into())], ..JobFilter::default() };
    let nobodys = JobFilter::id(id(NUL));
    assert!(fx.list(&nobodys).await.is_empty());
    assert_eq!(fx.act_on(&nobodys, Action::Delete, 10).await, 0);
    for filter in [text, label] {
        let listed = fx.store.list(&filter, Page::default()).await;
        assert!(matches!(listed, Err(Error::Invalid { .. })), "{listed:?}");
        let acted = fx.store.act(&filter, Action::Delete, 10).await;
        assert!(matches!(acted, Err(Error::Invalid { .. })), "{acted:?}");
    }
    assert_eq!(fx.state(&lease.id).await, State::Completed);
}

/// Every text of a follow-up: the run that wants it fails with the field, and the runs beside it complete.
pub async fn a22_a_nul_in_a_follow_up_fails_its_own_job_with_the_field(fx: &Fixture) {
    let nul = || NUL.to_owned();
    let bad = [
        ("args", NewJob { args: json(r#"{"a\u0000":1}"#), ..job() }),
        ("kind", NewJob { kind: NUL.into(), ..job() }),
        ("queue", NewJob { queue: NUL.into(), ..job() }),
        ("id", named(NUL)),
        ("parent", NewJob { parent: Some(id(NUL)), ..job() }),
        ("limit_keys[0]", NewJob { limit_keys: vec![nul()], ..job() }),
        ("unique.key", unique(NUL, None)),
        ("idempotency.key", idempotent(NUL, "f")),
        ("idempotency.fingerprint", idempotent("k", NUL)),
        ("labels", NewJob { labels: [(nul(), nul())].into(), ..job() }),
        ("labels.a", NewJob { labels: [("a".to_owned(), nul())].into(), ..job() }),
    ];
    for (field, follow_up) in bad {
        let (culprit, good) = (fx.running().await.lease, fx.running().await.lease);
        let end = Finish { follow_ups: vec![job(), follow_up], ..finish(&culprit, completed()) };
        assert_eq!(fx.finish_all(vec![end, finish(&good, completed())]).await, [LeaseStatus::Held; 2]);
        failed_because(fx, &culprit, &format!("follow_ups[1].{field}: must")).await;
        assert_eq!(fx.state(&good.id).await, State::Completed);
    }
}

/// Wherever a run may put JSON that a reader would refuse: half of a surrogate pair, or a key twice.
async fn assert_refused_everywhere(fx: &Fixture, bad: &str, words: &str) {
    let value = || json(bad);
    let refused = fx.store.enqueue(vec![NewJob { args: value(), ..job() }]).await;
    assert!(
        matches!(&refused, Err(Error::Invalid { field, reason }) if field == "args" && reason.contains(words))
    );
    let with_data = Entry::Progress(Progress { data: Some(value()), ..progress(1.0) });
    let entries = [Entry::Chunk { data: value() }, step("s", bad), with_data];
    for entry in entries {
        let lease = fx.running().await.lease;
        assert_eq!(fx.record(&lease, vec![entry.clone()]).await, LeaseStatus::Lost, "its worker stops it");
        failed_because(fx, &lease, words).await;
        let lease = fx.running().await.lease;
        fx.finish_all(vec![Finish { entries: vec![entry], ..finish(&lease, completed()) }]).await;
        failed_because(fx, &lease, words).await;
    }
    let lease = fx.running().await.lease;
    fx.end(&lease, Outcome::Completed { output: value() }).await;
    failed_because(fx, &lease, words).await;
    let lease = fx.running().await.lease;
    let follow_ups = vec![NewJob { args: value(), ..job() }];
    fx.finish_all(vec![Finish { follow_ups, ..finish(&lease, completed()) }]).await;
    failed_because(fx, &lease, words).await;
    let all = fx.list_records(&JobFilter::default()).await;
    assert!(all.iter().all(|job| job.output.is_none() && job.progress.is_none()), "nothing of it is kept");
}

/// JSON that no other reader takes is not kept.
pub async fn a23_half_of_a_surrogate_pair_is_refused_wherever_a_run_may_put_it(fx: &Fixture) {
    assert_refused_everywhere(fx, r#"{"s":"\ud800"}"#, "half of a surrogate pair").await;
    assert_refused_everywhere(fx, r#"{"\udc00s":1}"#, "half of a surrogate pair").await;
    let pair = fx.running_from(NewJob { args: json(r#""\ud83d\ude00""#), ..job() }).await;
    assert_eq!(pair.args.to::<String>().ok().as_deref(), Some("😀"), "a whole pair is a character");
    fx.end(&pair.lease, Outcome::Completed { output: pair.args }).await;
    assert_eq!(fx.state(&pair.lease.id).await, State::Completed);
}

/// Texts of megabytes and of characters that terminals and pages act on: read back by every way there is.
pub async fn a23_a_huge_or_odd_error_is_readable_wherever_the_job_is(fx: &Fixture) {
    let odd = "\u{1b}[31m</script><img onerror=1>\u{7f}\u{200f}\u{feff}\u{fffe}😀\r\n";
    for message in ["😀".repeat(5 * 1024 * 1024 / 4), odd.repeat(3), String::new()] {
        let lease = fx.running().await.lease;
        let line = Entry::Log { level: LogLevel::Error, message: message.clone() };
        let entries = vec![line, report(&message)];
        fx.finish_all(vec![Finish { entries, ..finish(&lease, failed_with(&message)) }]).await;
        let found = fx.job(&lease.id).await;
        let kept = &found.errors[0].message;
        let is_whole = message.len() <= admit::MAX_LINE_BYTES;
        assert!(kept.len() <= admit::MAX_ERROR_BYTES && (*kept == message) == is_whole);
        let listed = fx.list_records(&JobFilter::id(lease.id.clone())).await.remove(0);
        assert_eq!(listed.errors, found.errors);
        for text in texts(fx, &lease).await {
            assert!(text.len() <= admit::MAX_LINE_BYTES && (text == message) == is_whole);
        }
    }
}

/// One reader takes the first, another the last, a third neither.
pub async fn a24_a_key_named_twice_is_refused_wherever_json_may_be(fx: &Fixture) {
    assert_refused_everywhere(fx, r#"{"a":1,"a":2}"#, "name a key twice").await;
    assert_refused_everywhere(fx, r#"[{"b":{"a":1,"\u0061":1}}]"#, "name a key twice").await;
}

/// Every id that is taken can be asked for, acted on and read; one that a path cannot carry is not taken.
pub async fn a34_an_id_that_a_url_cannot_carry_is_refused_and_every_other_is_usable(fx: &Fixture) {
    for bad in [".", "..", "", "a/b", "a b", "é", "a?b", "a%2Fb", "a\n", &"x".repeat(129)] {
        for refused in [named(bad), NewJob { parent: Some(id(bad)), ..job() }] {
            assert!(matches!(fx.store.enqueue(vec![refused]).await, Err(Error::Invalid { .. })), "{bad:?}");
        }
        assert_eq!(fx.lookup(&id(bad)).await, Lookup::Unknown, "{bad:?}");
    }
    let good = ["a:b", "...", "-", "_", ":", "-a", "A", "a", "0", "null", &"-".repeat(128), &":".repeat(128)];
    fx.enqueue_all(good.iter().map(|good| named(good)).collect()).await;
    for expected in good {
        let lease = fx.claim_one().await.lease;
        assert_eq!(lease.id, id(expected));
        fx.record(&lease, vec![log("here")]).await;
        fx.end(&lease, Outcome::Completed { output: Json::null() }).await;
        assert_eq!(texts(fx, &lease).await, ["here"]);
        assert_eq!(fx.list(&JobFilter::id(lease.id.clone())).await, std::slice::from_ref(&lease.id));
        assert_eq!(fx.act(&lease.id, Action::Delete).await, 1);
        assert_eq!(fx.lookup(&lease.id).await, Lookup::Gone);
    }
    let queue = longhaul::Claim { queues: vec![slots(QUEUE, 100), slots(":", 1)], ..claim() };
    assert!(fx.claim(queue).await.is_empty());
}
