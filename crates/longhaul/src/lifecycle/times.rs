//! The two time limits of a job: the expiry of its first start, and the deadline of its end.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::{CancelReason, Deadline, NewJob};

/// The expiry and the deadline of a job, as points in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// It is cancelled at this time unless it was started before.
    pub expires_at: Option<Timestamp>,
    /// It is cancelled at this time, or asked to stop if it runs, unless it has ended before.
    pub deadline: Option<Timestamp>,
}

impl Times {
    /// The times of a new job.
    #[must_use]
    pub fn of(job: &NewJob, now: Timestamp) -> Self {
        let after = |time: Duration| now.plus(time).min(Timestamp::MAX);
        Self {
            expires_at: job.expires_in.map(after),
            deadline: job.deadline.map(|deadline| match deadline {
                Deadline::In(time) => after(time),
                Deadline::At(at) => at.min(Timestamp::MAX),
            }),
        }
    }

    /// The time at which a waiting job is cancelled: a claim does not take it from then on, and a sweep cancels it.
    /// `started_at` is the begin of its last run, if it has run.
    #[must_use]
    pub fn ends_at(&self, started_at: Option<Timestamp>) -> Option<Timestamp> {
        let expires_at = self.expires_at.filter(|_| started_at.is_none());
        expires_at.into_iter().chain(self.deadline).min()
    }

    /// The reason to cancel a waiting job now; `None` before [`ends_at`](Self::ends_at).
    #[must_use]
    pub fn over(&self, started_at: Option<Timestamp>, now: Timestamp) -> Option<CancelReason> {
        let ends_at = self.ends_at(started_at).filter(|ends_at| *ends_at <= now)?;
        let has_expired = started_at.is_none() && self.expires_at == Some(ends_at);
        Some(if has_expired { CancelReason::Expired } else { CancelReason::Deadline })
    }

    /// The time left until the deadline, which a claim answers to the worker.
    #[must_use]
    pub fn deadline_in(&self, now: Timestamp) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Json;

    const NOW: Timestamp = Timestamp(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Timestamp {
        NOW.plus(SECOND * seconds)
    }

    #[test]
    fn times_count_from_when_the_job_is_enqueued() {
        let job = |expires_in, deadline| NewJob { expires_in, deadline, ..NewJob::new("k", Json::null()) };
        let times = Times::of(&job(Some(SECOND), Some(Deadline::In(2 * SECOND))), NOW);
        assert_eq!(times, Times { expires_at: Some(at(1)), deadline: Some(at(2)) });
        let far = Times::of(&job(Some(Duration::MAX), Some(Deadline::At(Timestamp(i64::MAX)))), NOW);
        assert_eq!(far, Times { expires_at: Some(Timestamp::MAX), deadline: Some(Timestamp::MAX) });
        assert_eq!(Times::of(&job(None, None), NOW), Times::default());
    }

    #[test]
    fn a_waiting_job_ends_at_the_first_of_its_times_and_does_not_expire_once_it_was_started() {
        let both = Times { expires_at: Some(at(1)), deadline: Some(at(2)) };
        assert_eq!((both.ends_at(None), both.ends_at(Some(NOW))), (Some(at(1)), Some(at(2))));
        assert_eq!(both.over(None, NOW), None);
        assert_eq!(both.over(None, at(9)), Some(CancelReason::Expired));
        assert_eq!(both.over(Some(NOW), at(1)), None);
        assert_eq!(both.over(Some(NOW), at(2)), Some(CancelReason::Deadline));
        let sooner = Times { expires_at: Some(at(2)), deadline: Some(at(1)) };
        assert_eq!(sooner.over(None, at(9)), Some(CancelReason::Deadline));
        assert_eq!(Times::default().over(None, Timestamp::MAX), None);
        assert_eq!(
            (both.deadline_in(NOW), both.deadline_in(at(9))),
            (Some(2 * SECOND), Some(Duration::ZERO))
        );
    }
}
