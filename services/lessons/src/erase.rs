//! The data of a user in this service: the lessons that were asked for in the user's name.

use std::collections::BTreeSet;
use std::time::Duration;

use longhaul::Job;
use service_support::{Candidate, Deed, EraseError, Erased, Erasure, Rows, Value, Write, user_label};

use crate::app::App;
use crate::jobs::Generate;
use crate::knowledge::search_text;
use crate::model::Lesson;

/// Ids that are noted in one commit.
const AT_ONCE: usize = 200;
/// The time after which no run of an erased task is expected any more.
const KEEP_FOR: Duration = Duration::from_secs(30 * 86_400);
const LESSONS: Rows = Rows { table: "lessons", key: "task_id", condition: "user_id = $1" };
const TOPICS_OF_NOBODY_ELSE: Rows = Rows {
    table: "lesson_topics",
    key: "subject_key, topic_key",
    condition: "EXISTS (SELECT 1 FROM lessons l WHERE l.subject_key = lesson_topics.subject_key \
                AND l.topic_key = lesson_topics.topic_key AND l.user_id = $1) \
                AND NOT EXISTS (SELECT 1 FROM lessons l WHERE l.subject_key = lesson_topics.subject_key \
                AND l.topic_key = lesson_topics.topic_key AND l.user_id <> $1)",
};
/// Topics that are read at a time.
const TOPICS: usize = 100;
/// Looks that are taken at a topic which others write to, too.
const LOOKS: usize = 20;

impl App {
    /// A lesson is of the user who asked for it, though everybody may read it. Its topic is shared: it stays for as long as it has
    /// lessons of others, and then shows the newest of these.
    pub(crate) async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        let tasks = erasure.ids(LESSONS.table, LESSONS.key, LESSONS.condition).await?;
        let label = user_label(erasure.user());
        let is_own = |job: &Candidate<'_>| job.has(&label) || tasks.contains(job.id);
        let mut fenced = tasks.clone();
        let jobs = erasure.find_jobs(&[Generate::KIND], &is_own).await?;
        fenced.extend(jobs.iter().map(ToString::to_string));
        if erasure.deed() == Deed::Erase {
            self.fence(&fenced).await?;
        }
        erasure.jobs(&mut erased, &[Generate::KIND], is_own).await?;
        erasure.turns(&mut erased, &self.turns).await?;
        erasure.answers_about(&mut erased, &fenced).await?;
        match erasure.deed() {
            Deed::Count => {
                for rows in [LESSONS, TOPICS_OF_NOBODY_ELSE] {
                    erasure.rows(&mut erased, rows).await?;
                }
            }
            Deed::Erase => self.erase_lessons(erasure.user(), &mut erased).await?,
        }
        Ok(erased)
    }

    /// Keeps runs of these tasks that come late from saving.
    async fn fence(&self, tasks: &BTreeSet<String>) -> Result<(), EraseError> {
        let now = self.clock.now();
        let forget =
            Write::new("DELETE FROM lesson_erasures WHERE erased_at <= $1", vec![now.minus(KEEP_FOR).into()]);
        self.db.commit(vec![forget], vec![]).await?;
        let tasks: Vec<&String> = tasks.iter().collect();
        for some in tasks.chunks(AT_ONCE) {
            let note = |task: &&String| {
                Write::new(
                    "INSERT INTO lesson_erasures (task_id, erased_at) VALUES ($1, $2) \
                     ON CONFLICT (task_id) DO NOTHING",
                    vec![task.as_str().into(), now.into()],
                )
            };
            self.db.commit(some.iter().map(note).collect(), vec![]).await?;
        }
        Ok(())
    }

    async fn erase_lessons(&self, user: &str, erased: &mut Erased) -> Result<(), EraseError> {
        loop {
            let sql = format!(
                "SELECT DISTINCT subject_key, topic_key FROM lessons WHERE user_id = $1 LIMIT {TOPICS}"
            );
            let topics = self.db.read(sql, vec![user.into()]).await?;
            let before = erased.total();
            for topic in &topics {
                let (subject, topic): (String, String) = (topic.get("subject_key")?, topic.get("topic_key")?);
                self.erase_from_topic(user, &subject, &topic, erased).await?;
            }
            // Where others write to all of these topics all the time, the next look at the user comes back to them.
            if erased.total() == before {
                return Ok(());
            }
        }
    }

    /// One commit for the lessons and their topic, so that the topic never names a lesson that is not there, nor keeps its words.
    async fn erase_from_topic(
        &self,
        user: &str,
        subject: &str,
        topic: &str,
        erased: &mut Erased,
    ) -> Result<(), EraseError> {
        let keys = || -> Vec<Value> { vec![subject.into(), topic.into()] };
        for _ in 0..LOOKS {
            let sql = "SELECT newest FROM lesson_topics WHERE subject_key = $1 AND topic_key = $2";
            let rows = self.db.read(sql, keys()).await?;
            let Some(newest) = rows.first().map(|row| row.get::<u32>("newest")).transpose()? else {
                return Ok(());
            };
            let sql = format!(
                "SELECT {} FROM lessons l WHERE l.subject_key = $1 AND l.topic_key = $2 AND l.user_id <> $3 \
                 ORDER BY l.number DESC LIMIT 1",
                Lesson::COLUMNS
            );
            let params = [keys(), vec![user.into()]].concat();
            let left = self.db.read(sql, params.clone()).await?.first().map(Lesson::from_row).transpose()?;
            // No lesson was saved since the look, because a save takes a number first.
            let same = [keys(), vec![newest.into()]].concat();
            let is_topic_gone = left.is_none();
            let of_topic = match left {
                None => Write::guarded(
                    "DELETE FROM lesson_topics WHERE subject_key = $1 AND topic_key = $2 AND newest = $3",
                    same,
                ),
                Some(left) => {
                    let now_shown: Vec<Value> = vec![
                        left.version.0.into(),
                        search_text(&left.data.content).into(),
                        left.created_at.into(),
                    ];
                    Write::guarded(
                        "UPDATE lesson_topics SET newest = $4, search_text = $5, updated_at = $6 \
                         WHERE subject_key = $1 AND topic_key = $2 AND newest = $3",
                        [same, now_shown].concat(),
                    )
                }
            };
            let lessons = Write::new(
                "DELETE FROM lessons WHERE subject_key = $1 AND topic_key = $2 AND user_id = $3",
                params,
            );
            if let service_support::Commit::Done(done) =
                self.db.commit(vec![of_topic, lessons], vec![]).await?
            {
                erased.add("lessons", done.changed.get(1).copied().unwrap_or(0));
                erased.add("lesson_topics", u64::from(is_topic_gone));
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use longhaul::{Clock, Longhaul};
    use longhaul_sqlite::SqliteStore;
    use service_support::{Db, Deps, Env, Service};

    use super::*;
    use crate::app::Lessons;
    use crate::knowledge::NewLesson;
    use crate::model::Content;

    #[tokio::test]
    async fn a_run_that_is_late_saves_no_lesson_for_a_task_whose_user_was_erased() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("test.db")).await.unwrap();
        let (db, longhaul) = (Db::sqlite(store.clone()), Longhaul::new(store));
        let deps = Deps::new(Env::new(folder.path(), |_| None), db, longhaul, Clock::system()).unwrap();
        let lessons = Lessons::open(deps.clone()).await.unwrap();
        let app = lessons.app();
        let text = || "t".to_owned();
        let content = Content {
            title: text(),
            shloka: text(),
            translation: text(),
            explanation: text(),
            activity: text(),
            question: text(),
        };
        let lesson = |task_id, user_id| NewLesson {
            task_id,
            subject: "music",
            topic: "scales",
            user_id,
            content: &content,
            wikipedia_info: "null".into(),
            generator: "outline",
            requested_at: deps.clock.now(),
        };
        for (task, user) in [("1", "ada"), ("2", "bob"), ("3", "ada")] {
            assert!(app.save(&lesson(task, user)).await.unwrap().is_some());
        }
        let erasure = Erasure::new(&deps, "ada", Deed::Erase).unwrap();
        let erased = app.erase(&erasure).await.unwrap();
        assert_eq!((erased.counts["lessons"], erased.counts.get("lesson_topics")), (2, None));
        for late in ["1", "3"] {
            assert_eq!(app.save(&lesson(late, "ada")).await.unwrap(), None);
        }
        // The number is free again, for it names no lesson.
        assert_eq!(app.lesson("music", "scales", None).await.unwrap().unwrap().version.0, 1);
        assert_eq!(app.save(&lesson("4", "bob")).await.unwrap().unwrap().0, 2);
        assert_eq!(lessons.erase(&erasure).await.unwrap().total(), 0);
    }
}
