//! Searching for jobs: the words that people type, and whether a job fits them. Stores narrow by what their indexes know,
//! and ask [`JobFilter::fits`] about the rest, so that a search means the same on each of them.

mod fingerprint;
mod query;

pub use fingerprint::{fingerprint, shape};

use serde_json::Value;

use crate::model::{Condition, JobFilter, JobRecord, Term};

impl JobFilter {
    /// True for a job that fits, which must be whole: nothing of it [left out](JobRecord::shorten).
    #[must_use]
    pub fn fits(&self, job: &JobRecord) -> bool {
        let is_any = |wanted: &[String], word: &str| wanted.is_empty() || wanted.iter().any(|w| w == word);
        (self.ids.is_empty() || self.ids.contains(&job.id))
            && (self.states.is_empty() || self.states.contains(&job.state))
            && is_any(&self.kinds, &job.kind)
            && is_any(&self.queues, &job.queue)
            && (self.parents.is_empty() || job.parent.as_ref().is_some_and(|p| self.parents.contains(p)))
            && self.labels.iter().all(|(label, value)| job.labels.get(label) == Some(value))
            && self.text.as_ref().is_none_or(|text| has_text(job, text))
            && self.fits_terms(job)
    }

    /// True for a job of which all [terms](Self::terms) are true: the part of a filter that no store's query knows.
    #[must_use]
    pub fn fits_terms(&self, job: &JobRecord) -> bool {
        self.terms.iter().all(|term| term.is_true_of(job))
    }
}

impl Term {
    fn is_true_of(&self, job: &JobRecord) -> bool {
        self.condition.is_met_by(job) != self.negated
    }
}

impl Condition {
    fn is_met_by(&self, job: &JobRecord) -> bool {
        match self {
            Condition::Id(id) => job.id == *id,
            Condition::State(state) => job.state == *state,
            Condition::Kind(kind) => job.kind == *kind,
            Condition::Queue(queue) => job.queue == *queue,
            Condition::Parent(parent) => job.parent.as_ref() == Some(parent),
            Condition::Key(key) => job.limit_key.as_ref() == Some(key),
            Condition::Label { name, value } => job.labels.get(name) == Some(value),
            Condition::Args { path, value } => has_value(&job.args.to_value(), path, value),
            Condition::Error(sought) => job.errors.last().is_some_and(|error| {
                contains(&error.message, sought) || fingerprint(&job.kind, &error.message) == *sought
            }),
            Condition::Text(text) => has_text(job, text),
        }
    }
}

/// True where `value` stands at `path`. A key may hold dots itself, so each way of reading the path is tried.
fn has_value(json: &Value, path: &str, value: &str) -> bool {
    if path.is_empty() {
        return match json {
            Value::Array(items) => items.iter().any(|item| is_scalar(item, value)),
            json => is_scalar(json, value),
        };
    }
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.into_iter().any(|end| {
        let (name, rest) = (&path[..end], path.get(end + 1..).unwrap_or_default());
        match json {
            Value::Object(fields) => fields.get(name).is_some_and(|field| has_value(field, rest, value)),
            Value::Array(items) => {
                let item = name.parse().ok().and_then(|place: usize| items.get(place));
                // A path may pass over the place: `args.pages.title` is the title of any page.
                item.is_some_and(|item| has_value(item, rest, value))
                    || (end == path.len() || name.parse::<usize>().is_err())
                        && items.iter().any(|item| item.is_object() && has_value(item, path, value))
            }
            _ => false,
        }
    })
}

fn is_scalar(json: &Value, value: &str) -> bool {
    match json {
        Value::String(text) => text == value,
        // `1` and `1.0` are the same number, and large whole ones are compared digit by digit.
        Value::Number(number) => {
            number.to_string() == value
                || number.as_f64().is_some_and(|number| {
                    number.abs() < 9_007_199_254_740_992.0 && value.parse() == Ok(number)
                })
        }
        Value::Bool(flag) => value.parse() == Ok(*flag),
        Value::Null => value == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn has_text(job: &JobRecord, text: &str) -> bool {
    let last_error = job.errors.last().map_or("", |error| error.message.as_str());
    let places = [job.id.as_str(), &job.kind, job.args.as_str(), last_error];
    places.iter().any(|place| contains(place, text))
}

fn contains(place: &str, text: &str) -> bool {
    place.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_found_at_its_path() {
        let args = json!({
            "user": {"id": 7, "name": "Ann", "vip": true, "a.b": "dotted"},
            "big": 12345678901234567890_u64, "rate": 1.0, "none": null,
            "tags": ["red", "blue"], "pages": [{"title": "one"}, {"title": "two"}],
        });
        let found = [
            ("user.id", "7"),
            ("user.id", "7.0"),
            ("user.name", "Ann"),
            ("user.vip", "true"),
            ("user.a.b", "dotted"),
            ("big", "12345678901234567890"),
            ("rate", "1"),
            ("none", "null"),
            ("tags", "blue"),
            ("tags.0", "red"),
            ("pages.1.title", "two"),
            ("pages.title", "two"),
        ];
        for (path, value) in found {
            assert!(has_value(&args, path, value), "{path}:{value}");
        }
        let missed = [
            ("user.id", "70"),
            ("user.name", "ann"),
            ("user", "7"),
            ("big", "12345678901234567891"),
            ("tags.0", "blue"),
            ("tags.5", "red"),
            ("pages.0.title", "two"),
            ("nothing", "null"),
        ];
        for (path, value) in missed {
            assert!(!has_value(&args, path, value), "{path}:{value}");
        }
    }
}
