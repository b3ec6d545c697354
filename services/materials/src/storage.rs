use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use service_support::{ConfigError, Env, OpenError, refused};
use tempfile::TempPath;
use tokio_util::io::ReaderStream;

/// The files, each under its material's id. A name that a user gave is never part of a path.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
}

/// A file that is being uploaded. Dropping it removes it: a client that goes away leaves nothing.
#[derive(Debug)]
pub(crate) struct Incoming {
    folder: PathBuf,
    /// Made with the first write.
    file: Option<PartialFile>,
    /// The bytes that have come and are not written yet, as they came: they are never copied.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// Bytes so far.
    pub(crate) size: u64,
}

#[derive(Debug)]
struct PartialFile {
    file: File,
    path: TempPath,
}

/// The bytes that are gathered for a write: each write is a hop to another thread, and each upload holds as many.
const WRITE_BYTES: usize = 128 * 1024;
/// The bytes of a file that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A file under its id. Held until its row is written: a sweep takes a file that nobody holds and no row knows for
/// one that a crash left.
#[derive(Debug)]
pub(crate) struct Held {
    _locked: File,
}

impl Storage {
    /// Opens the folder that `STORAGE_URL` names; `files` under the data folder by default.
    pub(crate) async fn from_env(env: &Env) -> Result<Self, OpenError> {
        let folder = folder(env)?;
        let name = folder.display().to_string();
        Self::open(folder).await.map_err(|source| OpenError::Folder { folder: name, source })
    }

    /// Makes the folders and clears away uploads that dead processes left.
    async fn open(folder: PathBuf) -> io::Result<Self> {
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

    /// The name of a file in its material's row.
    pub(crate) fn file_path(id: &str) -> String {
        format!("materials/{id}")
    }

    /// The path of a material's file.
    pub(crate) fn path(&self, id: &str) -> PathBuf {
        self.files_folder().join(id)
    }

    /// The content of a file, in pieces; `None` where there is no such file.
    pub(crate) async fn read(&self, id: &str) -> io::Result<Option<ReaderStream<tokio::fs::File>>> {
        match tokio::fs::File::open(self.path(id)).await {
            Ok(file) => Ok(Some(ReaderStream::with_capacity(file, PIECE_BYTES))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Begins an upload.
    pub(crate) fn receive(&self) -> Incoming {
        let folder = self.incoming_folder();
        Incoming { folder, file: None, pending: Vec::new(), pending_bytes: 0, size: 0 }
    }

    /// Puts a whole upload under its id, durably: when this returns, a power cut no longer takes it. `check` sees it
    /// before; where it says no, nothing is kept. Blocks.
    pub(crate) fn keep_blocking<T>(
        &self,
        incoming: Incoming,
        id: &str,
        check: impl FnOnce(&Path) -> io::Result<Option<T>>,
    ) -> io::Result<Option<(T, Held)>> {
        let PartialFile { file, path } = write_pending(incoming.file, &incoming.folder, &incoming.pending)?;
        let Some(checked) = check(&path)? else { return Ok(None) };
        // The name first and the content after it, so that one sync of the disk serves both. A crash in between
        // leaves a file without a row, which the next start clears away.
        path.persist(self.path(id)).map_err(|e| e.error)?;
        file.sync_all()?;
        // The name is the folder's data, not the file's.
        File::open(self.files_folder())?.sync_all()?;
        Ok(Some((checked, Held { _locked: file })))
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(crate) async fn remove(&self, id: &str) -> io::Result<()> {
        match tokio::fs::remove_file(self.path(id)).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// The ids of all files.
    pub(crate) async fn ids(&self) -> io::Result<Vec<String>> {
        let folder = self.files_folder();
        blocking(move || {
            let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
            names.filter_map(io::Result::transpose).collect()
        })
        .await
    }

    /// Takes hold of a file, unless it is gone or somebody else holds it.
    pub(crate) async fn hold(&self, id: &str) -> io::Result<Option<Held>> {
        let path = self.path(id);
        blocking(move || {
            let file = match File::open(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            Ok(file.try_lock().is_ok().then_some(Held { _locked: file }))
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
    pub(crate) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes < WRITE_BYTES {
            return Ok(());
        }
        self.pending_bytes = 0;
        let (file, folder, pending) =
            (self.file.take(), self.folder.clone(), std::mem::take(&mut self.pending));
        // Should this be dropped while it waits, the file is dropped, and so removed, where it is written.
        self.file = Some(blocking(move || write_pending(file, &folder, &pending)).await?);
        Ok(())
    }
}

fn write_pending(file: Option<PartialFile>, folder: &Path, pending: &[Bytes]) -> io::Result<PartialFile> {
    let mut partial = match file {
        Some(partial) => partial,
        None => PartialFile::create(folder)?,
    };
    let mut slices: Vec<IoSlice<'_>> = pending.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut left = &mut slices[..];
    // Nothing left of empty pieces would be written for ever.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match partial.file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(partial)
}

impl PartialFile {
    fn create(folder: &Path) -> io::Result<Self> {
        let (file, path) = tempfile::Builder::new().prefix("upload-").tempfile_in(folder)?.into_parts();
        // Held as long as the file is open; it tells other processes that somebody still writes here.
        file.lock()?;
        Ok(Self { file, path })
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

fn folder(env: &Env) -> Result<PathBuf, ConfigError> {
    let Some(url) = env.text("STORAGE_URL") else { return Ok(env.in_data("files")) };
    match url.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ if url.starts_with("s3://") => {
            Err(refused("STORAGE_URL", "s3 storage is not built in yet: use file:///folder"))
        }
        _ => Err(refused("STORAGE_URL", format!("must be file:///folder, and is '{url}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_to_the_named_folder_or_into_the_data_folder() {
        let folder_for = |url: Option<&'static str>| {
            let env = Env::new(Path::new("/data"), move |_| url.map(String::from));
            folder(&env).map_err(|error| error.variable)
        };
        assert_eq!(folder_for(None), Ok("/data/files".into()));
        assert_eq!(folder_for(Some("file:///srv/files")), Ok("/srv/files".into()));
        for refused in ["s3://bucket/prefix", "file://relative", "/srv/files"] {
            assert_eq!(folder_for(Some(refused)), Err("STORAGE_URL"), "{refused}");
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    async fn begun(storage: &Storage) -> Incoming {
        let mut incoming = storage.receive();
        incoming.write(vec![b'x'; WRITE_BYTES].into()).await.unwrap();
        incoming
    }

    #[tokio::test]
    async fn an_upload_is_under_its_id_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().join("files")).await.unwrap();
        let (mut kept, dropped, refused) =
            (begun(&storage).await, begun(&storage).await, begun(&storage).await);
        assert_eq!(names(&storage.incoming_folder()).len(), 3);
        drop(dropped);
        assert!(storage.keep_blocking(refused, "b", |_| Ok(None::<()>)).unwrap().is_none());
        for piece in ["", "one ", "", "two"] {
            kept.write(piece.into()).await.unwrap();
        }
        assert_eq!(kept.size, WRITE_BYTES as u64 + 7);
        let kept = storage.keep_blocking(kept, "a", |path| Ok(Some(fs::metadata(path)?.len())));
        let (length, held) = kept.unwrap().unwrap();
        assert_eq!(length, WRITE_BYTES as u64 + 7);
        assert_eq!(storage.ids().await.unwrap(), ["a"]);
        assert!(storage.hold("a").await.unwrap().is_none(), "its row is not written yet");
        drop(held);
        assert!(storage.hold("a").await.unwrap().is_some());
        assert!(storage.hold("b").await.unwrap().is_none());
        assert!(fs::read(storage.path("a")).unwrap().ends_with(b"xone two"));
        assert!(names(&storage.incoming_folder()).is_empty());
        storage.remove("a").await.unwrap();
        storage.remove("a").await.unwrap();
        assert!(names(&storage.files_folder()).is_empty());
    }

    #[tokio::test]
    async fn only_what_nobody_writes_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_owned()).await.unwrap();
        let _open = begun(&storage).await;
        fs::write(storage.incoming_folder().join("upload-abandoned"), "half").unwrap();
        Storage::open(folder.path().to_owned()).await.unwrap();
        let left = names(&storage.incoming_folder());
        assert_eq!(left.len(), 1);
        assert_ne!(left[0], "upload-abandoned");
    }
}
