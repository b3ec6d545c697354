//! `longhaul top`, and what a server shows on a terminal.

use crate::crew::{Act, Crew};
use crate::server::{PATIENCE, Place, client, stderr, stdout};
use crate::terminal;

#[tokio::test]
async fn a_job_is_cancelled_from_the_keyboard_and_the_terminal_is_given_back() {
    let place = Place::new();
    let crew = Crew::at(&place).await;
    let id = crew.longhaul.enqueue(Act { how: "stay".into(), n: 0 }).await.expect("it is enqueued").id;
    let question = format!("cancel {id}? y / n");
    let typed = [("stands there", "\tc"), (question.as_str(), "y"), ("cancelled, or asked to stop", "q")];
    let output = terminal::run(&place, &["top"], &[], &typed).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("\u{1b}[?1049l"), "the terminal is given back");
    let ended = crew.longhaul.wait(&id, PATIENCE).await.expect("it ends").found().expect("it is there");
    assert_eq!(ended.state, longhaul::State::Cancelled);
}

#[tokio::test]
async fn a_server_on_a_terminal_shows_addresses_that_answer_and_none_to_a_pipe() {
    let place = Place::new();
    let json = [("LONGHAUL_LOG_FORMAT", "json")];
    let output = terminal::run(&place, &["serve"], &json, &[("next start", "\u{3}")]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = stdout(&output);
    let address =
        shown.split("is at ").nth(1).and_then(|rest| rest.split("/\r\n").next()).expect("an address");
    let paths: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with('{'))
        .flat_map(str::split_whitespace)
        .filter_map(|word| word.strip_prefix(address))
        .filter(|path| path.starts_with('/'))
        .collect();
    for path in ["/admin", "/api/openapi.json", "/sessions", "/api/v1/github/analyze", "/courses"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    let server = place.serve_with(&[], &json).await;
    for path in paths.iter().filter(|path| **path != "/" && **path != "/docs") {
        let answer = client().get(server.at(path)).send().await.expect("it answers");
        assert_ne!(answer.status().as_u16(), 404, "{path}");
    }
    let log = server.log();
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
}

#[tokio::test]
async fn without_a_terminal_scripts_are_told_what_to_use() {
    let refused = Place::new().run(&["top"]).await;
    assert!(
        stderr(&refused).contains("top needs a terminal; scripts have longhaul queues --json"),
        "{refused:?}"
    );
}
