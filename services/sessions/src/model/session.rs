use longhaul::{JobId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use service_support::{DbError, Row, Value as Column, iso8601};

use super::json_column;
use crate::validate::{Fields, LINE, Need, TEXT};

/// A session, as everybody sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) teach_skill_id: Option<String>,
    pub(crate) focus_keywords: Vec<String>,
    pub(crate) date: String,
    pub(crate) start_time: String,
    pub(crate) end_time: String,
    pub(crate) skill_category: String,
    pub(crate) is_teaching: bool,
    pub(crate) is_public: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_participants: Option<u32>,
    pub(crate) host_id: String,
    pub(crate) status: String,
    /// Users, in the order in which they joined.
    pub(crate) participants: Vec<String>,
    /// The answer to the dispatch; empty until then.
    pub(crate) metadata: Vec<Value>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// The fields of a request for a session; those that are left out are `None`. They are in the order of
/// docs/services/sessions.md, in which the log repeats them; only what is named here ever gets into the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) teach_skill_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) focus_keywords: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skill_category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_teaching: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_public: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_participants: Option<u32>,
    /// An update's only: a new session is upcoming.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
}

/// The statuses of a session.
pub(crate) const STATUSES: [&str; 4] = ["upcoming", "ongoing", "completed", "cancelled"];

impl SessionFields {
    /// Reads a request's body.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn read(body: &Value, need: Need) -> Result<Self, Vec<String>> {
        let mut fields = Fields::new(body, need);
        let read = Self {
            title: fields.required_text("title", LINE),
            description: fields.text("description", TEXT),
            teach_skill_id: fields.object_id("teachSkillId"),
            focus_keywords: fields.texts("focusKeywords"),
            date: fields.required_date("date"),
            start_time: fields.required_text("startTime", LINE),
            end_time: fields.required_text("endTime", LINE),
            skill_category: fields.required_text("skillCategory", LINE),
            is_teaching: fields.required_bool("isTeaching"),
            is_public: fields.bool("isPublic"),
            max_participants: fields.count("maxParticipants"),
            status: match need {
                Need::Whole => None,
                Need::Part => fields.word("status", &STATUSES),
            },
        };
        let faults = fields.faults();
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// The columns that it sets, with their values; not `words`, which is made of several.
    pub(crate) fn columns(self) -> Vec<(&'static str, Column)> {
        let flag = |flag: Option<bool>| flag.map(|flag| Column::Int(flag.into()));
        let list = |list: Vec<String>| Column::from(Value::from(list).to_string());
        let all: [(&str, Option<Column>); 12] = [
            ("title", self.title.map(Column::from)),
            ("description", self.description.map(Column::from)),
            ("teach_skill_id", self.teach_skill_id.map(Column::from)),
            ("focus_keywords", self.focus_keywords.map(list)),
            ("date", self.date.map(Column::from)),
            ("start_time", self.start_time.map(Column::from)),
            ("end_time", self.end_time.map(Column::from)),
            ("skill_category", self.skill_category.map(Column::from)),
            ("is_teaching", flag(self.is_teaching)),
            ("is_public", flag(self.is_public)),
            ("max_participants", self.max_participants.map(Column::from)),
            ("status", self.status.map(Column::from)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Session {
    /// The columns that [`from_row`](Self::from_row) reads.
    pub(crate) const COLUMNS: &str = "s.id, s.host_id, s.title, s.description, s.teach_skill_id, \
        s.focus_keywords, s.date, s.start_time, s.end_time, s.skill_category, s.is_teaching, s.is_public, \
        s.max_participants, s.status, s.metadata, s.created_at, s.updated_at";

    /// The row's part of a session: all but its participants.
    pub(crate) fn from_row(row: &Row) -> Result<Self, DbError> {
        let flag = |column| row.get::<i64>(column).map(|flag| flag != 0);
        let time = |column| row.get::<Timestamp>(column).map(iso8601);
        Ok(Self {
            id: row.get("id")?,
            title: row.get("title")?,
            description: row.get("description")?,
            teach_skill_id: row.get("teach_skill_id")?,
            focus_keywords: json_column(row, "focus_keywords")?,
            date: row.get("date")?,
            start_time: row.get("start_time")?,
            end_time: row.get("end_time")?,
            skill_category: row.get("skill_category")?,
            is_teaching: flag("is_teaching")?,
            is_public: flag("is_public")?,
            max_participants: row.get("max_participants")?,
            host_id: row.get("host_id")?,
            status: row.get("status")?,
            participants: Vec::new(),
            metadata: json_column(row, "metadata")?,
            created_at: time("created_at")?,
            updated_at: time("updated_at")?,
        })
    }

    /// The text that a search looks into.
    pub(crate) fn words(&self) -> String {
        let texts = [&self.title, &self.skill_category].into_iter().chain(&self.description);
        let texts: Vec<&str> = texts.chain(&self.focus_keywords).map(String::as_str).collect();
        texts.join("\n").to_lowercase()
    }

    /// The topic that it is sent to the service of keywords for, if it is.
    pub(crate) fn to_dispatch(&self) -> Option<&str> {
        self.teach_skill_id.as_deref().filter(|_| !self.focus_keywords.is_empty())
    }
}

/// The job that dispatches a session.
pub(crate) fn job_id(session_id: &str) -> JobId {
    // Hex digits keep to the pattern of ids.
    JobId::from_store(format!("sessions-dispatch-{session_id}"))
}
