use longhaul::{JobFilter, JobId, Json, Result, State};
use tokio_postgres::types::ToSql;

/// The values of a statement that is made for a filter, in the order of its parameters.
pub(crate) type Values = Vec<Box<dyn ToSql + Sync + Send>>;

/// The values as a statement takes them.
pub(crate) fn references(values: &Values) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
}

/// A condition that holds for the jobs that fit a filter, but for their ids. What it compares with is added to `values`.
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
        // Labels are kept as JSON's text, in which this can be nothing but the label: a quotation mark within a text
        // has a backslash before it.
        let pair = format!("{}:{}", Json::new(label)?.as_str(), Json::new(value)?.as_str());
        values.push(Box::new(pair));
        all.push(format!("strpos(labels, ${}::text) > 0", values.len()));
    }
    if let Some(text) = &filter.text {
        values.push(Box::new(format!("%{}%", escaped(text))));
        let n = values.len();
        let like = |column: &str| format!("{column} ILIKE ${n}::text");
        all.push(format!(
            "({} OR {} OR {} OR {})",
            like("id"),
            like("kind"),
            like("args"),
            like("last_error")
        ));
    }
    Ok(all.join(" AND "))
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
