//! The contracts of [`Store::queues`](longhaul::Store::queues) and
//! [`Store::set_queue`](longhaul::Store::set_queue).

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{Action, Finish, Keep, NewJob, Outcome, QueueConfig, Rate, Retention, State};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{QUEUE, claim, completed, delayed, failed, finish, job, named, retry, secs, slots, unique};

/// "Counts follow every transition."
pub async fn counts_follow_every_transition(fx: &Fixture) {
    use State::{Available, Cancelled, Completed, Failed, Running, Scheduled};

    assert!(ok("list queues", fx.store.queues().await).is_empty());
    let assert_counts = async |what: &str, expected: &[(State, u64)]| {
        assert_eq!(fx.counts(QUEUE).await, expected.iter().copied().collect::<BTreeMap<_, _>>(), "{what}");
    };
    let cancel = Action::cancel(secs(10));
    let next = || NewJob { max_crashes: 1, ..unique("k", None) };
    fx.enqueue_all(vec![next(), unique("k", None), delayed(secs(10))]).await;
    assert_counts("an enqueue, one a duplicate", &[(Available, 1), (Scheduled, 1)]).await;
    fx.clock.advance(secs(10));
    fx.sweep().await;
    assert_counts("a promotion", &[(Available, 2)]).await;
    let leases = fx.claim_leases().await;
    assert_counts("a claim", &[(Running, 2)]).await;
    fx.end(&leases[0], retry(secs(10))).await;
    assert_counts("a retry", &[(Running, 1), (Scheduled, 1)]).await;
    fx.end(&leases[1], Outcome::Released).await;
    assert_counts("a release", &[(Available, 1), (Scheduled, 1)]).await;
    fx.clock.advance(secs(10));
    let leases = fx.claim_leases().await;
    assert_counts("a claim that promotes", &[(Running, 2)]).await;
    fx.crash_workers().await;
    assert_counts("a rescue", &[(Available, 2)]).await;
    fx.finish(&leases[0], completed()).await;
    assert_counts("a lost finish", &[(Available, 2)]).await;
    fx.claim(claim()).await;
    fx.crash_workers().await;
    assert_counts("a poisoned and a rescued one", &[(Available, 1), (Failed, 1)]).await;
    let follow_ups = vec![named("next"), named("next"), delayed(secs(10))];
    let lease = fx.claim_one().await.lease;
    fx.finish_all(vec![Finish { follow_ups, ..finish(&lease, completed()) }]).await;
    let now = [(Available, 1), (Completed, 1), (Failed, 1), (Scheduled, 1)];
    assert_counts("a completion with follow-ups", &now).await;
    let lease = fx.claim_one().await.lease;
    fx.act(&lease.id, cancel.clone()).await;
    let now = [(Running, 1), (Completed, 1), (Failed, 1), (Scheduled, 1)];
    assert_counts("a request to stop", &now).await;
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await.fenced, 1);
    let now = [(Available, 1), (Cancelled, 1), (Completed, 1), (Failed, 1)];
    assert_counts("a fence and a promotion", &now).await;
    let all = longhaul::JobFilter::default();
    fx.act_on(&all, cancel.clone(), 100).await;
    assert_counts("a cancel", &[(Cancelled, 2), (Completed, 1), (Failed, 1)]).await;
    fx.act_on(&all, Action::Retry, 100).await;
    assert_counts("a retry by hand", &[(Available, 4)]).await;
    let leases = fx.claim_leases().await;
    let ends = [completed(), failed(), Outcome::Snoozed { delay: secs(5) }, completed()];
    fx.finish_all(leases.iter().zip(ends).map(|(lease, end)| finish(lease, end)).collect()).await;
    assert_counts("a batch of ends", &[(Completed, 2), (Failed, 1), (Scheduled, 1)]).await;
    fx.clock.advance(secs(2 * 24 * 3600));
    fx.sweep().await;
    assert_counts("a pruning", &[(Available, 1), (Failed, 1)]).await;
    fx.act_on(&all, Action::Delete, 100).await;
    assert_counts("a delete", &[(Available, 1)]).await;

    fx.enqueue_all(vec![NewJob { queue: "mail".into(), ..job() }, NewJob { queue: "mail".into(), ..job() }])
        .await;
    assert_counts("another queue's enqueue", &[(Available, 1)]).await;
    assert_eq!(fx.counts("mail").await, BTreeMap::from([(Available, 2)]), "each queue has its own");
    fx.claim(longhaul::Claim { queues: vec![slots("mail", 1)], ..claim() }).await;
    assert_eq!(fx.counts("mail").await, BTreeMap::from([(Available, 1), (Running, 1)]));
}

/// "A configuration is updated only where it is still the one that was read."
pub async fn a_configuration_is_updated_only_where_it_is_still_the_one_that_was_read(fx: &Fixture) {
    let with_slots = |slots| QueueConfig { slots: Some(slots), ..QueueConfig::default() };
    let update = async |queue: &str, before: &QueueConfig, config: &QueueConfig| {
        ok("update a queue", fx.store.update_queue(queue, before, config).await)
    };
    assert!(!update(QUEUE, &with_slots(3), &with_slots(4)).await, "it has no configuration yet");
    assert!(ok("list queues", fx.store.queues().await).is_empty(), "nor is it given one");
    assert!(update(QUEUE, &QueueConfig::default(), &with_slots(3)).await);
    assert!(!update(QUEUE, &QueueConfig::default(), &with_slots(5)).await, "another was quicker");
    assert_eq!(fx.queue(QUEUE).await.config, with_slots(3));
    let fair = QueueConfig { fair: true, ..with_slots(3) };
    assert!(update(QUEUE, &with_slots(3), &fair).await);
    assert_eq!(fx.queue(QUEUE).await.config, fair);
    let too_many = with_slots(0);
    let Err(longhaul::Error::Invalid { field, .. }) = fx.store.update_queue(QUEUE, &fair, &too_many).await
    else {
        panic!("what cannot be kept is refused")
    };
    assert_eq!((field.as_str(), fx.queue(QUEUE).await.config), ("slots", fair));
}

/// "A queue keeps its configuration."
pub async fn a_queue_keeps_its_configuration(fx: &Fixture) {
    fx.enqueue(job()).await;
    assert_eq!(fx.queue(QUEUE).await.config, QueueConfig::default(), "which is the default until it is set");
    let keep = |age: Option<Duration>, count| Keep { age, count };
    let first = QueueConfig {
        retention: Retention {
            completed: keep(Some(Duration::from_millis(1_500)), Some(0)),
            failed: keep(None, None),
            cancelled: keep(None, Some(1_000_000)),
        },
        fair: true,
        slots: Some(7),
        rate: Some(Rate { n: 10, per: Duration::from_millis(1_500), burst: None }),
        max_waiting: Some(longhaul::MAX_WAITING),
        on_full: longhaul::OnFull::DropNewest,
    };
    for queue in [QUEUE, "no-jobs-yet"] {
        fx.set_queue(queue, &first).await;
        assert_eq!(fx.queue(queue).await.config, first);
    }
    assert_eq!(fx.counts(QUEUE).await, BTreeMap::from([(State::Available, 1)]), "its jobs stay");
    let mut second = QueueConfig::default();
    second.retention.failed = keep(Some(secs(5)), None);
    fx.set_queue(QUEUE, &second).await;
    assert_eq!(fx.queue(QUEUE).await.config, second, "nothing is left of what was set before");
    assert_eq!(fx.queue("no-jobs-yet").await.config, first, "each queue has its own");

    let lease = fx.claim_one().await.lease;
    fx.end(&lease, completed()).await;
    fx.act(&lease.id, Action::Delete).await;
    assert_eq!(fx.queue(QUEUE).await.config, second, "it outlives the queue's jobs");
    let names: Vec<String> = ok("list queues", fx.store.queues().await).into_iter().map(|q| q.name).collect();
    assert_eq!(names, [QUEUE, "no-jobs-yet"], "in the order of their names");
}
