use std::sync::Arc;

use longhaul::{JobId, QueueConfig, Store};
use longhaul_postgres::PostgresStore;
use longhaul_redis::{RedisStore, redis};
use longhaul_sqlite::SqliteStore;

use crate::Result;
use crate::target::{StoreKind, Target};

/// A store whose rows can be damaged from outside, as by another program or a newer release.
pub(crate) enum Cage {
    /// A store that nothing can damage from outside.
    #[cfg(test)]
    Sound(Arc<dyn Store>),
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
    Redis(RedisStore, String),
}

/// Queues whose configuration is damaged: one by a newer release, whose fields are unknown here, the other beyond reading.
const QUEUES: [(&str, &str); 2] = [
    ("of-a-newer-release", r#"{"retention":{"completed":{"age":60,"of":"tomorrow"}},"invented":[1]}"#),
    ("beyond-reading", "garbage"),
];

impl Cage {
    /// The store of a target.
    pub(crate) async fn open(kind: StoreKind, target: &Target) -> Result<Self> {
        Ok(match kind {
            StoreKind::Sqlite => {
                Self::Sqlite(SqliteStore::open(target.direct.trim_start_matches("sqlite:")).await?)
            }
            StoreKind::Postgres => Self::Postgres(PostgresStore::connect(&target.direct).await?),
            StoreKind::Redis => {
                Self::Redis(RedisStore::connect(&target.direct).await?, target.direct.clone())
            }
        })
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            #[cfg(test)]
            Self::Sound(store) => Arc::clone(store),
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
            Self::Redis(store, _) => Arc::new(store.clone()),
        }
    }

    /// The number of rows that can be damaged, each in a way of its own.
    pub(super) fn damages(&self) -> usize {
        match self {
            #[cfg(test)]
            Self::Sound(_) => 0,
            Self::Sqlite(_) => SQLITE_DAMAGES.len(),
            Self::Postgres(_) => POSTGRES_DAMAGES.len(),
            Self::Redis(..) => REDIS_DAMAGES.len(),
        }
    }

    /// Damages these jobs' rows, and the configurations of queues.
    pub(super) async fn damage(&self, rows: &[JobId]) -> Result<()> {
        let store = self.store();
        for (queue, _) in QUEUES {
            store.set_queue(queue, &QueueConfig::default()).await?;
        }
        match self {
            #[cfg(test)]
            Self::Sound(_) => {}
            Self::Sqlite(store) => {
                let statements = statements(rows, &SQLITE_DAMAGES);
                let damaged = store
                    .transact(move |tx| {
                        statements.iter().try_for_each(|sql| tx.connection().execute_batch(sql))
                    })
                    .await?;
                damaged?;
            }
            Self::Postgres(store) => {
                store
                    .pool()
                    .get()
                    .await?
                    .batch_execute(&statements(rows, &POSTGRES_DAMAGES).join("; "))
                    .await?;
            }
            Self::Redis(_, url) => {
                let mut connection =
                    redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
                for (row, key) in rows.iter().zip(REDIS_DAMAGES) {
                    let key = format!("{{longhaul}}:{key}:{row}");
                    redis::cmd("SET").arg(key).arg("garbage").exec_async(&mut connection).await?;
                }
                for (queue, config) in QUEUES {
                    let mut set = redis::cmd("HSET");
                    set.arg("{longhaul}:queues").arg(queue).arg(config);
                    set.exec_async(&mut connection).await?;
                }
            }
        }
        Ok(())
    }
}

/// Columns of a job's row, each with a value that its type allows and that cannot be read.
const SQLITE_DAMAGES: [(&str, &str); 3] = [("policy", "soon"), ("args", "{no"), ("labels", "[1]")];
const POSTGRES_DAMAGES: [(&str, &str); 3] = [("policy", "soon"), ("args", "{no"), ("backoff", "soon")];
/// The part of a job in Redis that is overwritten: what never changes, and what does.
const REDIS_DAMAGES: [&str; 2] = ["m", "d"];

fn statements(rows: &[JobId], damages: &[(&str, &str)]) -> Vec<String> {
    let rows = rows.iter().zip(damages);
    let jobs =
        rows.map(|(row, (column, value))| format!("UPDATE jobs SET {column} = '{value}' WHERE id = '{row}'"));
    let configs =
        QUEUES.map(|(queue, config)| format!("UPDATE queues SET config = '{config}' WHERE name = '{queue}'"));
    jobs.chain(configs).collect()
}
