//! The contracts of [`Store::migrate`](longhaul::Store::migrate) and [`Store::ready`](longhaul::Store::ready).

use longhaul::{LeaseStatus, QueueConfig, State};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{QUEUE, chunk, completed, job, unique};

/// "Migrating twice changes nothing."
pub async fn migrating_twice_changes_nothing(fx: &Fixture) {
    let running = fx.running().await;
    fx.record(&running.lease, vec![chunk("1")]).await;
    let waiting = fx.enqueue(unique("k", None)).await;
    let mut config = QueueConfig::default();
    config.retention.completed.count = Some(7);
    fx.set_queue(QUEUE, &config).await;
    let before = (fx.seen(&running.lease.id).await, fx.seen(&waiting).await, fx.queue(QUEUE).await);

    ok("migrate", fx.store.migrate().await);
    ok("migrate", fx.store.migrate().await);

    let after = (fx.seen(&running.lease.id).await, fx.seen(&waiting).await, fx.queue(QUEUE).await);
    assert_eq!(after, before, "what was there is as it was");
    assert!(fx.offer(unique("k", None)).await.is_duplicate(), "a held key is still held");
    assert_eq!(fx.finish(&running.lease, completed()).await, LeaseStatus::Held, "a lease still holds");
    let new = fx.enqueue(job()).await;
    assert_eq!(fx.state(&new).await, State::Available, "and the store still works");
}

/// "A store that takes writes is ready."
pub async fn a_store_that_takes_writes_is_ready(fx: &Fixture) {
    ok("ready", fx.store.ready().await);
    fx.enqueue(job()).await;
    ok("ready", fx.store.ready().await);
}
