//! `GET /`: what runs here, and where to go.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::html;
use utoipa::openapi::OpenApi;

use super::{anchor, page, wants_html};

/// The public facts of a server: no more than `/health` and its OpenAPI document show.
#[derive(Debug)]
pub(crate) struct About {
    /// The path of the root to the outside; empty where no proxy adds one.
    pub(crate) base_path: String,
    /// The kind of store that has the jobs.
    pub(crate) store: &'static str,
    /// True if jobs run in this process, too.
    pub(crate) works: bool,
    /// The services that are on, each with a line about it.
    pub(crate) services: Vec<ServiceAbout>,
    /// The systems that do their work.
    pub(crate) systems: Vec<(String, String)>,
}

/// A service on the page.
#[derive(Debug)]
pub(crate) struct ServiceAbout {
    name: String,
    about: String,
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    method: &'static str,
    path: String,
    summary: String,
    anchor: String,
}

/// The routes of a service that are shown; the reference has all.
const SHOWN: usize = 5;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The page.
pub(crate) fn routes(about: About) -> Router {
    Router::new().route("/", get(home)).with_state(Arc::new(about))
}

async fn home(State(about): State<Arc<About>>, headers: HeaderMap) -> Response {
    if wants_html(&headers) {
        return about.page();
    }
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "accept")];
    (headers, about.text()).into_response()
}

impl ServiceAbout {
    /// The services that a document describes, each a tag with a description.
    pub(crate) fn all(document: &OpenApi) -> Vec<Self> {
        let tags =
            document.tags.iter().flatten().filter_map(|tag| Some((&tag.name, tag.description.as_ref()?)));
        tags.map(|(name, about)| Self {
            name: name.clone(),
            about: about.clone(),
            routes: routes_of(document, name),
        })
        .collect()
    }
}

/// The routes of a service: the shortest first, for these are the ones to begin with.
fn routes_of(document: &OpenApi, tag: &str) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, item) in &document.paths.paths {
        let methods = [
            ("POST", &item.post),
            ("GET", &item.get),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in methods {
            if let Some(operation) = operation
                && operation.tags.iter().flatten().any(|own| own == tag)
            {
                let summary = operation.summary.clone().unwrap_or_default();
                routes.push(Route { method, path: path.clone(), summary, anchor: anchor(operation) });
            }
        }
    }
    routes.sort_by_key(|route| route.path.matches('/').count() + route.path.matches('{').count());
    routes
}

impl About {
    /// The links: a name, a path, and what is there.
    fn places(&self) -> [(&'static str, String, &'static str); 6] {
        let at = |path: &str| format!("{}{path}", self.base_path);
        [
            ("Dashboard", at("/admin"), "queues, jobs, failures and workers, live"),
            ("Queues", at("/admin/queues"), "what waits, runs and has failed"),
            ("API reference", at("/api/reference"), "every route, with an example each"),
            ("Guide", at("/docs"), "from the first five minutes to production"),
            ("OpenAPI", at("/api/openapi.json"), "the same reference for programs"),
            ("Health", at("/health"), "and /ready and /metrics, for whoever watches over it"),
        ]
    }

    fn worker(&self) -> &'static str {
        if self.works { "in this process" } else { "none here: jobs wait for a longhaul worker" }
    }

    fn page(&self) -> Response {
        let reference = format!("{}/api/reference", self.base_path);
        let main = html! {
            header {
                h1 { "Longhaul " (VERSION) }
                p.dim { "Slow work behind fast APIs runs here." }
            }
            main {
                h2 { "Where to go" }
                ul.places {
                    @for (name, path, about) in self.places() {
                        li { a href=(path) { (name) } br; (about) }
                    }
                }
                h2 { "What runs" }
                dl {
                    dt { "Store" } dd { (self.store) }
                    dt { "Worker" } dd { (self.worker()) }
                    @for (what, how) in &self.systems { dt { (what) } dd { (how) } }
                }
                h2 { "Services" }
                @if self.services.is_empty() { p { "None is switched on: see --services." } }
                @for service in &self.services {
                    h3 { (service.name) }
                    p { (service.about) }
                    dl {
                        @for route in service.routes.iter().take(SHOWN) {
                            dt { a href=(format!("{reference}#{}", route.anchor)) { code { (route.method) " " (route.path) } } }
                            dd { (route.summary) }
                        }
                    }
                    p { a href=(format!("{reference}#{}", service.name)) { "All " (service.routes.len()) " routes of " (service.name) } }
                }
            }
            footer { p { "A terminal gets this page as text: " code { "curl -s" } " with this address." } }
        };
        page(StatusCode::OK, "Longhaul", &main)
    }

    fn text(&self) -> String {
        let mut text = format!("Longhaul {VERSION}: slow work behind fast APIs runs here.\n\n");
        let mut line = |name: &str, what: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{name:<14} {what}");
        };
        line("store", self.store);
        line("worker", self.worker());
        self.systems.iter().for_each(|(what, how)| line(what, how));
        line("", "");
        for (name, path, about) in self.places() {
            line(&name.to_lowercase(), &format!("{path:<20} {about}"));
        }
        for service in &self.services {
            line("", "");
            line(&service.name, &service.about);
            for route in service.routes.iter().take(SHOWN) {
                line("", &format!("{:<6} {:<44} {}", route.method, route.path, route.summary));
            }
        }
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}
