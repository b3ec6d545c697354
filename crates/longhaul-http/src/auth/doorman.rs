//! What happens around every request: the bearer of a token with scopes is recognised, counted and told what is left; a stream ends
//! with what its caller was let in by; what changes things, or was refused to, is noted in the audit log.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use longhaul::access::{Audit, AuditEntry};
use longhaul::{Clock, Store};

use super::audited::{Act, Done};
use super::refusals::{Attempt, Refusals};
use super::{Auth, Caller, Stay, bearer};
use crate::problem::Problem;

/// Stands around the routes of one server.
#[derive(Debug)]
pub(crate) struct Doorman {
    auth: Arc<Auth>,
    store: Arc<dyn Store>,
    clock: Clock,
    /// The name of whoever needs no token.
    local: Option<String>,
    refusals: Refusals,
}

/// The place where the extractor that knows a caller leaves who it is, whether it lets that one in or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Visitor(pub(super) Arc<OnceLock<Caller>>);

impl Doorman {
    pub(crate) fn new(auth: Arc<Auth>, store: Arc<dyn Store>, clock: Clock, local: Option<String>) -> Self {
        Self { auth, store, clock, local, refusals: Refusals::default() }
    }

    pub(crate) async fn pass(&self, mut request: Request, request_id: &HeaderValue, next: Next) -> Response {
        let bearer = match bearer(request.headers()) {
            Some(token) => match self.auth.tokens.find(token, self.clock.now()).await {
                Ok(bearer) => bearer,
                Err(error) => return Problem::from(error).into_response(),
            },
            None => None,
        };
        let act = Act::of(&mut request).await;
        let quota = bearer.as_ref().and_then(|bearer| bearer.quota.as_ref());
        let standing = quota.map(|quota| quota.take(self.clock.now()));
        if let Some(standing) = standing.filter(|standing| !standing.is_admitted) {
            let mut response = Problem::too_many(standing.resets_in).into_response();
            standing.write(response.headers_mut());
            return response;
        }
        if let Some(bearer) = bearer {
            request.extensions_mut().insert(bearer);
        }
        let visitor = Visitor::default();
        request.extensions_mut().insert(visitor.clone());
        let mut response = next.run(request).await;
        if let Some(standing) = standing {
            standing.write(response.headers_mut());
        }
        match (act, visitor.0.get()) {
            (Some(act), Some(caller)) if response.status().is_success() => {
                let done = response.extensions_mut().remove::<Done>();
                self.note(act, done, caller, request_id).await;
            }
            (Some(act), caller) if is_refused(response.status()) => {
                let problem = response.extensions().get::<Arc<Problem>>();
                let code = problem.map_or("forbidden", |problem| problem.code.parts().0);
                self.note_refusal(act, code, caller, request_id).await;
            }
            _ => {}
        }
        let stay = || visitor.0.get().and_then(|caller| caller.stay.clone());
        match is_stream(&response).then(stay).flatten() {
            Some(stay) => self.while_good(stay, response),
            None => response,
        }
    }

    /// Ends a stream when its caller would not be let in again.
    fn while_good(&self, stay: Stay, response: Response) -> Response {
        let auth = Arc::clone(&self.auth);
        let ended = async move { auth.ended(&stay).await };
        response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(ended))))
    }

    async fn note(&self, act: Act, done: Option<Done>, caller: &Caller, request_id: &HeaderValue) {
        let Some((action, object, count)) = act.with(done) else { return };
        self.write(AuditEntry {
            id: longhaul::JobId::random().to_string(),
            at: self.clock.now(),
            who: self.name_of(caller),
            role: caller.role.map(|role| role.as_str().into()),
            token: token_of(caller),
            action: action.into(),
            object,
            count,
            refused: None,
            request_id: request_id.to_str().unwrap_or_default().into(),
        })
        .await;
    }

    /// Notes an action that was refused for want of rights, unless such entries are many: who is not known has no valid token.
    async fn note_refusal(
        &self,
        act: Act,
        code: &'static str,
        caller: Option<&Caller>,
        request_id: &HeaderValue,
    ) {
        let attempt = Attempt {
            who: caller.map_or_else(|| "unknown".into(), |caller| self.name_of(caller)),
            role: caller.and_then(|caller| caller.role).map(|role| role.as_str()),
            token: caller.and_then(token_of),
            action: act.action,
            object: act.object,
            code,
        };
        let request_id = request_id.to_str().unwrap_or_default();
        if let Some(entry) = self.refusals.count(attempt, request_id, self.clock.now()) {
            self.write(entry).await;
        }
    }

    fn name_of(&self, caller: &Caller) -> String {
        match (&caller.name, &*caller.key) {
            (Some(name), _) => name.clone(),
            (None, "open") => self.local.clone().unwrap_or_else(|| "anybody".into()),
            (None, _) => "the administrator's token".into(),
        }
    }

    async fn write(&self, entry: AuditEntry) {
        // It is done, and an answer that it is not would be a lie.
        if let Err(error) = Audit::of(self.store.as_ref()).note(entry.clone()).await {
            tracing::error!(?entry, "failed to write to the audit log: {error}");
        }
    }
}

fn token_of(caller: &Caller) -> Option<String> {
    caller.bearer.as_ref().map(|bearer| bearer.token.id.clone())
}

fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn is_stream(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream")
}
