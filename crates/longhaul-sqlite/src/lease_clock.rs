use longhaul::clock::BootTime;
use longhaul::{Clock, Result, Timestamp};
use rusqlite::{Connection, params};

use crate::error::fault;

/// The clock on which leases and graces end: the time since the machine was started, which no setting of the wall clock
/// moves, and which all processes of the machine share.
///
/// Its numbers look like times of day, so that they compare with those that earlier releases wrote: to the time since the
/// start it adds an offset, which is the time of day at that start as the first process to open the file saw it. The
/// file keeps the offset by boot, so that every process adds the same one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseClock {
    offset: i64,
}

/// A reading of the clock of leases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTime {
    pub(crate) at: Timestamp,
    /// The same in 1/1024 milliseconds.
    pub(crate) ticks: i64,
}

impl LeaseClock {
    /// Reads the offset of this boot, or notes it where this process is the first to open the file since.
    pub(crate) fn open(connection: &Connection, clock: &Clock) -> Result<Self> {
        let BootTime { boot, elapsed } = clock.boot_time();
        let offset = clock.now().minus(elapsed).0;
        // The write is only made where there is no row: opening a file does not wait for its writer.
        let read = || {
            let mut find = connection.prepare("SELECT offset FROM boots WHERE boot = ?1")?;
            find.query_row([boot], |row| row.get(0))
        };
        let insert = || {
            let insert = "INSERT OR IGNORE INTO boots (boot, offset) VALUES (?1, ?2)";
            connection.execute(insert, params![boot, offset])?;
            // Another process may have been first.
            read()
        };
        let offset = read().or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => insert(),
            error => Err(error),
        });
        Ok(Self { offset: offset.map_err(fault("read the clock of leases"))? })
    }

    pub(crate) fn now(self, clock: &Clock) -> LeaseTime {
        let elapsed = clock.boot_time().elapsed;
        let ticks = i64::try_from((elapsed.as_nanos() << 10) / 1_000_000).unwrap_or(i64::MAX);
        let ticks = self.offset.saturating_mul(1 << 10).saturating_add(ticks);
        LeaseTime { at: Timestamp(self.offset).plus(elapsed), ticks }
    }
}
