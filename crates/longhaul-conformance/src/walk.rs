//! A walk through the whole life of a job: every state × every event, compared with [`longhaul::lifecycle`]. A store that
//! decides for itself drifts from it, and fails here.

use std::time::Duration;

use longhaul::lifecycle::{self, Next, Run, Token, Transition};
use longhaul::{
    Action, CancelReason, Claim, Deadline, JobId, JobRecord, KeyConfig, Lease, LeaseStatus, Lookup, NewJob,
    OnClash, OnFull, Outcome, Start, State, Unique,
};

use crate::Fixture;
use crate::fixture::{ok, within};
use crate::jobs::{HOUR, LEASE, QUEUE, cancelled, claim, completed, failed, job, retry};

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
            State::Blocked => self.enqueue_with_a_child(new).await,
            // Its claim is in the hands of the event, which drops it.
            State::Running if row.by.starts_with("claim taken back") => {
                self.fx.enqueue(new).await;
                self.claim().await;
            }
            _ => {
                self.fx.enqueue(new).await;
                match from {
                    State::Available => {}
                    State::Cancelled => self.outside(Action::cancel(GRACE)).await,
                    State::Running => self.claim().await,
                    ended => {
                        self.claim().await;
                        self.finish(if ended == State::Completed { completed() } else { failed() }).await;
                    }
                }
            }
        }
    }

    /// Makes the event of a row happen, whether or not it applies.
    async fn happens(&mut self, by: &str) {
        if let Some(outcome) = outcome(by) {
            if by.ends_with("after cancel") {
                self.outside(Action::cancel(GRACE)).await;
            }
            return self.finish(outcome).await;
        }
        match by {
            "enqueue" => self.enqueue(Start::Now).await,
            "enqueue with a delay" => self.enqueue(Start::After(MINUTE)).await,
            "enqueue to start after its children" => self.enqueue_with_a_child(self.job()).await,
            "enqueue, dropped as the newest" => {
                self.bound(OnFull::DropNewest).await;
                self.fx.enqueue(self.other()).await;
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
            "retry" => self.outside(Action::Retry).await,
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
        let child = NewJob {
            id: Some(self.child()),
            parent: Some(self.id.clone()),
            queue: "children".into(),
            ..job()
        };
        self.fx.enqueue_all(vec![closing, child]).await;
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
        self.fx.act(&self.child(), Action::cancel(Duration::ZERO)).await;
        self.fx.act(&self.other_id(), Action::cancel(Duration::ZERO)).await;
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
    Some(match word.trim_end_matches(" after cancel") {
        "completed" => completed(),
        "retry" => retry(MINUTE),
        "failed" => failed(),
        "cancelled" => cancelled(),
        "snoozed" => Outcome::Snoozed { delay: MINUTE },
        "rate limited" => Outcome::RateLimited { delay: MINUTE },
        "released" => Outcome::Released,
        unknown => panic!("the lifecycle has the outcome '{unknown}', which this walk does not know"),
    })
}
