//! Logs go to standard error: for people on a terminal, as one JSON object a line otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::Result;

/// The filter of the log if `LONGHAUL_LOG` is not set.
const DEFAULT_FILTER: &str = "info";

/// Starts to log. `LONGHAUL_LOG` filters (`warn`, or `info,longhaul=debug`), `LONGHAUL_LOG_FORMAT` is `text` or
/// `json`.
pub(crate) fn start() -> Result<()> {
    let filter = std::env::var("LONGHAUL_LOG").unwrap_or_else(|_| DEFAULT_FILTER.into());
    let filter = EnvFilter::try_new(&filter)
        .map_err(|e| format!("LONGHAUL_LOG={filter} is no filter ({e}); try info, or info,longhaul=debug"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format()? {
        Format::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

enum Format {
    Text,
    Json,
}

fn format() -> Result<Format> {
    match std::env::var("LONGHAUL_LOG_FORMAT").as_deref() {
        Ok("text") => Ok(Format::Text),
        Ok("json") => Ok(Format::Json),
        Ok(other) => Err(format!("LONGHAUL_LOG_FORMAT={other} is no format: use text or json").into()),
        Err(_) if io::stderr().is_terminal() => Ok(Format::Text),
        Err(_) => Ok(Format::Json),
    }
}
