//! The services that this server can run, and the one place that knows them all.

use std::collections::BTreeMap;

use axum::Router;
use clap::{Args, ValueEnum};
use kit::{Auth, Config, Outside};
use longhaul::{Clock, Longhaul, QueueSlots, Registry};
use longhaul_sqlite::SqliteStore;

use crate::Result;
use crate::place::Place;

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
    /// What there is to say about them in the log and in `/health`.
    pub(crate) details: BTreeMap<String, String>,
    config: Config,
    chosen: Vec<Service>,
}

/// Opens the chosen services on a store: makes or updates their tables, looks at what they need.
pub(crate) async fn open(selection: &Selection, place: &Place, store: &SqliteStore) -> Result<Services> {
    let config = Config::from_env(&place.data)?;
    let auth = Auth::open(&config.auth, Clock::system())?;
    let outside = Outside::connect(&config, &Clock::system()).map_err(|e| e.to_string())?;
    let _ = outside;
    let longhaul = Longhaul::new(store.clone());
    Ok(Services { longhaul, auth, details: BTreeMap::new(), config, chosen: selection.chosen() })
}

impl Selection {
    fn chosen(&self) -> Vec<Service> {
        self.services.clone().unwrap_or_else(|| Service::value_variants().to_vec())
    }
}

impl Services {
    /// Says at start-up what is on and what is missing.
    pub(crate) fn announce(&self) {
        tracing::info!("services: {:?}", self.chosen);
    }

    /// Their routes, from the root.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
    }

    /// Their kinds of jobs.
    pub(crate) fn registry(&self) -> Registry {
        Registry::default()
    }

    /// The queues that a worker serves for them, with `heavy` slots where a job keeps a core busy.
    pub(crate) fn queues(&self, heavy: usize) -> Vec<QueueSlots> {
        vec![QueueSlots { queue: "default".into(), slots: 4 * heavy }]
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
