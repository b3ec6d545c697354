use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use longhaul::State as JobState;
use longhaul::stats::{Feed, FeedItem, FeedNews};
use serde::Serialize;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::faults::Faults;
use crate::problem::{Code, Problem};
use crate::query;
use crate::state::Api;
use crate::streamed::{Streamed, streamed};
use crate::time::Rfc3339;

/// The route of the live feed.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(feed))
}

/// The longest silence of a stream: a comment keeps proxies from closing it.
const HEARTBEAT: Duration = Duration::from_secs(15);
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const JOB: &str = "job";
const GAP: &str = "gap";

/// The data of a `job` event: a job that has changed its state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedItem)]
pub(crate) struct ItemBody<'a> {
    /// The job.
    id: &'a str,
    /// Its kind.
    kind: &'a str,
    /// Its queue.
    queue: &'a str,
    /// Its state; null once it was deleted or pruned.
    #[schema(required)]
    state: Option<JobState>,
    /// The number of its present or last attempt.
    attempt: u32,
    /// The time of the change.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
}

/// An event of the feed, as the document describes it.
enum FeedEvent {}

impl PartialSchema for FeedEvent {
    fn schema() -> RefOr<Schema> {
        let item = Ref::from_schema_name(ItemBody::name()).into();
        let nothing =
            ObjectBuilder::new().description(Some("Nothing but that changes were left out.")).into();
        streamed([Streamed { event: JOB, data: item }, Streamed { event: GAP, data: nothing }]).into()
    }
}

impl ToSchema for FeedEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ItemBody::name().into_owned(), ItemBody::schema()));
        ItemBody::schemas(schemas);
    }
}

/// Follows all jobs
///
/// A stream of server-sent events: `job` for each change of state from now on, whichever process makes it, and `gap` where
/// changes were left out, because the reader was too slow, there were more than could be told, or the store was away: load
/// anew then. Of two changes of one job that two processes made, the one with the later `at` counts. There is nothing to
/// resume; what a job has to say is in its own events.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "followJobs",
    tag = "stats",
    params(
        ("queue" = Option<Vec<String>>, Query, description = "Of jobs in any of these queues"),
        ("kind" = Option<Vec<String>>, Query, description = "Of jobs of any of these kinds"),
    ),
    responses((status = 200, description = "The events. The schema is that of each, as a parser of event streams gives it",
        body = FeedEvent, content_type = "text/event-stream")),
)]
async fn feed(State(api): State<Api>, _: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let mut wanted = Wanted::default();
    for (name, value) in query::pairs(query.as_deref()) {
        match &*name {
            "queue" => wanted.queues.push(value.into_owned()),
            "kind" => wanted.kinds.push(value.into_owned()),
            other => faults.add(Code::Invalid, other, "is not a parameter; use queue or kind"),
        }
    }
    faults.into_result()?;
    let feed = api.recorder().feed().await?;
    let stopping = api.config.stopping.clone();
    let events =
        stream::unfold((feed, wanted), next).flat_map(stream::iter).take_until(stopping.cancelled_owned());
    let events = stream::once(async { Ok(Event::default().comment("following")) }).chain(events);
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // Nginx would hold events back until its buffer is full.
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, stream).into_response())
}

/// The jobs that a reader wants to hear of.
#[derive(Debug, Default)]
struct Wanted {
    queues: Vec<String>,
    kinds: Vec<String>,
}

type Events = Vec<Result<Event, Infallible>>;

async fn next((mut feed, wanted): (Feed, Wanted)) -> Option<(Events, (Feed, Wanted))> {
    let events = match feed.next().await? {
        FeedNews::Gap => vec![Ok(Event::default().event(GAP).data("{}"))],
        FeedNews::Items(items) => {
            items.iter().filter(|item| wanted.includes(item)).map(|item| Ok(write(item))).collect()
        }
    };
    Some((events, (feed, wanted)))
}

impl Wanted {
    fn includes(&self, item: &FeedItem) -> bool {
        (self.queues.is_empty() || self.queues.iter().any(|queue| **queue == *item.queue))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| **kind == *item.kind))
    }
}

fn write(item: &FeedItem) -> Event {
    let body = ItemBody {
        id: item.id.as_str(),
        kind: &item.kind,
        queue: &item.queue,
        state: item.state,
        attempt: item.attempt,
        at: Rfc3339(item.at),
    };
    // Everything in it is text or a number, so that it always has a JSON form.
    Event::default().event(JOB).json_data(&body).unwrap_or_default()
}
