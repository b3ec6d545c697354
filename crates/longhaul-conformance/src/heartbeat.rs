//! The contracts of [`Store::heartbeat`](longhaul::Store::heartbeat) and
//! [`Store::workers`](longhaul::Store::workers).

use std::time::Duration;

use longhaul::{Action, Claim, Lease, LeaseStatus, Outcome, State, Swept, WORKER_SEEN_FOR, WorkerInfo};

use crate::Fixture;
use crate::jobs::{LEASE, claim, completed, id, job, kind, secs, slots, worker};

const MILLISECOND: Duration = Duration::from_millis(1);

/// "A heartbeat extends the lease."
pub async fn a_heartbeat_extends_the_lease(fx: &Fixture) {
    let (kept, left) = (fx.running().await, fx.running().await);
    let before = fx.seen(&kept.lease.id).await;
    fx.clock.advance(secs(20));
    assert_eq!(fx.heartbeat(&kept.lease).await, LeaseStatus::Held);
    assert_eq!(fx.seen(&kept.lease.id).await, before, "nobody who reads the job sees a heartbeat");

    fx.clock.advance(secs(10) + MILLISECOND);
    assert_eq!(fx.sweep().await, Swept { rescued: 1, ..Swept::default() });
    assert_eq!(fx.state(&left.lease.id).await, State::Available, "the other lease was not extended");
    assert_eq!(fx.state(&kept.lease.id).await, State::Running);

    // From the heartbeat on, not from the lease's end; and by as much as it says.
    fx.clock.advance(secs(20) - secs(1));
    assert_eq!(fx.sweep().await, Swept::default());
    let long = secs(300);
    assert_eq!(
        fx.heartbeat_all(&worker("w1"), std::slice::from_ref(&kept.lease), long).await,
        [LeaseStatus::Held]
    );
    fx.clock.advance(long - MILLISECOND);
    assert_eq!(fx.sweep().await, Swept::default());
    fx.clock.advance(2 * MILLISECOND);
    assert_eq!(fx.sweep().await.rescued, 1);

    // A lease that ended unnoticed may still be extended: nobody else has the job.
    let late = fx.claim_one().await;
    fx.clock.advance(LEASE + secs(1));
    assert_eq!(fx.heartbeat(&late.lease).await, LeaseStatus::Held);
    assert_eq!(fx.sweep().await, Swept::default());
}

/// "A heartbeat with an old token is lost."
pub async fn a_heartbeat_with_an_old_token_is_lost(fx: &Fixture) {
    let first = fx.running().await;
    fx.end(&first.lease, Outcome::Released).await;
    assert_eq!(fx.heartbeat(&first.lease).await, LeaseStatus::Lost, "given back");
    let second = fx.claim_one().await;
    let ended = fx.running().await;
    fx.end(&ended.lease, completed()).await;
    let never = Lease { id: second.lease.id.clone(), token: second.lease.token + 1 };
    let unknown = Lease { id: id("unknown"), token: 1 };

    fx.clock.advance(secs(20));
    let leases =
        [first.lease.clone(), second.lease.clone(), ended.lease.clone(), never.clone(), unknown.clone()];
    let (held, lost) = (LeaseStatus::Held, LeaseStatus::Lost);
    let statuses = fx.heartbeat_all(&worker("w1"), &leases, LEASE).await;
    assert_eq!(statuses, [lost, held, lost, lost, lost], "each lease for itself, in order");

    fx.clock.advance(secs(20));
    let old = [first.lease, never, unknown];
    assert_eq!(fx.heartbeat_all(&worker("w1"), &old, LEASE).await, [lost; 3]);
    fx.clock.advance(secs(11));
    assert_eq!(fx.sweep().await.rescued, 1, "a lost heartbeat extends no lease");
    assert_eq!(fx.heartbeat(&second.lease).await, lost, "rescued");
}

/// "A heartbeat tells of a requested cancel."
pub async fn a_heartbeat_tells_of_a_requested_cancel(fx: &Fixture) {
    let (asked, other) = (fx.running().await, fx.running().await);
    fx.act(&asked.lease.id, Action::cancel(secs(600))).await;
    let leases = [other.lease.clone(), asked.lease.clone()];
    for _ in 0..2 {
        fx.clock.advance(secs(20));
        let statuses = fx.heartbeat_all(&worker("w1"), &leases, LEASE).await;
        assert_eq!(statuses, [LeaseStatus::Held, LeaseStatus::CancelRequested], "every time");
    }
    assert_eq!(fx.sweep().await, Swept::default(), "and both leases were extended");
    fx.end(&other.lease, Outcome::Released).await;
    let again = fx.claim_one().await;
    assert_eq!(fx.heartbeat(&again.lease).await, LeaseStatus::Held);
}

/// "A heartbeat makes the worker known."
pub async fn a_heartbeat_makes_the_worker_known(fx: &Fixture) {
    assert!(fx.workers().await.is_empty());
    let first = WorkerInfo {
        id: "w1".into(),
        process: "0198-p".into(),
        host: "höst".into(),
        queues: vec![slots("images", 8), slots("mail", 1)],
        // The store owns the clock: what a worker believes is of no account.
        seen_at: fx.now().plus(secs(9_999)),
        kinds: vec![kind("resize", 3)],
        version: "painter 1.2.3".into(),
        started_at: Some(fx.now().minus(secs(60))),
        labels: [("gpu".to_owned(), "a100".to_owned())].into(),
    };
    fx.heartbeat_all(&first, &[], LEASE).await;
    let seen_at = fx.now();
    assert_eq!(fx.workers().await, [WorkerInfo { seen_at, ..first.clone() }], "with no lease to extend");

    fx.clock.advance(secs(7));
    let changed = WorkerInfo { queues: vec![slots("images", 2)], ..first };
    fx.heartbeat_all(&changed, &[], LEASE).await;
    fx.heartbeat_all(&worker("w2"), &[], LEASE).await;
    let mut workers = fx.workers().await;
    workers.sort_by(|a, b| a.id.cmp(&b.id));
    let seen_at = fx.now();
    assert_eq!(
        workers,
        [WorkerInfo { seen_at, ..changed }, WorkerInfo { seen_at, ..worker("w2") }],
        "once each, as it last presented itself"
    );
}

/// "A silent worker is forgotten after a minute."
pub async fn a_silent_worker_is_forgotten_after_a_minute(fx: &Fixture) {
    let ids = async || {
        let mut ids: Vec<String> = fx.workers().await.into_iter().map(|worker| worker.id).collect();
        ids.sort();
        ids
    };
    fx.heartbeat_all(&worker("silent"), &[], LEASE).await;
    fx.heartbeat_all(&worker("alive"), &[], LEASE).await;
    fx.clock.advance(WORKER_SEEN_FOR - MILLISECOND);
    fx.sweep().await;
    assert_eq!(ids().await, ["alive", "silent"]);
    fx.heartbeat_all(&worker("alive"), &[], LEASE).await;
    fx.clock.advance(2 * MILLISECOND);
    assert_eq!(ids().await, ["alive"], "without a sweep");
    fx.sweep().await;
    assert_eq!(ids().await, ["alive"], "and with one");
    fx.enqueue(job()).await;
    assert_eq!(fx.claim(Claim { worker: worker("silent"), ..claim() }).await.len(), 1, "it may come back");
    fx.heartbeat_all(&worker("silent"), &[], LEASE).await;
    assert_eq!(ids().await, ["alive", "silent"]);
}
