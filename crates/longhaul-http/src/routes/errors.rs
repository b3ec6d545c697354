use axum::Json;
use axum::extract::{RawQuery, State};
use longhaul::search;
use longhaul::stats::Group;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::stats::window;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Api;
use crate::time::{Rfc3339, in_seconds};

/// The route of groups of failures.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(errors))
}

/// Failures in groups.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Errors)]
pub(crate) struct ErrorsBody {
    /// The length of the window as it was counted, in seconds.
    window: f64,
    /// The length of one piece of `spark`, in seconds.
    step: f64,
    /// The groups, those with the most failures first.
    groups: Vec<GroupBody>,
}

/// Failures of one kind whose messages differ only in numbers, ids and quoted words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrorGroup)]
pub(crate) struct GroupBody {
    /// Names the group: `error:FINGERPRINT` in a search finds its jobs.
    #[schema(example = "3f1c22ab90de4471")]
    fingerprint: String,
    /// The kind of its jobs.
    kind: String,
    /// The message of the last failure, cut to 1 KiB.
    message: String,
    /// Its failures in the window: of each attempt, also of those that were retried.
    count: u64,
    /// The time of the first.
    #[schema(value_type = String, format = DateTime)]
    first_at: Rfc3339,
    /// The time of the last.
    #[schema(value_type = String, format = DateTime)]
    last_at: Rfc3339,
    /// The job that failed last.
    job: String,
    /// The failures in each piece of the window, oldest first.
    spark: Vec<u64>,
}

/// Lists failures in groups
///
/// Those of one kind whose messages differ only in numbers, ids and quoted words are one group. Kept as statistics are.
#[utoipa::path(
    get,
    path = "/errors",
    operation_id = "listErrors",
    tag = "stats",
    params(
        ("window" = Option<u64>, Query, minimum = 60, maximum = 604_800, description = "How far back, in seconds; 3,600 \
            unless given"),
        ("queue" = Option<String>, Query, description = "Of this queue alone"),
        ("kind" = Option<String>, Query, description = "Of this kind alone"),
    ),
    responses((status = 200, description = "The groups", body = ErrorsBody)),
)]
async fn errors(
    State(api): State<Api>,
    _: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<ErrorsBody>, Problem> {
    let window = window(query.as_deref(), &["window", "queue", "kind"])?;
    let mut failures = api.recorder().failures(&window, api.config.clock.now()).await?;
    if !api.config.redaction.is_empty() {
        hide(&api, &mut failures.groups).await?;
    }
    Ok(Json(ErrorsBody {
        window: in_seconds(failures.window),
        step: in_seconds(failures.step),
        groups: failures.groups.into_iter().map(GroupBody::from).collect(),
    }))
}

/// Shows of each group the message that its last job is shown with; where that job is gone, only the shape of the message.
async fn hide(api: &Api, groups: &mut [Group]) -> Result<(), Problem> {
    let ids: Vec<_> = groups.iter().map(|group| group.failure.job.clone()).collect();
    let jobs = api.longhaul.store().get(&ids).await?;
    for (group, job) in groups.iter_mut().zip(jobs) {
        let shown = job.found().and_then(|mut job| job.errors.pop()).map(|error| error.message);
        group.failure.message = shown.unwrap_or_else(|| search::shape(&group.failure.message));
    }
    Ok(())
}

impl From<Group> for GroupBody {
    fn from(Group { failure, spark }: Group) -> Self {
        Self {
            fingerprint: failure.fingerprint,
            kind: failure.kind,
            message: failure.message,
            count: failure.count,
            first_at: Rfc3339(failure.first_at),
            last_at: Rfc3339(failure.last_at),
            job: failure.job.to_string(),
            spark,
        }
    }
}
