use std::collections::BTreeMap;

use longhaul::{JobFilter, JobId, State};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};

use super::body::state_schema;
use crate::faults::Faults;
use crate::problem::Code;

/// Which jobs are meant: those that fit every field that is given. `{}` means all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = JobFilter)]
pub(crate) struct FilterRequest {
    /// Any of these ids.
    ids: Vec<String>,
    /// In any of these states; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = states_schema)]
    state: Vec<String>,
    /// Of any of these kinds; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = words_schema)]
    kind: Vec<String>,
    /// In any of these queues; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = words_schema)]
    queue: Vec<String>,
    /// That belong to any of these jobs; one may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(schema_with = words_schema)]
    parent: Vec<String>,
    /// With all of these labels.
    labels: BTreeMap<String, String>,
    /// With this text in the id, the kind, the args or the last error.
    q: Option<String>,
}

impl FilterRequest {
    /// The filter; what is wrong with it is added to the faults.
    pub(crate) fn prepare(self, faults: &mut Faults) -> JobFilter {
        JobFilter {
            ids: self.ids.into_iter().filter_map(|id| faults.check(JobId::new(id))).collect(),
            states: self.state.iter().filter_map(|word| state("filter.state", word, faults)).collect(),
            kinds: self.kind,
            queues: self.queue,
            parents: self.parent.into_iter().filter_map(|id| faults.check(JobId::new(id))).collect(),
            labels: self.labels.into_iter().collect(),
            text: self.q,
        }
    }
}

/// Reads a state's name.
pub(crate) fn state(field: &str, word: &str, faults: &mut Faults) -> Option<State> {
    word.parse().map_err(|message: String| faults.add(Code::Invalid, field, message)).ok()
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or an array of strings")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    OneOrMany::deserialize(deserializer).map(|given| match given {
        OneOrMany::One(word) => vec![word],
        OneOrMany::Many(words) => words,
    })
}

fn states_schema() -> Schema {
    one_or_many_of(state_schema())
}

fn words_schema() -> Schema {
    one_or_many_of(ObjectBuilder::new().schema_type(Type::String).build().into())
}

fn one_or_many_of(one: Schema) -> Schema {
    let many = ArrayBuilder::new().items(RefOr::T(one.clone())).build();
    OneOfBuilder::new().item(one).item(many).build().into()
}
