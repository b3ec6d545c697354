//! The part of a filter that scripts look at, and the part that whole jobs are held against.

use longhaul::{Condition, JobFilter, JobRecord, State, Term};

use crate::pack::Packer;

/// A filter whose terms have been moved to where scripts look, as far as these know what is asked for. The others are left.
#[derive(Debug)]
pub(crate) struct Narrowed {
    filter: JobFilter,
    limit_keys: Vec<String>,
}

/// The part of each job that a list reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    Whole,
    /// Without large outputs.
    Args,
    /// Without large args and outputs.
    Short,
    /// Only what names the job and its state.
    None,
}

impl Narrowed {
    /// `None` where no job can fit.
    pub(crate) fn new(filter: &JobFilter) -> Option<Self> {
        let labels = filter.labels.iter().cloned().map(|(name, value)| Condition::Label { name, value });
        let text = filter.text.iter().cloned().map(Condition::Text);
        let terms = labels.chain(text).map(|condition| Term { condition, negated: false });
        let bare = JobFilter { labels: Vec::new(), text: None, terms: Vec::new(), ..filter.clone() };
        let mut narrowed = Self { filter: bare, limit_keys: Vec::new() };
        filter.terms.iter().cloned().chain(terms).all(|term| narrowed.add(term)).then_some(narrowed)
    }

    /// Answers false where no job fits what was there and this term.
    fn add(&mut self, term: Term) -> bool {
        let filter = &mut self.filter;
        match (term.condition, term.negated) {
            (Condition::Id(id), false) => leave_only(&mut filter.ids, id),
            (Condition::State(state), false) => leave_only(&mut filter.states, state),
            (Condition::State(state), true) => {
                if filter.states.is_empty() {
                    filter.states = State::ALL.to_vec();
                }
                filter.states.retain(|other| *other != state);
                !filter.states.is_empty()
            }
            (Condition::Kind(kind), false) => leave_only(&mut filter.kinds, kind),
            (Condition::Queue(queue), false) => leave_only(&mut filter.queues, queue),
            (Condition::Parent(parent), false) => leave_only(&mut filter.parents, parent),
            // A job may have several, so that all but the first are looked for in the whole job.
            (Condition::Key(key), false) if self.limit_keys.is_empty() => {
                leave_only(&mut self.limit_keys, key)
            }
            (condition, negated) => {
                filter.terms.push(Term { condition, negated });
                true
            }
        }
    }

    /// The ids that are meant; none for any.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Vec<u8>> {
        self.filter.ids.iter().map(|id| id.as_str().as_bytes().to_vec())
    }

    /// Packs the part that scripts look at, as `matching.lua` reads it.
    pub(crate) fn packed(&self) -> Vec<u8> {
        let filter = &self.filter;
        let mut wanted = Packer::new();
        wanted.list(5).list(filter.states.len());
        for state in &filter.states {
            wanted.int(*state as i64);
        }
        let parents: Vec<String> = filter.parents.iter().map(|parent| parent.as_str().to_owned()).collect();
        for words in [&filter.kinds, &filter.queues, &parents, &self.limit_keys] {
            wanted.list(words.len());
            for word in words {
                wanted.text(word);
            }
        }
        wanted.done()
    }

    /// The part of each job that the terms which are left look at.
    pub(crate) fn looks_at(&self) -> Rows {
        let needs_args = |term: &Term| matches!(term.condition, Condition::Args { .. } | Condition::Text(_));
        match self.filter.terms.as_slice() {
            [] => Rows::None,
            terms if terms.iter().any(needs_args) => Rows::Args,
            _ => Rows::Short,
        }
    }

    /// True where a term that is left looks at something that changes: the args and the last error, and with these the state.
    pub(crate) fn may_change(&self) -> bool {
        let changes = |term: &Term| {
            matches!(term.condition, Condition::Args { .. } | Condition::Text(_) | Condition::Error(_))
        };
        self.filter.terms.iter().any(changes)
    }

    /// True for a job of which the terms are true that are left.
    pub(crate) fn fits(&self, job: &JobRecord) -> bool {
        self.filter.fits_terms(job)
    }
}

/// Leaves one of the words that are wanted, where none means any, and answers false where it is not among them.
fn leave_only<T: PartialEq>(wanted: &mut Vec<T>, word: T) -> bool {
    let is_wanted = wanted.is_empty() || wanted.contains(&word);
    *wanted = vec![word];
    is_wanted
}
