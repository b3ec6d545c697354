use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::open::path_beside;

/// This process's part in the database file: one process owns it, any number of others share it.
///
/// The lock is the kernel's (`flock`): it ends with the process, however that ends. So the process that gets it knows
/// that every earlier owner is dead, and that none of the runs of those goes on.
#[derive(Debug)]
pub(crate) enum Role {
    /// We hold the lock for as long as this lives.
    Owner { _lock: File },
    /// Another process, or another store of this one, holds it; we share the file.
    Guest,
}

impl Role {
    pub(crate) fn of(database: &Path) -> io::Result<Self> {
        let file = open(database, ".lock")?;
        match file.try_lock() {
            Ok(()) => Ok(Role::Owner { _lock: file }),
            Err(TryLockError::WouldBlock) => Ok(Role::Guest),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn is_owner(&self) -> bool {
        matches!(self, Role::Owner { .. })
    }
}

/// The turns of the processes that write one file.
///
/// SQLite wakes nobody who waits for its write lock: whoever waits looks again after a pause. A process that commits without a
/// break would get the lock again and again, and the others would starve. So a process holds this lock while it waits for the
/// write lock, and the one that has just committed comes behind it. This lock, too, is the kernel's.
#[derive(Debug)]
pub(crate) struct Turns {
    file: Option<File>,
    /// True where the last wait was in vain.
    is_kept: Cell<bool>,
}

/// A turn, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Turn<'t>(Option<&'t File>);

/// The pause between looks for a turn.
const LOOK: Duration = Duration::from_micros(200);
/// The looks after which a process writes out of turn: the one whose turn it is may stand still, or be held up by the disk.
const LOOKS: u32 = 500;

impl Turns {
    pub(crate) fn of(database: Option<&str>) -> Self {
        let file = database.and_then(|path| open(Path::new(path), ".turn").ok());
        Self { file, is_kept: Cell::new(false) }
    }

    pub(crate) fn wait(&self) -> Turn<'_> {
        let looks = if self.is_kept.get() { 1 } else { LOOKS };
        for _ in 0..looks {
            match self.file.as_ref().map(File::try_lock) {
                Some(Ok(())) => {
                    self.is_kept.set(false);
                    return Turn(self.file.as_ref());
                }
                Some(Err(TryLockError::WouldBlock)) => thread::sleep(LOOK),
                Some(Err(TryLockError::Error(_))) | None => return Turn(None),
            }
        }
        self.is_kept.set(true);
        Turn(None)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // A lock that is not given up ends with the process.
        self.0.map(File::unlock);
    }
}

fn open(database: &Path, suffix: &str) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path_beside(database, suffix))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_had_by_one_at_a_time_and_one_that_is_kept_is_waited_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let [one, other] = [(); 2].map(|()| Turns::of(path.to_str()));
        let turn = one.wait();
        assert!(turn.0.is_some());
        assert!(other.wait().0.is_none());
        assert!(other.is_kept.get(), "the next wait is a single look");
        drop(turn);
        assert!(other.wait().0.is_some());
        assert!(!other.is_kept.get());
        assert!(one.wait().0.is_some(), "a turn ends with its guard");
    }
}
