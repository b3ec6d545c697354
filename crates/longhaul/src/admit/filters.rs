use crate::model::{Condition, JobFilter, KeyFilter};
use crate::store::{Error, Result};

/// The most ids, states, kinds, queues and parents of a filter of jobs together: each is a parameter of a statement, which takes
/// a bounded number of them.
pub const MAX_FILTER_VALUES: usize = 15_000;
/// The most labels and terms of a filter of jobs together: each is a condition of a statement, which is nested a bounded number of
/// times.
pub const MAX_FILTER_CONDITIONS: usize = 600;
/// The most bytes of a word of a filter of jobs: a statement looks for no longer text.
pub const MAX_FILTER_WORD_BYTES: usize = 16 * 1024;

/// Checks the number of a filter's values, and its words.
///
/// # Errors
/// [`Error::Invalid`] for more of them than a store can be asked for at once, and for a word that none can be asked for.
pub fn filter(filter: &JobFilter) -> Result<()> {
    let JobFilter { ids, states, kinds, queues, parents, labels, terms, .. } = filter;
    let values = ids.len() + states.len() + kinds.len() + queues.len() + parents.len();
    let conditions = labels.len() + terms.len();
    for (what, count, most) in [
        ("ids, states, kinds, queues and parents", values, MAX_FILTER_VALUES),
        ("labels and terms", conditions, MAX_FILTER_CONDITIONS),
    ] {
        if count > most {
            let reason = format!("must have at most {most} {what}, and has {count}");
            return Err(Error::Invalid { field: "filter".into(), reason });
        }
    }
    let names = filter.kinds.iter().chain(&filter.queues).map(|name| ("filter.kinds", name.as_str()));
    let labels = filter.labels.iter().flat_map(|(label, value)| [label.as_str(), value.as_str()]);
    let labels = labels.map(|word| ("filter.labels", word));
    let text = filter.text.iter().map(|text| ("filter.text", text.as_str()));
    let terms = filter.terms.iter().flat_map(|term| words_of(&term.condition));
    let terms = terms.map(|word| ("filter.terms", word));
    for (field, word) in names.chain(labels).chain(text).chain(terms) {
        without_nul(field, word)?;
        if word.len() > MAX_FILTER_WORD_BYTES {
            let reason = format!("must be at most {MAX_FILTER_WORD_BYTES} bytes");
            return Err(Error::Invalid { field: field.into(), reason });
        }
    }
    Ok(())
}

/// Checks the words of a filter of limit keys.
///
/// # Errors
/// [`Error::Invalid`] for a word that no store can be asked for.
pub fn key_filter(filter: &KeyFilter) -> Result<()> {
    let KeyFilter { names, prefix, queue, after, .. } = filter;
    let words = [("prefix", prefix)].into_iter().chain(queue.iter().map(|word| ("queue", word)));
    let words = words.chain(after.iter().map(|word| ("after", word)));
    let mut words = words.chain(names.iter().map(|word| ("names", word)));
    words.try_for_each(|(field, word)| without_nul(field, word))
}

fn without_nul(field: &str, word: &str) -> Result<()> {
    if word.contains('\0') {
        let reason = "must not hold a NUL character".to_owned();
        return Err(Error::Invalid { field: field.into(), reason });
    }
    Ok(())
}

fn words_of(condition: &Condition) -> [&str; 2] {
    match condition {
        Condition::IdPrefix(word)
        | Condition::Kind(word)
        | Condition::Queue(word)
        | Condition::Key(word)
        | Condition::Error(word)
        | Condition::Text(word) => [word, ""],
        Condition::Label { name, value } | Condition::Args { path: name, value } => [name, value],
        Condition::Id(_) | Condition::Parent(_) | Condition::State(_) => ["", ""],
    }
}
