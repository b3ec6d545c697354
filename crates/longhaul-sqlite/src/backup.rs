use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use longhaul::{Error, JobId, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::error::{STORE, fault, full};
use crate::lock::Role;
use crate::open::path_beside;

/// The progress of a backup, in bytes of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// Copied so far.
    pub copied: u64,
    /// The bytes to copy in all.
    pub total: u64,
}

/// The treatment of an existing file at the path of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the backup fails.
    Keep,
    /// It is replaced once the backup is complete and synced; until then the old file stays.
    Replace,
}

/// Copies the database `from` into the new file `to` while others read and write it, and answers the size of the copy in bytes.
/// The copy is of one moment, the one at which it begins: each job whose enqueue was answered before the call is in it, and no
/// half of a later transaction. It is synced, and its folder too, before it gets its name. A server on the copy takes over
/// the jobs that ran at that moment, which run again.
///
/// SQLite's backup interface copies page by page, which reports its progress and takes a bounded amount of memory.
/// (`VACUUM INTO` would write a smaller file, sort every index again for it, and report nothing until the end.) A read
/// transaction keeps the pages as they were at its beginning, because without one each write of another process would
/// restart the copy. The log of writes cannot be reset meanwhile: it grows by the writes, and is shortened afterwards.
///
/// This blocks the thread; `told` is called with the progress after each mebibyte.
///
/// # Errors
/// `from` is no database of jobs; `to` exists and is to be kept, or is in use; the disk is full; a fault of either
/// file. A copy that failed leaves nothing behind; what a killed process leaves is named `to` with `.unfinished-` and an id behind
/// it, stands in nobody's way, and may be deleted.
pub fn backup(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    existing: Existing,
    told: impl FnMut(BackupProgress),
) -> Result<u64> {
    let (from, to) = (from.as_ref(), to.as_ref());
    check_place(from, to, existing)?;
    let source = snapshot(from)?;
    let unfinished = Unfinished::create(to)?;
    let bytes = copy(&source, &unfinished.path, told)?;
    unfinished.finish(to, existing)?;
    Ok(bytes)
}

/// Pages of one step: a mebibyte, where a page has 4 KiB.
const PAGES_AT_ONCE: i32 = 256;

/// Refuses places where a backup would destroy something, or be taken for what it is not.
fn check_place(from: &Path, to: &Path, existing: Existing) -> Result<()> {
    let refused = |reason: &str| Err(fault_of(to, &reason));
    if to.file_name().is_none() || to.is_dir() {
        return refused("name a file for the backup, not a folder");
    }
    if std::fs::canonicalize(from).is_ok_and(|from| std::fs::canonicalize(to).is_ok_and(|to| to == from)) {
        return refused("that is the database itself: name another file");
    }
    // SQLite would take the log of another database for this one's, and write its pages into it.
    for log in ["-wal", "-journal"] {
        if std::fs::metadata(path_beside(to, log)).is_ok_and(|found| found.len() > 0) {
            return refused(&format!(
                "a file of that name with {log} behind it holds writes of a database: name another file"
            ));
        }
    }
    if !to.exists() {
        return Ok(());
    }
    if existing == Existing::Keep {
        return refused(
            "there is a file of that name already: name another one, or say that it may be replaced",
        );
    }
    let is_in_use = path_beside(to, ".lock").exists() && Role::of(to).is_ok_and(|role| !role.is_owner());
    if is_in_use { refused("a process works on that file: name another one, or stop it") } else { Ok(()) }
}

/// A connection whose transaction sees the database as it is now.
fn snapshot(from: &Path) -> Result<Connection> {
    if !from.exists() {
        return Err(fault_of(from, &"there is no such file"));
    }
    let source = crate::open::reading(from)?;
    source.execute_batch("BEGIN").map_err(fault("begin a backup"))?;
    // The transaction begins with what it reads first.
    let has_jobs = source
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'jobs'")
        .and_then(|mut find| find.exists([]))
        .map_err(fault("begin a backup"))?;
    if has_jobs {
        Ok(source)
    } else {
        Err(fault_of(from, &"it has no table of jobs: is it another database?"))
    }
}

fn copy(source: &Connection, to: &Path, mut told: impl FnMut(BackupProgress)) -> Result<u64> {
    let page: u32 = source.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(fault("back up"))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags).map_err(fault("open a backup"))?;
    // A copy that is not finished is thrown away, so nothing undoes it; it is synced once, when it is whole.
    target
        .execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;",
        )
        .map_err(fault("open a backup"))?;
    let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * u64::from(page);
    let copying = Backup::new(source, &mut target).map_err(fault("back up"))?;
    loop {
        let step = copying.step(PAGES_AT_ONCE).map_err(fault("back up"))?;
        let progress = copying.progress();
        let total = bytes(progress.pagecount);
        told(BackupProgress { copied: total - bytes(progress.remaining), total });
        match step {
            StepResult::Done => return Ok(total),
            StepResult::More => {}
            _ => return Err(fault_of(to, &"somebody else has the unfinished file open")),
        }
    }
}

/// A copy under a name of its own, which goes with this unless it is finished.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    fn create(to: &Path) -> Result<Self> {
        // Not by the process's number: in a container each process may have the same one, and what a killed one has left would
        // keep all later ones from their backups.
        let path = path_beside(to, &format!(".unfinished-{}", JobId::random()));
        let mut new = OpenOptions::new();
        new.create_new(true).write(true);
        #[cfg(unix)]
        // Only the owner may read it, because it holds the args of jobs.
        std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
        new.open(&path).map_err(|error| io_fault(&path, &error))?;
        Ok(Self { path })
    }

    /// Syncs the copy, gives it its name, and syncs that.
    fn finish(self, to: &Path, existing: Existing) -> Result<()> {
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|error| io_fault(&self.path, &error))?;
        let named = match existing {
            Existing::Replace => std::fs::rename(&self.path, to),
            Existing::Keep => rename_to_new(&self.path, to),
        };
        named.map_err(|error| io_fault(to, &error))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
        synced.map_err(|error| io_fault(to, &error))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It has another name by now where it was finished.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Renames a file, and fails where another has taken the name meanwhile.
#[cfg(target_os = "linux")]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot do it (NFS): a second name is given to a new one alone, too.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::hard_link(from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)
}

fn io_fault(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => full(format!("{}: {error}", path.display())),
        _ => fault_of(path, error),
    }
}

fn fault_of(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    let source = format!("{}: {reason}", path.display());
    Error::Store { store: STORE, operation: "back up", source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_backup_has_left_keeps_no_later_one_from_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("jobs.db"), folder.path().join("copy.db"));
        crate::open::migrate(&crate::open::writing(&from).unwrap()).unwrap();
        // A killed process removes nothing, and the next one in its container may have its number.
        std::mem::forget(Unfinished::create(&to).unwrap());
        assert!(backup(&from, &to, Existing::Keep, |_| {}).unwrap() > 0);
        assert!(snapshot(&to).is_ok());
    }
}
