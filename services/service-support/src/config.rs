use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::env::{ConfigError, Env, refused};
use crate::proxies::TrustedProxies;

/// The addresses of the outside systems that services share, and how to speak to them. A system that is not named is
/// `None`. Each service reads its own variables by itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// `LLM_*`: without it, texts are composed by the outlines of the services.
    pub llm: Option<LlmConfig>,
    /// `EMBEDDING_*`.
    pub embedding: EmbeddingSource,
    /// `AI_BRAIN_*`: does OCR and embedding when set.
    pub ai_brain: Option<AiBrainConfig>,
    /// `JWT_*`.
    pub auth: AuthConfig,
    /// `PROVIDER_MAX_WAIT`: the longest wait that a provider may ask for, 900 s by default. A job that is told to
    /// wait longer fails with the provider's reason.
    pub provider_max_wait: Duration,
    /// `TRUSTED_PROXIES`: the proxies whose word about the address of a caller is believed; none by default.
    pub trusted_proxies: TrustedProxies,
}

/// An OpenAI-compatible chat server.
#[derive(Clone)]
pub struct LlmConfig {
    /// `LLM_BASE_URL`, ends in `/v1`; without a trailing slash.
    pub base_url: String,
    /// `LLM_PROVIDER`, `llm` by default: the name in the limit key of jobs that ask it.
    pub provider: String,
    /// `LLM_MODEL`, `llama3.2` by default.
    pub model: String,
    /// `LLM_API_KEY`, sent as a bearer token where set.
    pub api_key: Option<String>,
    /// `LLM_TIMEOUT` in seconds, 120 by default: for a whole reply.
    pub timeout: Duration,
    /// `LLM_JSON_MODE`.
    pub json_mode: JsonMode,
}

/// The ways in which servers are asked for JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonMode {
    /// The schema goes with the request and the server holds the model to it.
    JsonSchema,
    /// The server promises some JSON; the schema is told to the model in words.
    JsonObject,
    /// The server promises nothing; the schema is told in words and the JSON is looked for in the reply.
    None,
}

/// The maker of vectors.
#[derive(Clone, Debug)]
pub enum EmbeddingSource {
    /// `EMBEDDING_BASE_URL=none`: search is lexical.
    Off,
    /// `EMBEDDING_BASE_URL`: a server.
    Server(EmbeddingConfig),
    /// `EMBEDDING_MODEL_DIR`: the folder of a local model, which must be there.
    Folder(PathBuf),
    /// No variable is set: AI Brain where there is one, else the local model of the first of these folders that has one.
    Found(Vec<PathBuf>),
}

/// An OpenAI-compatible `/embeddings`.
#[derive(Clone)]
pub struct EmbeddingConfig {
    /// `EMBEDDING_BASE_URL`, ends in `/v1`; without a trailing slash.
    pub base_url: String,
    /// `EMBEDDING_PROVIDER`: the name in the limit key of jobs that ask it; by default that of the LLM where the two base URLs
    /// are the same, else `embedding`.
    pub provider: String,
    /// `EMBEDDING_MODEL`.
    pub model: String,
    /// `EMBEDDING_API_KEY`, or else `LLM_API_KEY` where the two base URLs are the same.
    pub api_key: Option<String>,
}

/// The AI Brain service: OCR and embedding.
#[derive(Clone, Debug)]
pub struct AiBrainConfig {
    /// `AI_BRAIN_ENDPOINT`, without a trailing slash.
    pub endpoint: String,
    /// `AI_BRAIN_TIMEOUT` in seconds, 300.0 by default.
    pub timeout: Duration,
}

/// The secrets and issuers that bearer tokens are checked with.
#[derive(Clone)]
pub struct AuthConfig {
    /// `JWT_SECRET`; without it, a secret is made on first start and kept here, under the data folder.
    pub secret: Option<String>,
    /// The file of that secret.
    pub secret_file: PathBuf,
    /// `JWT_JWKS_URL`: where the public keys of another issuer are. Its tokens are accepted beside our own.
    pub jwks_url: Option<String>,
    /// `JWT_AUDIENCE`: the audience that a token must name, where set.
    pub audience: Option<String>,
}

impl Config {
    /// Reads the variables.
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let llm = LlmConfig::from_env(env)?;
        Ok(Self {
            embedding: EmbeddingSource::from_env(env, llm.as_ref())?,
            llm,
            ai_brain: AiBrainConfig::from_env(env)?,
            auth: AuthConfig {
                secret: env.text("JWT_SECRET"),
                secret_file: env.in_data("jwt-secret"),
                jwks_url: env.url("JWT_JWKS_URL")?,
                audience: env.text("JWT_AUDIENCE"),
            },
            provider_max_wait: env.seconds("PROVIDER_MAX_WAIT", 900.0)?,
            trusted_proxies: TrustedProxies::from_env(env)?,
        })
    }
}

impl LlmConfig {
    fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let Some(base_url) = env.url("LLM_BASE_URL")? else { return Ok(None) };
        let json_mode = match env.text("LLM_JSON_MODE").as_deref() {
            None | Some("json_schema") => JsonMode::JsonSchema,
            Some("json_object") => JsonMode::JsonObject,
            Some("none") => JsonMode::None,
            Some(other) => {
                let reason = format!("must be json_schema, json_object or none, and is '{other}'");
                return Err(refused("LLM_JSON_MODE", reason));
            }
        };
        Ok(Some(Self {
            base_url,
            provider: env.provider("LLM_PROVIDER")?.unwrap_or_else(|| "llm".into()),
            model: env.text("LLM_MODEL").unwrap_or_else(|| "llama3.2".into()),
            api_key: env.text("LLM_API_KEY"),
            timeout: env.seconds("LLM_TIMEOUT", 120.0)?,
            json_mode,
        }))
    }
}

impl EmbeddingSource {
    fn from_env(env: &Env, llm: Option<&LlmConfig>) -> Result<Self, ConfigError> {
        if env.text("EMBEDDING_BASE_URL").is_some_and(|url| url.trim() == "none") {
            return Ok(Self::Off);
        }
        let Some(base_url) = env.url("EMBEDDING_BASE_URL")? else {
            let binary = std::env::current_exe().ok();
            let folder = binary.as_deref().and_then(Path::parent);
            let beside = folder.map(|folder| folder.join("models"));
            // Where a distribution's package puts what is no program.
            let shared = folder.map(|folder| folder.join("../share/longhaul/models"));
            let places = [Some(env.in_data("models")), beside, shared].into_iter().flatten().collect();
            let named = env.text("EMBEDDING_MODEL_DIR").map(|folder| Self::Folder(folder.into()));
            return Ok(named.unwrap_or(Self::Found(places)));
        };
        let Some(model) = env.text("EMBEDDING_MODEL") else {
            return Err(refused("EMBEDDING_MODEL", "must be set where EMBEDDING_BASE_URL is"));
        };
        // One server for both needs one key; a key is never sent to a server that it was not given for.
        let same = llm.filter(|llm| llm.base_url == base_url);
        let shared = same.and_then(|llm| llm.api_key.clone());
        let provider = env.provider("EMBEDDING_PROVIDER")?;
        Ok(Self::Server(EmbeddingConfig {
            base_url,
            provider: provider
                .unwrap_or_else(|| same.map_or_else(|| "embedding".into(), |llm| llm.provider.clone())),
            model,
            api_key: env.text("EMBEDDING_API_KEY").or(shared),
        }))
    }
}

impl AiBrainConfig {
    fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let Some(endpoint) = env.url("AI_BRAIN_ENDPOINT")? else { return Ok(None) };
        Ok(Some(Self { endpoint, timeout: env.seconds("AI_BRAIN_TIMEOUT", 300.0)? }))
    }
}

/// Prints all but the key: configurations end up in logs.
impl fmt::Debug for LlmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmConfig")
            .field("base_url", &self.base_url)
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("timeout", &self.timeout)
            .field("json_mode", &self.json_mode)
            .finish_non_exhaustive()
    }
}

/// Prints all but the key.
impl fmt::Debug for EmbeddingConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingConfig")
            .field("base_url", &self.base_url)
            .field("provider", &self.provider)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// Prints all but the secret.
impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("secret_file", &self.secret_file)
            .field("jwks_url", &self.jwks_url)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(vars: &[(&'static str, &'static str)]) -> Result<Config, ConfigError> {
        let vars = vars.to_vec();
        let find = move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Config::from_env(&Env::new(Path::new("/data"), find))
    }

    #[test]
    fn without_variables_no_outside_system_is_used() {
        let config = config(&[("LLM_BASE_URL", " ")]).unwrap();
        assert!(config.llm.is_none() && config.ai_brain.is_none());
        let EmbeddingSource::Found(places) = config.embedding else { panic!("{:?}", config.embedding) };
        assert_eq!(places[0], Path::new("/data/models"));
        assert_eq!(config.auth.secret_file, Path::new("/data/jwt-secret"));
        assert_eq!(config.provider_max_wait, Duration::from_secs(900));
    }

    #[test]
    fn defaults_are_those_documented() {
        let config =
            config(&[("LLM_BASE_URL", "http://127.0.0.1:11434/v1/"), ("AI_BRAIN_ENDPOINT", "http://b:8001")])
                .unwrap();
        let llm = config.llm.unwrap();
        assert_eq!((llm.base_url.as_str(), llm.model.as_str()), ("http://127.0.0.1:11434/v1", "llama3.2"));
        assert_eq!((llm.timeout, llm.json_mode), (Duration::from_secs(120), JsonMode::JsonSchema));
        assert_eq!(config.ai_brain.unwrap().timeout, Duration::from_secs(300));
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        let refused = |vars: &[(&'static str, &'static str)]| config(vars).unwrap_err().variable;
        let llm = ("LLM_BASE_URL", "http://a/v1");
        assert_eq!(refused(&[("LLM_BASE_URL", "localhost:11434")]), "LLM_BASE_URL");
        assert_eq!(refused(&[llm, ("LLM_TIMEOUT", "soon")]), "LLM_TIMEOUT");
        assert_eq!(refused(&[llm, ("LLM_TIMEOUT", "0")]), "LLM_TIMEOUT");
        assert_eq!(refused(&[llm, ("LLM_JSON_MODE", "xml")]), "LLM_JSON_MODE");
        assert_eq!(refused(&[llm, ("LLM_PROVIDER", "Open AI")]), "LLM_PROVIDER");
        assert_eq!(refused(&[("EMBEDDING_BASE_URL", "http://a/v1")]), "EMBEDDING_MODEL");
        assert_eq!(refused(&[("PROVIDER_MAX_WAIT", "NaN")]), "PROVIDER_MAX_WAIT");
    }

    #[test]
    fn vectors_come_from_a_server_a_folder_or_nowhere() {
        let off = config(&[("EMBEDDING_BASE_URL", "none"), ("EMBEDDING_MODEL_DIR", "/m")]).unwrap();
        assert!(matches!(off.embedding, EmbeddingSource::Off));
        let folder = config(&[("EMBEDDING_MODEL_DIR", "/m")]).unwrap().embedding;
        assert!(matches!(folder, EmbeddingSource::Folder(folder) if folder == Path::new("/m")));
    }

    #[test]
    fn one_server_for_both_has_one_limit_key_unless_it_is_named_twice() {
        let embedding = |vars: &[(&'static str, &'static str)]| {
            let base = [("LLM_BASE_URL", "http://a/v1"), ("EMBEDDING_MODEL", "m")];
            match config(&[&base[..], vars].concat()).unwrap().embedding {
                EmbeddingSource::Server(server) => server.provider,
                other => panic!("{other:?}"),
            }
        };
        let same = ("EMBEDDING_BASE_URL", "http://a/v1/");
        assert_eq!(embedding(&[same]), "llm");
        assert_eq!(embedding(&[same, ("LLM_PROVIDER", "openai")]), "openai");
        assert_eq!(embedding(&[same, ("EMBEDDING_PROVIDER", "vectors")]), "vectors");
        assert_eq!(embedding(&[("EMBEDDING_BASE_URL", "http://b/v1")]), "embedding");
    }

    #[test]
    fn a_key_goes_only_to_the_server_it_was_given_for() {
        let llm = [("LLM_BASE_URL", "http://a/v1"), ("LLM_API_KEY", "k"), ("EMBEDDING_MODEL", "m")];
        let same = config(&[&llm[..], &[("EMBEDDING_BASE_URL", "http://a/v1/")]].concat()).unwrap();
        let key = |config: &Config| match &config.embedding {
            EmbeddingSource::Server(server) => server.api_key.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(key(&same).as_deref(), Some("k"));
        let other = config(&[&llm[..], &[("EMBEDDING_BASE_URL", "http://b/v1")]].concat()).unwrap();
        assert_eq!(key(&other), None);
        assert!(!format!("{:?}", other.llm).contains("\"k\""));
    }
}
