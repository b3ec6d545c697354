use service_support::{DbError, Value};

use crate::app::App;
use crate::model::Lesson;

/// Words of a query that are looked for; further ones are left aside.
const MAX_WORDS: usize = 8;

impl App {
    /// The newest lessons of the topics that hold every word of `query`, best first: a word in the topic's name counts
    /// most, then one in the subject's, then one in the lesson. Reads the search texts of all topics.
    pub(crate) async fn search(&self, query: &str, limit: u32) -> Result<Vec<Lesson>, DbError> {
        let lower = query.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().take(MAX_WORDS).collect();
        let patterns: Vec<Value> = words.iter().map(|word| format!("%{}%", escaped(word)).into()).collect();
        let (mut conditions, mut scores) = (Vec::new(), Vec::new());
        for number in 1..=patterns.len() {
            let in_column = |column: &str| format!("t.{column} LIKE ${number} ESCAPE '\\'");
            let columns = ["topic_key", "subject_key", "search_text"].map(in_column);
            conditions.push(format!("({})", columns.join(" OR ")));
            for (column, score) in columns.iter().zip([4, 3, 1]) {
                scores.push(format!("CASE WHEN {column} THEN {score} ELSE 0 END"));
            }
        }
        if conditions.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {}, {} AS score FROM lesson_topics t JOIN lessons l ON l.subject_key = t.subject_key \
                 AND l.topic_key = t.topic_key AND l.number = t.newest \
             WHERE {} ORDER BY score DESC, t.updated_at DESC, t.topic_key LIMIT {limit}",
            Lesson::COLUMNS,
            scores.join(" + "),
            conditions.join(" AND "),
        );
        self.db.read(sql, patterns).await?.iter().map(Lesson::from_row).collect()
    }
}

/// A word to be found as it is, not as a pattern.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
