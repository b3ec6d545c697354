//! The data of a user in this service: workflows with their lesson plans.

use std::collections::BTreeSet;

use longhaul::Job;
use serde_json::{Map, Value};
use service_support::{Candidate, EraseError, Erased, Erasure, Rows, user_label};

use crate::app::App;
use crate::jobs::{GenerateModule, RewriteLesson, WORKFLOW};
use crate::model::user_of;

/// Workflows that are read at a time; each may have a megabyte.
const PAGE: usize = 20;

impl App {
    /// Rows go after the jobs, whose labels name the workflow. A module whose job is late finds no workflow, and saves nothing.
    pub(crate) async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        let workflows = self.workflows_of(erasure.user()).await?;
        let label = user_label(erasure.user());
        let is_own = |job: &Candidate<'_>| job.has(&label) || job.is_of(WORKFLOW, &workflows);
        erasure.jobs(&mut erased, &[GenerateModule::KIND, RewriteLesson::KIND], is_own).await?;
        erasure.turns(&mut erased, &self.turns).await?;
        erasure.answers_about(&mut erased, &workflows).await?;
        for id in &workflows {
            let modules = Rows {
                table: "curriculum_modules",
                key: "workflow_id, module_index",
                condition: "workflow_id = $1",
            };
            let workflow = Rows { table: "curriculum_workflows", key: "id", condition: "id = $1" };
            for rows in [modules, workflow] {
                erasure.rows_of(id, &mut erased, rows).await?;
            }
        }
        Ok(erased)
    }

    /// The ids of a user's workflows. All are looked through, for what says whose one is may be in its body alone.
    async fn workflows_of(&self, user: &str) -> Result<BTreeSet<String>, EraseError> {
        let sql = format!(
            "SELECT id, owner, body FROM curriculum_workflows WHERE id > $1 ORDER BY id LIMIT {PAGE}"
        );
        let (mut own, mut after) = (BTreeSet::new(), String::new());
        loop {
            let rows = self.db.read(sql.clone(), vec![after.as_str().into()]).await?;
            let Some(last) = rows.last() else { return Ok(own) };
            after = last.get("id")?;
            for row in &rows {
                let (body, owner): (String, Option<String>) = (row.get("body")?, row.get("owner")?);
                // A body that cannot be read is not shown, and belongs to its owner all the same.
                let body = serde_json::from_str::<Map<String, Value>>(&body).unwrap_or_default();
                if user_of(&body, owner.as_deref()) == Some(user) {
                    own.insert(row.get("id")?);
                }
            }
        }
    }
}
