//! The commands that look at jobs and act on them, by id and by search.

use std::sync::Arc;

use longhaul::stats::{FeedNews, Recorder};
use longhaul::{JobId, Json, NewJob, State};
use serde_json::Value;

use crate::crew::{Act, Crew};
use crate::server::{Place, stderr, stdout, until};

async fn enqueued(place: &Place, count: u64) {
    let longhaul = Crew::idle(place).await;
    for n in 0..count {
        longhaul.enqueue(Act { how: "stay".into(), n }).await.expect("it is enqueued");
    }
}

#[tokio::test]
async fn all_that_fit_are_counted_before_anything_is_done_to_them() {
    let place = Place::new();
    enqueued(&place, 5).await;
    let counted = place.printed(&["jobs", "cancel", "--queue", "stage", "--dry-run"]).await;
    assert_eq!(counted, "5 fit, and 5 of them it would change\n");
    let some = place.printed(&["jobs", "cancel", "--queue", "stage", "--limit", "2", "--json"]).await;
    let some: Value = serde_json::from_str(&some).expect("JSON");
    assert_eq!((&some["done"], &some["complete"]), (&2.into(), &false.into()), "{some}");
    let moved = place
        .printed(&["jobs", "set-priority", "--queue", "stage", "--state", "available", "--priority", "-5"])
        .await;
    assert_eq!(moved, "3 moved\n");
    let job = place.printed(&["jobs", "list", "--state", "available", "--limit", "1", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&job).expect("JSON")["priority"], -5);
    let rest = place.printed(&["jobs", "cancel", "--state", "available"]).await;
    assert_eq!(rest, "3 cancelled, or asked to stop\n");
    // What is deleted does not come back, so nobody deletes by a slip of a script.
    let refused = place.run(&["jobs", "delete", "--state", "cancelled"]).await;
    assert_eq!(stderr(&refused), "longhaul: 5 jobs would be deleted: add --yes\n");
    let deleted = place.printed(&["jobs", "delete", "--state", "cancelled", "--yes"]).await;
    assert_eq!(deleted, "5 deleted\n");
    assert_eq!(place.printed(&["jobs", "list", "--json"]).await, "");
}

#[tokio::test]
async fn jobs_are_acted_on_by_id_and_what_cannot_be_says_why() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    let id = longhaul.enqueue(Act { how: "stay".into(), n: 1 }).await.expect("it is enqueued").id.to_string();
    let early = place.run(&["jobs", "delete", &id]).await;
    assert!(
        stderr(&early).contains("the job is available; this is for finished jobs, cancel it first"),
        "{early:?}"
    );
    assert!(stderr(&early).ends_with("longhaul: 1 of the jobs named were left alone\n"), "{early:?}");
    let job = place.printed(&["jobs", "cancel", &id, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&job).expect("JSON")["state"], "cancelled");
    assert_eq!(place.printed(&["jobs", "retry", &id]).await, format!("{id} will run again\n"));
    let both = place.run(&["jobs", "retry", &id, "--state", "failed"]).await;
    assert!(stderr(&both).contains("by id or by a search, not by both"), "{both:?}");
    assert_eq!(both.status.code(), Some(2));
    let shown = place.printed(&["jobs", "show", &id, "--json"]).await;
    assert!(shown.starts_with("{\n  \"id\": "), "{shown}");
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON")["args"]["n"], 1);
}

#[tokio::test]
async fn the_history_of_a_queue_is_bounded_by_age_and_count() {
    let place = Place::new();
    enqueued(&place, 1).await;
    let set = [
        "queues",
        "retention",
        "stage",
        "--completed",
        "7d",
        "--failed",
        "30d,10000",
        "--cancelled",
        "forever",
    ];
    let expected = "completed for 7 days\nfailed for 30 days, at most 10000\ncancelled for ever\n";
    assert_eq!(place.printed(&set).await, expected);
    assert_eq!(
        place.printed(&["queues", "retention", "stage"]).await,
        expected,
        "without bounds it only tells"
    );
    let wrong = place.run(&["queues", "retention", "stage", "--failed", "soon"]).await;
    assert!(stderr(&wrong).contains("use 12h, 7d, 10000, 7d,10000 or forever"), "{wrong:?}");
    let list = place.printed(&["queues"]).await;
    assert!(list.starts_with("QUEUE") && list.contains("stage"), "{list}");
}

#[tokio::test]
async fn workers_are_listed_with_their_slots() {
    let place = Place::new();
    let nobody = place.printed(&["migrate"]).await;
    assert!(nobody.contains("up to date"));
    assert!(place.printed(&["workers"]).await.starts_with("no worker was heard of"));
    let server = place.serve(&["--services", "lessons"]).await;
    // The server listens before its worker is first heard of.
    let list = async || place.printed(&["workers", "--url", &server.url]).await;
    let list = until(list, |list| !list.starts_with("no worker was heard of")).await;
    assert!(list.contains("lessons=64"), "{list}");
    let json = place.printed(&["workers", "--json"]).await;
    let worker: Value = serde_json::from_str(json.lines().next().expect("a worker")).expect("JSON");
    assert_eq!(worker["queues"][0]["queue"], "lessons");
}

#[tokio::test]
async fn a_search_has_the_words_of_the_dashboard() {
    let place = Place::new();
    let _crew = Crew::at(&place).await;
    let run = async |args: &[&str]| {
        let args = [&["run", "act", "--queue", "stage", "--wait", "--quiet"], args].concat();
        place.run(&args).await
    };
    run(&["how=lines", "n=7", "--id", "one", "--label", "env=test"]).await;
    run(&["how=lines", "n=8", "--id", "two"]).await;
    run(&["how=talk", "n=7", "--id", "three"]).await;
    for (words, expected) in [
        (&["state:failed"][..], &["two", "one"][..]),
        (&["state:failed", "-label.env:test"], &["two"]),
        (&["args.n:7"], &["three", "one"]),
        (&["queue:stage state:failed args.n:7"], &["one"]),
        (&["forgot its lines", "id:two"], &["two"]),
        (&["-state:failed"], &["three"]),
    ] {
        let list = place.printed(&[&["jobs", "list", "--json"], words].concat()).await;
        let ids: Vec<String> = list
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("an id").to_owned()
            })
            .collect();
        assert_eq!(ids, expected, "{words:?}");
    }
    let done = place.printed(&["jobs", "delete", "state:failed", "-label.env:test", "--yes"]).await;
    assert_eq!(done, "1 deleted\n");
    let again = place.printed(&["jobs", "retry", "one", "--args", "{\"how\":\"talk\",\"n\":9}"]).await;
    assert_eq!(again, "one will run again\n");
    let tail = place.run(&["jobs", "tail", "one"]).await;
    assert!(tail.status.success() && stdout(&tail).contains("output 9"), "{tail:?}");
    let wrong = place.run(&["jobs", "list", "state:broken"]).await;
    assert!(!wrong.status.success() && stderr(&wrong).contains("state"), "{wrong:?}");
}

#[tokio::test]
async fn a_job_that_waits_says_why_and_a_paused_queue_how_to_go_on() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    let id = longhaul.enqueue(Act { how: "talk".into(), n: 1 }).await.expect("it is enqueued").id;
    let why = place.printed(&["why", id.as_str()]).await;
    assert!(why.contains("is available") && why.contains("no worker serves its queue stage"), "{why}");
    let paused = place.printed(&["queues", "pause", "stage"]).await;
    assert_eq!(paused, "stage is paused: 1 jobs wait; longhaul queues resume stage goes on\n");
    let crew = Crew::at(&place).await;
    let why = place.printed(&["why", id.as_str()]).await;
    assert!(why.contains("its queue stage is paused: longhaul queues resume stage goes on"), "{why}");
    assert!(place.printed(&["queues"]).await.contains("paused"));
    let json: Value =
        serde_json::from_str(&place.printed(&["why", id.as_str(), "--json"]).await).expect("JSON");
    assert!(json["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{json}");
    let resumed = place.printed(&["queues", "resume", "stage"]).await;
    assert!(resumed.starts_with("stage is not paused"), "{resumed}");
    let ended = crew
        .longhaul
        .wait(&id, crate::server::PATIENCE)
        .await
        .expect("it ends")
        .found()
        .expect("it is there");
    assert!(ended.state.is_finished());
    let why = place.printed(&["why", id.as_str()]).await;
    assert!(why.contains("is completed") && why.contains("it has ended"), "{why}");
    let unknown = place.run(&["why", "nobody"]).await;
    let told = "longhaul: there is no job nobody, and none whose id begins so; longhaul jobs list shows what is there\n";
    assert_eq!(stderr(&unknown), told);
}

#[tokio::test]
async fn what_a_server_has_done_is_counted_and_its_failures_are_grouped() {
    let place = Place::new();
    let server = place.serve(&["--services", "lessons"]).await;
    let asked = async |args: &[&str]| place.run(&[args, &["--url", &server.url]].concat()).await;
    for _ in 0..2 {
        let failed = asked(&["run", "lessons.generate", "{}", "--wait", "--max-attempts", "1"]).await;
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    }
    let errors = stdout(&asked(&["errors", "--json"]).await);
    let group: Value = serde_json::from_str(errors.lines().next().expect("a group")).expect("JSON");
    assert_eq!((&group["kind"], &group["count"]), (&"lessons.generate".into(), &2.into()), "{group}");
    let fingerprint = group["fingerprint"].as_str().expect("a fingerprint");
    let table = stdout(&asked(&["errors"]).await);
    assert!(table.contains("FINGERPRINT") && table.contains(fingerprint), "{table}");
    let jobs = stdout(&asked(&["jobs", "list", "--json", &format!("error:{fingerprint}")]).await);
    assert_eq!(jobs.lines().count(), 2, "{jobs}");
    let stats: Value = serde_json::from_str(&stdout(&asked(&["stats", "--json"]).await)).expect("JSON");
    assert_eq!(stats["kinds"][0]["failed"], 2, "{stats}");
    let table = stdout(&asked(&["stats"]).await);
    assert!(table.contains("queue lessons") && table.contains("kind lessons.generate"), "{table}");
    let kinds = stdout(&asked(&["kinds"]).await);
    let row = kinds.lines().find(|line| line.starts_with("lessons.generate")).unwrap_or_default();
    assert!(!row.is_empty() && !row.contains("no worker runs it"), "{kinds}");
}

/// The subcommands that a help names.
fn subcommands(help: &str) -> Vec<String> {
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let words = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    words
        .filter_map(|line| line.split_whitespace().next())
        .filter(|w| *w != "help")
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_command_that_offers_json_prints_json() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    let enqueue =
        async || longhaul.enqueue(Act { how: "stay".into(), n: 1 }).await.expect("it is enqueued").id;
    let (one, other) = (enqueue().await.to_string(), enqueue().await.to_string());
    place.printed(&["jobs", "cancel", &one]).await;
    let schedule = ["act", "--queue", "stage", "--every", "1h"];
    for name in ["nightly", "hourly"] {
        place.printed(&[&["schedules", "set", name], &schedule[..]].concat()).await;
    }
    place.printed(&["keys", "set", "tenant:*", "--slots", "2"]).await;
    place.printed(&["webhook-secrets", "add"]).await;
    place.printed(&["tokens", "create", "shop", "--scope", "viewer"]).await;
    let jobs = place.data().join("jobs.json");
    std::fs::write(&jobs, "{\"kind\":\"act\",\"args\":1}").expect("it is written");
    let jobs = jobs.to_str().expect("UTF-8");
    let mut commands = vec![vec!["queues".to_owned()]];
    for command in subcommands(&place.printed(&["--help"]).await) {
        let below = subcommands(&place.printed(&[&command, "--help"]).await);
        commands.extend(below.iter().map(|below| vec![command.clone(), below.clone()]));
        commands.push(vec![command]);
    }
    let mut seen = Vec::new();
    for command in commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let help = place.printed(&[&words[..], &["--help"]].concat()).await;
        if !help.contains("--json\n") && !help.contains("--json ") {
            continue;
        }
        let words = words.join(" ");
        let more = match words.as_str() {
            "run" => vec!["act", "--queue", "stage"],
            "why" => vec![other.as_str()],
            "jobs show"
            | "jobs tail"
            | "jobs graph"
            | "jobs steps"
            | "jobs retry"
            | "jobs fork"
            | "jobs cancel"
            | "jobs delete"
            | "deliveries"
            | "deliveries list"
            | "deliveries redeliver" => {
                vec![one.as_str()]
            }
            "jobs signal" => vec![other.as_str(), "go", "1"],
            "jobs set-priority" => vec!["--state", "available", "--priority", "3"],
            "queues show"
            | "queues pause"
            | "queues resume"
            | "queues retention"
            | "queues fair"
            | "queues retry-failed"
            | "queues clean-failed" => {
                vec!["stage"]
            }
            "jobs create" => vec![jobs],
            "tokens create" => vec!["painter", "--scope", "worker:images"],
            "queues set" => vec!["stage", "--max-waiting", "9"],
            "keys set" => vec!["tenant", "--slots", "2"],
            "keys show" | "keys pause" | "keys resume" | "keys remove" => vec!["tenant"],
            "schedules set" => [&["nightly"], &schedule[..]].concat(),
            "schedules show" | "schedules run" | "schedules pause" | "schedules resume"
            | "schedules delete" => {
                vec!["nightly"]
            }
            // Their examples name others, or users of the services, whose tests read what is printed.
            "top" | "jobs" | "erase" => continue,
            // A server signs them.
            "jobs token" | "jobs signal-token" | "jobs redeem" => continue,
            _ => Vec::new(),
        };
        let args = [&words.split(' ').collect::<Vec<_>>()[..], &more[..], &["--json"]].concat();
        let printed = place.run(&args).await;
        assert_ne!(printed.status.code(), Some(2), "{args:?}: {}", stderr(&printed));
        let values =
            serde_json::Deserializer::from_str(&stdout(&printed)).into_iter::<Value>().collect::<Vec<_>>();
        assert!(values.iter().all(Result::is_ok), "{args:?}: {}", stdout(&printed));
        assert!(
            !values.is_empty()
                || words.starts_with("deliveries")
                || matches!(words.as_str(), "errors" | "workers" | "kinds" | "jobs steps"),
            "{args:?} prints nothing"
        );
        seen.push(words);
    }
    assert!(seen.len() > 15 && seen.iter().any(|words| words == "queues"), "{seen:?}");
    let misplaced = place.run(&["queues", "--json", "show", "stage"]).await;
    assert!(stderr(&misplaced).contains("--json stands behind the subcommand"), "{misplaced:?}");
}

#[tokio::test]
async fn a_queue_is_paused_and_configured_before_its_first_job() {
    let place = Place::new();
    enqueued(&place, 1).await;
    let paused = place.run(&["queues", "pause", "later"]).await;
    assert_eq!(stdout(&paused), "later is paused: 0 jobs wait; longhaul queues resume later goes on\n");
    assert_eq!(
        stderr(&paused),
        "no job was ever in a queue later; there are stage\n",
        "the name may be mistyped"
    );
    assert_eq!(stderr(&place.run(&["queues", "pause", "later"]).await), "", "by now it is known");
    for _ in 0..2 {
        let resumed = place.run(&["queues", "resume", "later"]).await;
        assert_eq!(stdout(&resumed), "later is not paused: 0 jobs wait for a worker\n");
        assert!(resumed.status.success(), "as often as it is sent: {resumed:?}");
    }
    let bound = place.run(&["queues", "set", "next", "--max-waiting", "9"]).await;
    assert!(stdout(&bound).starts_with("next: ") && bound.status.success(), "{bound:?}");
    assert_eq!(
        stderr(&bound),
        "no job was ever in a queue next; there are stage\n",
        "one that goes on is as new again"
    );
    let again = place.run(&["queues", "set", "next", "--on-full", "drop-oldest"]).await;
    assert_eq!((stderr(&again).as_str(), again.status.success()), ("", true));
    place.run(&["queues", "fair", "turns"]).await;
    assert!(place.printed(&["queues", "show", "turns"]).await.contains("turns"));
    let mistyped = place.run(&["queues", "resume", "stge"]).await;
    assert_eq!(stderr(&mistyped), "no job was ever in a queue stge; there are next, stage, turns\n");
}

#[tokio::test]
async fn what_a_command_did_is_counted_and_told_by_the_time_that_it_ends() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    let id = longhaul.enqueue(Act { how: "stay".into(), n: 1 }).await.expect("it is enqueued").id.to_string();
    let recorder = Recorder::start(Arc::clone(longhaul.store()));
    let mut feed = recorder.feed().await.expect("the store is there");
    let made = place.printed(&["run", "act", "how=stay", "--queue", "stage", "--id", "second"]).await;
    assert_eq!(made, "second\n");
    assert_eq!(place.printed(&["jobs", "cancel", &id]).await, format!("{id} cancelled, or asked to stop\n"));
    let all: Value = serde_json::from_str(&place.printed(&["stats", "--json"]).await).expect("JSON");
    let sum = |field: &str| -> u64 {
        all["series"].as_array().expect("a series").iter().filter_map(|point| point[field].as_u64()).sum()
    };
    // The first was enqueued by a process that nobody counts in.
    assert_eq!((sum("enqueued"), sum("cancelled")), (1, 1), "{all}");
    let mut told = Vec::new();
    while told.len() < 2 {
        match feed.next().await.expect("the feed goes on") {
            FeedNews::Items(items) => told.extend(items.iter().map(|item| (item.id.to_string(), item.state))),
            FeedNews::Gap => panic!("nothing was left out"),
        }
    }
    assert_eq!(told, [("second".to_owned(), Some(State::Available)), (id, Some(State::Cancelled))]);
    // What is done to all of a queue is told as what is done to some.
    fail(&place, "second").await;
    place.printed(&["queues", "retry-failed", "stage"]).await;
    let FeedNews::Items(items) = feed.next().await.expect("the feed goes on") else {
        panic!("nothing was left out")
    };
    let told: Vec<_> = items.iter().map(|item| (item.id.as_str(), item.state)).collect();
    assert_eq!(told, [("second", Some(State::Available))]);
}

/// Makes the waiting job of the stage fail. Nobody is told: no recorder listens to this store.
async fn fail(place: &Place, id: &str) {
    use longhaul::Store;
    use longhaul_conformance::jobs::{claim, failed, finish, kind, slots};

    let store = longhaul_sqlite::SqliteStore::open(place.data().join("longhaul.db")).await.expect("it opens");
    let claim = longhaul::Claim { queues: vec![slots("stage", 1)], kinds: vec![kind("act", 1)], ..claim() };
    let claimed = store.claim(claim).await.expect("it is claimed").pop().expect("a job");
    assert_eq!(claimed.lease.id.as_str(), id);
    store.finish(vec![finish(&claimed.lease, failed())]).await.expect("it ends");
}

#[tokio::test]
async fn a_prefix_that_no_other_id_has_names_a_job() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    for name in ["mails", "mails-1", "mails-2", "reports-1", "re"] {
        let job = NewJob { id: Some(JobId::new(name).expect("an id")), ..NewJob::new("act", Json::null()) };
        longhaul.enqueue_one(job).await.expect("it is enqueued");
    }
    let shown = place.printed(&["jobs", "show", "repo"]).await;
    assert!(shown.starts_with("id         reports-1\n"), "{shown}");
    assert!(place.printed(&["why", "repor"]).await.starts_with("reports-1 is available"));
    let told = place.printed(&["jobs", "tail", "reports", "--no-follow"]).await;
    assert!(told.contains("is available"), "{told}");
    assert_eq!(place.printed(&["jobs", "cancel", "repo"]).await, "reports-1 cancelled, or asked to stop\n");
    assert_eq!(
        place.printed(&["jobs", "retry", "repo", "--dry-run"]).await,
        "reports-1 is there; nothing was done\n"
    );
    assert_eq!(place.printed(&["jobs", "retry", "repo"]).await, "reports-1 will run again\n");
    assert_eq!(
        place.printed(&["jobs", "set-priority", "repo", "--priority", "3"]).await,
        "reports-1 moved\n"
    );
    // The whole id wins, and is told what it is whatever its length.
    assert!(place.printed(&["jobs", "show", "mails"]).await.starts_with("id         mails\n"));
    assert!(place.printed(&["jobs", "show", "re"]).await.starts_with("id         re\n"));
    for (words, told) in [
        (
            ["jobs", "show", "mail"],
            "longhaul: mail is the prefix of several ids; give more of it:\n  mails-2  act available\n  \
          mails-1  act available\n  mails  act available\n",
        ),
        (
            ["jobs", "show", "rep"],
            "longhaul: there is no job rep; a prefix of an id does from 4 characters on\n",
        ),
        (["jobs", "tail", "a b"], "longhaul: there is no job a b; longhaul jobs list searches for a text\n"),
        (
            ["jobs", "show", "nobody"],
            "longhaul: there is no job nobody, and none whose id begins so; longhaul jobs list shows \
          what is there\n",
        ),
    ] {
        let refused = place.run(&words).await;
        assert_eq!((stderr(&refused).as_str(), refused.status.code()), (told, Some(1)), "{words:?}");
    }
    let some = place.run(&["jobs", "cancel", "mail", "nobody", "mails-1"]).await;
    assert_eq!(stdout(&some), "mails-1 cancelled, or asked to stop\n", "the others are left alone: {some:?}");
    assert!(stderr(&some).ends_with("longhaul: 2 of the jobs named were left alone\n"), "{some:?}");
    assert_eq!(place.printed(&["jobs", "list", "id:mails-*", "--json"]).await.lines().count(), 2);
}

#[tokio::test]
async fn a_command_whose_reader_went_away_does_its_work_and_ends_quietly() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    for name in ["mails-1", "mails-2", "mails-3"] {
        let job = NewJob { id: Some(JobId::new(name).expect("an id")), ..NewJob::new("act", Json::null()) };
        longhaul.enqueue_one(job).await.expect("it is enqueued");
    }
    let closed = || std::io::pipe().expect("a pipe").1;
    for (args, code) in [
        (&["token", "--sub", "ada"][..], 0),
        (&["migrate"], 0),
        (&["completions", "bash"], 0),
        (&["run", "act", "how=stay", "n=1", "--queue", "stage"], 0),
        (&["run", "act", "how=stay", "n=1", "--queue", "stage", "--json"], 0),
        (&["jobs", "list"], 0),
        (&["jobs", "show", "mails-1"], 0),
        (&["jobs", "cancel", "mails-1", "mails-2"], 0),
        (&["jobs", "delete", "mails-1", "nobody", "mails-2"], 1),
        (&["jobs", "show", "nobody"], 1),
        (&["queues", "pause", "later"], 0),
        (&["queues", "retention", "stage"], 0),
        (&["queues", "retry-failed", "stage"], 0),
        (&["workers"], 0),
        (&["stats"], 0),
    ] {
        let mut command = place.command(args);
        let unread = command.stdout(closed()).stderr(std::process::Stdio::piped()).output().await;
        let unread = unread.expect("it runs");
        let told = stderr(&unread);
        assert_eq!(unread.status.code(), Some(code), "{args:?}: {told}");
        assert!(code == 1 || !told.contains("longhaul: "), "{args:?} reports a failure: {told}");
        let mut command = place.command(args);
        let unheard = command.stdout(closed()).stderr(closed()).status().await.expect("it runs");
        assert_ne!(unheard.code(), Some(101), "{args:?} panics where nobody hears it");
    }
    let left: Vec<_> =
        place.printed(&["jobs", "list", "id:mails-*", "--json"]).await.lines().map(str::to_owned).collect();
    assert_eq!(left.len(), 1, "those after the first are deleted, too: {left:?}");
}
