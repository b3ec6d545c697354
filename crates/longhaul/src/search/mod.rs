//! Searching for jobs: the words that people type, and whether a job fits them. Stores narrow by what their indexes know,
//! and ask [`JobFilter::fits`] about the rest, so that a search means the same on each of them.

mod fingerprint;
mod query;

pub use fingerprint::{fingerprint, shape};

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

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
            Condition::IdPrefix(prefix) => job.id.as_str().starts_with(prefix.as_str()),
            Condition::State(state) => job.state == *state,
            Condition::Kind(kind) => job.kind == *kind,
            Condition::Queue(queue) => job.queue == *queue,
            Condition::Parent(parent) => job.parent.as_ref() == Some(parent),
            Condition::Key(key) => job.limit_keys.contains(key),
            Condition::Label { name, value } => job.labels.get(name) == Some(value),
            Condition::Args { path, value } => has_value(job.args.as_str(), path, value),
            Condition::Error(sought) => job.errors.last().is_some_and(|error| {
                contains(&error.message, &sought.to_ascii_lowercase())
                    || fingerprint(&job.kind, &error.message) == *sought
            }),
            Condition::Text(text) => shows(job, text),
        }
    }
}

/// True where `value` stands at `path` of a JSON text. A key may hold dots itself, so each way of reading the path is tried.
///
/// The text is read level by level and not as a tree, because a tree's numbers lose digits.
fn has_value(json: &str, path: &str, value: &str) -> bool {
    let items = || serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default();
    match (json.trim_start().as_bytes().first(), path) {
        (Some(b'['), "") => items().iter().any(|item| is_scalar(item.get(), value)),
        (_, "") => is_scalar(json, value),
        (Some(b'{'), _) => {
            let fields: HashMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
            ways(path)
                .any(|(name, rest)| fields.get(name).is_some_and(|field| has_value(field.get(), rest, value)))
        }
        (Some(b'['), _) => {
            let (items, (name, rest)) = (items(), path.split_once('.').unwrap_or((path, "")));
            let item = name.parse().ok().and_then(|place: usize| items.get(place));
            item.is_some_and(|item| has_value(item.get(), rest, value))
                // A path may pass over the place: `args.pages.title` is the title of any page.
                || items.iter().any(|item| item.get().starts_with('{') && has_value(item.get(), path, value))
        }
        _ => false,
    }
}

/// Each way of cutting a path into its first name and the rest.
fn ways(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| (&path[..end], path.get(end + 1..).unwrap_or_default()))
}

fn is_scalar(json: &str, value: &str) -> bool {
    let json = json.trim();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(json).is_ok_and(|text| text == value),
        Some(b'{' | b'[') => false,
        // `1` and `1.0` are the same number, to the precision of a float.
        _ => json == value || float(json).is_some_and(|number| float(value) == Some(number)),
    }
}

fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.abs() < 9_007_199_254_740_992.0)
}

/// True where a text stands in what people see of a job. Clients escape in JSON whatever they like (`Zo\u00eb`), so the strings
/// of the args are looked at as they are meant, too.
fn shows(job: &JobRecord, text: &str) -> bool {
    has_text(job, text)
        || job.args.as_str().contains('\\') && has_string(&job.args.to_value(), &text.to_ascii_lowercase())
}

fn has_string(json: &Value, lowered: &str) -> bool {
    match json {
        Value::String(string) => contains(string, lowered),
        Value::Array(items) => items.iter().any(|item| has_string(item, lowered)),
        Value::Object(fields) => {
            fields.iter().any(|(name, field)| contains(name, lowered) || has_string(field, lowered))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn has_text(job: &JobRecord, text: &str) -> bool {
    let last_error = job.errors.last().map_or("", |error| error.message.as_str());
    let places = [job.id.as_str(), &job.kind, job.args.as_str(), last_error];
    let lowered = text.to_ascii_lowercase();
    places.iter().any(|place| contains(place, &lowered))
}

/// True where a text, which is in lower case, stands at a place in any case.
fn contains(place: &str, lowered: &str) -> bool {
    place.to_ascii_lowercase().contains(lowered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_at_its_path() {
        let args = r#"{
            "user": {"id": 7, "name": "Ann", "vip": true, "a.b": "dotted"},
            "big": 12345678901234567890123, "rate": 1.0, "none": null, "said": "Zo\u00eb \"hi\"",
            "tags": ["red", "blue"], "pages": [{"title": "one"}, {"title": "two"}]
        }"#;
        let found = [
            ("user.id", "7"),
            ("user.id", "7.0"),
            ("user.name", "Ann"),
            ("user.vip", "true"),
            ("user.a.b", "dotted"),
            ("big", "12345678901234567890123"),
            ("said", "Zoë \"hi\""),
            ("rate", "1"),
            ("none", "null"),
            ("tags", "blue"),
            ("tags.0", "red"),
            ("pages.1.title", "two"),
            ("pages.title", "two"),
        ];
        for (path, value) in found {
            assert!(has_value(args, path, value), "{path}:{value}");
        }
        let missed = [
            ("user.id", "70"),
            ("user.name", "ann"),
            ("user", "7"),
            ("big", "12345678901234567890124"),
            ("tags.0", "blue"),
            ("tags.5", "red"),
            ("pages.0.title", "two"),
            ("nothing", "null"),
        ];
        for (path, value) in missed {
            assert!(!has_value(args, path, value), "{path}:{value}");
        }
    }
}
