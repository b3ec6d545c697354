//! The pages beside the dashboard, as a browser and a terminal get them.

use std::collections::BTreeSet;

use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::server::{Place, Server, client};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn get(server: &Server, path: &str, accept: &str) -> Response {
    client().get(server.at(path)).header("accept", accept).send().await.expect("an answer")
}

async fn text(server: &Server, path: &str, accept: &str) -> String {
    get(server, path, accept).await.text().await.expect("a text")
}

fn links(page: &str) -> BTreeSet<&str> {
    page.split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| !link.starts_with("data:"))
        .collect()
}

#[tokio::test]
async fn the_first_page_says_what_runs_and_every_link_of_it_leads_somewhere() {
    let place = Place::new();
    let server = place.serve(&["--services", "lessons,materials", "--docs", "not-built"]).await;
    let answer = get(&server, "/", BROWSER).await;
    assert!(answer.headers()["content-type"].to_str().expect("a text").starts_with("text/html"));
    let policy = answer.headers()["content-security-policy"].to_str().expect("a text").to_owned();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"),
        "{policy}"
    );
    let page = answer.text().await.expect("a page");
    assert!(!page.contains("<script") && !page.contains("style=\""), "{page}");
    for told in [env!("CARGO_PKG_VERSION"), "SQLite", "lessons", "materials", "POST /lessons", "/courses"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(!page.contains("sessions") && !page.contains(place.data().to_str().expect("a path")), "{page}");
    let links = links(&page);
    assert!(links.len() >= 8, "{links:?}");
    let reference = text(&server, "/api/reference", BROWSER).await;
    for link in links {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let is_guide = path == "/docs";
        let status = get(&server, path, BROWSER).await.status();
        assert_eq!(status, if is_guide { StatusCode::NOT_FOUND } else { StatusCode::OK }, "{link}");
        assert!(anchor.is_empty() || reference.contains(&format!("id=\"{anchor}\"")), "{link}");
    }

    let told = get(&server, "/", "*/*").await;
    assert_eq!(told.headers()["content-type"], "text/plain; charset=utf-8");
    let told = told.text().await.expect("a text");
    for word in
        ["SQLite", "/admin", "/api/reference", "/docs", "/api/openapi.json", "POST   /lessons", "materials"]
    {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(told.lines().all(|line| line.chars().count() <= 160 && line == line.trim_end()), "{told}");
}

#[tokio::test]
async fn behind_a_proxy_the_links_of_the_pages_have_its_path() {
    let place = Place::new();
    let server = place.serve(&["--services", "lessons", "--base-path", "/longhaul"]).await;
    for path in
        ["/longhaul/", "/longhaul", "/", "/longhaul/api/reference", "/longhaul/api/job", "/longhaul/lesson"]
    {
        let page = text(&server, path, BROWSER).await;
        let links = links(&page);
        let inside = links.iter().all(|link| link.starts_with('#') || link.starts_with("/longhaul"));
        assert!(inside && !links.is_empty(), "{path}: {links:?}");
    }
    let problem: Value =
        serde_json::from_str(&text(&server, "/longhaul/api/job", "*/*").await).expect("a problem");
    assert_eq!(problem["nearest"][0]["path"], "/longhaul/api/jobs");
    let document: Value =
        serde_json::from_str(&text(&server, "/api/openapi.json", "*/*").await).expect("JSON");
    assert_eq!(document["servers"][0]["url"], "/longhaul");
}

#[tokio::test]
async fn a_path_with_a_slip_is_a_page_for_a_browser_and_a_problem_for_a_program() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    for (slip, meant) in [
        ("/api/job", "/api/jobs"),
        ("/api/queues/mail/x", "/api/queues/mail"),
        ("/lesson/english/verbs", "/lessons/english/verbs"),
        ("/api/course", "/api/courses"),
        ("/helth", "/health"),
        ("/adminn", "/admin"),
        ("/jobz", "/api/jobs"),
        ("/docz", "/docs"),
        ("/api/openapi", "/api/openapi.json"),
        ("/API/JOBS", "/api/jobs"),
        ("/READY", "/ready"),
    ] {
        let answer = get(&server, slip, "*/*").await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{slip}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{slip}");
        let problem: Value = answer.json().await.expect("a problem");
        let near: Vec<&str> = problem["nearest"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|n| n["path"].as_str())
            .collect();
        assert!(near.contains(&meant), "{slip}: {problem}");
        let page = get(&server, slip, BROWSER).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND, "{slip}");
        let page = page.text().await.expect("a page");
        assert!(page.contains(&format!("href=\"{meant}\"")), "{slip}: {page}");
    }
    // What a path holds is shown, and is no part of the page.
    let page = text(&server, "/%3Cb%3E/<b>x</b>", BROWSER).await;
    assert!(page.contains("Nothing is here") && !page.contains("<b>"), "{page}");
    // The services answer below their paths in their own words, to browsers as well.
    for accept in [BROWSER, "*/*"] {
        let own = text(&server, "/api/v1/github/analyse", accept).await;
        assert!(
            own.starts_with("{\"detail\":\"Not Found: did you mean POST /api/v1/github/analyze?"),
            "{own}"
        );
        let gone = text(&server, "/api/jobs/none-of-that-name", accept).await;
        assert!(gone.contains("no_such_job"), "{gone}");
    }
}

#[tokio::test]
async fn the_reference_has_every_operation_and_schema_of_the_document_with_an_example_each() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let document: Value =
        serde_json::from_str(&text(&server, "/api/openapi.json", "*/*").await).expect("JSON");
    let page = text(&server, "/api/reference", BROWSER).await;
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for told in
            item.as_object().expect("an item").values().filter_map(|told| told["operationId"].as_str())
        {
            operations += 1;
            assert!(page.contains(&format!("<article id=\"{told}\">")), "{told} of {path}");
        }
    }
    assert!(operations > 60, "{operations}");
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    assert_eq!(page.matches("<pre>curl -s").count(), operations);
    let mut ids = BTreeSet::new();
    for id in page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.insert(id), "{id} stands twice");
    }
    let inner: Vec<&str> = links(&page).into_iter().filter_map(|link| link.strip_prefix('#')).collect();
    let lost: Vec<&&str> = inner.iter().filter(|link| !ids.contains(**link)).collect();
    assert!(inner.len() > 100 && lost.is_empty(), "{lost:?}");
    assert!(page.matches("-d '{&quot;").count() > 20, "examples have bodies");
}

#[tokio::test]
async fn the_guide_is_served_where_it_was_built_and_else_its_place_says_how() {
    let place = Place::new();
    let server = place.serve(&["--services", "lessons", "--docs", "not-built"]).await;
    let missing = get(&server, "/docs/concepts.html", BROWSER).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.expect("a page").contains("make docs"));

    let book = place.data().with_file_name("book");
    std::fs::create_dir_all(book.join("services")).expect("a folder");
    std::fs::write(book.join("index.html"), "<p>the guide</p>").expect("a file");
    std::fs::write(book.join("services/lessons.html"), "<p>lessons</p>").expect("a file");
    std::fs::write(place.data().with_file_name("secret"), "secret").expect("a file");
    let place = Place::new();
    let server = place.serve(&["--docs", book.to_str().expect("a path")]).await;
    assert!(text(&server, "/docs", BROWSER).await.contains("the guide"));
    assert!(text(&server, "/docs/", BROWSER).await.contains("the guide"));
    let page = get(&server, "/docs/services/lessons.html", BROWSER).await;
    assert!(
        page.headers()["content-security-policy"].to_str().expect("a text").starts_with("default-src 'none'")
    );
    assert!(page.text().await.expect("a page").contains("lessons"));
    assert_eq!(get(&server, "/docs/none.html", "*/*").await.status(), StatusCode::NOT_FOUND);
    for outside in ["/docs/%2e%2e/secret", "/docs/..%2fsecret"] {
        assert!(!text(&server, outside, "*/*").await.contains("secret"), "{outside}");
    }
}

#[tokio::test]
async fn a_page_that_is_posted_to_answers_as_the_api_does() {
    let place = Place::new();
    let server = place.serve(&["--services", "lessons", "--docs", "not-built"]).await;
    for path in ["/", "/admin", "/admin/queues", "/docs", "/api/reference"] {
        let answer = client().post(server.at(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = answer.json().await.expect("a problem");
        let told = (&problem["code"], &problem["detail"]);
        let expected = ("method_not_allowed".into(), "the path does not take POST; it takes GET".into());
        assert_eq!(told, (&expected.0, &expected.1), "{path}");
    }
    assert_eq!(get(&server, "/admin/login", BROWSER).await.status(), StatusCode::OK);
}
