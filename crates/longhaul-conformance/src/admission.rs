//! Input that no store keeps is refused with its field, or ends its own job with the reason: the same words on every store.

use longhaul::{
    Action, AttemptError, Backoff, Claim, Entry, Error, ErrorKind, EventBody, Finish, JobFilter, JobId,
    KeyFilter, Lease, LeaseStatus, LogLevel, Lookup, NewJob, Outcome, Page, Policy, Progress, QueueConfig,
    State, admit,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{
    KIND, QUEUE, chunk, claim, completed, finish, id, job, json, kind, limited, log, named, slots, step,
    unique,
};

/// "A job that cannot be kept is refused with its field."
pub async fn a_job_that_cannot_be_kept_is_refused_with_its_field(fx: &Fixture) {
    let args = |text: &str| NewJob { args: json(text), ..job() };
    let infinite = Backoff { factor: f64::INFINITY, ..Backoff::default() };
    let cases = [
        (args(r#"{"s":"a\u0000b"}"#), "args: must not hold a NUL character (at .s)"),
        (args(r#"["\ud800"]"#), "args: must not hold half of a surrogate pair (at [0])"),
        (args(r#"{"a":{"b":1,"b":2}}"#), "args: must not name a key twice (at .a.b)"),
        (args(&format!("{}{}", "[".repeat(65), "]".repeat(65))), "args: must not be nested deeper than 64"),
        (args(&format!("\"{}\"", "x".repeat(256 * 1024))), "args: must be at most 262144 bytes"),
        (named(".."), "id: must be 1 to 128 characters"),
        (named("."), "id: must be 1 to 128 characters"),
        (NewJob { kind: "a b".into(), ..job() }, "kind: must be"),
        (NewJob { queue: "".into(), ..job() }, "queue: must be"),
        (NewJob { version: 0, ..job() }, "version: must be"),
        (NewJob { max_attempts: 0, ..job() }, "max_attempts: must be"),
        (
            NewJob { policy: Policy { backoff: Some(infinite), ..Policy::default() }, ..job() },
            "backoff.factor: must be",
        ),
        (unique("a\0b", None), "unique.key: must not hold a NUL character"),
        (NewJob { labels: [("a".into(), "\0".into())].into(), ..job() }, "labels.a: must not hold a NUL"),
    ];
    for (bad, reason) in cases {
        match fx.store.enqueue(vec![bad.clone()]).await {
            Err(error @ Error::Invalid { .. }) => assert!(error.to_string().contains(reason), "{error}"),
            other => panic!("{bad:?} was to be refused, not {other:?}"),
        }
        let both = fx.store.enqueue(vec![named("good"), bad]).await;
        assert!(matches!(both, Err(Error::Invalid { field, .. }) if field.starts_with("[1].")));
    }
    assert!(fx.list(&JobFilter::default()).await.is_empty(), "nothing of a refused call is created");
}

/// "A kind or queue that a claim names twice counts once."
pub async fn a_kind_or_queue_that_a_claim_names_twice_counts_once(fx: &Fixture) {
    let ids: Vec<_> = fx.enqueue_all(vec![job(), job(), job()]).await.into_iter().map(|e| e.id).collect();
    let twice = Claim {
        queues: vec![slots(QUEUE, 3), slots(QUEUE, 2)],
        kinds: vec![kind(KIND, 1), kind(KIND, 1), kind(KIND, 1)],
        ..claim()
    };
    let claimed = fx.claim(twice).await;
    let leases: Vec<&Lease> = claimed.iter().map(|claimed| &claimed.lease).collect();
    assert_eq!(
        leases.iter().map(|lease| &lease.id).collect::<Vec<_>>(),
        [&ids[0], &ids[1]],
        "the last slots"
    );
    for lease in leases {
        fx.end(lease, completed()).await;
    }
    let rest = fx.claim_one().await;
    assert_eq!(rest.lease.id, ids[2], "and none is lost");
    fx.end(&rest.lease, completed()).await;
    assert_eq!(fx.counts(QUEUE).await, [(State::Completed, 3)].into());
}

/// "A version far above all that exist takes them all."
pub async fn a_version_far_above_all_that_exist_takes_them_all(fx: &Fixture) {
    let versions = [1, 7, 20_260_101];
    let jobs = versions.map(|version| NewJob { version, ..job() });
    fx.enqueue_all(jobs.to_vec()).await;
    let claimed = fx.claim(Claim { kinds: vec![kind(KIND, 20_260_101)], ..claim() }).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.version).collect::<Vec<_>>(), versions);
}

/// "An entry that cannot be kept ends its own run as failed."
pub async fn an_entry_that_cannot_be_kept_ends_its_own_run_as_failed(fx: &Fixture) {
    let large = format!("\"{}\"", "x".repeat(64 * 1024));
    let progress = Progress { percent: 1.0, message: String::new(), data: Some(json(r#""\u0000""#)) };
    for (bad, reason) in [
        (step("a\0b", "1"), "step name: must not hold a NUL character"),
        (step("a", r#"{"x":"\ud800"}"#), "step 'a': must not hold half of a surrogate pair (at .x)"),
        (step("", "1"), "step name: must be 1 to 512 bytes"),
        (chunk(&large), "chunk: must be at most 65536 bytes"),
        (Entry::Progress(progress), "progress.data: must not hold a NUL character"),
    ] {
        let (culprit, good) = (fx.running().await.lease, fx.running().await.lease);
        let of = |lease: &Lease, entries| longhaul::Record { lease: lease.clone(), entries };
        let records = vec![of(&culprit, vec![log("before"), bad]), of(&good, vec![chunk("1")])];
        assert_eq!(fx.record_all(records).await, [LeaseStatus::Lost, LeaseStatus::Held]);
        failed_because(fx, &culprit, reason).await;
        let said = fx.events(&culprit.id).await;
        assert!(
            said.iter()
                .any(|event| matches!(&event.body, EventBody::Log { message, .. } if message == "before"))
        );
        fx.end(&good, completed()).await;

        let again = fx.running().await.lease;
        let bad = step("a\0b", "1");
        fx.finish_all(vec![Finish { entries: vec![bad], ..finish(&again, completed()) }]).await;
        failed_because(fx, &again, "step name: must not hold a NUL character").await;
    }
}

/// "A long log line is cut and marked."
pub async fn a_long_log_line_is_cut_and_marked(fx: &Fixture) {
    let lease = fx.running().await.lease;
    let message = format!("a\0b{}", "é".repeat(admit::MAX_LINE_BYTES));
    let line = Entry::Log { level: LogLevel::Info, message: message.clone() };
    let report = Entry::Progress(Progress { percent: 250.0, message, data: None });
    assert_eq!(fx.record(&lease, vec![line, report]).await, LeaseStatus::Held);
    let progress = fx.job(&lease.id).await.progress.unwrap_or_else(|| panic!("a progress"));
    assert!((progress.percent - 100.0).abs() < f64::EPSILON);
    let mut lines = vec![progress.message];
    for event in fx.events(&lease.id).await {
        if let EventBody::Log { message, .. } = event.body {
            lines.push(message);
        }
    }
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(
            line.starts_with("a\u{fffd}bé") && line.ends_with("é…") && line.len() <= admit::MAX_LINE_BYTES
        );
    }
}

/// "A queue that no job can be in is not configured."
pub async fn a_queue_that_no_job_can_be_in_is_not_configured(fx: &Fixture) {
    for name in ["", "..", "a b", "a\0b"] {
        let set = fx.store.set_queue(name, &QueueConfig::default()).await;
        assert!(matches!(set, Err(Error::Invalid { .. })), "{name}: {set:?}");
    }
}

/// "A queue that no job can be in is not paused."
pub async fn a_queue_that_no_job_can_be_in_is_not_paused(fx: &Fixture) {
    for name in ["", "a b", "..", "a\0b"] {
        let refused = fx.store.pause_queue(name).await;
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == "queue"), "{refused:?}");
    }
    assert!(ok("list queues", fx.store.queues().await).is_empty());
}

/// "A filter that no store can be asked for is refused."
pub async fn a_filter_that_no_store_can_be_asked_for_is_refused(fx: &Fixture) {
    fx.enqueue(job()).await;
    let text = |bytes| JobFilter { text: Some("%".repeat(bytes)), ..JobFilter::default() };
    let parents = |count| {
        let parents: Vec<JobId> = (0..count).map(|n: usize| id(&n.to_string())).collect();
        JobFilter { parents, ..JobFilter::default() }
    };
    let labels = |count| {
        let labels = (0..count).map(|n: usize| (n.to_string(), "x".to_owned())).collect();
        JobFilter { labels, ..JobFilter::default() }
    };
    for (largest, larger, place) in [
        (text(admit::MAX_FILTER_WORD_BYTES), text(60_000), "filter.text"),
        (parents(admit::MAX_FILTER_VALUES), parents(40_000), "filter"),
        (labels(admit::MAX_FILTER_CONDITIONS), labels(1_200), "filter"),
    ] {
        assert!(fx.list(&largest).await.is_empty());
        let listed = fx.store.list(&larger, Page::default()).await;
        assert!(
            matches!(&listed, Err(Error::Invalid { field, .. }) if field == place),
            "{place}: {listed:?}"
        );
        let acted = fx.store.act(&larger, Action::Retry, 10).await;
        assert!(matches!(&acted, Err(Error::Invalid { field, .. }) if field == place), "{place}: {acted:?}");
    }
}

/// "A filter of limit keys that no store can be asked for is refused."
pub async fn a_filter_of_limit_keys_that_no_store_can_be_asked_for_is_refused(fx: &Fixture) {
    fx.enqueue(limited("a", &["tenant"])).await;
    let (odd, all) = ("t\0".to_owned(), || KeyFilter { limit: 9, ..KeyFilter::default() });
    for (filter, place) in [
        (KeyFilter { prefix: odd.clone(), ..all() }, "prefix"),
        (KeyFilter { queue: Some(odd.clone()), ..all() }, "queue"),
        (KeyFilter { after: Some(odd.clone()), ..all() }, "after"),
        (KeyFilter { names: vec![odd], ..all() }, "names"),
    ] {
        let listed = fx.store.keys(&filter).await;
        assert!(
            matches!(&listed, Err(Error::Invalid { field, .. }) if field == place),
            "{place}: {listed:?}"
        );
    }
    let nowhere = KeyFilter { queue: Some(String::new()), ..all() };
    let listed = ok("list keys", fx.store.keys(&nowhere).await);
    assert!(listed.is_empty(), "no job waits in a queue without a name: {listed:?}");
}

/// "An output that cannot be kept fails its own job."
pub async fn an_output_that_cannot_be_kept_fails_its_own_job(fx: &Fixture) {
    let large = format!("\"{}\"", "x".repeat(admit::MAX_OUTPUT_BYTES));
    for (output, reason) in [
        (r#"{"a":["b\u0000"]}"#, "output: must not hold a NUL character (at .a[0])"),
        (r#""\ud800""#, "output: must not hold half of a surrogate pair"),
        (r#"{"a":1,"a":2}"#, "output: must not name a key twice"),
        (large.as_str(), "output: must be at most 1048576 bytes"),
    ] {
        let (bad, good) = (fx.running().await.lease, fx.running().await.lease);
        let outcome = Outcome::Completed { output: json(output) };
        let ends = vec![finish(&bad, outcome.clone()), finish(&good, completed())];
        assert_eq!(fx.finish_all(ends).await, [LeaseStatus::Held; 2]);
        assert_eq!(fx.state(&good.id).await, State::Completed);
        failed_because(fx, &bad, reason).await;
        let bad = fx.running().await.lease;
        let turn = fx.finish_and_claim(vec![finish(&bad, outcome)], claim()).await;
        assert_eq!(turn.finished, [LeaseStatus::Held], "the same with a claim beside it");
        failed_because(fx, &bad, reason).await;
    }
}

/// "A follow up that cannot be kept fails its own job."
pub async fn a_follow_up_that_cannot_be_kept_fails_its_own_job(fx: &Fixture) {
    let kept = NewJob { id: Some(id("kept")), ..job() };
    let long = NewJob { args: json(&format!("\"{}\"", "x".repeat(300_000))), ..job() };
    let infinite = Backoff { factor: f64::INFINITY, ..Backoff::default() };
    let many = vec![job(); admit::MAX_FOLLOW_UPS + 1];
    for (follow_ups, reason) in [
        (vec![kept.clone(), unique("a\0b", None)], "follow_ups[1].unique.key: must not hold a NUL character"),
        (vec![NewJob { queue: "..".into(), ..job() }, kept.clone()], "follow_ups[0].queue: must be"),
        (vec![long], "follow_ups[0].args: must be at most 262144 bytes"),
        (
            vec![NewJob { policy: Policy { backoff: Some(infinite), ..Policy::default() }, ..job() }],
            "follow_ups[0].backoff.factor: must be",
        ),
        (many, "follow_ups: must be at most 1000 jobs, and are 1001"),
    ] {
        let bad = fx.running().await.lease;
        let end = Finish { follow_ups, ..finish(&bad, completed()) };
        assert_eq!(fx.finish_all(vec![end]).await, [LeaseStatus::Held]);
        failed_because(fx, &bad, reason).await;
        assert_eq!(fx.lookup(&id("kept")).await, Lookup::Unknown, "none of them is created");
    }
}

/// "A long error is cut and marked."
pub async fn a_long_error_is_cut_and_marked(fx: &Fixture) {
    let lease = fx.running().await.lease;
    let message = format!("a\0b{}", "é".repeat(admit::MAX_ERROR_BYTES));
    fx.end(&lease, Outcome::Failed { error: AttemptError::new(ErrorKind::Error, message) }).await;
    let kept = fx.job(&lease.id).await.errors.remove(0).message;
    assert!(kept.starts_with("a\u{fffd}bé") && kept.ends_with("é…"), "{} bytes", kept.len());
    assert!(kept.len() <= admit::MAX_ERROR_BYTES && kept.len() > admit::MAX_ERROR_BYTES - 8);
}

/// The job has ended for a reason that a person understands, and no claim meets it again.
pub(crate) async fn failed_because(fx: &Fixture, lease: &Lease, reason: &str) {
    let job = fx.job(&lease.id).await;
    assert_eq!(job.state, State::Failed);
    let error = job.errors.last().unwrap_or_else(|| panic!("{} has an error", lease.id));
    assert!(error.message.contains(reason), "'{}' tells '{reason}'", error.message);
    assert!(fx.claim_ids().await.is_empty(), "it is not run again");
}
