use std::time::Duration;

use longhaul::{Context, Job, JobError, JobResult, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

use super::QUEUE;
use crate::analysis::{self, Profile};
use crate::app::{App, Github};
use crate::collect::collect;
use crate::failure::TASK_TIMED_OUT;
use crate::name::Username;
use crate::run::Run;
use crate::time::original_time;

/// Analyzes a user's profile. Its output is the result, and while its unique key is held, the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analyze {
    /// The account to analyse.
    pub username: Username,
    /// The time of the request, from which its hour counts; without it, it has none.
    #[serde(default)]
    pub requested_at: Option<Timestamp>,
}

/// A task ends after this long, whatever it waits for.
const TASK_TIMEOUT: Duration = Duration::from_secs(3_600);

impl Job for Analyze {
    const KIND: &'static str = "github.analyze";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(TASK_TIMEOUT);

    type State = Github;
    type Output = Profile;

    async fn run(self, cx: Context<Github>) -> JobResult<Profile> {
        let app = cx.state().app();
        let result = tokio::select! {
            result = self.analyze(app, &cx) => result,
            () = cx.cancelled() => Err(JobError::cancel("Analysis was cancelled")),
        };
        let result = result.map_err(|error| self.within_its_hour(app, error));
        if let Err(error) = &result {
            let goes_on = match error.verdict {
                Verdict::Retry(_) => !cx.is_last_attempt(),
                Verdict::RateLimited(_) | Verdict::Snooze(_) | Verdict::Waits => true,
                Verdict::Fatal | Verdict::Cancel => false,
            };
            if !goes_on {
                app.release_reservation(cx.id()).await;
            }
        }
        result
    }
}

impl Analyze {
    async fn analyze(&self, app: &App, cx: &Context<Github>) -> JobResult<Profile> {
        if self.ends_at().is_some_and(|end| end <= app.clock.now()) {
            return Err(timed_out());
        }
        let profile = app.analyze(&self.username, Run::Job(cx)).await?;
        app.save(cx.id(), &self.username, &profile).await?;
        cx.progress(100, "GitHub profile analysis completed");
        Ok(profile)
    }

    fn ends_at(&self) -> Option<Timestamp> {
        self.requested_at.map(|at| at.plus(TASK_TIMEOUT))
    }

    /// A wait that goes on beyond the task's end is one that it need not begin.
    fn within_its_hour(&self, app: &App, error: JobError) -> JobError {
        let Verdict::RateLimited(wait) = error.verdict else { return error };
        let is_over = self.ends_at().is_some_and(|end| app.clock.now().plus(wait) >= end);
        if is_over { JobError::fatal(error.message) } else { error }
    }
}

impl App {
    /// Asks GitHub and makes the result: the same for a job and for a request.
    pub(crate) async fn analyze(&self, username: &Username, run: Run<'_>) -> JobResult<Profile> {
        let evidence = collect(&self.client, username, run).await?;
        Ok(analysis::analyze(&evidence, original_time(self.clock.now())))
    }
}

fn timed_out() -> JobError {
    JobError::fatal(TASK_TIMED_OUT)
}
