use std::collections::{BTreeMap, HashMap, HashSet};

use longhaul::lifecycle::unique::Hold;
use longhaul::{NewJob, Result, State, Timestamp};

use crate::call::Call;
use crate::target::Target;
use crate::write_tx::WriteTx;

/// The words under which the keys of new jobs are locked.
pub(crate) fn locks<'j>(jobs: impl Iterator<Item = &'j NewJob>) -> Vec<String> {
    let mut words = Vec::new();
    for job in jobs {
        words.extend(job.unique.as_ref().map(|unique| format!("u{}", unique.key)));
        words.extend(job.idempotency.as_ref().map(|key| format!("i{}", key.key)));
    }
    words
}

/// The words under which the keys of a call's new jobs are locked.
pub(crate) fn locks_of(call: &Call) -> Vec<String> {
    let follow_ups = call.finishes().into_iter().flatten().flat_map(|finish| &finish.follow_ups);
    locks(call.jobs().into_iter().flatten().chain(follow_ups))
}

/// Unique and idempotency keys. Jobs take and leave them in the transaction that creates or ends them; keys are taken under a
/// lock, so that of two processes the second finds what the first has done.
impl WriteTx<'_> {
    /// Locks keys, and waits for whoever holds them: in a caller's own transaction only.
    pub(crate) async fn lock_keys(&self, words: &[String]) -> Result<()> {
        if !words.is_empty() {
            self.rows("lock a key", include_str!("sql/lock_keys.sql"), &[&words]).await?;
        }
        Ok(())
    }

    /// Locks those of the keys that no other transaction holds, without a wait, and answers the others.
    pub(crate) async fn try_lock_keys(&self, words: &[String]) -> Result<HashSet<String>> {
        if words.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = self.rows("lock a key", include_str!("sql/try_lock_keys.sql"), &[&words]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The jobs that hold unique keys now, by key.
    pub(crate) async fn unique_holders(&self, keys: &[&str]) -> Result<HashMap<String, Target>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = include_str!("sql/unique_holders.sql");
        let rows = self.rows("look up a unique key", sql, &[&keys, &self.now.0]).await?;
        Ok(rows.iter().map(|row| (row.get(17), Target::read(row))).collect())
    }

    /// Holds the rows of the jobs that have unique keys, so that nothing becomes of them before this transaction ends.
    pub(crate) async fn lock_unique_holders(&self, keys: &[&str]) -> Result<()> {
        if !keys.is_empty() {
            let sql = include_str!("sql/lock_unique_holders.sql");
            self.rows("look up a unique key", sql, &[&keys]).await?;
        }
        Ok(())
    }

    /// Gives each key to a job, in place of one whose time with it is over: until a moment, or with the job.
    pub(crate) async fn hold_unique_keys(
        &self,
        keys: &[&str],
        jobs: &[i64],
        until: &[Option<i64>],
    ) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        // Of two new jobs of a key the later one has it.
        let last: BTreeMap<&str, usize> = keys.iter().copied().zip(0..).collect();
        let (keys, places): (Vec<&str>, Vec<usize>) = last.into_iter().unzip();
        let jobs: Vec<i64> = places.iter().map(|place| jobs[*place]).collect();
        let until: Vec<Option<i64>> = places.iter().map(|place| until[*place]).collect();
        let sql = include_str!("sql/hold_unique_keys.sql");
        self.rows("hold a unique key", sql, &[&keys, &jobs, &until]).await.map(drop)
    }

    /// Takes the key from a job that has ended, where it is the job's and the job does not hold it longer.
    pub(crate) async fn let_go(&self, key: &str, seq: i64, hold: &Hold, state: State) -> Result<()> {
        match hold.after(state, self.now) {
            Some(until) => self.hold_until(key, seq, until).await,
            None => {
                let sql = include_str!("sql/free_unique_key.sql");
                self.rows("free a unique key", sql, &[&key, &seq]).await.map(drop)
            }
        }
    }

    /// Lets a job hold its key until then, where it is the job's.
    pub(crate) async fn hold_until(&self, key: &str, seq: i64, until: Timestamp) -> Result<()> {
        let sql = include_str!("sql/expire_unique_key.sql");
        self.rows("expire a unique key", sql, &[&key, &seq, &until.0]).await.map(drop)
    }
}
