//! Results in the database, which outlive the tasks that made them.

use longhaul::{JobId, Json, Timestamp};
use service_support::{DbError, Write, placeholders};

use crate::analysis::Profile;
use crate::app::App;
use crate::name::Username;

/// Results of one user that are kept, the newest.
const KEPT_PER_USER: u32 = 10;
/// The days after which unused replies of GitHub's are deleted.
const ETAG_DAYS: u64 = 30;
/// Notes of who asked for what are kept for longer than any cached result.
const TASK_DAYS: u64 = 2;
/// Rows of each sort that one save clears away.
const CLEARED: u32 = 200;

/// A result as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) task_id: String,
    pub(crate) result: Json,
    pub(crate) analyzed_at: Timestamp,
}

impl App {
    /// Keeps a result, releases its caller's reservation, and clears away some of what is old. May be repeated.
    pub(crate) async fn save(
        &self,
        task: &JobId,
        username: &Username,
        profile: &Profile,
    ) -> Result<(), DbError> {
        let now = self.clock.now();
        let (login, result) = (username.login(), Json::new(profile)?);
        let keep = Write::new(
            "INSERT INTO github_results (task_id, login, result, analyzed_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (task_id) DO UPDATE SET result = excluded.result, analyzed_at = excluded.analyzed_at",
            vec![task.as_str().into(), login.as_str().into(), result.as_str().into(), now.into()],
        );
        let forget = Write::new(
            "DELETE FROM github_results WHERE login = $1 AND task_id NOT IN (SELECT task_id FROM github_results \
             WHERE login = $1 ORDER BY analyzed_at DESC, task_id DESC LIMIT $2)",
            vec![login.into(), KEPT_PER_USER.into()],
        );
        let days = |days: u64| now.minus(std::time::Duration::from_secs(days * 86_400));
        let clear_etags = Write::new(
            "DELETE FROM github_etags WHERE url IN (SELECT url FROM github_etags WHERE fetched_at < $1 LIMIT $2)",
            vec![days(ETAG_DAYS).into(), CLEARED.into()],
        );
        let clear_tasks = Write::new(
            "DELETE FROM github_tasks WHERE task_id IN (SELECT task_id FROM github_tasks \
             WHERE created_at < $1 LIMIT $2)",
            vec![days(TASK_DAYS).into(), CLEARED.into()],
        );
        let writes = vec![keep, forget, Self::release(task), clear_etags, clear_tasks];
        self.db.commit(writes, vec![]).await.map(|_| ())
    }

    /// The newest results of a user, newest first. Uses `github_results_by_login`.
    pub(crate) async fn results_of(&self, username: &Username, limit: u32) -> Result<Vec<Kept>, DbError> {
        let sql = "SELECT task_id, result, analyzed_at FROM github_results WHERE login = $1 \
                   ORDER BY analyzed_at DESC, task_id DESC LIMIT $2";
        let rows = self.db.read(sql, vec![username.login().into(), limit.into()]).await?;
        rows.iter().map(kept).collect()
    }

    /// The results of tasks, in any order; tasks without one are left out. Uses the primary key.
    pub(crate) async fn results_by_task(&self, tasks: &[String]) -> Result<Vec<Kept>, DbError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT task_id, result, analyzed_at FROM github_results WHERE task_id IN ({})",
            placeholders(1, tasks.len())
        );
        let rows = self.db.read(sql, tasks.iter().map(|task| task.as_str().into()).collect()).await?;
        rows.iter().map(kept).collect()
    }
}

fn kept(row: &service_support::Row) -> Result<Kept, DbError> {
    Ok(Kept {
        task_id: row.get("task_id")?,
        result: Json::parse(row.get("result")?)?,
        analyzed_at: row.get("analyzed_at")?,
    })
}
