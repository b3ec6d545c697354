//! A worker of the test's own beside the commands, whose jobs end as their args say.

use longhaul::{Context, Job, JobError, JobResult, LogLevel, Longhaul, Worker};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

use crate::server::Place;

/// A job that does as it is told.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Act {
    /// `talk`, `fail` or `stay`.
    pub(crate) how: String,
    #[serde(default)]
    pub(crate) n: u64,
}

impl Job for Act {
    const KIND: &'static str = "act";
    const QUEUE: &'static str = "stage";
    const MAX_ATTEMPTS: u32 = 1;
    type State = ();
    type Output = u64;

    async fn run(self, cx: Context<()>) -> JobResult<u64> {
        match self.how.as_str() {
            "talk" => {
                cx.progress(25, "clears its throat");
                cx.log(LogLevel::Warn, "somebody coughs");
                cx.emit("to be, \u{1b}[2Jor ").await?;
                cx.emit("not to be\n").await?;
                cx.progress(75, "bows");
                Ok(self.n)
            }
            "stay" => {
                cx.progress(10, "stands there");
                cx.cancelled().await;
                Err(JobError::cancel("sent away"))
            }
            how => Err(JobError::fatal(format!("forgot its {how}"))),
        }
    }
}

/// A worker, and the handle to enqueue for it.
pub(crate) struct Crew {
    pub(crate) longhaul: Longhaul,
    _worker: Worker,
}

impl Crew {
    /// Starts the worker on a place's own file, beside whatever else has it open.
    pub(crate) async fn at(place: &Place) -> Self {
        let longhaul = Self::idle(place).await;
        let worker = longhaul.worker().register::<Act>(()).queue("stage", 8).start();
        Self { longhaul, _worker: worker }
    }

    /// Only the handle: jobs stay as they are.
    pub(crate) async fn idle(place: &Place) -> Longhaul {
        std::fs::create_dir_all(place.data()).expect("a folder");
        Longhaul::new(SqliteStore::open(place.data().join("longhaul.db")).await.expect("the store opens"))
    }
}
