//! A filter of jobs as the conditions of a statement. Names go into a statement as values, never as text.

use longhaul::{JobFilter, JobId, State};
use rusqlite::types::Value;

/// The rows that a page of a list looks at; the index that finds them depends on the filter, because named jobs and rare
/// states have indexes of their own.
pub(crate) fn source(filter: &JobFilter, values: &mut Vec<Value>) -> String {
    let words = |ids: &[JobId]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
    if !filter.ids.is_empty() {
        format!(" AND id IN ({})", placeholders(values, words(&filter.ids)))
    } else if !filter.parents.is_empty() {
        format!(" AND parent IN ({})", placeholders(values, words(&filter.parents)))
    } else if let [state @ (State::Failed | State::Cancelled | State::Running)] = filter.states[..] {
        format!(" AND state = '{state}'")
    } else {
        String::new()
    }
}

/// The conditions of a job that fits, its id aside.
pub(crate) fn conditions(filter: &JobFilter, values: &mut Vec<Value>) -> String {
    let mut all = vec!["1".to_owned()];
    let mut one_of = |column: &str, words: Vec<String>| {
        if !words.is_empty() {
            all.push(format!("{column} IN ({})", placeholders(values, words)));
        }
    };
    one_of("state", filter.states.iter().map(State::to_string).collect());
    one_of("parent", filter.parents.iter().map(|id| id.as_str().to_owned()).collect());
    one_of("kind", filter.kinds.clone());
    one_of("queue", filter.queues.clone());
    for (label, value) in &filter.labels {
        values.push(Value::Text(label.clone()));
        values.push(Value::Text(value.clone()));
        let n = values.len();
        // Labels that are no JSON match nothing; without this, one such row would fail the whole statement.
        let each = "json_each(iif(json_valid(labels), labels, '{}'))";
        all.push(format!("EXISTS (SELECT 1 FROM {each} WHERE key = ?{} AND value = ?{n})", n - 1));
    }
    if let Some(text) = &filter.text {
        values.push(Value::Text(format!("%{}%", escaped(text))));
        let n = values.len();
        let like = |column: &str| format!("{column} LIKE ?{n} ESCAPE '\\'");
        let message = "iif(json_valid(errors), json_extract(errors, '$[#-1].message'), NULL)";
        all.push(format!("({} OR {} OR {} OR {})", like("id"), like("kind"), like("args"), like(message)));
    }
    all.join(" AND ")
}

fn placeholders(values: &mut Vec<Value>, words: Vec<String>) -> String {
    let names: Vec<String> = words
        .into_iter()
        .map(|word| {
            values.push(Value::Text(word));
            format!("?{}", values.len())
        })
        .collect();
    names.join(", ")
}

/// Text to be found as it is, not as a pattern.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
