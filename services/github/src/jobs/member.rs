use std::time::Duration;

use longhaul::{Context, Job, JobError, JobId, JobRecord, JobResult, State};
use serde::{Deserialize, Serialize};

use super::{BATCH_QUEUE, batch_of};
use crate::app::{App, Github};
use crate::failure;
use crate::name::Username;
use crate::start::{Asker, StartError, Wish};

/// One name of a batch: begins its analysis, or joins the one that runs or is fresh, and ends as that ends. It is a job
/// of its own so that a batch counts each of its names, also when several batches share an analysis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The user.
    pub username: Username,
    /// True if a fresh result will not do.
    pub force_refresh: bool,
    /// The member of the same batch that has this name in another spelling: its result is this one's too.
    #[serde(default)]
    pub same_as: Option<JobId>,
}

/// The result of a name of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberOutcome {
    /// The task whose result it is.
    pub task_id: String,
}

/// The time that a member waits before it makes room for others.
const WAIT: Duration = Duration::from_secs(30);
/// And how long it then stays away.
const PAUSE: Duration = Duration::from_secs(1);

impl Job for Member {
    const KIND: &'static str = "github.member";
    const QUEUE: &'static str = BATCH_QUEUE;

    type State = Github;
    type Output = MemberOutcome;

    async fn run(self, cx: Context<Github>) -> JobResult<MemberOutcome> {
        let app = cx.state().app();
        let wish = if self.force_refresh { Wish::Refreshed } else { Wish::Fresh };
        let work = async {
            if let Some(first) = &self.same_as {
                let output = wait(&cx, first).await?.output;
                let output = output.ok_or_else(|| JobError::fatal("the analysis was deleted"))?;
                return Ok(output.to::<MemberOutcome>()?);
            }
            let outcome = cx.step("task", || begin(app, &self.username, wish, cx.id())).await?;
            wait(&cx, &JobId::from_store(outcome.task_id.clone())).await?;
            Ok(outcome)
        };
        tokio::select! {
            ended = work => ended,
            () = cx.cancelled() => Err(JobError::cancel("the batch was cancelled")),
        }
    }
}

async fn begin(app: &App, username: &Username, wish: Wish, member: &JobId) -> JobResult<MemberOutcome> {
    let batch = JobId::from_store(batch_of(member.as_str()).to_owned());
    let begun = app.begin(username, wish, Asker::Batch(&batch)).await.map_err(|error| match error {
        StartError::TooMany | StartError::Away => JobError::outage("the store does not answer"),
        StartError::Crowded(full) => JobError::outage(format!("as many jobs wait in {full} as may")),
        StartError::Fault(error) => error.into(),
    })?;
    Ok(MemberOutcome { task_id: begun.task().to_string() })
}

async fn wait(cx: &Context<Github>, id: &JobId) -> JobResult<JobRecord> {
    let clock = &cx.state().app().clock;
    let begun = clock.monotonic();
    loop {
        let Some(record) = cx.longhaul().wait(id, WAIT).await?.found() else {
            return Err(JobError::fatal("the analysis was deleted"));
        };
        match record.state {
            State::Completed => return Ok(record),
            State::Failed | State::Cancelled => return Err(JobError::fatal(failure::reason(&record))),
            // The store waits in the time of the machine. The clock that the pause is on may be another one, and stand still.
            _ if clock.since(begun) < WAIT => {}
            _ => return Err(JobError::snooze(PAUSE, "the analysis goes on")),
        }
    }
}
