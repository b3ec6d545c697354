use longhaul::lifecycle::limits;
use longhaul::{Change, Cost, JobId, Policy};
use rusqlite::{OptionalExtension, Row, params};

use super::write_tx::WriteTx;
use crate::limit_key::{keys_in, lane_kind, natural_rank, preference_in};
use crate::row::Columns;

/// A job that has limit keys, as far as its group and its keys must know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed<'a> {
    /// Its limit keys and what it prefers, as one text; empty where it has only taken slots of its queue.
    pub(super) keys: &'a str,
    pub(super) seq: i64,
    pub(super) version: u32,
    /// Its rank among all jobs.
    pub(super) rank: i64,
    pub(super) cost: Cost,
    /// The slots that its run took.
    pub(super) held: Option<i64>,
}

/// The available jobs of one queue, kind, version, preference and text of limit keys, which a claim takes one after the other. The place
/// and the cost are those of its first job.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: i64,
    pub(super) lane: Source,
    pub(super) keys: String,
    pub(super) turn: i64,
    pub(super) rank: i64,
    pub(super) seq: i64,
    pub(super) cost: Cost,
    /// True where another group of its queue and keys may be kept back.
    pub(super) has_kept_back: bool,
}

/// The row of a group, as far as a job of it must know it.
struct GroupRow {
    id: i64,
    /// Rank and number of its first job.
    first: (i64, i64),
    turn: i64,
    is_kept_back: bool,
}

/// A queue, kind with what its jobs prefer, and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) queue: String,
    pub(super) kind: String,
    pub(super) version: u32,
}

/// An open group that is not what it was: those behind it, which the keys keep back, may be the next.
#[derive(Clone, Debug)]
pub(super) struct Displaced {
    pub(super) keys: String,
    pub(super) lane: Source,
}

pub(super) fn read_group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let mut columns = Columns::new(row);
    Ok(Group {
        id: columns.next(),
        lane: Source { queue: columns.next(), kind: columns.next(), version: columns.next() },
        keys: columns.next(),
        turn: columns.next(),
        rank: columns.next(),
        seq: columns.next(),
        cost: Cost { slots: columns.next(), rate: columns.next() },
        has_kept_back: columns.next(),
    })
}

/// The cost in a job's policy.
pub(super) fn cost_of(policy: Option<Policy>) -> Cost {
    policy.unwrap_or_default().cost
}

impl Group {
    /// The text that its jobs have: its keys and what they prefer.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.keys, preference_in(&self.lane.kind))
    }
}

/// The limit keys of a text that has more than one: a group of one is found by the text itself.
fn several(keys: &str) -> impl Iterator<Item = &str> {
    keys.split(',').filter(move |key| key.len() < keys.len())
}

/// The groups in which jobs of limit keys wait.
///
/// A claim reads the open ones of its lanes by their places. One that it finds kept back by a key is noted as such, and is not
/// read again until the key may let it go. What holds between transactions, and makes that exact: where a key admits a cost and
/// keeps back a group of that cost, a group of the same lane and key is open whose place is not behind it. So whatever lets
/// a key admit more opens one group of each lane, and an open group that goes or moves on is replaced by the next of its keys.
impl WriteTx<'_> {
    /// A job has become available.
    pub(super) fn arrive(&mut self, change: &Change<'_>, job: &Keyed<'_>) -> rusqlite::Result<()> {
        match self.find_group(change, job)? {
            // It waits behind the first.
            Some(group) if group.first <= (job.rank, job.seq) => Ok(()),
            Some(group) => self.place(group.id, group.turn, job.rank, job.seq, &job.cost, None),
            None => self.create_group(change, job),
        }
    }

    /// An available job has gone otherwise than by a claim.
    pub(super) fn depart(&mut self, change: &Change<'_>, job: &Keyed<'_>) -> rusqlite::Result<()> {
        match self.find_group(change, job)? {
            Some(group) if group.first.1 == job.seq => self.read_anew(&group, change, job),
            _ => Ok(()),
        }
    }

    /// The time of an available job is over, so that claims pass over it.
    pub(super) fn pass_over(&mut self, change: &Change<'_>, job: &Keyed<'_>) -> rusqlite::Result<()> {
        match self.find_group(change, job)? {
            Some(group) if group.first.1 == job.seq => {
                let is_next = self.first_of_group(change, job)?.is_some_and(|(_, seq, _)| seq != job.seq);
                // One that has no other job is kept back no more, and keeps nothing back.
                if is_next || group.is_kept_back {
                    self.read_anew(&group, change, job)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An available job has another priority: `id` is the job's.
    pub(super) fn reprioritized(
        &mut self,
        id: &JobId,
        kind: &str,
        queue: &str,
        job: &Keyed<'_>,
    ) -> rusqlite::Result<()> {
        let change = self.change(id, kind, queue, 0);
        match self.find_group(&change, job)? {
            Some(group) if group.first.1 == job.seq || (job.rank, job.seq) < group.first => {
                self.read_anew(&group, &change, job)
            }
            Some(_) => Ok(()),
            None => self.create_group(&change, job),
        }
    }

    /// A job's group.
    fn find_group(&self, change: &Change<'_>, job: &Keyed<'_>) -> rusqlite::Result<Option<GroupRow>> {
        self.connection
            .prepare_cached(include_str!("../sql/find_group.sql"))?
            .query_row(
                params![keys_in(job.keys), change.queue, lane_kind(change.kind, job.keys), job.version],
                |row| {
                    let mut columns = Columns::new(row);
                    Ok(GroupRow {
                        id: columns.next(),
                        first: (columns.next(), columns.next()),
                        turn: columns.next(),
                        is_kept_back: columns.next(),
                    })
                },
            )
            .optional()
    }

    /// Rank, as its row has it, number and cost of the first job of a job's group.
    fn first_of_group(
        &self,
        change: &Change<'_>,
        job: &Keyed<'_>,
    ) -> rusqlite::Result<Option<(i64, i64, Cost)>> {
        let values = params![job.keys, change.queue, change.kind, job.version, self.now.0];
        self.connection
            .prepare_cached(include_str!("../sql/first_of_group.sql"))?
            .query_row(values, |row| {
                let mut columns = Columns::new(row);
                Ok((columns.next(), columns.next(), cost_of(columns.parsed())))
            })
            .optional()
    }

    fn create_group(&mut self, change: &Change<'_>, job: &Keyed<'_>) -> rusqlite::Result<()> {
        let keys = keys_in(job.keys);
        let turn = self.turn_of_arrival(change.queue, keys)?;
        let tie = if turn.is_some() { keys } else { "" };
        let values = params![
            keys,
            change.queue,
            lane_kind(change.kind, job.keys),
            job.version,
            turn.unwrap_or(0),
            tie,
            job.rank,
            job.seq,
            job.cost.slots,
            job.cost.rate
        ];
        let mut insert = self.connection.prepare_cached(include_str!("../sql/insert_group.sql"))?;
        let id = insert.insert(values)?;
        for key in several(keys) {
            let note = "INSERT INTO group_keys (key, key_group) VALUES (?1, ?2)";
            self.connection.prepare_cached(note)?.execute(params![key, id])?;
        }
        self.has_groups = true;
        Ok(())
    }

    /// Gives a group the place that its first job has now, and lets claims look at it.
    fn read_anew(&mut self, group: &GroupRow, change: &Change<'_>, job: &Keyed<'_>) -> rusqlite::Result<()> {
        let GroupRow { id, turn, .. } = *group;
        match self.first_of_group(change, job)? {
            Some((rank, seq, cost)) => self.place(id, turn, natural_rank(rank), seq, &cost, None)?,
            None => self.remove_group(id, change.queue, keys_in(job.keys), turn)?,
        }
        let kind = lane_kind(change.kind, job.keys);
        let lane = Source { queue: change.queue.to_owned(), kind, version: job.version };
        self.notes.make_available(change.queue);
        self.notes.displaced.push(Displaced { keys: job.keys.to_owned(), lane });
        Ok(())
    }

    pub(super) fn place(
        &self,
        id: i64,
        turn: i64,
        rank: i64,
        seq: i64,
        cost: &Cost,
        closed_by: Option<&str>,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(include_str!("../sql/place_group.sql"))?
            .execute(params![id, turn, rank, seq, cost.slots, cost.rate, closed_by])?;
        Ok(())
    }

    /// Removes a group of which no job waits.
    pub(super) fn remove_group(
        &mut self,
        id: i64,
        queue: &str,
        keys: &str,
        turn: i64,
    ) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM key_groups WHERE id = ?1")?.execute([id])?;
        for key in several(keys) {
            let forget = "DELETE FROM group_keys WHERE key = ?1 AND key_group = ?2";
            self.connection.prepare_cached(forget)?.execute(params![key, id])?;
        }
        self.keep_turn(queue, keys, turn)
    }

    /// Opens groups that a key keeps back and admits now: the first of each cost, in one lane or in each. Notes when time
    /// alone will admit others.
    pub(super) fn open_groups(&mut self, key: &str, lane: Option<&Source>) -> rusqlite::Result<Vec<Group>> {
        let mut opened = Vec::new();
        let mut opens_at = None;
        let (mut last, mut keeps_back) = (Cost { slots: 0, rate: 0 }, false);
        while let Some(cost) = self.next_cost_kept_back(key, &last)? {
            (last, keeps_back) = (cost, true);
            let now = self.now;
            let row = self.key(key)?;
            match limits::closed(&row.limits, &row.state, &cost, now) {
                None => self.open_first(key, &cost, lane, &mut opened)?,
                Some(closed) => opens_at = [opens_at, closed.until()].into_iter().flatten().min(),
            }
        }
        let row = self.key(key)?;
        if lane.is_some() {
            // Those of other lanes wait for that moment still.
            opens_at = [opens_at, row.opens_at].into_iter().flatten().min();
        }
        row.keeps_back = keeps_back;
        if row.opens_at != opens_at {
            row.opens_at = opens_at;
            row.has_changed = true;
            self.notes.scheduled = true;
        }
        Ok(opened)
    }

    fn next_cost_kept_back(&self, key: &str, last: &Cost) -> rusqlite::Result<Option<Cost>> {
        self.connection
            .prepare_cached(include_str!("../sql/next_cost_kept_back.sql"))?
            .query_row(params![key, last.slots, last.rate], |row| {
                Ok(Cost { slots: row.get(0)?, rate: row.get(1)? })
            })
            .optional()
    }

    fn open_first(
        &mut self,
        key: &str,
        cost: &Cost,
        lane: Option<&Source>,
        opened: &mut Vec<Group>,
    ) -> rusqlite::Result<()> {
        let next = include_str!("../sql/first_kept_back_of_next_lane.sql");
        let sql = if lane.is_some() { include_str!("../sql/first_kept_back.sql") } else { next };
        let mut find = self.connection.prepare_cached(sql)?;
        let mut open =
            self.connection.prepare_cached("UPDATE key_groups SET closed_by = NULL WHERE id = ?1")?;
        let nowhere = Source { queue: String::new(), kind: String::new(), version: 0 };
        let mut at = lane.cloned().unwrap_or(nowhere);
        loop {
            let values = params![key, cost.slots, cost.rate, at.queue, at.kind, at.version];
            let Some(group) = find.query_row(values, read_group).optional()? else { return Ok(()) };
            open.execute([group.id])?;
            self.notes.make_available(&group.lane.queue);
            at = group.lane.clone();
            opened.push(group);
            if lane.is_some() {
                return Ok(());
            }
        }
    }
}
