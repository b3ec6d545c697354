//! The knowledge store: every lesson that was made, a version each.

use longhaul::Timestamp;
use service_support::{Commit, DbError, Write};

use crate::app::App;
use crate::model::{Content, Lesson, Version};

/// A lesson to be saved.
#[derive(Clone, Debug)]
pub(crate) struct NewLesson<'a> {
    /// The task that made it, which saves one lesson only.
    pub(crate) task_id: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) content: &'a Content,
    /// As JSON.
    pub(crate) wikipedia_info: String,
    pub(crate) generator: &'a str,
    pub(crate) requested_at: Timestamp,
}

/// The most versions that are listed.
const MAX_VERSIONS: usize = 1_000;

/// Takes the next number of a subject and topic, unless the task has saved its lesson already or was erased: then it changes
/// nothing, and the commit is refused. In: subject key, topic key, search text, now, task id. By the primary keys of
/// `lesson_topics`, `lessons` and `lesson_erasures`.
const TAKE_NUMBER: &str = "INSERT INTO lesson_topics (subject_key, topic_key, newest, search_text, updated_at) \
    SELECT $1, $2, 0, $3, CAST($4 AS BIGINT) WHERE NOT EXISTS (SELECT 1 FROM lessons WHERE task_id = $5) \
        AND NOT EXISTS (SELECT 1 FROM lesson_erasures WHERE task_id = $5) \
    ON CONFLICT (subject_key, topic_key) DO UPDATE SET newest = lesson_topics.newest + 1, \
        search_text = excluded.search_text, updated_at = excluded.updated_at";

/// Writes the lesson under the number that was just taken. In: task id, subject key, topic key, the texts in the order
/// of the columns, times. By the primary key of `lesson_topics`.
const INSERT: &str = "INSERT INTO lessons (task_id, subject_key, topic_key, number, subject, topic, user_id, title, \
        shloka, translation, explanation, activity, question, wikipedia_info, generator, requested_at, created_at) \
    SELECT $1, t.subject_key, t.topic_key, t.newest, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
        CAST($15 AS BIGINT), CAST($16 AS BIGINT) \
    FROM lesson_topics t WHERE t.subject_key = $2 AND t.topic_key = $3";

impl App {
    /// Saves a task's lesson as the next version of its subject and topic, in one commit, and answers that version. A
    /// task that saves again, after a crash or beside a worker that was taken for dead, finds what it saved first: no
    /// version is skipped, and none is there twice. `None` where its user was erased meanwhile: nothing is saved.
    pub(crate) async fn save(&self, lesson: &NewLesson<'_>) -> Result<Option<Version>, DbError> {
        let (subject_key, topic_key) = (key(lesson.subject), key(lesson.topic));
        let content = lesson.content;
        let now = self.clock.now();
        let take_number = Write::guarded(
            TAKE_NUMBER,
            vec![
                subject_key.as_str().into(),
                topic_key.as_str().into(),
                search_text(content).into(),
                now.into(),
                lesson.task_id.into(),
            ],
        );
        let insert = Write::guarded(
            INSERT,
            vec![
                lesson.task_id.into(),
                subject_key.into(),
                topic_key.into(),
                lesson.subject.into(),
                lesson.topic.into(),
                lesson.user_id.into(),
                content.title.as_str().into(),
                content.shloka.as_str().into(),
                content.translation.as_str().into(),
                content.explanation.as_str().into(),
                content.activity.as_str().into(),
                content.question.as_str().into(),
                lesson.wikipedia_info.as_str().into(),
                lesson.generator.into(),
                lesson.requested_at.into(),
                now.into(),
            ],
        );
        match self.db.commit(vec![take_number, insert], vec![]).await? {
            Commit::Done(_) => tracing::debug!(task = lesson.task_id, "lesson saved"),
            Commit::Refused { .. } => {
                tracing::info!(task = lesson.task_id, "this lesson was saved before, or its user is erased");
            }
        }
        Ok(self.lesson_of_task(lesson.task_id).await?.map(|lesson| lesson.version))
    }

    /// The lesson that a task saved, by the primary key of `lessons`.
    pub(crate) async fn lesson_of_task(&self, task_id: &str) -> Result<Option<Lesson>, DbError> {
        let sql = format!("SELECT {} FROM lessons l WHERE l.task_id = $1", Lesson::COLUMNS);
        self.db.read(sql, vec![task_id.into()]).await?.first().map(Lesson::from_row).transpose()
    }

    /// The newest lesson of a topic, or a given version of it; by the unique index of `lessons`.
    pub(crate) async fn lesson(
        &self,
        subject: &str,
        topic: &str,
        version: Option<Version>,
    ) -> Result<Option<Lesson>, DbError> {
        let newest = "(SELECT t.newest FROM lesson_topics t WHERE t.subject_key = $1 AND t.topic_key = $2)";
        let mut params = vec![key(subject).into(), key(topic).into()];
        let number = match version {
            None => newest,
            Some(version) => {
                params.push(version.0.into());
                "$3"
            }
        };
        let sql = format!(
            "SELECT {} FROM lessons l WHERE l.subject_key = $1 AND l.topic_key = $2 AND l.number = {number}",
            Lesson::COLUMNS
        );
        self.db.read(sql, params).await?.first().map(Lesson::from_row).transpose()
    }

    /// The versions of a topic, newest first, with their times: at most 1,000. By the unique index of `lessons`.
    pub(crate) async fn versions(
        &self,
        subject: &str,
        topic: &str,
    ) -> Result<Vec<(Version, Timestamp)>, DbError> {
        let sql = format!(
            "SELECT number, created_at FROM lessons WHERE subject_key = $1 AND topic_key = $2 \
             ORDER BY number DESC LIMIT {MAX_VERSIONS}"
        );
        let rows = self.db.read(sql, vec![key(subject).into(), key(topic).into()]).await?;
        rows.iter().map(|row| Ok((Version(row.get("number")?), row.get("created_at")?))).collect()
    }
}

/// The form in which two equal subjects, or topics, are the same.
fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The text that a search looks at beside subject and topic.
pub(crate) fn search_text(content: &Content) -> String {
    let Content { title, explanation, activity, question, .. } = content;
    format!("{title}\n{explanation}\n{activity}\n{question}").to_lowercase()
}
