//! The known routes that a path which is not there resembles.

use std::borrow::Cow;
use std::fmt;

use axum::http::Method;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

/// The routes that an OpenAPI document describes.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The path in front of all others, empty at the root; `None` where the routes are mounted somewhere that is not known.
    base: Option<String>,
    routes: Vec<Route>,
}

#[derive(Clone, Debug)]
struct Route {
    template: String,
    methods: Vec<&'static str>,
}

/// A route that resembles what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Near {
    /// The methods that it takes.
    pub methods: Vec<String>,
    /// Its path. What the caller gave for a parameter stands in its place, where that is known.
    #[schema(example = "/api/jobs/{id}")]
    pub path: String,
}

/// The most routes that are named.
const MOST: usize = 3;
/// A longer path resembles nothing: the comparison takes time for each letter.
const LONGEST_PATH: usize = 200;
/// The cost of a part that is too many, or is missing.
const PART: usize = 2;

impl Known {
    /// The routes of a document under the path of its server, where it names one.
    #[must_use]
    pub fn of(document: &OpenApi) -> Self {
        let server = document.servers.iter().flatten().next();
        let base = server.map(|server| server.url.trim_end_matches('/').to_owned());
        let mut routes = Vec::new();
        for (path, item) in &document.paths.paths {
            // A path may be served in several places.
            let own = item.servers.iter().flatten().map(|server| server.url.trim_end_matches('/'));
            let own = own.map(|url| url.strip_prefix(base.as_deref().unwrap_or_default()).unwrap_or(url));
            let own: Vec<&str> = own.collect();
            for place in if own.is_empty() { vec![""] } else { own } {
                routes.push(Route { template: format!("{place}{path}"), methods: methods(item) });
            }
        }
        Self { base, routes }
    }

    /// With the application's pages, which no document describes.
    pub(crate) fn with_pages(mut self, pages: &[&str]) -> Self {
        let page = |path: &&str| Route { template: (*path).to_owned(), methods: vec!["GET"] };
        self.routes.extend(pages.iter().map(page));
        self
    }

    /// The routes that resemble the path most, the likest first; none where nothing does. Of routes that resemble it
    /// equally, those that take the method come first.
    #[must_use]
    pub fn near(&self, method: &Method, path: &str) -> Vec<Near> {
        self.near_under("", method, path)
    }

    /// The same for a path that was asked for under a mount.
    pub(crate) fn near_under(&self, mount: &str, method: &Method, path: &str) -> Vec<Near> {
        let (base, path) = self.split(mount, path);
        if path.len() > LONGEST_PATH {
            return Vec::new();
        }
        let asked = parts(&path);
        let letters: usize = asked.iter().map(|part| part.chars().count()).sum();
        // Less than two parts: a path of which each part differs resembles nothing.
        let bound = PART + (letters / 4).min(PART - 1);
        let mut near: Vec<(usize, bool, usize, &Route)> = self
            .routes
            .iter()
            .map(|route| {
                let template = parts(&route.template);
                let takes = route.methods.contains(&method.as_str());
                (distance(&asked, &template), !takes, template.len(), route)
            })
            .filter(|(distance, .., route)| *distance <= bound && shares_a_word(&asked, &route.template))
            .collect();
        near.sort_by_key(|(distance, takes_not, parts, _)| (*distance, *takes_not, *parts));
        let named = |(.., route): (usize, bool, usize, &Route)| Near {
            methods: route.methods.iter().map(|method| (*method).to_owned()).collect(),
            path: format!("{base}{}", filled(&route.template, &asked)),
        };
        near.into_iter().take(MOST).map(named).collect()
    }
}

impl Known {
    /// The part in front of the templates, and the path that is compared with them. A proxy, or who listens to it, may
    /// have taken the base away.
    fn split<'a>(&'a self, mount: &'a str, path: &'a str) -> (&'a str, Cow<'a, str>) {
        let Some(base) = &self.base else { return (mount, Cow::Borrowed(path)) };
        let whole = format!("{mount}{path}");
        let rest = whole.strip_prefix(base).map(str::to_owned);
        (base, Cow::Owned(rest.unwrap_or(whole)))
    }

    /// The methods that are taken under a path that is there.
    pub(crate) fn methods(&self, mount: &str, path: &str) -> &[&'static str] {
        let (_, path) = self.split(mount, path);
        let asked = parts(&path);
        let fits = |route: &&Route| {
            let template = parts(&route.template);
            template.len() == asked.len()
                && template.iter().zip(&asked).all(|(wanted, part)| is_parameter(wanted) || wanted == part)
        };
        let parameters =
            |route: &&Route| parts(&route.template).iter().filter(|part| is_parameter(part)).count();
        self.routes.iter().filter(fits).min_by_key(parameters).map_or(&[], |route| &route.methods)
    }
}

fn methods(item: &PathItem) -> Vec<&'static str> {
    let all = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    all.into_iter().filter(|(_, operation)| operation.is_some()).map(|(method, _)| method).collect()
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

fn is_parameter(part: &str) -> bool {
    part.starts_with('{')
}

/// True if a part of the path is a word of the template, or a slip of one.
fn shares_a_word(asked: &[&str], template: &str) -> bool {
    let mut words = parts(template).into_iter().filter(|part| !is_parameter(part));
    words.any(|word| asked.iter().any(|part| differ(part, word) <= (word.len() / 3).max(1)))
}

/// The letters that differ, whatever their case. An ending that was left out counts as one.
fn differ(part: &str, word: &str) -> usize {
    let part = part.to_lowercase();
    let whole = strsim::osa_distance(&part, word);
    word.rsplit_once('.').map_or(whole, |(stem, _)| whole.min(strsim::osa_distance(&part, stem) + 1))
}

/// The cost of making a template of a path: letters that differ, and parts that are too many or missing.
fn distance(path: &[&str], template: &[&str]) -> usize {
    let mut row: Vec<usize> = (0..=template.len()).map(|parts| parts * PART).collect();
    for (at, part) in path.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], (at + 1) * PART);
        for (column, wanted) in template.iter().enumerate() {
            let differ = if is_parameter(wanted) { 0 } else { differ(part, wanted) };
            // What stands in front or at the end is forgotten more easily than what stands between.
            let missing = if at + 1 == path.len() { PART } else { 2 * PART };
            let cost = (diagonal + differ).min(row[column] + missing).min(row[column + 1] + PART);
            diagonal = std::mem::replace(&mut row[column + 1], cost);
        }
    }
    row[template.len()]
}

/// The template with the caller's own values, where its parts are those of the path one by one. What the path has beyond it is
/// left out.
fn filled(template: &str, asked: &[&str]) -> String {
    let wanted = parts(template);
    let has_more = asked.len() > wanted.len();
    let same = wanted
        .iter()
        .zip(asked)
        .all(|(wanted, part)| is_parameter(wanted) || wanted.eq_ignore_ascii_case(part));
    if wanted.len() > asked.len() || (has_more && !same) {
        return template.to_owned();
    }
    let parts =
        wanted.iter().zip(asked).map(|(wanted, part)| if is_parameter(wanted) { part } else { wanted });
    parts.map(|part| format!("/{part}")).collect()
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.methods.join(" or "), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let route = |template: &str, methods: &[&'static str]| Route {
            template: template.into(),
            methods: methods.to_vec(),
        };
        Known {
            base: Some("/base".into()),
            routes: vec![
                route("/api/jobs", &["GET", "POST"]),
                route("/api/jobs/{id}", &["GET", "DELETE"]),
                route("/api/jobs/{id}/cancel", &["POST"]),
                route("/api/jobs/{id}/events", &["GET"]),
                route("/api/jobs/actions", &["POST"]),
                route("/api/queues/{queue}", &["GET"]),
                route("/sessions/{id}/join", &["POST"]),
                route("/sessions", &["GET", "POST"]),
                route("/api/openapi.json", &["GET"]),
            ],
        }
        .with_pages(&["/", "/admin", "/admin/jobs", "/docs"])
    }

    fn first(method: Method, path: &str) -> Option<String> {
        known().near(&method, path).first().map(ToString::to_string)
    }

    #[test]
    fn a_path_with_a_slip_is_near_to_what_was_meant() {
        for (method, path, meant) in [
            (Method::GET, "/base/api/job", "GET or POST /base/api/jobs"),
            (Method::GET, "/base/api/Jobs/", "GET or POST /base/api/jobs"),
            (Method::GET, "/base/jobs/17", "GET or DELETE /base/api/jobs/{id}"),
            (Method::GET, "/base/v1/jobs", "GET or POST /base/api/jobs"),
            (Method::GET, "/base/api/jobs/17/event", "GET /base/api/jobs/17/events"),
            (Method::POST, "/base/api/jobs/17/cancle", "POST /base/api/jobs/17/cancel"),
            (Method::GET, "/base/api/queue/mail", "GET /base/api/queues/mail"),
            (Method::POST, "/base/sessions/1/jion", "POST /base/sessions/1/join"),
            (Method::GET, "/base/api/queues/mail/x", "GET /base/api/queues/mail"),
            (Method::GET, "/base/sessoins", "GET or POST /base/sessions"),
            (Method::GET, "/base/adminn", "GET /base/admin"),
            (Method::GET, "/base/jobz", "GET or POST /base/api/jobs"),
            (Method::GET, "/base/docz", "GET /base/docs"),
            (Method::GET, "/base/api/openapi", "GET /base/api/openapi.json"),
            (Method::GET, "/base/API/JOBS", "GET or POST /base/api/jobs"),
            (Method::GET, "/base/ADMIN/", "GET /base/admin"),
        ] {
            assert_eq!(first(method, path).as_deref(), Some(meant), "{path}");
        }
    }

    #[test]
    fn what_resembles_nothing_is_near_to_nothing() {
        for path in ["/base/favicon.ico", "/base/wp-login.php", "/base/api/nowhere", "/base/nowhere", "/"] {
            assert_eq!(first(Method::GET, path), None, "{path}");
        }
        let long = format!("/base/api/job{}", "s".repeat(100_000));
        assert_eq!(first(Method::GET, &long), None);
    }

    #[test]
    fn routes_that_take_the_method_come_before_others_that_are_as_near() {
        let near = known().near(&Method::POST, "/base/api/jobs/17/cancels");
        assert_eq!(near[0].path, "/base/api/jobs/17/cancel");
        assert!(near.len() <= MOST);
    }
}
