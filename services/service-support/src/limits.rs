use longhaul::{Context, MAX_UNITS, NewJob};

use crate::llm::Tokens;

/// The limit key of an outside system: `provider:openai`. Jobs of all services that ask the system carry it.
#[must_use]
pub fn provider_key(name: &str) -> String {
    format!("provider:{name}")
}

/// The job under the limit key of the outside system that it asks, at `units` of the key's rate; as it is where it asks none.
#[must_use]
pub fn limited(mut job: NewJob, key: Option<&str>, units: u64) -> NewJob {
    if let Some(key) = key {
        job.limit_keys.push(key.to_owned());
        job.policy.cost.rate = at_most(units).max(1);
    }
    job
}

/// Counts the tokens of a run, which count in place of its estimated cost from its end on, however that comes. A run that has asked
/// nobody, because a former attempt kept the answers, gives back all that its start has reserved.
#[derive(Debug)]
pub struct Settling<'a, S> {
    cx: &'a Context<S>,
    /// The counter that the calls of the run count with.
    pub tokens: Tokens,
}

impl<'a, S> Settling<'a, S> {
    /// Begins to count. Kept for as long as the run.
    #[must_use]
    pub fn new(cx: &'a Context<S>) -> Self {
        Self { cx, tokens: Tokens::default() }
    }
}

impl<S> Drop for Settling<'_, S> {
    fn drop(&mut self) {
        self.cx.settle(at_most(self.tokens.taken()));
    }
}

/// As many units as a cost may have.
fn at_most(units: u64) -> u32 {
    u32::try_from(units).map_or(MAX_UNITS, |units| units.min(MAX_UNITS))
}
