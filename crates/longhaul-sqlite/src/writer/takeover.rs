use std::sync::Arc;

use longhaul::{Changes, Clock, Result};
use rusqlite::Connection;

use super::write_tx::{Isolation, WriteTx};

/// Gives back what a dead owner of the file was running, before anything else is done with it.
pub(crate) fn takeover(connection: &Connection, clock: &Clock) -> Result<u64> {
    // A store that is being opened has no observers.
    let mut tx = WriteTx::new(connection, clock.clone(), Arc::new(Changes::default()), true)?;
    tx.begin(Isolation::Together)?;
    let taken = tx.take_over().and_then(|taken| tx.commit().map(|()| taken));
    taken.inspect_err(|_| tx.roll_back())
}
