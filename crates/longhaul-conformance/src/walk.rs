//! A walk through the whole life of a job: every state × every event, compared with [`longhaul::lifecycle`]. A store that
//! decides for itself drifts from it, and fails here.

use std::time::Duration;

use longhaul::lifecycle::{self, Next, Run, Token, Transition};
use longhaul::{
    Action, AttemptError, CancelReason, Claim, Deadline, Dependency, ErrorKind, JobId, JobRecord, KeyConfig,
    Lease, LeaseStatus, Lookup, NewJob, OnClash, OnFull, Outcome, Start, State, Unique, WaitsFor,
};

use crate::Fixture;
use crate::fixture::{ok, within};
use crate::jobs::{HOUR, LEASE, QUEUE, cancelled, claim, completed, failed, job, json, retry, step};
use crate::waits::waits;

const MINUTE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);
/// Longer than any job is kept that nobody has said how long to keep.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

/// Walks every transition, and tries every event in every state that it does not move.
pub async fn every_event_in_every_state_does_what_the_lifecycle_says(fx: &Fixture) {
    let transitions = lifecycle::transitions();
    let states = || std::iter::once(None).chain(State::ALL.map(Some));
    for from in states() {
        assert!(transitions.iter().any(|row| row.to == from), "something leads to {from:?}");
    }
    let mut events: Vec<&'static str> = transitions.iter().map(|row| row.by).collect();
    events.sort_unstable();
    events.dedup();
    // An event with a condition in its name is one in a state that meets the condition, and moves nothing elsewhere by the
    // rule of its plain form.
    events.retain(|by| {
        !["when", "while", "after cancel", "the lease", "retention", "no children", "taken back"]
            .iter()
            .any(|condition| by.contains(condition))
    });
    let unmoved = states().flat_map(|from| {
        let stays = |by: &&'static str| !transitions.iter().any(|row| row.from == from && row.by == *by);
        let stays: Vec<&'static str> = events.iter().copied().filter(stays).collect();
        stays.into_iter().map(move |by| Transition { from, by, to: from, who: "" })
    });
    for (number, row) in unmoved.chain(transitions.iter().copied()).enumerate() {
        let id = JobId::new(format!("walker-{number}")).unwrap_or_else(|error| panic!("{error}"));
        let mut walker = Walker { fx, id, lease: None };
        walker.arrive(row).await;
        assert_eq!(walker.state().await, row.from, "before {row:?}");
        let before = walker.record().await;
        walker.happens(row.by).await;
        assert_eq!(walker.state().await, row.to, "after {row:?}");
        if let Some(before) = before.filter(|job| job.state == State::Running) {
            walker.compare(row.by, &before).await;
        }
        walker.leave().await;
    }
}

/// One job on its way through one row.
struct Walker<'a> {
    fx: &'a Fixture,
    id: JobId,
    lease: Option<Lease>,
}

impl Walker<'_> {
    /// Brings the job to where a row begins.
    async fn arrive(&mut self, row: Transition) {
        let max_crashes = if row.by.ends_with("too many crashes") { 0 } else { 5 };
        let mut new = NewJob { max_crashes, ..self.job() };
        match row.by {
            "sweep after its expiry" => new.expires_in = Some(GRACE),
            "sweep after its deadline" => new.deadline = Some(Deadline::In(GRACE)),
            "superseded" | "replaced by one that is due" | "replaced by one with a delay" => {
                new.unique = Some(Unique::new(self.id.as_str()));
            }
            _ => {}
        }
        let Some(from) = row.from else { return };
        match from {
            State::Scheduled => {
                self.fx.enqueue(NewJob { start: Start::After(MINUTE), ..new }).await;
            }
            State::Blocked => self.block(row.by, new).await,
            // Its claim is in the hands of the event, which drops it.
            State::Running if row.by.starts_with("claim taken back") => {
                self.fx.enqueue(new).await;
                self.claim().await;
            }
            _ => {
                self.fx.enqueue(new).await;
                match from {
                    State::Available => {}
                    State::Cancelled => {
                        self.claim().await;
                        self.record_a_step().await;
                        self.finish(cancelled()).await;
                    }
                    State::Running => self.claim().await,
                    ended => {
                        self.claim().await;
                        self.record_a_step().await;
                        self.finish(if ended == State::Completed { completed() } else { failed() }).await;
                    }
                }
            }
        }
    }

    /// Blocks the job for the thing that an event ends.
    async fn block(&mut self, by: &str, new: NewJob) {
        let on = match by {
            "the last dependency ends" | "a dependency fails" => {
                return self.enqueue_with_a_dependency(Start::Now).await;
            }
            "the last dependency ends while it is not due" => {
                return self.enqueue_with_a_dependency(Start::After(HOUR)).await;
            }
            "the signal comes" | "sweep when the wait is over" | "claim when the wait is over" => {
                WaitsFor::Signal("approve".into())
            }
            "retry while it waits for a person" => WaitsFor::Person,
            _ => return self.enqueue_with_a_child(new).await,
        };
        self.fx.enqueue(self.job()).await;
        self.claim().await;
        self.finish(waits(on, Some(MINUTE))).await;
    }

    /// Makes the event of a row happen, whether or not it applies.
    async fn happens(&mut self, by: &str) {
        if let Some(outcome) = outcome(by) {
            if by.ends_with("after cancel") {
                self.outside(Action::cancel(GRACE)).await;
            }
            if by.starts_with("finish: waits for children") {
                self.fx.offer(self.child_job()).await;
            }
            if by.ends_with("when all have ended") {
                self.fx.act(&self.child(), Action::cancel(GRACE)).await;
            }
            if by.ends_with("when it has come") {
                self.signal().await;
            }
            return self.finish(outcome).await;
        }
        match by {
            "enqueue" => self.enqueue(Start::Now).await,
            "enqueue with a delay" => self.enqueue(Start::After(MINUTE)).await,
            "enqueue to start after its children" => self.enqueue_with_a_child(self.job()).await,
            "enqueue, dropped as the newest" => {
                self.bound(OnFull::DropNewest).await;
                self.fx.offer(self.other()).await;
                self.enqueue(Start::Now).await;
            }
            "dropped as the oldest" => {
                self.bound(OnFull::DropOldest).await;
                self.fx.enqueue(self.other()).await;
            }
            "superseded" => self.meet(OnClash::Supersede, Start::Now).await,
            "replaced by one that is due" => self.meet(OnClash::Replace, Start::Now).await,
            "replaced by one with a delay" => self.meet(OnClash::Replace, Start::After(MINUTE)).await,
            "sweep after its expiry" | "sweep after its deadline" => self.sweep_after(GRACE).await,
            "enqueue to start after no children" => self.enqueue(Start::AfterChildren).await,
            "enqueue with dependencies" => self.enqueue_with_a_dependency(Start::Now).await,
            "enqueue when a dependency has failed" => self.enqueue_after(failed()).await,
            "enqueue when all dependencies have ended" => self.enqueue_after(completed()).await,
            "the last dependency ends" | "the last dependency ends while it is not due" => {
                self.end_the_dependency(completed()).await;
            }
            "a dependency fails" => self.end_the_dependency(failed()).await,
            "the signal comes" => self.signal().await,
            "sweep when the wait is over" => self.sweep_after(MINUTE).await,
            "claim when the wait is over" => {
                self.fx.clock.advance(MINUTE);
                self.claim().await;
            }
            "retry from a step" => self.outside(Action::RetryFrom { step: "ocr".into(), args: None }).await,
            "the last child ends" => {
                // It is not there where the event is tried on a job without children.
                self.fx.act(&self.child(), Action::cancel(GRACE)).await;
            }
            "claim" => self.claim().await,
            "claim when due" => {
                self.fx.clock.advance(MINUTE);
                self.claim().await;
            }
            "claim taken back" => self.release_and_drop_a_claim().await,
            "claim taken back after cancel" => {
                self.outside(Action::cancel(GRACE)).await;
                self.finish(Outcome::Released).await;
            }
            "cancel" => self.outside(Action::cancel(GRACE)).await,
            "retry" | "retry while it waits for a person" => self.outside(Action::Retry).await,
            "delete" => self.outside(Action::Delete).await,
            "sweep when due" => self.sweep_after(MINUTE).await,
            "sweep after the lease" | "sweep after the lease, too many crashes" => {
                self.sweep_after(LEASE + GRACE).await;
            }
            "sweep after the lease and cancel" => {
                self.outside(Action::cancel(HOUR)).await;
                self.sweep_after(LEASE + GRACE).await;
            }
            "sweep after cancel and its grace" => {
                self.outside(Action::cancel(GRACE)).await;
                self.sweep_after(GRACE).await;
            }
            "sweep after its retention" => self.sweep_after(LONG).await,
            unknown => panic!("the lifecycle has the event '{unknown}', which this walk cannot make happen"),
        }
    }

    /// Compares a job that has left `running` with what the rules say, field by field.
    async fn compare(&self, by: &str, before: &JobRecord) {
        let Some(next) = self.next(by, before) else { return };
        let after = self.record().await.unwrap_or_else(|| panic!("{by}: the job is there"));
        let added = after.errors.get(before.errors.len());
        assert_eq!(after.cancel_reason, next.cancel_reason, "{by}");
        let seen = (after.state, after.run_at, after.attempt, after.crashes, after.interruptions, added);
        let said =
            (next.state, next.run_at, next.attempt, next.crashes, next.interruptions, next.error.as_ref());
        assert_eq!(seen, said, "{by}");
        assert_eq!((&after.waits_for, after.wakes_at), (&next.waits_for, next.wakes_at), "{by}");
        let Some(lease) = &self.lease else { return };
        let again = if next.token == Token::Kept { LeaseStatus::Held } else { LeaseStatus::Lost };
        assert_eq!(self.fx.finish(lease, completed()).await, again, "{by}: a finish with the run's token");
        let unmoved = self.record().await.unwrap_or_else(|| panic!("{by}: the job is there"));
        assert_eq!(unmoved, after, "{by}: which changes nothing");
    }

    /// The job after the event, by the rules; `None` where the event is not the end of its run.
    fn next(&self, by: &str, before: &JobRecord) -> Option<Next> {
        let cancel_requested = by.contains("cancel") && by != "cancel" && by != "finish: cancelled";
        let run = Run {
            attempt: before.attempt,
            crashes: before.crashes,
            max_crashes: before.max_crashes,
            interruptions: before.interruptions,
            cancel_requested,
            cancel_reason: cancel_requested.then_some(CancelReason::Asked),
            run_at: before.run_at,
        };
        let now = self.fx.now();
        if let Some(outcome) = outcome(by) {
            let goes_on = by.ends_with("when it has come") || by.ends_with("when all have ended");
            let outcome = if goes_on { Outcome::Snoozed { delay: Duration::ZERO } } else { outcome };
            return Some(lifecycle::finish(&run, &outcome, now));
        }
        match by {
            "sweep after cancel and its grace" => Some(lifecycle::fence(&run, now)),
            by if by.starts_with("sweep after the lease") => Some(lifecycle::crash(&run, now)),
            _ => None,
        }
    }

    async fn enqueue(&self, start: Start) {
        self.fx.offer(NewJob { start, ..self.job() }).await;
    }

    /// The child is of a queue from which nobody claims.
    async fn enqueue_with_a_child(&self, new: NewJob) {
        let closing = NewJob { start: Start::AfterChildren, ..new };
        self.fx.enqueue_all(vec![closing, self.child_job()]).await;
    }

    fn child_job(&self) -> NewJob {
        NewJob { id: Some(self.child()), parent: Some(self.id.clone()), queue: "children".into(), ..job() }
    }

    /// The dependency is of a queue from which only [`end_the_dependency`](Self::end_the_dependency) claims.
    async fn enqueue_with_a_dependency(&self, start: Start) {
        let dependency = NewJob { id: Some(self.dependency()), queue: "dependencies".into(), ..job() };
        let depends_on = vec![Dependency::on(self.dependency())];
        self.fx.enqueue_all(vec![dependency, NewJob { depends_on, start, ..self.job() }]).await;
    }

    /// Enqueues the job after its dependency has ended.
    async fn enqueue_after(&self, end: Outcome) {
        self.fx.offer(NewJob { id: Some(self.dependency()), queue: "dependencies".into(), ..job() }).await;
        self.end_the_dependency(end).await;
        let depends_on = vec![Dependency::on(self.dependency())];
        self.fx.offer(NewJob { depends_on, ..self.job() }).await;
    }

    async fn end_the_dependency(&self, end: Outcome) {
        let queues = vec![crate::jobs::slots("dependencies", 1)];
        for claimed in self.fx.claim(Claim { queues, ..claim() }).await {
            self.fx.end(&claimed.lease, end.clone()).await;
        }
    }

    fn dependency(&self) -> JobId {
        JobId::from_store(format!("{}.dependency", self.id))
    }

    async fn signal(&self) {
        ok("signal", self.fx.store.signal(&self.id, "approve", &json("true")).await);
    }

    async fn record_a_step(&self) {
        if let Some(lease) = &self.lease {
            self.fx.record(lease, vec![step("ocr", "1")]).await;
        }
    }

    /// Another job with the limit key of this one, in a queue from which nobody claims.
    fn other(&self) -> NewJob {
        NewJob { id: Some(self.other_id()), queue: "others".into(), ..self.job() }
    }

    fn other_id(&self) -> JobId {
        JobId::from_store(format!("{}.other", self.id))
    }

    /// Has another job meet this one's unique key.
    async fn meet(&self, on_clash: OnClash, start: Start) {
        let unique = Some(Unique { on_clash, ..Unique::new(self.id.as_str()) });
        self.fx.offer(NewJob { unique, start, ..self.other() }).await;
    }

    /// Lets one job of this one's limit key wait.
    async fn bound(&self, on_full: OnFull) {
        let config = KeyConfig { max_waiting: Some(1), on_full, ..KeyConfig::default() };
        ok("configure a key", self.fx.store.set_key(self.id.as_str(), Some(&config)).await);
    }

    fn child(&self) -> JobId {
        JobId::from_store(format!("{}.child", self.id))
    }

    async fn claim(&mut self) {
        let claimed = self.fx.claim(claim()).await;
        if let Some(claimed) = claimed.into_iter().find(|claimed| claimed.lease.id == self.id) {
            self.lease = Some(claimed.lease);
        }
    }

    /// Lets a waiting claim be dropped that may have been given the job: it is there for the next one.
    async fn release_and_drop_a_claim(&mut self) {
        let mut waiting = Box::pin(self.fx.store.claim(Claim { wait: HOUR, ..claim() }));
        assert!(futures::poll!(waiting.as_mut()).is_pending(), "there is nothing to claim yet");
        self.finish(Outcome::Released).await;
        drop(waiting);
        let taken = Claim { wait: HOUR, ..claim() };
        let back = within("a claim after one that was dropped", self.fx.store.claim(taken)).await;
        let back = ok("claim", back).remove(0);
        assert_eq!((&back.lease.id, back.attempt), (&self.id, 1), "the dropped claim has cost no attempt");
        self.fx.end(&back.lease, Outcome::Released).await;
        self.lease = None;
    }

    /// Ends the last run of the job, or one that never was.
    async fn finish(&self, outcome: Outcome) {
        let never = Lease { id: self.id.clone(), token: 1 };
        self.fx.finish(self.lease.as_ref().unwrap_or(&never), outcome).await;
    }

    async fn outside(&self, action: Action) {
        self.fx.act(&self.id, action).await;
    }

    async fn sweep_after(&self, time: Duration) {
        self.fx.clock.advance(time);
        self.fx.sweep().await;
    }

    /// Takes the job out of the next one's way.
    async fn leave(&self) {
        self.outside(Action::cancel(Duration::ZERO)).await;
        for other in [self.child(), self.dependency(), self.other_id()] {
            self.fx.act(&other, Action::cancel(Duration::ZERO)).await;
        }
        self.sweep_after(GRACE).await;
        self.outside(Action::Delete).await;
    }

    async fn record(&self) -> Option<JobRecord> {
        self.fx.lookup(&self.id).await.found()
    }

    async fn state(&self) -> Option<State> {
        match self.fx.lookup(&self.id).await {
            Lookup::Found(record) => Some(record.state),
            Lookup::Gone | Lookup::Unknown => None,
        }
    }

    fn job(&self) -> NewJob {
        // Each has a limit key of its own, so that no walker meets the pause of an earlier one.
        let limit_keys = vec![self.id.to_string()];
        NewJob { id: Some(self.id.clone()), queue: QUEUE.into(), limit_keys, ..job() }
    }
}

/// The outcome of an event that is a finish.
fn outcome(by: &str) -> Option<Outcome> {
    let word = by.strip_prefix("finish: ")?;
    let word = word.split_once(" when ").map_or(word, |(word, _)| word);
    Some(match word.trim_end_matches(" after cancel") {
        "completed" => completed(),
        "retry" => retry(MINUTE),
        "failed" => failed(),
        "cancelled" => cancelled(),
        "snoozed" => Outcome::Snoozed { delay: MINUTE },
        "rate limited" => Outcome::RateLimited { delay: MINUTE },
        "released" => Outcome::Released,
        "waits for a signal" => waits(WaitsFor::Signal("approve".into()), Some(MINUTE)),
        "waits for children" => waits(WaitsFor::Children, Some(MINUTE)),
        "waits for a person" => {
            let error = Some(AttemptError::new(ErrorKind::Error, "the last attempt failed"));
            Outcome::Waits { on: WaitsFor::Person, timeout: None, error }
        }
        unknown => panic!("the lifecycle has the outcome '{unknown}', which this walk does not know"),
    })
}
