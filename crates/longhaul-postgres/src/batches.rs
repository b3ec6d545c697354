use std::collections::{BTreeMap, BTreeSet, HashMap};

use longhaul::lifecycle::{self, counts_child};
use longhaul::{Change, Children, JobId, NewJob, Result, State, Timestamp, WaitsFor};
use tokio_postgres::types::ToSql;

use crate::row::{children, priority, signed, small, state, waits_for};
use crate::write_tx::WriteTx;

/// A job that counts its children.
struct Parent {
    seq: i64,
    id: JobId,
    queue: String,
    priority: i32,
    children: Children,
    kind: String,
    attempt: u32,
    state: State,
    waits_for: Option<WaitsFor>,
}

impl Parent {
    /// True where it goes on once no child is unfinished, and none is.
    fn is_free(&self) -> bool {
        self.waits_for == Some(WaitsFor::Children) && self.children.unfinished() == 0
    }
}

/// Parents and their children: closing jobs, and jobs that have had children since they began. The counts are kept on the
/// parent's row, which is locked while they are changed.
impl WriteTx<'_> {
    /// The jobs that count new ones among their children, by their ids.
    pub(crate) async fn parents_that_count(&self, jobs: &[NewJob]) -> Result<HashMap<String, i64>> {
        let parents: BTreeSet<&str> =
            jobs.iter().filter_map(|job| Some(job.parent.as_ref()?.as_str())).collect();
        if parents.is_empty() {
            return Ok(HashMap::new());
        }
        let parents: Vec<&str> = parents.into_iter().collect();
        let sql = include_str!("sql/parents_of_new.sql");
        let rows = self.rows("look a parent up", sql, &[&parents]).await?;
        let counting = rows.iter().filter(|row| {
            let started_at = row.get::<_, Option<i64>>(3).map(Timestamp);
            let children = row.get::<_, Option<i64>>(4).map(|total| children(row, 5, total));
            counts_child(state(row, 2), started_at, children.as_ref())
        });
        Ok(counting.map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Counts children that join.
    pub(crate) async fn count_children(&mut self, parent: i64, joined: u64) -> Result<()> {
        let Some(mut parent) = self.parent(parent).await? else { return Ok(()) };
        parent.children.total += joined;
        self.write_children(&parent, Then::Wait, joined).await
    }

    /// Notes that a child has ended, to be counted by [`count_ended_children`](Self::count_ended_children).
    pub(crate) fn child_ended(&mut self, parent: Option<i64>, outcome: State) {
        self.ended_children.extend(parent.map(|parent| (parent, outcome)));
    }

    /// Lets parents count the children that have ended since, which may let them go on.
    pub(crate) async fn count_ended_children(&mut self) -> Result<()> {
        let mut ends: BTreeMap<i64, Vec<State>> = BTreeMap::new();
        for (parent, outcome) in std::mem::take(&mut self.ended_children) {
            ends.entry(parent).or_default().push(outcome);
        }
        for (parent, outcomes) in ends {
            let Some(mut parent) = self.parent(parent).await? else { continue };
            outcomes.iter().for_each(|outcome| lifecycle::count_end(&mut parent.children, *outcome));
            self.write_children(&parent, Then::GoOnIfFree, outcomes.len() as u64).await?;
        }
        Ok(())
    }

    /// Counts a child as unfinished again that had ended with `outcome` and is to run anew.
    pub(crate) async fn uncount_end(&mut self, parent: Option<i64>, outcome: State) -> Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let Some(mut parent) = self.parent(parent).await? else { return Ok(()) };
        lifecycle::uncount_end(&mut parent.children, outcome);
        self.write_children(&parent, Then::Wait, 1).await
    }

    /// Frees new jobs that wait for children and were given none.
    pub(crate) async fn free_childless(&mut self) -> Result<()> {
        for parent in std::mem::take(&mut self.new_batches) {
            if let Some(parent) = self.parent(parent).await?.filter(Parent::is_free) {
                self.write_children(&parent, Then::GoOnIfFree, 1).await?;
            }
        }
        Ok(())
    }

    /// The counts of the children of a running job whose row is locked.
    pub(crate) async fn children_of_run(&self, seq: i64) -> Result<Option<Children>> {
        let sql = include_str!("sql/children_of_run.sql");
        let rows = self.rows("look up children", sql, &[&seq]).await?;
        let counts = |row: &tokio_postgres::Row| Some(children(row, 1, row.get::<_, Option<i64>>(0)?));
        Ok(rows.first().and_then(counts))
    }

    /// `None` where the job is not there any more.
    async fn parent(&self, seq: i64) -> Result<Option<Parent>> {
        let rows = self.rows("look a parent up", include_str!("sql/find_parent.sql"), &[&seq]).await?;
        Ok(rows.first().map(|row| Parent {
            seq,
            id: JobId::from_store(row.get(0)),
            queue: row.get(1),
            priority: priority(row, 2),
            kind: row.get(3),
            attempt: small(row.get(4)),
            state: state(row, 5),
            waits_for: waits_for(row, 5, 6),
            children: children(row, 8, row.get::<_, Option<i64>>(7).unwrap_or(0)),
        }))
    }

    /// Writes the counts, after so many changes of them: each is a change of state with an event for readers.
    async fn write_children(&mut self, parent: &Parent, then: Then, changes: u64) -> Result<()> {
        let goes_on = then == Then::GoOnIfFree && parent.is_free();
        let next = goes_on.then_some((State::Available, self.now));
        let Children { total, completed, failed, cancelled } = parent.children;
        let values: [&(dyn ToSql + Sync); 10] = [
            &parent.seq,
            &self.now.0,
            &next.map(|(state, _)| state.as_str()),
            &next.map(|(_, run_at)| run_at.0),
            &next.map(|(_, run_at)| lifecycle::rank(run_at, parent.priority)),
            &signed(total),
            &signed(completed),
            &signed(failed),
            &signed(cancelled),
            &signed(changes.saturating_mul(lifecycle::events_of(parent.state))),
        ];
        self.rows("count a child", include_str!("sql/count_children.sql"), &values).await?;
        if goes_on {
            self.moved(Change {
                id: &parent.id,
                kind: &parent.kind,
                queue: &parent.queue,
                from: Some(State::Blocked),
                to: Some(State::Available),
                attempt: parent.attempt,
                at: self.now,
                since: None,
                error: None,
            });
            self.touched.insert(parent.seq);
        }
        self.effects.changed.push(parent.id.clone());
        Ok(())
    }
}

/// The consequence of a change of its counts for a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nothing: it waits on.
    Wait,
    /// It goes on where it waits for its children and none is unfinished.
    GoOnIfFree,
}
