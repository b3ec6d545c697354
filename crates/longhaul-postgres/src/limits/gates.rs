use longhaul::{Cost, Result, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::limits::choice::{Bound, Closing, Place};
use crate::limits::count;
use crate::limits::keys::Keys;
use crate::row::{rows_at_most, small};
use crate::write_tx::WriteTx;

/// A gate that has opened. The groups behind it are read in their order, no more at a time than are wanted.
#[derive(Debug)]
pub(super) struct Gate {
    key: String,
    kind: String,
    version: i64,
    /// A lower bound on the costs of the groups behind it.
    cost: Cost,
    /// The last group that was opened, in the order of the index.
    opened: Option<Place>,
    /// Set once all groups behind it were opened.
    is_empty: bool,
    /// The groups that were closed again since.
    closed: Option<Behind>,
}

/// The groups behind a gate: the time at which they may open, and their least cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    opens_at: Option<Timestamp>,
    cost: Cost,
}

impl Behind {
    fn of(closing: &Closing) -> Self {
        Self { opens_at: closing.until, cost: closing.cost }
    }

    fn and(self, other: Self) -> Self {
        let opens_at = self.opens_at.into_iter().chain(other.opens_at).min();
        let cost =
            Cost { slots: self.cost.slots.min(other.cost.slots), rate: self.cost.rate.min(other.cost.rate) };
        Self { opens_at, cost }
    }
}

impl Gate {
    /// Reads a row of due_gates.sql.
    pub(super) fn read(row: &Row) -> Self {
        Self {
            key: row.get(0),
            kind: row.get(6),
            version: row.get(7),
            cost: Cost { slots: small(row.get(8)), rate: small(row.get(9)) },
            opened: None,
            is_empty: false,
            closed: None,
        }
    }

    /// The bound that it sets to a choice, if there are more groups behind it.
    pub(super) fn bound(&self) -> Option<Bound> {
        let place = self.opened.clone().filter(|_| !self.is_empty)?;
        let place = Place { rank: super::rank_of(place.rank), ..place };
        Some(Bound { place, gate: Some((self.key.clone(), self.cost)) })
    }

    fn is_of(&self, closing: &Closing) -> bool {
        (&self.key, &self.kind, self.version) == (&closing.key, &closing.kind, closing.version)
    }

    /// The groups behind it now: `None` if it is still open, `Some(None)` if there may be none.
    fn settled(&self, keys: &Keys, now: Timestamp) -> Option<Option<Behind>> {
        if self.is_empty {
            return Some(self.closed);
        }
        let name = std::slice::from_ref(&self.key);
        let (_, closed) = keys.closed(name, &self.cost, now)?;
        let rest = Behind { opens_at: closed.until(), cost: self.cost };
        Some(Some(self.closed.map_or(rest, |closed| closed.and(rest))))
    }
}

/// Gates, column by column.
#[derive(Default)]
struct Columns<'g> {
    keys: Vec<&'g str>,
    kinds: Vec<&'g str>,
    versions: Vec<i64>,
    opens_ats: Vec<Option<i64>>,
    slots: Vec<Option<i64>>,
    rates: Vec<Option<i64>>,
}

impl<'g> Columns<'g> {
    fn push(&mut self, (key, kind, version): (&'g str, &'g str, i64), behind: Option<Behind>) {
        self.keys.push(key);
        self.kinds.push(kind);
        self.versions.push(version);
        self.opens_ats.push(behind.and_then(|behind| behind.opens_at).map(|at| at.0));
        self.slots.push(behind.map(|behind| behind.cost.slots.into()));
        self.rates.push(behind.map(|behind| behind.cost.rate.into()));
    }

    fn values<'v>(&'v self, queue: &'v &'v str) -> [&'v (dyn ToSql + Sync); 7] {
        [queue, &self.keys, &self.kinds, &self.versions, &self.opens_ats, &self.slots, &self.rates]
    }
}

impl WriteTx<'_> {
    /// Opens the first groups behind gates, as many as their keys admit and are wanted.
    pub(super) async fn open_groups(&self, queue: &str, gates: &mut [Gate], wanted: usize) -> Result<()> {
        let (mut keys, mut kinds, mut versions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut turns, mut turn_keys, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        let (mut seqs, mut most, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for (number, gate) in gates.iter().enumerate().filter(|(_, gate)| !gate.is_empty) {
            let admitted = self.limits.keys.admits(&gate.key, &gate.cost, self.now, wanted);
            if admitted == 0 {
                continue;
            }
            let after = gate.opened.as_ref();
            keys.push(gate.key.as_str());
            kinds.push(gate.kind.as_str());
            versions.push(gate.version);
            turns.push(after.map_or(-1, |place| crate::row::signed(place.turn)));
            turn_keys.push(after.map_or("", |place| place.turn_key.as_str()));
            ranks.push(after.map_or(0, |place| place.rank));
            seqs.push(after.map_or(0, |place| place.seq));
            most.push(rows_at_most(admitted));
            asked.push((number, admitted));
        }
        if asked.is_empty() {
            return Ok(());
        }
        let values: [&(dyn ToSql + Sync); 9] =
            [&keys, &kinds, &versions, &turns, &turn_keys, &ranks, &seqs, &most, &queue];
        let rows = self.rows("open groups", include_str!("../sql/open_groups.sql"), &values).await?;
        let mut opened = vec![0; asked.len()];
        let mut last: Vec<Option<Place>> = vec![None; asked.len()];
        for row in &rows {
            let number = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
            let Some(last) = last.get_mut(number) else { continue };
            opened[number] += 1;
            let place =
                Place { turn: count(row.get(1)), turn_key: row.get(2), rank: row.get(3), seq: row.get(4) };
            *last = last.take().max(Some(place));
        }
        for (((number, admitted), opened), last) in asked.into_iter().zip(opened).zip(last) {
            gates[number].is_empty = opened < admitted;
            gates[number].opened = last.or(gates[number].opened.take());
        }
        Ok(())
    }

    /// Notes groups that were closed: behind gates that have opened for this claim in the memory of it, and of others in
    /// the tables.
    pub(super) async fn close_groups(
        &self,
        queue: &str,
        gates: &mut [Gate],
        closings: &[Closing],
    ) -> Result<()> {
        let mut others: std::collections::BTreeMap<(&str, &str, i64), Behind> = Default::default();
        for closing in closings {
            let behind = Behind::of(closing);
            match gates.iter_mut().find(|gate| gate.is_of(closing)) {
                Some(gate) => gate.closed = Some(gate.closed.map_or(behind, |closed| closed.and(behind))),
                None => {
                    let other =
                        others.entry((&closing.key, &closing.kind, closing.version)).or_insert(behind);
                    *other = other.and(behind);
                }
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        let mut columns = Columns::default();
        others.into_iter().for_each(|(gate, behind)| columns.push(gate, Some(behind)));
        let sql = include_str!("../sql/set_gates.sql");
        self.rows("close groups", sql, &columns.values(&queue)).await.map(drop)
    }

    /// Notes when the gates open that this claim has looked behind.
    pub(super) async fn settle_gates(&self, queue: &str, gates: &[Gate]) -> Result<()> {
        let mut columns = Columns::default();
        for gate in gates {
            if let Some(behind) = gate.settled(&self.limits.keys, self.now) {
                columns.push((&gate.key, &gate.kind, gate.version), behind);
            }
        }
        if columns.keys.is_empty() {
            return Ok(());
        }
        let sql = include_str!("../sql/settle_gates.sql");
        self.rows("close groups", sql, &columns.values(&queue)).await.map(drop)
    }
}
