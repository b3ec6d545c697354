//! The commands that look at jobs and act on them, by id and by search.

use serde_json::Value;

use crate::crew::{Act, Crew};
use crate::server::{Place, stderr, stdout};

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
    let list = place.run(&["workers", "--url", &server.url]).await;
    assert!(stdout(&list).contains("lessons=64"), "{list:?}");
    let json = place.printed(&["workers", "--json"]).await;
    let worker: Value = serde_json::from_str(json.lines().next().expect("a worker")).expect("JSON");
    assert_eq!(worker["queues"][0]["queue"], "lessons");
}
