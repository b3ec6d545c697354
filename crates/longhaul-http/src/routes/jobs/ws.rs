use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::events::HEARTBEAT;
use super::follow::{Ending, Follower, seen};
use crate::arrival::Held;
use crate::auth::{OwnPage, Reader};
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::state::line::EventMessage;

/// A message that a reader sends is of no use, so little of it is read at a time.
const MOST_READ: usize = 4 * 1024;
/// The bytes that are held of messages which a slow reader does not take; then they wait with the job's log.
const MOST_WRITTEN: usize = 64 * 1024;
/// The pings that may go unanswered before the reader counts as gone.
const UNANSWERED: u32 = 2;
/// The time that a reader has to answer the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// The job has ended, and everything was told.
const ENDED: u16 = 1000;
/// The server stops; another one, or the next, goes on where this has ended.
const GOING_AWAY: u16 = 1001;
/// The store cannot be read at the moment.
const TRY_AGAIN: u16 = 1013;
/// The token or session that it was opened with has ended: HTTP's 401.
const NOT_LET_IN: u16 = 4401;
/// The job was removed: HTTP's 410 among the codes that are an application's own.
const GONE: u16 = 4410;

/// Follows a job's events over a WebSocket
///
/// The events of `GET /jobs/{id}/events`, each a text message `{"id", "event", "data"}`. `?after=` with the last `id` that was seen
/// resumes with nothing lost and nothing doubled; a number that no event of this job has had is answered with `reset` and the whole
/// log. A ping comes every 15 seconds. What a reader sends is not read. The server closes with 1000 after the state in which the job
/// has ended, with 1001 when it stops and 1013 when it cannot read its store (come back with `?after=`), with 4401 when the token with
/// scopes that it was opened with is deleted or expires, and with 4410 when the job was removed. Browsers send no headers of one's choice, so a page sends the job's read token as `?token=`; a page of another site
/// must be among those that the server allows.
#[utoipa::path(
    get,
    path = "/jobs/{id}/ws",
    operation_id = "followJobByWebSocket",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("after" = Option<u64>, Query, description = "Only events after this one"),
        ("token" = Option<String>, Query, description = "The job's read token, where no header can be sent"),
    ),
    responses(
        (status = 101, description = "The messages, of which each is one of these", body = EventMessage),
        (status = 403, description = "The page belongs to another site, which the server does not allow"),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
        (status = 426, description = "The request is none for a WebSocket"),
    ),
)]
pub(crate) async fn follow(
    State(api): State<Api>,
    reader: Reader,
    _: OwnPage,
    RawQuery(query): RawQuery,
    held: Option<Extension<Held>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let seen = seen(&HeaderMap::new(), query.as_deref())?;
    let (auth, stay) = (Arc::clone(&api.auth), reader.stay());
    let follower = Follower::start(api, reader, seen).await?;
    let upgrade = upgrade.map_err(|rejection| {
        let detail = format!("a WebSocket is served here: {}", rejection.body_text().to_lowercase());
        Problem::new(Code::UpgradeRequired, detail)
    })?;
    let upgrade = upgrade.read_buffer_size(MOST_READ).max_message_size(MOST_READ).max_frame_size(MOST_READ);
    let upgrade = upgrade.write_buffer_size(0).max_write_buffer_size(MOST_WRITTEN);
    Ok(upgrade.on_upgrade(async move |socket| {
        let stay_ended = async {
            match &stay {
                Some(stay) => auth.ended(stay).await,
                None => std::future::pending().await,
            }
        };
        tell(socket, follower, stay_ended).await;
        drop(held);
    }))
}

/// Tells the log until it or the reader ends. A message is sent only once the one before it has been taken, so a slow reader
/// holds nothing but its place.
async fn tell(mut socket: WebSocket, mut follower: Follower, stay_ended: impl Future<Output = ()>) {
    let mut stay_ended = pin!(stay_ended);
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.tick().await;
    let mut unanswered = 0;
    let (code, reason) = loop {
        let message = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    unanswered = 0;
                    continue;
                }
            },
            next = follower.next() => match next {
                Ok(line) => Message::Text(line.message()),
                Err(Ending::Ended) => break (ENDED, "the job has ended"),
                Err(Ending::Gone) => break (GONE, "the job was removed"),
                Err(Ending::Stopping) => break (GOING_AWAY, "the server stops, come back"),
                Err(Ending::StoreAway) => break (TRY_AGAIN, "the store cannot be read, come back"),
            },
            () = &mut stay_ended => break (NOT_LET_IN, "the token or the session is no longer valid"),
            _ = heartbeat.tick() => {
                if unanswered == UNANSWERED {
                    return;
                }
                unanswered += 1;
                Message::Ping(Default::default())
            }
        };
        if socket.send(message).await.is_err() {
            return;
        }
    };
    let reason = Utf8Bytes::from_static(reason);
    if socket.send(Message::Close(Some(CloseFrame { code, reason }))).await.is_ok() {
        // What a reader has sent and nobody has read would reset the connection, and the end with it.
        let answer = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = timeout(GOODBYE, answer).await;
    }
}
