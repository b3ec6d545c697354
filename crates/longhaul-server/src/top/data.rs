//! The data on the screen: no more of it is read than has changed.

use longhaul::{Clock, Timestamp};

use super::screen::Screen;
use crate::Result;
use crate::client::{Client, Job, JobPage, Queue, QueuePage, State, WorkerPage};
use crate::jobs::search::Search;

/// The most jobs of a list.
const JOBS: usize = 50;

/// The place as it was at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) at: Timestamp,
    pub(super) queues: Vec<Queue>,
    pub(super) workers: usize,
    pub(super) running: Vec<Job>,
    pub(super) failed: Vec<Job>,
    /// The search that the lists are of.
    pub(super) search: Search,
}

impl Snapshot {
    /// Reads again. The counts show whether anything else has changed since `before`: an idle store costs one read.
    pub(super) async fn read(client: &Client, screen: &Screen, before: Option<&Snapshot>) -> Result<Self> {
        let page: QueuePage = client.get("/queues").await?;
        let queues: Vec<Queue> =
            page.queues.iter().map(|queue| serde_json::from_str(queue.get())).collect::<Result<_, _>>()?;
        let search = screen.search();
        let before = before.filter(|before| before.search == search);
        let same =
            |state: State| before.is_some_and(|before| sum(&before.queues, state) == sum(&queues, state));
        let has_changed = before.is_none_or(|before| {
            State::ALL.into_iter().any(|state| sum(&before.queues, state) != sum(&queues, state))
        });
        let running = match sum(&queues, State::Running) {
            0 => Vec::new(),
            _ => list(client, &search, State::Running).await?,
        };
        let failed = match before {
            Some(before) if same(State::Failed) => before.failed.clone(),
            _ if sum(&queues, State::Failed) == 0 => Vec::new(),
            _ => list(client, &search, State::Failed).await?,
        };
        let workers = match before {
            Some(before) if !has_changed => before.workers,
            _ => client.get::<WorkerPage>("/workers").await?.workers.len(),
        };
        Ok(Self { at: Clock::system().now(), queues, workers, running, failed, search })
    }

    /// The number of jobs in a state.
    pub(super) fn sum(&self, state: State) -> u64 {
        sum(&self.queues, state)
    }
}

fn sum(queues: &[Queue], state: State) -> u64 {
    queues.iter().map(|queue| queue.count(state)).sum()
}

async fn list(client: &Client, search: &Search, state: State) -> Result<Vec<Job>> {
    let page: JobPage = client.get(&format!("/jobs?limit={JOBS}&state={state}{}", search.query())).await?;
    Ok(page.jobs.iter().map(|job| serde_json::from_str(job.get())).collect::<Result<_, _>>()?)
}
