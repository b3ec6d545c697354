use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, LINK, LOCATION};
use axum::response::Response;
use serde_json::{Value, json};

use crate::Double;

/// A reply in place of the one that follows from a name: what the real GitHub says now and then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GithubReply {
    /// The status.
    pub status: u16,
    /// Headers beside those that every reply has.
    pub headers: Vec<(String, String)>,
    /// The body as it goes out.
    pub body: Vec<u8>,
}

impl GithubReply {
    /// 200 with this document.
    #[must_use]
    pub fn json(document: &Value) -> Self {
        Self::bytes(document.to_string())
    }

    /// 200 with these bytes, be they JSON or not.
    #[must_use]
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    /// 204, as for an empty list of contributors.
    #[must_use]
    pub fn no_content() -> Self {
        Self { status: 204, ..Self::default() }
    }

    /// 202 with `{}`: a figure that is still being made.
    #[must_use]
    pub fn still_counting() -> Self {
        Self { status: 202, ..Self::json(&json!({})) }
    }

    /// A refusal with GitHub's body.
    #[must_use]
    pub fn refusal(status: u16, message: &str) -> Self {
        let body = json!({
            "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string(),
        });
        Self { status, ..Self::json(&body) }
    }

    /// 409: a repository without a commit.
    #[must_use]
    pub fn empty_repository() -> Self {
        Self::refusal(409, "Git Repository is empty.")
    }

    /// 451: a repository that was taken down.
    #[must_use]
    pub fn taken_down() -> Self {
        Self::refusal(451, "Repository access blocked")
    }

    /// 301, 302 or 307 to another address.
    #[must_use]
    pub fn moved(status: u16, to: &str) -> Self {
        Self::refusal(status, "Moved Permanently").with(LOCATION.as_str(), to)
    }

    /// A page of a proxy's in place of an answer.
    #[must_use]
    pub fn page_of_a_proxy(status: u16) -> Self {
        let page = "<html><h1>502 Bad Gateway</h1>Unicorn!</html>";
        Self { status, ..Self::bytes(page) }.with(CONTENT_TYPE.as_str(), "text/html")
    }

    /// The same with a `Link` to a next page.
    #[must_use]
    pub fn followed_by(self, next: &str) -> Self {
        self.with(LINK.as_str(), &format!("<{next}>; rel=\"next\""))
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn response(&self) -> Response {
        let mut response = Response::builder().status(self.status);
        if !self.headers.iter().any(|(name, _)| name == CONTENT_TYPE.as_str()) {
            response = response.header(CONTENT_TYPE, "application/json; charset=utf-8");
        }
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(self.body.clone())).expect("a test's headers have their form")
    }
}

impl Double {
    /// From now on GitHub answers so at `path` (`/users/octocat`, with its query or for any query).
    pub fn github_says(&self, path: &str, reply: GithubReply) {
        self.desk.github.said.lock().insert(path.to_owned(), reply);
    }

    /// All that was [said](Self::github_says) is forgotten.
    pub fn github_says_as_always(&self) {
        self.desk.github.said.lock().clear();
    }
}

pub(super) fn find(said: &BTreeMap<String, GithubReply>, uri: &Uri) -> Option<GithubReply> {
    let whole = uri.path_and_query().map_or(uri.path(), |whole| whole.as_str());
    said.get(whole).or_else(|| said.get(uri.path())).cloned()
}
