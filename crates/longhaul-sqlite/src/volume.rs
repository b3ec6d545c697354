use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use longhaul::{Error, Result};
use parking_lot::Mutex;

use crate::error::{broken, copy, full};
use crate::open::path_beside;

/// The disk under the file: whether there is room, and whether the file is still where it was opened.
///
/// A small file beside the database keeps some room in reserve. Where the disk is full, the reserve is given up, and
/// heartbeats, sweeps, cancels and deletions go on in its room, while what adds to the file is refused. Once the reserve
/// can be taken again, everything goes on.
#[derive(Debug)]
pub(crate) struct Volume {
    path: PathBuf,
    identity: Identity,
    reserve: PathBuf,
    reserve_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_full: bool,
    /// The last outage, until a write has succeeded.
    outage: Option<Error>,
}

/// Room besides the log's for writes of maintenance, and for the log's own overhead.
const BESIDE_LOG_BYTES: u64 = 2 * 1024 * 1024;
/// SQLite's own size of a page, which no file here changes.
const PAGE_BYTES: u64 = 4096;
/// The room that must be free besides before a full disk counts as having room again.
const MARGIN_BYTES: u64 = 2 * 1024 * 1024;

impl Volume {
    /// Opens the volume of a database whose log of writes is folded back into it at `log_pages`, and begins anew: the reserve is
    /// enough for it to grow that long.
    pub(crate) fn open(path: &Path, log_pages: u32) -> io::Result<Self> {
        let identity = identity(&std::fs::metadata(path)?);
        let reserve = path_beside(path, ".reserve");
        let reserve_bytes = u64::from(log_pages) * PAGE_BYTES + BESIDE_LOG_BYTES;
        let path = path.to_owned();
        let volume = Self { path, identity, reserve, reserve_bytes, state: Mutex::default() };
        if let Err(error) = volume.take_reserve(0) {
            tracing::warn!("failed to keep {reserve_bytes} bytes in reserve for a full disk: {error}");
            volume.state.lock().is_full = error.kind() == io::ErrorKind::StorageFull;
        }
        Ok(volume)
    }

    /// Gives up the reserve of a file that cannot be opened for want of room.
    pub(crate) fn release_reserve_of(path: &Path) {
        let _ = std::fs::remove_file(path_beside(path, ".reserve"));
    }

    /// An error if the file is no longer where it was opened, because writes to it would be lost.
    pub(crate) fn check_file(&self) -> Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => {}
            Ok(_) => return Err(self.gone("was replaced by another")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.gone("was deleted")),
            // SQLite will meet whatever else is wrong with the disk itself.
            Err(error) => tracing::debug!("failed to look at {}: {error}", self.path.display()),
        }
        Ok(())
    }

    /// An error while the disk is full. Ends that by itself where there is room again.
    pub(crate) fn check_room(&self) -> Result<()> {
        if !self.state.lock().is_full {
            return Ok(());
        }
        if self.take_reserve(MARGIN_BYTES).is_err() {
            let advice =
                "the disk is full: make room; heartbeats, sweeps, cancels and deletions go on meanwhile";
            return Err(full(advice.to_owned()));
        }
        self.state.lock().is_full = false;
        tracing::info!("the disk has room again");
        Ok(())
    }

    fn gone(&self, how: &str) -> Error {
        let path = self.path.display();
        broken(format!("{path} {how} while the store had it open: put it back, or restart"))
    }

    /// Gives up the reserve after a write that found no room; answers whether there is room for upkeep now.
    pub(crate) fn make_room(&self, error: &Error) -> bool {
        let Error::Full { .. } = error else { return false };
        let was_full = {
            let mut state = self.state.lock();
            state.outage = Some(copy(error));
            std::mem::replace(&mut state.is_full, true)
        };
        if !was_full {
            tracing::error!("the disk is full: {error}");
        }
        std::fs::remove_file(&self.reserve).is_ok() || !was_full
    }

    /// Notes that a transaction has written something: an outage is over.
    pub(crate) fn wrote(&self) {
        self.state.lock().outage = None;
    }

    pub(crate) fn failed(&self, error: &Error) {
        self.state.lock().outage = Some(copy(error));
    }

    /// The outage that the last write met.
    pub(crate) fn outage(&self) -> Option<Error> {
        self.state.lock().outage.as_ref().map(copy)
    }

    /// Takes the reserve where there is room for it and `margin` more.
    fn take_reserve(&self, margin: u64) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.reserve)?;
        let taken =
            allocate(&file, self.reserve_bytes + margin).and_then(|()| file.set_len(self.reserve_bytes));
        taken.inspect_err(|_| {
            let _ = std::fs::remove_file(&self.reserve);
        })
    }
}

/// Takes blocks, and not only a length, from the file system.
#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(file, bytes),
        done => Ok(done?),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    write_zeros(file, bytes)
}

fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    for _ in 0..bytes / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_all()
}

/// The identity of a file, by which a replacement of the same name is detected.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(found: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    (0, 0)
}
