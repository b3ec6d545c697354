//! The messages of class-validator about a request's fields, word for word: a frontend shows them to people.

use serde_json::{Map, Value};

use crate::object_id::is_object_id;
use crate::times::time;

/// Reads the fields of a JSON object, and collects their errors, in the order in which they are read. Unknown fields
/// are ignored, as by a validation pipe with a whitelist.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    /// `Part` if fields that must be there may be left out: an update.
    need: Need,
    faults: Vec<String>,
}

/// The need for fields that must be there in a new row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It must be there.
    Whole,
    /// Fields that are left out stay as they are.
    Part,
}

/// The longest text of a field that is one line, in characters.
pub(crate) const LINE: usize = 200;
/// The longest text of any other field, in characters.
pub(crate) const TEXT: usize = 5_000;
/// The most entries of a list.
const MAX_ENTRIES: usize = 100;

impl<'a> Fields<'a> {
    /// Anything but an object has no fields.
    pub(crate) fn new(body: &'a Value, need: Need) -> Self {
        Self { object: body.as_object(), need, faults: Vec::new() }
    }

    /// Nothing, or all that is wrong.
    pub(crate) fn faults(self) -> Vec<String> {
        self.faults
    }

    /// A field that is there and not null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    fn fault(&mut self, name: &str, what: &str) {
        self.faults.push(format!("{name} {what}"));
    }

    /// A text that must be there and not be blank.
    pub(crate) fn required_text(&mut self, name: &str, most: usize) -> Option<String> {
        match self.get(name) {
            None if self.need == Need::Part => None,
            None => {
                self.fault(name, "should not be empty");
                self.fault(name, "must be a string");
                None
            }
            Some(Value::String(text)) if text.trim().is_empty() => {
                self.fault(name, "should not be empty");
                None
            }
            Some(value) => self.checked_text(name, value, most),
        }
    }

    /// A text that may be left out.
    pub(crate) fn text(&mut self, name: &str, most: usize) -> Option<String> {
        let value = self.get(name)?;
        self.checked_text(name, value, most)
    }

    fn checked_text(&mut self, name: &str, value: &Value, most: usize) -> Option<String> {
        let Some(text) = value.as_str() else {
            self.fault(name, "must be a string");
            return None;
        };
        if text.contains('\0') {
            // Not every database can keep one.
            self.fault(name, "must not contain null characters");
        } else if text.chars().count() > most {
            self.fault(name, &format!("must be shorter than or equal to {most} characters"));
        } else {
            return Some(text.to_owned());
        }
        None
    }

    /// An ISO 8601 date, with or without a time, that must be there. Kept as it came.
    pub(crate) fn required_date(&mut self, name: &str) -> Option<String> {
        let value = self.get(name);
        if value.is_none() && self.need == Need::Part {
            return None;
        }
        let text = value.and_then(Value::as_str).filter(|text| is_date(text));
        if text.is_none() {
            self.fault(name, "must be a valid ISO 8601 date string");
        }
        text.map(str::to_owned)
    }

    /// A time of day that must be there, in the form `HH:MM`.
    pub(crate) fn required_time(&mut self, name: &str) -> Option<String> {
        let text = self.required_text(name, LINE)?;
        if time(&text).is_some() {
            return Some(text);
        }
        self.fault(name, "must be a valid representation of military time in the format HH:MM");
        None
    }

    /// Those of some fields that are null.
    pub(crate) fn nulls(&self, names: &[&'static str]) -> Vec<&'static str> {
        let is_null =
            |name: &&str| self.object.and_then(|object| object.get(*name)).is_some_and(Value::is_null);
        names.iter().copied().filter(|name| is_null(name)).collect()
    }

    /// A truth value that must be there.
    pub(crate) fn required_bool(&mut self, name: &str) -> Option<bool> {
        if self.get(name).is_none() && self.need == Need::Whole {
            self.fault(name, "must be a boolean value");
        }
        self.bool(name)
    }

    /// A truth value that may be left out.
    pub(crate) fn bool(&mut self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        if !value.is_boolean() {
            self.fault(name, "must be a boolean value");
        }
        value.as_bool()
    }

    /// A whole number from 1 that may be left out.
    pub(crate) fn count(&mut self, name: &str) -> Option<u32> {
        let value = self.get(name)?;
        let whole = value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64));
        if value.as_f64().is_none_or(|number| number < 1.0) {
            self.fault(name, "must not be less than 1");
        }
        match whole {
            None => {
                self.fault(name, "must be an integer number");
                None
            }
            Some(whole) if whole > i64::from(u32::MAX) => {
                self.fault(name, &format!("must not be greater than {}", u32::MAX));
                None
            }
            Some(whole) => u32::try_from(whole).ok().filter(|count| *count > 0),
        }
    }

    /// A number of 0 to 100 that must be there.
    pub(crate) fn required_percent(&mut self, name: &str) -> Option<f64> {
        let value = self.get(name);
        if value.is_none() && self.need == Need::Part {
            return None;
        }
        let number = value.and_then(Value::as_f64);
        if number.is_none_or(|number| number > 100.0) {
            self.fault(name, "must not be greater than 100");
        }
        if number.is_none_or(|number| number < 0.0) {
            self.fault(name, "must not be less than 0");
        }
        if number.is_none() {
            self.fault(name, "must be a number conforming to the specified constraints");
        }
        number
    }

    /// One of some words that must be there.
    pub(crate) fn required_word(&mut self, name: &str, words: &[&str]) -> Option<String> {
        if self.get(name).is_none() && self.need == Need::Whole {
            self.fault(name, &one_of(words));
        }
        self.word(name, words)
    }

    /// One of some words that may be left out.
    pub(crate) fn word(&mut self, name: &str, words: &[&str]) -> Option<String> {
        let value = self.get(name)?;
        let word = value.as_str().filter(|word| words.contains(word));
        if word.is_none() {
            self.fault(name, &one_of(words));
        }
        word.map(str::to_owned)
    }

    /// An ObjectId that may be left out, in lower case.
    pub(crate) fn object_id(&mut self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        let id = value.as_str().filter(|id| is_object_id(id));
        if id.is_none() {
            self.fault(name, "must be a mongodb id");
        }
        id.map(str::to_ascii_lowercase)
    }

    /// A list of texts that may be left out. Texts are trimmed, and blank ones left out.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let value = self.get(name)?;
        let entries = value.as_array();
        let each = entries.filter(|entries| entries.iter().all(Value::is_string));
        if each.is_none() {
            self.faults.push(format!("each value in {name} must be a string"));
        }
        if entries.is_none() {
            self.fault(name, "must be an array");
        }
        let entries = each?;
        if entries.len() > MAX_ENTRIES {
            self.fault(name, &format!("must contain no more than {MAX_ENTRIES} elements"));
            return None;
        }
        let mut texts = Vec::new();
        for entry in entries {
            texts.push(self.checked_text(&format!("each value in {name}"), entry, LINE)?.trim().to_owned());
        }
        texts.retain(|text| !text.is_empty());
        Some(texts)
    }

    /// A text, or a list of texts, that may be left out.
    pub(crate) fn text_or_texts(&mut self, name: &str) -> Option<Value> {
        match self.get(name)? {
            Value::Array(_) => self.texts(name).map(Value::from),
            value => self.checked_text(name, value, TEXT).map(Value::from),
        }
    }
}

fn one_of(words: &[&str]) -> String {
    format!("must be one of the following values: {}", words.join(", "))
}

fn is_date(text: &str) -> bool {
    text.len() <= 64 && (text.parse::<jiff::civil::Date>().is_ok() || text.parse::<jiff::Timestamp>().is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_said_in_order() {
        let body = json!([]);
        let mut fields = Fields::new(&body, Need::Whole);
        assert_eq!(fields.required_text("title", LINE), None);
        assert_eq!(fields.required_date("date"), None);
        assert_eq!(fields.required_bool("isTeaching"), None);
        assert_eq!(fields.text("description", TEXT), None);
        assert_eq!(
            fields.faults(),
            [
                "title should not be empty",
                "title must be a string",
                "date must be a valid ISO 8601 date string",
                "isTeaching must be a boolean value",
            ]
        );
    }

    #[test]
    fn a_part_may_leave_out_anything_and_must_be_right_in_the_rest() {
        let body = json!({ "title": " ", "count": 0, "percent": 101 });
        let mut fields = Fields::new(&body, Need::Part);
        assert_eq!((fields.required_date("date"), fields.required_bool("b")), (None, None));
        assert_eq!(fields.required_word("type", &["a"]), None);
        fields.required_text("title", LINE);
        fields.count("count");
        fields.required_percent("percent");
        let expected = [
            "title should not be empty",
            "count must not be less than 1",
            "percent must not be greater than 100",
        ];
        assert_eq!(fields.faults(), expected);
    }

    #[test]
    fn wrong_types_never_pass() {
        for value in [json!(1), json!([]), json!({}), json!(true), json!("\0"), json!(-0.5), json!(1e300)] {
            let body = json!({ "f": value });
            let mut fields = Fields::new(&body, Need::Whole);
            let is_text = fields.text("f", TEXT).is_some();
            let is_date = fields.required_date("f").is_some();
            let is_id = fields.object_id("f").is_some();
            let is_word = fields.word("f", &["x"]).is_some();
            assert!(!is_text && !is_date && !is_id && !is_word, "{body}");
            assert_eq!(fields.count("f").is_some(), value == json!(1), "{body}");
            assert_eq!(fields.texts("f").is_some(), value == json!([]), "{body}");
        }
    }

    #[test]
    fn dates_may_have_times() {
        for date in ["2024-01-15", "2024-01-15T14:00:00Z", "2024-01-15T14:00:00.000+02:00"] {
            assert!(is_date(date), "{date}");
        }
        for date in ["", "tomorrow", "15/01/2024", "2024-02-30"] {
            assert!(!is_date(date), "{date}");
        }
    }
}
