//! A finish that is sent again because its answer was lost.

use longhaul::{Action, Lease, LeaseStatus, NewJob, Outcome, State};

use crate::Fixture;
use crate::jobs::{HOUR, cancelled, chunk, claim, completed, failed, finish, id, job, retry, secs};

/// "A finish repeated with the token that ended the job is held."
pub async fn a_finish_repeated_with_the_token_that_ended_the_job_is_held(fx: &Fixture) {
    for outcome in [completed(), failed(), cancelled()] {
        let lease = fx.running().await.lease;
        fx.end(&lease, outcome.clone()).await;
        assert_eq!(fx.finish(&lease, outcome.clone()).await, LeaseStatus::Held);
        let turn = fx.finish_and_claim(vec![finish(&lease, outcome)], claim()).await;
        assert_eq!(turn.finished, [LeaseStatus::Held], "with a claim, too");
        assert_eq!(fx.heartbeat(&lease).await, LeaseStatus::Lost, "there is nothing to keep alive");
        assert_eq!(fx.record(&lease, vec![chunk("1")]).await, LeaseStatus::Lost);
        let other = Lease { id: id("other"), ..lease };
        assert_eq!(fx.finish(&other, completed()).await, LeaseStatus::Lost, "the id counts, too");
    }
    let asked = fx.running().await.lease;
    fx.act(&asked.id, Action::cancel(HOUR)).await;
    fx.end_asked(&asked, Outcome::Released).await;
    assert_eq!(fx.state(&asked.id).await, State::Cancelled);
    assert_eq!(fx.finish(&asked, Outcome::Released).await, LeaseStatus::Held, "its finish ended it");
}

/// "A finish repeated after a run that did not end the job is lost."
pub async fn a_finish_repeated_after_a_run_that_did_not_end_the_job_is_lost(fx: &Fixture) {
    let snoozed = Outcome::Snoozed { delay: secs(5) };
    for outcome in [retry(secs(5)), snoozed, Outcome::Released] {
        let lease = fx.running().await.lease;
        fx.end(&lease, outcome.clone()).await;
        assert_eq!(fx.finish(&lease, outcome.clone()).await, LeaseStatus::Lost);
        fx.act(&lease.id, Action::cancel(secs(1))).await;
        assert_eq!(fx.state(&lease.id).await, State::Cancelled);
        assert_eq!(fx.finish(&lease, outcome).await, LeaseStatus::Lost, "another has ended the job");
    }
    let fenced = fx.running().await.lease;
    fx.act(&fenced.id, Action::cancel(secs(1))).await;
    fx.clock.advance(secs(2));
    fx.sweep().await;
    assert_eq!(fx.state(&fenced.id).await, State::Cancelled);
    assert_eq!(fx.finish(&fenced, completed()).await, LeaseStatus::Lost, "the fence has ended the job");
    let poison = fx.running_from(NewJob { max_crashes: 0, ..job() }).await.lease;
    fx.crash_workers().await;
    assert_eq!(fx.state(&poison.id).await, State::Failed);
    assert_eq!(fx.finish(&poison, completed()).await, LeaseStatus::Lost, "the sweep has ended the job");
}

/// "A repeated finish is lost once the job was retried or deleted."
pub async fn a_repeated_finish_is_lost_once_the_job_was_retried_or_deleted(fx: &Fixture) {
    let retried = fx.running().await.lease;
    fx.end(&retried, failed()).await;
    assert_eq!(fx.act(&retried.id, Action::Retry).await, 1);
    assert_eq!(fx.finish(&retried, failed()).await, LeaseStatus::Lost, "while it waits");
    let again = fx.claim_one().await.lease;
    assert_eq!(fx.finish(&retried, completed()).await, LeaseStatus::Lost, "while it runs");
    fx.end(&again, completed()).await;
    assert_eq!(fx.finish(&retried, completed()).await, LeaseStatus::Lost, "its successor has ended it");
    assert_eq!(fx.finish(&again, completed()).await, LeaseStatus::Held);
    assert_eq!(fx.act(&again.id, Action::Delete).await, 1);
    assert_eq!(fx.finish(&again, completed()).await, LeaseStatus::Lost, "there is no job");
}
