//! The state that handlers share. Extractors and handlers take the part that they need by `FromRef`.

pub(crate) mod attempts;
pub(crate) mod estimates;
pub(crate) mod exchanges;
pub(crate) mod feed;
pub(crate) mod inflight;
pub(crate) mod kinds;
pub(crate) mod line;
pub(crate) mod presence;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::FromRef;
use longhaul::stats::Recorder;
use longhaul::{Acted, Action, JobFilter, JobId, Longhaul, Lookup, Runtime, webhook};
use utoipa::openapi::OpenApi;

use self::estimates::Estimator;
use self::exchanges::Exchanges;
use self::feed::Feeds;
use self::inflight::InFlight;
use self::kinds::RemoteKinds;
use self::presence::Presence;
use crate::auth::{Auth, Doorman};
use crate::config::HttpConfig;
use crate::redaction::redacted;

/// The state of the router. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// The store as people see it: without hidden values.
    pub(crate) longhaul: Longhaul,
    /// The store as workers see it.
    pub(crate) whole: Longhaul,
    pub(crate) config: Arc<HttpConfig>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) estimator: Arc<Estimator>,
    pub(crate) in_flight: Arc<InFlight>,
    /// Requests of remote workers that may be sent again.
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) remote_kinds: Arc<RemoteKinds>,
    /// Remote workers whose claims have made them known.
    pub(crate) presence: Arc<Presence>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) document: Arc<Document>,
    recorder: Arc<OnceLock<Recorder>>,
}

/// The OpenAPI document that is answered, which is too long to be printed.
pub(crate) enum Document {
    /// These routes alone, wherever they are mounted.
    Own(Box<OpenApi>),
    /// All that the application serves, from its root, as JSON.
    OfApplication(Arc<str>),
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Document(..)")
    }
}

impl Api {
    pub(crate) fn new(whole: Longhaul, config: HttpConfig, document: OpenApi) -> Self {
        let longhaul = whole.on(redacted(Arc::clone(whole.store()), config.redaction.clone()));
        let api = Self {
            auth: Arc::new(Auth::new(&config, whole.store())),
            estimator: Arc::new(Estimator::new(longhaul.clone(), config.clock.clone())),
            in_flight: Arc::default(),
            exchanges: Arc::default(),
            remote_kinds: Arc::default(),
            presence: Arc::default(),
            feeds: Arc::default(),
            document: Arc::new(match &config.document {
                Some(whole) => Document::OfApplication(Arc::clone(&whole.json)),
                None => Document::Own(Box::new(document)),
            }),
            config: Arc::new(config),
            longhaul,
            whole,
            recorder: Arc::default(),
        };
        if let Some(tokens) = &api.auth.signal_tokens {
            api.whole.sign_wait_tokens(tokens.clone());
        }
        // So that what is enqueued before anybody asks for statistics is counted, too.
        if tokio::runtime::Handle::try_current().is_ok() {
            api.recorder();
        }
        api
    }

    /// The middleware around the routes.
    pub(crate) fn doorman(&self) -> Doorman {
        let (store, clock) = (Arc::clone(self.whole.store()), self.config.clock.clone());
        Doorman::new(Arc::clone(&self.auth), store, clock, self.config.local.clone())
    }

    /// Acts on jobs, and has the next ends of those that run again reported to their webhooks.
    pub(crate) async fn act(
        &self,
        filter: &JobFilter,
        action: Action,
        limit: usize,
    ) -> longhaul::Result<Acted> {
        webhook::act(&**self.longhaul.store(), &**self.whole.store(), filter, action, limit).await
    }

    /// The statistics of the store.
    pub(crate) fn recorder(&self) -> &Recorder {
        self.recorder.get_or_init(|| {
            let runtime = Runtime { clock: self.config.clock.clone(), ..Runtime::tokio() };
            Recorder::start_on(Arc::clone(self.whole.store()), runtime)
        })
    }

    /// The job as it is when it has ended, when `wait` is over or when the server begins to stop.
    pub(crate) async fn hold(&self, id: &JobId, wait: Option<Duration>) -> longhaul::Result<Lookup> {
        let Some(wait) = wait else { return self.longhaul.get(id).await };
        // A little less, because proxies give up after just as long as callers like to ask for.
        let hold = wait - wait / 20;
        tokio::select! {
            biased;
            lookup = self.longhaul.wait(id, hold) => lookup,
            () = self.config.stopping.cancelled() => self.longhaul.get(id).await,
        }
    }
}

impl FromRef<Api> for Longhaul {
    fn from_ref(api: &Api) -> Self {
        api.longhaul.clone()
    }
}

impl FromRef<Api> for Arc<Auth> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.auth)
    }
}

impl FromRef<Api> for Arc<HttpConfig> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.config)
    }
}

impl FromRef<Api> for Arc<Document> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.document)
    }
}
