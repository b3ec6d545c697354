//! A filter of jobs as the conditions of a statement. Names go into a statement as values, never as text.

use longhaul::{Condition, JobFilter, JobId, State, Term};
use rusqlite::types::Value;

/// The rows that a page of a list looks at, at most `limit`, between the numbers `?2` and `?1`; the index that finds them
/// depends on the filter, because named jobs, rare states and failures have indexes of their own.
pub(crate) fn source(filter: &JobFilter, values: &mut Vec<Value>, limit: i64) -> String {
    let words = |ids: &[JobId]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
    // Named, because the planner does not know how few jobs an index holds, and reads all in their order.
    let mut index = "";
    let mut in_state = |state: State| match state {
        State::Running => {
            index = " INDEXED BY jobs_running";
            " AND state = 'running'".to_owned()
        }
        state => {
            index = " INDEXED BY jobs_unsuccessful";
            // The second condition is the index's own, without which it cannot be named.
            format!(" AND state = '{state}' AND state IN ('failed', 'cancelled')")
        }
    };
    let narrow = if !filter.ids.is_empty() {
        format!(" AND id IN ({})", placeholders(values, words(&filter.ids)))
    } else if !filter.parents.is_empty() {
        format!(" AND parent IN ({})", placeholders(values, words(&filter.parents)))
    } else if let [state @ (State::Failed | State::Cancelled | State::Running)] = filter.states[..] {
        in_state(state)
    } else {
        match narrowest(&filter.terms) {
            Some(Condition::Id(id)) => {
                format!(" AND id = {}", placeholders(values, vec![id.as_str().into()]))
            }
            Some(Condition::Parent(id)) => {
                format!(" AND parent = {}", placeholders(values, vec![id.as_str().into()]))
            }
            Some(Condition::State(state)) => in_state(*state),
            Some(_) => {
                index = " INDEXED BY jobs_with_errors";
                " AND errors IS NOT NULL".to_owned()
            }
            None => String::new(),
        }
    };
    format!("SELECT * FROM jobs{index} WHERE seq < ?1 AND seq >= ?2{narrow} ORDER BY seq DESC LIMIT {limit}")
}

/// Of the conditions that must hold, the one whose index finds the fewest jobs.
fn narrowest(terms: &[Term]) -> Option<&Condition> {
    let rank = |condition: &Condition| match condition {
        Condition::Id(_) => Some(0),
        Condition::Parent(_) => Some(1),
        Condition::State(State::Failed | State::Cancelled | State::Running) => Some(2),
        Condition::Error(_) => Some(3),
        _ => None,
    };
    let must = terms.iter().filter(|term| !term.negated).map(|term| &term.condition);
    must.filter_map(|condition| Some((rank(condition)?, condition)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, condition)| condition)
}

/// The conditions of a job that matches, as far as SQL can check them, without its id: the reader of the rows also
/// checks the [terms](JobFilter::fits_terms).
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
    for Term { condition, negated } in &filter.terms {
        if let Condition::Key(key) = condition {
            let word = placeholders(values, vec![format!(",{key},")]);
            let is = if *negated { "= 0" } else { "> 0" };
            // Without what the job prefers.
            let keys = "substr(limit_key, 1, instr(limit_key || ';', ';') - 1)";
            all.push(format!("coalesce(instr(',' || {keys} || ',', {word}), 0) {is}"));
            continue;
        }
        let (column, word) = match condition {
            Condition::Id(id) => ("id", id.as_str()),
            Condition::IdPrefix(prefix) => {
                values.push(Value::Text(prefix.clone()));
                let (n, not) = (values.len(), if *negated { "NOT " } else { "" });
                all.push(format!("{not}substr(id, 1, length(?{n})) = ?{n}"));
                continue;
            }
            Condition::State(state) => ("state", state.as_str()),
            Condition::Kind(kind) => ("kind", kind.as_str()),
            Condition::Queue(queue) => ("queue", queue.as_str()),
            Condition::Parent(parent) => ("parent", parent.as_str()),
            Condition::Key(_)
            | Condition::Label { .. }
            | Condition::Args { .. }
            | Condition::Error(_)
            | Condition::Text(_) => continue,
        };
        let is = if *negated { "IS NOT" } else { "IS" };
        all.push(format!("{column} {is} {}", placeholders(values, vec![word.to_owned()])));
    }
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
