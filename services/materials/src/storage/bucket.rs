//! Files in a bucket of a server that speaks S3, so that workers on other machines can read them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use longhaul::{Clock, Timestamp};
use object_store::aws::AmazonS3ConfigKey::{AccessKeyId, Endpoint, Region, SecretAccessKey, Token};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig, WriteMultipart};
use service_support::{ConfigError, Env, refused};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use super::FILES;

/// A bucket, and the part of it that is ours.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    store: Arc<AmazonS3>,
    prefix: Key,
    clock: Clock,
    /// Uploads that are on their way: each holds a part in memory.
    uploads: Arc<Semaphore>,
}

/// The variables of S3's clients, the later ones before the earlier.
const VARIABLES: &[(&str, AmazonS3ConfigKey)] = &[
    ("AWS_ACCESS_KEY_ID", AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", SecretAccessKey),
    ("AWS_SESSION_TOKEN", Token),
    ("AWS_DEFAULT_REGION", Region),
    ("AWS_REGION", Region),
    ("AWS_ENDPOINT_URL", Endpoint),
    ("AWS_ENDPOINT_URL_S3", Endpoint),
];

/// The least that a part of an upload in parts may have, the last one aside. A smaller file goes in one piece.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// The time for which a call is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const UPLOADS_AT_ONCE: usize = 4;
/// A file is younger than this while its row may yet be written.
const OLD: Duration = Duration::from_secs(3600);

impl Bucket {
    /// A bucket by its URL, with the keys and the endpoint that the usual `AWS_*` variables name. The ways of a cloud to give
    /// its machines keys work too.
    pub(super) fn open(url: &str, env: &Env, clock: Clock) -> Result<Self, ConfigError> {
        let fault = |reason: String| refused("STORAGE_URL", reason);
        let rest = url.strip_prefix("s3://").unwrap_or_default().trim_end_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(fault(format!("must be s3://bucket/prefix, and is '{url}'")));
        }
        // An application that has chosen another provider keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The defaults would keep a request waiting for three minutes.
        let retry = RetryConfig { max_retries: 3, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let mut store = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
        for (variable, key) in VARIABLES {
            if let Some(value) = env.text(variable) {
                // An address without TLS is intended.
                let is_plain = *key == Endpoint && value.starts_with("http://");
                store = if is_plain { store.with_allow_http(true) } else { store }.with_config(*key, value);
            }
        }
        let store = store.build().map_err(|error| fault(format!("cannot be used: {error}")))?;
        let prefix = Key::parse(prefix).map_err(|error| fault(format!("has a bad prefix: {error}")))?;
        let uploads = Arc::new(Semaphore::new(UPLOADS_AT_ONCE));
        Ok(Self { store: Arc::new(store), prefix, clock, uploads })
    }

    /// Streams a file up; it is durable when this returns.
    pub(super) async fn upload(&self, path: &Path, id: &str) -> io::Result<()> {
        let _turn = self.uploads.acquire().await.map_err(io::Error::other)?;
        let mut file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        if usize::try_from(length).is_ok_and(|length| length <= PART_BYTES) {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await?;
            self.store.put(&self.key(id), bytes.into()).await.map_err(fault)?;
            return Ok(());
        }
        let upload = self.store.put_multipart(&self.key(id)).await.map_err(fault)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let length = match file.read(&mut buffer).await {
                Ok(length) => length,
                Err(error) => {
                    abort(upload).await;
                    return Err(error);
                }
            };
            if length == 0 {
                upload.finish().await.map_err(fault)?;
                return Ok(());
            }
            upload.write(&buffer[..length]);
            if let Err(error) = upload.wait_for_capacity(1).await {
                abort(upload).await;
                return Err(fault(error));
            }
        }
    }

    pub(super) async fn read(&self, id: &str) -> io::Result<Option<BoxStream<'static, io::Result<Bytes>>>> {
        match self.store.get(&self.key(id)).await {
            Ok(found) => Ok(Some(found.into_stream().map_err(fault).boxed())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    pub(super) async fn remove(&self, id: &str) -> io::Result<()> {
        match self.store.delete(&self.key(id)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }

    pub(super) async fn ids(&self) -> io::Result<Vec<String>> {
        let files = self.prefix.clone().join(FILES);
        let names =
            self.store.list(Some(&files)).map_ok(|found| found.location.filename().map(str::to_owned));
        let names: Vec<Option<String>> = names.try_collect().await.map_err(fault)?;
        Ok(names.into_iter().flatten().collect())
    }

    /// True if a file exists and is so old that its upload has written its row or never will.
    pub(super) async fn is_old(&self, id: &str) -> io::Result<bool> {
        match self.store.head(&self.key(id)).await {
            Ok(found) => {
                let written = Timestamp(found.last_modified.timestamp_millis());
                Ok(self.clock.now().since(written) >= OLD)
            }
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(fault(error)),
        }
    }

    /// The content of an object beside the files.
    pub(super) async fn note(&self, name: &str) -> io::Result<Option<String>> {
        match self.store.get(&self.prefix.clone().join(name)).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(fault)?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Writes an object beside the files, unless it is there.
    pub(super) async fn write_note(&self, name: &str, text: String) -> io::Result<()> {
        let key = self.prefix.clone().join(name);
        let payload = PutPayload::from(text.into_bytes());
        match self.store.put_opts(&key, payload.clone(), PutMode::Create.into()).await {
            Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
            // Some servers have no conditional writes; of two first starts at once, the look that follows finds the
            // second.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                self.store.put(&key, payload).await.map(drop).map_err(fault)
            }
            Err(error) => Err(fault(error)),
        }
    }

    fn key(&self, id: &str) -> Key {
        self.prefix.clone().join(FILES).join(id)
    }
}

async fn abort(upload: WriteMultipart) {
    if let Err(error) = upload.abort().await {
        tracing::warn!("failed to abort an upload to the bucket: {error}");
    }
}

/// An error of the bucket's server. One that refuses says why in words for operators; all else is that it does not answer.
fn fault(error: Error) -> io::Error {
    let kind = match &error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        Error::Generic { .. } => io::ErrorKind::NotConnected,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
