//! Help, flags and the commands that end by themselves.

use crate::server::{Place, stderr, stdout};

#[tokio::test]
async fn every_command_has_help_with_examples() {
    let place = Place::new();
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["worker", "--help"],
        &["token", "--help"],
        &["jobs", "--help"],
        &["jobs", "list", "--help"],
        &["jobs", "show", "--help"],
        &["jobs", "tail", "--help"],
        &["jobs", "retry", "--help"],
        &["jobs", "graph", "--help"],
        &["jobs", "fork", "--help"],
        &["jobs", "signal", "--help"],
        &["jobs", "redeem", "--help"],
        &["jobs", "create", "--help"],
        &["run", "--help"],
        &["queues", "--help"],
        &["queues", "pause", "--help"],
        &["queues", "retention", "--help"],
        &["queues", "set", "--help"],
        &["keys", "--help"],
        &["keys", "list", "--help"],
        &["keys", "set", "--help"],
        &["keys", "pause", "--help"],
        &["schedules", "--help"],
        &["schedules", "set", "--help"],
        &["deliveries", "--help"],
        &["webhook-secrets", "--help"],
        &["tokens", "--help"],
        &["audit", "--help"],
        &["workers", "--help"],
        &["why", "--help"],
        &["whoami", "--help"],
        &["kinds", "--help"],
        &["errors", "--help"],
        &["stats", "--help"],
        &["top", "--help"],
        &["doctor", "--help"],
        &["completions", "--help"],
        &["migrate", "--help"],
        &["backup", "--help"],
        &["export", "--help"],
        &["import", "--help"],
        &["bench", "--help"],
    ] {
        let help = place.printed(command).await;
        assert!(help.contains("Examples:\n  "), "{command:?} has no examples:\n{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 120, "{command:?} has a long line: {line}");
        }
    }
}

#[tokio::test]
async fn every_flag_has_a_variable() {
    let place = Place::new();
    for command in ["serve", "worker", "migrate"] {
        let help = place.printed(&[command, "--help"]).await;
        let flags: Vec<&str> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
        assert!(flags.contains(&"--data"), "{help}");
        for line in help.lines().map(str::trim).filter(|line| line.starts_with("--")) {
            let flag = line.trim_start_matches("--").split([' ', '=']).next().expect("a name");
            let variable = format!("[env: LONGHAUL_{}=", flag.replace('-', "_").to_uppercase());
            assert!(help.contains(&variable), "{command} --{flag} has no {variable}…]:\n{help}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_way_out() {
    let place = Place::new();
    for (args, expected) in [
        (
            &["serve", "--services", "lesons"][..],
            "[possible values: sessions, github, lessons, curriculum, materials]",
        ),
        (&["serve", "--store", "mysql://db/jobs"], "use sqlite:PATH"),
        (&["serve", "--database", "redis://db"], "tables are kept in sqlite:PATH or postgres://"),
        (&["serve", "--store", "jobs.db"], "use sqlite:PATH"),
        (&["worker", "--queues", "mail=0"], "the slots must be 1 to 4096"),
        (&["serve", "--listen", "8000"], "invalid socket address"),
        (&["serve", "--slots", "0"], "0 is not in 1..=4096"),
        (&["serve", "--listen", "0.0.0.0:0"], "Set LONGHAUL_ADMIN_TOKEN"),
        (&["jobs", "list"], "there is no store at"),
        (&["jobs", "list", "--parent", "a b"], "must be 1 to 128 characters"),
        (&["queues", "list"], "there is no store at"),
        (&["queues", "show"], "<QUEUE>"),
        (&["token"], "--sub <USER>"),
        (&["sing"], "unrecognized subcommand"),
    ] {
        let output = place.run(args).await;
        assert!(!output.status.success(), "{args:?} is refused");
        assert!(stderr(&output).contains(expected), "{args:?} says {expected:?}, not:\n{}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?} prints nothing");
        assert!(!place.data().exists(), "{args:?} leaves nothing behind");
    }
}

#[tokio::test]
async fn flags_can_be_set_in_the_environment() {
    let place = Place::new();
    let mut serve = place.command(&["serve"]);
    let output = crate::server::output(serve.env("LONGHAUL_SERVICES", "nonsense")).await;
    assert!(
        stderr(&output).contains("invalid value 'nonsense' for '--services <LIST>'"),
        "{}",
        stderr(&output)
    );
    let mut serve = place.command(&["serve"]);
    let output = crate::server::output(serve.env("LONGHAUL_LISTEN", "192.0.2.1:1")).await;
    assert!(stderr(&output).contains("192.0.2.1:1 can be reached"), "{}", stderr(&output));
}

#[tokio::test]
async fn migrating_twice_does_nothing() {
    let place = Place::new();
    let first = place.printed(&["migrate"]).await;
    assert!(first.contains("longhaul.db is up to date"), "{first}");
    assert_eq!(place.printed(&["migrate"]).await, first);
}

#[tokio::test]
async fn jobs_of_an_empty_store_are_none() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let list = place.printed(&["jobs", "list"]).await;
    assert_eq!(list.lines().count(), 1, "only the headings: {list}");
    assert_eq!(place.printed(&["jobs", "list", "--json"]).await, "");
    let elsewhere = place.run(&["jobs", "list", "--data", "/nonexistent"]).await;
    assert!(!elsewhere.status.success(), "the place can be named after the command, too");
    assert!(stderr(&elsewhere).contains("/nonexistent"), "{}", stderr(&elsewhere));
    for act in ["retry", "cancel"] {
        assert_eq!(place.printed(&["jobs", act, "--state", "failed"]).await.split(' ').next(), Some("0"));
        let all = place.run(&["jobs", act]).await;
        assert!(stderr(&all).contains("name jobs by id, or say which ones"), "{}", stderr(&all));
        assert_eq!(all.status.code(), Some(2), "jobs {act}");
        let unknown = place.run(&["jobs", act, "nobody"]).await;
        assert!(!unknown.status.success());
        assert!(stderr(&unknown).contains("there is no job nobody"), "{}", stderr(&unknown));
    }
    let unknown = place.run(&["jobs", "show", "nobody"]).await;
    assert!(
        stderr(&unknown).starts_with("longhaul: there is no job nobody, and none whose id begins so"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn queues_are_looked_at_and_what_has_failed_is_retried_or_cleaned_away() {
    let place = Place::new();
    let path = place.data().join("longhaul.db");
    fail_jobs(&path, 0).await;
    assert_eq!(place.printed(&["queues", "list"]).await.lines().count(), 1, "only the headings");
    let missing = stderr(&place.run(&["queues", "show", "mail"]).await);
    assert!(missing.contains("there is no queue mail: nothing was ever enqueued here"), "{missing}");
    fail_jobs(&path, 3).await;

    let list = place.printed(&["queues", "list"]).await;
    let row: Vec<&str> = list.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row, ["mail", "0", "0", "0", "0", "0", "3", "0"], "{list}");
    let shown = place.printed(&["queues", "show", "mail"]).await;
    for line in ["failed     3", "keeps      failed for 14 days"] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
    let json = place.printed(&["queues", "show", "mail", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["states"]["failed"], &json["counts"]["failed"]), (&3.into(), &3.into()));
    let lines = place.printed(&["queues", "list", "--json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(lines.trim()).expect("JSON"), json);

    let retried = place.printed(&["queues", "retry-failed", "mail", "--limit", "1"]).await;
    assert_eq!(retried, "1 of 3 failed jobs of mail will run again\n");
    let cleaned = place.printed(&["queues", "clean-failed", "mail"]).await;
    assert_eq!(cleaned, "2 of 2 failed jobs of mail removed\n");
    assert_eq!(
        place.printed(&["queues", "clean-failed", "mail"]).await,
        "0 of 0 failed jobs of mail removed\n"
    );
    let list = place.printed(&["queues", "list"]).await;
    let row: Vec<&str> = list.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row, ["mail", "0", "0", "1", "0", "0", "0", "0"], "{list}");
    let missing = stderr(&place.run(&["queues", "retry-failed", "post"]).await);
    assert!(missing.contains("there is no queue post; there are mail"), "{missing}");
}

/// Makes jobs of the queue `mail` that have failed.
async fn fail_jobs(path: &std::path::Path, count: usize) {
    use longhaul::Store;
    use longhaul_conformance::jobs::{failed, finish, job, slots};

    let store = longhaul_sqlite::SqliteStore::open(path).await.expect("the store opens");
    let jobs = (0..count).map(|_| longhaul::NewJob { queue: "mail".into(), ..job() });
    store.enqueue(jobs.collect()).await.expect("they are enqueued");
    let claim = longhaul::Claim { queues: vec![slots("mail", count)], ..longhaul_conformance::jobs::claim() };
    let claimed = store.claim(claim).await.expect("they are claimed");
    let ends = claimed.iter().map(|claimed| finish(&claimed.lease, failed()));
    store.finish(ends.collect()).await.expect("they fail");
}
