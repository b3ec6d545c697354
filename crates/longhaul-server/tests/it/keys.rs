//! `longhaul keys`: limits of keys, their pauses, and fair queues.

use serde_json::Value;

use crate::crew::{Act, Crew};
use crate::server::{Place, stderr};

#[tokio::test]
async fn limits_are_set_listed_and_taken_away() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let none = place.printed(&["keys"]).await;
    assert!(none.contains("longhaul keys set KEY --slots N"), "{none}");
    let set = ["keys", "set", "provider:openai", "--slots", "10", "--rate", "90000/1m", "--burst", "5000"];
    let set = place.printed(&set).await;
    assert!(set.contains("provider:openai") && set.contains("90000/60 s, burst 5000"), "{set}");
    place.printed(&["keys", "set", "tenant:*", "--slots", "2", "--weight", "3"]).await;
    let one = place.printed(&["keys", "show", "provider:openai"]).await;
    assert!(one.starts_with("KEY") && one.contains("90000/60 s, burst 5000"), "{one}");
    let first = place.printed(&["keys", "show", "tenant:42", "--json"]).await;
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!((&first["slots"], &first["own"]), (&2.into(), &false.into()), "{first}");
    let listed = place.printed(&["keys", "list", "--prefix", "tenant", "--json"]).await;
    let key: Value = serde_json::from_str(&listed).expect("one line of JSON");
    assert_eq!((&key["key"], &key["slots"], &key["weight"]), (&"tenant:*".into(), &2.into(), &3.into()));
    assert_eq!(place.printed(&["keys", "remove", "tenant:*"]).await, "tenant:* has no limits of its own\n");
    let table = place.printed(&["keys"]).await;
    assert!(table.starts_with("KEY") && table.lines().count() == 2, "{table}");
}

#[tokio::test]
async fn a_key_is_paused_and_resumed_and_its_waiting_job_says_why() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    let job = longhaul::NewJob {
        limit_keys: vec!["github".into()],
        ..longhaul::NewJob::of(&Act { how: "stay".into(), n: 1 }).expect("a job")
    };
    let id = longhaul.enqueue_one(job).await.expect("it is enqueued").id.to_string();
    let paused = place.printed(&["keys", "pause", "github", "--for", "10m"]).await;
    assert!(paused.contains("paused until "), "{paused}");
    let why = place.printed(&["why", &id]).await;
    assert!(why.contains("github"), "{why}");
    let resumed = place.printed(&["keys", "resume", "github", "--json"]).await;
    let resumed: Value = serde_json::from_str(&resumed).expect("JSON");
    assert_eq!((&resumed["closed_until"], &resumed["waiting"]), (&Value::Null, &1.into()));
    let fair = place.printed(&["queues", "fair", "stage"]).await;
    assert_eq!(fair, "the limit keys of stage take turns\n");
    let off = place.printed(&["queues", "fair", "stage", "--off", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&off).expect("JSON")["config"]["fair"], false);
}

#[tokio::test]
async fn a_queue_has_slots_and_a_rate_until_none_is_said() {
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    longhaul.enqueue(Act { how: "stay".into(), n: 1 }).await.expect("it is enqueued");
    let set =
        place.printed(&["queues", "set", "stage", "--slots", "20", "--rate", "600/1m", "--burst", "5"]).await;
    let said = "stage: 0 of 20 taken, over all workers; 600/60 s, burst 5; 5 may start now; any number of jobs may wait\n";
    assert_eq!(set, said);
    let shown = place.printed(&["queues", "show", "stage"]).await;
    assert!(shown.contains("slots      0 of 20 taken"), "{shown}");
    assert!(place.printed(&["queues"]).await.contains("0 of 20 taken"));
    let off = place.printed(&["queues", "set", "stage", "--slots", "none", "--rate", "none", "--json"]).await;
    let off: Value = serde_json::from_str(&off).expect("JSON");
    assert_eq!(
        (&off["config"]["slots"], &off["config"]["rate"], &off["used"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let refused = place.run(&["queues", "set", "stage", "--slots", "many"]).await;
    assert!(stderr(&refused).contains("use a number or none"), "{refused:?}");

    let run =
        ["run", "act", "n=2", "--queue", "stage", "--id", "picky", "--prefer", "gpu=a100", "--prefer-hard"];
    let limits = ["--key", "provider", "--key", "tenant:7", "--cost-rate", "1200"];
    place.printed(&[&run[..], &limits].concat()).await;
    let told = place.printed(&["jobs", "show", "picky"]).await;
    for line in [
        "key        provider\nkey        tenant:7\n",
        "cost       1 slots, 1200 of the rate\n",
        "prefers    gpu=a100, and no other worker\n",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    let shown: Value =
        serde_json::from_str(&place.printed(&["jobs", "show", "picky", "--json"]).await).expect("JSON");
    assert_eq!((&shown["prefer"]["gpu"], &shown["prefer_hard"]), (&"a100".into(), &true.into()));
}

#[tokio::test]
async fn wrong_limits_say_what_to_write() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    for (arguments, said) in [
        (vec!["keys", "set", "a"], "say --slots, --rate, --weight or --max-waiting"),
        (vec!["keys", "set", "a", "--rate", "fast"], "use 100/1s, 90000/1m or 500/1h"),
        (vec!["keys", "set", "a", "--slots", "0"], "slots must be from 1 to 1000000"),
        (vec!["keys", "set", "a b", "--slots", "1"], "1 to 128 characters"),
        (vec!["keys", "pause", "tenant:*"], "1 to 128 characters"),
        (vec!["keys", "--json", "set", "a", "--slots", "1"], "--json stands behind the subcommand"),
    ] {
        let refused = place.run(&arguments).await;
        assert!(!refused.status.success() && stderr(&refused).contains(said), "{arguments:?}: {refused:?}");
    }
}
