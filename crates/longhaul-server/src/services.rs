//! The services that this server can run, and the one place that knows them all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use clap::{Args, ValueEnum};
use curriculum::Curriculum;
use github::Github;
use lessons::Lessons;
use longhaul::{Clock, Longhaul, QueueSlots, Registry};
use materials::Materials;
use materials::extract::{self, Limits};
use service_support::{Auth, Config, Db, Outside};
use sessions::Sessions;

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
    /// Learning sessions and skills, and their dispatch to a language model
    Sessions,
    /// GitHub profile analysis
    Github,
    /// Lesson generation
    Lessons,
    /// Curriculum generation: lesson plans, module after module
    Curriculum,
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
    sessions: Option<Sessions>,
    github: Option<Github>,
    lessons: Option<Lessons>,
    curriculum: Option<Curriculum>,
    materials: Option<Materials>,
}

/// Opens the chosen services on a store: makes or updates their tables, and makes their kinds known. `listener` is
/// where this process serves them, if it does.
pub(crate) async fn open(
    selection: &Selection,
    place: &Place,
    kept: &Kept,
    listener: Option<SocketAddr>,
) -> Result<Services> {
    let (config, clock) = (Config::from_env(&place.data)?, Clock::system());
    let auth = Auth::open(&config.auth, clock.clone())?;
    let outside = Outside::connect(&config, &clock).map_err(|e| e.to_string())?;
    let mut services = Services {
        longhaul: kept.longhaul.clone(),
        auth,
        config,
        outside,
        db: kept.db.clone(),
        sessions: None,
        github: None,
        lessons: None,
        curriculum: None,
        materials: None,
    };
    for service in selection.chosen() {
        services.open_one(service, listener, &clock).await?;
    }
    Ok(services)
}

impl Selection {
    fn chosen(&self) -> Vec<Service> {
        self.services.clone().unwrap_or_else(|| Service::value_variants().to_vec())
    }
}

impl Services {
    async fn open_one(
        &mut self,
        service: Service,
        listener: Option<SocketAddr>,
        clock: &Clock,
    ) -> Result<()> {
        let (db, longhaul, auth) = (self.db.clone(), self.longhaul.clone(), self.auth.clone());
        let (outside, config, clock) = (self.outside.clone(), &self.config, clock.clone());
        let max_wait = config.provider_max_wait;
        match service {
            Service::Sessions => {
                let python_api = config.python_api.clone();
                let parts =
                    sessions::Parts { db, longhaul, auth, outside, python_api, listener, max_wait, clock };
                self.sessions = Some(Sessions::open(parts).await?);
            }
            Service::Github => {
                let config = config.github.clone();
                let parts = github::Parts { db, longhaul, auth, config, max_wait, clock };
                self.github = Some(Github::open(parts).await?);
            }
            Service::Lessons => {
                let (wikipedia_url, task_ttl) = (config.wikipedia_url.clone(), config.lesson_task_ttl);
                let parts =
                    lessons::Parts { db, longhaul, outside, wikipedia_url, task_ttl, max_wait, clock };
                self.lessons = Some(Lessons::open(parts).await?);
            }
            Service::Curriculum => {
                let parts = curriculum::Parts { db, longhaul, outside, clock };
                self.curriculum = Some(Curriculum::open(parts).await?);
            }
            Service::Materials => {
                let (storage, limits) = (config.storage.clone(), Limits::default());
                let parts = materials::Parts { db, longhaul, auth, outside, storage, limits, clock };
                self.materials = Some(Materials::open(parts).await?);
            }
        }
        Ok(())
    }

    /// Their routes, from the root.
    pub(crate) fn routes(&self) -> Router {
        let routes = [
            self.sessions.as_ref().map(Sessions::router),
            self.github.as_ref().map(Github::router),
            self.lessons.as_ref().map(Lessons::router),
            self.curriculum.as_ref().map(Curriculum::router),
            self.materials.as_ref().map(Materials::router),
        ];
        routes.into_iter().flatten().fold(Router::new(), Router::merge)
    }

    /// Their kinds of jobs.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        self.sessions.iter().for_each(|service| service.register(&mut registry));
        self.github.iter().for_each(|service| service.register(&mut registry));
        self.lessons.iter().for_each(|service| service.register(&mut registry));
        self.curriculum.iter().for_each(|service| service.register(&mut registry));
        self.materials.iter().for_each(|service| service.register(&mut registry));
        registry
    }

    /// The queues that a worker serves for them, with `heavy` slots where a job keeps a core busy and `waiting` slots
    /// where it waits for others.
    pub(crate) fn queues(&self, heavy: usize, waiting: usize) -> Vec<QueueSlots> {
        let queue = |queue: &str, slots| QueueSlots { queue: queue.to_owned(), slots };
        let mut queues = Vec::new();
        queues.extend(self.sessions.iter().map(|_| queue(sessions::QUEUE, waiting)));
        for name in [github::QUEUE, github::BATCH_QUEUE] {
            queues.extend(self.github.iter().map(|_| queue(name, waiting)));
        }
        queues.extend(self.lessons.iter().map(|_| queue(lessons::QUEUE, waiting)));
        queues.extend(self.curriculum.iter().map(|_| queue(curriculum::QUEUE, waiting)));
        queues.extend(self.materials.iter().map(|_| queue(materials::QUEUE, heavy)));
        queues
    }

    /// The names of those that run.
    fn names(&self) -> Vec<&'static str> {
        let all = [
            ("sessions", self.sessions.is_some()),
            ("github", self.github.is_some()),
            ("lessons", self.lessons.is_some()),
            ("curriculum", self.curriculum.is_some()),
            ("materials", self.materials.is_some()),
        ];
        all.into_iter().filter(|(_, runs)| *runs).map(|(name, _)| name).collect()
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
        say("services", self.names().join(", "));
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
