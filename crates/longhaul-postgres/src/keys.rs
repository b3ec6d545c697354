use std::collections::{BTreeMap, HashMap, HashSet};

use longhaul::lifecycle::unique::Hold;
use longhaul::{NewJob, OnClash, Result, State, Timestamp, Unique};

use crate::call::{Call, Op};
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

/// The words under which the keys of a call's new jobs are locked, or the queue that it configures.
pub(crate) fn locks_of(call: &Call) -> Vec<String> {
    if let Op::SetQueue { queue, .. } = &call.op {
        return vec![format!("c{queue}")];
    }
    let follow_ups = call.finishes().into_iter().flatten().flat_map(|finish| &finish.follow_ups);
    locks(call.jobs().into_iter().flatten().chain(follow_ups))
}

/// Unique and idempotency keys. Jobs take and leave them in the transaction that creates or ends them; keys are taken under a
/// lock, so that of two processes the second finds what the first has done.
impl WriteTx<'_> {
    /// Locks keys, waiting for other holders: in a caller's own transaction only.
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

    /// The holders of the jobs' unique keys. Those that something may be done to are held for this transaction.
    pub(crate) async fn holders(&self, jobs: &[NewJob]) -> Result<HashMap<String, Target>> {
        let unique = || jobs.iter().filter_map(|job| job.unique.as_ref());
        let keys: Vec<&str> = unique().map(|unique| unique.key.as_str()).collect();
        let touching: Vec<&str> =
            unique().filter(|unique| touches_holder(unique)).map(|unique| unique.key.as_str()).collect();
        loop {
            let held = self.lock_unique_holders(&touching).await?;
            let holders = self.unique_holders(&keys).await?;
            // One that followed may have ended before it was held, and have given its key back.
            let is_held = |key: &&str| holders.get(*key).is_none_or(|holder| held.contains(&holder.seq));
            if touching.iter().all(is_held) {
                return Ok(holders);
            }
        }
    }

    /// The jobs that hold unique keys now, by key.
    pub(crate) async fn unique_holders(&self, keys: &[&str]) -> Result<HashMap<String, Target>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = include_str!("sql/unique_holders.sql");
        let rows = self.rows("look up a unique key", sql, &[&keys, &self.now.0]).await?;
        let holders = rows.iter().map(|row| (row, Target::read(row)));
        let holders = holders.filter(|(row, holder)| self.holds(holder, row.get(18), row.get(19)));
        Ok(holders.map(|(row, holder)| (row.get(17), holder)).collect())
    }

    /// True where a job that is noted as the holder of a key, until then, holds it. One that ended while its follower gave the
    /// key back could not note until when.
    fn holds(&self, holder: &Target, until: Option<i64>, finished_at: Option<i64>) -> bool {
        match (until, finished_at) {
            (None, Some(at)) if holder.state.is_finished() => {
                holder.hold.after(holder.state, Timestamp(at)).is_some_and(|until| until > self.now)
            }
            _ => true,
        }
    }

    /// Holds the rows of the jobs that have unique keys, so that nothing becomes of them before this transaction ends, and
    /// answers which these are.
    async fn lock_unique_holders(&self, keys: &[&str]) -> Result<HashSet<i64>> {
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = include_str!("sql/lock_unique_holders.sql");
        let rows = self.rows("look up a unique key", sql, &[&keys]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
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

    /// Takes the key from a job that has ended, where it is the job's: for the one that it follows, or unless it holds it longer.
    pub(crate) async fn let_go(&self, key: &str, seq: i64, hold: &Hold, state: State) -> Result<()> {
        if let Some(followed) = self.followed(key, hold).await? {
            return self.give_back(key, seq, &followed).await;
        }
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

/// True where something may be done to the holder of the key, or depends on what it does.
fn touches_holder(unique: &Unique) -> bool {
    match unique.on_clash {
        OnClash::Replace | OnClash::Debounce { .. } | OnClash::Supersede | OnClash::Follow => true,
        OnClash::Join | OnClash::Reject | OnClash::Refresh | OnClash::Throttle => false,
    }
}
