use std::collections::{HashMap, HashSet};

use longhaul::lifecycle::{self, Next, Token};
use longhaul::{
    AttemptError, CancelReason, Change, Finish, JobId, Json, KEPT_ERRORS, Lease, LeaseStatus, NewJob,
    Outcome, Result, State, Timestamp, split_keys,
};

use tokio_postgres::Row;

use crate::bounds::Room;
use crate::finish_and_claim::{Ended, simple_output};
use crate::keyed::KeyReused;
use crate::record::{Run, held};
use crate::row::{signed, small};
use crate::write_tx::WriteTx;

pub(crate) const COMPLETE_SIMPLE: &str = include_str!("sql/complete_simple_jobs.sql");

impl WriteTx<'_> {
    /// Ends the runs of several calls; each run stands alone but for faults. Those in `ended` are ended already, and the
    /// others beside them are none that could be completed all at once.
    pub(crate) async fn finish_all(
        &mut self,
        calls: &[&[Finish]],
        ended: Option<&Ended>,
    ) -> Result<Vec<Vec<LeaseStatus>>> {
        let mut completed = match ended {
            None => self.complete_simple(calls).await?,
            Some(ended) => self.note_ended(calls, ended),
        };
        self.complete_children(calls, &mut completed).await?;
        let mut answers = Vec::with_capacity(calls.len());
        for (call, finishes) in calls.iter().enumerate() {
            let mut statuses = Vec::with_capacity(finishes.len());
            for (number, finish) in finishes.iter().enumerate() {
                // Each sees what became of those before it in its call.
                if number > 0 {
                    self.settle().await?;
                }
                if completed.get(&lease_key(&finish.lease)) == Some(&(call, number)) {
                    statuses.push(LeaseStatus::Held);
                } else {
                    self.limits.is_outdated = true;
                    statuses.push(self.finish_one(finish).await?);
                    self.count_ended_children().await?;
                }
            }
            answers.push(statuses);
        }
        self.settle().await?;
        Ok(answers)
    }

    /// Notes runs that one statement has ended, and counted; answers as [`complete_simple`](Self::complete_simple).
    fn note_ended<'f>(
        &mut self,
        calls: &[&'f [Finish]],
        ended: &Ended,
    ) -> HashMap<(&'f str, i64), (usize, usize)> {
        self.limits.has_opened |= ended.has_keys;
        self.effects.available.extend(ended.limited_queues.iter().cloned());
        let mut noted = HashMap::new();
        for (call, finishes) in calls.iter().enumerate() {
            for (number, finish) in finishes.iter().enumerate().filter(|(_, f)| ended.runs.contains(&f.lease))
            {
                self.effects.changed.push(finish.lease.id.clone());
                noted.insert(lease_key(&finish.lease), (call, number));
            }
        }
        noted
    }

    /// Completes, all at once, the runs of which nothing else is to be said. Answers those, by
    /// their leases. The others are looked at one by one.
    async fn complete_simple<'f>(
        &mut self,
        calls: &[&'f [Finish]],
    ) -> Result<HashMap<(&'f str, i64), (usize, usize)>> {
        let all = calls.iter().flat_map(|finishes| finishes.iter());
        let mut ends: HashMap<(&str, i64), usize> = HashMap::new();
        all.for_each(|finish| *ends.entry(lease_key(&finish.lease)).or_default() += 1);
        let mut simple: HashMap<(&str, i64), (usize, usize)> = HashMap::new();
        let mut leases: Vec<((&str, i64), &str)> = Vec::new();
        for (call, finishes) in calls.iter().enumerate() {
            for (number, finish) in finishes.iter().enumerate() {
                let Some(output) = simple_output(finish) else { continue };
                let key = lease_key(&finish.lease);
                // Of two ends of one run the first counts, so those are looked at in order.
                if ends.get(&key) == Some(&1) {
                    simple.insert(key, (call, number));
                    leases.push((key, output.as_str()));
                }
            }
        }
        if leases.is_empty() {
            return Ok(simple);
        }
        // Rows are always taken in one order, so that no two transactions wait for each other.
        leases.sort_unstable();
        let ids: Vec<&str> = leases.iter().map(|((id, _), _)| *id).collect();
        let tokens: Vec<i64> = leases.iter().map(|((_, token), _)| *token).collect();
        let outputs: Vec<&str> = leases.iter().map(|(_, output)| *output).collect();
        let rows = self.rows("complete", COMPLETE_SIMPLE, &[&ids, &tokens, &outputs, &self.now.0]).await?;
        let ended: HashSet<(&str, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        simple.retain(|(id, token), _| ended.contains(&(*id, *token)));
        self.note_completed(&rows);
        Ok(simple)
    }

    /// Completes, all at once, the runs that are left where all do nothing else but complete: their order means nothing then.
    async fn complete_children<'f>(
        &mut self,
        calls: &[&'f [Finish]],
        completed: &mut HashMap<(&'f str, i64), (usize, usize)>,
    ) -> Result<()> {
        // Nearly all calls: what is completed is of them, and at most one end is left.
        if calls.iter().map(|finishes| finishes.len()).sum::<usize>() < completed.len() + 2 {
            return Ok(());
        }
        let mut all: HashMap<(&str, i64), (usize, usize)> = HashMap::new();
        let mut left: Vec<((&str, i64), &str)> = Vec::new();
        for (call, finishes) in calls.iter().enumerate() {
            for (number, finish) in finishes.iter().enumerate() {
                let Some(output) = simple_output(finish) else { return Ok(()) };
                let key = lease_key(&finish.lease);
                // Of two ends of one run the first counts.
                if all.insert(key, (call, number)).is_some() {
                    return Ok(());
                }
                if !completed.contains_key(&key) {
                    left.push((key, output.as_str()));
                }
            }
        }
        if left.len() < 2 {
            return Ok(());
        }
        left.sort_unstable();
        let ids: Vec<&str> = left.iter().map(|((id, _), _)| *id).collect();
        let tokens: Vec<i64> = left.iter().map(|((_, token), _)| *token).collect();
        let outputs: Vec<&str> = left.iter().map(|(_, output)| *output).collect();
        let ending: Vec<&str> = all.keys().map(|(id, _)| *id).collect();
        let sql = include_str!("sql/complete_children.sql");
        let rows = self.rows("complete", sql, &[&ids, &tokens, &outputs, &self.now.0, &ending]).await?;
        let ended: HashSet<(&str, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        completed.extend(all.into_iter().filter(|((id, token), _)| ended.contains(&(*id, *token))));
        self.note_completed(&rows);
        for row in &rows {
            self.child_ended(row.get(8), State::Completed);
            self.has_ended_dependencies |= row.get::<_, bool>(9);
        }
        self.limits.is_outdated |= !rows.is_empty();
        self.count_ended_children().await
    }

    /// Notes runs that a statement has completed.
    fn note_completed(&mut self, rows: &[Row]) {
        for row in rows {
            let id = JobId::from_store(row.get(0));
            self.limits.has_opened |= row.get::<_, bool>(6);
            if row.get(7) {
                self.effects.available.insert(row.get(2));
            }
            self.moved(Change {
                id: &id,
                kind: row.get(3),
                queue: row.get(2),
                from: Some(State::Running),
                to: Some(State::Completed),
                attempt: small(row.get(4)),
                at: self.now,
                since: row.get::<_, Option<i64>>(5).map(Timestamp),
                error: None,
            });
            self.effects.changed.push(id);
        }
    }

    async fn finish_one(&mut self, finish: &Finish) -> Result<LeaseStatus> {
        let Finish { lease, outcome, entries, follow_ups, cost } = finish;
        let Some(mut run) = self.find_lease(lease).await? else { return self.repeated(lease).await };
        if let Some(units) = cost.filter(|_| run.limit_key.is_some() || run.is_limited) {
            let sql = include_str!("sql/note_rates.sql");
            self.rows("settle a run's cost", sql, &[&run.seq, &i64::from(units)]).await?;
            self.limits.has_opened = true;
        }
        if !entries.is_empty() {
            self.append(&mut run, entries).await?;
        }
        let status = held(run.cancel_by);
        if let Outcome::Completed { output } = outcome {
            self.complete(lease, run, output, follow_ups).await?;
            return Ok(status);
        }
        let outcome = self.pause_first_key(&run, outcome.clone()).await?;
        let outcome = self.counted_from_latest(self.awaits(&run, outcome).await?);
        let next = lifecycle::finish(&run.facts(), &outcome, self.now);
        self.end_run(lease, run, next).await?;
        Ok(status)
    }

    /// The answer to a finish whose lease is not current: one that has ended the job already is repeated after a lost
    /// answer, and is held without effect.
    async fn repeated(&self, lease: &Lease) -> Result<LeaseStatus> {
        let sql = include_str!("sql/has_ended.sql");
        let rows = self.rows("look a lease up", sql, &[&lease.id.as_str(), &signed(lease.token)]).await?;
        Ok(if rows.is_empty() { LeaseStatus::Lost } else { LeaseStatus::Held })
    }

    /// Pauses the first limit key of a run that came to its limit; for the run itself this is a snooze until the pause ends.
    async fn pause_first_key(&self, run: &Run, outcome: Outcome) -> Result<Outcome> {
        match (outcome, split_keys(run.limit_key.as_deref()).first()) {
            (Outcome::RateLimited { delay }, Some(key)) => {
                let until = self.pause_key(key, self.time.plus(delay).min(Timestamp::MAX)).await?;
                Ok(Outcome::Snoozed { delay: until.since(self.time.latest) })
            }
            (outcome, _) => Ok(outcome),
        }
    }

    /// An outcome whose delay, counted from the earliest time that it may be, ends when it does counted from the latest.
    fn counted_from_latest(&self, mut outcome: Outcome) -> Outcome {
        if let Outcome::Retry { delay, .. }
        | Outcome::Snoozed { delay }
        | Outcome::RateLimited { delay }
        | Outcome::Waits { timeout: Some(delay), .. } = &mut outcome
        {
            *delay = self.time.plus(*delay).since(self.time.earliest);
        }
        outcome
    }

    /// Notes that the end of a run gives the slots of its keys back, which a trigger counts, and those of its queue.
    fn gives_back(&mut self, run: &Run) {
        if run.is_limited {
            self.effects.available.insert(run.queue.clone());
        }
        if run.limit_key.is_some() {
            self.limits.has_opened = true;
            // What this transaction has folded in is without it.
            self.effects.fold_later |= self.limits.is_held();
        }
    }

    async fn complete(
        &mut self,
        lease: &Lease,
        run: Run,
        output: &Json,
        follow_ups: &[NewJob],
    ) -> Result<()> {
        self.gives_back(&run);
        let kept_from = run.hold.kept_from(State::Completed, self.now).0;
        let sql = include_str!("sql/complete_job.sql");
        let rows = self.rows("complete", sql, &[&run.seq, &self.now.0, &output.as_str(), &kept_from]).await?;
        self.note_awaited(&rows);
        if let Some(key) = &run.unique_key {
            self.let_go(key, run.seq, &run.hold, State::Completed).await?;
        }
        self.moved(run.end(&lease.id, State::Completed, self.now));
        self.effects.changed.push(lease.id.clone());
        // A follow-up that is there already, or whose key is another's, keeps no other back.
        if !follow_ups.is_empty() {
            self.enqueue_without_freeing(follow_ups, KeyReused::RefusesOne, Room::default()).await??;
        }
        self.free_childless().await?;
        self.child_ended(run.batch, State::Completed);
        Ok(())
    }

    /// Ends a run other than by completion: by its worker's word, a rescue, or the end of a cancel's grace.
    pub(crate) async fn end_run(&mut self, lease: &Lease, run: Run, next: Next) -> Result<()> {
        self.gives_back(&run);
        let finished = next.state.is_finished();
        if finished && let Some(key) = &run.unique_key {
            self.let_go(key, run.seq, &run.hold, next.state).await?;
        }
        let failure = next.error.as_ref().filter(|_| next.state != State::Cancelled);
        let error = failure.map(|error| error.message.as_str());
        let end = Change { attempt: next.attempt, error, ..run.end(&lease.id, next.state, self.now) };
        self.moved(end);
        let token = if next.token == Token::Kept { signed(lease.token) } else { 0 };
        let last_error = next.error.as_ref().map(|error| error.message.clone());
        let errors = match next.error {
            Some(error) => Some(with_error(run.errors.as_deref(), error)?),
            None => run.errors,
        };
        self.falls_due |= next.wakes_at.is_some_and(|at| at <= self.now);
        let waits_for = next.waits_for.as_ref().map(ToString::to_string);
        let ended = self
            .rows(
                "end a run",
                include_str!("sql/end_run.sql"),
                &[
                    &run.seq,
                    &next.state.as_str(),
                    &self.now.0,
                    &lifecycle::rank(next.run_at, run.priority),
                    &next.run_at.0,
                    &i64::from(next.attempt),
                    &i64::from(next.interruptions),
                    &i64::from(next.crashes),
                    &errors,
                    &last_error,
                    &finished.then_some(self.now.0),
                    &(run.last_event + signed(lifecycle::events_of(next.state))),
                    &token,
                    &next.cancel_reason.map(CancelReason::as_str),
                    &finished.then(|| run.hold.kept_from(next.state, self.now).0),
                    &waits_for,
                    &next.wakes_at.map(|at| at.0),
                ],
            )
            .await?;
        if finished {
            self.note_awaited(&ended);
            self.child_ended(run.batch, next.state);
        }
        self.effects.changed.push(lease.id.clone());
        Ok(())
    }
}

fn lease_key(lease: &Lease) -> (&str, i64) {
    (lease.id.as_str(), signed(lease.token))
}

/// A job's errors and one more, as JSON; the oldest beyond the last twenty are dropped.
fn with_error(errors: Option<&str>, error: AttemptError) -> Result<String> {
    // A column that cannot be read was written by no version of this: better to lose it than the new error.
    let mut errors: Vec<AttemptError> =
        errors.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    errors.push(error);
    let surplus = errors.len().saturating_sub(KEPT_ERRORS);
    errors.drain(..surplus);
    Ok(Json::new(&errors)?.as_str().to_owned())
}
