use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

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
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path_beside(database, ".lock"))?;
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
