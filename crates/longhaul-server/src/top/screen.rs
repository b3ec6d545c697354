//! The state of the screen: its view, and what is chosen there.

use super::data::Snapshot;
use crate::client::{Job, Queue, State};
use crate::jobs::search::{Fields, Search};

/// The state of the program.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    /// The address of what is watched.
    pub(super) place: String,
    pub(super) now: Snapshot,
    /// Jobs that ended per second, by the last looks; the newest last.
    pub(super) rates: Vec<u64>,
    pub(super) completed_per_second: f64,
    pub(super) failed_per_second: f64,
    pub(super) list: List,
    /// The chosen row of each list.
    pub(super) chosen: [usize; 3],
    pub(super) mode: Mode,
    /// The last line: what was done, or what is wrong.
    pub(super) message: String,
    words: Vec<String>,
}

/// A list on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Queues,
    Running,
    Failed,
}

impl List {
    pub(super) const ALL: [List; 3] = [List::Queues, List::Running, List::Failed];

    pub(super) fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % 3]
    }

    pub(super) fn previous(self) -> Self {
        Self::ALL[(self as usize + 2) % 3]
    }
}

/// The deeds of keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mode {
    Normal,
    Help,
    /// Writes a search.
    Search(String),
    /// Asks for a yes.
    Confirm(super::keys::Deed),
}

/// The looks whose rates are kept: a minute of them.
const RATES: usize = 60;

impl Screen {
    pub(super) fn new(place: String, words: Vec<String>) -> Self {
        Self {
            place,
            now: Snapshot::default(),
            rates: Vec::new(),
            completed_per_second: 0.0,
            failed_per_second: 0.0,
            list: List::Queues,
            chosen: [0; 3],
            mode: Mode::Normal,
            message: String::new(),
            words,
        }
    }

    /// The search that the lists are narrowed to.
    pub(super) fn search(&self) -> Search {
        Search::new(Fields::default(), self.words.clone())
    }

    pub(super) fn words(&self) -> String {
        self.words.join(" ")
    }

    pub(super) fn set_words(&mut self, words: &str) {
        self.words = if words.trim().is_empty() { Vec::new() } else { vec![words.trim().to_owned()] };
    }

    pub(super) fn tell(&mut self, message: String) {
        self.message = message;
    }

    /// Takes a new look over, and answers whether anything has happened since the last one.
    pub(super) fn take(&mut self, next: Snapshot) -> bool {
        let before = std::mem::replace(&mut self.now, next);
        let now = &self.now;
        let has_changed = State::ALL.into_iter().any(|state| before.sum(state) != now.sum(state));
        let seconds = now.at.since(before.at).as_secs_f64();
        if before.at.0 > 0 && seconds > 0.0 {
            // What is pruned between two looks would count as less than nothing.
            let rate = |state| now.sum(state).saturating_sub(before.sum(state)) as f64 / seconds;
            self.completed_per_second = rate(State::Completed);
            self.failed_per_second = rate(State::Failed);
            self.rates.push((self.completed_per_second + self.failed_per_second).round() as u64);
            if self.rates.len() > RATES {
                self.rates.remove(0);
            }
        }
        for list in List::ALL {
            let last = self.rows(list).saturating_sub(1);
            self.chosen[list as usize] = self.chosen[list as usize].min(last);
        }
        has_changed || !self.now.running.is_empty()
    }

    pub(super) fn rows(&self, list: List) -> usize {
        match list {
            List::Queues => self.now.queues.len(),
            List::Running => self.now.running.len(),
            List::Failed => self.now.failed.len(),
        }
    }

    pub(super) fn step(&mut self, down: isize) {
        let last = self.rows(self.list).saturating_sub(1);
        let chosen = &mut self.chosen[self.list as usize];
        *chosen = chosen.saturating_add_signed(down).min(last);
    }

    /// The chosen job, where a list of jobs is chosen.
    pub(super) fn job(&self) -> Option<&Job> {
        let jobs = match self.list {
            List::Queues => return None,
            List::Running => &self.now.running,
            List::Failed => &self.now.failed,
        };
        jobs.get(self.chosen[self.list as usize])
    }

    /// The chosen queue, or that of the chosen job.
    pub(super) fn queue(&self) -> Option<&Queue> {
        match self.list {
            List::Queues => self.now.queues.get(self.chosen[0]),
            List::Running | List::Failed => {
                let job = self.job()?;
                self.now.queues.iter().find(|queue| queue.name == job.queue)
            }
        }
    }
}
