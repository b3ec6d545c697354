use longhaul::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use service_support::{DbError, Row, Value as Column, iso8601};
use utoipa::ToSchema;

use super::json_column;
use crate::validate::{Fields, LINE, Need, TEXT};

/// A skill, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Skill {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) r#type: String,
    /// 0 to 100.
    #[serde(serialize_with = "as_written")]
    pub(crate) proficiency: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) experience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goals: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agenda: Option<Value>,
    /// Always empty.
    #[schema(value_type = Vec<Value>)]
    pub(crate) metadata: [(); 0],
    pub(crate) user_id: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// The fields of a request for a skill; those that are left out are `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SkillFields {
    pub(crate) name: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) r#type: Option<String>,
    pub(crate) proficiency: Option<f64>,
    pub(crate) description: Option<String>,
    pub(crate) experience: Option<String>,
    pub(crate) goals: Option<Value>,
    pub(crate) agenda: Option<Value>,
}

const TYPES: [&str; 2] = ["teaching", "learning"];

impl SkillFields {
    /// Reads a request's body.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn read(body: &Value, need: Need) -> Result<Self, Vec<String>> {
        let mut fields = Fields::new(body, need);
        let read = Self {
            name: fields.required_text("name", LINE),
            category: fields.required_text("category", LINE),
            r#type: fields.required_word("type", &TYPES),
            proficiency: fields.required_percent("proficiency"),
            description: fields.text("description", TEXT),
            experience: fields.text("experience", TEXT),
            goals: fields.text_or_texts("goals"),
            agenda: fields.text_or_texts("agenda"),
        };
        let faults = fields.faults();
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// The skill that they make; validation has made sure of the fields that must be there.
    pub(crate) fn into_skill(self, id: String, user_id: &str, now: Timestamp) -> Skill {
        Skill {
            id,
            name: self.name.unwrap_or_default(),
            category: self.category.unwrap_or_default(),
            r#type: self.r#type.unwrap_or_default(),
            proficiency: self.proficiency.unwrap_or_default(),
            description: self.description,
            experience: self.experience,
            goals: self.goals,
            agenda: self.agenda,
            metadata: [],
            user_id: user_id.to_owned(),
            created_at: iso8601(now),
            updated_at: iso8601(now),
        }
    }

    /// The columns that it sets, with their values.
    pub(crate) fn columns(self) -> Vec<(&'static str, Column)> {
        let json = |value: Option<Value>| value.map(|value| value.to_string().into());
        let all: [(&str, Option<Column>); 8] = [
            ("name", self.name.map(Column::from)),
            ("category", self.category.map(Column::from)),
            ("type", self.r#type.map(Column::from)),
            ("proficiency", self.proficiency.map(Column::from)),
            ("description", self.description.map(Column::from)),
            ("experience", self.experience.map(Column::from)),
            ("goals", json(self.goals)),
            ("agenda", json(self.agenda)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Skill {
    /// The columns that [`from_row`](Self::from_row) reads.
    pub(crate) const COLUMNS: &str = "id, user_id, name, category, type, proficiency, description, experience, \
        goals, agenda, created_at, updated_at";

    pub(crate) fn from_row(row: &Row) -> Result<Self, DbError> {
        let json = |column| match row.get::<Option<String>>(column)? {
            None => Ok(None),
            Some(_) => json_column(row, column).map(Some),
        };
        let time = |column| row.get::<Timestamp>(column).map(iso8601);
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            category: row.get("category")?,
            r#type: row.get("type")?,
            proficiency: row.get("proficiency")?,
            description: row.get("description")?,
            experience: row.get("experience")?,
            goals: json("goals")?,
            agenda: json("agenda")?,
            metadata: [],
            user_id: row.get("user_id")?,
            created_at: time("created_at")?,
            updated_at: time("updated_at")?,
        })
    }
}

/// JavaScript knows one sort of number, and writes a whole one without a fraction.
fn as_written<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}
