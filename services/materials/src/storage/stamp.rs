//! The stamp that ties a folder of files to its database.
//!
//! A process with the rows of one database and the files of another would find none of the files that it reads, and
//! would remove all files that it finds, because no row of its database refers to them. So the folder names its
//! database, and the database names its folder.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use longhaul::JobId;
use service_support::{Db, DbError, OpenError, refused};
use tempfile::NamedTempFile;

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
                let root = root.clone();
                blocking(move || put_stamp(&root, &text)).await
            }
        };
        written.map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: io::Error) -> OpenError {
        OpenError::Folder { folder: self.described().to_owned(), source }
    }
}

/// Writes the stamp aside and gives it its name once it is whole, unless there is one: half a stamp, which a crash or a full disk would
/// leave, or a second process read that starts at the same moment, names no database, and every later start would be refused.
fn put_stamp(root: &Path, text: &str) -> io::Result<()> {
    let mut aside = NamedTempFile::new_in(root)?;
    aside.write_all(text.as_bytes())?;
    aside.as_file().sync_all()?;
    match aside.persist_noclobber(root.join(STAMP)) {
        Err(unnamed) if unnamed.error.kind() != io::ErrorKind::AlreadyExists => Err(unnamed.error),
        // The database notes its place durably right after this, so the name must be as durable.
        _ => File::open(root)?.sync_all(),
    }
}

/// True if the database knows the place, from now on if it knew none.
async fn known_as(db: &Db, id: &str) -> Result<bool, DbError> {
    Ok(!id.is_empty() && db.stamp(PLACE, id).await? == id)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn whoever_finds_a_stamp_finds_all_of_it() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let (root, start) = (folder.path(), Barrier::new(4));
            let found: Vec<String> = thread::scope(|scope| {
                let begun: Vec<_> = (0..4)
                    .map(|n| {
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            put_stamp(root, &format!("database place-{n}\n")).unwrap();
                            std::fs::read_to_string(root.join(STAMP)).unwrap()
                        })
                    })
                    .collect();
                begun.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(found[0].ends_with('\n') && found.iter().all(|text| *text == found[0]), "{found:?}");
            assert_eq!(std::fs::read_dir(root).unwrap().count(), 1, "what was written aside is gone");
        }
    }
}
