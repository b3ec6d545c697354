use serde_json::{Map, Value};
use service_support::Language;

/// A request for a lesson of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LessonRequest {
    pub(crate) subject: String,
    pub(crate) topic: String,
    pub(crate) user_id: String,
    pub(crate) include_wikipedia: bool,
    /// `None` where the subject and the topic tell it.
    pub(crate) language: Option<Language>,
}

/// The longest subject, topic or user id, in characters.
const MAX_CHARS: usize = 200;

impl LessonRequest {
    /// Takes the request out of a body; fields that it does not know are left alone.
    ///
    /// # Errors
    /// Reads the body; the error is the fault, in the words of the original document of this service
    /// (docs/services/lessons.md) where it has any.
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, String> {
        let names = ["subject", "topic", "user_id"];
        if names.iter().any(|name| is_left_out(body.get(*name))) {
            return Err("Subject, topic, and user_id are required".into());
        }
        let [subject, topic, user_id] = names.map(|name| text(name, body.get(name)));
        let include_wikipedia = match body.get("include_wikipedia") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(include)) => *include,
            Some(_) => return Err("include_wikipedia must be true or false".into()),
        };
        let language = match body.get("language") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) if name.trim().is_empty() => None,
            // There are no texts in another one.
            Some(Value::String(name)) => Some(Language::named(name).unwrap_or_default()),
            Some(_) => return Err("language must be a string".into()),
        };
        Ok(Self { subject: subject?, topic: topic?, user_id: user_id?, include_wikipedia, language })
    }
}

fn is_left_out(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(_) => false,
    }
}

/// A text without the white space around it.
fn text(name: &str, value: Option<&Value>) -> Result<String, String> {
    let Some(Value::String(text)) = value else { return Err(format!("{name} must be a string")) };
    let text = text.trim();
    if text.chars().count() > MAX_CHARS {
        return Err(format!("{name} must be at most {MAX_CHARS} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{name} must not contain control characters"));
    }
    Ok(text.to_owned())
}
