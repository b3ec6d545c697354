//! The contract of [`Store::enqueue`](longhaul::Store::enqueue), but for its keys.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{
    Backoff, Deadline, EnqueueStatus, Enqueued, Event, EventBody, JobFilter, NewJob, Policy, Prefer, Start,
    State, Unique,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{QUEUE, claim, completed, delayed, id, job, json, kind, named, secs, slots, untouched};

/// "A new job is available at once."
pub async fn a_new_job_is_available_at_once(fx: &Fixture) {
    let answer = fx.offer(named("a")).await;
    assert_eq!(answer, Enqueued::new(id("a"), EnqueueStatus::Created));
    let record = fx.job(&answer.id).await;
    assert_eq!(record.state, State::Available);
    assert_eq!(record.run_at, fx.now());
    let state =
        EventBody::State { state: State::Available, error: None, children: None, cancel_reason: None };
    assert_eq!(fx.events(&answer.id).await, [Event { seq: 1, at: fx.now(), attempt: 0, body: state }]);
    assert_eq!(fx.claim_ids().await, [id("a")], "and it can be claimed");
}

/// "A new job has the fields it was given."
pub async fn a_new_job_has_the_fields_it_was_given(fx: &Fixture) {
    let parent = fx.enqueue(NewJob { queue: "elsewhere".into(), ..job() }).await;
    let text = ["name: Grüße 😀, \"quoted\" % _ ' \\", "", "null"];
    let labels = ["tenant", "a.b-c:d_e", "null"];
    let labels: BTreeMap<String, String> =
        labels.iter().zip(text).map(|(key, value)| (key.to_string(), value.to_owned())).collect();
    let full = NewJob {
        id: Some(id("A.b_c:d-0")),
        kind: "mail.send:v2".into(),
        version: 7,
        queue: "mail_low-1".into(),
        // Neither the order, the spaces, the number's form nor the escapes of the text are the store's business.
        args: json("{\"z\": 1.50, \"a\" : [1e3,\ttrue, null], \"t\":\"é \\u0001 \\ud83d\\ude00 😀\"}"),
        priority: -100,
        start: Start::Now,
        max_attempts: 1000,
        max_crashes: 0,
        policy: Policy {
            timeout: Some(Duration::from_millis(1_500)),
            backoff: Some(Backoff { base: secs(3), factor: 1.1, max: secs(86_400), jitter: 0.3 }),
            cost: longhaul::Cost { slots: 3, rate: 1_000 },
            on_exhausted: longhaul::OnExhausted::Pause,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok(),
            request: Some((1 << 48) - 1),
        },
        limit_keys: vec!["provider.eu:chat-1".into(), "tenant:42".into()],
        prefer: Some(Prefer::soft([("gpu", "a100:80"), ("a.b-c_d", "0")])),
        unique: Some(Unique { states: Some(vec![State::Running]), ..Unique::new("Grüße 😀") }),
        expires_in: Some(secs(3_600)),
        deadline: Some(Deadline::In(Duration::from_millis(7_200_500))),
        idempotency: None,
        parent: Some(parent),
        labels,
        depends_on: Vec::new(),
        steps: Vec::new(),
        forked_from: Some(id("gone-by-now")),
        webhook: None,
    };
    let plain = job();
    let answers = fx.enqueue_all(vec![full.clone(), plain.clone(), plain.clone()]).await;
    assert_eq!(answers[0].id, id("A.b_c:d-0"));
    assert_ne!(answers[1].id, answers[2].id, "a job without an id is given one of its own");
    let now = fx.now();
    assert_eq!(fx.job(&answers[0].id).await, untouched(&answers[0].id, &full, now));
    assert_eq!(fx.job(&answers[1].id).await, untouched(&answers[1].id, &plain, now));

    fx.clock.advance(secs(1));
    let queues = vec![slots("mail_low-1", 5)];
    let claimed = fx.claim(longhaul::Claim { queues, kinds: vec![kind("mail.send:v2", 7)], ..claim() }).await;
    let claimed = claimed.into_iter().next().unwrap_or_else(|| panic!("the job is claimed"));
    assert_eq!(
        claimed,
        longhaul::Claimed {
            lease: claimed.lease.clone(),
            kind: "mail.send:v2".into(),
            version: 7,
            queue: "mail_low-1".into(),
            args: full.args,
            attempt: 1,
            max_attempts: 1000,
            policy: full.policy,
            created_at: now,
            deadline_in: Some(Duration::from_millis(7_199_500)),
            labels: full.labels,
            steps: BTreeMap::new(),
        },
        "a worker is given the same fields"
    );
}

/// "A delayed job is scheduled until its time."
pub async fn a_delayed_job_is_scheduled_until_its_time(fx: &Fixture) {
    let after = NewJob { id: Some(id("after")), ..delayed(secs(10)) };
    let at = NewJob { start: Start::At(fx.now().plus(secs(10))), ..named("at") };
    let start = fx.now();
    for job in [after, at] {
        let new = fx.enqueue(job.clone()).await;
        assert_eq!(fx.job(&new).await, untouched(&new, &job, start));
        assert_eq!(fx.state(&new).await, State::Scheduled);
    }
    fx.clock.advance(secs(10) - Duration::from_millis(1));
    fx.sweep().await;
    assert!(fx.claim_ids().await.is_empty(), "a millisecond too early");
    assert_eq!(fx.state(&id("at")).await, State::Scheduled);
    fx.clock.advance(Duration::from_millis(1));
    assert_eq!(fx.claim_ids().await.len(), 2, "both are due");
}

/// "A start in the past means at once."
pub async fn a_start_in_the_past_means_at_once(fx: &Fixture) {
    let first = fx.enqueue(named("first")).await;
    let past = NewJob { start: Start::At(fx.now().minus(secs(3600))), ..named("past") };
    let past = fx.enqueue(past).await;
    let now = NewJob { start: Start::At(fx.now()), ..named("now") };
    let now = fx.enqueue(now).await;
    let zero = fx.enqueue(NewJob { id: Some(id("zero")), ..delayed(Duration::ZERO) }).await;
    for id in [&past, &now, &zero] {
        let record = fx.job(id).await;
        assert_eq!((record.state, record.run_at), (State::Available, fx.now()), "{id}");
    }
    assert_eq!(fx.claim_ids().await, [first, past, now, zero], "a start in the past is no head start");
}

/// "An id that exists creates nothing."
pub async fn an_id_that_exists_creates_nothing(fx: &Fixture) {
    fx.enqueue(named("a")).await;
    let second = NewJob { args: json("2"), queue: "elsewhere".into(), priority: 9, ..named("a") };
    let duplicate = Enqueued::new(id("a"), EnqueueStatus::Duplicate);
    let before = fx.seen(&id("a")).await;
    assert_eq!(fx.offer(second.clone()).await, duplicate);
    assert_eq!(fx.seen(&id("a")).await, before, "the job that is there is left as it is");
    assert!(fx.counts("elsewhere").await.is_empty());

    let answers = fx.enqueue_all(vec![named("b"), second.clone(), named("c")]).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| (answer.id, answer.status)).collect();
    let (created, joined) = (EnqueueStatus::Created, EnqueueStatus::Duplicate);
    let expected = [(id("b"), created), (id("a"), joined), (id("c"), created)];
    assert_eq!(answers, expected, "a duplicate keeps no other job of the call from being created");
    assert_eq!(fx.counts(QUEUE).await, BTreeMap::from([(State::Available, 3)]));

    let claimed = fx.claim_one().await;
    assert_eq!(fx.offer(second.clone()).await, duplicate, "while it runs");
    fx.end(&claimed.lease, completed()).await;
    assert_eq!(fx.offer(second).await, duplicate, "and after it has ended");
    assert_eq!(fx.state(&id("a")).await, State::Completed);
}

/// "The same id twice in one call is one job."
pub async fn the_same_id_twice_in_one_call_is_one_job(fx: &Fixture) {
    let first = NewJob { args: json("1"), ..named("a") };
    let second = NewJob { args: json("2"), ..named("a") };
    let answers = fx.enqueue_all(vec![first, named("b"), second]).await;
    assert_eq!(
        answers,
        [
            Enqueued::new(id("a"), EnqueueStatus::Created),
            Enqueued::new(id("b"), EnqueueStatus::Created),
            Enqueued::new(id("a"), EnqueueStatus::Duplicate),
        ]
    );
    assert_eq!(fx.job(&id("a")).await.args, json("1"), "the first of them counts");
    assert_eq!(fx.claim_ids().await, [id("a"), id("b")]);
}

/// "An empty enqueue does nothing."
pub async fn an_empty_enqueue_does_nothing(fx: &Fixture) {
    let claimed = fx.running().await;
    let before = (fx.seen(&claimed.lease.id).await, fx.queue(QUEUE).await);
    assert_eq!(fx.enqueue_all(Vec::new()).await, []);
    assert_eq!((fx.seen(&claimed.lease.id).await, fx.queue(QUEUE).await), before);
    assert_eq!(fx.list(&JobFilter::default()).await, [claimed.lease.id]);
}

/// "A new job may bring steps that are done already."
pub async fn a_new_job_may_bring_steps_that_are_done_already(fx: &Fixture) {
    let steps = vec![("upload".to_owned(), json("1.50")), ("convert".to_owned(), json("null"))];
    let fork = NewJob { steps, forked_from: Some(id("first")), ..crate::jobs::named("fork") };
    fx.enqueue(fork.clone()).await;
    assert_eq!(fx.job(&id("fork")).await, untouched(&id("fork"), &fork, fx.now()));
    let listed = ok("list steps", fx.store.steps(&id("fork")).await).unwrap_or_default();
    let step = |name: &str, output: &str| longhaul::StepRecord {
        name: name.into(),
        attempt: 0,
        started_at: Some(fx.now()),
        finished_at: Some(fx.now()),
        output: Some(json(output)),
    };
    assert_eq!(listed, [step("upload", "1.50"), step("convert", "null")]);
    let claimed = fx.claim_one().await;
    assert_eq!(
        claimed.steps,
        fork.steps.iter().cloned().collect(),
        "a worker is given them as if it had done them"
    );
    fx.record(&claimed.lease, vec![crate::jobs::step("upload", "2"), crate::jobs::step("mail", "3")]).await;
    fx.end(&claimed.lease, crate::jobs::retry(Duration::ZERO)).await;
    let again = fx.claim_one().await.steps;
    assert_eq!(
        (again["upload"].as_str(), again["mail"].as_str()),
        ("1.50", "3"),
        "and the first of a name stays"
    );
    // A duplicate brings nothing.
    let late = NewJob { steps: vec![("late".into(), json("1"))], ..fork };
    assert!(fx.offer(late).await.is_duplicate());
    assert_eq!(ok("list steps", fx.store.steps(&id("fork")).await).unwrap_or_default().len(), 3);
}
