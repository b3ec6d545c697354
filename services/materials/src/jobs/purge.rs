use longhaul::{Context, Job, JobResult};
use serde::{Deserialize, Serialize};
use service_support::{Commit, DbError, Value, Write};

use super::QUEUE;
use crate::app::{App, Materials};

/// Removes what belongs to a deleted material, or to processings that search no longer reads. In the background and
/// some rows at a time: a long document has many, and every other write waits for each commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// The material's id.
    pub material_id: String,
    /// Keeps what belongs to this processing and later ones; `None` keeps nothing.
    pub keep_from_run: Option<u32>,
    /// The id of the file to remove too.
    pub file: Option<String>,
}

/// Nodes of an index that are removed in one commit; each has a row for each part.
const NODES_PER_COMMIT: u32 = 64;

impl Job for Purge {
    const KIND: &'static str = "materials.purge";
    const QUEUE: &'static str = QUEUE;
    /// Many, because nothing else removes the file.
    const MAX_ATTEMPTS: u32 = 20;

    type State = Materials;
    type Output = ();

    async fn run(self, cx: Context<Materials>) -> JobResult<()> {
        let app = cx.state().app();
        if let Some(file) = &self.file {
            app.storage.remove(file).await?;
        }
        app.purge(&self.material_id, self.keep_from_run.unwrap_or(u32::MAX)).await?;
        Ok(app.db.give_space_back().await?)
    }
}

/// Removes what belongs to the materials of a deleted course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeCourse {
    /// The ids of some of its materials, at most [`MATERIALS`](Self::MATERIALS).
    pub materials: Vec<String>,
}

impl PurgeCourse {
    /// The most materials of one job: their ids are within the bounds of a job's args.
    pub const MATERIALS: usize = 1_000;
}

impl Job for PurgeCourse {
    const KIND: &'static str = "materials.purge-course";
    const QUEUE: &'static str = QUEUE;
    /// Many, because nothing else removes the file.
    const MAX_ATTEMPTS: u32 = 20;

    type State = Materials;
    type Output = ();

    async fn run(self, cx: Context<Materials>) -> JobResult<()> {
        let app = cx.state().app();
        for id in &self.materials {
            app.storage.remove(id).await?;
            app.purge(id, u32::MAX).await?;
        }
        Ok(app.db.give_space_back().await?)
    }
}

impl App {
    /// Removes all rows of a material's runs below `below`.
    pub(crate) async fn purge(&self, material_id: &str, below: u32) -> Result<(), DbError> {
        for table in ["material_pages", "material_chunks", "material_vectors"] {
            self.purge_numbered(table, material_id, below).await?;
        }
        self.purge_terms(material_id, below).await
    }

    async fn purge_numbered(&self, table: &str, material_id: &str, below: u32) -> Result<(), DbError> {
        loop {
            let sql = format!(
                "SELECT run, number FROM {table} WHERE material_id = $1 AND run < $2 \
                 ORDER BY run, number LIMIT 1"
            );
            let rows = self.db.read(sql, vec![material_id.into(), below.into()]).await?;
            let Some(first) = rows.first() else { return Ok(()) };
            let (run, number): (u32, u32) = (first.get("run")?, first.get("number")?);
            let sql = format!("DELETE FROM {table} WHERE material_id = $1 AND run = $2 AND number < $3");
            let end = number.saturating_add(200);
            self.remove(sql, vec![material_id.into(), run.into(), end.into()]).await?;
        }
    }

    async fn purge_terms(&self, material_id: &str, below: u32) -> Result<(), DbError> {
        loop {
            let sql = "SELECT run, node FROM material_terms WHERE material_id = $1 AND run < $2 \
                       ORDER BY run, node LIMIT 1";
            let rows = self.db.read(sql, vec![material_id.into(), below.into()]).await?;
            let Some(first) = rows.first() else { return Ok(()) };
            let (run, node): (u32, u32) = (first.get("run")?, first.get("node")?);
            let sql = "DELETE FROM material_terms WHERE material_id = $1 AND run = $2 AND node < $3";
            let end = node.saturating_add(NODES_PER_COMMIT);
            self.remove(sql, vec![material_id.into(), run.into(), end.into()]).await?;
        }
    }

    async fn remove(
        &self,
        sql: impl Into<std::borrow::Cow<'static, str>>,
        params: Vec<Value>,
    ) -> Result<Commit, DbError> {
        self.db.commit(vec![Write::new(sql, params)], vec![]).await
    }
}
