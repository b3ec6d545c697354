//! The fate of a second job of a key, jobs that end by time, and bounds on what waits, as commands say and tell them.

use serde_json::Value;

use crate::crew::Crew;
use crate::server::{Place, stderr, stdout};

const RUN: [&str; 4] = ["run", "act", "--queue", "stage"];

/// A job, as the API has it.
async fn shown(place: &Place, id: &str) -> Value {
    serde_json::from_str(&place.printed(&["jobs", "show", id, "--json"]).await).expect("JSON")
}

#[tokio::test]
async fn each_mode_of_a_unique_key_tells_what_became_of_the_second_job() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let run = async |args: &[&str]| {
        let output = place.run(&[&RUN[..], args].concat()).await;
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        (stdout(&output).trim().to_owned(), stderr(&output))
    };
    let first = run(&["n=1", "--unique", "k", "--id", "first"]).await;
    assert_eq!(first, ("first".to_owned(), String::new()));
    let joined = run(&["n=2", "--unique", "k"]).await;
    assert_eq!(joined, ("first".to_owned(), "first stands for it already\n".to_owned()));
    let replaced = run(&["n=3", "--unique", "k", "--on-clash", "replace", "--delay", "1h"]).await;
    assert!(replaced.1.contains("has taken on these args and this time"), "{replaced:?}");
    let holder = shown(&place, "first").await;
    assert_eq!((&holder["args"]["n"], &holder["state"]), (&3.into(), &"scheduled".into()), "{holder}");

    let refused = place
        .run(&[&RUN[..], &["n=4", "--unique", "k", "--on-clash", "reject", "--id", "no"]].concat())
        .await;
    assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(5), ""));
    for words in ["job first holds the unique key; nothing was created", "--on-clash says what else"] {
        assert!(stderr(&refused).contains(words), "{refused:?}");
    }
    assert!(stderr(&place.run(&["jobs", "show", "no"]).await).contains("there is no job no"));

    let newest = run(&["n=5", "--unique", "k", "--on-clash", "supersede", "--id", "newest"]).await;
    assert_eq!(newest, ("newest".to_owned(), String::new()));
    let old = shown(&place, "first").await;
    assert_eq!((&old["state"], &old["cancel_reason"]), (&"cancelled".into(), &"superseded".into()));
    let text = place.printed(&["jobs", "show", "first"]).await;
    assert!(text.contains("state      cancelled (superseded)\n"), "{text}");
    let why = place.printed(&["why", "first"]).await;
    assert!(why.contains("it was cancelled: a newer job has taken its unique key (superseded)"), "{why}");
    let list = place.printed(&["jobs", "list", "id:first"]).await;
    assert!(list.contains("superseded"), "{list}");

    // The first of a throttle lets no other through, also after its end; the last of a burst waits for its end.
    for (id, line) in [("newest", "act:k (held by this job)"), ("first", "act:k (held by newest)")] {
        let text = place.printed(&["jobs", "show", id]).await;
        assert!(text.contains(&format!("unique     {line}\n")), "{text}");
    }
    let throttle = ["--unique", "t", "--on-clash", "throttle", "--period", "1h"];
    let through = run(&[&["n=6", "--id", "through"], &throttle[..]].concat()).await;
    assert_eq!(through.0, "through");
    place.printed(&["jobs", "cancel", "through"]).await;
    let kept_out = run(&[&["n=7"], &throttle[..]].concat()).await;
    assert_eq!(kept_out.0, "through");
    assert!(kept_out.1.contains("through: it was cancelled: somebody asked"), "{kept_out:?}");
    let debounce = ["--unique-on", "how", "--on-clash", "debounce:1h,2h"];
    let burst = run(&[&["how=talk", "n=8", "--id", "burst"], &debounce[..]].concat()).await;
    assert_eq!(burst, ("burst".to_owned(), String::new()));
    let last = run(&[&["how=talk", "n=9"], &debounce[..]].concat()).await;
    assert_eq!(last.0, "burst");
    assert_eq!(run(&[&["how=fail", "n=9", "--id", "other"], &debounce[..]].concat()).await.0, "other");
    let burst = shown(&place, "burst").await;
    assert_eq!((&burst["args"]["n"], &burst["state"]), (&9.into(), &"scheduled".into()), "{burst}");
    let leading = ["--unique", "l", "--on-clash", "debounce:1h,leading"];
    run(&[&["n=1", "--id", "lead"], &leading[..]].concat()).await;
    assert_eq!(run(&[&["n=2"], &leading[..]].concat()).await.0, "lead");
    assert_eq!(shown(&place, "lead").await["state"], "available");

    // A holder that only waits keeps nobody out who names running jobs alone.
    let states = ["--unique", "s", "--unique-states", "running"];
    run(&[&["n=1", "--id", "waits"], &states[..]].concat()).await;
    assert_eq!(run(&[&["n=2", "--id", "beside"], &states[..]].concat()).await.0, "beside");
}

#[tokio::test]
async fn a_job_that_runs_into_its_deadline_ends_its_command_with_the_reason() {
    let place = Place::new();
    let _crew = Crew::at(&place).await;
    let cut =
        place.run(&[&RUN[..], &["how=stay", "--wait", "--deadline", "200ms", "--id", "late"]].concat()).await;
    assert_eq!(cut.status.code(), Some(3), "{cut:?}");
    assert!(stderr(&cut).ends_with("it was cancelled: it did not end in time (deadline)\n"), "{cut:?}");
    let json = [&RUN[..], &["how=stay", "--wait", "--quiet", "--json", "--deadline", "100ms"]].concat();
    let cut = place.run(&json).await;
    let job: Value = serde_json::from_str(&stdout(&cut)).expect("JSON");
    assert_eq!((&job["cancel_reason"], stderr(&cut).as_str()), (&"deadline".into(), ""));
    let shown = place.printed(&["jobs", "show", "late"]).await;
    assert!(
        shown.contains("state      cancelled (deadline)\n") && shown.contains("\ndeadline   20"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_job_that_waits_tells_by_when_it_must_start_and_end() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let times = ["--id", "soon", "--expires-in", "1h", "--deadline", "2100-01-01T00:00:00Z"];
    place.printed(&[&RUN[..], &times].concat()).await;
    let shown = place.printed(&["jobs", "show", "soon"]).await;
    assert!(
        shown.contains("\nexpires    20") && shown.contains("\ndeadline   2100-01-01T00:00:00Z\n"),
        "{shown}"
    );
    let why = place.printed(&["why", "soon"]).await;
    assert!(why.contains("it is cancelled unless it is started, or has ended, by 20"), "{why}");
    place.printed(&["jobs", "cancel", "soon"]).await;
    let why = place.printed(&["why", "soon"]).await;
    assert!(why.contains("somebody asked") && !why.contains("unless"), "{why}");
}

#[tokio::test]
async fn a_bound_on_a_queue_refuses_or_drops_what_is_too_many() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let run = async |args: &[&str]| place.run(&[&RUN[..], args].concat()).await;
    run(&["--id", "oldest"]).await;
    let set = place.printed(&["queues", "set", "stage", "--max-waiting", "1"]).await;
    assert_eq!(set, "stage: at most 1 wait; one more is refused\n");
    let full = run(&["--id", "many", "--wait"]).await;
    assert_eq!((full.status.code(), stdout(&full).as_str()), (Some(5), ""));
    for words in ["as many jobs wait in queue stage as may; nothing was created", "longhaul queues set"] {
        assert!(stderr(&full).contains(words), "{full:?}");
    }

    let set = place.printed(&["queues", "set", "stage", "--on-full", "drop-newest", "--json"]).await;
    let config = &serde_json::from_str::<Value>(&set).expect("JSON")["config"];
    assert_eq!((&config["max_waiting"], &config["on_full"]), (&1.into(), &"drop_newest".into()));
    let dropped = run(&["--id", "newest"]).await;
    assert_eq!((dropped.status.code(), stdout(&dropped).as_str()), (Some(0), "newest\n"));
    assert_eq!(shown(&place, "newest").await["cancel_reason"], "dropped");
    let waited = run(&["--id", "waited", "--wait"]).await;
    assert_eq!(waited.status.code(), Some(3));
    assert!(stderr(&waited).contains("too many jobs waited (dropped)"), "{waited:?}");

    place.printed(&["queues", "set", "stage", "--on-full", "drop-oldest"]).await;
    assert_eq!(stdout(&run(&["--id", "fresh"]).await), "fresh\n");
    assert_eq!(shown(&place, "oldest").await["cancel_reason"], "dropped");
    let queue = place.printed(&["queues", "show", "stage"]).await;
    assert!(queue.contains("bound      at most 1 wait; one more cancels the oldest of them\n"), "{queue}");
    let free = place.printed(&["queues", "set", "stage", "--max-waiting", "none"]).await;
    assert_eq!(free, "stage: any number of jobs may wait\n");
    assert!(run(&["--id", "another"]).await.status.success());
}

#[tokio::test]
async fn a_bound_on_a_limit_key_counts_its_jobs_of_all_queues() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let set = ["keys", "set", "tenant:*", "--max-waiting", "1", "--on-full", "reject", "--json"];
    let set: Value = serde_json::from_str(&place.printed(&set).await).expect("JSON");
    assert_eq!((&set["max_waiting"], &set["on_full"]), (&1.into(), &"reject".into()));
    let run = async |queue: &str, key: &str| place.run(&["run", "act", "--queue", queue, "--key", key]).await;
    assert!(run("stage", "tenant:1").await.status.success());
    let full = run("street", "tenant:1").await;
    assert!(stderr(&full).contains("tenant:1") && stderr(&full).contains("longhaul keys set"), "{full:?}");
    assert!(run("street", "tenant:2").await.status.success(), "each name of the prefix has its own");
    let table = place.printed(&["keys"]).await;
    assert!(table.contains("1 of 1"), "{table}");
}

#[tokio::test]
async fn a_job_says_its_limit_keys_and_what_it_takes_of_their_limits() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let flags = ["--queue", "stage", "--key", "provider", "--limit-key", "tenant:1", "--cost-slots", "2"];
    place.printed(&[&["run", "act", "--id", "a", "--cost-rate", "1200"], &flags[..]].concat()).await;
    let job = shown(&place, "a").await;
    assert_eq!(job["limit_keys"], serde_json::json!(["provider", "tenant:1"]));
    assert_eq!(job["cost"], serde_json::json!({"slots": 2, "rate": 1200}));
    let set = ["schedules", "set", "often", "act", "--every", "1m", "--json"];
    let schedule: Value =
        serde_json::from_str(&place.printed(&[&set[..], &flags[..]].concat()).await).expect("JSON");
    assert_eq!(schedule["job"]["limit_keys"], job["limit_keys"]);
    assert_eq!(schedule["job"]["cost"], serde_json::json!({"slots": 2, "rate": 1}));
}

#[tokio::test]
async fn a_schedule_says_which_of_its_jobs_count_as_one_and_when_they_end() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let set = ["schedules", "set", "poll", "act", "--every", "1m", "--queue", "stage", "--json"];
    let more = ["--unique", "feed", "--on-clash", "replace", "--expires-in", "1m", "--deadline", "5m"];
    let schedule: Value =
        serde_json::from_str(&place.printed(&[&set[..], &more].concat()).await).expect("JSON");
    let job = &schedule["job"];
    assert_eq!(
        (&job["unique"]["key"], &job["unique"]["on_clash"]),
        (&"feed".into(), &"replace".into()),
        "{job}"
    );
    assert_eq!((job["expires_in"].as_f64(), job["deadline"].as_f64()), (Some(60.0), Some(300.0)), "{job}");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_in_the_words_of_the_command_line() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    for (args, said) in [
        (&["--on-clash", "join"][..], "say which jobs count as one: --unique KEY or --unique-on PATHS"),
        (&["--unique", "k", "--on-clash", "first"], "use join, refresh, reject, replace"),
        (&["--unique", "k", "--on-clash", "throttle"], "--on-clash throttle needs --period"),
        (&["--unique", "k", "--on-clash", "debounce"], "use debounce:10s"),
        (&["--unique", "k", "--on-clash", "debounce:9s,1s"], "max_delay must not be less than the delay"),
        (&["--unique", "k", "--unique-states", "asleep"], "use blocked, scheduled, available, running"),
        (&["--unique", "k", "--unique-on", "n"], "cannot be used with"),
        (&["--unique-on", "x"], "names 'x', which args do not have"),
        (&["--deadline", "tomorrow"], "one in RFC 3339 (2026-01-01T00:00:00Z)"),
        (&["--expires-in", "0s"], "expires_in must be more than zero"),
    ] {
        let refused = place.run(&[&RUN[..], args].concat()).await;
        assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(2), ""), "{args:?}");
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
    }
    for (args, said) in [
        (&["queues", "set", "stage"][..], "--max-waiting <N>"),
        (&["queues", "set", "stage", "--rate", "9"], "or use none"),
        (&["queues", "set", "stage", "--max-waiting", "some"], "use a number or none"),
        (&["keys", "set", "k", "--on-full", "reject"], "--max-waiting <N>"),
        (&["keys", "set", "k", "--max-waiting", "0"], "max_waiting must be from 1 to 1000000000"),
    ] {
        let refused = place.run(args).await;
        assert!(!refused.status.success() && stderr(&refused).contains(said), "{args:?}: {refused:?}");
    }
    assert_eq!(place.printed(&["jobs", "list", "--json"]).await, "", "nothing was created");
}
