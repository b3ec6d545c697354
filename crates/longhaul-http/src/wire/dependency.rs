use std::fmt;

use longhaul::{Dependency, JobId, OnFailure};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Ref, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Another job that must end before a job may run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Dependency)]
pub(crate) struct DependencyBody {
    /// The other job.
    pub(crate) id: String,
    /// The meaning of its failure for the job that waits: `cancel` unless given.
    #[serde(default)]
    #[schema(required = false)]
    pub(crate) on_failure: OnFailure,
}

/// The same, as it is asked for: its id alone is enough.
#[derive(Clone, Debug)]
pub(crate) struct DependencyRequest(pub(crate) DependencyBody);

impl From<&Dependency> for DependencyBody {
    fn from(dependency: &Dependency) -> Self {
        Self { id: dependency.id.as_str().to_owned(), on_failure: dependency.on_failure }
    }
}

impl DependencyBody {
    /// The dependency at this place among those of a job.
    ///
    /// # Errors
    /// [`longhaul::Error::Invalid`] where no job can have its id.
    pub(crate) fn into_dependency(self, place: usize) -> longhaul::Result<Dependency> {
        let id = JobId::new(self.id).map_err(|error| match error {
            longhaul::Error::Invalid { reason, .. } => {
                longhaul::Error::Invalid { field: format!("depends_on[{place}]"), reason }
            }
            other => other,
        })?;
        Ok(Dependency { id, on_failure: self.on_failure })
    }
}

impl Serialize for DependencyRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DependencyRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either).map(Self)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = DependencyBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job's id, or an object with its id and on_failure")
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<DependencyBody, E> {
        Ok(DependencyBody { id: id.to_owned(), on_failure: OnFailure::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DependencyBody, A::Error> {
        DependencyBody::deserialize(MapAccessDeserializer::new(map))
    }
}

impl PartialSchema for DependencyRequest {
    fn schema() -> RefOr<Schema> {
        let both = OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::String))
            .item(Ref::from_schema_name(DependencyBody::name()))
            .description(Some("A job's id, or an object with the id and what its failure means."));
        RefOr::T(both.build().into())
    }
}

impl ToSchema for DependencyRequest {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((DependencyBody::name().into_owned(), DependencyBody::schema()));
        DependencyBody::schemas(schemas);
    }
}
