//! Rows of a service beside the jobs: a workflow that one release's server has written is read and edited by the other's.

use serde_json::{Value, json};

use super::api::Api;
use crate::Result;

/// A workflow that was written, and what it must be.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    path: String,
    data: Value,
}

/// Writes a workflow at one server and edits it at another.
pub(crate) async fn put(stage: &str, by: &Api, other: &Api) -> Result<Row> {
    let module =
        json!({ "code": "DB1", "title": "Databases", "contactHours": 3, "outcomes": ["Explain joins"] });
    let body = json!({ "title": "Computing", "level": stage, "modules": [module] });
    let written = by.post("/api/v3/workflow", body).await?;
    let id = written["data"]["_id"].as_str().ok_or("a workflow has no id")?;
    let path = format!("/api/v3/workflow/{id}");
    let edited = other.put(&path, json!({ "title": "Applied Computing" })).await?;
    let mut expected = written["data"].clone();
    expected["title"] = "Applied Computing".into();
    expected["updatedAt"] = edited["data"]["updatedAt"].clone();
    Ok(Row { path, data: expected })
}

impl Row {
    /// What a server tells of it that is not as it should be.
    pub(crate) async fn check(&self, at: &Api) -> Result<Option<String>> {
        let told = at.get(&self.path).await?;
        let is_right = told.body["data"] == self.data;
        Ok((!is_right).then(|| {
            format!("{}: the {} release tells {} in place of {}", self.path, at.release, told.text, self.data)
        }))
    }
}
