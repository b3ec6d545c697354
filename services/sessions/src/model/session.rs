use longhaul::{JobId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use service_support::{DbError, Row, Value as Column, iso8601};
use utoipa::ToSchema;

use super::json_column;
use crate::times;
use crate::validate::{Fields, LINE, Need, TEXT};

/// A session, as everybody sees it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
    /// Counts the changes of the row.
    #[serde(skip)]
    pub(crate) revision: u64,
    /// The number of the dispatch that counts, from 0.
    #[serde(skip)]
    pub(crate) dispatch: u32,
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
    /// An update's only: the optional fields that it empties with a null.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) emptied: Vec<&'static str>,
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
            start_time: fields.required_time("startTime"),
            end_time: fields.required_time("endTime"),
            skill_category: fields.required_text("skillCategory", LINE),
            is_teaching: fields.required_bool("isTeaching"),
            is_public: fields.bool("isPublic"),
            max_participants: fields.count("maxParticipants"),
            status: match need {
                Need::Whole => None,
                Need::Part => fields.word("status", &STATUSES),
            },
            emptied: match need {
                Need::Whole => Vec::new(),
                Need::Part => {
                    fields.nulls(&["description", "teachSkillId", "focusKeywords", "maxParticipants"])
                }
            },
        };
        let mut faults = fields.faults();
        if let (Some(start), Some(end)) = (&read.start_time, &read.end_time) {
            faults.extend(order_fault(start, end));
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// The session as it is after an update.
    pub(crate) fn change(&self, session: &mut Session) {
        let set = |field: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                field.clone_from(value);
            }
        };
        set(&mut session.title, &self.title);
        set(&mut session.date, &self.date);
        set(&mut session.start_time, &self.start_time);
        set(&mut session.end_time, &self.end_time);
        set(&mut session.skill_category, &self.skill_category);
        set(&mut session.status, &self.status);
        session.is_teaching = self.is_teaching.unwrap_or(session.is_teaching);
        session.is_public = self.is_public.unwrap_or(session.is_public);
        let empties = |name| self.emptied.contains(&name);
        if self.description.is_some() || empties("description") {
            session.description.clone_from(&self.description);
        }
        if self.teach_skill_id.is_some() || empties("teachSkillId") {
            session.teach_skill_id.clone_from(&self.teach_skill_id);
        }
        if self.focus_keywords.is_some() || empties("focusKeywords") {
            session.focus_keywords = self.focus_keywords.clone().unwrap_or_default();
        }
        if self.max_participants.is_some() || empties("maxParticipants") {
            session.max_participants = self.max_participants;
        }
    }
}

impl Session {
    /// All its columns but those of its birth, with their values.
    pub(crate) fn columns(&self) -> Vec<(&'static str, Column)> {
        let list = |list: Value| Column::from(list.to_string());
        vec![
            ("title", self.title.as_str().into()),
            ("description", self.description.clone().into()),
            ("teach_skill_id", self.teach_skill_id.clone().into()),
            ("focus_keywords", list(self.focus_keywords.clone().into())),
            ("date", self.date.as_str().into()),
            ("start_time", self.start_time.as_str().into()),
            ("end_time", self.end_time.as_str().into()),
            ("skill_category", self.skill_category.as_str().into()),
            ("is_teaching", i64::from(self.is_teaching).into()),
            ("is_public", i64::from(self.is_public).into()),
            ("max_participants", self.max_participants.into()),
            ("status", self.status.as_str().into()),
            ("metadata", list(self.metadata.clone().into())),
            ("words", self.words().into()),
            ("dispatch", self.dispatch.into()),
        ]
    }

    /// The columns that [`from_row`](Self::from_row) reads.
    pub(crate) const COLUMNS: &str = "s.id, s.host_id, s.title, s.description, s.teach_skill_id, \
        s.focus_keywords, s.date, s.start_time, s.end_time, s.skill_category, s.is_teaching, s.is_public, \
        s.max_participants, s.status, s.metadata, s.created_at, s.updated_at, s.revision, s.dispatch";

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
            revision: row.get("revision")?,
            dispatch: row.get("dispatch")?,
        })
    }

    /// True for users who may see it: for a public one all, else its host and its members.
    pub(crate) fn is_shown_to(&self, user: &str) -> bool {
        self.is_public || self.host_id == user || self.participants.iter().any(|joined| joined == user)
    }

    /// The text that a search looks into.
    fn words(&self) -> String {
        let texts = [&self.title, &self.skill_category].into_iter().chain(&self.description);
        let texts: Vec<&str> = texts.chain(&self.focus_keywords).map(String::as_str).collect();
        texts.join("\n").to_lowercase()
    }

    /// The topic that it is sent to the service of keywords for, if it is.
    pub(crate) fn to_dispatch(&self) -> Option<&str> {
        self.teach_skill_id.as_deref().filter(|_| !self.focus_keywords.is_empty())
    }
}

/// The job that makes a dispatch of a session.
pub(crate) fn job_id(session_id: &str, dispatch: u32) -> JobId {
    // Hex digits keep to the pattern of ids.
    JobId::from_store(match dispatch {
        0 => format!("sessions-dispatch-{session_id}"),
        number => format!("sessions-dispatch-{session_id}-{number}"),
    })
}

/// The fault of times in the wrong order. Times of before they had a form are let be.
pub(crate) fn order_fault(start: &str, end: &str) -> Option<String> {
    let is_wrong = times::time(start).zip(times::time(end)).is_some_and(|(start, end)| end <= start);
    is_wrong.then(|| "endTime must be after startTime".to_owned())
}
