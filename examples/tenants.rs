//! Tenants that share a queue: each has one run at a time, and none waits behind another's thousand jobs.
//!
//!     cargo run -p examples --bin tenants

use std::sync::{Arc, Mutex};
use std::time::Duration;

use longhaul::{Context, Job, JobResult, KeyConfig, Longhaul, NewJob, QueueConfig};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Import {
    tenant: String,
}

impl Job for Import {
    const KIND: &'static str = "import";
    const QUEUE: &'static str = "imports";
    type State = Arc<Mutex<Vec<String>>>;
    type Output = ();

    fn limit_keys(&self) -> Vec<String> {
        vec![format!("tenant:{}", self.tenant)]
    }

    async fn run(self, cx: Context<Self::State>) -> JobResult<()> {
        if let Ok(mut order) = cx.state().lock() {
            order.push(self.tenant);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("tenants.db").await?);
    let store = longhaul.store();
    // The default of all tenants, over all workers; a tenant may have limits of its own.
    store.set_key("tenant:*", Some(&KeyConfig { slots: Some(1), ..KeyConfig::default() })).await?;
    store.set_queue("imports", &QueueConfig { fair: true, ..QueueConfig::default() }).await?;

    let mut jobs = Vec::new();
    for tenant in ["large", "large", "large", "large", "small", "tiny"] {
        jobs.push(NewJob::of(&Import { tenant: tenant.into() })?);
    }
    let ids: Vec<_> = longhaul.enqueue_many(jobs).await?.into_iter().map(|job| job.id).collect();

    let order = Arc::new(Mutex::new(Vec::new()));
    let worker = longhaul.worker().register::<Import>(Arc::clone(&order)).queue("imports", 1).start();
    for id in &ids {
        longhaul.wait(id, Duration::from_secs(60)).await?;
    }
    worker.shutdown(Duration::from_secs(10)).await;
    println!("{}", order.lock().map_err(|_| "a run has panicked")?.join(", "));
    Ok(())
}
