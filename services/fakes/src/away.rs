use std::sync::Arc;

use longhaul::testing::{Call, Intercept};
use longhaul::{Clock, Error, Longhaul, MemoryStore};
use parking_lot::Mutex;

/// A store of jobs that goes away and comes back, as one in another database than the rows does.
#[derive(Clone, Debug)]
pub struct Away(Arc<Mutex<Presence>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    There,
    /// It goes away whenever it is given jobs.
    Full,
    Gone,
}

impl Away {
    /// The store, which is there, and what sends it away.
    #[must_use]
    pub fn store(clock: Clock) -> (Longhaul, Self) {
        let presence = Arc::new(Mutex::new(Presence::There));
        let seen = Arc::clone(&presence);
        let store = Intercept::new(MemoryStore::with_clock(clock), move |store, call| {
            let is_away = match *seen.lock() {
                Presence::There => false,
                Presence::Full => matches!(call, Call::Enqueue(_)),
                Presence::Gone => true,
            };
            async move {
                match is_away {
                    true => Err(Error::Unavailable { store: "test", source: "connection refused".into() }),
                    false => call.on(store.as_ref()).await,
                }
            }
        });
        (Longhaul::new(store), Self(presence))
    }

    /// From now on every call fails.
    pub fn leave(&self) {
        *self.0.lock() = Presence::Gone;
    }

    /// From now on calls fail that bring jobs, and no other.
    pub fn take_no_jobs(&self) {
        *self.0.lock() = Presence::Full;
    }

    /// From now on every call goes through.
    pub fn come_back(&self) {
        *self.0.lock() = Presence::There;
    }
}
