//! Stand-ins for the outside systems: they speak the same protocols over a real socket, remember what they were
//! asked, and fail in a chosen way on demand. For tests and for trying things out by hand (`cargo run -p fakes`);
//! no production crate may depend on this one.

mod ai_brain;
mod away;
mod fault;
mod flow;
mod github;
mod hang_up;
mod llm;
pub mod pages;
mod query;
mod quirk;
mod schema;
mod vectors;
mod wikipedia;

pub use away::Away;
pub use fault::Fault;
pub use github::GithubReply;
pub use quirk::Quirk;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A running server that is all outside systems at once, on a free port of the loopback address. It stops when this
/// is dropped.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The path, without the query.
    pub path: String,
    /// The query, encoded as it came.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The state of the double: its knowledge and its orders.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    seen: Mutex<Vec<Seen>>,
    arrived: Notify,
    /// Faults to come, each for requests to one path; `None` lets one pass.
    faults: Mutex<VecDeque<(String, Option<Fault>)>>,
    /// The model's next replies; without any, it says something about the question.
    pub(crate) chat: Mutex<VecDeque<String>>,
    /// The model's quirks for its next replies, and the one of all others.
    pub(crate) quirks: Mutex<VecDeque<Quirk>>,
    pub(crate) quirk: Mutex<Option<Quirk>>,
    /// The paths of requests whose askers went away.
    pub(crate) hung_up: Mutex<Vec<String>>,
    /// The pace of the model's words.
    pub(crate) flow: flow::Flow,
    /// The key set of the issuer of tokens.
    keys: Mutex<serde_json::Value>,
    /// The next texts of pictures; without any, something about the picture.
    pub(crate) texts: Mutex<VecDeque<String>>,
    pub(crate) github: github::GithubState,
    pub(crate) embeddings: Mutex<EmbeddingLimits>,
}

/// The most inputs at once, the most letters of one, and the length of the vectors.
type EmbeddingLimits = (usize, usize, usize);

impl Double {
    /// Starts on a free port.
    ///
    /// # Panics
    /// Panics if no port of the loopback address can be had.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("failed to find a free port");
        Self::start_on(listener)
    }

    /// Starts on a port of the caller's.
    ///
    /// # Panics
    /// Panics if the listener has no address.
    #[must_use]
    pub fn start_on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let desk = Arc::new(Desk { embeddings: Mutex::new((usize::MAX, usize::MAX, 64)), ..Desk::default() });
        let routes = Router::new()
            .merge(ai_brain::routes())
            .merge(github::routes(&desk))
            .merge(llm::routes())
            .merge(query::routes())
            .merge(wikipedia::routes())
            .route(
                "/jwks.json",
                get(|State(desk): State<Arc<Desk>>| async move { Json(desk.keys.lock().clone()) }),
            )
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&desk), fault::intercept))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move {
            // It serves until it is aborted; an error has no receiver.
            let _ = axum::serve(listener, routes).await;
        });
        Self { address, desk, server }
    }

    /// `http://127.0.0.1:PORT`: what `AI_BRAIN_ENDPOINT` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same with `/v1`: what `LLM_BASE_URL` and `EMBEDDING_BASE_URL` are set to.
    #[must_use]
    pub fn v1(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// Lets the next request to `path` fail. Several faults of one path happen one after the other.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.fail_after(path, 0, fault);
    }

    /// Lets a request to `path` fail after `good` more of them have gone well.
    pub fn fail_after(&self, path: &str, good: usize, fault: Fault) {
        let mut faults = self.desk.faults.lock();
        faults.extend((0..good).map(|_| (path.to_owned(), None)));
        faults.push_back((path.to_owned(), Some(fault)));
    }

    /// Variables that point a server at this double, with their values: all that it stands in for.
    #[must_use]
    pub fn exports(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LLM_BASE_URL", self.v1()),
            ("LLM_MODEL", "double".into()),
            ("EMBEDDING_BASE_URL", self.v1()),
            ("EMBEDDING_MODEL", "double".into()),
            ("AI_BRAIN_ENDPOINT", self.url()),
            ("GITHUB_API_URL", self.github_url()),
            ("WIKIPEDIA_API_URL", self.url()),
        ]
    }

    /// The value for `PYTHON_API_URL`, if sessions are not to be dispatched to the server itself.
    #[must_use]
    pub fn python_api(&self) -> String {
        format!("{}/api/v1", self.url())
    }

    /// Sets the model's reply to its next request, whatever form was asked for. Without it, it says something about the
    /// question, and makes up JSON where it is asked for some: JSON that fits the schema of the request, or the one
    /// that stands in words in its first message.
    pub fn say(&self, text: &str) {
        self.desk.chat.lock().push_back(text.to_owned());
    }

    /// Gives the model's next reply a quirk; several are for several replies.
    pub fn quirk(&self, quirk: Quirk) {
        self.desk.quirks.lock().push_back(quirk);
    }

    /// Gives all replies of the model a quirk, but those that have [one of their own](Self::quirk).
    pub fn always(&self, quirk: Option<Quirk>) {
        *self.desk.quirk.lock() = quirk;
    }

    /// From now on no word of a streamed reply, and no answer of the Python API, goes out until it is
    /// [released](Self::release): a test lets them through one by one and looks at what became of each.
    pub fn hold(&self) {
        self.desk.flow.hold();
    }

    /// Lets `pieces` more words go out, of whichever streams come first.
    pub fn release(&self, pieces: usize) {
        self.desk.flow.release(pieces);
    }

    /// Lets all words go out again, as before [`hold`](Self::hold).
    pub fn release_all(&self) {
        self.desk.flow.release_all();
    }

    /// Lets `pause` pass before each word, so that a person sees the text being written. Not for tests.
    pub fn set_pause(&self, pause: Duration) {
        self.desk.flow.set_pause(pause);
    }

    /// From now on `/v1/embeddings` refuses more than so many inputs at once, and inputs of more letters.
    pub fn limit_embeddings(&self, inputs: usize, letters: usize) {
        let mut limits = self.desk.embeddings.lock();
        (limits.0, limits.1) = (inputs, letters);
    }

    /// From now on the vectors of `/v1/embeddings` are so long: another model under the same names.
    pub fn set_dimension(&self, dimension: usize) {
        self.desk.embeddings.lock().2 = dimension;
    }

    /// Sets the text of the next picture.
    pub fn show(&self, text: &str) {
        self.desk.texts.lock().push_back(text.to_owned());
    }

    /// The value for `JWT_JWKS_URL`.
    #[must_use]
    pub fn keys_url(&self) -> String {
        format!("{}/jwks.json", self.url())
    }

    /// The public keys that the issuer shows from now on.
    pub fn publish_keys(&self, keys: &serde_json::Value) {
        *self.desk.keys.lock() = keys.clone();
    }

    /// The requests to `path` so far.
    #[must_use]
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.desk.seen.lock().iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// Waits until `count` requests to `path` have come in.
    pub async fn wait_for(&self, path: &str, count: usize) {
        loop {
            let arrived = self.desk.arrived.notified();
            let mut arrived = std::pin::pin!(arrived);
            // Listening before looking: a request in between is not missed.
            arrived.as_mut().enable();
            if self.seen(path).len() >= count {
                return;
            }
            arrived.await;
        }
    }

    /// Waits until `count` of those who asked at `path` have gone away before their answers were complete.
    pub async fn wait_for_hang_up(&self, path: &str, count: usize) {
        loop {
            let arrived = self.desk.arrived.notified();
            let mut arrived = std::pin::pin!(arrived);
            arrived.as_mut().enable();
            if self.desk.hung_up.lock().iter().filter(|gone| *gone == path).count() >= count {
                return;
            }
            arrived.await;
        }
    }

    /// The whole server, until it is stopped from outside.
    pub async fn run(mut self) {
        // An error means that the task was aborted, which ends it just as well.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}
