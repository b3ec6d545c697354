use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle::{self, Deed};
use crate::model::{Acted, Action, JobFilter, Json, State};

impl Table {
    pub(super) fn act(&mut self, filter: &JobFilter, action: &Action, limit: usize, now: Timestamp) -> Acted {
        let meant: Vec<u64> = self.matching(filter).map(|row| row.seq).collect();
        let mut acted = Acted { complete: true, ..Acted::default() };
        for seq in meant {
            if acted.done == limit as u64 {
                return Acted { complete: false, ..acted };
            }
            // One after the other: of two failed jobs with one unique key, the first retry takes the key, and the last
            // child that is cancelled frees its closing job, which may fit no more.
            if self.rows.get(&seq).is_some_and(|row| filter.fits(&row.record)) {
                acted.matched += 1;
                acted.done += u64::from(self.act_on(seq, action, now));
            }
        }
        acted
    }

    /// Does it to one job. Answers whether it applied.
    fn act_on(&mut self, seq: u64, action: &Action, now: Timestamp) -> bool {
        let Some(row) = self.rows.get(&seq) else { return false };
        match lifecycle::act(row.record.state, row.record.waits_for.as_ref(), action) {
            Deed::Nothing => return false,
            Deed::AskToStop(grace, reason) => {
                return self.change(seq, now, |row| row.ask_to_stop(grace, reason, now)) == Some(true);
            }
            Deed::Cancel(reason) => {
                self.change(seq, now, |row| row.cancel(reason, now));
                self.settle(now);
            }
            Deed::StartAnew => {
                let args = if let Action::RetryWith { args } = action { Some(args) } else { None };
                return self.retry(seq, args, None, now);
            }
            Deed::StartFromStep => {
                let Action::RetryFrom { step, args } = action else { return false };
                return row.has_step(step) && self.retry(seq, args.as_ref(), Some(step), now);
            }
            Deed::Remove => self.remove(seq, now),
            Deed::SetPriority(priority) if priority == row.record.priority => return false,
            Deed::SetPriority(priority) => {
                self.change(seq, now, |row| {
                    row.record.priority = priority;
                    row.renew_state_event(now);
                });
            }
        }
        true
    }

    fn retry(&mut self, seq: u64, args: Option<&Json>, from: Option<&str>, now: Timestamp) -> bool {
        if let Some(row) = self.rows.get(&seq)
            && let Some((key, _)) = &row.unique
        {
            if self.keys.holder(key, now).is_some_and(|holder| holder != seq) {
                return false;
            }
            self.keys.hold(row);
        }
        let was = self.rows.get(&seq).map(|row| (row.batch, row.record.state));
        self.change(seq, now, |row| row.begin_anew(args, from, now));
        if let Some((Some(batch), outcome)) = was.filter(|(_, state)| state.is_finished()) {
            self.change(batch, now, |row| row.uncount_end(outcome, now));
        }
        true
    }
}

impl Row {
    /// Makes a job available with all its attempts. Its errors stay as history, and so do the steps before the one that it is
    /// to begin from; where none is named, those of a job that did not complete and keeps its args.
    fn begin_anew(&mut self, args: Option<&Json>, from: Option<&str>, now: Timestamp) {
        let begin = self.steps.iter().position(|step| Some(step.name.as_str()) == from);
        match begin {
            Some(begin) => self.steps.truncate(begin),
            None if self.record.state == State::Completed || args.is_some() => self.steps.clear(),
            None => {}
        }
        if let Some(args) = args {
            self.record.args = args.clone();
        }
        self.record.attempt = 0;
        self.record.crashes = 0;
        self.record.output = None;
        self.record.progress = None;
        self.record.finished_at = None;
        self.record.expires_at = None;
        self.record.deadline = None;
        self.token = 0;
        self.wait_until(now, now);
    }
}
