//! The services that this server can run, and the one place that knows them all.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use clap::{Args, ValueEnum};
use kit::{Auth, Config, Db, Outside};
use longhaul::{Clock, Longhaul, QueueSlots, Registry};
use materials::extract::{self, Limits};
use materials::{Materials, Parts};

use crate::Result;
use crate::place::{Kept, Place};

/// Which services run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selection {
    /// The services to run, separated by commas [default: all of them]
    #[arg(long, env = "LONGHAUL_SERVICES", value_name = "LIST", value_delimiter = ',')]
    services: Option<Vec<Service>>,
}

/// A service that this server can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// Course materials: upload, text extraction with OCR, search, chat
    Materials,
}

/// The chosen services, open: their tables are there and their jobs can be run.
pub(crate) struct Services {
    pub(crate) longhaul: Longhaul,
    pub(crate) auth: Auth,
    config: Config,
    outside: Outside,
    db: Db,
    materials: Option<Materials>,
}

/// Opens the chosen services on a store: makes or updates their tables, and makes their kinds known.
pub(crate) async fn open(selection: &Selection, place: &Place, kept: &Kept) -> Result<Services> {
    let (config, clock) = (Config::from_env(&place.data)?, Clock::system());
    let auth = Auth::open(&config.auth, clock.clone())?;
    let outside = Outside::connect(&config, &clock).map_err(|e| e.to_string())?;
    let longhaul = kept.longhaul.clone();
    let mut services = Services {
        longhaul: longhaul.clone(),
        auth: auth.clone(),
        outside,
        config,
        db: kept.db.clone(),
        materials: None,
    };
    for service in selection.chosen() {
        match service {
            Service::Materials => {
                let parts = Parts {
                    db: kept.db.clone(),
                    longhaul: longhaul.clone(),
                    auth: auth.clone(),
                    outside: services.outside.clone(),
                    storage: services.config.storage.clone(),
                    limits: Limits::default(),
                    clock: clock.clone(),
                };
                services.materials = Some(Materials::open(parts).await?);
            }
        }
    }
    Ok(services)
}

impl Selection {
    fn chosen(&self) -> Vec<Service> {
        self.services.clone().unwrap_or_else(|| Service::value_variants().to_vec())
    }
}

impl Services {
    /// Their routes, from the root.
    pub(crate) fn routes(&self) -> Router {
        self.materials.as_ref().map_or_else(Router::new, Materials::router)
    }

    /// Their kinds of jobs.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        if let Some(materials) = &self.materials {
            materials.register(&mut registry);
        }
        registry
    }

    /// The queues that a worker serves for them, with `heavy` slots where a job keeps a core busy and `waiting` slots
    /// where it waits for others.
    pub(crate) fn queues(&self, heavy: usize, waiting: usize) -> Vec<QueueSlots> {
        let _ = waiting;
        let queue = |queue: &str, slots| QueueSlots { queue: queue.to_owned(), slots };
        self.materials.iter().map(|_| queue(materials::QUEUE, heavy)).collect()
    }

    /// Does what there is to do once after a start, in the background: nobody waits for it, and what fails now is
    /// tried again at the next start.
    pub(crate) fn start(&self) {
        tokio::spawn(deliver(self.db.clone()));
        let Some(materials) = self.materials.clone() else { return };
        tokio::spawn(async move {
            if let Err(error) = materials.start().await {
                tracing::error!("failed to look after materials at start-up: {error}");
            }
        });
    }

    /// Says at start-up what is on and what is missing.
    pub(crate) fn announce(&self) {
        for (what, how) in self.details() {
            tracing::info!("{what}: {how}");
        }
        let missing = self.missing_tools();
        if !missing.is_empty() {
            tracing::warn!(
                "some documents cannot be read, for these programs are missing: {}; scripts/install-tools \
                 installs them",
                missing.join(", ")
            );
        }
    }

    /// What does the work that something outside may do, for the log and for `/health`.
    pub(crate) fn details(&self) -> BTreeMap<String, String> {
        let mut details = BTreeMap::new();
        let mut say = |what: &str, how: String| details.insert(what.to_owned(), how);
        say("services", if self.materials.is_some() { "materials".into() } else { "none".into() });
        say(
            "composer",
            match &self.config.llm {
                Some(llm) => llm.model.clone(),
                None => format!("{}, for no LLM_BASE_URL is set", self.outside.composer.generator()),
            },
        );
        say(
            "search",
            match &self.outside.embedder {
                Some(embedder) => format!("hybrid, with vectors of {}", embedder.model()),
                None => "lexical, for no EMBEDDING_BASE_URL is set".into(),
            },
        );
        say(
            "extraction",
            match &self.config.ai_brain {
                Some(_) => "AI Brain".into(),
                None if self.missing_tools().is_empty() => "on this machine".into(),
                None => format!("on this machine, without {}", self.missing_tools().join(", ")),
            },
        );
        details
    }

    fn missing_tools(&self) -> Vec<&'static str> {
        if self.materials.is_some() { extract::missing_tools() } else { Vec::new() }
    }

    /// The secret that the users' tokens are signed with.
    pub(crate) fn secret(&self) -> Result<Vec<u8>> {
        match &self.config.auth.secret {
            Some(secret) => Ok(secret.clone().into_bytes()),
            None => {
                let file = &self.config.auth.secret_file;
                std::fs::read(file).map_err(|e| format!("failed to read {}: {e}", file.display()).into())
            }
        }
    }
}

/// How often the outbox is looked at: it holds what could not be enqueued right after its commit.
const DELIVERY_PAUSE: Duration = Duration::from_secs(60);

/// Enqueues jobs that were committed while their store was away, or whose process died before it could.
async fn deliver(db: Db) {
    loop {
        match db.deliver().await {
            Ok(0) => {}
            Ok(delivered) => tracing::info!("enqueued {delivered} jobs that had waited in the outbox"),
            Err(error) => tracing::warn!("failed to enqueue jobs that wait in the outbox: {error}"),
        }
        // The jitter keeps many nodes from delivering the same at once.
        tokio::time::sleep(DELIVERY_PAUSE.mul_f64(rand::random_range(0.8..1.2))).await;
    }
}
