//! The stamp that ties a folder of files to its database.
//!
//! A process with the rows of one database and the files of another would find none of the files that it reads, and
//! would remove all files that it finds, because no row of its database refers to them. So the folder names its
//! database, and the database names its folder.

use std::fs::OpenOptions;
use std::io::{self, Write};

use longhaul::JobId;
use service_support::{Db, DbError, OpenError, refused};

use super::{Place, Storage, blocking};

/// The file or object with the ids of the database and of the place, in one line.
const STAMP: &str = "longhaul-stamp";
/// The name under which the database keeps the id of the place.
const PLACE: &str = "materials-storage";

impl Storage {
    /// Makes sure that the files here are those of the rows in `db`, and notes it where neither says anything yet.
    ///
    /// # Errors
    /// Fails where they belong to another database, or the database's files are elsewhere.
    pub(crate) async fn check_owner(&self, db: &Db) -> Result<(), OpenError> {
        let database = db.id().await?;
        let known = db.stamped(PLACE).await?;
        let mut found = self.stamp().await?;
        if found.is_none() && known.is_none() {
            self.write_stamp(format!("{database} {}\n", JobId::random())).await?;
            found = self.stamp().await?;
        }
        let place = self.described();
        let Some(found) = found else {
            let reason = format!(
                "the files of this database are not in {place}: set STORAGE_URL to where the other servers and workers keep \
                 them, an s3:// bucket or a folder that all of them reach. Where these are those files, put back their \
                 {STAMP}, one line: {database} {}",
                known.unwrap_or_default()
            );
            return Err(refused("STORAGE_URL", reason).into());
        };
        let (owner, id) = found.trim().split_once(' ').unwrap_or_default();
        let is_own = owner == database && known_as(db, id).await?;
        if is_own {
            return Ok(());
        }
        let reason = format!(
            "the files in {place} belong to another database: set STORAGE_URL to a place for this one, or DATABASE_URL (or \
             --database) to the database that they belong to. To give them up, remove {STAMP} there: files that no row of \
             this database knows are then removed"
        );
        Err(refused("STORAGE_URL", reason).into())
    }

    async fn stamp(&self) -> Result<Option<String>, OpenError> {
        let read = match &self.place {
            Place::Bucket(bucket) => bucket.note(STAMP).await,
            Place::Folder { root } => match tokio::fs::read_to_string(root.join(STAMP)).await {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
                text => text.map(Some),
            },
        };
        read.map_err(|source| self.unusable(source))
    }

    /// Writes the stamp, unless there is one.
    async fn write_stamp(&self, text: String) -> Result<(), OpenError> {
        let written = match &self.place {
            Place::Bucket(bucket) => bucket.write_note(STAMP, text).await,
            Place::Folder { root } => {
                let path = root.join(STAMP);
                blocking(move || {
                    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
                        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
                        file => file?,
                    };
                    file.write_all(text.as_bytes())?;
                    file.sync_all()
                })
                .await
            }
        };
        written.map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: io::Error) -> OpenError {
        OpenError::Folder { folder: self.described().to_owned(), source }
    }
}

/// True if the database knows the place, from now on if it knew none.
async fn known_as(db: &Db, id: &str) -> Result<bool, DbError> {
    Ok(!id.is_empty() && db.stamp(PLACE, id).await? == id)
}
