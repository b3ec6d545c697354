use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};

use crate::connection::Connection;
use crate::options::{RedisOptions, Topology};

/// The way of a call that is alone: over a connection of its caller's runtime, because to hand it to the driver's thread, and
/// its answer back, takes as long as the server does. Calls that come meanwhile go to the driver, which sends them together.
pub(crate) struct Direct {
    options: RedisOptions,
    under_way: AtomicUsize,
    way: Arc<Mutex<Way>>,
}

/// The connection. It belongs to the runtime of the first caller, and callers of other runtimes go to the driver: a
/// runtime that is blocked by its jobs must not delay the calls of others.
#[derive(Default)]
enum Way {
    #[default]
    Closed,
    Opening,
    Open(Id, Connection),
}

/// A call that is under way, for as long as this lives.
pub(crate) struct UnderWay<'a> {
    under_way: &'a AtomicUsize,
    is_alone: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Direct {
    pub(crate) fn new(options: RedisOptions) -> Self {
        Self { options, under_way: AtomicUsize::new(0), way: Arc::default() }
    }

    pub(crate) fn enter(&self) -> UnderWay<'_> {
        let is_alone = self.under_way.fetch_add(1, Ordering::Relaxed) == 0;
        UnderWay { under_way: &self.under_way, is_alone }
    }

    /// The runtime and the connection of a call that is alone, where it may go so. The first one has the connection opened,
    /// and does not wait for that.
    pub(crate) fn way(&self, call: &UnderWay<'_>) -> Option<(Handle, Connection)> {
        if !call.is_alone || self.options.topology == Topology::Cluster {
            return None;
        }
        let runtime = Handle::try_current().ok()?;
        let mut way = self.way.lock();
        match &*way {
            Way::Open(id, connection) if *id == runtime.id() => return Some((runtime, connection.clone())),
            Way::Closed => *way = Way::Opening,
            Way::Opening | Way::Open(..) => return None,
        }
        drop(way);
        self.open(&runtime);
        None
    }

    fn open(&self, runtime: &Handle) {
        let (options, way, id) = (self.options.clone(), Arc::downgrade(&self.way), runtime.id());
        runtime.spawn(async move {
            let opened = Connection::open(&options).await;
            if let Some(way) = way.upgrade() {
                *way.lock() = opened.map_or(Way::Closed, |connection| Way::Open(id, connection));
            }
        });
    }
}
