use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use longhaul::{Clock, Longhaul};
use serde::Deserialize;

use super::me::MeBody;
use crate::arrival::{Arrival, Sender};
use crate::auth::{Auth, Caller, cookie, set_cookie};
use crate::config::HttpConfig;
use crate::extract::JsonBody;
use crate::frame;
use crate::nearest::Known;
use crate::problem::{Code, Problem};
use crate::state::attempts::Attempts;

/// `POST /login` `{token}` and `POST /logout`, to be nested beside the pages that people sign in at (`/admin`).
///
/// A token that opens the API is exchanged for a cookie that does for 12 hours, or until the token ends: `HttpOnly`, so that
/// no script reads it, and `SameSite=Strict`. The answer is that of `GET /me`. A logout ends the session on every server of the
/// store within a second, whoever has the cookie. What the cookie does is refused where a page of
/// another site asked for it. Ten wrong tokens a minute are answered for one client, then 429. See [`Arrival`] for an
/// application behind a proxy.
pub fn login_router(longhaul: &Longhaul, config: HttpConfig) -> Router {
    let known = config.known(Known::default);
    let door = Door {
        auth: Auth::new(&config, longhaul.store()),
        attempts: Attempts::default(),
        base_path: config.base_path,
        clock: config.clock,
    };
    let routes = Router::new().route("/login", post(log_in)).route("/logout", post(log_out));
    frame::around(routes.with_state(Arc::new(door)), known, None)
}

struct Door {
    auth: Auth,
    attempts: Attempts,
    base_path: String,
    clock: Clock,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginRequest {
    token: String,
}

async fn log_in(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // A page elsewhere could sign its visitor in as somebody else.
    if let Sender::Foreign(_) = Sender::of(&parts) {
        return Err(Problem::new(Code::CrossSite, "only a page of this server signs in"));
    }
    let arrival = parts.extensions.get::<Arrival>().cloned().unwrap_or_default();
    let JsonBody { value: LoginRequest { token }, .. } =
        <JsonBody<LoginRequest>>::from_request(Request::from_parts(parts, body), &()).await?;
    let now = door.clock.now();
    if let Some(wait) = door.attempts.wait(arrival.client, now) {
        return Ok(too_many(wait));
    }
    let identified = door.auth.identify_for_session(token.trim()).await.inspect_err(|problem| {
        if problem.code == Code::InvalidToken {
            door.attempts.failed(arrival.client, now);
            let client = arrival.client.as_ref().map(IpAddr::to_string);
            tracing::warn!(client, "somebody tried to sign in with a token that is not valid here");
        }
    });
    let (identity, bearer) = identified?;
    let mut headers = no_store();
    if let Some(sessions) = &door.auth.sessions {
        let session = sessions.open(&identity, bearer.map(|bearer| bearer.token.id.clone()), now);
        let (session, lasts) =
            session.map_err(|error| Problem::internal(format!("failed to sign a session: {error}")))?;
        put_cookie(&mut headers, &set_cookie(&session, lasts, &door.base_path, arrival.scheme));
    }
    Ok((headers, Json(MeBody::from(Caller::from(identity)))).into_response())
}

async fn log_out(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    if let Sender::Foreign(_) = Sender::of(&parts) {
        return Err(Problem::new(Code::CrossSite, "only a page of this server signs out"));
    }
    let scheme = parts.extensions.get::<Arrival>().map(|arrival| arrival.scheme).unwrap_or_default();
    let mut headers = no_store();
    put_cookie(&mut headers, &set_cookie("", Duration::ZERO, &door.base_path, scheme));
    if let (Some(sessions), Some(token)) = (&door.auth.sessions, cookie(&parts.headers))
        && let Err(error) = sessions.end(token, door.clock.now()).await
    {
        // This browser has signed out, and whoever has copied its cookie has not.
        return Ok((headers, Problem::from(error)).into_response());
    }
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn no_store() -> HeaderMap {
    HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store"))])
}

fn put_cookie(headers: &mut HeaderMap, cookie: &str) {
    if let Ok(mut cookie) = HeaderValue::from_str(cookie) {
        cookie.set_sensitive(true);
        headers.insert(SET_COOKIE, cookie);
    }
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs().max(1);
    let detail = format!("too many wrong tokens from here; try again in {seconds} s");
    let mut response = Problem::new(Code::TooManyLogins, detail).into_response();
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}
