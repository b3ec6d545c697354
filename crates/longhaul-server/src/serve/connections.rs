//! The connections of a listener: no more of them than the process can hold, and none that only waits for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The most connections, unless a flag says otherwise and where the process may open that many files.
const USUAL_MOST: u64 = 4_096;
/// The files that are open beside connections: the database, the log, pipes to other programs.
const OTHER_FILES: u64 = 96;

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    closed: Notify,
    next: AtomicU64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    connections: Arc<Connections>,
    /// Fired when another one needs its place.
    pub(super) cut: CancellationToken,
    /// Grows with each step that its client has taken; [`BUSY`] while it is our turn.
    waiting_since: AtomicU64,
}

/// A request is being answered, which is never cut short.
const BUSY: u64 = u64::MAX;

/// Takes the connection out of the list when it ends.
#[derive(Debug)]
pub(super) struct Place(pub(super) Arc<Connection>);

/// The most connections that this process can hold, after it has asked the system for as many files as it may have. Each
/// may need a second file, for an upload.
pub(super) fn most(wanted: Option<u32>) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let possible = files.map_or(USUAL_MOST, |files| (files.saturating_sub(OTHER_FILES) / 2).max(8));
    let most = wanted.map_or(USUAL_MOST, u64::from);
    if wanted.is_some() && most > possible {
        tracing::warn!("at most {possible} connections fit into this process's limit of open files");
    }
    usize::try_from(most.min(possible)).unwrap_or(usize::MAX)
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default(), closed: Notify::new(), next: AtomicU64::new(0) })
    }

    /// A place for a new connection. Where all are taken, the one goes whose client has kept us waiting for the longest;
    /// where no client does, this waits for an answer to be done.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        loop {
            let closed = self.closed.notified();
            if let Some(place) = self.try_place() {
                return place;
            }
            closed.await;
        }
    }

    fn try_place(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.lock();
        if open.len() >= self.most {
            let waiting = open.values().map(|one| (one.waiting_since.load(Ordering::Relaxed), one.number));
            let (_, oldest) = waiting.filter(|(since, _)| *since != BUSY).min()?;
            open.remove(&oldest)?.cut.cancel();
        }
        let number = self.turn();
        let connection = Arc::new(Connection {
            number,
            connections: Arc::clone(self),
            cut: CancellationToken::new(),
            waiting_since: AtomicU64::new(number),
        });
        open.insert(number, Arc::clone(&connection));
        Some(Place(connection))
    }

    fn turn(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// A request has come whole.
    pub(super) fn is_busy(&self) {
        self.waiting_since.store(BUSY, Ordering::Relaxed);
    }

    /// Its client has sent something, or been answered, and is to send more.
    pub(super) fn is_waiting(&self) {
        self.waiting_since.store(self.connections.turn(), Ordering::Relaxed);
        self.connections.closed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.lock().remove(&self.0.number);
        self.0.connections.closed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_client_that_has_kept_us_waiting_for_the_longest_makes_room() {
        let connections = Connections::new(3);
        let [busy, oldest, newer] = [(); 3].map(|()| connections.try_place().unwrap());
        busy.0.is_busy();
        newer.0.is_waiting();
        let next = connections.try_place().unwrap();
        assert!(oldest.0.cut.is_cancelled());
        // A request that is going on to arrive counts anew with each piece.
        next.0.is_waiting();
        newer.0.is_waiting();
        connections.try_place().unwrap();
        assert!(next.0.cut.is_cancelled() && !newer.0.cut.is_cancelled() && !busy.0.cut.is_cancelled());
    }

    #[tokio::test]
    async fn where_all_are_answered_a_new_connection_waits_for_one_of_them() {
        let connections = Connections::new(2);
        let all = [(); 2].map(|()| connections.try_place().unwrap());
        all.each_ref().iter().for_each(|place| place.0.is_busy());
        let mut next = std::pin::pin!(connections.place());
        assert!(next.as_mut().now_or_never().is_none());
        all[0].0.is_waiting();
        next.await;
        assert!(all[0].0.cut.is_cancelled() && !all[1].0.cut.is_cancelled());
    }
}
