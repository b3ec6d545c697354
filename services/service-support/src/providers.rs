use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use longhaul::Clock;

use crate::ai_brain::AiBrain;
use crate::config::{Config, EmbeddingSource};
use crate::embedding::{Embedder, LocalEmbedder, OpenAiEmbedder};
use crate::llm::{ChatClient, Composer, Outline};
use crate::provider::ProviderError;

/// The clients of a configuration's outside systems. Nothing is contacted until it is used.
#[derive(Clone, Debug)]
pub struct Providers {
    /// Writes texts: the configured model, or the outlines of the services.
    pub composer: Arc<dyn Composer>,
    /// Makes vectors; `None` leaves search lexical.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Reads scans and pictures; `None` leaves that to local tools.
    pub ai_brain: Option<Arc<AiBrain>>,
    /// The longest wait that a provider may ask for: [`Config::provider_max_wait`].
    pub max_wait: Duration,
}

impl Providers {
    /// Prepares the clients. AI Brain embeds where it is set, as it is asked to do both; an embedding server or a model
    /// named beside it is used instead.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used, or the named model is not there.
    pub fn connect(config: &Config, clock: &Clock) -> Result<Self, ProviderError> {
        let max_wait = config.provider_max_wait;
        let composer: Arc<dyn Composer> = match &config.llm {
            Some(llm) => Arc::new(ChatClient::new(llm, max_wait, clock.clone())?),
            None => Arc::new(Outline),
        };
        let ai_brain = match &config.ai_brain {
            Some(brain) => Some(Arc::new(AiBrain::new(brain, max_wait, clock.clone())?)),
            None => None,
        };
        let embedder: Option<Arc<dyn Embedder>> = match &config.embedding {
            EmbeddingSource::Off => None,
            EmbeddingSource::Server(server) => {
                Some(Arc::new(OpenAiEmbedder::new(server, max_wait, clock.clone())?))
            }
            EmbeddingSource::Folder(folder) => match LocalEmbedder::find(folder)? {
                Some(model) => Some(Arc::new(model)),
                None => return Err(LocalEmbedder::missing(folder)),
            },
            EmbeddingSource::Found(places) => match ai_brain.clone() {
                Some(brain) => Some(brain),
                None => first_model(places)?,
            },
        };
        Ok(Self { composer, embedder, ai_brain, max_wait })
    }
}

fn first_model(places: &[PathBuf]) -> Result<Option<Arc<dyn Embedder>>, ProviderError> {
    for folder in places {
        if let Some(model) = LocalEmbedder::find(folder)? {
            return Ok(Some(Arc::new(model)));
        }
    }
    Ok(None)
}
