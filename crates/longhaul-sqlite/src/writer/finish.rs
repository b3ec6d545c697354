use std::slice;

use longhaul::{
    Change, Cost, Finish, Json, Lease, LeaseStatus, NewJob, Outcome, Result, State, Timestamp, admit,
    lifecycle,
};
use rusqlite::{OptionalExtension, Row, params};

use super::enqueue::Room;
use super::groups::{Keyed, cost_of};
use super::keys::UniqueKey;
use super::run::{RunRow, held};
use super::write_tx::{Isolation, WriteTx};
use crate::error::fault;
use crate::limit_key::each_key;
use crate::row::{Columns, signed};

impl WriteTx<'_> {
    /// Ends runs; each stands alone but for faults of the file.
    pub(crate) fn finish(&mut self, finishes: &[Finish]) -> Result<Vec<LeaseStatus>> {
        finishes.iter().map(|finish| self.finish_or_fail(finish)).collect()
    }

    /// Ends a run. Where calls are kept apart, one whose end cannot be stored ends as failed for that reason: sent again
    /// it would fail again.
    fn finish_or_fail(&mut self, finish: &Finish) -> Result<LeaseStatus> {
        if self.isolation == Isolation::Together {
            return self.finish_one(finish);
        }
        match self.run_isolated(Isolation::Apart, |tx| tx.finish_one(finish))? {
            Ok(status) => Ok(status),
            Err(error) => self.fail_run(&finish.lease, &error),
        }
    }

    /// Ends a run as failed, because what its worker sent cannot be stored.
    pub(super) fn fail_run(&mut self, lease: &Lease, error: &longhaul::Error) -> Result<LeaseStatus> {
        tracing::error!(job = %lease.id, "{error}");
        let (entries, follow_ups) = (Vec::new(), Vec::new());
        let outcome = admit::refused(error);
        let failed = Finish { lease: lease.clone(), outcome, entries, follow_ups, cost: None };
        self.run_isolated(Isolation::Apart, |tx| tx.finish_one(&failed))?
    }

    fn finish_one(&mut self, finish: &Finish) -> Result<LeaseStatus> {
        let Finish { lease, outcome, entries, follow_ups, cost } = finish;
        if let Some(actual) = cost {
            self.settle_cost(lease, *actual).map_err(fault("settle a cost"))?;
        }
        let status = match outcome {
            Outcome::Completed { output } if entries.is_empty() => {
                self.complete(lease, output, follow_ups)?
            }
            outcome => {
                let Some(mut row) = self.find_lease(lease)? else { return self.status_without_run(lease) };
                if !entries.is_empty() {
                    self.append(&mut row, entries).map_err(fault("record"))?;
                }
                match outcome {
                    Outcome::Completed { output } => self.complete(lease, output, follow_ups)?,
                    outcome => self.end(lease, row, outcome)?,
                }
            }
        };
        self.settle()?;
        Ok(status)
    }

    /// Has the rates of a run's limit keys and queue count what it has taken in truth.
    fn settle_cost(&mut self, lease: &Lease, actual: u32) -> rusqlite::Result<()> {
        let found: Option<(String, String, Cost)> = self
            .connection
            .prepare_cached(include_str!("../sql/cost_of_run.sql"))?
            .query_row(params![lease.id.as_str(), signed(lease.token)], |row| {
                let mut columns = Columns::new(row);
                Ok((columns.next(), columns.next(), cost_of(columns.parsed())))
            })
            .optional()?;
        found.map_or(Ok(()), |(keys, queue, cost)| self.settle_rates(&keys, &queue, cost.rate, actual))
    }

    fn end(&mut self, lease: &Lease, row: RunRow, outcome: &Outcome) -> Result<LeaseStatus> {
        let status = row.status();
        let other = match self.pause_first(&row, outcome)? {
            None => self.awaits(row.seq, outcome).map_err(fault("look for what a run waits for"))?,
            paused => paused,
        };
        let next = lifecycle::finish(&row.run, other.as_ref().unwrap_or(outcome), self.now);
        self.end_run(&lease.id, row, next)?;
        Ok(status)
    }

    /// Pauses the first limit key of a run that came to its limit; for the run itself this is a snooze until the pause ends.
    fn pause_first(&mut self, row: &RunRow, outcome: &Outcome) -> Result<Option<Outcome>> {
        let first = row.limit_key.as_deref().and_then(|keys| each_key(keys).next());
        let (Outcome::RateLimited { delay }, Some(key)) = (outcome, first) else { return Ok(None) };
        let until = self.pause_key(key, *delay)?;
        Ok(Some(Outcome::Snoozed { delay: until.since(self.now) }))
    }

    fn complete(&mut self, lease: &Lease, output: &Json, follow_ups: &[NewJob]) -> Result<LeaseStatus> {
        let fault = fault("complete");
        if let Some(leased) = self.recall(signed(lease.token)) {
            let values =
                params![leased.seq, signed(lease.token), self.now.0, output.as_str(), lease.id.as_str()];
            let complete = match leased.held {
                None => &mut self.statements.complete_leased,
                Some(_) => &mut self.statements.complete_leased_keyed,
            };
            if complete.execute(values).map_err(&fault)? > 0 {
                let keyed = leased.held.as_ref().map(|(keys, held)| ended(keys, leased.seq, Some(*held)));
                let change = Change {
                    since: Some(leased.started_at),
                    ..self.change(&lease.id, &leased.kind, &leased.queue, leased.attempt)
                };
                return self.completed(
                    leased.seq,
                    change,
                    keyed.as_ref(),
                    None,
                    follow_ups,
                    LeaseStatus::Held,
                );
            }
        }
        let run = self
            .statements
            .completable
            .query_row(params![lease.id.as_str(), signed(lease.token)], read_completable)
            .optional()
            .map_err(&fault)?;
        let Some(run) = run else { return self.status_without_run(lease) };
        let seq = run.seq;
        let kept_from = self.key_ended(run.unique.as_ref(), seq, State::Completed).map_err(&fault)?;
        self.statements
            .complete
            .execute(params![seq, self.now.0, output.as_str(), kept_from.0])
            .map_err(&fault)?;
        if run.ends_at.is_some() {
            self.note_end(seq, None).map_err(&fault)?;
        }
        if run.steps > 0 {
            self.connection
                .prepare_cached(include_str!("../sql/forget_outputs_of_steps.sql"))
                .and_then(|mut update| update.execute([seq]))
                .map_err(&fault)?;
        }
        let change =
            Change { since: run.started_at, ..self.change(&lease.id, &run.kind, &run.queue, run.attempt) };
        let keys = run.limit_key.as_deref().or(run.held.map(|_| ""));
        let keyed = keys.map(|keys| ended(keys, seq, run.held));
        self.completed(seq, change, keyed.as_ref(), run.batch, follow_ups, held(run.cancel_by))
    }

    fn completed(
        &mut self,
        seq: i64,
        change: Change<'_>,
        keyed: Option<&Keyed<'_>>,
        batch: Option<i64>,
        follow_ups: &[NewJob],
        status: LeaseStatus,
    ) -> Result<LeaseStatus> {
        let change = Change { from: Some(State::Running), to: Some(State::Completed), ..change };
        self.moved(seq, &change, keyed).map_err(fault("complete"))?;
        self.notes.changed.push(change.id.clone());
        let mut stand_ins = lifecycle::StandIns::default();
        for job in follow_ups {
            // One by one: a follow-up that is there already, or whose key is another's, keeps no other back.
            self.enqueue_without_freeing(slice::from_ref(job), Room::Free, &mut stand_ins)?;
        }
        self.free_childless()?;
        self.ended(seq, batch, State::Completed);
        Ok(status)
    }
}

/// A running job, as far as its completion must know it.
struct Completable {
    seq: i64,
    queue: String,
    cancel_by: Option<i64>,
    batch: Option<i64>,
    kind: String,
    attempt: u32,
    started_at: Option<Timestamp>,
    steps: i64,
    limit_key: Option<String>,
    held: Option<i64>,
    ends_at: Option<Timestamp>,
    unique: Option<UniqueKey>,
}

/// A job that took slots and has completed: only what it took matters.
fn ended(keys: &str, seq: i64, held: Option<i64>) -> Keyed<'_> {
    Keyed { keys, seq, version: 0, rank: 0, cost: Cost::default(), held }
}

fn read_completable(row: &Row<'_>) -> rusqlite::Result<Completable> {
    let mut columns = Columns::new(row);
    Ok(Completable {
        seq: columns.next(),
        queue: columns.next(),
        cancel_by: columns.next(),
        batch: columns.next(),
        kind: columns.next(),
        attempt: columns.next(),
        started_at: columns.optional_time(),
        steps: columns.next(),
        limit_key: columns.next(),
        held: columns.next(),
        ends_at: columns.optional_time(),
        unique: UniqueKey::read(&mut columns),
    })
}
