use longhaul::{Claim, QueueSlots, Result, SupportedKind};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::limits::claim::{Wanted, groups_at_most};
use crate::limits::{
    DUE_GATES, FOLD_ARRIVALS, FOLD_SLOTS, FOLDED_AT_ONCE, LOCK, Lock, NEXT_GROUPS, NEXT_PLAIN_JOBS, PREFIXES,
    QUEUE_FACTS,
};
use crate::row::rows_at_most;
use crate::write_tx::{Reader, WriteTx};

/// Gates that one claim looks behind.
const GATES_AT_ONCE: i64 = 500;

/// The answers to the statements that try the lock and fold in what has changed.
pub(super) struct Fold {
    pub(super) is_locked: bool,
    pub(super) opened: Vec<Row>,
    pub(super) folded: Vec<Row>,
    pub(super) prefixes: Vec<Row>,
}

impl Fold {
    /// True where gates open by it that its statements have not opened.
    fn opens_prefixes(&self) -> bool {
        self.opened.iter().any(|row| row.get::<_, Option<&str>>(1).is_some())
    }
}

/// The rows with which the claim of one queue begins.
#[derive(Default)]
pub(super) struct Ahead {
    queue: String,
    slots: usize,
    kinds: Vec<SupportedKind>,
    labels: Vec<String>,
    pub(super) facts: Vec<Row>,
    pub(super) due: Vec<Row>,
    pub(super) firsts: Firsts,
}

impl Ahead {
    fn is_for(&self, wanted: &Wanted<'_>) -> bool {
        (self.queue.as_str(), self.slots) == (wanted.queue, wanted.slots)
            && (&self.kinds, &self.labels) == (&wanted.claim.kinds, &wanted.labels)
    }
}

/// The groups and the jobs without keys that come first.
#[derive(Default)]
pub(super) struct Firsts {
    pub(super) groups: Vec<Row>,
    pub(super) plain: Vec<Row>,
}

/// The lock, the folded changes, and the rows with which the claim of each queue begins.
pub(crate) struct Looked {
    fold: Fold,
    ahead: Vec<Ahead>,
}

/// Tries the lock, folds in what has happened, and reads what a claim of some of its queues begins with: all sent together, and where
/// need be behind the statements that end runs.
pub(crate) async fn look_ahead(reader: Reader<'_>, claim: &Claim, queues: &[QueueSlots]) -> Result<Looked> {
    let queues: Vec<Wanted<'_>> =
        queues.iter().filter(|queue| queue.slots > 0).map(|queue| Wanted::new(queue, claim)).collect();
    let ahead = futures::future::try_join_all(queues.iter().map(|wanted| read_ahead(reader, wanted)));
    let (fold, ahead) = futures::try_join!(fold(reader), ahead)?;
    Ok(Looked { fold, ahead })
}

/// Tries the lock and, where it is held, folds in what has happened, and reads the limits of prefixes: all
/// sent together.
pub(super) async fn fold(reader: Reader<'_>) -> Result<Fold> {
    let most = rows_at_most(FOLDED_AT_ONCE);
    let slots: [&(dyn ToSql + Sync); 1] = [&reader.now.0];
    let arrivals: [&(dyn ToSql + Sync); 1] = [&most];
    let (locked, opened, folded, prefixes) = futures::try_join!(
        reader.rows("lock limits", LOCK, &[]),
        reader.rows("add up slots", FOLD_SLOTS, &slots),
        reader.rows("group jobs", FOLD_ARRIVALS, &arrivals),
        reader.rows("read keys", PREFIXES, &[]),
    )?;
    let is_locked = locked.first().is_some_and(|row| row.get::<_, &str>(0) == "held");
    Ok(Fold { is_locked, opened, folded, prefixes })
}

/// Reads what a claim of one queue begins with, all sent together.
pub(super) async fn read_ahead(reader: Reader<'_>, wanted: &Wanted<'_>) -> Result<Ahead> {
    let values: [&(dyn ToSql + Sync); 5] =
        [&wanted.queue, &wanted.kinds, &wanted.versions, &reader.now.0, &GATES_AT_ONCE];
    let (facts, due, firsts) = futures::try_join!(
        reader.rows("claim", QUEUE_FACTS, &values[..1]),
        reader.rows("claim", DUE_GATES, &values),
        firsts(reader, wanted, wanted.slots),
    )?;
    let (queue, kinds, labels) = (wanted.queue.to_owned(), wanted.claim.kinds.clone(), wanted.labels.clone());
    Ok(Ahead { queue, slots: wanted.slots, kinds, labels, facts, due, firsts })
}

pub(super) async fn firsts(reader: Reader<'_>, wanted: &Wanted<'_>, free: usize) -> Result<Firsts> {
    let (groups, jobs) = (rows_at_most(groups_at_most(free)), rows_at_most(free));
    let values: [&(dyn ToSql + Sync); 9] = [
        &wanted.queue,
        &wanted.kinds,
        &wanted.versions,
        &groups,
        &jobs,
        &wanted.kept_back,
        &reader.now.0,
        &wanted.labels,
        &wanted.early,
    ];
    let plain: [&(dyn ToSql + Sync); 5] =
        [&wanted.queue, &wanted.kinds, &wanted.versions, &jobs, &reader.now.0];
    let (groups, plain) = futures::try_join!(
        reader.rows("claim", NEXT_GROUPS, &values),
        reader.rows("claim", NEXT_PLAIN_JOBS, &plain),
    )?;
    Ok(Firsts { groups, plain })
}

impl WriteTx<'_> {
    /// Notes what was looked at together with the ends of runs. Where one of these was not as expected, it is looked at anew.
    pub(crate) async fn note_looked(&mut self, Looked { fold, ahead }: Looked) -> Result<()> {
        let is_of_before = fold.opens_prefixes();
        self.note_fold(fold).await?;
        if std::mem::take(&mut self.limits.is_outdated) {
            self.limits.lock = Lock::Untried;
            self.limits.keys = super::Keys::default();
        } else if !is_of_before {
            self.limits.ahead = ahead;
        }
        Ok(())
    }

    /// The rows with which the claim of a queue begins; read now, unless they were read ahead.
    pub(super) async fn begins_with(&mut self, wanted: &Wanted<'_>) -> Result<Ahead> {
        let read = self.limits.ahead.iter().position(|ahead| ahead.is_for(wanted));
        match read {
            Some(number) => Ok(self.limits.ahead.swap_remove(number)),
            None => {
                // Rows read ahead for another claim of the queue are out of date once this claim has taken jobs.
                self.limits.ahead.retain(|ahead| ahead.queue != wanted.queue);
                read_ahead(self.reader(), wanted).await
            }
        }
    }
}
