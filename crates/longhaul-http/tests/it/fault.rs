//! A store that fails as it is told, to see what the callers of a server with such a store see.

use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{Action, Clock, Error, JobFilter, JobId, Longhaul, MemoryStore, Result, Store};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kinds;

/// The fault of every operation of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It cannot be reached.
    Unavailable,
    /// It has no room left.
    Full,
    /// It cannot write.
    ReadOnly,
    /// It fails.
    Broken,
    /// It panics.
    Panics,
    /// It never answers.
    Hangs,
}

/// Words that no answer may contain.
pub(crate) const SECRET: &str = "password 'hunter2' of /var/lib/jobs.db";

pub(crate) fn longhaul(fault: Fault) -> Longhaul {
    let (longhaul, switch) = switched(Clock::manual());
    switch.set(Some(fault));
    longhaul
}

/// A store in memory that can be made to fail, and to work again.
pub(crate) fn switched(clock: Clock) -> (Longhaul, Switch) {
    let store = Arc::new(MemoryStore::with_clock(clock));
    let switch = Switch { fault: Arc::default(), refused: Arc::default(), store: Arc::clone(&store) };
    let faulty = Intercept::over(store, {
        let switch = switch.clone();
        move |store, call| {
            let switch = switch.clone();
            async move { switch.answer(&*store, call).await }
        }
    });
    let longhaul = Longhaul::new(faulty);
    kinds::declare(&longhaul);
    (longhaul, switch)
}

/// Decides what a store does from now on.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    fault: Arc<Mutex<Option<Fault>>>,
    /// The number of calls that have failed.
    refused: Arc<watch::Sender<usize>>,
    store: Arc<MemoryStore>,
}

impl Switch {
    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock() = fault;
    }

    /// Waits until so many calls have failed.
    pub(crate) async fn refused(&self, count: usize) {
        let mut refused = self.refused.subscribe();
        let enough = refused.wait_for(|refused| *refused >= count);
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("it is called").unwrap();
    }

    /// Changes a job behind the store's back, so that whoever waits for it looks again.
    pub(crate) async fn wake(&self, id: &JobId) {
        let cancel = Action::cancel(Duration::ZERO);
        self.store.act(&JobFilter::id(id.clone()), cancel, 1).await.unwrap();
    }

    async fn answer(&self, store: &dyn Store, call: Call) -> Result<Answer> {
        self.check().await?;
        let waits = matches!(call, Call::Events(..));
        let answer = call.on(store).await;
        if waits {
            // It may have gone away while it was waited for.
            self.check().await?;
        }
        answer
    }

    async fn check(&self) -> Result<()> {
        let fault = *self.fault.lock();
        if fault.is_some() {
            self.refused.send_modify(|refused| *refused += 1);
        }
        let (store, source) = ("faulty", SECRET.into());
        match fault {
            None => Ok(()),
            Some(Fault::Unavailable) => Err(Error::Unavailable { store, source }),
            Some(Fault::Full) => Err(Error::Full { store, source }),
            Some(Fault::ReadOnly) => Err(Error::Broken { store, source }),
            Some(Fault::Broken) => Err(Error::Store { store, operation: "work", source }),
            Some(Fault::Panics) => panic!("{SECRET}"),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }
}
