use std::collections::{BTreeSet, HashMap};

use longhaul::lifecycle::{self, ImportedChild};
use longhaul::moving::ExportedJob;
use longhaul::{Children, JobId, JobRecord, Result, State, Timestamp};

use crate::row::{children, signed, state};
use crate::write_tx::WriteTx;

const OPERATION: &str = "import";

/// A job that may count imported ones among its children.
#[derive(Debug)]
struct Parent {
    seq: i64,
    state: State,
    started_at: Option<Timestamp>,
    children: Option<Children>,
    /// The number of its unfinished children that are still to be imported.
    expected: u64,
    /// The same as it is stored.
    stored: u64,
    /// The number of imported children that join it.
    joined: u64,
}

/// The parents of the jobs of an import, by their ids: those that are there, and then those that it creates.
#[derive(Debug)]
pub(super) struct Parents(HashMap<String, Parent>);

impl Parents {
    /// Gives a new job to its parent. Answers the number of that one, where it counts the job.
    pub(super) fn take(&mut self, exported: &ExportedJob) -> Option<i64> {
        let parent = exported.job.parent.as_ref().filter(|_| exported.counted)?;
        let parent = self.0.get_mut(parent.as_str())?;
        let Parent { state, started_at, children, expected, .. } = parent;
        match lifecycle::imported_child(exported.job.state, *state, *started_at, children.as_ref(), *expected)
        {
            ImportedChild::Expected => parent.expected -= 1,
            ImportedChild::Ended => {}
            ImportedChild::Joins => {
                parent.children.get_or_insert_default().total += 1;
                parent.joined += 1;
            }
            ImportedChild::Apart => return None,
        }
        Some(parent.seq)
    }

    /// Adds a new job, which later ones may be children of.
    pub(super) fn add(&mut self, seq: i64, job: &JobRecord) {
        let JobRecord { state, started_at, children, .. } = *job;
        let expected = children.map_or(0, |children| children.unfinished());
        let parent = Parent { seq, state, started_at, children, expected, stored: 0, joined: 0 };
        self.0.insert(job.id.as_str().to_owned(), parent);
    }
}

impl WriteTx<'_> {
    /// The parents of jobs that are imported, as far as they are there. They are locked, so that no two imports take a child for the
    /// same one.
    pub(super) async fn parents_of_imported(&self, jobs: &[&ExportedJob]) -> Result<Parents> {
        let counted = jobs.iter().filter(|job| job.counted);
        let ids: BTreeSet<&str> =
            counted.filter_map(|job| job.job.parent.as_ref().map(JobId::as_str)).collect();
        let mut parents = HashMap::new();
        if ids.is_empty() {
            return Ok(Parents(parents));
        }
        let ids: Vec<&str> = ids.into_iter().collect();
        let rows = self.rows(OPERATION, include_str!("../sql/parents_of_new.sql"), &[&ids]).await?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.get(1)).collect();
        // A statement of its own: it sees what was committed while the one before waited for its locks.
        let expected = self.rows(OPERATION, include_str!("../sql/expected_children.sql"), &[&seqs]).await?;
        let expected: HashMap<i64, i64> = expected.iter().map(|row| (row.get(0), row.get(1))).collect();
        for row in &rows {
            let seq: i64 = row.get(1);
            let expected = expected.get(&seq).map_or(0, |expected| expected.unsigned_abs());
            let parent = Parent {
                seq,
                state: state(row, 2),
                started_at: row.get::<_, Option<i64>>(3).map(Timestamp),
                children: row.get::<_, Option<i64>>(4).map(|total| children(row, 5, total)),
                expected,
                stored: expected,
                joined: 0,
            };
            parents.insert(row.get(0), parent);
        }
        Ok(Parents(parents))
    }

    /// Writes what has become of the parents, all of which are there.
    pub(super) async fn write_parents(&mut self, parents: &Parents) -> Result<()> {
        let changed = parents.0.values().filter(|parent| parent.expected != parent.stored);
        let (jobs, expected): (Vec<i64>, Vec<i64>) =
            changed.map(|parent| (parent.seq, signed(parent.expected))).unzip();
        if !jobs.is_empty() {
            self.rows(OPERATION, include_str!("../sql/expect_children.sql"), &[&jobs, &expected]).await?;
            self.rows(OPERATION, include_str!("../sql/forget_expected_children.sql"), &[&jobs]).await?;
        }
        for parent in parents.0.values().filter(|parent| parent.joined > 0) {
            self.count_children(parent.seq, parent.joined).await?;
        }
        Ok(())
    }
}
