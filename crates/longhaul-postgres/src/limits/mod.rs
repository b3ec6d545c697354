//! Limit keys: what is taken of them, and the groups in which their jobs wait.
//!
//! The jobs of one queue, kind, version and set of keys wait as a group, which is one row whatever their number. A claim
//! reads open groups by their places, and closes those that a key keeps back; each waits behind that key's gate, where no
//! claim reads it again before the gate opens: by a slot that is given back, by time, or by hand.
//!
//! All of this is written under one lock, which a claim tries and never awaits: one that does not get it takes jobs
//! without keys, and looks again soon. Whatever else happens to jobs with keys, by any release's statement, a trigger adds
//! to `slot_changes` and `arrivals`, where nobody waits for anybody; the statements of many jobs do so by themselves (see
//! `migrations/0010_noted.sql`). Whoever holds the lock folds that in first. So what is
//! taken of a key is the sum of what committed transactions have taken and given back.
//!
//! | file | what |
//! |---|---|
//! | `keys` | the keys that a transaction has looked at, and what it has taken of them |
//! | `choice` | which jobs are claimed next, and which groups are closed: no statements |
//! | `ahead` | what claims begin with, in one flight |
//! | `claim` | a claim of jobs with keys and without |
//! | `gates` | the gates that are looked behind |

mod ahead;
mod choice;
mod claim;
mod gates;
mod keys;

use longhaul::{Json, KeyConfig, QueueConfig, Result, Timestamp, split_keys};

pub(crate) use self::ahead::look_ahead;
use self::ahead::{Ahead, Fold, fold};
pub(crate) use self::keys::{Keys, key_config, key_state};
use crate::error::key_locked;
use crate::row::{queue_config, rows_at_most, small, unsigned};
use crate::state::Folded;
use crate::write_tx::WriteTx;

/// Arrivals that are folded in at once; the others are by the next transaction.
const FOLDED_AT_ONCE: usize = 2_000;
/// Gates that are opened at once where the limits of a prefix are set.
const OPENED_AT_ONCE: usize = 1_000;

const COUNT_RUNS: &str = include_str!("../sql/count_runs.sql");
const LOCK: &str = include_str!("../sql/lock_limits.sql");
const FOLD_SLOTS: &str = include_str!("../sql/fold_slots.sql");
const FOLD_ARRIVALS: &str = include_str!("../sql/fold_arrivals.sql");
const PREFIXES: &str = include_str!("../sql/prefix_configs.sql");
const KEY_STATES: &str = include_str!("../sql/key_states.sql");
const QUEUE_FACTS: &str = include_str!("../sql/queue_facts.sql");
const DUE_GATES: &str = include_str!("../sql/due_gates.sql");
const NEXT_GROUPS: &str = include_str!("../sql/next_groups.sql");
const NEXT_PLAIN_JOBS: &str = include_str!("../sql/next_plain_jobs.sql");
/// Statements that are sent together, each of which sees what those before it have done.
pub(crate) const TOGETHER: [&str; 9] = [
    LOCK,
    FOLD_SLOTS,
    FOLD_ARRIVALS,
    PREFIXES,
    KEY_STATES,
    QUEUE_FACTS,
    DUE_GATES,
    NEXT_GROUPS,
    NEXT_PLAIN_JOBS,
];

/// The distance between the places of jobs with limit keys and those without: see `place` in `migrations/0005_limits.sql`.
pub(crate) const BEHIND_OTHERS: i64 = 1 << 60;

/// A job's rank among all jobs, with limit keys and without, of its place in the tables.
pub(crate) fn rank_of(place: i64) -> i64 {
    if place >= BEHIND_OTHERS / 2 { place - BEHIND_OTHERS } else { place }
}

/// The limits as read by a transaction.
#[derive(Default)]
pub(crate) struct Limits {
    lock: Lock,
    keys: Keys,
    /// True if some arrivals are not folded in yet, so that jobs are missing in their groups.
    pub(crate) is_partial: bool,
    /// True once a run has given slots back, or a key was opened by hand, so that waiting claims may find a job.
    pub(crate) has_opened: bool,
    /// True once a run has ended in another way than the pipelined statements assumed, so that the rows read with them
    /// are out of date.
    pub(crate) is_outdated: bool,
    /// The rows with which claims begin, if they were read together with the ends of runs.
    ahead: Vec<Ahead>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lock {
    #[default]
    Untried,
    /// Another transaction holds it.
    Elsewhere,
    /// This transaction holds it, and earlier changes are folded in.
    Held,
}

impl Limits {
    pub(crate) fn is_held(&self) -> bool {
        self.lock == Lock::Held
    }

    /// True where the claims of this transaction took jobs with limit keys; `None` where they took none at all, or it had not the lock.
    pub(crate) fn have_taken(&self) -> Option<bool> {
        self.keys.have_taken.filter(|_| self.is_held())
    }
}

impl WriteTx<'_> {
    /// Folds in the changes of jobs with keys, and notes the queues in which gates have opened. False if another
    /// transaction holds the lock; then they are folded in later.
    pub(crate) async fn fold_limits(&mut self) -> Result<bool> {
        if self.limits.lock == Lock::Untried {
            let fold = fold(self.reader()).await?;
            self.note_fold(fold).await?;
        }
        self.effects.fold_later |= !self.limits.is_held();
        Ok(self.limits.is_held())
    }

    /// Notes the lock and what was folded in.
    async fn note_fold(&mut self, fold: Fold) -> Result<()> {
        let Fold { is_locked, opened, folded, prefixes } = fold;
        self.limits.lock = if is_locked { Lock::Held } else { Lock::Elsewhere };
        if !is_locked {
            return Ok(());
        }
        let most = rows_at_most(FOLDED_AT_ONCE);
        self.limits.keys.note_prefixes(&prefixes);
        let mut settled = Vec::new();
        for row in &opened {
            if let Some(keys) = row.get::<_, Option<&str>>(2) {
                settled.push((split_keys(Some(keys)), small(row.get(3)), small(row.get(4))));
            }
            self.effects.available.extend(row.get::<_, Option<String>>(0));
            if let Some(prefix) = row.get::<_, Option<&str>>(1) {
                self.open_prefix(prefix).await?;
            }
        }
        self.settle_rates(&settled).await?;
        let count = folded.first().map_or(0, |row| row.get::<_, i64>(0));
        self.limits.is_partial = count >= most;
        self.effects.folded = Some(Folded { count: unsigned(count), is_partial: self.limits.is_partial });
        self.effects.fold_later |= self.limits.is_partial;
        Ok(())
    }

    /// Has rates count what runs have taken in truth, in place of what was reserved for them.
    async fn settle_rates(&mut self, settled: &[(Vec<String>, u32, u32)]) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        self.read_prefixes().await?;
        self.read_keys(settled.iter().flat_map(|(keys, ..)| keys)).await?;
        for (keys, reserved, actual) in settled {
            self.limits.keys.settle(keys, *reserved, *actual, self.now);
        }
        let rates = self.limits.keys.take_rates();
        self.write_rates(&rates).await
    }

    async fn open_prefix(&mut self, prefix: &str) -> Result<()> {
        let (sql, most) = (include_str!("../sql/open_prefix.sql"), rows_at_most(OPENED_AT_ONCE));
        let beginning = prefix.trim_end_matches('*');
        let opened = self.rows("open gates", sql, &[&beginning, &self.now.0, &most]).await?;
        if opened.len() == OPENED_AT_ONCE {
            self.note_slots(prefix).await?;
            self.effects.fold_later = true;
        }
        self.effects.available.extend(opened.iter().map(|row| row.get::<_, String>(0)));
        Ok(())
    }

    async fn note_slots(&self, key: &str) -> Result<()> {
        self.rows("open a key", include_str!("../sql/note_slots.sql"), &[&key]).await.map(drop)
    }

    /// Sets the limits of a key, or takes them away.
    pub(crate) async fn set_key(&mut self, key: &str, config: Option<&str>) -> Result<()> {
        match config {
            Some(config) => {
                self.rows("configure a key", include_str!("../sql/set_key.sql"), &[&key, &config]).await?
            }
            None => self.rows("configure a key", include_str!("../sql/unset_key.sql"), &[&key]).await?,
        };
        self.note_slots(key).await?;
        self.limits.has_opened = true;
        Ok(())
    }

    /// Ends the pause of a key.
    pub(crate) async fn resume_key(&mut self, key: &str) -> Result<()> {
        self.rows("resume a key", include_str!("../sql/resume_limit_key.sql"), &[&key]).await?;
        self.note_slots(key).await?;
        self.limits.has_opened = true;
        Ok(())
    }

    /// Pauses a limit key, and answers when the pause ends, which another run may have set further off.
    pub(crate) async fn pause_key(&self, key: &str, until: Timestamp) -> Result<Timestamp> {
        let sql = include_str!("../sql/pause_limit_key.sql");
        let rows = self.rows("pause a limit key", sql, &[&key, &until.0]).await?;
        Ok(rows.first().map_or(until, |row| Timestamp(row.get(0))))
    }

    /// Sets a queue's configuration, where one is named that it replaces only in place of that one, and answers whether it was set. One
    /// that becomes fair, or is so no more, has all turns begin anew; one whose limits are others is looked at again. The queue's
    /// lock is held: the first configuration of a queue has no row that could be.
    pub(crate) async fn set_queue(
        &mut self,
        queue: &str,
        replaced: Option<&QueueConfig>,
        config: &QueueConfig,
    ) -> Result<bool> {
        let rows = self.rows("configure a queue", include_str!("../sql/queue_config.sql"), &[&queue]).await?;
        let before = rows.first().map(|row| queue_config(row, 0)).unwrap_or_default();
        if replaced.is_some_and(|replaced| *replaced != before) {
            return Ok(false);
        }
        let text = Json::new(config)?;
        let sql = include_str!("../sql/set_queue.sql");
        self.rows("configure a queue", sql, &[&queue, &text.as_str()]).await?;
        let rows = self.rows("configure a queue", include_str!("../sql/is_fair.sql"), &[&queue]).await?;
        let is_fair = rows.first().is_some_and(|row| row.get::<_, bool>(0));
        let limits_differ = before.limits() != config.limits();
        if is_fair == config.fair && !limits_differ {
            return Ok(true);
        }
        if !self.fold_limits().await? {
            return Err(key_locked());
        }
        if is_fair != config.fair {
            let sql = match config.fair {
                true => include_str!("../sql/set_fair.sql"),
                false => include_str!("../sql/set_unfair.sql"),
            };
            self.rows("configure a queue", sql, &[&queue]).await?;
        }
        if limits_differ {
            self.set_limits_of_queue(queue, &before, config).await?;
        }
        Ok(true)
    }

    async fn set_limits_of_queue(
        &mut self,
        queue: &str,
        before: &QueueConfig,
        after: &QueueConfig,
    ) -> Result<()> {
        if after.is_limited() && !before.is_limited() {
            self.rows("configure a queue", COUNT_RUNS, &[&Some(queue)]).await?;
        }
        if after.rate != before.rate {
            self.rows("configure a queue", include_str!("../sql/rest_queue.sql"), &[&queue]).await?;
        }
        self.limits.keys.forget(&format!("{}{queue}", keys::QUEUE));
        self.effects.available.insert(queue.to_owned());
        Ok(())
    }

    /// Folds in what has happened, counts runs that are not, and forgets groups and keys that nothing is left of; where another transaction holds
    /// the lock, the next sweep does.
    pub(crate) async fn tidy_limits(&mut self, limit: i64) -> Result<()> {
        if self.fold_limits().await? {
            self.rows("count runs", COUNT_RUNS, &[&None::<&str>]).await?;
            let micros = self.now.0.saturating_mul(1_000);
            let sql = include_str!("../sql/tidy_limits.sql");
            self.rows("forget keys", sql, &[&micros, &limit]).await?;
        }
        Ok(())
    }
}

/// A count or a turn, of which a hand in the tables may have made anything.
fn count(number: i64) -> u64 {
    unsigned(number)
}

/// The limits of a configuration as the tables keep it. One that cannot be read is none.
pub(crate) fn config_text(config: Option<&KeyConfig>) -> Result<Option<String>> {
    config.map(|config| Ok(Json::new(config)?.as_str().to_owned())).transpose()
}
