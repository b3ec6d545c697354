use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::{Stopwatch, millis};
use longhaul::{Clock, Json, Lease, LeaseStatus, Result, WorkerInfo};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;

use crate::connection::Connection;
use crate::error::{SILENCE, copy, fault, is_outage, unavailable};
use crate::options::{PostgresOptions, Purpose};
use crate::record::held;
use crate::row::signed;

const HEARTBEAT: &str = include_str!("sql/heartbeat.sql");
/// The most heartbeats of one statement.
const BEATS_AT_ONCE: usize = 256;
/// Between two attempts to extend leases whose rows another transaction holds: at first and at most.
const FIRST_RETRY: Duration = Duration::from_millis(10);
const LAST_RETRY: Duration = Duration::from_millis(200);

/// A worker's heartbeat, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Beat {
    pub(crate) worker: WorkerInfo,
    pub(crate) leases: Vec<Lease>,
    pub(crate) lease_for: Duration,
    pub(crate) reply: oneshot::Sender<Result<Vec<LeaseStatus>>>,
}

/// Extends leases on a connection of its own, and never waits for a lock: neither a full writer nor a transaction of an
/// application delays a heartbeat.
pub(crate) struct Heartbeats {
    options: Arc<PostgresOptions>,
    clock: Clock,
    connection: Option<Connection>,
    /// Current leases whose rows another transaction held: no sweep takes these, and they are extended once it ends.
    held_back: HashMap<Lease, HeldBack>,
    /// Grows while the same rows are held.
    retry_pause: Duration,
    retried: Stopwatch,
}

#[derive(Clone, Copy)]
struct HeldBack {
    lease_for: Duration,
    since: Stopwatch,
}

/// The status of each lease of one statement, and whether its row could be written.
type Extended = HashMap<(String, i64), (LeaseStatus, bool)>;

impl Heartbeats {
    pub(crate) fn new(options: Arc<PostgresOptions>, clock: Clock) -> Self {
        Self {
            options,
            clock,
            connection: None,
            held_back: HashMap::new(),
            retry_pause: FIRST_RETRY,
            retried: Stopwatch::start(),
        }
    }

    /// Runs until the store is dropped.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Beat>) {
        let mut beats = Vec::new();
        loop {
            // Counted from the last attempt: heartbeats that come all the time do not put the next one off.
            let pause = self.retry_pause.saturating_sub(self.retried.elapsed());
            let retries = !self.held_back.is_empty();
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause), if retries => self.extend_held_back().await,
                count = inbox.recv_many(&mut beats, BEATS_AT_ONCE) => if count == 0 { return },
            }
            if !beats.is_empty() {
                self.answer(std::mem::take(&mut beats)).await;
            }
        }
    }

    async fn answer(&mut self, beats: Vec<Beat>) {
        match self.extend(&beats).await {
            Ok(extended) => self.tell(beats, &extended),
            Err(error) if beats.len() == 1 || is_outage(&error) => {
                beats.into_iter().for_each(|beat| drop(beat.reply.send(Err(copy(&error)))));
            }
            // One of them is at fault.
            Err(_) => {
                for beat in beats {
                    match self.extend(std::slice::from_ref(&beat)).await {
                        Ok(extended) => self.tell(vec![beat], &extended),
                        Err(error) => drop(beat.reply.send(Err(error))),
                    }
                }
            }
        }
    }

    fn tell(&mut self, beats: Vec<Beat>, extended: &Extended) {
        for beat in beats {
            let mut statuses = Vec::with_capacity(beat.leases.len());
            for lease in beat.leases {
                let key = (lease.id.as_str().to_owned(), signed(lease.token));
                let (status, is_written) = extended.get(&key).copied().unwrap_or((LeaseStatus::Lost, true));
                statuses.push(status);
                if is_written {
                    self.held_back.remove(&lease);
                } else {
                    self.retry_pause = FIRST_RETRY;
                    let held_back = HeldBack { lease_for: beat.lease_for, since: Stopwatch::start() };
                    self.held_back.insert(lease, held_back);
                }
            }
            let _ = beat.reply.send(Ok(statuses));
        }
    }

    /// Tries leases again whose rows were held. Their workers have been answered.
    async fn extend_held_back(&mut self) {
        self.retry_pause = (self.retry_pause * 2).min(LAST_RETRY);
        self.retried = Stopwatch::start();
        self.held_back.retain(|_, held| held.since.elapsed() < held.lease_for);
        let leases = self.held_back.iter().map(|(lease, held)| {
            // Counted from the heartbeat, as its worker counts.
            (lease, held.lease_for.saturating_sub(held.since.elapsed()))
        });
        let leases: Vec<(Lease, Duration)> = leases.map(|(lease, left)| (lease.clone(), left)).collect();
        let leases: Vec<(&Lease, Duration)> = leases.iter().map(|(lease, left)| (lease, *left)).collect();
        match self.statement(&BTreeMap::new(), leases).await {
            Ok(extended) => self.held_back.retain(|lease, _| {
                let key = (lease.id.as_str().to_owned(), signed(lease.token));
                extended.get(&key).is_some_and(|(_, is_written)| !is_written)
            }),
            Err(error) => tracing::debug!("failed to extend a lease that was held back: {error}"),
        }
    }

    async fn extend(&mut self, beats: &[Beat]) -> Result<Extended> {
        let mut workers = BTreeMap::new();
        for beat in beats {
            workers.insert(beat.worker.id.as_str(), Json::new(&beat.worker)?);
        }
        let leases = beats.iter().flat_map(|beat| beat.leases.iter().map(|lease| (lease, beat.lease_for)));
        self.statement(&workers, leases.collect()).await
    }

    async fn statement(
        &mut self,
        workers: &BTreeMap<&str, Json>,
        mut leases: Vec<(&Lease, Duration)>,
    ) -> Result<Extended> {
        // Rows are always taken in one order, so that no two transactions wait for each other.
        leases.sort_unstable_by_key(|(lease, lease_for)| (lease.id.as_str(), lease.token, *lease_for));
        let ids: Vec<&str> = leases.iter().map(|(lease, _)| lease.id.as_str()).collect();
        let tokens: Vec<i64> = leases.iter().map(|(lease, _)| signed(lease.token)).collect();
        let lengths: Vec<i64> = leases.iter().map(|(_, lease_for)| millis(*lease_for)).collect();
        let names: Vec<&str> = workers.keys().copied().collect();
        let infos: Vec<&str> = workers.values().map(Json::as_str).collect();
        let now = self.clock.is_manual().then(|| self.clock.now().0);
        let values: [&(dyn ToSql + Sync); 6] = [&now, &names, &infos, &ids, &tokens, &lengths];
        let connection = match self.connection.take().filter(|open| !open.client.is_closed()) {
            Some(connection) => connection,
            None => Connection::open(&self.options, Purpose::Write, |_| {}).await?,
        };
        let rows = tokio::time::timeout(self.options.response_timeout, connection.rows(HEARTBEAT, &values));
        let Ok(rows) = rows.await else {
            // The connection is given up.
            connection.cancel();
            return Err(unavailable(SILENCE));
        };
        self.connection = Some(connection);
        let extended = rows
            .map_err(fault("extend a lease"))?
            .into_iter()
            .map(|row| ((row.get(0), row.get(1)), (held(row.get(2)), row.get(3))));
        Ok(extended.collect())
    }
}
