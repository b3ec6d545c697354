//! The page on remote workers, done as it is printed.

use std::process::Stdio;
use std::time::Duration;

use longhaul::{Clock, Longhaul, MemoryStore};
use longhaul_http::{HttpConfig, router};
use tokio::net::TcpListener;
use tokio::process::Command;

const PAGE: &str = include_str!("../../../../docs/remote-workers.md");
/// Stands for whatever is not worth printing.
const ELLIPSIS: &str = "…";
const MARK: &str = "-- end of an answer --";

#[tokio::test]
async fn the_session_in_the_page_on_remote_workers_works_as_printed() {
    let longhaul = Longhaul::new(MemoryStore::with_clock(Clock::system()));
    let api = axum::Router::new().nest("/api", router(longhaul, HttpConfig::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, api).await });

    let session = session();
    assert!(session.len() >= 9, "the session has been found: {session:?}");
    let commands = session.iter().map(|(command, _)| command.replace("http://127.0.0.1:8000", &url));
    let script: String = commands.map(|command| format!("{command}\nprintf '\\n%s\\n' '{MARK}'\n")).collect();
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = tokio::time::timeout(Duration::from_secs(60), shell.kill_on_drop(true).output()).await;
    let ran = ran.expect("it ends in time").unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{printed}\n{}", String::from_utf8_lossy(&ran.stderr));
    for ((command, expected), answer) in session.iter().zip(printed.split(MARK)) {
        let (expected, answer) = (expected.trim(), answer.trim());
        assert!(is_as_printed(expected, answer), "{command}\nshould print\n{expected}\nand prints\n{answer}");
    }
    serving.abort();
}

/// The commands of the page's shell blocks with what each prints: lines after `$ ` are commands, those that follow until
/// the quotes are closed and no backslash is left belong to them, and the rest is the answer.
fn session() -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    for block in PAGE.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push((command.into(), String::new())),
                (None, Some((command, _))) if is_unfinished(command) => command.extend(["\n", line]),
                (None, Some((_, answer))) => answer.extend([line, "\n"]),
                (None, None) => panic!("a block begins with a command"),
            }
        }
    }
    steps
}

fn is_unfinished(command: &str) -> bool {
    command.ends_with('\\') || command.matches('\'').count() % 2 == 1
}

/// Whether `answer` is what `expected` says, where an ellipsis stands for anything.
fn is_as_printed(expected: &str, answer: &str) -> bool {
    let parts: Vec<&str> = expected.split(ELLIPSIS).collect();
    let [first, middle @ .., last] = &parts[..] else { return expected == answer };
    let Some(mut rest) = answer.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn an_ellipsis_hides_no_more_than_it_should() {
    assert!(is_as_printed("a…c…e", "abcde") && is_as_printed("a", "a"));
    assert!(!is_as_printed("a…d", "abc") && !is_as_printed("a", "ab") && !is_as_printed("a…b…b", "ab"));
}
