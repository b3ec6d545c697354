use std::path::Path;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Error, Result};
use rusqlite::{Connection, OpenFlags};

use crate::error::{STORE, fault};

/// The longest that others may keep the file from being rewritten, and the log from being emptied.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that one look waits for those who read the log.
const LOOK: Duration = Duration::from_secs(2);

/// Rewrites the database `path` so that nothing is left in it of rows that were deleted or changed, and empties its
/// log. SQLite leaves the bytes of deleted rows in place until something overwrites them: in free pages, in gaps
/// between rows, and in the log.
///
/// Other processes may have the file open. During the rewrite, about a second for 100 MiB, writers wait, and readers go
/// on. It needs space for two more copies: one in the folder of temporary files, one in the log. It may be repeated at
/// any time, and a crash leaves the database whole. Copies that a file system or a disk keeps of overwritten blocks are
/// not removed.
///
/// This blocks the thread.
///
/// # Errors
/// The file does not exist; another process keeps it from being rewritten (by writes without a pause, or by a long read
/// transaction, as of an export); the disk is full; a fault of the file.
pub fn scrub(path: impl AsRef<Path>) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path.as_ref(), flags).map_err(fault("scrub"))?;
    connection.busy_timeout(PATIENCE).map_err(fault("scrub"))?;
    // The pages that are written are zeroed first. What `VACUUM` puts together temporarily follows this setting.
    let on = "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; VACUUM;";
    connection.execute_batch(on).map_err(fault("scrub"))?;
    connection.busy_timeout(LOOK).map_err(fault("scrub"))?;
    let waiting = Stopwatch::start();
    loop {
        let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy: bool = connection.query_row(empty, [], |row| row.get(0)).map_err(fault("scrub"))?;
        if !is_busy {
            return Ok(());
        }
        if waiting.elapsed() > PATIENCE {
            let reason = "the file is written anew, but somebody reads its log all the time, which still holds what was \
                          there before: end exports and backups, and do it again";
            return Err(Error::Store { store: STORE, operation: "scrub", source: reason.into() });
        }
    }
}
