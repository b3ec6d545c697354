//! The services: their variables, the programs that they run, and the external systems that they are configured to use.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use super::Check;

/// The variables that name a system outside.
const SYSTEMS: [&str; 9] = [
    "LLM_BASE_URL",
    "EMBEDDING_BASE_URL",
    "AI_BRAIN_ENDPOINT",
    "PYTHON_API_URL",
    "GITHUB_API_URL",
    "WIKIPEDIA_API_URL",
    "JWT_JWKS_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
];

/// The longest that a system outside may take to take a connection.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn look(data: &Path) -> Vec<Check> {
    let mut checks = match crate::services::rehearse(data).await {
        Ok(details) => of_details(&details),
        Err(error) => {
            let advice = "mend the variable that it names; docs/configuration.md explains each";
            vec![Check::fail("services", error.to_string(), advice)]
        }
    };
    let set = SYSTEMS.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    for (name, url) in set.filter(|(_, url)| !url.trim().is_empty() && url != "none") {
        checks.push(reach(name, url.trim()).await);
    }
    checks
}

/// The checks of what `/health` says of the services.
pub(super) fn of_details(details: &BTreeMap<String, String>) -> Vec<Check> {
    let judged = details.iter().filter(|(what, _)| !matches!(what.as_str(), "status" | "version"));
    let check = |(what, how): (&String, &String)| match what.as_str() {
        "composer" if how.contains("LLM_BASE_URL") => {
            let advice = "set LLM_BASE_URL to an OpenAI-compatible server (Ollama, vLLM, OpenAI) for a model's answers";
            Check::warn(what, how, advice)
        }
        "search" if how.starts_with("lexical") => Check::warn(
            what,
            how,
            "scripts/fetch-model FOLDER/models brings the model, FOLDER being the data folder",
        ),
        "extraction" if how.contains(", without ") => {
            Check::warn(what, how, "documents that need it will fail until it is installed")
        }
        "durability" if how != "sync" => Check::warn(
            what,
            format!("{how}: a power cut loses at most what was acknowledged within that time"),
            "start the server without --durability where no acknowledged job may be lost",
        ),
        _ => Check::ok(what, how),
    };
    judged.map(check).collect()
}

/// A check that something listens there: what it says is between it and the service.
async fn reach(name: &str, url: &str) -> Check {
    let Some((host, port)) = address(url) else {
        return Check::fail(name, format!("'{url}' is no http or https URL"), "see docs/configuration.md");
    };
    let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect((host.as_str(), port)));
    let fault = match connecting.await {
        Ok(Ok(_)) => return Check::ok(name, format!("{host}:{port} takes connections")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    let advice = "is it running, and is the address right? Jobs that need it are tried again until then";
    Check::fail(name, format!("failed to connect to {host}:{port}: {fault}"), advice)
}

fn address(url: &str) -> Option<(String, u16)> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port_or_known_default()?))
}
