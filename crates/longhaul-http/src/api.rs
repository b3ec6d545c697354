use std::sync::Arc;
use std::time::Duration;

use longhaul::{JobId, Longhaul, Lookup};
use utoipa::openapi::OpenApi;

use crate::access::Gate;
use crate::config::HttpConfig;
use crate::estimate::Estimator;
use crate::idempotency::InFlight;
use crate::token::ReadTokens;
use crate::worker::{Exchanges, RemoteKinds};

/// What every handler shares.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) longhaul: Longhaul,
    pub(crate) config: HttpConfig,
    pub(crate) access: Gate,
    pub(crate) read_tokens: Option<ReadTokens>,
    pub(crate) estimator: Arc<Estimator>,
    pub(crate) in_flight: Arc<InFlight>,
    /// What is remembered of remote workers' requests.
    pub(crate) exchanges: Exchanges,
    pub(crate) remote_kinds: RemoteKinds,
    pub(crate) document: Document,
}

/// The OpenAPI document, which is too long to be printed.
pub(crate) struct Document(pub(crate) OpenApi);

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Document(..)")
    }
}

impl Api {
    pub(crate) fn new(longhaul: Longhaul, config: HttpConfig, document: OpenApi) -> Arc<Self> {
        Arc::new(Self {
            access: Gate::from(&config),
            read_tokens: config.read_token_secret.as_ref().map(ReadTokens::new),
            estimator: Arc::new(Estimator::new(longhaul.clone(), config.clock.clone())),
            in_flight: Arc::default(),
            exchanges: Exchanges::default(),
            remote_kinds: RemoteKinds::default(),
            document: Document(document),
            longhaul,
            config,
        })
    }

    /// The job as it is when it has ended, when `wait` is over or when the server begins to stop.
    pub(crate) async fn hold(&self, id: &JobId, wait: Option<Duration>) -> longhaul::Result<Lookup> {
        let Some(wait) = wait else { return self.longhaul.get(id).await };
        tokio::select! {
            biased;
            lookup = self.longhaul.wait(id, wait) => lookup,
            () = self.config.stopping.cancelled() => self.longhaul.get(id).await,
        }
    }
}
