use longhaul::{Entry, JobId, Json, SIGNAL_PREFIX, Signalled, State, StepRecord};

use super::ledger::{Job, Ledger};
use super::{SIGNALS, STEPS, Witness};

impl Job {
    /// The output of a step that the store has taken.
    pub(super) fn step(&self, name: &str) -> Option<&Json> {
        self.steps.iter().find(|(step, _)| step == name)?.1.as_ref()
    }

    /// The store has taken these entries. The first output of a step stays.
    pub(super) fn note_steps(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Step { name, output, .. } = entry {
                self.note_step(name, output);
            }
        }
    }

    fn note_step(&mut self, name: &str, output: &Json) {
        if self.steps.iter().all(|(step, _)| step != name) {
            self.steps.push((name.to_owned(), Some(output.clone())));
        }
    }
}

impl Ledger {
    /// The answer to a signal follows from the job's state and the signals before it.
    pub(super) fn check_signalled(&mut self, id: &JobId, name: &str, value: &Json, told: Signalled) {
        let step = format!("{SIGNAL_PREFIX}{name}");
        let job = self.jobs.get_mut(id).filter(|job| job.state.is_some());
        let expected = match &job {
            None => Signalled::Unknown,
            Some(job) if job.state.is_some_and(State::is_finished) => Signalled::Ended,
            Some(job) if job.steps.iter().any(|(known, _)| *known == step) => Signalled::Sent,
            Some(_) => Signalled::Accepted,
        };
        if told != expected {
            let how = format!("the signal {name} of {id} was answered {told:?}, and not {expected:?}");
            return self.break_promise(SIGNALS, how);
        }
        if let Some(job) = job.filter(|_| told == Signalled::Accepted) {
            *self.counts.entry("signals").or_default() += 1;
            if let Ok(output) = Json::parse(format!("{{\"value\":{}}}", value.as_str())) {
                job.note_step(&step, &output);
            }
        }
    }

    /// Checks that the steps in a claim are those that the job has done, in their order.
    pub(super) fn check_steps(&mut self, id: &JobId, told: Option<&[StepRecord]>) {
        let Some(job) = self.jobs.get(id) else { return };
        let known = job.state.map(|_| job.steps.iter().map(|(name, output)| (name, output)));
        let told_steps = told.map(|told| told.iter().map(|step| (&step.name, &step.output)));
        let is_right = match (known, told_steps) {
            (Some(known), Some(told)) => known.eq(told),
            (None, None) => true,
            _ => false,
        };
        if !is_right {
            let how = format!("{id} is told to have done {told:?}, and has done {:?}", job.steps);
            self.break_promise(STEPS, how);
        }
    }
}

impl Witness {
    /// The output of a step that the store has taken.
    pub(crate) fn step_output(&self, id: &JobId, name: &str) -> Option<Json> {
        self.ledger.lock().jobs.get(id)?.step(name).cloned()
    }
}
