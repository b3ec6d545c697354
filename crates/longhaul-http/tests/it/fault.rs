//! A store that fails as it is told, to see what the callers of a server with such a store see.

use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{Action, Clock, Error, JobFilter, JobId, Longhaul, MemoryStore, Result, Store};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kinds;

/// The fault of every operation of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It cannot be reached.
    Unavailable,
    /// It fails.
    Broken,
    /// It panics.
    Panics,
    /// It never answers.
    Hangs,
}

/// Text that no answer may contain.
pub(crate) const SECRET: &str = "password 'hunter2' of /var/lib/jobs.db";

pub(crate) fn longhaul(fault: Fault) -> Longhaul {
    let (longhaul, switch) = switched(Clock::manual());
    switch.set(Some(fault));
    longhaul
}

/// A store in memory that can be made to fail, and to work again.
pub(crate) fn switched(clock: Clock) -> (Longhaul, Switch) {
    let switch = Switch {
        fault: Arc::default(),
        refused: Arc::default(),
        store: Arc::new(MemoryStore::with_clock(clock)),
    };
    let hook = switch.clone();
    let store = Intercept::over(switch.store.clone(), move |store, call| hook.clone().around(store, call));
    let longhaul = Longhaul::new(store);
    kinds::declare(&longhaul);
    (longhaul, switch)
}

/// The behaviour of the store from now on.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    fault: Arc<Mutex<Option<Fault>>>,
    /// How many calls have failed.
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
        let cancel = Action::Cancel { grace: Duration::ZERO };
        self.store.act(&JobFilter::id(id.clone()), cancel, 1).await.unwrap();
    }

    async fn around(self, store: Arc<dyn Store>, call: Call) -> Result<Answer> {
        self.check().await?;
        let answer = call.on(store.as_ref()).await;
        // It may have gone away while it was waited for.
        self.check().await?;
        answer
    }

    async fn check(&self) -> Result<()> {
        let fault = *self.fault.lock();
        if fault.is_some() {
            self.refused.send_modify(|refused| *refused += 1);
        }
        match fault {
            None => Ok(()),
            Some(Fault::Unavailable) => Err(Error::Unavailable { store: "faulty", source: SECRET.into() }),
            Some(Fault::Broken) => {
                Err(Error::Store { store: "faulty", operation: "work", source: SECRET.into() })
            }
            Some(Fault::Panics) => panic!("{SECRET}"),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }
}
