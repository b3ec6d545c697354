use std::path::PathBuf;
use std::sync::Arc;

use longhaul::Result;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::{closed, panicked};

/// A few connections that can only read, opened when they are first needed.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, connections: usize) -> Self {
        Self { path: Arc::new(path), idle: Arc::default(), permits: Arc::new(Semaphore::new(connections)) }
    }

    /// Runs `work` on one of them, off the runtime's threads. Keep it short: a long read keeps the log of writes
    /// from being folded back into the file.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let (path, idle) = (Arc::clone(&self.path), Arc::clone(&self.idle));
        tokio::task::spawn_blocking(move || {
            let taken = idle.lock().pop();
            let connection = match taken {
                Some(connection) => connection,
                None => crate::open::reading(&path)?,
            };
            let answer = work(&connection);
            idle.lock().push(connection);
            drop(permit);
            answer
        })
        .await
        .map_err(|ended| match ended.try_into_panic() {
            Ok(panic) => panicked("read", &*panic),
            Err(_) => closed(),
        })?
    }
}
