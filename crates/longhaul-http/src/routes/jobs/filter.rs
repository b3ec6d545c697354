use std::collections::BTreeMap;

use longhaul::{JobFilter, JobId, State};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::faults::Faults;
use crate::problem::Code;

/// Selects the jobs that fit every field that is given; `{}` selects all. An empty list fits no job.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = JobFilter)]
pub(crate) struct FilterRequest {
    /// Any of these ids; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = words_schema)]
    ids: Option<Vec<String>>,
    /// In any of these states; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = states_schema)]
    state: Option<Vec<String>>,
    /// Of any of these kinds; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = words_schema)]
    kind: Option<Vec<String>>,
    /// In any of these queues; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = words_schema)]
    queue: Option<Vec<String>>,
    /// That belong to any of these jobs; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = words_schema)]
    parent: Option<Vec<String>>,
    /// With all of these labels.
    labels: BTreeMap<String, String>,
    /// That fit all of these words, as in the list of jobs.
    q: Option<String>,
}

impl FilterRequest {
    /// The filter; none where no job can fit it. Faults of its fields are added to `faults`.
    pub(crate) fn prepare(self, faults: &mut Faults) -> Option<JobFilter> {
        let lists = [&self.ids, &self.state, &self.kind, &self.queue, &self.parent];
        let fits_nothing = lists.into_iter().flatten().any(Vec::is_empty);
        let mut ids = |field: &str, ids: Option<Vec<String>>| -> Vec<JobId> {
            ids.unwrap_or_default().into_iter().filter_map(|given| id(field, given, faults)).collect()
        };
        let (ids, parents) = (ids("filter.ids", self.ids), ids("filter.parent", self.parent));
        let states = self.state.unwrap_or_default();
        let lists = [
            ("filter.state", states.len()),
            ("filter.ids", ids.len()),
            ("filter.kind", self.kind.as_ref().map_or(0, Vec::len)),
            ("filter.queue", self.queue.as_ref().map_or(0, Vec::len)),
            ("filter.parent", parents.len()),
            ("filter.labels", self.labels.len()),
        ];
        lists.into_iter().for_each(|(field, count)| bound(field, count, faults));
        self.q.iter().for_each(|text| short("filter.q", text, faults));
        let mut words = |field, words: &[String]| words.iter().for_each(|text| word(field, text, faults));
        words("filter.kind", self.kind.as_deref().unwrap_or_default());
        words("filter.queue", self.queue.as_deref().unwrap_or_default());
        for (label, value) in &self.labels {
            words("filter.labels", &[label.clone(), value.clone()]);
        }
        let filter = JobFilter {
            ids,
            states: states.iter().filter_map(|word| state("filter.state", word, faults)).collect(),
            kinds: self.kind.unwrap_or_default(),
            queues: self.queue.unwrap_or_default(),
            parents,
            labels: self.labels.into_iter().collect(),
            ..JobFilter::default()
        };
        let filter = match self.q {
            Some(query) => {
                let searched = faults.check(filter.clone().with_query(&query).map_err(in_filter))?;
                // Blanks and empty quotation marks are no condition either: whoever sent them looked for something.
                if searched == filter {
                    let message =
                        "must name something to look for, else it would fit every job; leave it out";
                    faults.add(Code::Invalid, "filter.q", message);
                }
                searched
            }
            None => filter,
        };
        (!fits_nothing).then_some(filter)
    }
}

/// The most values of one field of a filter: each costs a look at every job that is looked at.
const MAX_VALUES: usize = 1_000;
/// The most labels of a filter.
const MAX_LABELS: usize = 32;
/// The longest text that jobs are searched for, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;

/// Notes a list that is too long.
pub(crate) fn bound(field: &str, count: usize, faults: &mut Faults) {
    let most = if field.ends_with("labels") || field == "label" { MAX_LABELS } else { MAX_VALUES };
    if count > most {
        faults.add(Code::Invalid, field, format!("must be at most {most}"));
    }
}

/// Notes a word that no job can have, or that is too long.
pub(crate) fn word(field: &str, text: &str, faults: &mut Faults) {
    if text.contains('\0') {
        faults.add(Code::Invalid, field, "must not hold a NUL character");
    }
    short(field, text, faults);
}

/// Notes a text that is too long. Of a search nothing else, for what cannot be looked for is told by whoever reads it.
pub(crate) fn short(field: &str, text: &str, faults: &mut Faults) {
    if text.len() > MAX_TEXT_BYTES {
        faults.add(Code::Invalid, field, format!("must be at most {MAX_TEXT_BYTES} bytes"));
    }
}

/// Reads a job's id.
pub(crate) fn id(field: &str, given: String, faults: &mut Faults) -> Option<JobId> {
    match JobId::new(given) {
        Ok(id) => Some(id),
        Err(longhaul::Error::Invalid { reason, .. }) => {
            faults.add(Code::Invalid, field, reason);
            None
        }
        Err(error) => faults.check(Err(error)),
    }
}

/// Reads a state's name.
pub(crate) fn state(field: &str, word: &str, faults: &mut Faults) -> Option<State> {
    word.parse().map_err(|message: String| faults.add(Code::Invalid, field, message)).ok()
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or an array of strings")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    OneOrMany::deserialize(deserializer).map(|given| match given {
        OneOrMany::One(word) => Some(vec![word]),
        OneOrMany::Many(words) => Some(words),
    })
}

fn in_filter(error: longhaul::Error) -> longhaul::Error {
    match error {
        longhaul::Error::Invalid { field, reason } => {
            longhaul::Error::Invalid { field: format!("filter.{field}"), reason }
        }
        other => other,
    }
}

fn states_schema() -> Schema {
    one_or_many_of(State::schema())
}

fn words_schema() -> Schema {
    one_or_many_of(String::schema())
}

fn one_or_many_of(one: RefOr<Schema>) -> Schema {
    let many = ArrayBuilder::new().items(one.clone()).build();
    OneOfBuilder::new().item(one).item(many).build().into()
}
