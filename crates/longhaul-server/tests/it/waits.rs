//! Jobs that wait for others, for signals and for people, and runs from a step on, as commands ask for and tell them.

use std::time::Duration;

use longhaul::{Claim, Finish, JobId, NewJob, Outcome, Record, Store, WaitsFor};
use longhaul_conformance::jobs::{claim, failed, finish, job, slots, step};
use longhaul_sqlite::SqliteStore;
use serde_json::Value;

use crate::server::{Place, stderr, stdout};

const RUN: [&str; 4] = ["run", "act", "--queue", "stage"];

/// Enqueues a job of a queue of its own, and ends its first run, which has done these steps.
async fn ended(place: &Place, id: &str, steps: &[&str], outcome: Outcome) {
    std::fs::create_dir_all(place.data()).expect("a folder");
    let store = SqliteStore::open(place.data().join("longhaul.db")).await.expect("the store opens");
    let id = JobId::new(id).expect("an id");
    let queue = format!("of-{id}");
    let new = NewJob { id: Some(id), queue: queue.clone().into(), ..job() };
    store.enqueue(vec![new]).await.expect("it is enqueued");
    let claim = Claim { queues: vec![slots(&queue, 1)], ..claim() };
    let claimed = store.claim(claim).await.expect("it is claimed").pop().expect("a job");
    let entries = steps.iter().map(|name| step(name, "1")).collect();
    store.record(vec![Record { lease: claimed.lease.clone(), entries }]).await.expect("it is recorded");
    let ends: Vec<Finish> = vec![finish(&claimed.lease, outcome)];
    store.finish(ends).await.expect("it ends");
}

async fn shown(place: &Place, id: &str) -> Value {
    serde_json::from_str(&place.printed(&["jobs", "show", id, "--json"]).await).expect("JSON")
}

#[tokio::test]
async fn a_job_waits_for_those_that_it_depends_on_and_is_cancelled_with_them_unless_told_otherwise() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    for id in ["render", "index"] {
        place.printed(&[&RUN[..], &["--id", id]].concat()).await;
    }
    place.printed(&[&RUN[..], &["--id", "publish", "--depends-on", "render,index:run"]].concat()).await;
    place.printed(&[&RUN[..], &["--id", "report", "--depends-on", "render:run"]].concat()).await;
    let text = place.printed(&["jobs", "show", "publish"]).await;
    for line in [
        "state      blocked\n",
        "waits for  the jobs that it depends on\n",
        "depends on render\n",
        "depends on index, however it ends\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    let why = place.printed(&["why", "publish"]).await;
    assert!(why.contains("jobs that it depends on have not ended") && why.contains("render"), "{why}");
    let list = place.printed(&["jobs", "list", "id:publish"]).await;
    assert!(list.contains("waits for the jobs that it depends on"), "{list}");

    let graph = place.printed(&["jobs", "graph", "publ"]).await;
    let expected = "\
publish  act  blocked  <- asked for
├── render  act  available
└── index  act  available, however it ends
report  act  blocked
└── render  act  available
";
    assert_eq!(graph, expected);
    let json = place.printed(&["jobs", "graph", "publish", "--json"]).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((json["nodes"].as_array().map(Vec::len), &json["complete"]), (Some(4), &true.into()));
    let unknown = place.run(&["jobs", "graph", "nothing"]).await;
    assert!(!unknown.status.success() && stderr(&unknown).contains("nothing"), "{unknown:?}");
    place.printed(&["jobs", "cancel", "index"]).await;
    assert_eq!(shown(&place, "publish").await["state"], "blocked", "the other one has not ended");
    place.printed(&["jobs", "cancel", "render"]).await;
    let publish = shown(&place, "publish").await;
    assert_eq!((&publish["state"], &publish["cancel_reason"]), (&"cancelled".into(), &"dependency".into()));
    let why = place.printed(&["why", "publish"]).await;
    assert!(why.contains("a job that it depended on did not complete"), "{why}");
    assert_eq!(shown(&place, "report").await["state"], "available");

    for (given, said) in [("nobody", "depends_on[0]"), (":run", "use the id of a job, or ID:run")] {
        let refused = place.run(&[&RUN[..], &["--id", "no", "--depends-on", given]].concat()).await;
        assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(2), ""), "{refused:?}");
        assert!(stderr(&refused).contains(said), "{refused:?}");
    }
}

#[tokio::test]
async fn a_signal_sets_a_job_that_waits_for_it_going_and_the_first_one_stands() {
    let place = Place::new();
    let hour = Some(Duration::from_secs(3_600));
    let waits = |name: &str| Outcome::Waits { on: WaitsFor::Signal(name.into()), timeout: hour, error: None };
    ended(&place, "order-17", &[], waits("approve")).await;
    let text = place.printed(&["jobs", "show", "order-17"]).await;
    assert!(text.contains("waits for  the signal approve\nwakes      20"), "{text}");
    let why = place.printed(&["why", "order-17"]).await;
    assert!(
        why.contains("it waits for the signal approve until ") && why.contains("longhaul jobs signal"),
        "{why}"
    );

    let given = place.printed(&["jobs", "signal", "order", "approve", "by=ada", "limit=500"]).await;
    assert_eq!(given, "order-17 has the signal approve\n");
    assert_eq!(shown(&place, "order-17").await["state"], "available");
    let again = place.printed(&["jobs", "signal", "order-17", "approve", "no"]).await;
    assert_eq!(again, "order-17 had a signal approve before, which stands; this one changed nothing\n");
    let json = place.printed(&["jobs", "signal", "order-17", "paid", "{\"amount\": 12}", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["accepted"], true);

    place.printed(&["jobs", "cancel", "order-17"]).await;
    let late = place.run(&["jobs", "signal", "order-17", "late"]).await;
    assert!(!late.status.success() && stderr(&late).contains("the job has ended"), "{late:?}");
    let wrong = place.run(&["jobs", "signal", "order-17", "late", "{a"]).await;
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(stderr(&wrong).contains("quote it for the shell"), "{wrong:?}");
}

#[tokio::test]
async fn tokens_let_one_job_be_followed_or_given_one_signal() {
    const ADMIN: &str = "an-admin-token-of-32-characters!";
    let place = Place::new();
    let guarded = [("LONGHAUL_ADMIN_TOKEN", ADMIN)];
    let server = place.serve_with(&["--accept-unknown-kinds", "--no-worker"], &guarded).await;
    let asked = async |args: &[&str]| -> String {
        place
            .printed(&[args, &["--url", server.url.as_str(), "--token", ADMIN]].concat())
            .await
            .trim()
            .to_owned()
    };
    for id in ["order-17", "order-18"] {
        asked(&[&RUN[..], &["--id", id]].concat()).await;
    }
    let http = crate::server::client();
    let status =
        async |request: reqwest::RequestBuilder| request.send().await.expect("an answer").status().as_u16();

    let read = asked(&["jobs", "token", "order-17", "--expires-in", "10m"]).await;
    for (id, expected) in [("order-17", 200), ("order-18", 403)] {
        let job = http.get(server.at(&format!("/api/jobs/{id}"))).bearer_auth(&read);
        assert_eq!(status(job).await, expected, "{id}");
    }
    let signal = asked(&["jobs", "signal-token", "order-17", "approve"]).await;
    let give = |token: &str| http.post(server.at(&format!("/api/signals/{token}"))).json(&"yes");
    assert_eq!(status(give(&signal)).await, 202);
    let second = asked(&["jobs", "redeem", &signal, "no"]).await;
    assert_eq!(second, "the job had the signal before, which stands; this one changed nothing");
    let second = asked(&["jobs", "signal", "order-17", "approve", "no"]).await;
    assert!(second.starts_with("order-17 had a signal approve before"), "{second}");
    let json = asked(&["jobs", "signal-token", "order-18", "approve", "--json"]).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let path = json["path"].as_str().filter(|path| path.starts_with("/api/signals/")).expect("a path");
    // Whoever has the token needs no other.
    let redeem = ["jobs", "redeem", path, "by=ada", "--url", server.url.as_str()];
    assert_eq!(place.printed(&redeem).await, "the job has the signal\n");
    let steps = asked(&["jobs", "steps", "order-18", "--json"]).await;
    let step: Value = serde_json::from_str(&steps).expect("JSON");
    assert_eq!((&step["name"], &step["output"]["value"]["by"]), (&"signal:approve".into(), &"ada".into()));
    let wrong = place.run(&["jobs", "redeem", "nonsense", "--url", &server.url]).await;
    assert!(stderr(&wrong).contains("the token is not valid here, or no longer"), "{wrong:?}");

    let long =
        ["jobs", "token", "order-17", "--expires-in", "2d", "--url", server.url.as_str(), "--token", ADMIN];
    let long = place.run(&long).await;
    assert!(stderr(&long).contains("must be from 1 to 86400 seconds"), "{long:?}");
    let unsigned = place.run(&["jobs", "token", "order-17"]).await;
    assert!(!unsigned.status.success() && stderr(&unsigned).contains("name it with --url"), "{unsigned:?}");
}

#[tokio::test]
async fn a_job_out_of_attempts_may_wait_for_a_person_who_retries_it() {
    let place = Place::new();
    let error = longhaul::AttemptError::new(longhaul::ErrorKind::Error, "the printer is on fire");
    ended(
        &place,
        "page",
        &["layout"],
        Outcome::Waits { on: WaitsFor::Person, timeout: None, error: Some(error) },
    )
    .await;
    let text = place.printed(&["jobs", "show", "page"]).await;
    assert!(
        text.contains("waits for  a person, to retry or cancel it\n") && text.contains("on fire"),
        "{text}"
    );
    let why = place.printed(&["why", "page"]).await;
    assert!(why.contains("longhaul jobs retry gives it all of them again"), "{why}");
    assert_eq!(place.printed(&["jobs", "retry", "page"]).await, "page will run again\n");
    place.printed(&[&RUN[..], &["--id", "patient", "--on-exhausted", "pause"]].concat()).await;
    let text = place.printed(&["jobs", "show", "patient"]).await;
    assert!(text.contains("exhausted  waits for a person\n"), "{text}");
}

#[tokio::test]
async fn a_job_is_retried_or_forked_from_a_step_on() {
    let place = Place::new();
    ended(&place, "lesson-1", &["outline", "draft", "check"], failed()).await;
    let steps = place.printed(&["jobs", "steps", "lesson"]).await;
    let names: Vec<&str> = steps.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["STEP", "outline", "draft", "check"], "{steps}");
    let steps = place.printed(&["jobs", "steps", "lesson-1", "--json"]).await;
    let first: Value = serde_json::from_str(steps.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(
        (&first["name"], &first["output"], &first["attempt"]),
        (&"outline".into(), &1.into(), &1.into())
    );
    let unknown = place.run(&["jobs", "retry", "lesson-1", "--from-step", "cover"]).await;
    assert!(stderr(&unknown).contains("outline, draft, check"), "{unknown:?}");
    let fork = place.printed(&["jobs", "fork", "lesson", "--from-step", "draft"]).await;
    let fork = fork.trim();
    let told = place.printed(&["jobs", "show", fork]).await;
    assert!(told.contains("forked     from lesson-1\n"), "{told}");
    assert_eq!(shown(&place, "lesson-1").await["state"], "failed", "it stays as it is");
    let other = place.printed(&["jobs", "fork", "lesson-1", "--args", "{\"n\": 7}", "--json"]).await;
    let other: Value = serde_json::from_str(&other).expect("JSON");
    assert_eq!((&other["args"]["n"], &other["forked_from"]), (&7.into(), &"lesson-1".into()));
    let retried = place.printed(&["jobs", "retry", "lesson-1", "--from-step", "draft"]).await;
    assert_eq!(retried, "lesson-1 will run again\n");

    let store = SqliteStore::open(place.data().join("longhaul.db")).await.expect("the store opens");
    for id in ["lesson-1", fork] {
        let steps =
            store.steps(&JobId::new(id).expect("an id")).await.expect("they are read").unwrap_or_default();
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["outline"], "{id} does the others anew");
    }
    let search = place.run(&["jobs", "retry", "state:failed", "--from-step", "draft"]).await;
    assert_eq!(search.status.code(), Some(2));
    assert!(
        stderr(&search).contains("--args and --from-step are for jobs that are named by id"),
        "{search:?}"
    );
}
