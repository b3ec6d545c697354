use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use longhaul::lifecycle::{self, Deed};
use longhaul::{Acted, Action, CANCEL_GRACE, JobFilter, JobRecord, Longhaul, Page, Payloads};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::JobBody;
use super::filter::FilterRequest;
use super::read::found;
use crate::auth::{Caller, Done};
use crate::extract::JsonBody;
use crate::faults::Faults;
use crate::path::{JobPath, Mount};
use crate::problem::{Code, Problem};
use crate::state::Api;

/// Cancels a job
///
/// A waiting job ends at once. A running one is asked to stop, and is fenced off if it has not within 10
/// seconds. A finished one stays as it is.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    operation_id = "cancelJob",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 202, description = "The job is running and was asked to stop", body = JobBody),
        (status = 200, description = "The job has ended", body = JobBody),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn cancel(
    State(api): State<Api>,
    _: Caller,
    mount: Mount,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    api.longhaul.cancel(&id).await?;
    let record = found(api.longhaul.get(&id).await?)?;
    let status = if record.state.is_finished() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(JobBody::from(&*record).answer(status, mount.base(), api.estimator.of(&record)))
}

/// An action on the jobs that fit a filter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkAction)]
pub(crate) struct ActionRequest {
    action: ActionWord,
    filter: FilterRequest,
    /// The new priority of the jobs, −100 to 100, higher first: for `set_priority`, which needs one.
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i32>,
    /// The most jobs to act on, 1 to 10,000; 1,000 unless given.
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Counts the jobs that fit, and as `done` those that would be changed, up to `limit`, and changes none. It looks at 10,000 jobs at
    /// most, and says by `complete` whether these are all.
    #[serde(default)]
    #[schema(required = false)]
    dry_run: bool,
}

/// The action.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Action)]
enum ActionWord {
    /// Ends waiting jobs, and asks running ones to stop.
    Cancel,
    /// Runs finished jobs again.
    Retry,
    /// Removes finished jobs.
    Delete,
    /// Gives unfinished jobs another priority: those that wait take their place by it.
    SetPriority,
}

/// The effect of an action on many jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActionResult)]
pub(crate) struct ActionResult {
    /// Jobs that fit the filter, of those that were looked at. Some may not be what the action is for.
    matched: u64,
    /// Jobs that were changed.
    done: u64,
    /// True where every job that fits was looked at. While it is false, send the same again.
    complete: bool,
    /// The same as `done`, for clients of earlier releases.
    #[schema(deprecated)]
    count: u64,
    /// The opposite of `complete`, for clients of earlier releases.
    #[schema(deprecated)]
    more: bool,
}

impl From<Acted> for ActionResult {
    fn from(Acted { matched, done, complete }: Acted) -> Self {
        Self { matched, done, complete, count: done, more: !complete }
    }
}

const DEFAULT_ACTIONS: usize = 1_000;
const MAX_ACTIONS: usize = 10_000;
/// The most jobs of a page that are counted at once.
const COUNTED_AT_ONCE: usize = 1_000;

/// Cancels, retries, deletes or moves many jobs
///
/// Jobs that the action is not for (a retry of an unfinished one, or of one whose unique key another job holds, a cancel of
/// one that was asked to stop already) are left alone: they are `matched` and not `done`. A job is changed only if it fits
/// the filter at that moment.
/// To retry all failed jobs of a queue, or to clean them away:
/// `{"action": "retry", "filter": {"queue": "mail", "state": "failed"}}`, and the same with `"delete"`. An empty list in
/// a filter fits no job. The store works in small batches, so that nobody else waits for a large action; one that is cut
/// off half-way has been done to some of the jobs, and may be sent again.
#[utoipa::path(
    post,
    path = "/jobs/actions",
    operation_id = "actOnJobs",
    tag = "jobs",
    request_body(content = ActionRequest),
    responses((status = 200, description = "The number of jobs that fitted and that were changed", body = ActionResult)),
)]
pub(crate) async fn act_on_many(
    State(api): State<Api>,
    _: Caller,
    JsonBody { value, bytes }: JsonBody<ActionRequest>,
) -> Result<(Extension<Done>, Json<ActionResult>), Problem> {
    let mut faults = Faults::default();
    let filter = value.filter.prepare(&mut faults);
    let limit = value.limit.unwrap_or(DEFAULT_ACTIONS);
    if !(1..=MAX_ACTIONS).contains(&limit) {
        faults.add(Code::Invalid, "limit", format!("must be from 1 to {MAX_ACTIONS}"));
    }
    let action = match (value.action, value.priority) {
        (ActionWord::SetPriority, None) => {
            faults.add(Code::Invalid, "priority", "must be given, from -100 to 100");
            Action::SetPriority { priority: 0 }
        }
        (ActionWord::SetPriority, Some(priority)) => Action::SetPriority { priority },
        (_, Some(_)) => {
            faults.add(Code::Invalid, "priority", "is for the action set_priority alone");
            Action::Retry
        }
        (ActionWord::Cancel, None) => Action::cancel(CANCEL_GRACE),
        (ActionWord::Retry, None) => Action::Retry,
        (ActionWord::Delete, None) => Action::Delete,
    };
    faults.check(longhaul::admit::action(&action));
    faults.into_result()?;
    let Some(filter) = filter else {
        let acted = Acted { complete: true, ..Acted::default() };
        return Ok((Extension(Done::Nothing), Json(acted.into())));
    };
    if value.dry_run {
        let acted = count(&api.longhaul, &filter, &action, limit).await?;
        return Ok((Extension(Done::Nothing), Json(acted.into())));
    }
    let acted = api.act(&filter, action, limit).await?;
    let action = match value.action {
        ActionWord::Cancel => "jobs.cancel",
        ActionWord::Retry => "jobs.retry",
        ActionWord::Delete => "jobs.delete",
        ActionWord::SetPriority => "jobs.set_priority",
    };
    let done = Done::ToMany { action, filter: told_filter(&bytes), count: acted.done };
    Ok((Extension(done), Json(acted.into())))
}

/// The most bytes of a filter that the audit log tells.
const MOST_TOLD: usize = 1_024;

/// The filter of a request, as the audit log tells it.
fn told_filter(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Told {
        filter: serde_json::Value,
    }
    let mut filter =
        serde_json::from_slice(body).map(|Told { filter }| filter.to_string()).unwrap_or_default();
    filter.truncate(filter.floor_char_boundary(MOST_TOLD));
    filter
}

/// Counts the jobs that fit, and those among them that the action would change, of which there are `limit` at most, as there are when it
/// is done. That another job holds the unique key of one shows only when it is retried.
async fn count(
    longhaul: &Longhaul,
    filter: &JobFilter,
    action: &Action,
    limit: usize,
) -> longhaul::Result<Acted> {
    let mut acted = Acted::default();
    let (limit, most) = (limit as u64, MAX_ACTIONS as u64);
    let mut cursor = None;
    loop {
        let page = Page { cursor, limit: COUNTED_AT_ONCE, payloads: Payloads::Short };
        let page = longhaul.store().list(filter, page).await?;
        for job in &page.jobs {
            if acted.done == limit || acted.matched == most {
                return Ok(acted);
            }
            acted.matched += 1;
            acted.done += u64::from(would_change(job, action));
        }
        cursor = page.next;
        acted.complete = cursor.is_none();
        if acted.complete || acted.done == limit || acted.matched == most {
            return Ok(acted);
        }
    }
}

fn would_change(job: &JobRecord, action: &Action) -> bool {
    match lifecycle::act(job.state, job.waits_for.as_ref(), action) {
        Deed::Nothing => false,
        // Every cancel of the contract has the same grace, so that a second one is never sooner.
        Deed::AskToStop(..) => !job.cancel_requested,
        Deed::SetPriority(priority) => priority != job.priority,
        Deed::Cancel(_) | Deed::StartAnew | Deed::StartFromStep | Deed::Remove => true,
    }
}
