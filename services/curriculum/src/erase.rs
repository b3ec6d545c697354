//! The data of a user in this service: workflows with their lesson plans.

use std::collections::BTreeSet;

use longhaul::Job;
use serde_json::{Map, Value};
use service_support::{Candidate, EraseError, Erased, Erasure, Rows};

use crate::app::App;
use crate::jobs::{GenerateModule, RewriteLesson, WORKFLOW};

/// The fields of a workflow that say whose it is, the first of them before the others. A backend with one token for all of its
/// users says so there, so they go before the user of the token.
const OWNER_FIELDS: [&str; 5] = ["userId", "user_id", "createdBy", "ownerId", "owner"];
/// Workflows that are read at a time; each may have a megabyte.
const PAGE: usize = 20;

impl App {
    /// Rows go after the jobs, whose labels name the workflow. A module whose job is late finds no workflow, and saves nothing.
    pub(crate) async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        let workflows = self.workflows_of(erasure.user()).await?;
        let is_own = |job: &Candidate<'_>| job.is_of(WORKFLOW, &workflows);
        erasure.jobs(&mut erased, &[GenerateModule::KIND, RewriteLesson::KIND], is_own).await?;
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
                if owner_of(&body, owner.as_deref()) == Some(user) {
                    own.insert(row.get("id")?);
                }
            }
        }
    }
}

fn owner_of<'a>(body: &'a Map<String, Value>, token: Option<&'a str>) -> Option<&'a str> {
    OWNER_FIELDS.into_iter().find_map(|field| body.get(field)?.as_str()).or(token)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workflow_is_its_fields_users_and_else_its_tokens() {
        let owner = |body: Value, token| owner_of(body.as_object().unwrap(), token).map(str::to_owned);
        assert_eq!(owner(json!({"title": "t"}), None), None);
        assert_eq!(owner(json!({"title": "t"}), Some("ada")).as_deref(), Some("ada"));
        assert_eq!(owner(json!({"userId": "bob", "owner": "eve"}), Some("ada")).as_deref(), Some("bob"));
        assert_eq!(owner(json!({"userId": 7, "createdBy": "bob"}), None).as_deref(), Some("bob"));
    }
}
