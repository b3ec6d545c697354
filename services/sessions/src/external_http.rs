use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use longhaul::Clock;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_support::{Cause, Env, OpenError, Provider, ProviderError, Tokens};

use crate::model::for_log;

/// The client of the service that sessions are dispatched to.
#[derive(Debug)]
pub(crate) struct ExternalHttp {
    provider: Provider,
    url: String,
    is_own: bool,
}

/// The query that a session is sent as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Query {
    pub(crate) topic: String,
    pub(crate) sub_topics: Vec<String>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// The list, as it came.
    pub(crate) response: Vec<Value>,
    /// The writer: `outline`, a model's name, or `None` if the service does not say.
    pub(crate) generator: Option<String>,
}

/// The units that a call takes of the limit key that it is made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// One call of the service.
    Call,
    /// About so many tokens of the model behind it.
    Tokens(u64),
}

impl Use {
    /// The units that are reserved for it.
    pub(crate) fn units(self) -> u64 {
        match self {
            Use::Call => 1,
            Use::Tokens(tokens) => tokens,
        }
    }
}

/// Counts a call, however it ends: by the reported use, or by the reserved one if it was cut off before a report.
#[derive(Debug)]
pub(crate) struct Call {
    taken: Tokens,
    reserved: Use,
    units: u64,
}

impl Call {
    pub(crate) fn new(taken: &Tokens, reserved: Use) -> Self {
        Self { taken: taken.clone(), reserved, units: reserved.units() }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.taken.add(self.units);
    }
}

/// The service's name in its limit key.
pub(crate) const PYTHON_API: &str = "python-api";
/// Says what made an answer of `/llm/query`; the body has the original document's one field and no other.
pub(crate) const GENERATOR: &str = "generator";
/// Tells the tokens that a model has taken for an answer of `/llm/query`.
pub(crate) const TOKENS: &str = "tokens";

/// A list of keywords is short; what is longer is no answer.
const MAX_REPLY_BYTES: usize = 256 * 1024;

#[derive(Deserialize)]
struct Reply {
    response: Vec<Value>,
}

impl ExternalHttp {
    /// Reads `PYTHON_API_URL` (this server's own `/api/v1` where unset) and `PYTHON_API_TIMEOUT` (30 s).
    pub(crate) fn from_env(
        env: &Env,
        listener: Option<SocketAddr>,
        max_wait: Duration,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let named = env.url("PYTHON_API_URL")?;
        let is_own = named.is_none();
        let base = named.unwrap_or_else(|| own_api(listener));
        let timeout = env.seconds("PYTHON_API_TIMEOUT", 30.0)?;
        let provider = Provider::new("Python API", timeout, MAX_REPLY_BYTES, max_wait, clock)?;
        Ok(Self { provider, url: format!("{base}/llm/query"), is_own })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// True where it is this server's own route.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Sends a session's topic and gets its keywords.
    pub(crate) async fn send_session(&self, query: &Query, call: Call) -> Result<Answered, ProviderError> {
        tracing::info!(
            target: "ExternalHttpService",
            "Starting background process to send session data to Python API"
        );
        tracing::info!(target: "ExternalHttpService", "Sending request to Python API: {}", self.url);
        tracing::debug!(target: "ExternalHttpService", "Request payload: {}", for_log(query));
        let answered = self.ask(query, call).await;
        match &answered {
            Ok(answered) => {
                tracing::info!(target: "ExternalHttpService", "Response received successfully");
                tracing::debug!(
                    target: "ExternalHttpService",
                    "Response data: {}",
                    for_log(&answered.response)
                );
            }
            Err(error) => tracing::error!(
                target: "ExternalHttpService",
                cause = ?error.cause,
                "Error sending request to Python API: {}",
                for_log(&error.message)
            ),
        }
        answered
    }

    async fn ask(&self, query: &Query, mut call: Call) -> Result<Answered, ProviderError> {
        let request = self.provider.client().post(&self.url).json(query);
        let reply = match self.provider.send(request).await {
            Ok(reply) => reply,
            Err(error) => {
                // A call that did not arrive, or was refused, used nothing.
                if matches!(error.cause, Cause::Setup | Cause::Status(429) | Cause::Spent) {
                    call.units = 0;
                }
                return Err(error);
            }
        };
        if let Use::Tokens(_) = call.reserved {
            let told = reply.headers.get(TOKENS).and_then(|tokens| tokens.to_str().ok()?.parse().ok());
            call.units = told.unwrap_or(call.units);
        }
        let generator = reply.headers.get(GENERATOR).and_then(|value| value.to_str().ok());
        let generator = generator.map(|name| name.chars().take(100).collect());
        let reply: Reply = serde_json::from_slice(&reply.body)
            .map_err(|e| self.provider.unreadable(&reply.body, "the reply holds no list 'response'", &e))?;
        Ok(Answered { response: reply.response, generator })
    }
}

/// This server's own `/api/v1`. The original document's default was port 5000, where its second process listened; here that process
/// is this server, so a worker that serves nothing asks where a server listens by default.
fn own_api(listener: Option<SocketAddr>) -> String {
    let mut address = listener.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)));
    // A listener on every address is also reached on this machine's own.
    if address.ip().is_unspecified() {
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let own = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { v6 };
        address.set_ip(own);
    }
    format!("http://{address}/api/v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_finds_itself() {
        let own = |address: &str| own_api(Some(address.parse().unwrap()));
        assert_eq!(own("127.0.0.1:4321"), "http://127.0.0.1:4321/api/v1");
        assert_eq!(own("0.0.0.0:80"), "http://127.0.0.1:80/api/v1");
        assert_eq!(own("[::]:80"), "http://[::1]:80/api/v1");
        assert_eq!(own_api(None), "http://127.0.0.1:8000/api/v1");
    }
}
