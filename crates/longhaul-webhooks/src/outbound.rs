use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};

use crate::address::Allowed;

/// The way to systems outside: it calls public addresses, and those that it was allowed, and no other. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    allowed: Arc<Allowed>,
    /// The longest that an attempt of a delivery waits for a whole answer.
    pub(crate) delivery_timeout: Duration,
}

/// A request to a system outside.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// Its method.
    pub method: Method,
    /// An `http` or `https` URL without a user or password.
    pub url: &'r str,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Option<Bytes>,
    /// The longest that it may take, from the name's resolution to the last byte of the answer.
    pub timeout: Duration,
    /// The most bytes of the answer's body that are read.
    pub max_answer: usize,
}

/// The answer of a system outside.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or the beginning of it.
    pub body: Bytes,
    /// True where the body was longer.
    pub is_cut: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The URL may not be called, now or later.
    Refused(String),
    /// It could not be called now.
    Failed(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused(reason) | CallError::Failed(reason) => f.write_str(reason),
        }
    }
}

impl Error for CallError {}

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than servers keep an idle connection, so that few requests meet one that is being closed.
const POOL_IDLE: Duration = Duration::from_secs(15);
/// Deliveries to one receiver that go on at a time rarely need more.
const POOL_PER_HOST: usize = 4;

impl Outbound {
    /// A way out that calls the networks of `allowed`, too.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used.
    pub fn new(allowed: Allowed) -> Result<Self, CallError> {
        let allowed = Arc::new(allowed);
        // Only the first call in a process installs it; that another has done so is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(POOL_PER_HOST)
                // A proxy would resolve names by itself, and a redirection leads to another address.
                .no_proxy()
                .redirect(Policy::none())
                .referer(false)
                .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(Guard { allowed: Arc::clone(&allowed) }))
        };
        // A machine without certificate authorities must be able to serve: those in the binary do then.
        let client = builder()
            .build()
            .or_else(|_| builder().tls_backend_preconfigured(carried_authorities()).build())
            .map_err(|error| CallError::Failed(format!("failed to set up TLS: {}", chain(&error))))?;
        Ok(Self { client, allowed, delivery_timeout: DELIVERY_TIMEOUT })
    }

    /// The same, with another longest time that an attempt of a delivery may take: 20 s, unless set.
    #[must_use]
    pub fn delivery_timeout(self, delivery_timeout: Duration) -> Self {
        Self { delivery_timeout, ..self }
    }

    /// Sends a request, and reads the answer within its bounds. Redirections are answers like any other.
    ///
    /// # Errors
    /// [`CallError::Refused`] for a URL that may not be called, [`CallError::Failed`] where no whole answer came.
    pub async fn call(&self, request: Request<'_>) -> Result<Answer, CallError> {
        let url = self.checked(request.url)?;
        let mut sent =
            self.client.request(request.method, url).headers(request.headers).timeout(request.timeout);
        if let Some(body) = request.body {
            sent = sent.body(body);
        }
        let mut response = sent.send().await.map_err(|error| no_answer(&error, request.timeout))?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let (mut body, mut is_cut) = (BytesMut::new(), false);
        while let Some(piece) = response.chunk().await.map_err(|error| no_answer(&error, request.timeout))? {
            let room = request.max_answer - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                // What is left is not read: dropping the response closes the connection.
                is_cut = true;
                break;
            }
        }
        Ok(Answer { status, headers, body: body.freeze(), is_cut })
    }

    /// The URL, if it may be called by the checks before its name is resolved.
    fn checked(&self, url: &str) -> Result<Url, CallError> {
        let refused = |reason: String| Err(CallError::Refused(reason));
        // Reads addresses in every form that there is (0x7f.1, 2130706433), and writes them in one.
        let url = Url::parse(url).or_else(|error| refused(format!("'{url}' is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return refused(format!("{url} must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("the URL must not hold a user or password: send a header".into());
        }
        let Some(host) = url.host_str() else { return refused(format!("{url} must name a host")) };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>()
            && let Some(sort) = self.allowed.refusal(address)
        {
            return refused(Refused { address, name: None, sort }.to_string());
        }
        Ok(url)
    }
}

/// Resolves names, and leaves only addresses that may be called: the connection is made to one of those.
struct Guard {
    allowed: Arc<Allowed>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let name = name.as_str();
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            let refusal = |socket: &SocketAddr| allowed.refusal(socket.ip());
            let public: Vec<SocketAddr> =
                all.iter().filter(|socket| refusal(socket).is_none()).copied().collect();
            if let (true, Some(socket)) = (public.is_empty(), all.first()) {
                let sort = refusal(socket).unwrap_or_default();
                return Err(Refused { address: socket.ip(), name: Some(name.to_owned()), sort }.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// An address that may not be called.
#[derive(Debug)]
struct Refused {
    address: IpAddr,
    name: Option<String>,
    sort: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, name, sort } = self;
        match name {
            Some(name) => write!(f, "{name} leads to {address}, which is {sort}"),
            None => write!(f, "{address} is {sort}"),
        }?;
        write!(f, "; give a public one, or allow it where the worker is started: --webhook-allow {address}")
    }
}

impl Error for Refused {}

fn no_answer(error: &reqwest::Error, timeout: Duration) -> CallError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return CallError::Refused(refused.to_string());
        }
        cause = inner.source();
    }
    if error.is_timeout() && !error.is_connect() {
        return CallError::Failed(format!("no whole answer came within {:.1} s", timeout.as_secs_f64()));
    }
    CallError::Failed(chain(error))
}

/// An error with its causes: the outermost says little. Without the URL, whose query may hold a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_connect() { "failed to connect".to_owned() } else { "failed to send".to_owned() };
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

/// Trusts Mozilla's certificate authorities, which the binary carries.
fn carried_authorities() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
