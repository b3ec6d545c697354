use rusqlite::{Connection, PrepFlags, Statement};

/// The statements that every job passes through, prepared once.
pub(crate) struct Statements<'c> {
    pub(super) insert: Statement<'c>,
    pub(super) insert_plain: Statement<'c>,
    pub(super) candidates: Statement<'c>,
    pub(super) jobs_of_group: Statement<'c>,
    pub(super) claim: Statement<'c>,
    pub(super) claim_keyed: Statement<'c>,
    pub(super) completable: Statement<'c>,
    pub(super) complete: Statement<'c>,
    pub(super) complete_leased: Statement<'c>,
    pub(super) complete_leased_keyed: Statement<'c>,
    pub(super) due: Statement<'c>,
    pub(super) add_count: Statement<'c>,
    pub(super) begin: Statement<'c>,
    pub(super) commit: Statement<'c>,
    pub(super) rollback: Statement<'c>,
    pub(super) data_version: Statement<'c>,
    pub(super) newest: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        // Long-lived statements take their memory from the heap: the connection's few small blocks are for the cursors that each
        // execution opens, one for each index of its table.
        let prepare = |sql| connection.prepare_with_flags(sql, PrepFlags::SQLITE_PREPARE_PERSISTENT);
        Ok(Self {
            insert: prepare(include_str!("../sql/insert_job.sql"))?,
            insert_plain: prepare(include_str!("../sql/insert_plain_job.sql"))?,
            candidates: prepare(include_str!("../sql/claim_candidates.sql"))?,
            jobs_of_group: prepare(include_str!("../sql/jobs_of_group.sql"))?,
            claim: prepare(include_str!("../sql/claim_job.sql"))?,
            claim_keyed: prepare(include_str!("../sql/claim_keyed_job.sql"))?,
            completable: prepare(include_str!("../sql/completable_job.sql"))?,
            complete: prepare(include_str!("../sql/complete_job.sql"))?,
            complete_leased: prepare(include_str!("../sql/complete_leased_job.sql"))?,
            complete_leased_keyed: prepare(include_str!("../sql/complete_leased_keyed_job.sql"))?,
            due: prepare(include_str!("../sql/due_jobs.sql"))?,
            add_count: prepare(include_str!("../sql/add_count.sql"))?,
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            rollback: prepare("ROLLBACK")?,
            data_version: prepare("PRAGMA data_version")?,
            newest: prepare(include_str!("../sql/newest_job.sql"))?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use crate::writer::scratch::Scratch;

    #[test]
    fn no_statement_that_every_job_passes_through_makes_a_table_of_its_own() {
        let file = Scratch::new();
        for sql in [
            include_str!("../sql/insert_job.sql"),
            include_str!("../sql/insert_plain_job.sql"),
            include_str!("../sql/claim_candidates.sql"),
            include_str!("../sql/jobs_of_group.sql"),
            include_str!("../sql/claim_job.sql"),
            include_str!("../sql/claim_keyed_job.sql"),
            include_str!("../sql/completable_job.sql"),
            include_str!("../sql/complete_job.sql"),
            include_str!("../sql/complete_leased_job.sql"),
            include_str!("../sql/complete_leased_keyed_job.sql"),
            include_str!("../sql/due_jobs.sql"),
            include_str!("../sql/add_count.sql"),
            include_str!("../sql/newest_job.sql"),
        ] {
            let mut plan = file.connection.prepare(&format!("EXPLAIN {sql}")).unwrap();
            let mut steps = plan.raw_query();
            while let Some(step) = steps.next().unwrap() {
                let step: String = step.get("opcode").unwrap();
                assert!(
                    !["OpenEphemeral", "OpenAutoindex", "SorterOpen"].contains(&step.as_str()),
                    "{step}: {sql}"
                );
            }
        }
    }
}
