//! `longhaul run` and `longhaul jobs tail`: what they tell of a job, where, and how they end.

use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::crew::Crew;
use crate::server::{PATIENCE, Place, stderr, stdout};

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[tokio::test]
async fn a_job_that_is_waited_for_tells_its_progress_and_ends_with_its_output() {
    let place = Place::new();
    let _crew = Crew::at(&place).await;
    let run = place.run(&["run", "act", "how=talk", "n=7", "--queue", "stage", "--wait"]).await;
    assert_eq!((code(&run), stdout(&run).as_str()), (Some(0), "7\n"), "{}", stderr(&run));
    let told = stderr(&run);
    for line in [
        "25 % clears its throat\n",
        "warn: somebody coughs\n",
        "to be, [2Jor not to be\n",
        "75 % bows\n",
        "completed\n",
    ] {
        assert!(told.contains(line), "{line:?} in\n{told}");
    }
    // The queue of a kind that was there before needs no name.
    let run = place.run(&["run", "act", "{\"how\":\"talk\"}", "--wait", "--quiet"]).await;
    assert_eq!((code(&run), stdout(&run).as_str(), stderr(&run).as_str()), (Some(0), "0\n", ""));
}

#[tokio::test]
async fn the_exit_code_tells_how_a_job_ended() {
    let place = Place::new();
    let crew = Crew::at(&place).await;
    let act = |args: &[&'static str]| [&["run", "act", "--queue", "stage", "--wait"], args].concat();
    let failed = place.run(&act(&["how=lines"])).await;
    assert_eq!((code(&failed), stdout(&failed).as_str()), (Some(1), ""));
    assert!(stderr(&failed).contains("failed: forgot its lines"), "{}", stderr(&failed));

    let given_up = place.run(&act(&["how=stay", "--give-up-after", "100ms", "--id", "hamlet"])).await;
    assert_eq!(code(&given_up), Some(4), "{}", stderr(&given_up));
    assert!(
        stderr(&given_up).contains("the job goes on: longhaul jobs tail hamlet"),
        "{}",
        stderr(&given_up)
    );
    let same = act(&["how=stay", "--give-up-after", "100ms", "--id", "hamlet"]);
    let again = place.run(&same).await;
    assert!(stderr(&again).starts_with("hamlet stands for it already\n"), "{}", stderr(&again));

    // It is followed by another process when it is cancelled.
    let mut tail = place.command(&["jobs", "tail", "hamlet"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(tail.stdout.take().expect("piped")).lines();
    // A worker that is slow to take it lets it be told of before.
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("a line");
        let line = line.expect("it is told that it runs");
        if line.ends_with("#1 10 % stands there") || line.ends_with("is running") {
            break;
        }
    }
    crew.longhaul.cancel(&longhaul::JobId::new("hamlet").expect("an id")).await.expect("it is cancelled");
    let status = timeout(PATIENCE, tail.wait()).await.expect("in time").expect("it ends");
    assert_eq!(status.code(), Some(3));
    let ended = place.run(&["jobs", "tail", "hamlet", "--json"]).await;
    assert_eq!(code(&ended), Some(3));
    let last: serde_json::Value =
        serde_json::from_str(stdout(&ended).lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["event"], &last["data"]["state"]), (&"state".into(), &"cancelled".into()));
    let after = last["id"].to_string();
    let nothing = place.run(&["jobs", "tail", "hamlet", "--after", &after]).await;
    assert_eq!(
        (code(&nothing), stdout(&nothing).as_str()),
        (Some(3), ""),
        "all was seen, and its end still tells"
    );

    let wrong = place.run(&act(&["{how:"])).await;
    assert_eq!(code(&wrong), Some(2), "{}", stderr(&wrong));
    assert!(stderr(&wrong).contains("quote it for the shell"), "{}", stderr(&wrong));
    for words in [&["--at", "tomorrow"][..], &["--priority", "500"], &["--url", "127.0.0.1:1"]] {
        let wrong = place.run(&[&["run", "act", "--queue", "stage"], words].concat()).await;
        assert_eq!(code(&wrong), Some(2), "{words:?}: {}", stderr(&wrong));
    }
    let wrong = place.run(&["run", "an act", "--queue", "stage"]).await;
    assert_eq!(code(&wrong), Some(2), "{}", stderr(&wrong));
    let nobody = place.run(&["run", "act", "--wait", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!(code(&nobody), Some(5));
    assert!(stderr(&nobody).contains("is `longhaul serve` running there?"), "{}", stderr(&nobody));
    let unknown = place.run(&["run", "welcome"]).await;
    assert!(
        stderr(&unknown).contains("its queue is not known: name it with --queue"),
        "{}",
        stderr(&unknown)
    );
}

#[tokio::test]
async fn a_server_is_asked_the_same_and_refuses_what_it_does_not_know() {
    let place = Place::new();
    let secret = "0123456789abcdef-secret";
    let server = place.serve_with(&["--no-worker"], &[("LONGHAUL_ADMIN_TOKEN", secret)]).await;
    let _crew = Crew::at(&place).await;
    let run = ["run", "act", "how=talk", "n=3", "--queue", "stage", "--wait", "--quiet"];
    // From elsewhere: nothing but the address leads there.
    let elsewhere = Place::new();
    let asked = async |args: &[&str], token: &str| {
        let mut command = elsewhere.command(args);
        command.env("LONGHAUL_URL", &server.url).env("LONGHAUL_TOKEN", token);
        crate::server::output(&mut command).await
    };
    let refused = asked(&run, "").await;
    assert_eq!(code(&refused), Some(5));
    assert!(stderr(&refused).contains("Set LONGHAUL_TOKEN"), "{}", stderr(&refused));
    let unknown = asked(&run, secret).await;
    assert!(stderr(&unknown).contains("kind is not known here; the kinds are "), "{}", stderr(&unknown));
    drop(server);

    let server = place
        .serve_with(&["--no-worker", "--accept-unknown-kinds"], &[("LONGHAUL_ADMIN_TOKEN", secret)])
        .await;
    let mut command = elsewhere.command(&run);
    command.env("LONGHAUL_URL", &server.url).env("LONGHAUL_ADMIN_TOKEN", secret);
    let run = crate::server::output(&mut command).await;
    assert_eq!((code(&run), stdout(&run).as_str(), stderr(&run).as_str()), (Some(0), "3\n", ""));
    let list = |place: &Place, args: &[&str]| {
        let mut command = place.command(&[&["jobs", "list", "--json"], args].concat());
        command.env("LONGHAUL_URL", &server.url).env("LONGHAUL_TOKEN", secret);
        command
    };
    let remote = crate::server::output(&mut list(&elsewhere, &["--queue", "stage"])).await;
    let local = place.printed(&["jobs", "list", "--json", "--queue", "stage"]).await;
    assert_eq!(stdout(&remote), local, "{}", stderr(&remote));
    assert_eq!(local.lines().count(), 1);
    // A store that is named goes before the server of the environment; both named are too many.
    let data = place.data();
    let named =
        crate::server::output(&mut list(&elsewhere, &["--data", data.to_str().expect("UTF-8")])).await;
    assert_eq!(stdout(&named), local, "{}", stderr(&named));
    let both = place.run(&["jobs", "list", "--data", ".", "--url", &server.url]).await;
    assert_eq!(code(&both), Some(2), "{}", stderr(&both));
}

#[tokio::test]
async fn ctrl_c_ends_the_waiting_and_twice_the_job() {
    let place = Place::new();
    let _crew = Crew::at(&place).await;
    for (id, flag, interrupts, status, state) in [
        ("left", None, 1, 130, "running"),
        ("stopped", None, 2, 130, "cancelled"),
        ("told", Some("--cancel-on-interrupt"), 1, 3, "cancelled"),
    ] {
        let args = ["run", "act", "how=stay", "--queue", "stage", "--wait", "--id", id];
        let mut child = place.command(&args).args(flag).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut told = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut until = async |words: &str| {
            loop {
                let line = timeout(PATIENCE, told.next_line()).await.expect("in time").expect("a line");
                if line.expect("it says so before it ends").contains(words) {
                    return;
                }
            }
        };
        until("stands there").await;
        let pid = child.id().expect("it runs");
        interrupt(pid).await;
        if interrupts == 2 {
            until("once more cancels it").await;
            interrupt(pid).await;
        }
        let ended = timeout(PATIENCE, child.wait()).await.expect("in time").expect("it ends");
        assert_eq!(ended.code(), Some(status), "{id}");
        let mut rest = String::new();
        told.into_inner().read_to_string(&mut rest).await.expect("the rest");
        if state == "cancelled" {
            let tail = place.run(&["jobs", "tail", id]).await;
            assert_eq!(code(&tail), Some(3), "{id}: {}", stdout(&tail));
        }
        let shown = place.printed(&["jobs", "show", id]).await;
        let told = if state == "cancelled" { "cancelled (asked)" } else { state };
        assert!(shown.contains(&format!("state      {told}\n")), "{id}: {shown}");
    }
}

async fn interrupt(pid: u32) {
    let status =
        Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status().await.expect("sh runs");
    assert!(status.success());
}

#[tokio::test]
async fn a_job_that_says_nothing_is_followed_no_longer_than_somebody_reads_it() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    place.printed(&["run", "act", "--queue", "stage", "--id", "silent"]).await;
    let mut tail = place.command(&["jobs", "tail", "silent"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(tail.stdout.take().expect("piped")).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("a line");
    assert!(line.as_ref().is_some_and(|line| line.ends_with("is available")), "{line:?}");
    drop(lines);
    let ended = timeout(PATIENCE, tail.wait()).await.expect("in time").expect("it ends");
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn a_wait_outlives_the_server_that_it_asked() {
    let place = Place::new();
    let server = place.serve(&["--no-worker", "--accept-unknown-kinds"]).await;
    let (url, address) = (server.url.clone(), server.url.trim_start_matches("http://").to_owned());
    let crew = Crew::at(&place).await;
    let args = ["run", "act", "how=stay", "--queue", "stage", "--wait", "--id", "long", "--url", &url];
    let mut child = place.command(&args).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut told = BufReader::new(child.stderr.take().expect("piped")).lines();
    loop {
        let line = timeout(PATIENCE, told.next_line()).await.expect("in time").expect("a line");
        if line.expect("it says so").contains("stands there") {
            break;
        }
    }
    server.kill().await;
    let _again = place.serve(&["--no-worker", "--listen", &address]).await;
    let id = longhaul::JobId::new("long").expect("an id");
    crew.longhaul.cancel(&id).await.expect("it is cancelled");
    let ended = timeout(PATIENCE, child.wait()).await.expect("in time").expect("it ends");
    assert_eq!(ended.code(), Some(3), "it was there when the job ended");
    let mut rest = String::new();
    told.into_inner().read_to_string(&mut rest).await.expect("the rest");
    assert!(
        !rest.contains("stands there") && rest.contains("cancelled"),
        "what was told is not told again: {rest}"
    );
}
