use async_trait::async_trait;

use super::row::{Row, bytes};
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle::{self, ImportedChild};
use crate::model::{Children, JobId, JobRecord, OnFailure, State};
use crate::moving::{
    Export, Exported, ExportedDependency, ExportedIdempotencyKey, ExportedJob, ExportedRemoval,
    ExportedSample, Holding, Imported, RECORDS_PER_PAGE,
};
use crate::store::Result;

/// All of a table at one moment: a store in memory may copy itself.
#[derive(Debug)]
pub(super) struct Copied(std::vec::IntoIter<Exported>);

#[async_trait]
impl Export for Copied {
    async fn next(&mut self) -> Result<Vec<Exported>> {
        Ok(self.0.by_ref().take(RECORDS_PER_PAGE).collect())
    }
}

impl Table {
    pub(super) fn export(&self, settings: Vec<Exported>, now: Timestamp) -> Copied {
        let mut records = settings;
        records.extend(self.rows.values().map(|row| Exported::Job(Box::new(self.exported(row, now)))));
        for (key, fingerprint, id, expires_at) in self.keys.promises(now) {
            let (key, fingerprint, id) = (key.to_owned(), fingerprint.to_owned(), id.clone());
            let key = ExportedIdempotencyKey { key, fingerprint, id, expires_at };
            records.push(Exported::IdempotencyKey(key));
        }
        for (id, until) in self.keys.gone(now) {
            records.push(Exported::Removed(ExportedRemoval { id: id.clone(), until }));
        }
        for (expires_at, sample) in self.samples.all(now) {
            let (sample, expires_at) = (sample.clone(), *expires_at);
            records.push(Exported::Sample(ExportedSample { sample, expires_at }));
        }
        Copied(records.into_iter())
    }

    fn exported(&self, row: &Row, now: Timestamp) -> ExportedJob {
        let hold = row.unique.as_ref().map(|(_, hold)| hold.clone()).unwrap_or_default();
        let held = row.unique.as_ref().and_then(|(key, _)| self.keys.held(key));
        let held = held.filter(|(seq, until)| *seq == row.seq && until.is_none_or(|until| until > now));
        // An id may have been given anew to a job that this one has nothing to do with.
        let is_known = |seq: u64, id: &JobId| self.ids.get(id) == Some(&seq);
        let dependency = |id: &JobId| {
            let settled = self.edges.is_settled(*self.ids.get(id)?, row.seq)?;
            Some(ExportedDependency { id: id.clone(), settled })
        };
        ExportedJob {
            job: row.record.clone(),
            hold,
            holds: held.map(|(_, until)| Holding { until: until.filter(|until| *until < Timestamp::MAX) }),
            counted: row.batch.zip(row.record.parent.as_ref()).is_some_and(|(seq, id)| is_known(seq, id)),
            dependencies: row.record.depends_on.iter().filter_map(|other| dependency(&other.id)).collect(),
            state_event: row.state_event,
            state_at: row.state_at,
            log_gap: row.gap,
            log: row.log.iter().cloned().collect(),
            steps: row.steps.clone(),
            cancel: None,
        }
    }

    /// Imports all but settings, which has been done.
    pub(super) fn import(
        &mut self,
        records: Vec<Exported>,
        settings: Vec<Option<Imported>>,
        now: Timestamp,
    ) -> Vec<Imported> {
        let created = |is_new: bool| if is_new { Imported::Created } else { Imported::Present };
        let import = |(record, done): (Exported, Option<Imported>)| match record {
            Exported::Queue(_) | Exported::Key(_) => done.unwrap_or(Imported::Present),
            Exported::Job(job) => self.import_job(*job, now),
            Exported::IdempotencyKey(promise) => {
                let is_new = self.keys.promised(&promise.key, now).is_none() && promise.expires_at > now;
                if is_new {
                    let ExportedIdempotencyKey { key, fingerprint, id, expires_at } = promise;
                    self.keys.promise_until(key, fingerprint, id, expires_at);
                }
                created(is_new)
            }
            Exported::Removed(ExportedRemoval { id, until }) => {
                let is_new = !self.ids.contains_key(&id) && !self.keys.is_gone(&id, now) && until > now;
                if is_new {
                    self.keys.remember_gone_until(id, until);
                }
                created(is_new)
            }
            Exported::Sample(ExportedSample { sample, expires_at }) => {
                created(expires_at > now && self.samples.put_until(sample, expires_at, now))
            }
        };
        records.into_iter().zip(settings).map(import).collect()
    }

    fn import_job(&mut self, mut exported: ExportedJob, now: Timestamp) -> Imported {
        let id = exported.job.id.clone();
        if self.ids.contains_key(&id) {
            return Imported::Present;
        }
        if self.keys.is_gone(&id, now) {
            return Imported::Removed;
        }
        exported.keep_dependencies(|id| self.ids.contains_key(id), now);
        let parent = exported.job.parent.as_ref().filter(|_| exported.counted);
        let parent = parent.and_then(|parent| self.ids.get(parent)).copied();
        let batch = parent.filter(|parent| self.import_child(*parent, exported.job.state, now));
        let (holds, cancel) = (exported.holds, exported.cancel);
        let on_failure = |id: &JobId| {
            let named = exported.job.depends_on.iter().find(|other| other.id == *id);
            named.map(|other| other.on_failure).unwrap_or_default()
        };
        let edges: Vec<(u64, OnFailure, bool)> = exported
            .dependencies
            .iter()
            .filter_map(|other| Some((*self.ids.get(&other.id)?, on_failure(&other.id), other.settled)))
            .collect();
        let seq = self.insert_imported(|seq| imported_row(seq, exported, batch), now);
        for (job, on_failure, is_settled) in &edges {
            self.edges.add(*job, seq, *on_failure, *is_settled);
        }
        if let Some(row) = self.rows.get_mut(&seq) {
            row.dependencies = edges.iter().map(|(job, ..)| *job).collect();
        }
        self.import_hold(seq, holds, now);
        // What has ended here since is counted now.
        for (job, _, is_settled) in edges {
            if !is_settled {
                self.settle_again(job, now);
            }
        }
        if let Some(reason) = cancel {
            self.change(seq, now, |row| row.cancel(reason, now));
            self.settle(now);
        }
        Imported::Created
    }

    /// Has a parent take an imported child. Answers whether it counts the child's end.
    fn import_child(&mut self, parent: u64, child: State, now: Timestamp) -> bool {
        let Some(row) = self.rows.get_mut(&parent) else { return false };
        let JobRecord { state, started_at, children, .. } = &row.record;
        match lifecycle::imported_child(child, *state, *started_at, children.as_ref(), row.expected_children)
        {
            ImportedChild::Expected => row.expected_children -= 1,
            ImportedChild::Ended => {}
            ImportedChild::Joins => drop(self.change(parent, now, |row| row.count_child(now))),
            ImportedChild::Apart => return false,
        }
        true
    }

    /// Gives a job its unique key again, unless another has it.
    fn import_hold(&mut self, seq: u64, holds: Option<Holding>, now: Timestamp) {
        let Some(Holding { until }) = holds else { return };
        let Some(row) = self.rows.get(&seq) else { return };
        let Some((key, _)) = row.unique.clone() else { return };
        let until = until.or(row.record.state.is_finished().then_some(Timestamp::MAX));
        if until.is_none_or(|until| until > now) && self.keys.holder(&key, now).is_none() {
            self.keys.hold_until(&key, seq, until);
        }
    }
}

fn imported_row(seq: u64, exported: ExportedJob, batch: Option<u64>) -> Row {
    let log_bytes = exported.log.iter().map(|event| bytes(&event.body)).sum();
    let dependencies_left = exported.dependencies_left().unwrap_or(0);
    let ExportedJob { job, hold, state_event, state_at, log_gap, log, steps, .. } = exported;
    let has_failed = !job.errors.is_empty() && !matches!(job.state, State::Completed | State::Cancelled);
    Row {
        seq,
        token: 0,
        unique: job.unique.as_ref().map(|unique| (unique.key.clone(), hold)),
        batch,
        expected_children: job.children.as_ref().map_or(0, Children::unfinished),
        dependencies: Vec::new(),
        dependencies_left,
        passed_over_until: None,
        lease_until: Timestamp::default(),
        cancel_by: None,
        state_event,
        failure_event: if has_failed { state_event } else { 0 },
        state_at,
        log: log.into(),
        log_bytes,
        gap: log_gap,
        steps,
        record: job,
    }
}
