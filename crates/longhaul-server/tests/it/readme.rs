//! The README, done as it is printed: its session in a shell against a real server, and its Rust example beside
//! the one that the crate's documentation compiles.

use std::collections::BTreeSet;

use fakes::pages::Session;
use tokio::process::Command;

use crate::server::{LONGHAUL, Place};

const README: &str = include_str!("../../../../README.md");
const CRATE_README: &str = include_str!("../../../longhaul/README.md");

const CONFIGURATION: &str = include_str!("../../../../docs/configuration.md");

#[tokio::test]
async fn the_session_in_the_readme_works_as_printed() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let session = Session::read(README);
    assert!(session.steps.len() > 5, "the session has been found: {session:?}");
    let mut shell = Command::new("sh");
    shell.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).env("LONGHAUL_DATA", place.data());
    let replacing = [("http://127.0.0.1:8000", server.url.as_str()), ("target/quick/longhaul", LONGHAUL)];
    session.check(&replacing, shell).await;
}

#[test]
fn the_example_in_the_readme_is_the_one_that_is_compiled() {
    let example = block(README, "rust");
    assert!(example.contains("impl Job for"), "the example has been found");
    // Lines that only the compiler needs are hidden in the crate's documentation by a leading `# `.
    let shown = |line: &&str| *line != "#" && !line.starts_with("# ");
    let compiled: Vec<&str> = block(CRATE_README, "rust").lines().filter(shown).collect();
    assert_eq!(example.lines().collect::<Vec<_>>(), compiled);
}

#[tokio::test]
async fn every_flag_is_in_the_page_on_configuration() {
    let help = Place::new().printed(&["serve", "--help"]).await;
    let flags = help.split("[env: ").skip(1).filter_map(|rest| rest.split('=').next());
    let variables: BTreeSet<&str> = flags.collect();
    assert!(variables.contains("LONGHAUL_LISTEN"), "{help}");
    for variable in variables {
        assert!(CONFIGURATION.contains(&format!("`{variable}`")), "{variable} is not explained");
    }
}

fn block<'a>(text: &'a str, language: &'a str) -> &'a str {
    blocks(text, language).next().expect("a block of code")
}

fn blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let starts: Vec<usize> = text.match_indices(&fence).map(|(at, fence)| at + fence.len()).collect();
    starts.into_iter().map(|start| text[start..].split("```").next().unwrap_or_default())
}
