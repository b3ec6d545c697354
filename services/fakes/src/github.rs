//! GitHub's REST API under `/github`: what an analysis of profiles asks for, as GitHub documents it. Every name has a
//! profile that depends on the name alone; names that begin with `ghost` have none.

mod data;
mod frame;
mod said;

pub use said::GithubReply;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, middleware};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{Desk, Double};
use frame::{Answer, Quota, Secondary};

/// The limits of GitHub, and the orders that it was given.
#[derive(Debug, Default)]
pub(crate) struct GithubState {
    quota: Mutex<Quota>,
    secondary: Mutex<std::collections::VecDeque<Secondary>>,
    /// Replies by path, with or without a query.
    said: Mutex<BTreeMap<String, GithubReply>>,
}

pub(crate) fn routes(desk: &Arc<Desk>) -> Router<Arc<Desk>> {
    let routes = Router::new()
        .route("/users/{user}", get(user))
        .route("/users/{user}/repos", get(repos))
        .route("/users/{user}/starred", get(starred))
        .route("/users/{user}/orgs", get(orgs))
        .route("/repos/{owner}/{repo}", get(repo))
        .route("/repos/{owner}/{repo}/languages", get(languages))
        .route("/repos/{owner}/{repo}/commits", get(commits))
        .route("/repos/{owner}/{repo}/commits/{sha}", get(commit))
        .route("/repos/{owner}/{repo}/contents/", get(root))
        .route("/repos/{owner}/{repo}/contents/{*path}", get(file))
        .route("/search/commits", get(search))
        .route("/rate_limit", get(rate_limit))
        .fallback(async || frame::not_found("https://docs.github.com/rest"))
        .layer(middleware::from_fn_with_state(Arc::clone(desk), frame::around));
    Router::new().nest("/github", routes)
}

impl Double {
    /// The value for `GITHUB_API_URL`.
    #[must_use]
    pub fn github_url(&self) -> String {
        format!("{}/github", self.url())
    }

    /// From now on GitHub's primary limit has `remaining` calls left, and is reset in `reset_in` seconds by its own
    /// clock, which stands still: the limit ends when this is called again.
    pub fn github_remaining(&self, remaining: u32, reset_in: u64) {
        *self.desk.github.quota.lock() = Quota::left(remaining, reset_in);
    }

    /// The next call meets a secondary limit: a 403 with its documented message, and with a `Retry-After` in seconds
    /// where one is given.
    pub fn github_secondary_limit(&self, retry_after: Option<u64>) {
        self.desk.github.secondary.lock().push_back(Secondary { retry_after });
    }

    /// The number of calls of each path of GitHub's, the query included; whatever the answer was.
    #[must_use]
    pub fn github_calls(&self) -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for seen in self.desk.seen.lock().iter() {
            if let Some(path) = seen.path.strip_prefix("/github") {
                let query = if seen.query.is_empty() { String::new() } else { format!("?{}", seen.query) };
                *calls.entry(format!("{path}{query}")).or_insert(0) += 1;
            }
        }
        calls
    }

    /// The number of calls of the primary limit that have been used.
    #[must_use]
    pub fn github_used(&self) -> u64 {
        self.desk.github.quota.lock().used
    }
}

type Params = Query<BTreeMap<String, String>>;

async fn user(Path(user): Path<String>) -> Answer {
    if !data::exists(&user) {
        return Answer::missing("https://docs.github.com/rest/users/users#get-a-user");
    }
    Answer::One(data::user(&user))
}

async fn repos(Path(user): Path<String>, Query(params): Params, headers: HeaderMap) -> Answer {
    if !data::exists(&user) {
        return Answer::missing("https://docs.github.com/rest/repos/repos#list-repositories-for-a-user");
    }
    let path = format!("/users/{user}/repos");
    page(data::repos(&user), &path, &params, &headers)
}

async fn starred(Path(user): Path<String>, Query(params): Params, headers: HeaderMap) -> Answer {
    if !data::exists(&user) {
        return Answer::missing(
            "https://docs.github.com/rest/activity/starring#list-repositories-starred-by-a-user",
        );
    }
    let path = format!("/users/{user}/starred");
    page(data::starred(&user), &path, &params, &headers)
}

async fn orgs(Path(user): Path<String>, Query(params): Params, headers: HeaderMap) -> Answer {
    if !data::exists(&user) {
        return Answer::missing("https://docs.github.com/rest/orgs/orgs#list-organizations-for-a-user");
    }
    let path = format!("/users/{user}/orgs");
    page(data::orgs(&user), &path, &params, &headers)
}

async fn repo(Path((owner, name)): Path<(String, String)>) -> Answer {
    match data::repo(&owner, &name) {
        Some(repo) => Answer::One(repo),
        None => Answer::missing("https://docs.github.com/rest/repos/repos#get-a-repository"),
    }
}

async fn languages(Path((owner, name)): Path<(String, String)>) -> Answer {
    match data::repo(&owner, &name) {
        Some(repo) => Answer::One(data::languages(&repo)),
        None => Answer::missing("https://docs.github.com/rest/repos/repos#list-repository-languages"),
    }
}

async fn commits(
    Path((owner, name)): Path<(String, String)>,
    Query(params): Params,
    headers: HeaderMap,
) -> Answer {
    let Some(repo) = data::repo(&owner, &name) else {
        return Answer::missing("https://docs.github.com/rest/commits/commits#list-commits");
    };
    if repo["size"] == 0 {
        return Answer::Refusal {
            status: 409,
            message: "Git Repository is empty.",
            documentation: "https://docs.github.com/rest/commits/commits#list-commits",
        };
    }
    let host = base(&headers);
    let author = params.get("author");
    // All commits of a repository are its owner's.
    let commits = match author {
        Some(author) if !author.eq_ignore_ascii_case(&owner) => Vec::new(),
        _ => data::commits(&repo, &host),
    };
    page(commits, &format!("/repos/{owner}/{name}/commits"), &params, &headers)
}

async fn commit(Path((owner, name, sha)): Path<(String, String, String)>, headers: HeaderMap) -> Answer {
    let documentation = "https://docs.github.com/rest/commits/commits#get-a-commit";
    let Some(repo) = data::repo(&owner, &name) else { return Answer::missing(documentation) };
    match data::commit(&repo, &sha, &base(&headers)) {
        Some(commit) => Answer::One(commit),
        None => Answer::Refusal { status: 422, message: "No commit found for the SHA", documentation },
    }
}

async fn root(Path((owner, name)): Path<(String, String)>) -> Answer {
    let documentation = "https://docs.github.com/rest/repos/contents#get-repository-content";
    match data::repo(&owner, &name) {
        Some(repo) if repo["size"] == 0 => {
            Answer::Refusal { status: 404, message: "This repository is empty.", documentation }
        }
        Some(repo) => Answer::One(Value::Array(data::root(&repo))),
        None => Answer::missing(documentation),
    }
}

async fn file(Path((owner, name, path)): Path<(String, String, String)>) -> Answer {
    let documentation = "https://docs.github.com/rest/repos/contents#get-repository-content";
    let repo = data::repo(&owner, &name);
    match repo.and_then(|repo| data::file(&repo, &path)) {
        Some(file) => Answer::One(file),
        None => Answer::missing(documentation),
    }
}

/// Names that begin with `contrib` have written to repositories of others.
async fn search(Query(params): Params, headers: HeaderMap) -> Answer {
    let query = params.get("q").map(String::as_str).unwrap_or_default();
    let Some(author) = query.split(' ').find_map(|part| part.strip_prefix("author:")) else {
        return Answer::Refusal {
            status: 422,
            message: "Validation Failed",
            documentation: "https://docs.github.com/rest/search/search#search-commits",
        };
    };
    let found = data::commits_elsewhere(author, &base(&headers));
    Answer::One(json!({ "total_count": found.len(), "incomplete_results": false, "items": found }))
}

/// Costs nothing, as GitHub's own.
async fn rate_limit(State(desk): State<Arc<Desk>>) -> Answer {
    let core = desk.github.quota.lock().body();
    Answer::One(json!({ "resources": { "core": core }, "rate": core }))
}

/// One page of a list, with the `Link` to the others.
fn page(all: Vec<Value>, path: &str, params: &BTreeMap<String, String>, headers: &HeaderMap) -> Answer {
    let number = |name: &str, default: usize| {
        params.get(name).and_then(|text| text.parse().ok()).filter(|n| *n > 0).unwrap_or(default)
    };
    let per_page = number("per_page", 30).min(100);
    let page = number("page", 1);
    let last = all.len().div_ceil(per_page).max(1);
    let address = |page: usize| {
        let mut query: Vec<String> = params
            .iter()
            .filter(|(name, _)| *name != "page")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        query.push(format!("page={page}"));
        format!("<{}{path}?{}>", base(headers), query.join("&"))
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(format!("{}; rel=\"prev\"", address(page - 1)));
    }
    if page < last {
        links.push(format!("{}; rel=\"next\"", address(page + 1)));
        links.push(format!("{}; rel=\"last\"", address(last)));
    }
    if page > 1 {
        links.push(format!("{}; rel=\"first\"", address(1)));
    }
    let items = all.into_iter().skip((page - 1) * per_page).take(per_page).collect();
    Answer::Page { items, link: (!links.is_empty()).then(|| links.join(", ")) }
}

/// The address that the caller knows this double by.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("http://{host}/github")
}

/// Makes an answer of GitHub's.
fn respond(answer: Answer) -> Response {
    frame::render(answer)
}

impl axum::response::IntoResponse for Answer {
    fn into_response(self) -> Response {
        respond(self)
    }
}
