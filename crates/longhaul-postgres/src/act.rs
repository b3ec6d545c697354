use std::collections::{BTreeSet, HashMap};

use longhaul::lifecycle::{self, Deed};
use longhaul::{Acted, Action, Change, GONE_FOR, JobFilter, Json, Payloads, Result, State};

use crate::error::key_locked;
use crate::read::{Candidate, Values, conditions, references};
use crate::row::{job_columns, job_record};
use crate::target::Target;
use crate::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Applies an action to those of `jobs` that still fit the filter, and answers how many these are and how many it
    /// changed.
    pub(crate) async fn act(
        &mut self,
        jobs: &[Candidate],
        filter: &JobFilter,
        action: &Action,
    ) -> Result<Acted> {
        let mut targets = self.targets(jobs, filter).await?;
        let mut acted = Acted::default();
        // Jobs that are to be cancelled next, all at once.
        let mut cancelled = Together::default();
        for job in jobs {
            let Some(mut target) = targets.remove(job.id.as_str()) else { continue };
            if !cancelled.may_have(&target, action) {
                self.cancel_together(&mut cancelled, action).await?;
            }
            // One that came earlier has freed or cancelled it: it may fit the filter no more.
            if self.touched.contains(&target.seq) {
                match self.targets(std::slice::from_ref(job), filter).await?.remove(job.id.as_str()) {
                    Some(freed) => target = freed,
                    None => continue,
                }
            }
            acted.matched += 1;
            let applied = match lifecycle::act(target.state, target.waits_for.as_ref(), action) {
                Deed::Nothing => false,
                Deed::SetPriority(priority) if priority == target.priority => false,
                Deed::SetPriority(priority) => {
                    let rank = lifecycle::rank(target.run_at, priority);
                    let sql = include_str!("sql/set_priority.sql");
                    let values = (i64::from(priority), self.now.0);
                    self.rows("set a priority", sql, &[&target.seq, &values.1, &values.0, &rank]).await?;
                    if target.state == State::Available {
                        // Those behind it that take fewer slots may go before it now, or it before them.
                        self.effects.available.insert(target.queue.clone());
                    }
                    true
                }
                Deed::AskToStop(grace, reason) => self.ask_to_stop(&target, grace, reason).await?,
                Deed::Cancel(_) => {
                    acted.done += 1;
                    cancelled.push(target);
                    continue;
                }
                Deed::StartAnew => {
                    let args = if let Action::RetryWith { args } = action { Some(args) } else { None };
                    self.start_anew(&target, args, None).await?
                }
                Deed::StartFromStep => match action {
                    Action::RetryFrom { step, args } if self.has_step(target.seq, step).await? => {
                        self.start_anew(&target, args.as_ref(), Some(step)).await?
                    }
                    _ => false,
                },
                Deed::Remove => self.remove(&target).await?,
            };
            if applied {
                acted.done += 1;
                self.effects.changed.push(target.id.clone());
                self.settle().await?;
            }
        }
        self.cancel_together(&mut cancelled, action).await?;
        Ok(acted)
    }

    /// Cancels jobs that wait, and lets others count their ends.
    async fn cancel_together(&mut self, together: &mut Together, action: &Action) -> Result<()> {
        let Together { targets, .. } = std::mem::take(together);
        let Action::Cancel { reason, .. } = action else { return Ok(()) };
        if targets.is_empty() {
            return Ok(());
        }
        self.cancel_all(&targets, *reason).await?;
        self.settle().await
    }

    /// Locks the jobs that fit now, whatever they did when they were looked for: the lock is taken where the filter is
    /// checked, so nothing changes between the check and the write.
    async fn targets(&self, jobs: &[Candidate], filter: &JobFilter) -> Result<HashMap<String, Target>> {
        let ids: Vec<String> = jobs.iter().map(|job| job.id.as_str().to_owned()).collect();
        let mut values: Values = vec![Box::new(ids)];
        let conditions = conditions(filter, &mut values)?;
        let sql = include_str!("sql/jobs_for_action.sql").replace("{conditions}", &conditions);
        let rows = self.rows_unprepared("look jobs up", &sql, &references(&values)).await?;
        let targets = rows.iter().map(Target::read_with_wait);
        let mut targets: HashMap<String, Target> =
            targets.map(|target| (target.id.as_str().to_owned(), target)).collect();
        if !filter.terms.is_empty() {
            self.keep_to_terms(jobs, filter, &mut targets).await?;
        }
        Ok(targets)
    }

    /// Leaves out jobs of which the filter's terms are not true any more. All that terms look at changes with a new number
    /// of the state's event, so that only jobs which have one since they were looked for are read.
    async fn keep_to_terms(
        &self,
        jobs: &[Candidate],
        filter: &JobFilter,
        targets: &mut HashMap<String, Target>,
    ) -> Result<()> {
        let sql = format!("SELECT {} FROM jobs WHERE seq = $1", job_columns(Payloads::Whole));
        for job in jobs {
            let Some(target) = targets.get(job.id.as_str()) else { continue };
            if (target.seq, target.state_event) == (job.seq, job.state_event) {
                continue;
            }
            let rows = self.rows_unprepared("look a job up", &sql, &[&target.seq]).await?;
            if !rows.first().is_some_and(|row| filter.fits_terms(&job_record(row).0)) {
                targets.remove(job.id.as_str());
            }
        }
        Ok(())
    }

    /// Starts a job anew, from a step where one is named. Refused where another job holds its unique key.
    async fn start_anew(&mut self, target: &Target, args: Option<&Json>, from: Option<&str>) -> Result<bool> {
        if let Some(key) = &target.unique_key {
            if !self.try_lock_keys(&[format!("u{key}")]).await?.is_empty() {
                return Err(key_locked());
            }
            let holder = self.unique_holders(&[key]).await?.remove(key);
            if holder.is_some_and(|holder| holder.seq != target.seq) {
                return Ok(false);
            }
            let until = target.hold.before_end().map(|until| until.0);
            self.hold_unique_keys(&[key], &[target.seq], &[until]).await?;
        }
        if let Some(step) = from {
            let sql = include_str!("sql/forget_steps_from.sql");
            self.rows("retry", sql, &[&target.seq, &step]).await?;
        } else if target.state == State::Completed || args.is_some() {
            self.rows("retry", include_str!("sql/forget_steps.sql"), &[&target.seq]).await?;
        }
        let rank = lifecycle::rank(self.now, target.priority);
        let args = args.map(Json::as_str);
        let sql = include_str!("sql/retry_job.sql");
        self.rows("retry", sql, &[&target.seq, &self.now.0, &rank, &args]).await?;
        self.moved(Change { attempt: 0, ..target.change(Some(State::Available), self.now) });
        if target.state.is_finished() {
            self.uncount_end(target.batch, target.state).await?;
        }
        Ok(true)
    }

    async fn remove(&mut self, target: &Target) -> Result<bool> {
        let forgotten = self.now.plus(GONE_FOR).0;
        self.rows("delete", include_str!("sql/delete_job.sql"), &[&target.seq, &forgotten]).await?;
        self.moved(target.change(None, self.now));
        Ok(true)
    }
}

/// Jobs that wait and are cancelled in one go, where that is the same as one after the other.
#[derive(Default)]
struct Together {
    targets: Vec<Target>,
    parents: BTreeSet<i64>,
}

impl Together {
    /// True where the ends of those before mean nothing to a job, nor its own to those behind it. One that waits for some of them
    /// is looked at once they are counted.
    fn may_have(&self, target: &Target, action: &Action) -> bool {
        let is_waiting = !matches!(target.state, State::Running) && !target.state.is_finished();
        let is_linked = |job: &Target| job.is_awaited || job.unique_key.is_some();
        matches!(action, Action::Cancel { .. })
            && is_waiting
            && !is_linked(target)
            && !self.targets.last().is_some_and(is_linked)
            && !self.parents.contains(&target.seq)
    }

    fn push(&mut self, target: Target) {
        self.parents.extend(target.batch);
        self.targets.push(target);
    }
}
