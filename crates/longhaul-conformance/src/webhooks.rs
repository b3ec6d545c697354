//! The contract of webhooks: a store is given the deliveries of jobs by the door, and answers for the jobs.

use longhaul::webhook::{self, first_id, parent};
use longhaul::{
    Action, Dependency, EnqueueStatus, Finish, JobFilter, LeaseStatus, NewJob, OnClash, OnFull, QueueConfig,
    State, Unique, WaitsFor, Webhook,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{LEASE, QUEUE, completed, failed, finish, id, named, secs};

fn told(name: &str) -> NewJob {
    NewJob { webhook: Some(Webhook::new("https://example.com/hook")), ..named(name) }
}

/// "A job with a webhook is created with its delivery."
pub async fn a_job_with_a_webhook_is_created_with_its_delivery(fx: &Fixture) {
    let enqueued = fx.enqueue_all(vec![told("a"), named("b"), told("c")]).await;
    assert_eq!(enqueued.len(), 3, "it answers for what it was given");
    for name in ["a", "c"] {
        let delivery = fx.job(&first_id(&id(name))).await;
        assert_eq!((delivery.kind.as_str(), delivery.queue.as_str()), (webhook::KIND, webhook::QUEUE));
        assert_eq!((delivery.state, delivery.waits_for), (State::Blocked, Some(WaitsFor::Dependencies)));
        assert_eq!(delivery.depends_on, [Dependency::on_any_end(id(name))]);
        let of_the_job = JobFilter { parents: vec![parent(&id(name))], ..JobFilter::default() };
        assert_eq!(fx.list(&of_the_job).await, [delivery.id]);
    }
    // Nor is there another one for a job that exists.
    let again = fx.offer(told("a")).await;
    assert_eq!((again.id, again.status), (id("a"), EnqueueStatus::Duplicate));
    assert_eq!(fx.list(&JobFilter::default()).await.len(), 5);
}

/// "A delivery is freed by any end of its job."
pub async fn a_delivery_is_freed_by_any_end_of_its_job(fx: &Fixture) {
    let expiring = NewJob { expires_in: Some(secs(5)), ..told("expired") };
    let names = ["completed", "failed", "cancelled", "expired"];
    fx.enqueue_all(vec![told("completed"), told("failed")]).await;
    let leases = fx.claim_leases().await;
    fx.enqueue_all(vec![told("cancelled"), expiring]).await;
    fx.end(&leases[0], completed()).await;
    fx.end(&leases[1], failed()).await;
    fx.act(&id("cancelled"), Action::cancel(LEASE)).await;
    fx.clock.advance(secs(5));
    fx.sweep().await;
    for name in names {
        assert_eq!(fx.state(&first_id(&id(name))).await, State::Available, "{name}");
    }
}

/// "A webhook of a job that is not created leaves the call standing."
pub async fn a_webhook_of_a_job_that_is_not_created_leaves_the_call_standing(fx: &Fixture) {
    let keyed = |name: &str, on_clash| {
        let unique = Unique { on_clash, ..Unique::new("k") };
        NewJob { unique: Some(unique), ..told(name) }
    };
    fx.enqueue(keyed("holder", OnClash::Join)).await;
    let bound = QueueConfig { max_waiting: Some(1), on_full: OnFull::Reject, ..QueueConfig::default() };
    fx.set_queue(QUEUE, &bound).await;
    let call = vec![
        keyed("joins", OnClash::Join),
        keyed("rejected", OnClash::Reject),
        keyed("replaces", OnClash::Replace),
        told("full"),
        NewJob { queue: "elsewhere".into(), ..told("created") },
    ];
    let enqueued = ok("enqueue", fx.store.enqueue(call).await);
    let status: Vec<EnqueueStatus> = enqueued.iter().map(|enqueued| enqueued.status).collect();
    let expected = [
        EnqueueStatus::Duplicate,
        EnqueueStatus::Rejected,
        EnqueueStatus::Replaced,
        EnqueueStatus::Full,
        EnqueueStatus::Created,
    ];
    assert_eq!(status, expected);
    assert!(enqueued[..3].iter().all(|enqueued| enqueued.id == id("holder")));
    let joined = fx.job(&first_id(&id("joins"))).await;
    assert_eq!(
        joined.depends_on,
        [Dependency::on_any_end(id("holder"))],
        "which tells it that it is not needed"
    );
    assert_eq!(fx.state(&first_id(&id("holder"))).await, State::Blocked);
    assert_eq!(fx.state(&first_id(&id("created"))).await, State::Blocked);
}

/// "A follow up with a webhook brings its delivery."
pub async fn a_follow_up_with_a_webhook_brings_its_delivery(fx: &Fixture) {
    let lease = fx.running().await.lease;
    let end = Finish { follow_ups: vec![told("next"), named("plain")], ..finish(&lease, completed()) };
    assert_eq!(fx.finish_all(vec![end]).await, [LeaseStatus::Held]);
    assert_eq!(fx.state(&id("next")).await, State::Available);
    let delivery = fx.job(&first_id(&id("next"))).await;
    assert_eq!(
        (delivery.state, delivery.depends_on),
        (State::Blocked, vec![Dependency::on_any_end(id("next"))])
    );
}
