use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use longhaul::{Action, FromStep, JobFilter, JobId, Json, NewJob, WaitsFor, admit};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::body::JobBody;
use super::create;
use super::read::found;
use crate::auth::Caller;
use crate::extract::OptionalJson;
use crate::faults::Faults;
use crate::idempotency::Duplicates;
use crate::path::{JobPath, Mount};
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::state::inflight::Repeatable;

/// The way in which a job is to run again.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retry)]
pub(crate) struct AgainRequest {
    /// The first step that is done again: it and those after it are forgotten, and those before it keep their outputs. Not for
    /// a completed job, whose outputs are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "summary")]
    from_step: Option<String>,
    /// Its new args, at most 256 KiB; null is one of them. Its steps were those of the former ones, and are forgotten where no
    /// `from_step` says otherwise. Without this field it keeps its args. A value that is shown as `[redacted]` cannot be given
    /// back as such.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    args: Option<Json>,
}

/// Tells null from what is not there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Runs a finished job again
///
/// With all its attempts; so it does a job that waits for a person, because its attempts are used up. A job that has not
/// completed keeps the outputs of its steps: all of them, or with `from_step` those before that one. With other args and
/// without `from_step` it begins from the start.
#[utoipa::path(
    post,
    path = "/jobs/{id}/retry",
    operation_id = "retryJob",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    request_body(content = Option<AgainRequest>),
    responses(
        (status = 202, description = "The job is to run again", body = JobBody),
        (status = 404, description = "No job of this id is known, or it has no such step (`no_such_step`)"),
        (status = 409, description = "The job is unfinished (`not_finished`), another job holds its unique key \
            (`unique_key_held`), or it has completed and so has forgotten the outputs of its steps (`steps_forgotten`)"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn retry(
    State(api): State<Api>,
    _: Caller,
    mount: Mount,
    JobPath(id): JobPath,
    OptionalJson(request): OptionalJson<AgainRequest>,
) -> Result<Response, Problem> {
    request.check(&api)?;
    let action = match (request.from_step, request.args) {
        (Some(step), args) => Action::RetryFrom { step, args },
        (None, Some(args)) => Action::RetryWith { args },
        (None, None) => Action::Retry,
    };
    finished_only(&api, &id, action).await?;
    let record = found(api.longhaul.get(&id).await?)?;
    Ok(JobBody::from(&*record).answer(StatusCode::ACCEPTED, mount.base(), api.estimator.of(&record)))
}

/// Makes a new job of one that is there
///
/// The fork has the kind, the queue, the limits and the labels of the job, whatever state that is in, all its attempts and
/// `forked_from`; no unique key, no times and no parent. It has the outputs of the steps that are done, or with `from_step`
/// of those before that one; a completed job has forgotten them. With other args and without `from_step` it begins from the
/// start.
#[utoipa::path(
    post,
    path = "/jobs/{id}/fork",
    operation_id = "forkJob",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "As for a new job"),
    ),
    request_body(content = Option<AgainRequest>),
    responses(
        (status = 202, description = "The new job was accepted", body = JobBody, headers(
            ("Location" = String, description = "Where the new job is found"),
        )),
        (status = 404, description = "No job of this id is known, or it has no such step (`no_such_step`)"),
        (status = 409, description = "The job has completed, and so has forgotten the outputs of its steps \
            (`steps_forgotten`), or a request with the same idempotency key is still being answered"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
        (status = 429, description = "As many jobs wait in the queue, or of a limit key, as may (`queue_full`)"),
    ),
)]
pub(crate) async fn fork(
    State(api): State<Api>,
    caller: Caller,
    mount: Mount,
    headers: HeaderMap,
    JobPath(id): JobPath,
    OptionalJson(request): OptionalJson<AgainRequest>,
) -> Result<Response, Problem> {
    request.check(&api)?;
    let body = serde_json::to_vec(&request)
        .map_err(|error| Problem::internal(format!("failed to write a request anew: {error}")))?;
    let path = format!("/jobs/{id}/fork");
    let repeatable = Repeatable::begin(&headers, &caller, &path, &body, &api.in_flight)?;
    // What a reader does not see, the fork has.
    let (lookup, steps) = api.whole.with_steps(&id).await?;
    let record = found(lookup)?;
    let step = request.from_step.as_deref();
    let mut job = done(NewJob::fork_of(*record, steps, step, request.args), step.unwrap_or_default())?;
    job.idempotency = repeatable.as_ref().map(Repeatable::one);
    let duplicates = Duplicates::of(&mut job);
    create::enqueue(&api, job, duplicates, None, mount.base()).await
}

impl AgainRequest {
    fn check(&self, api: &Api) -> Result<(), Problem> {
        let mut faults = Faults::default();
        if let Some(args) = &self.args {
            if api.config.redaction.holds_placeholder(args) {
                // Taken as it is, it would put the word in the place of a secret that nobody has any more.
                faults.add(Code::Invalid, "args", "holds a value that is not shown; give the value itself");
            }
            faults.check(admit::action(&Action::RetryWith { args: args.clone() }));
        }
        faults.into_result()
    }
}

/// The answer to a retry or a fork from a step, or the problem that kept it from being done.
fn done<T>(from_step: FromStep<T>, name: &str) -> Result<T, Problem> {
    match from_step {
        FromStep::Done(done) => Ok(done),
        FromStep::NoSuchStep(steps) => Err(no_such_step(&steps, name)),
        FromStep::Forgotten => Err(Problem::new(
            Code::StepsForgotten,
            "the job has completed, and the outputs of its steps are kept until then; leave from_step out",
        )),
        FromStep::NotApplicable => Err(unique_key_held()),
    }
}

fn unique_key_held() -> Problem {
    Problem::new(Code::UniqueKeyHeld, "another job holds the unique key of this one")
}

/// The most names of steps that a problem tells.
const TOLD_STEPS: usize = 50;

fn no_such_step(steps: &[String], name: &str) -> Problem {
    let (told, more) = steps.split_at(steps.len().min(TOLD_STEPS));
    let detail = match (told, more.len()) {
        ([], _) => format!("the job has done no step '{name}', nor any other"),
        (names, 0) => format!("the job has done no step '{name}'; its steps are {}", names.join(", ")),
        (names, more) => {
            format!("the job has done no step '{name}'; its steps are {} and {more} more", names.join(", "))
        }
    };
    Problem::new(Code::NoSuchStep, detail)
}

/// Does what is for finished jobs only (and for those that wait for a person, where they are to run again), or says why not.
pub(crate) async fn finished_only(api: &Api, id: &JobId, action: Action) -> Result<(), Problem> {
    // Twice, because a job may end between an action that came too early and the look at its state.
    for _ in 0..2 {
        if api.act(&JobFilter::id(id.clone()), action.clone(), 1).await?.done > 0 {
            return Ok(());
        }
        let record = found(api.longhaul.get(id).await?)?;
        let is_exhausted = record.waits_for == Some(WaitsFor::Person) && action != Action::Delete;
        if !record.state.is_finished() && !is_exhausted {
            let detail = format!("the job is {}; this is for finished jobs, cancel it first", record.state);
            return Err(Problem::new(Code::NotFinished, detail));
        }
        if let Action::RetryFrom { step, .. } = &action {
            let steps = api.longhaul.store().steps(id).await?.unwrap_or_default();
            done(FromStep::before(&record, steps, step), step)?;
        }
    }
    Err(unique_key_held())
}
