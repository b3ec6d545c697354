use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::Clock;
use tempfile::TempPath;
use tokio::io::{AsyncWriteExt, BufWriter};

/// The files, each under its material's id. A name that a user gave is never part of a path.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
}

/// A file that is being uploaded. Dropping it removes it: a client that goes away leaves nothing.
#[derive(Debug)]
pub(crate) struct Incoming {
    file: BufWriter<tokio::fs::File>,
    path: TempPath,
    /// Bytes so far.
    pub(crate) size: u64,
}

/// A whole upload, not yet under its id.
#[derive(Debug)]
pub(crate) struct Received {
    path: TempPath,
    file: File,
}

/// How much is gathered before the disk is bothered: each write is a hop to another thread.
const WRITE_BYTES: usize = 256 * 1024;
/// Older files without a row belong to no upload that is still under way.
const ORPHAN_AGE: Duration = Duration::from_secs(3_600);

impl Storage {
    /// Makes the folders and clears away uploads that dead processes left.
    pub(crate) async fn open(folder: PathBuf) -> io::Result<Self> {
        let storage = Self { folder };
        let incoming = storage.incoming_folder();
        let files = storage.files_folder();
        blocking(move || {
            fs::create_dir_all(&files)?;
            fs::create_dir_all(&incoming)?;
            clear_abandoned(&incoming)
        })
        .await?;
        Ok(storage)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a material's row calls its file.
    pub(crate) fn file_path(id: &str) -> String {
        format!("materials/{id}")
    }

    /// Where a material's file is.
    pub(crate) fn path(&self, id: &str) -> PathBuf {
        self.files_folder().join(id)
    }

    /// Begins an upload.
    pub(crate) async fn receive(&self) -> io::Result<Incoming> {
        let folder = self.incoming_folder();
        let (file, path) = blocking(move || {
            let (file, path) = tempfile::Builder::new().prefix("upload-").tempfile_in(folder)?.into_parts();
            // Held as long as the file is open; it tells other processes that somebody still writes here.
            file.lock()?;
            Ok((file, path))
        })
        .await?;
        let file = BufWriter::with_capacity(WRITE_BYTES, tokio::fs::File::from_std(file));
        Ok(Incoming { file, path, size: 0 })
    }

    /// Puts an upload under its id, durably: when this returns, a power cut no longer takes it.
    pub(crate) fn keep_blocking(&self, received: Received, id: &str) -> io::Result<()> {
        received.file.sync_data()?;
        received.path.persist(self.path(id)).map_err(|e| e.error)?;
        // The new name is the folder's data, not the file's.
        File::open(self.files_folder())?.sync_all()
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(crate) async fn remove(&self, id: &str) -> io::Result<()> {
        match tokio::fs::remove_file(self.path(id)).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// The ids of the files that have lain here for long enough to be compared with the rows.
    pub(crate) async fn old_files(&self) -> io::Result<Vec<String>> {
        let folder = self.files_folder();
        let now = Clock::system().now();
        blocking(move || {
            let mut ids = Vec::new();
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let written = entry.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH);
                let written = longhaul::Timestamp(longhaul::clock::millis(written.unwrap_or_default()));
                if now.since(written) > ORPHAN_AGE
                    && let Ok(id) = entry.file_name().into_string()
                {
                    ids.push(id);
                }
            }
            Ok(ids)
        })
        .await
    }

    fn files_folder(&self) -> PathBuf {
        self.folder.join("materials")
    }

    /// Beside the files and on the same disk, so that an upload is put in its place by renaming it.
    fn incoming_folder(&self) -> PathBuf {
        self.folder.join("materials-incoming")
    }
}

impl Incoming {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).await
    }

    /// The whole upload, its bytes with the system though not yet on the disk.
    pub(crate) async fn finish(mut self) -> io::Result<Received> {
        self.file.flush().await?;
        Ok(Received { path: self.path, file: self.file.into_inner().into_std().await })
    }
}

impl Received {
    /// Where it is for now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes what nobody holds: the kernel gives a lock back when its owner dies, however that happens.
fn clear_abandoned(incoming: &Path) -> io::Result<()> {
    for entry in fs::read_dir(incoming)? {
        let path = entry?.path();
        // An upload of another process may end in between; then there is nothing to clear.
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            tracing::info!(file = %path.display(), "removing an upload that was never finished");
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn an_upload_is_under_its_id_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().join("files")).await.unwrap();
        let mut kept = storage.receive().await.unwrap();
        let dropped = storage.receive().await.unwrap();
        assert_eq!(names(&storage.incoming_folder()).len(), 2);
        drop(dropped);
        kept.write(b"one ").await.unwrap();
        kept.write(b"two").await.unwrap();
        assert_eq!(kept.size, 7);
        storage.keep_blocking(kept.finish().await.unwrap(), "a").unwrap();
        assert_eq!(fs::read(storage.path("a")).unwrap(), b"one two");
        assert!(names(&storage.incoming_folder()).is_empty());
        storage.remove("a").await.unwrap();
        storage.remove("a").await.unwrap();
        assert!(names(&storage.files_folder()).is_empty());
    }

    #[tokio::test]
    async fn only_what_nobody_writes_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_owned()).await.unwrap();
        let _open = storage.receive().await.unwrap();
        fs::write(storage.incoming_folder().join("upload-abandoned"), "half").unwrap();
        Storage::open(folder.path().to_owned()).await.unwrap();
        let left = names(&storage.incoming_folder());
        assert_eq!(left.len(), 1);
        assert_ne!(left[0], "upload-abandoned");
    }

    #[tokio::test]
    async fn only_old_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_owned()).await.unwrap();
        fs::write(storage.path("new"), "x").unwrap();
        fs::write(storage.path("old"), "x").unwrap();
        let old = File::options().write(true).open(storage.path("old")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(storage.old_files().await.unwrap(), ["old"]);
    }
}
