//! The data of a user in this service: the notes of who has asked for which analysis, and batches under way.
//!
//! An analysis is of a GitHub account and not of the user who asked for it. All users who ask for the account share it,
//! and it names none of them.

use longhaul::Job;
use service_support::{Candidate, Deed, EraseError, Erased, Erasure, Rows};

use crate::app::App;
use crate::jobs::{Batch, Member, batch_of};

/// A task counts against its caller until it has ended, and then has no caller.
const ASKED: &str = "caller = 'user:' || CAST($1 AS TEXT)";
const BATCHES: &str = "caller = 'user:' || CAST($1 AS TEXT) AND login IS NULL";
const ANALYSES: &str = "caller = 'user:' || CAST($1 AS TEXT) AND login IS NOT NULL";

impl App {
    /// A batch is its caller's, and goes with its members. The analyses that these have begun are everybody's.
    pub(crate) async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        let batches = erasure.ids("github_tasks", "task_id", BATCHES).await?;
        let is_own = |job: &Candidate<'_>| batches.contains(batch_of(job.id));
        erasure.jobs(&mut erased, &[Batch::KIND, Member::KIND], is_own).await?;
        erasure.answers_about(&mut erased, &batches).await?;
        erasure.rows(&mut erased, Rows { table: "github_tasks", key: "task_id", condition: BATCHES }).await?;
        let analyses = match erasure.deed() {
            Deed::Count => erasure.ids("github_tasks", "task_id", ANALYSES).await?.len() as u64,
            Deed::Erase => {
                let sql = format!("UPDATE github_tasks SET caller = NULL WHERE {ASKED}");
                erasure.write(sql, vec![erasure.user().into()]).await?
            }
        };
        erased.add("names in github_tasks", analyses);
        let why = "they are of GitHub accounts and shared by all who ask, and do not say any more who did";
        erased.stays("analyses under way that the user had asked for", analyses, why);
        Ok(erased)
    }
}
