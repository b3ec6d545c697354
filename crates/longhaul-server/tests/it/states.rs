//! Walks the table in `docs/states.md` on every store: each row holds, and whatever has no row moves nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{Action, Claim, Clock, JobId, Lease, Lookup, MemoryStore, NewJob, Outcome, Start};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{HOUR, LEASE, cancelled, completed, failed, job, retry, slots};
use longhaul_sqlite::SqliteStore;
use tempfile::TempDir;

const TABLE: &str = include_str!("../../../../docs/states.md");

/// The deeds that are tried in every state. Without a row of the table, the state must stay as it is.
const DEEDS: [&str; 16] = [
    "enqueue",
    "enqueue with a delay",
    "enqueue to start after its children",
    "the last child ends",
    "claim",
    "cancel",
    "retry",
    "delete",
    "sweep",
    "finish: completed",
    "finish: retry",
    "finish: failed",
    "finish: cancelled",
    "finish: snoozed",
    "finish: rate limited",
    "finish: released",
];

/// Every state, and that of no job.
const STATES: [&str; 8] =
    ["none", "blocked", "scheduled", "available", "running", "completed", "failed", "cancelled"];

const MINUTE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);
/// Longer than any job is kept that nobody has said how long to keep.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

#[tokio::test]
async fn the_table_of_states_holds_in_memory() {
    let clock = Clock::manual();
    walk(&Fixture::new(MemoryStore::with_clock(clock.clone()), clock)).await;
}

#[tokio::test]
async fn the_table_of_states_holds_on_sqlite() {
    let (folder, clock) = (TempDir::new().expect("a folder"), Clock::manual());
    let store = SqliteStore::open_with_clock(folder.path().join("jobs.db"), clock.clone()).await;
    walk(&Fixture { keep: Arc::new(folder), ..Fixture::new(store.expect("a store"), clock) }).await;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    from: &'static str,
    by: &'static str,
    to: &'static str,
}

/// The rows under "Transitions".
fn table() -> BTreeSet<Row> {
    let (_, text) = TABLE.split_once("## Transitions").expect("the heading");
    let mut lines = text.lines().skip_while(|line| !line.starts_with("|---"));
    assert!(lines.next().is_some(), "there is a table under the heading");
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        Row { from: cells[0], by: cells[1], to: cells[2] }
    };
    let table: BTreeSet<Row> = lines.take_while(|line| line.starts_with('|')).map(row).collect();
    for state in STATES {
        assert!(table.iter().any(|row| row.to == state), "something leads to {state}");
    }
    table
}

async fn walk(store: &Fixture) {
    let table = table();
    let unmoved = STATES.iter().flat_map(|&from| DEEDS.map(|by| Row { from, by, to: from }));
    let unmoved = unmoved.filter(|stay| !table.iter().any(|row| (row.from, row.by) == (stay.from, stay.by)));
    for (number, row) in unmoved.chain(table.iter().copied()).enumerate() {
        let mut walker =
            Walker { store, id: JobId::new(format!("walker-{number}")).expect("an id"), lease: None };
        walker.arrive(row).await;
        assert_eq!(walker.state().await, row.from, "before {row:?}");
        walker.act(row.by).await;
        assert_eq!(walker.state().await, row.to, "after {row:?}");
        walker.leave().await;
    }
}

/// One job on its way through one row.
struct Walker<'a> {
    store: &'a Fixture,
    id: JobId,
    lease: Option<Lease>,
}

impl Walker<'_> {
    /// Brings the job to where a row begins.
    async fn arrive(&mut self, row: Row) {
        let max_crashes = if row.by.ends_with("too many crashes") { 0 } else { 5 };
        let new = NewJob { max_crashes, ..self.job() };
        match row.from {
            "none" => return,
            "scheduled" => {
                self.store.enqueue(NewJob { start: Start::After(MINUTE), ..new }).await;
                return;
            }
            "blocked" => return self.enqueue_with_a_child().await,
            _ => self.store.enqueue(new).await,
        };
        match row.from {
            "available" => {}
            "cancelled" => self.act("cancel").await,
            "running" => self.act("claim").await,
            ended => {
                self.act("claim").await;
                self.act(&format!("finish: {ended}")).await;
            }
        }
    }

    /// Does what a row says, whether or not it applies.
    async fn act(&mut self, by: &str) {
        match by {
            "enqueue" => self.enqueue(Start::Now).await,
            "enqueue with a delay" => self.enqueue(Start::After(MINUTE)).await,
            "enqueue to start after its children" => self.enqueue_with_a_child().await,
            "enqueue to start after no children" => self.enqueue(Start::AfterChildren).await,
            "the last child ends" => {
                // It is not there where the deed is tried on a job without children.
                self.store.act(&self.child(), Action::Cancel { grace: GRACE }).await;
            }
            "claim" => self.claim().await,
            "claim while its limit key is paused" => {
                self.pause().await;
                self.claim().await;
            }
            "claim when due" => {
                self.store.clock.advance(MINUTE);
                self.claim().await;
            }
            "cancel" => self.outside(Action::Cancel { grace: GRACE }).await,
            "retry" => self.outside(Action::Retry).await,
            "delete" => self.outside(Action::Delete).await,
            "sweep" => self.sweep_after(Duration::ZERO).await,
            "sweep when due" => self.sweep_after(MINUTE).await,
            "sweep after the lease" | "sweep after the lease, too many crashes" => {
                self.sweep_after(LEASE + GRACE).await;
            }
            "sweep after the lease and cancel" => {
                self.outside(Action::Cancel { grace: HOUR }).await;
                self.sweep_after(LEASE + GRACE).await;
            }
            "sweep after cancel and its grace" => {
                self.outside(Action::Cancel { grace: GRACE }).await;
                self.sweep_after(GRACE).await;
            }
            "sweep after its retention" => self.sweep_after(LONG).await,
            "finish: completed" => self.finish(completed()).await,
            "finish: retry" => self.finish(retry(MINUTE)).await,
            "finish: failed" => self.finish(failed()).await,
            "finish: cancelled" => self.finish(cancelled()).await,
            "finish: snoozed" => self.finish(Outcome::Snoozed { delay: MINUTE }).await,
            "finish: rate limited" => self.finish(Outcome::RateLimited { delay: MINUTE }).await,
            "finish: rate limited after cancel" => {
                self.finish_after_cancel(Outcome::RateLimited { delay: MINUTE }).await;
            }
            "finish: released" => self.finish(Outcome::Released).await,
            "finish: retry after cancel" => self.finish_after_cancel(retry(MINUTE)).await,
            "finish: snoozed after cancel" => {
                self.finish_after_cancel(Outcome::Snoozed { delay: MINUTE }).await;
            }
            "finish: released after cancel" => self.finish_after_cancel(Outcome::Released).await,
            "finish: completed after cancel" => self.finish_after_cancel(completed()).await,
            unknown => panic!("docs/states.md says '{unknown}', which this test cannot do"),
        }
    }

    async fn enqueue(&self, start: Start) {
        self.store.offer(NewJob { start, ..self.job() }).await;
    }

    /// The child is of a queue from which nobody claims.
    async fn enqueue_with_a_child(&self) {
        let closing = NewJob { start: Start::AfterChildren, ..self.job() };
        let child = NewJob {
            id: Some(self.child()),
            parent: Some(self.id.clone()),
            queue: "children".into(),
            ..job()
        };
        self.store.enqueue_all(vec![closing, child]).await;
    }

    fn child(&self) -> JobId {
        JobId::new(format!("{}.child", self.id)).expect("an id")
    }

    /// Has another job of the same limit key come to the limit.
    async fn pause(&self) {
        let queue = "elsewhere";
        let other = NewJob { queue: queue.into(), limit_key: self.job().limit_key, ..job() };
        self.store.enqueue(other).await;
        let claim = Claim { queues: vec![slots(queue, 1)], ..longhaul_conformance::jobs::claim() };
        let claimed = self.store.claim(claim).await.remove(0);
        self.store.end(&claimed.lease, Outcome::RateLimited { delay: MINUTE }).await;
        self.store.act(&claimed.lease.id, Action::Cancel { grace: GRACE }).await;
    }

    async fn claim(&mut self) {
        let claimed = self.store.claim(longhaul_conformance::jobs::claim()).await;
        if let Some(claimed) = claimed.into_iter().find(|claimed| claimed.lease.id == self.id) {
            self.lease = Some(claimed.lease);
        }
    }

    /// Ends the last run of the job, or one that never was.
    async fn finish(&self, outcome: Outcome) {
        let never = Lease { id: self.id.clone(), token: 1 };
        self.store.finish(self.lease.as_ref().unwrap_or(&never), outcome).await;
    }

    async fn finish_after_cancel(&self, outcome: Outcome) {
        self.outside(Action::Cancel { grace: GRACE }).await;
        self.finish(outcome).await;
    }

    async fn outside(&self, action: Action) {
        self.store.act(&self.id, action).await;
    }

    async fn sweep_after(&self, time: Duration) {
        self.store.clock.advance(time);
        self.store.sweep().await;
    }

    /// Takes the job out of the next one's way.
    async fn leave(&self) {
        self.outside(Action::Cancel { grace: Duration::ZERO }).await;
        self.store.act(&self.child(), Action::Cancel { grace: Duration::ZERO }).await;
        self.sweep_after(GRACE).await;
        self.outside(Action::Delete).await;
    }

    async fn state(&self) -> &'static str {
        match self.store.lookup(&self.id).await {
            Lookup::Found(record) => record.state.as_str(),
            Lookup::Gone | Lookup::Unknown => "none",
        }
    }

    fn job(&self) -> NewJob {
        // Each has a limit key of its own, so that no walker meets the pause of an earlier one.
        NewJob { id: Some(self.id.clone()), limit_key: Some(self.id.to_string()), ..job() }
    }
}
