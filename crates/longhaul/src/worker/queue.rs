use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::running::RunningJob;
use crate::clock::Clock;
use crate::model::Outcome;

/// The slots that a worker has for one queue, and claimed jobs that wait for a free one.
///
/// If all jobs since the last claim were so short that claiming takes longer than running, twice as many as ended since
/// then are claimed beyond the free slots, so that no slot waits for the store and calls become large. Only as many
/// jobs as there are slots run at a time.
pub(crate) struct WorkerQueue {
    pub(crate) name: String,
    pub(crate) slots: usize,
    pub(crate) free: usize,
    /// In the order in which they were claimed.
    waiting: VecDeque<Waiting>,
    /// The number of jobs that the sends in flight ask for.
    asked: usize,
    ended: usize,
    ended_soon: usize,
    /// True if a call took the last slot while jobs of other kinds may wait, so that the next slot is for them.
    pub(crate) owes_single: bool,
    clock: Clock,
}

/// A claimed job without a slot, with the number of its run.
pub(crate) struct Waiting {
    pub(crate) run: u64,
    pub(crate) job: Arc<RunningJob>,
    since: Duration,
}

/// The most jobs that are claimed ahead for each slot.
const AHEAD: usize = 4;
/// The longest time of a short run.
const SHORT: Duration = Duration::from_millis(1);
/// The longest wait of a claimed job for a slot; then it is released, because another worker may have one.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(20);

impl WorkerQueue {
    pub(crate) fn new(name: String, slots: usize, clock: Clock) -> Self {
        Self {
            name,
            slots,
            free: slots,
            waiting: VecDeque::new(),
            asked: 0,
            ended: 0,
            ended_soon: 0,
            owes_single: false,
            clock,
        }
    }

    /// The number of jobs to claim with the next send, beside those that sends in flight have asked for. Restarts the
    /// count of ended jobs.
    pub(crate) fn ask(&mut self) -> usize {
        let all_short = self.ended == self.ended_soon;
        let ahead = if all_short { (2 * self.ended).min(AHEAD * self.slots) } else { 0 };
        (self.ended, self.ended_soon) = (0, 0);
        let wanted = (self.free + ahead).saturating_sub(self.waiting.len() + self.asked);
        self.asked += wanted;
        wanted
    }

    /// Notes the answer to a call that has asked for so many jobs.
    pub(crate) fn answered(&mut self, asked: usize) {
        self.asked -= asked;
    }

    /// Notes that a run has ended and its slot is free. A run that did not complete counts as long, because the next
    /// may have to wait, too.
    pub(crate) fn note_end(&mut self, took: Duration, end: Option<&Outcome>) {
        self.free += 1;
        self.ended += 1;
        let is_short = took < SHORT && matches!(end, Some(Outcome::Completed { .. }));
        self.ended_soon += usize::from(is_short);
    }

    pub(crate) fn wait(&mut self, run: u64, job: Arc<RunningJob>) {
        self.waiting.push_back(Waiting { run, job, since: self.clock.monotonic() });
    }

    /// The next waiting job, where there is a slot for it, which is taken.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        if self.free == 0 {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.free -= 1;
        Some(next)
    }

    /// The jobs that have waited for `patience` and longer, which wait no more.
    pub(crate) fn give_up(&mut self, patience: Duration) -> Vec<Waiting> {
        let overdue =
            self.waiting.iter().take_while(|waiting| self.clock.since(waiting.since) >= patience).count();
        self.waiting.drain(..overdue).collect()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::model::{Claimed, JobId, Json, Lease};
    use crate::runtime::Runtime;

    fn job() -> Arc<RunningJob> {
        let claimed = Claimed {
            lease: Lease { id: JobId::random(), token: 1 },
            kind: "email".into(),
            version: 1,
            queue: "default".into(),
            args: Json::null(),
            attempt: 1,
            max_attempts: 3,
            policy: crate::model::Policy::default(),
            created_at: Timestamp::default(),
            deadline_in: None,
            labels: Default::default(),
            steps: Default::default(),
        };
        RunningJob::new(claimed, Runtime::default(), Duration::ZERO, Duration::from_secs(30), None)
    }

    fn ended(queue: &mut WorkerQueue, took: Duration) {
        queue.note_end(took, Some(&Outcome::Completed { output: Json::null() }));
    }

    #[test]
    fn twice_as_many_are_claimed_ahead_as_ended_soon() {
        let mut queue = WorkerQueue::new("default".into(), 3, Clock::manual());
        assert_eq!(queue.ask(), 3, "a slot each");
        assert_eq!(queue.ask(), 0, "they are asked for");
        queue.answered(3);
        for run in 0..3 {
            queue.wait(run, job());
            assert!(queue.next().is_some());
        }
        assert_eq!(queue.ask(), 0, "all slots are taken, and nothing has ended");
        ended(&mut queue, Duration::from_micros(5));
        ended(&mut queue, Duration::from_micros(5));
        assert_eq!(queue.ask(), 6, "two for the free slots and four ahead");
        ended(&mut queue, Duration::from_micros(5));
        assert_eq!(queue.ask(), 0, "what ended counts for one turn, and six are asked for");
        queue.answered(6);
        assert_eq!(queue.ask(), 3, "the free slots");
        queue.answered(3);
        for _ in 0..12 {
            queue.free -= 1;
            ended(&mut queue, Duration::from_micros(5));
        }
        assert_eq!(queue.ask(), 3 + 3 * AHEAD, "so many for a slot, however many have ended");
    }

    #[test]
    fn nothing_is_claimed_ahead_where_one_job_was_not_brief() {
        let mut queue = WorkerQueue::new("default".into(), 3, Clock::manual());
        queue.free = 0;
        ended(&mut queue, Duration::from_micros(5));
        ended(&mut queue, Duration::from_secs(5));
        assert_eq!(queue.ask(), 2);
    }

    #[test]
    fn nothing_is_claimed_ahead_where_one_job_came_to_a_limit() {
        let mut queue = WorkerQueue::new("default".into(), 3, Clock::manual());
        queue.free = 0;
        ended(&mut queue, Duration::from_micros(5));
        queue.note_end(Duration::ZERO, Some(&Outcome::RateLimited { delay: Duration::from_secs(5) }));
        assert_eq!(queue.ask(), 2);
    }

    #[test]
    fn no_more_than_the_slots_run_and_the_rest_can_be_given_back() {
        let mut queue = WorkerQueue::new("default".into(), 1, Clock::manual());
        queue.wait(1, job());
        queue.wait(2, job());
        assert_eq!(queue.next().map(|waiting| waiting.run), Some(1));
        assert!(queue.next().is_none(), "there is one slot");
        assert!(queue.give_up(Duration::from_secs(60)).is_empty(), "it has only begun to wait");
        let given_up: Vec<u64> =
            queue.give_up(Duration::ZERO).into_iter().map(|waiting| waiting.run).collect();
        assert_eq!(given_up, [2]);
        assert!(!queue.has_waiting());
    }
}
