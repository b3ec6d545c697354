//! A Redis that is away when a server starts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use longhaul::testing::Intercept;
use longhaul::{Change, Error, MemoryStore, Observer, Store};
use longhaul_redis::RedisStore;
use service_support::Db;

use crate::belonging::check;
use crate::store_url::StoreUrl;

/// A store that is away until it is found. Workers, maintenance and services treat it as any store that is away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    found: Arc<OnceLock<RedisStore>>,
    /// Passes the changes of the store that was opened on to the observers of the store in its place.
    echo: Arc<Echo>,
}

/// No call reaches this store; its observers are those of the store that is looked for.
#[derive(Debug, Default)]
struct Echo(Arc<MemoryStore>);

impl Observer for Echo {
    fn changed(&self, change: &Change<'_>) {
        if let Some(changes) = self.0.changes() {
            changes.tell([*change]);
        }
    }
}

/// The pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

impl Late {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let found = Arc::clone(&self.found);
        Arc::new(Intercept::over(Arc::clone(&self.echo.0) as Arc<dyn Store>, move |_, call| {
            let found = Arc::clone(&found);
            async move {
                match found.get() {
                    Some(store) => call.on(store).await,
                    None => {
                        Err(Error::Unavailable { store: "redis", source: "it was away at the start".into() })
                    }
                }
            }
        }))
    }

    /// Looks for it in the background until it is there, and its jobs are those of `db`.
    pub(crate) fn look_for(self, url: String, store: StoreUrl, database: StoreUrl, db: Db) {
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                match RedisStore::connect(&url).await {
                    Ok(redis) => {
                        let jobs = longhaul::Longhaul::new(redis.clone());
                        let belongs = db.belongs_to_jobs(&jobs).await.map_err(Into::into);
                        match belongs.and_then(|belongs| check(belongs, &store, &database)) {
                            Ok(()) => {
                                if let Some(changes) = redis.changes() {
                                    changes.observe(&self.echo);
                                }
                                let _ = self.found.set(redis);
                                tracing::info!("{store} is there now");
                                return;
                            }
                            Err(error) => tracing::error!("{error}"),
                        }
                    }
                    Err(error) if error.is_outage() => {}
                    Err(error) => tracing::error!("{error}"),
                }
            }
        });
    }
}
