use std::collections::{BTreeMap, BTreeSet};

use longhaul::lifecycle::prefer::fits;
use longhaul::testing::{Answer, Call};
use longhaul::{Claim, Claimed, EnqueueStatus, Finish, Json, Lease, LeaseStatus, Outcome, State, Timestamp};

use super::ledger::Ledger;
use super::{CLAIMS, FENCED, PREFERS, STEPS};

/// The leases of a call as they stood before it.
#[derive(Default)]
pub(super) struct Before(Vec<Standing>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is the current one.
    Current,
    /// A finish with it has ended the job, which has not been begun anew.
    Ended,
    /// It is an old one.
    Old,
    /// Another lease of the call is of the same job, so nothing is known.
    Unknown,
}

impl Ledger {
    pub(super) fn before(&self, call: &Call) -> Before {
        let leases: Vec<&Lease> = match call {
            Call::Heartbeat(_, leases, _) => leases.iter().collect(),
            Call::Record(records) => records.iter().map(|record| &record.lease).collect(),
            _ => call.finishes().iter().map(|finish| &finish.lease).collect(),
        };
        let mut seen = BTreeSet::new();
        let standing = |lease: &&Lease| match seen.insert(lease.id.clone()) {
            true => self.standing(lease),
            false => Standing::Unknown,
        };
        Before(leases.iter().map(standing).collect())
    }

    fn standing(&self, lease: &Lease) -> Standing {
        let Some(job) = self.jobs.get(&lease.id) else { return Standing::Old };
        match job.state {
            Some(State::Running) if job.token == lease.token => Standing::Current,
            Some(state) if state.is_finished() && job.ended_by == Some(lease.token) => Standing::Ended,
            _ => Standing::Old,
        }
    }

    pub(super) fn check_answer(&mut self, call: &Call, answer: &mut Answer, before: &Before, now: Timestamp) {
        let statuses = answer.statuses().to_vec();
        match call {
            Call::Enqueue(jobs) => {
                if let Answer::Enqueued(enqueued) = &*answer {
                    self.check_enqueued(jobs, enqueued, now);
                    let given = jobs.iter().zip(enqueued);
                    let given = given.filter(|(_, answer)| answer.status == EnqueueStatus::Duplicate);
                    let stand_ins =
                        given.filter_map(|(job, answer)| Some((job.id.clone()?, answer.id.clone())));
                    self.resolve(&stand_ins.collect::<Vec<_>>());
                }
            }
            Call::Heartbeat(_, leases, lease_for) => {
                self.check_fence(leases.iter(), &statuses, before);
                for (lease, status) in leases.iter().zip(&statuses) {
                    if let Some(job) = self.jobs.get_mut(&lease.id)
                        && *status != LeaseStatus::Lost
                    {
                        job.lease_until = now.plus(*lease_for);
                    }
                }
            }
            // One whose entries cannot be kept is ended; the jobs of a run say nothing of the sort.
            Call::Record(records) => {
                self.check_fence(records.iter().map(|record| &record.lease), &statuses, before);
                for (record, _) in
                    records.iter().zip(&statuses).filter(|(_, status)| **status != LeaseStatus::Lost)
                {
                    if let Some(job) = self.jobs.get_mut(&record.lease.id) {
                        job.note_steps(&record.entries);
                    }
                }
            }
            Call::Signal(id, name, value) => {
                if let Answer::Signalled(told) = answer {
                    self.check_signalled(id, name, value, *told);
                }
            }
            Call::Steps(id) => {
                if let Answer::Steps(told) = &*answer {
                    self.check_steps(id, told.as_deref());
                }
            }
            _ => {}
        }
        if !call.finishes().is_empty() {
            self.resolve(&[]);
            self.check_fence(call.finishes().iter().map(|finish| &finish.lease), &statuses, before);
            for ((finish, status), standing) in call.finishes().iter().zip(&statuses).zip(&before.0) {
                self.note_finish(finish, *status, *standing, now);
            }
        }
        if let Some(claim) = call.claim() {
            self.check_claimed(claim, answer.claimed(), now);
        }
    }

    fn check_fence<'l>(
        &mut self,
        leases: impl Iterator<Item = &'l Lease>,
        statuses: &[LeaseStatus],
        before: &Before,
    ) {
        for ((lease, status), standing) in leases.zip(statuses).zip(&before.0) {
            let is_lost = *status == LeaseStatus::Lost;
            let is_wrong = match standing {
                Standing::Current => is_lost,
                Standing::Old => !is_lost,
                Standing::Ended | Standing::Unknown => false,
            };
            if is_wrong {
                let job = self.jobs.get(&lease.id);
                let now = job.map(|job| (job.state, job.token));
                let how = format!(
                    "token {} of {}, which was {standing:?}, was answered {status:?}; the job is {now:?}",
                    lease.token, lease.id
                );
                self.break_promise(FENCED, how);
            }
        }
    }

    fn note_finish(&mut self, finish: &Finish, status: LeaseStatus, standing: Standing, now: Timestamp) {
        // The token of a claim whose answer broke off is unknown until the store honours it.
        if status == LeaseStatus::Lost || !matches!(standing, Standing::Current | Standing::Unknown) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&finish.lease.id) else { return };
        if job.state.is_some_and(State::is_finished) {
            job.ended_by = Some(finish.lease.token);
        }
        if let Outcome::RateLimited { delay } = finish.outcome
            && let Some(key) = job.spec.limit_keys.first().cloned()
        {
            self.limits.pause(&key, delay, now);
        }
    }

    fn check_claimed(&mut self, claim: &Claim, claimed: &[Claimed], now: Timestamp) {
        for queue in &claim.queues {
            let given = claimed.iter().filter(|job| job.queue == queue.queue).count();
            if given > queue.slots {
                let how = format!("{given} jobs of {} were given to {} slots", queue.queue, queue.slots);
                self.break_promise(CLAIMS, how);
            }
        }
        for job in claimed {
            let (id, token) = (&job.lease.id, job.lease.token);
            let is_asked = claim.queues.iter().any(|queue| queue.queue == job.queue)
                && claim.kinds.iter().any(|kind| kind.kind == job.kind && job.version <= kind.version);
            let is_new = self.tokens.insert(token);
            let Some(known) = self.jobs.get_mut(id) else { continue };
            let is_running = known.state == Some(State::Running);
            if !is_asked || !is_new || !is_running {
                let how = format!(
                    "{id} of {} and {} was claimed with token {token}, which was {}; it is {:?}",
                    job.queue,
                    job.kind,
                    if is_new { "new" } else { "used" },
                    known.state
                );
                return self.break_promise(CLAIMS, how);
            }
            // Nothing is due before it is created.
            let fits = fits(known.spec.prefer.as_ref(), &claim.worker.labels, known.created_at);
            if !fits.at(now) {
                let how = format!(
                    "{id} prefers {:?} and was created at {}, and {} with the labels {:?} was given it at {}",
                    known.spec.prefer, known.created_at.0, claim.worker.id, claim.worker.labels, now.0
                );
                return self.break_promise(PREFERS, how);
            }
            known.token = token;
            known.lease_until = now.plus(claim.lease_for);
            let kept = known.steps.iter().filter_map(|(name, output)| Some((name, output.as_ref()?)));
            let kept: BTreeMap<&String, &Json> = kept.collect();
            if !kept.iter().map(|(name, output)| (*name, *output)).eq(&job.steps) {
                let how = format!("{id} was claimed with the steps {:?}, and has done {kept:?}", job.steps);
                self.break_promise(STEPS, how);
            }
        }
    }
}
