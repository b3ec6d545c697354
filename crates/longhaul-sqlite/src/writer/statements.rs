use rusqlite::{Connection, Statement};

/// The statements that every job passes through, prepared once.
pub(crate) struct Statements<'c> {
    pub(super) insert: Statement<'c>,
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
    pub(super) newest: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare(include_str!("../sql/insert_job.sql"))?,
            candidates: connection.prepare(include_str!("../sql/claim_candidates.sql"))?,
            jobs_of_group: connection.prepare(include_str!("../sql/jobs_of_group.sql"))?,
            claim: connection.prepare(include_str!("../sql/claim_job.sql"))?,
            claim_keyed: connection.prepare(include_str!("../sql/claim_keyed_job.sql"))?,
            completable: connection.prepare(include_str!("../sql/completable_job.sql"))?,
            complete: connection.prepare(include_str!("../sql/complete_job.sql"))?,
            complete_leased: connection.prepare(include_str!("../sql/complete_leased_job.sql"))?,
            complete_leased_keyed: connection
                .prepare(include_str!("../sql/complete_leased_keyed_job.sql"))?,
            due: connection.prepare(include_str!("../sql/due_jobs.sql"))?,
            add_count: connection.prepare(include_str!("../sql/add_count.sql"))?,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            newest: connection.prepare(include_str!("../sql/newest_job.sql"))?,
        })
    }
}
