use std::sync::LazyLock;

use service_support::Texts;

use crate::model::Bloom;

/// The verbs that outcomes are written with, by the level that they speak of.
static VERBS: LazyLock<Texts> = LazyLock::new(|| Texts::read(include_str!("verbs.txt")));

/// The level that a verb speaks of, where it is one of those that outcomes are written with.
pub(super) fn level_of(verb: &str) -> Option<Bloom> {
    let verb = verb.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let level = VERBS.iter().find(|(_, verbs)| verbs.split_whitespace().any(|known| known == verb))?.0;
    Bloom::ALL.into_iter().find(|known| known.as_str() == level)
}
