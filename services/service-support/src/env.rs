use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// The environment that a service is configured by: variables by name, each read with the checks of its sort, and
/// the data folder. An empty value counts as unset. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    data: Arc<Path>,
    vars: Arc<dyn Fn(&'static str) -> Option<String> + Send + Sync>,
}

/// A variable that cannot be used. The value is shown unless it may be a secret.
#[derive(Debug, Error)]
#[error("{variable}: {reason}")]
pub struct ConfigError {
    /// The variable's name.
    pub variable: &'static str,
    /// The rule that the value breaks.
    pub reason: String,
}

impl Env {
    /// The environment of this process, with the folder for files that no variable places elsewhere.
    #[must_use]
    pub fn of_process(data: &Path) -> Self {
        Self::new(data, |name| std::env::var(name).ok())
    }

    /// The same from any source of variables.
    #[must_use]
    pub fn new(data: &Path, vars: impl Fn(&'static str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { data: data.into(), vars: Arc::new(vars) }
    }

    /// A path in the data folder.
    #[must_use]
    pub fn in_data(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// A text.
    #[must_use]
    pub fn text(&self, variable: &'static str) -> Option<String> {
        (self.vars)(variable).filter(|value| !value.trim().is_empty())
    }

    /// An http or https URL, without a trailing slash.
    ///
    /// # Errors
    /// Fails if the value is another one.
    pub fn url(&self, variable: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.text(variable) else { return Ok(None) };
        match reqwest::Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => {
                Ok(Some(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(refused(variable, format!("must be an http or https URL, and is '{text}'"))),
        }
    }

    /// A duration, given as a number of seconds.
    ///
    /// # Errors
    /// Fails if the value is no number, not above 0, or more than a day.
    pub fn seconds(&self, variable: &'static str, default: f64) -> Result<Duration, ConfigError> {
        let seconds = match self.text(variable) {
            None => default,
            Some(text) => text.trim().parse::<f64>().unwrap_or(f64::NAN),
        };
        // The bound of a day catches milliseconds given by mistake; a NaN fails the comparison.
        if seconds > 0.0 && seconds <= 86_400.0 {
            return Ok(Duration::from_secs_f64(seconds));
        }
        Err(refused(variable, "must be a number of seconds, more than 0 and at most 86400"))
    }

    /// A whole number above 0.
    ///
    /// # Errors
    /// Fails if the value is another one.
    pub fn count(&self, variable: &'static str) -> Result<Option<u32>, ConfigError> {
        let Some(text) = self.text(variable) else { return Ok(None) };
        match text.trim().parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(refused(variable, format!("must be a whole number above 0, and is '{text}'"))),
        }
    }

    /// The name of an outside system, for its limit key.
    ///
    /// # Errors
    /// Fails if the value could not be a part of a limit key.
    pub fn provider(&self, variable: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.text(variable) else { return Ok(None) };
        let name = text.trim();
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        if name.len() <= 100 && name.bytes().all(is_letter) {
            return Ok(Some(name.to_owned()));
        }
        Err(refused(variable, format!("must be 1 to 100 of A–Z a–z 0–9 . _ : -, and is '{text}'")))
    }

    /// A number of bytes; `None` where it is 0 or not set, which is no bound.
    ///
    /// # Errors
    /// Fails if the value is no whole number.
    pub fn bytes(&self, variable: &'static str) -> Result<Option<u64>, ConfigError> {
        let Some(text) = self.text(variable) else { return Ok(None) };
        match text.trim().parse() {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| *bytes > 0)),
            Err(_) => Err(refused(variable, format!("must be a number of bytes, and is '{text}'"))),
        }
    }
}

/// The error of a variable whose value breaks a rule of its service.
#[must_use]
pub fn refused(variable: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError { variable, reason: reason.into() }
}

/// Prints no variable: some are secrets.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("data", &self.data).finish_non_exhaustive()
    }
}
