//! The contract of [`Store::lanes`](longhaul::Store::lanes).

use longhaul::{Lane, NewJob};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{delayed, job, secs};

async fn lanes(fx: &Fixture) -> Vec<Lane> {
    ok("list lanes", fx.store.lanes().await)
}

/// "Lanes tell the kinds and versions that wait in each queue."
pub async fn lanes_tell_the_kinds_and_versions_that_wait_in_each_queue(fx: &Fixture) {
    assert!(lanes(fx).await.is_empty());
    let first = fx.now();
    fx.enqueue(job()).await;
    fx.clock.advance(secs(5));
    let of = |queue: &'static str, kind: &'static str, version| NewJob {
        queue: queue.into(),
        kind: kind.into(),
        version,
        ..job()
    };
    fx.enqueue_all(vec![
        job(),
        of("mail", "send", 2),
        of("mail", "send", 20_260_101),
        of("mail", "bounce", 1),
    ])
    .await;
    fx.enqueue_all(vec![delayed(secs(60)), of("running", "resize", 1)]).await;
    fx.claim(longhaul::Claim { queues: vec![crate::jobs::slots("running", 1)], ..crate::jobs::claim() })
        .await;
    let lane = |queue: &str, kind: &str, version, waiting, oldest_at| Lane {
        queue: queue.into(),
        kind: kind.into(),
        version,
        waiting,
        oldest_at,
    };
    let now = fx.now();
    let expected = [
        lane("images", "resize", 1, 2, first),
        lane("mail", "bounce", 1, 1, now),
        lane("mail", "send", 2, 1, now),
        lane("mail", "send", 20_260_101, 1, now),
    ];
    assert_eq!(lanes(fx).await, expected);
    fx.claim_ids().await;
    assert_eq!(lanes(fx).await, expected[1..], "what runs does not wait");
}

/// "A lane counts no more than a thousand jobs."
pub async fn a_lane_counts_no_more_than_a_thousand_jobs(fx: &Fixture) {
    fx.enqueue_all(vec![job(); 999]).await;
    assert_eq!(lanes(fx).await[0].waiting, 999);
    fx.enqueue_all(vec![job(); 2]).await;
    assert_eq!(lanes(fx).await[0].waiting, longhaul::MAX_POSITION);
}
