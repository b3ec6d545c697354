//! Races at the end of a lease and at the end of a job's time.

use longhaul::{CancelReason, Deadline, LeaseStatus, NewJob, State};

use crate::Fixture;
use crate::jobs::{LEASE, completed, job, json, retry, secs, step};
use crate::races::{ROUNDS, both};

/// A step is recorded while the job is taken from its worker.
pub async fn a_step_that_is_recorded_while_its_lease_expires_is_kept_or_lost(fx: &Fixture) {
    for _ in 0..ROUNDS {
        let lease = fx.running().await.lease;
        fx.clock.advance(LEASE + secs(1));
        let (one, other, run) = (fx.clone(), fx.clone(), lease.clone());
        let (recorded, swept) =
            both(async move { one.record(&run, vec![step("paid", "7")]).await }, async move {
                other.sweep().await
            })
            .await;
        // What is recorded in time does not keep the job from being rescued by the next sweep.
        let rescued = swept.rescued + fx.sweep().await.rescued;
        assert_eq!(rescued, 1);
        let again = fx.claim_one().await;
        match recorded {
            LeaseStatus::Held => assert_eq!(again.steps.get("paid"), Some(&json("7")), "and paid for once"),
            LeaseStatus::Lost => assert!(again.steps.is_empty()),
            status => panic!("{status:?}"),
        }
        fx.end(&again.lease, completed()).await;
    }
}

/// A run ends at its deadline, while a sweep looks.
pub async fn a_run_that_ends_at_its_deadline_has_one_end(fx: &Fixture) {
    for round in 0..ROUNDS {
        let with_deadline = NewJob { deadline: Some(Deadline::In(secs(10))), ..job() };
        let lease = fx.running_from(with_deadline).await.lease;
        fx.clock.advance(secs(10));
        let outcome = if round % 2 == 0 { completed() } else { retry(secs(0)) };
        let (one, other, run) = (fx.clone(), fx.clone(), lease.clone());
        both(async move { one.end_asked(&run, outcome).await }, async move { other.sweep().await }).await;
        fx.sweep().await;
        let record = fx.job(&lease.id).await;
        match round % 2 {
            0 => assert_eq!(record.state, State::Completed),
            _ => {
                let reason = Some(CancelReason::Deadline);
                assert_eq!((record.state, record.cancel_reason), (State::Cancelled, reason));
            }
        }
        assert!(fx.claim_ids().await.is_empty());
    }
}

/// A heartbeat comes while the job is taken from its worker.
pub async fn a_heartbeat_while_its_lease_expires_is_never_lost_without_a_rescue(fx: &Fixture) {
    for _ in 0..ROUNDS {
        let lease = fx.running().await.lease;
        fx.clock.advance(LEASE + secs(1));
        let (one, other, run) = (fx.clone(), fx.clone(), lease.clone());
        let (beat, swept) =
            both(async move { one.heartbeat(&run).await }, async move { other.sweep().await }).await;
        let state = fx.state(&lease.id).await;
        match swept.rescued {
            0 => assert_eq!((beat, state), (LeaseStatus::Held, State::Running)),
            1 => {
                assert_eq!(state, State::Available);
                assert_eq!(fx.heartbeat(&lease).await, LeaseStatus::Lost, "at the latest now");
                fx.claim_one().await;
            }
            _ => panic!("{swept:?}"),
        }
        // It was extended, or the next worker has the job.
        if fx.finish(&lease, completed()).await == LeaseStatus::Lost {
            assert_eq!((swept.rescued, fx.crash_workers().await.rescued), (1, 1));
            fx.end(&fx.claim_one().await.lease, completed()).await;
        }
    }
}
