use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longhaul::Store;
use longhaul::testing::Intercept;

/// One database as several processes have it open: each call is made by the next of them, but for exports and imports, which are the
/// first one's. A store that gathers the calls of its process in one transaction lets them meet in the database only where they are of
/// several processes. No changes are told: each store tells those of its own process.
///
/// # Panics
/// If there are no stores.
#[must_use]
pub fn several(stores: Vec<Arc<dyn Store>>) -> Intercept {
    assert!(!stores.is_empty(), "a database that nobody has open answers no call");
    let next = AtomicUsize::new(0);
    Intercept::over(Arc::clone(&stores[0]), move |_, call| {
        let store = Arc::clone(&stores[next.fetch_add(1, Ordering::Relaxed) % stores.len()]);
        async move { call.on(store.as_ref()).await }
    })
    .without_changes()
}
