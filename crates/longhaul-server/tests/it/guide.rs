//! The guide in `docs`: its links lead somewhere, its table of contents has every page, and its doors work as printed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fakes::pages::Session;
use tokio::process::Command;

use crate::server::{LONGHAUL, Place};

const SERVER_DOOR: &str = include_str!("../../../../docs/start/server.md");
const WATCH: &str = include_str!("../../../../docs/guides/watch.md");
const UNIQUE: &str = include_str!("../../../../docs/guides/unique.md");
const APPROVAL: &str = include_str!("../../../../docs/patterns/approval.md");
const ERASURE: &str = include_str!("../../../../docs/erasure.md");
const REFERENCE: &str = include_str!("../../../../docs/reference.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page of the repository, by its path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = root();
    let mut pages = BTreeMap::new();
    let mut folders =
        vec![root.join("docs"), root.join("clients"), root.join("crates"), root.join("services")];
    let own = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root.join(name));
    let mut files: Vec<PathBuf> = own.to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !["node_modules", "target", "tests"].contains(&name) {
                folders.push(path);
            } else if name.ends_with(".md") {
                files.push(path);
            }
        }
    }
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a text");
        pages.insert(file.strip_prefix(&root).expect("it is within").to_owned(), text);
    }
    pages
}

/// The text without what stands in fenced blocks and between backticks.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let parts = line.split('`').enumerate().filter(|(at, _)| at % 2 == 0);
            parts.for_each(|(_, part)| prose.push_str(part));
            prose.push('\n');
        }
    }
    prose
}

/// The anchors that a page has, as GitHub and mdBook make them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
        })
        .collect()
}

#[test]
fn every_link_of_every_page_leads_to_a_file_and_to_a_heading_of_it() {
    let (root, pages) = (root(), pages());
    let mut faults = Vec::new();
    let mut links = 0;
    for (page, text) in &pages {
        for link in prose(text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let link = link.split_whitespace().next().unwrap_or_default();
            if link.contains("://") || link.starts_with("mailto:") || link.is_empty() {
                continue;
            }
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            // A crate's page is read as documentation of its code, too, where a name is a link.
            if path.is_empty() && anchor.is_empty()
                || path.contains("::")
                || !path.contains(['.', '/']) && !path.is_empty()
            {
                continue;
            }
            let target = if path.is_empty() {
                root.join(page)
            } else {
                root.join(page).parent().expect("a folder").join(path)
            };
            if !target.exists() {
                faults.push(format!("{} links to {link}, which is not there", page.display()));
            } else if !anchor.is_empty() && target.extension().is_some_and(|end| end == "md") {
                let text = std::fs::read_to_string(&target).expect("a page");
                if !anchors(&text).contains(anchor) {
                    faults.push(format!("{} links to {link}, which has no such heading", page.display()));
                }
            }
        }
        for file in text.split("{{#include ").skip(1).filter_map(|rest| rest.split("}}").next()) {
            if !root.join(page).parent().expect("a folder").join(file).is_file() {
                faults.push(format!("{} includes {file}, which is not there", page.display()));
            }
        }
    }
    assert!(links > 100, "{links} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_of_contents_has_every_page_of_the_guide() {
    let docs = root().join("docs");
    let contents = std::fs::read_to_string(docs.join("SUMMARY.md")).expect("the table of contents");
    let listed: BTreeSet<PathBuf> =
        contents.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(PathBuf::from).collect();
    let pages: BTreeSet<PathBuf> = pages()
        .into_keys()
        .filter_map(|page| page.strip_prefix("docs").ok().map(Path::to_owned))
        .filter(|page| !page.ends_with("SUMMARY.md"))
        .collect();
    assert_eq!(listed, pages);
}

#[tokio::test]
async fn the_door_of_the_server_works_as_printed() {
    let place = Place::new();
    let server = place.serve(&["--accept-unknown-kinds"]).await;
    let session = Session::read(SERVER_DOOR);
    assert!(session.steps.len() >= 8, "the session has been found: {session:?}");
    session.check(&[("http://127.0.0.1:8000", server.url.as_str())], Command::new("sh")).await;
}

#[tokio::test]
async fn the_guide_to_what_jobs_do_works_as_printed() {
    let place = Place::new();
    let server = place.serve(&["--accept-unknown-kinds"]).await;
    let mut shell = Command::new("sh");
    shell.current_dir(place.data());
    Session::read(WATCH).check(&[("http://127.0.0.1:8000", server.url.as_str())], shell).await;
}

#[tokio::test]
async fn the_requests_of_the_guide_and_of_the_patterns_are_answered_as_printed() {
    let place = Place::new();
    let server = place.serve(&["--accept-unknown-kinds"]).await;
    for page in [UNIQUE, APPROVAL] {
        let shell = Command::new("sh");
        Session::read(page).check(&[("http://127.0.0.1:8000", server.url.as_str())], shell).await;
    }
}

#[tokio::test]
async fn the_page_on_erasure_works_as_printed() {
    let place = Place::new();
    let server = place.serve(&["--services", "lessons"]).await;
    let mut shell = Command::new("sh");
    let folder = Path::new(LONGHAUL).parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").expect("a path");
    shell.env("PATH", format!("{folder}:{path}")).env("LONGHAUL_DATA", place.data());
    Session::read(ERASURE).check(&[("http://127.0.0.1:8000", server.url.as_str())], shell).await;
}

#[tokio::test]
async fn the_example_of_the_reference_works_as_printed() {
    let place = Place::new();
    let server = place.serve(&["--services", "lessons"]).await;
    Session::read(REFERENCE)
        .check(&[("http://127.0.0.1:8000", server.url.as_str())], Command::new("sh"))
        .await;
}
