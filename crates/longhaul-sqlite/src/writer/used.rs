use super::write_tx::WriteTx;

/// The features that are in use, so that an unused feature costs no look-up in its tables.
impl WriteTx<'_> {
    /// Reads, at the beginning of a transaction, the features in use and the newest number that was drawn.
    ///
    /// Nothing is read if neither can have changed: no other connection has committed since, and no feature was in use,
    /// so that none can have fallen out of use. Features that this connection uses are noted at once, because later
    /// calls of the same transaction need to know them.
    pub(super) fn read_features_in_use(&mut self) -> rusqlite::Result<()> {
        let version = self.statements.data_version.query_row([], |row| row.get(0))?;
        if self.read_at == Some(version) && !self.is_any_used() {
            return Ok(());
        }
        self.read_at = None;
        let (newest, has) = self.statements.newest.query_row([], |row| {
            let mut has = [false; 10];
            for (place, has) in (1..).zip(&mut has) {
                *has = row.get(place)?;
            }
            Ok((row.get(0)?, has))
        })?;
        self.sequence.observe(newest);
        [self.has_paused_queues, self.has_fair_queues, self.has_groups, ..] = has;
        [_, _, _, self.has_queue_bounds, self.has_key_bounds, self.has_edges, ..] = has;
        [.., self.has_dependencies, self.has_ended_dependencies, self.has_wakes, self.has_queue_limits] = has;
        self.read_at = Some(version);
        Ok(())
    }

    /// Has the next transaction read it anew, because this one has undone something: a use whose end was noted may be there again.
    pub(super) fn forget_what_is_used(&mut self) {
        self.read_at = None;
    }

    fn is_any_used(&self) -> bool {
        self.has_paused_queues
            || self.has_fair_queues
            || self.has_groups
            || self.has_queue_bounds
            || self.has_key_bounds
            || self.has_edges
            || self.has_dependencies
            || self.has_ended_dependencies
            || self.has_wakes
            || self.has_queue_limits
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use crate::writer::scratch::Scratch;
    use crate::writer::write_tx::Isolation;

    #[test]
    fn a_transaction_reads_no_table_of_an_unused_feature() {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.commit().unwrap();
        let mut begin = || file.steps(|| tx.begin(Isolation::Together).unwrap());
        let unused = begin();
        file.connection.execute_batch("COMMIT").unwrap();
        assert!(unused <= 12, "{unused}");
        let mut tx = file.begin();
        tx.pause_queue("q").unwrap();
        tx.commit().unwrap();
        let used = file.steps(|| tx.begin(Isolation::Together).unwrap());
        assert!(used > 4 * unused, "{used} {unused}");
    }

    #[test]
    fn a_use_whose_end_was_undone_is_known_again() {
        let file = Scratch::new();
        file.connection
            .execute_batch("INSERT INTO ended_dependencies (job, outcome) VALUES (1, 'completed')")
            .unwrap();
        let mut tx = file.begin();
        tx.settle().unwrap();
        assert!(!tx.has_ended_dependencies);
        tx.roll_back();
        tx.begin(Isolation::Together).unwrap();
        assert!(tx.has_ended_dependencies);
        tx.settle().unwrap();
        tx.commit().unwrap();
        tx.begin(Isolation::Together).unwrap();
        assert!(!tx.has_ended_dependencies);
    }
}
