//! The README, done as it is printed: its session in a shell against a real server, and its Rust example beside
//! the one that the crate's documentation compiles.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::server::{LONGHAUL, Place, output, stderr, stdout};

const README: &str = include_str!("../../../../README.md");
const CRATE_README: &str = include_str!("../../../longhaul/README.md");

const CONFIGURATION: &str = include_str!("../../../../docs/configuration.md");

/// Stands for whatever is not worth printing.
const ELLIPSIS: &str = "…";

#[tokio::test]
async fn the_session_in_the_readme_works_as_printed() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let session = session();
    assert!(session.len() > 5, "the session has been found: {session:?}");
    // One shell for all of it, because the commands set variables for those after them.
    let mark = "— end of an answer —";
    let mut script = String::new();
    for step in &session {
        let command = step.command.replace("http://127.0.0.1:8000", &server.url);
        let command = command.replace("target/release/longhaul", LONGHAUL);
        script.push_str(&format!("{command}\nprintf '\\n%s\\n' '{mark}'\n"));
    }
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    shell.env("LONGHAUL_DATA", place.data()).stdin(Stdio::null()).kill_on_drop(true);
    let ran = output(&mut shell).await;
    assert!(ran.status.success(), "{}\n{}\n{}", stdout(&ran), stderr(&ran), server.log());

    let printed = stdout(&ran);
    let answers: Vec<&str> = printed.split(mark).collect();
    for (step, answer) in session.iter().zip(answers) {
        let (expected, answer) = (redacted(&step.answer), redacted(answer));
        assert!(
            matches(&expected, &answer),
            "{}\nshould print\n{expected}\nand prints\n{answer}",
            step.command
        );
    }
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

#[test]
fn every_file_that_the_documents_link_to_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for document in
        ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/states.md", "docs/configuration.md"]
    {
        let text = std::fs::read_to_string(root.join(document)).expect(document);
        let folder = root.join(document);
        let folder = folder.parent().expect("a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let is_file = !link.is_empty() && !link.contains("://");
            assert!(!is_file || folder.join(link).exists(), "{document} links to {link}, which is not there");
        }
    }
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

/// A command of the session, and what it prints.
#[derive(Debug)]
struct Step {
    command: String,
    answer: String,
}

/// The first block of the README with prompts in it: lines after `$ ` are commands, lines that follow a backslash
/// belong to them, and the rest is what they print.
fn session() -> Vec<Step> {
    let text = blocks(README, "sh").find(|block| block.starts_with("$ ")).expect("a session");
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.into(), answer: String::new() }),
            (None, Some(step)) if step.command.ends_with('\\') => step.command.extend(["\n", line]),
            (None, Some(step)) => step.answer.extend([line, "\n"]),
            (None, None) => panic!("the session begins with a command"),
        }
    }
    steps
}

/// Replaces what differs from run to run: ids, times and durations.
fn redacted(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+');
    let mut out = String::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        out.push_str(&placeholder(word));
        rest = &rest[word.len()..];
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn placeholder(word: &str) -> String {
    let hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    let uuid = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| hex(part, length))
    };
    if let Some(at) = word.len().checked_sub(36).filter(|&at| word.is_char_boundary(at) && uuid(&word[at..]))
    {
        return format!("{}ID", &word[..at]);
    }
    let is_time =
        word.len() >= 19 && word.as_bytes()[10] == b'T' && word.bytes().filter(|b| *b == b':').count() >= 2;
    if is_time { "TIME".into() } else { word.into() }
}

/// Whether `answer` is what `expected` says, where an ellipsis stands for anything and the ends of lines for spaces.
fn matches(expected: &str, answer: &str) -> bool {
    let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (expected, answer) = (spaced(expected), spaced(answer));
    let parts: Vec<&str> = expected.split(ELLIPSIS).map(str::trim).collect();
    let [first, middle @ .., last] = &parts[..] else { return expected == answer };
    let Some(mut rest) = answer.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn block<'a>(text: &'a str, language: &'a str) -> &'a str {
    blocks(text, language).next().expect("a block of code")
}

fn blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let starts: Vec<usize> = text.match_indices(&fence).map(|(at, fence)| at + fence.len()).collect();
    starts.into_iter().map(|start| text[start..].split("```").next().unwrap_or_default())
}

#[test]
fn redaction_and_ellipses_hide_no_more_than_they_should() {
    let a =
        r#"{"id":"materials-0199c1f2-7a31-7c10-b7a5-0b8a3c1d9e55","at":"2026-01-02T03:04:05.678Z","n":3}"#;
    assert_eq!(redacted(a), r#"{"id":"materials-ID","at":"TIME","n":3}"#);
    assert!(matches("a\n…\nd", "a\nb\nc\nd") && matches("a…", "a") && matches("a…c…e", "abcde"));
    assert!(
        !matches("a…d", "abc") && !matches("a", "ab") && !matches("ab", "a") && !matches("a…c…e", "abde")
    );
    assert!(!matches("a…b…b", "ab"), "no text stands for two parts");
}
