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

/// Writes the database `path` anew, so that nothing is left in it of rows that were deleted or changed, and empties its log. SQLite
/// leaves the bytes of deleted rows where they stood until something else takes the place: in free pages, in gaps between rows,
/// in the log.
///
/// Others may have the file open. While it is rewritten, about a second for 100 MiB, whoever writes waits, and readers go on. It
/// takes room for two more copies meanwhile: one in the folder of temporary files, one in the log. Doing it again is harmless,
/// and so is a crash, after which nothing is lost or half done. What a file system or a disk keeps of overwritten blocks is out
/// of its reach.
///
/// This blocks the thread.
///
/// # Errors
/// Where there is no such file, or somebody keeps it from being rewritten (writes without an end, or reads one moment of it, as an
/// export does), where the disk is full, and for any fault of the file.
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
