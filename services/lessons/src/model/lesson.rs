use longhaul::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_support::{DbError, Row};
use utoipa::ToSchema;

use super::Version;
use crate::wikipedia::WikipediaInfo;

/// The content of a lesson, written by a model or the outline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LessonContent)]
pub(crate) struct Content {
    pub(crate) title: String,
    pub(crate) shloka: String,
    pub(crate) translation: String,
    pub(crate) explanation: String,
    pub(crate) activity: String,
    pub(crate) question: String,
}

/// The seven fields of a lesson, as everybody is shown them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LessonData {
    #[serde(flatten)]
    pub(crate) content: Content,
    /// An object, or null where Wikipedia was not to be asked.
    #[schema(value_type = Option<WikipediaInfo>)]
    pub(crate) wikipedia_info: Value,
}

/// A lesson's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lesson {
    pub(crate) version: Version,
    pub(crate) subject: String,
    pub(crate) topic: String,
    pub(crate) data: LessonData,
    /// The writer: a model's name, or `outline`.
    pub(crate) generator: String,
    pub(crate) created_at: Timestamp,
}

impl Content {
    /// The fields by name, in the order in which they are read.
    pub(crate) const FIELDS: [&str; 6] =
        ["title", "shloka", "translation", "explanation", "activity", "question"];

    /// Takes the fields out of what a model wrote, white space around them aside. Whatever else it wrote is dropped.
    ///
    /// # Errors
    /// Reads the content; the error lists the faults, field by field.
    pub(crate) fn read(written: &Value) -> Result<Self, String> {
        let mut faults = Vec::new();
        let mut field = |name: &str| {
            let text = match written.get(name) {
                None => Err(format!("'{name}' is missing")),
                Some(Value::String(text)) if text.trim().is_empty() => Err(format!("'{name}' is empty")),
                // A NUL has no place in a text, and some databases take none.
                Some(Value::String(text)) => Ok(text.trim().replace('\0', "")),
                Some(_) => Err(format!("'{name}' is not a text")),
            };
            text.unwrap_or_else(|fault| {
                faults.push(fault);
                String::new()
            })
        };
        let content = Self {
            title: field("title"),
            shloka: field("shloka"),
            translation: field("translation"),
            explanation: field("explanation"),
            activity: field("activity"),
            question: field("question"),
        };
        if faults.is_empty() { Ok(content) } else { Err(faults.join(", ")) }
    }
}

impl Lesson {
    /// The columns that [`from_row`](Self::from_row) reads.
    pub(crate) const COLUMNS: &str = "l.number, l.subject, l.topic, l.title, l.shloka, l.translation, \
        l.explanation, l.activity, l.question, l.wikipedia_info, l.generator, l.created_at";

    pub(crate) fn from_row(row: &Row) -> Result<Self, DbError> {
        let wikipedia_info: String = row.get("wikipedia_info")?;
        let wikipedia_info = serde_json::from_str(&wikipedia_info)
            .map_err(|e| DbError::Column { column: "wikipedia_info".into(), reason: e.to_string() })?;
        let content = Content {
            title: row.get("title")?,
            shloka: row.get("shloka")?,
            translation: row.get("translation")?,
            explanation: row.get("explanation")?,
            activity: row.get("activity")?,
            question: row.get("question")?,
        };
        Ok(Self {
            version: Version(row.get("number")?),
            subject: row.get("subject")?,
            topic: row.get("topic")?,
            data: LessonData { content, wikipedia_info },
            generator: row.get("generator")?,
            created_at: row.get("created_at")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_model_left_out_is_named() {
        let mut written = json!({
            "title": " Leaves ", "shloka": "s", "translation": "t", "explanation": "e", "activity": "a",
            "question": "q\u{0}", "more": 1,
        });
        let content = Content::read(&written).unwrap();
        assert_eq!((content.title.as_str(), content.question.as_str()), ("Leaves", "q"));
        assert_eq!(serde_json::to_value(&content).unwrap().as_object().unwrap().len(), Content::FIELDS.len());
        written["title"] = json!(" ");
        written["activity"] = json!(["a"]);
        written.as_object_mut().unwrap().remove("question");
        let fault = Content::read(&written).unwrap_err();
        assert_eq!(fault, "'title' is empty, 'activity' is not a text, 'question' is missing");
        assert!(Content::read(&json!([1])).unwrap_err().starts_with("'title' is missing"));
    }
}
