//! Marks by which a process sees that what it was given belongs together: jobs and rows, rows and files.
//!
//! A worker that reads the jobs of one database and the rows of another finds none of the rows, and ends paid work as
//! superseded or not found. So each database has an id, and whatever is kept elsewhere carries it.

use std::collections::BTreeMap;

use longhaul::{EnqueueStatus, JobId, Json, Longhaul, NewJob, Start, Timestamp};

use super::{Db, DbError, Write};

/// An answer to whether two stores belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// They do, or did not belong anywhere and do from now on.
    Together,
    /// The one carries the id of another.
    Apart,
}

/// The job that carries the id of a database in a store that holds nothing but jobs. It never falls due: every store keeps
/// the first job of an id, and so the first of those who come to it.
pub const STAMP: &str = "longhaul-stamp";
pub(super) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS stamps (name TEXT PRIMARY KEY, value TEXT NOT NULL)";

impl Db {
    /// The id of this database, made when it is first asked for.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn id(&self) -> Result<String, DbError> {
        self.stamp("database", JobId::random().as_str()).await
    }

    /// Keeps a value under a name, unless one is kept there already, and answers the kept one.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn stamp(&self, name: &str, value: &str) -> Result<String, DbError> {
        let keep = Write::new(
            "INSERT INTO stamps (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            vec![name.into(), value.into()],
        );
        self.commit_here(vec![Write::new(TABLE, vec![])], vec![]).await?;
        self.commit_here(vec![keep], vec![]).await?;
        let kept = self.stamped(name).await?;
        Ok(kept.unwrap_or_else(|| value.to_owned()))
    }

    /// The value that is kept under a name. Where no stamp was ever kept there is no table; ask for the [id](Self::id) first.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn stamped(&self, name: &str) -> Result<Option<String>, DbError> {
        let rows = self.read("SELECT value FROM stamps WHERE name = $1", vec![name.into()]).await?;
        rows.first().map(|row| row.get("value")).transpose()
    }

    /// Forgets the value that is kept under a name.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn unstamp(&self, name: &str) -> Result<(), DbError> {
        let forget = Write::new("DELETE FROM stamps WHERE name = $1", vec![name.into()]);
        self.commit_here(vec![forget], vec![]).await.map(|_| ())
    }

    /// A check that the jobs which are kept in another database than the rows are those of these rows.
    ///
    /// # Errors
    /// A fault of one of the databases.
    pub async fn belongs_to_database(&self, jobs: &Db) -> Result<Belongs, DbError> {
        let id = self.id().await?;
        Ok(if jobs.stamp("database", &id).await? == id { Belongs::Together } else { Belongs::Apart })
    }

    /// The same for a store that holds nothing but jobs.
    ///
    /// # Errors
    /// A fault of the database or of the store.
    pub async fn belongs_to_jobs(&self, jobs: &Longhaul) -> Result<Belongs, DbError> {
        let id = self.id().await?;
        let stamp = JobId::new(STAMP)?;
        let job = NewJob {
            id: Some(stamp.clone()),
            queue: STAMP.into(),
            start: Start::At(Timestamp(i64::MAX)),
            labels: BTreeMap::from([("database".to_owned(), id.clone())]),
            ..NewJob::new(STAMP, Json::new(&())?)
        };
        if jobs.enqueue_one(job).await?.status == EnqueueStatus::Created {
            return Ok(Belongs::Together);
        }
        let found = jobs.get(&stamp).await?.found();
        let is_own = found.is_none_or(|job| job.labels.get("database") == Some(&id));
        Ok(if is_own { Belongs::Together } else { Belongs::Apart })
    }
}
