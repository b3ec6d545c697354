use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;

use super::alike::{Known, json_alike, text_alike, with_ellipses};
use super::{Answer, Exchange, Page, Request};

/// Sends a page's requests to a server and compares its answers. See the [module](super) for what is alike.
#[derive(Debug)]
pub struct Checker {
    base: String,
    client: Client,
    variables: BTreeMap<String, String>,
    known: Known,
}

/// The address that pages print.
const PRINTED_BASE: &str = "http://127.0.0.1:8000";
/// Longer than anything takes on a busy machine; only a test that would hang meets it.
const PATIENCE: Duration = Duration::from_secs(120);

impl Checker {
    /// For the server at `base`, `http://127.0.0.1:PORT`.
    ///
    /// # Panics
    /// Panics if the machine's TLS set-up cannot be used.
    #[must_use]
    pub fn new(base: &str) -> Self {
        // Only the first call in a process installs it; that another has done so is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("failed to make a client");
        let base = base.trim_end_matches('/').to_owned();
        Self { base, client, variables: BTreeMap::new(), known: Known::default() }
    }

    /// Sets a variable: `{name}` in requests.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// A variable's value, once it is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The real id that stands where the page prints `printed`, once an answer has shown it.
    #[must_use]
    pub fn real(&self, printed: &str) -> Option<&str> {
        self.known.real(printed)
    }

    /// Checks every exchange in order; `note` is called with what the page tells the test to do before a request.
    ///
    /// # Panics
    /// At the first answer that is not as printed, with both.
    pub async fn check_page(&mut self, page: &Page, mut note: impl AsyncFnMut(&str)) {
        for exchange in &page.exchanges {
            for text in &exchange.notes {
                note(text).await;
            }
            if let Err(reason) = self.check(exchange).await {
                panic!("{reason}");
            }
        }
    }

    /// Sends one request and compares its answer.
    ///
    /// # Errors
    /// The difference, for people.
    pub async fn check(&mut self, exchange: &Exchange) -> Result<(), String> {
        let Request { method, target, .. } = &exchange.request;
        let title = format!("line {}: {method} {target}", exchange.line);
        let (status, headers, body) =
            self.send(&exchange.request).await.map_err(|e| format!("{title}: {e}"))?;
        self.compare(exchange.answer.as_ref(), status, &headers, &body).map_err(|reason| {
            let body = serde_json::from_str::<Value>(&body).map_or(body.clone(), |json| format!("{json:#}"));
            format!("{title}: {reason}\nthe answer is {status}\n{body}")
        })
    }

    async fn send(&self, request: &Request) -> Result<(u16, reqwest::header::HeaderMap, String), String> {
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut call = self.client.request(method, format!("{}{}", self.base, self.filled(&request.target)?));
        for (name, value) in &request.headers {
            call = call.header(name, self.filled(value)?);
        }
        if !request.body.is_empty() {
            call = call.body(self.filled(&request.body)?);
        }
        let answer = call.send().await.map_err(|e| format!("failed to send: {e:?}"))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.text().await.map_err(|e| format!("failed to read the answer: {e:?}"))?;
        Ok((status, headers, body))
    }

    fn compare(
        &mut self,
        answer: Option<&Answer>,
        status: u16,
        headers: &reqwest::header::HeaderMap,
        body: &str,
    ) -> Result<(), String> {
        let Some(answer) = answer else {
            return if status < 400 { Ok(()) } else { Err("the page does not expect an error".into()) };
        };
        match answer.status {
            Some(expected) if expected != status => return Err(format!("the page says {expected}")),
            None if !(200..300).contains(&status) => return Err("the page says that it succeeds".into()),
            _ => {}
        }
        for (name, expected) in &answer.headers {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            let value = value.ok_or_else(|| format!("the header {name} is missing"))?;
            text_alike(expected, value, &mut self.known)
                .map_err(|reason| format!("header {name}: {reason}"))?;
        }
        if answer.body.trim().is_empty() {
            return Ok(());
        }
        // An address of the tested server is compared as the printed one.
        let body = body.replace(&self.base, PRINTED_BASE);
        match serde_json::from_str::<Value>(&with_ellipses(&answer.body)) {
            Ok(expected) => {
                let actual =
                    serde_json::from_str(&body).map_err(|e| format!("the answer is not JSON: {e}"))?;
                json_alike(&expected, &actual, "", &mut self.known, &mut self.variables)
            }
            Err(error) if answer.body.trim_start().starts_with(['{', '[']) => {
                Err(format!("the page's JSON cannot be read: {error}"))
            }
            Err(_) => text_alike(&answer.body, &body, &mut self.known),
        }
    }

    /// A text of the page with variables and real ids in place.
    fn filled(&self, text: &str) -> Result<String, String> {
        let mut filled = self.known.with_real_ids(&text.replace(PRINTED_BASE, &self.base));
        for (name, value) in &self.variables {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        match unset(&filled) {
            Some(name) => Err(format!("the variable {{{name}}} is not set")),
            None => Ok(filled),
        }
    }
}

/// The name in a `{name}` that is left over; JSON's braces hold no bare word.
fn unset(text: &str) -> Option<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .find(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}
