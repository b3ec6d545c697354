//! The files, each under its material's id. A name that a user gave is never part of a path.

mod bucket;
mod stamp;

use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use longhaul::Clock;
use service_support::{ConfigError, Env, OpenError, refused};
use tempfile::TempPath;
use tokio_util::io::ReaderStream;

use self::bucket::Bucket;

/// The place of the files, and the folder for those that come in or are read.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    place: Place,
    /// On the same disk as a folder of files, so that an upload is put in its place by renaming it.
    incoming: PathBuf,
    /// The place as people know it.
    described: String,
}

#[derive(Clone, Debug)]
enum Place {
    Folder { root: PathBuf },
    Bucket(Bucket),
}

/// A file that programs can open. Dropping it removes what was copied for them.
#[derive(Debug)]
pub(crate) struct Local {
    path: PathBuf,
    _copy: Option<PartialFile>,
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

/// A file under its id. Held until its row is written, because a sweep removes a file that is not held and has no row
/// as left by a crash.
#[derive(Debug)]
pub(crate) struct Held {
    /// A bucket knows no locks: see [`Bucket::is_old`].
    _locked: Option<File>,
}

impl Storage {
    /// Opens the folder or bucket that `STORAGE_URL` names; `files` under the data folder by default.
    pub(crate) async fn from_env(env: &Env, clock: Clock) -> Result<Self, OpenError> {
        match place(env)? {
            Named::Folder(root) => {
                let name = root.display().to_string();
                Self::open(root).await.map_err(|source| OpenError::Folder { folder: name, source })
            }
            Named::Bucket(url) => {
                let place = Place::Bucket(Bucket::open(&url, env, clock)?);
                let incoming = env.in_data("files").join(INCOMING);
                let folder = incoming.display().to_string();
                let opened = Self { place, incoming, described: url }.prepare().await;
                opened.map_err(|source| OpenError::Folder { folder, source })
            }
        }
    }

    async fn open(root: PathBuf) -> io::Result<Self> {
        let (incoming, described) = (root.join(INCOMING), root.display().to_string());
        Self { place: Place::Folder { root }, incoming, described }.prepare().await
    }

    /// Makes the folders and clears away what dead processes left of uploads and copies.
    async fn prepare(self) -> io::Result<Self> {
        blocking(move || {
            if let Place::Folder { root } = &self.place {
                fs::create_dir_all(root.join(FILES))?;
            }
            fs::create_dir_all(&self.incoming)?;
            clear_abandoned(&self.incoming)?;
            Ok(self)
        })
        .await
    }

    /// The place, for people.
    pub(crate) fn described(&self) -> &str {
        &self.described
    }

    /// The name of a file in its material's row.
    pub(crate) fn file_path(id: &str) -> String {
        format!("{FILES}/{id}")
    }

    /// A material's file as programs can open it. One that is missing from a folder is noticed when it is opened.
    pub(crate) async fn local(&self, id: &str) -> io::Result<Local> {
        match &self.place {
            Place::Folder { root } => Ok(Local { path: root.join(FILES).join(id), _copy: None }),
            Place::Bucket(bucket) => {
                let mut content = bucket.read(id).await?.ok_or(io::ErrorKind::NotFound)?;
                let mut copy = self.receive();
                while let Some(bytes) = content.next().await {
                    copy.write(bytes?).await?;
                }
                let copy = blocking(move || write_pending(copy.file, &copy.folder, &copy.pending)).await?;
                Ok(Local { path: copy.path.to_path_buf(), _copy: Some(copy) })
            }
        }
    }

    /// The content of a file, in pieces; `None` where there is no such file.
    pub(crate) async fn read(&self, id: &str) -> io::Result<Option<BoxStream<'static, io::Result<Bytes>>>> {
        let root = match &self.place {
            Place::Bucket(bucket) => return bucket.read(id).await,
            Place::Folder { root } => root,
        };
        match tokio::fs::File::open(root.join(FILES).join(id)).await {
            Ok(file) => Ok(Some(ReaderStream::with_capacity(file, PIECE_BYTES).boxed())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Begins an upload.
    pub(crate) fn receive(&self) -> Incoming {
        let folder = self.incoming.clone();
        Incoming { folder, file: None, pending: Vec::new(), pending_bytes: 0, size: 0 }
    }

    /// Puts a whole upload under its id, durably: when this returns, a power cut no longer takes it. `check` sees it
    /// before; where it says no, nothing is kept.
    pub(crate) async fn keep<T: Send + 'static>(
        &self,
        incoming: Incoming,
        id: &str,
        check: impl FnOnce(&Path) -> io::Result<Option<T>> + Send + 'static,
    ) -> io::Result<Option<(T, Held)>> {
        let finish = move || {
            let file = write_pending(incoming.file, &incoming.folder, &incoming.pending)?;
            Ok(check(&file.path)?.map(|checked| (checked, file)))
        };
        match &self.place {
            Place::Folder { root } => {
                let (files, id) = (root.join(FILES), id.to_owned());
                blocking(move || {
                    let Some((checked, PartialFile { file, path })) = finish()? else { return Ok(None) };
                    // The name first and the content after it, so that one sync of the disk serves both. A crash in
                    // between leaves a file without a row, which the next start clears away.
                    path.persist(files.join(id)).map_err(|e| e.error)?;
                    file.sync_all()?;
                    // The name is the folder's data, not the file's.
                    File::open(files)?.sync_all()?;
                    Ok(Some((checked, Held { _locked: Some(file) })))
                })
                .await
            }
            Place::Bucket(bucket) => {
                let Some((checked, file)) = blocking(finish).await? else { return Ok(None) };
                bucket.upload(&file.path, id).await?;
                Ok(Some((checked, Held { _locked: None })))
            }
        }
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(crate) async fn remove(&self, id: &str) -> io::Result<()> {
        let root = match &self.place {
            Place::Bucket(bucket) => return bucket.remove(id).await,
            Place::Folder { root } => root,
        };
        match tokio::fs::remove_file(root.join(FILES).join(id)).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// The ids of all files.
    pub(crate) async fn ids(&self) -> io::Result<Vec<String>> {
        let folder = match &self.place {
            Place::Bucket(bucket) => return bucket.ids().await,
            Place::Folder { root } => root.join(FILES),
        };
        blocking(move || {
            let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
            names.filter_map(io::Result::transpose).collect()
        })
        .await
    }

    /// Takes hold of a file, unless it is gone or may be held by another process.
    pub(crate) async fn hold(&self, id: &str) -> io::Result<Option<Held>> {
        let path = match &self.place {
            Place::Bucket(bucket) => return Ok(bucket.is_old(id).await?.then_some(Held { _locked: None })),
            Place::Folder { root } => root.join(FILES).join(id),
        };
        blocking(move || {
            let file = match File::open(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            Ok(file.try_lock().is_ok().then_some(Held { _locked: Some(file) }))
        })
        .await
    }
}

/// The folder, or the part of a bucket, that the files are in.
const FILES: &str = "materials";
const INCOMING: &str = "materials-incoming";

impl Local {
    pub(crate) fn path(&self) -> &Path {
        &self.path
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
        // Held as long as the file is open; it shows other processes that the upload goes on.
        file.lock()?;
        Ok(Self { file, path })
    }
}

/// Removes files that are not locked: the kernel releases a lock when its owner dies, however that happens.
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

/// The value of `STORAGE_URL`.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Folder(PathBuf),
    Bucket(String),
}

fn place(env: &Env) -> Result<Named, ConfigError> {
    let Some(url) = env.text("STORAGE_URL") else { return Ok(Named::Folder(env.in_data("files"))) };
    match url.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(Named::Folder(PathBuf::from(path))),
        _ if url.starts_with("s3://") => Ok(Named::Bucket(url)),
        _ => Err(refused(
            "STORAGE_URL",
            format!("must be file:///folder or s3://bucket/prefix, and is '{url}'"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_to_the_named_place_or_into_the_data_folder() {
        let place_for = |url: Option<&'static str>| {
            let env = Env::new(Path::new("/data"), move |_| url.map(String::from));
            place(&env).map_err(|error| error.variable)
        };
        assert_eq!(place_for(None), Ok(Named::Folder("/data/files".into())));
        assert_eq!(place_for(Some("file:///srv/files")), Ok(Named::Folder("/srv/files".into())));
        assert_eq!(place_for(Some("s3://bucket/a")), Ok(Named::Bucket("s3://bucket/a".into())));
        for refused in ["https://bucket/prefix", "file://relative", "/srv/files"] {
            assert_eq!(place_for(Some(refused)), Err("STORAGE_URL"), "{refused}");
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
        assert_eq!(names(&storage.incoming).len(), 3);
        drop(dropped);
        assert!(storage.keep(refused, "b", |_| Ok(None::<()>)).await.unwrap().is_none());
        for piece in ["", "one ", "", "two"] {
            kept.write(piece.into()).await.unwrap();
        }
        assert_eq!(kept.size, WRITE_BYTES as u64 + 7);
        let kept = storage.keep(kept, "a", |path| Ok(Some(fs::metadata(path)?.len()))).await;
        let (length, held) = kept.unwrap().unwrap();
        assert_eq!(length, WRITE_BYTES as u64 + 7);
        assert_eq!(storage.ids().await.unwrap(), ["a"]);
        assert!(storage.hold("a").await.unwrap().is_none(), "its row is not written yet");
        drop(held);
        assert!(storage.hold("a").await.unwrap().is_some());
        assert!(storage.hold("b").await.unwrap().is_none());
        assert!(fs::read(storage.local("a").await.unwrap().path()).unwrap().ends_with(b"xone two"));
        assert!(names(&storage.incoming).is_empty());
        storage.remove("a").await.unwrap();
        storage.remove("a").await.unwrap();
        assert!(names(&folder.path().join("files").join(FILES)).is_empty());
    }

    #[tokio::test]
    async fn only_what_nobody_writes_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_owned()).await.unwrap();
        let _open = begun(&storage).await;
        fs::write(storage.incoming.join("upload-abandoned"), "half").unwrap();
        Storage::open(folder.path().to_owned()).await.unwrap();
        let left = names(&storage.incoming);
        assert_eq!(left.len(), 1);
        assert_ne!(left[0], "upload-abandoned");
    }
}
