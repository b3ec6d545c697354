//! What happens around every request: the bearer of a token with scopes is recognised, counted and told what is left, and a stream ends
//! with it; what changes things is noted in the audit log.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use longhaul::access::{Audit, AuditEntry};
use longhaul::{Clock, Store};

use super::audited::{Act, Done};
use super::{Auth, Caller, bearer};
use crate::problem::Problem;

/// Stands around the routes of one server.
#[derive(Debug)]
pub(crate) struct Doorman {
    auth: Arc<Auth>,
    store: Arc<dyn Store>,
    clock: Clock,
    /// The name of whoever needs no token.
    local: Option<String>,
}

/// The place where the extractor that lets a caller in leaves who it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Visitor(pub(super) Arc<OnceLock<Caller>>);

impl Doorman {
    pub(crate) fn new(auth: Arc<Auth>, store: Arc<dyn Store>, clock: Clock, local: Option<String>) -> Self {
        Self { auth, store, clock, local }
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
        if bearer.is_none() && act.is_none() {
            return next.run(request).await;
        }
        let quota = bearer.as_ref().and_then(|bearer| bearer.quota.as_ref());
        let standing = quota.map(|quota| quota.take(self.clock.now()));
        if let Some(standing) = standing.filter(|standing| !standing.is_admitted) {
            let mut response = Problem::too_many(standing.resets_in).into_response();
            standing.write(response.headers_mut());
            return response;
        }
        let id = bearer.as_ref().map(|bearer| bearer.token.id.clone());
        if let Some(bearer) = bearer {
            request.extensions_mut().insert(bearer);
        }
        let visitor = Visitor::default();
        if act.is_some() {
            request.extensions_mut().insert(visitor.clone());
        }
        let mut response = next.run(request).await;
        if let Some(standing) = standing {
            standing.write(response.headers_mut());
        }
        if let (Some(act), true, Some(caller)) = (act, response.status().is_success(), visitor.0.get()) {
            let done = response.extensions_mut().remove::<Done>();
            self.note(act, done, caller, request_id).await;
        }
        match id {
            Some(id) if is_stream(&response) => self.while_good(id, response),
            _ => response,
        }
    }

    /// Ends a stream with its token.
    fn while_good(&self, id: String, response: Response) -> Response {
        let (auth, clock) = (Arc::clone(&self.auth), self.clock.clone());
        let ended = async move { auth.tokens.ended(&id, &clock).await };
        response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(ended))))
    }

    async fn note(&self, act: Act, done: Option<Done>, caller: &Caller, request_id: &HeaderValue) {
        let Some((action, object, count)) = act.with(done) else { return };
        let local = || self.local.clone().unwrap_or_else(|| "anybody".into());
        let entry = AuditEntry {
            id: longhaul::JobId::random().to_string(),
            at: self.clock.now(),
            who: match (&caller.name, &*caller.key) {
                (Some(name), _) => name.clone(),
                (None, "open") => local(),
                (None, _) => "the administrator's token".into(),
            },
            role: caller.role.map(|role| role.as_str().into()),
            token: caller.bearer.as_ref().map(|bearer| bearer.token.id.clone()),
            action: action.into(),
            object,
            count,
            request_id: request_id.to_str().unwrap_or_default().into(),
        };
        // It is done, and an answer that it is not would be a lie.
        if let Err(error) = Audit::of(self.store.as_ref()).note(entry.clone()).await {
            tracing::error!(?entry, "failed to write to the audit log: {error}");
        }
    }
}

fn is_stream(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream")
}
