//! Rows, as users see them and as requests change them.

mod session;
mod skill;

pub(crate) use session::{STATUSES, Session, SessionFields, job_id, order_fault};
pub(crate) use skill::{Skill, SkillFields};

use serde::Serialize;
use serde::de::DeserializeOwned;
use service_support::{DbError, Row};

/// The most bytes of a body that the log repeats.
const LOGGED_BYTES: usize = 1024;

/// A value for a line of the log: on one line, and cut.
pub(crate) fn for_log(value: &impl Serialize) -> String {
    // JSON escapes line breaks and control characters, so that a value cannot forge a line of the log.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    if text.len() > LOGGED_BYTES {
        let end = (0..=LOGGED_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The same for a name, without quotation marks.
pub(crate) fn name_for_log(name: &str) -> String {
    let text = for_log(&name);
    text.strip_prefix('"').map(|text| text.strip_suffix('"').unwrap_or(text)).unwrap_or(&text).to_owned()
}

/// A column that holds JSON.
fn json_column<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, DbError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| DbError::Column { column: column.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_kept_to_one_line_and_a_kilobyte() {
        assert_eq!(for_log(&["a\nb"]), "[\"a\\nb\"]");
        let long = for_log(&"ü".repeat(1_000));
        assert!(long.len() <= LOGGED_BYTES + '…'.len_utf8() && long.ends_with('…'), "{}", long.len());
        assert_eq!(name_for_log("React \"x\"\n"), "React \\\"x\\\"\\n");
    }
}
