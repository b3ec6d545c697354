use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

/// Where the outside systems are and how to speak to them, read from the environment once. A system that is not
/// named is `None`; what stands in for it is said where it is used.
#[derive(Clone, Debug)]
pub struct Config {
    /// `LLM_*`: without it, texts are composed by the built-in outline.
    pub llm: Option<LlmConfig>,
    /// `EMBEDDING_*`: without it and without AI Brain, search is lexical.
    pub embedding: Option<EmbeddingConfig>,
    /// `AI_BRAIN_*`: does OCR and embedding when set.
    pub ai_brain: Option<AiBrainConfig>,
    /// `PYTHON_API_*`: whom sessions are dispatched to.
    pub python_api: PythonApiConfig,
    /// `GITHUB_*`.
    pub github: GithubConfig,
    /// `WIKIPEDIA_API_URL`, `https://en.wikipedia.org` by default; without a trailing slash.
    pub wikipedia_url: String,
    /// `LESSON_TASK_TTL`: for how long a task can be asked about after it has ended, 3600 s by default.
    pub lesson_task_ttl: Duration,
    /// `JWT_*`.
    pub auth: AuthConfig,
    /// `STORAGE_URL`: the folder that uploaded files are kept in; `files` under the data folder by default.
    pub storage: PathBuf,
    /// `PROVIDER_MAX_WAIT`: the longest wait that a provider may ask for, 900 s by default. A job that is told to
    /// wait longer fails with the provider's reason.
    pub provider_max_wait: Duration,
}

/// An OpenAI-compatible chat server.
#[derive(Clone)]
pub struct LlmConfig {
    /// `LLM_BASE_URL`, ends in `/v1`; without a trailing slash.
    pub base_url: String,
    /// `LLM_MODEL`, `llama3.2` by default.
    pub model: String,
    /// `LLM_API_KEY`, sent as a bearer token where set.
    pub api_key: Option<String>,
    /// `LLM_TIMEOUT` in seconds, 120 by default: for a whole reply.
    pub timeout: Duration,
    /// `LLM_JSON_MODE`.
    pub json_mode: JsonMode,
}

/// How a server is asked for JSON: they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonMode {
    /// The schema goes with the request and the server holds the model to it.
    JsonSchema,
    /// The server promises some JSON; the schema is told to the model in words.
    JsonObject,
    /// The server promises nothing; the schema is told in words and the JSON is looked for in the reply.
    None,
}

/// An OpenAI-compatible `/embeddings`.
#[derive(Clone)]
pub struct EmbeddingConfig {
    /// `EMBEDDING_BASE_URL`, ends in `/v1`; without a trailing slash.
    pub base_url: String,
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

/// The service that sessions are dispatched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonApiConfig {
    /// `PYTHON_API_URL`, without a trailing slash; `None` is this server's own `/api/v1`.
    pub url: Option<String>,
    /// `PYTHON_API_TIMEOUT` in seconds, 30 by default.
    pub timeout: Duration,
}

/// GitHub's REST API, and how much of it is used.
#[derive(Clone)]
pub struct GithubConfig {
    /// `GITHUB_API_URL`, `https://api.github.com` by default; without a trailing slash.
    pub api_url: String,
    /// `GITHUB_TOKEN`: without it GitHub allows 60 requests an hour.
    pub token: Option<String>,
    /// `GITHUB_RATE_LIMIT`: the most requests an hour; where unset, what GitHub's headers say.
    pub rate_limit: Option<u32>,
    /// `GITHUB_CACHE_TTL` in seconds, 3600 by default: for how long a result is fresh.
    pub cache_ttl: Duration,
    /// `GITHUB_TASKS_PER_USER`: the most tasks in flight per caller, 20 by default.
    pub tasks_per_user: u32,
}

/// How bearer tokens are checked.
#[derive(Clone)]
pub struct AuthConfig {
    /// `JWT_SECRET`; without it, a secret is made on first start and kept here, under the data folder.
    pub secret: Option<String>,
    /// Where that secret is kept.
    pub secret_file: PathBuf,
    /// `JWT_JWKS_URL`: where the public keys of another issuer are. Its tokens are accepted beside our own.
    pub jwks_url: Option<String>,
    /// `JWT_AUDIENCE`: the audience that a token must name, where set.
    pub audience: Option<String>,
}

/// A variable that cannot be used. The value is shown unless it may be a secret.
#[derive(Debug, Error)]
#[error("{variable}: {reason}")]
pub struct ConfigError {
    /// Which variable.
    pub variable: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Config {
    /// Reads the process's environment; `data_dir` is where files go that nobody placed elsewhere.
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn from_env(data_dir: &Path) -> Result<Self, ConfigError> {
        Self::from_vars(data_dir, &|name| std::env::var(name).ok())
    }

    /// The same from any source of variables. An empty value counts as unset.
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn from_vars(
        data_dir: &Path,
        vars: &dyn Fn(&'static str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let vars = Vars(vars);
        let llm = vars.llm()?;
        Ok(Self {
            embedding: vars.embedding(llm.as_ref())?,
            llm,
            ai_brain: vars.ai_brain()?,
            python_api: PythonApiConfig {
                url: vars.url("PYTHON_API_URL")?,
                timeout: vars.seconds("PYTHON_API_TIMEOUT", 30.0)?,
            },
            github: vars.github()?,
            wikipedia_url: vars
                .url("WIKIPEDIA_API_URL")?
                .unwrap_or_else(|| "https://en.wikipedia.org".into()),
            lesson_task_ttl: vars.seconds("LESSON_TASK_TTL", 3600.0)?,
            auth: AuthConfig {
                secret: vars.get("JWT_SECRET"),
                secret_file: data_dir.join("jwt-secret"),
                jwks_url: vars.url("JWT_JWKS_URL")?,
                audience: vars.get("JWT_AUDIENCE"),
            },
            storage: vars.storage(data_dir)?,
            provider_max_wait: vars.seconds("PROVIDER_MAX_WAIT", 900.0)?,
        })
    }
}

/// Variables by name, with the checks that every one of them gets.
struct Vars<'a>(&'a dyn Fn(&'static str) -> Option<String>);

impl Vars<'_> {
    fn llm(&self) -> Result<Option<LlmConfig>, ConfigError> {
        let Some(base_url) = self.url("LLM_BASE_URL")? else { return Ok(None) };
        let json_mode = match self.get("LLM_JSON_MODE").as_deref() {
            None | Some("json_schema") => JsonMode::JsonSchema,
            Some("json_object") => JsonMode::JsonObject,
            Some("none") => JsonMode::None,
            Some(other) => {
                let reason = format!("must be json_schema, json_object or none, and is '{other}'");
                return Err(self.refuse("LLM_JSON_MODE", reason));
            }
        };
        Ok(Some(LlmConfig {
            base_url,
            model: self.get("LLM_MODEL").unwrap_or_else(|| "llama3.2".into()),
            api_key: self.get("LLM_API_KEY"),
            timeout: self.seconds("LLM_TIMEOUT", 120.0)?,
            json_mode,
        }))
    }

    fn embedding(&self, llm: Option<&LlmConfig>) -> Result<Option<EmbeddingConfig>, ConfigError> {
        let Some(base_url) = self.url("EMBEDDING_BASE_URL")? else { return Ok(None) };
        let Some(model) = self.get("EMBEDDING_MODEL") else {
            return Err(self.refuse("EMBEDDING_MODEL", "must be set where EMBEDDING_BASE_URL is"));
        };
        // One server for both needs one key; a key is never sent to a server that it was not given for.
        let shared = llm.filter(|llm| llm.base_url == base_url).and_then(|llm| llm.api_key.clone());
        Ok(Some(EmbeddingConfig { base_url, model, api_key: self.get("EMBEDDING_API_KEY").or(shared) }))
    }

    fn ai_brain(&self) -> Result<Option<AiBrainConfig>, ConfigError> {
        let Some(endpoint) = self.url("AI_BRAIN_ENDPOINT")? else { return Ok(None) };
        Ok(Some(AiBrainConfig { endpoint, timeout: self.seconds("AI_BRAIN_TIMEOUT", 300.0)? }))
    }

    fn github(&self) -> Result<GithubConfig, ConfigError> {
        let number = |variable| match self.get(variable) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<u32>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(self.refuse(variable, format!("must be a whole number above 0, and is '{text}'"))),
            },
        };
        Ok(GithubConfig {
            api_url: self.url("GITHUB_API_URL")?.unwrap_or_else(|| "https://api.github.com".into()),
            token: self.get("GITHUB_TOKEN"),
            rate_limit: number("GITHUB_RATE_LIMIT")?,
            cache_ttl: self.seconds("GITHUB_CACHE_TTL", 3600.0)?,
            tasks_per_user: number("GITHUB_TASKS_PER_USER")?.unwrap_or(20),
        })
    }

    fn storage(&self, data_dir: &Path) -> Result<PathBuf, ConfigError> {
        let Some(url) = self.get("STORAGE_URL") else { return Ok(data_dir.join("files")) };
        match url.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
            _ if url.starts_with("s3://") => {
                Err(self.refuse("STORAGE_URL", "s3 storage is not built in yet: use file:///folder"))
            }
            _ => Err(self.refuse("STORAGE_URL", format!("must be file:///folder, and is '{url}'"))),
        }
    }

    fn url(&self, variable: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.get(variable) else { return Ok(None) };
        match reqwest::Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => {
                Ok(Some(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(self.refuse(variable, format!("must be an http or https URL, and is '{text}'"))),
        }
    }

    fn seconds(&self, variable: &'static str, default: f64) -> Result<Duration, ConfigError> {
        let seconds = match self.get(variable) {
            None => default,
            Some(text) => text.trim().parse::<f64>().unwrap_or(f64::NAN),
        };
        // The bound of a day catches milliseconds given by mistake; a NaN fails the comparison.
        if seconds > 0.0 && seconds <= 86_400.0 {
            return Ok(Duration::from_secs_f64(seconds));
        }
        Err(self.refuse(variable, "must be a number of seconds, more than 0 and at most 86400"))
    }

    fn get(&self, variable: &'static str) -> Option<String> {
        (self.0)(variable).filter(|value| !value.trim().is_empty())
    }

    fn refuse(&self, variable: &'static str, reason: impl Into<String>) -> ConfigError {
        ConfigError { variable, reason: reason.into() }
    }
}

/// Prints all but the key: configurations end up in logs.
impl fmt::Debug for LlmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmConfig")
            .field("base_url", &self.base_url)
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
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// Prints all but the token.
impl fmt::Debug for GithubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubConfig")
            .field("api_url", &self.api_url)
            .field("rate_limit", &self.rate_limit)
            .field("cache_ttl", &self.cache_ttl)
            .field("tasks_per_user", &self.tasks_per_user)
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
    use super::*;

    fn config(vars: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
        let find = |name: &'static str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Config::from_vars(Path::new("/data"), &find)
    }

    #[test]
    fn nothing_set_is_nothing_outside() {
        let config = config(&[("LLM_BASE_URL", " ")]).unwrap();
        assert!(config.llm.is_none() && config.embedding.is_none() && config.ai_brain.is_none());
        assert_eq!(config.storage, Path::new("/data/files"));
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
        let refused = |vars: &[(&'static str, &str)]| config(vars).unwrap_err().variable;
        let llm = ("LLM_BASE_URL", "http://a/v1");
        assert_eq!(refused(&[("LLM_BASE_URL", "localhost:11434")]), "LLM_BASE_URL");
        assert_eq!(refused(&[llm, ("LLM_TIMEOUT", "soon")]), "LLM_TIMEOUT");
        assert_eq!(refused(&[llm, ("LLM_TIMEOUT", "0")]), "LLM_TIMEOUT");
        assert_eq!(refused(&[llm, ("LLM_JSON_MODE", "xml")]), "LLM_JSON_MODE");
        assert_eq!(refused(&[("EMBEDDING_BASE_URL", "http://a/v1")]), "EMBEDDING_MODEL");
        assert_eq!(refused(&[("STORAGE_URL", "s3://bucket/prefix")]), "STORAGE_URL");
        assert_eq!(refused(&[("PROVIDER_MAX_WAIT", "NaN")]), "PROVIDER_MAX_WAIT");
    }

    #[test]
    fn a_key_goes_only_to_the_server_it_was_given_for() {
        let llm = [("LLM_BASE_URL", "http://a/v1"), ("LLM_API_KEY", "k"), ("EMBEDDING_MODEL", "m")];
        let same = config(&[&llm[..], &[("EMBEDDING_BASE_URL", "http://a/v1/")]].concat()).unwrap();
        assert_eq!(same.embedding.unwrap().api_key.as_deref(), Some("k"));
        let other = config(&[&llm[..], &[("EMBEDDING_BASE_URL", "http://b/v1")]].concat()).unwrap();
        assert_eq!(other.embedding.unwrap().api_key, None);
        assert!(!format!("{:?}", other.llm).contains("\"k\""));
    }
}
