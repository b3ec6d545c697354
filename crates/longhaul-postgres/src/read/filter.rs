use longhaul::{Condition, JobFilter, JobId, Json, Result, State, Term};
use tokio_postgres::types::ToSql;

/// The values of a statement that is made for a filter, in the order of its parameters.
pub(crate) type Values = Vec<Box<dyn ToSql + Sync + Send>>;

/// The values as a statement takes them.
pub(crate) fn references(values: &Values) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
}

/// A condition for the jobs that match a filter. It leaves out the filter's ids, and is too wide for some terms, which
/// the caller checks. Its parameters are added to `values`.
pub(crate) fn conditions(filter: &JobFilter, values: &mut Values) -> Result<String> {
    let mut all = vec!["true".to_owned()];
    let mut one_of = |column: &str, words: Vec<String>| {
        if !words.is_empty() {
            all.push(format!("{column} = ANY ({})", list_of(values, words)));
        }
    };
    one_of("state", filter.states.iter().map(State::to_string).collect());
    one_of("parent", words(&filter.parents));
    one_of("kind", filter.kinds.clone());
    one_of("queue", filter.queues.clone());
    for (label, value) in &filter.labels {
        all.push(has_label(label, value, values)?);
    }
    if let Some(text) = &filter.text {
        all.push(has_text(text, values));
    }
    for term in &filter.terms {
        all.extend(narrows(term, values)?);
    }
    Ok(all.join(" AND "))
}

/// A condition that is true at least where a term is; `None` where none is of use.
fn narrows(term: &Term, values: &mut Values) -> Result<Option<String>> {
    let (column, word) = match &term.condition {
        Condition::Id(id) => ("id", id.as_str()),
        Condition::IdPrefix(prefix) => {
            values.push(Box::new(prefix.clone()));
            let not = if term.negated { "NOT " } else { "" };
            return Ok(Some(format!("{not}starts_with(id, ${}::text)", values.len())));
        }
        Condition::State(state) => ("state", state.as_str()),
        Condition::Kind(kind) => ("kind", kind.as_str()),
        Condition::Queue(queue) => ("queue", queue.as_str()),
        Condition::Parent(parent) => ("parent", parent.as_str()),
        Condition::Key(key) => {
            values.push(Box::new(key.clone()));
            let not = if term.negated { "NOT " } else { "" };
            let has = format!("coalesce(${}::text = ANY (keys_of(limit_key)), false)", values.len());
            return Ok(Some(format!("{not}{has}")));
        }
        Condition::Label { .. } | Condition::Args { .. } | Condition::Error(_) | Condition::Text(_)
            if term.negated =>
        {
            return Ok(None);
        }
        Condition::Label { name, value } => return has_label(name, value, values).map(Some),
        Condition::Error(_) => return Ok(Some("last_error IS NOT NULL".into())),
        // Where anything is escaped in the args, the text may be there in another form.
        Condition::Text(text) => {
            return Ok(Some(format!("({} OR strpos(args, '\\') > 0)", has_text(text, values))));
        }
        // The same value may be written in several ways.
        Condition::Args { .. } => return Ok(None),
    };
    values.push(Box::new(word.to_owned()));
    let is = if term.negated { "IS DISTINCT FROM" } else { "=" };
    Ok(Some(format!("{column} {is} ${}::text", values.len())))
}

fn has_label(label: &str, value: &str, values: &mut Values) -> Result<String> {
    // Labels are kept as JSON's text, in which this can be nothing but the label: a quotation mark within a text has a
    // backslash before it.
    let pair = format!("{}:{}", Json::new(&label)?.as_str(), Json::new(&value)?.as_str());
    values.push(Box::new(pair));
    Ok(format!("strpos(labels, ${}::text) > 0", values.len()))
}

fn has_text(text: &str, values: &mut Values) -> String {
    values.push(Box::new(format!("%{}%", escaped(text))));
    let n = values.len();
    let like = |column: &str| format!("{column} ILIKE ${n}::text");
    format!("({} OR {} OR {} OR {})", like("id"), like("kind"), like("args"), like("last_error"))
}

pub(super) fn words(ids: &[JobId]) -> Vec<String> {
    ids.iter().map(|id| id.as_str().to_owned()).collect()
}

pub(super) fn list_of(values: &mut Values, words: Vec<String>) -> String {
    values.push(Box::new(words));
    format!("${}::text[]", values.len())
}

/// Text to be found as it is, not as a pattern.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
