use longhaul::Result;

use super::write_tx::WriteTx;
use crate::error::fault;

/// Pages that one transaction gives back: every other write waits for it.
const AT_ONCE: u32 = 256;
/// Free pages that the file keeps, so that what comes next need not grow it again.
const KEPT: u32 = 256;

/// Something to give back still, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    More,
    Given,
}

impl WriteTx<'_> {
    /// Gives some of the pages that deleted rows have left back to the file system.
    pub(crate) fn give_space_back(&mut self) -> Result<Space> {
        let fault = fault("give space back");
        let free = "SELECT freelist_count FROM pragma_freelist_count";
        let free: u32 = self
            .connection
            .prepare_cached(free)
            .and_then(|mut free| free.query_row([], |row| row.get(0)))
            .map_err(&fault)?;
        let surplus = free.saturating_sub(KEPT);
        if surplus == 0 {
            return Ok(Space::Given);
        }
        let sql = format!("PRAGMA incremental_vacuum({})", surplus.min(AT_ONCE));
        let mut vacuum = self.connection.prepare(&sql).map_err(&fault)?;
        // Each step gives one page back.
        let mut pages = vacuum.query([]).map_err(&fault)?;
        while pages.next().map_err(&fault)?.is_some() {}
        Ok(if surplus > AT_ONCE { Space::More } else { Space::Given })
    }
}
