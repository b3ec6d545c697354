//! The HTTP API of a server, asked as any client would.

use longhaul::clock::Stopwatch;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;

use super::{LOOK_EVERY, PATIENCE};
use crate::Result;

/// A server's API.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// The release that serves it.
    pub(crate) release: &'static str,
    /// The server's address.
    pub(crate) url: String,
    client: Client,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its body; null where it is no JSON.
    pub(crate) body: Value,
    /// The same as text.
    pub(crate) text: String,
}

impl Api {
    /// The API at an address.
    pub(crate) fn new(release: &'static str, url: String) -> Result<Self> {
        // Long polls and streams are answered late; a server that never answers ends the run.
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { release, url, client })
    }

    /// Posts, and fails where the answer is no success.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = if body.is_null() { request } else { request.json(&body) };
        self.succeed(&format!("POST {path} {body}"), request).await
    }

    /// Posts under an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Value> {
        let request =
            self.client.post(format!("{}{path}", self.url)).header("Idempotency-Key", key).json(body);
        self.succeed(&format!("POST {path} {body} of key {key}"), request).await
    }

    /// Puts, and fails where the answer is no success.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Result<Value> {
        self.succeed(&format!("PUT {path}"), self.client.put(format!("{}{path}", self.url)).json(&body)).await
    }

    /// Deletes, and fails where the answer is no success.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.succeed(&format!("DELETE {path}"), self.client.delete(format!("{}{path}", self.url))).await
    }

    /// Gets, whatever the answer is.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    /// Gets a job, whose answer is held until it has ended or ten seconds are over.
    pub(crate) async fn hold(&self, id: &str) -> Result<Answer> {
        self.send(self.client.get(format!("{}/api/jobs/{id}", self.url)).header("Prefer", "wait=10")).await
    }

    async fn succeed(&self, what: &str, request: RequestBuilder) -> Result<Value> {
        let answer = self.send(request).await?;
        if answer.status.is_success() {
            Ok(answer.body)
        } else {
            Err(format!("the {} release's server answers {what} with {}", self.release, answer.text).into())
        }
    }

    /// Sends a request, and again while the store is too busy for it: then nothing of it was done.
    async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let sending = Stopwatch::start();
        loop {
            let again = request.try_clone().ok_or("a request cannot be sent twice")?;
            let answer = again.send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            if status != StatusCode::SERVICE_UNAVAILABLE || sending.elapsed() > PATIENCE {
                return Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), text });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks at a job until it is in one of these states, and answers it.
    pub(crate) async fn wait_for(&self, id: &str, states: &[&str]) -> Result<Value> {
        let waiting = Stopwatch::start();
        loop {
            let answer = if states.contains(&"running") {
                self.get(&format!("/api/jobs/{id}")).await?
            } else {
                self.hold(id).await?
            };
            if answer.body["state"].as_str().is_some_and(|state| states.contains(&state)) {
                return Ok(answer.body);
            }
            if !answer.status.is_success() || waiting.elapsed() > PATIENCE {
                let (release, states) = (self.release, states.join(" or "));
                return Err(format!(
                    "the {release} release's server never tells that {id} is {states}: {}",
                    answer.text
                )
                .into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
