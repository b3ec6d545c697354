//! A file for tests of single operations, which counts what they cost: steps of SQLite's machine, and not time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longhaul::{Changes, Clock};
use rusqlite::Connection;
use tempfile::TempDir;

use super::write_tx::{Isolation, WriteTx};

pub(super) struct Scratch {
    pub(super) connection: Connection,
    pub(super) clock: Clock,
    steps: Arc<AtomicU64>,
    _folder: TempDir,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = crate::open::writing(&folder.path().join("jobs.db")).unwrap();
        crate::open::migrate(&connection).unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(1, Some(count)).unwrap();
        Self { connection, clock: Clock::manual(), steps, _folder: folder }
    }

    /// A transaction that has begun.
    pub(super) fn begin(&self) -> WriteTx<'_> {
        let mut tx =
            WriteTx::new(&self.connection, self.clock.clone(), Arc::new(Changes::default()), true).unwrap();
        tx.begin(Isolation::Together).unwrap();
        tx
    }

    /// The steps that SQLite takes for `work`.
    pub(super) fn steps(&self, work: impl FnOnce()) -> u64 {
        let before = self.steps.load(Ordering::Relaxed);
        work();
        self.steps.load(Ordering::Relaxed) - before
    }
}
