//! The harness that applications test with, tested.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use longhaul::testing::{Harness, Ran};
use longhaul::{Context, EnqueueOptions, Job, JobError, JobResult, NewJob, Outcome, Prefer, Start, State};
use serde::{Deserialize, Serialize};

/// Sends one letter to each reader, and a report to the editor an hour later.
#[derive(Serialize, Deserialize)]
struct Issue {
    readers: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Letter {
    reader: String,
}

#[derive(Serialize, Deserialize)]
struct Report {
    letters: usize,
}

impl Job for Issue {
    const KIND: &'static str = "issue";
    type State = ();
    type Output = usize;

    async fn run(self, cx: Context<()>) -> JobResult<usize> {
        for reader in &self.readers {
            cx.follow_up(NewJob::of(&Letter { reader: reader.clone() })?)?;
        }
        let mut report = NewJob::of(&Report { letters: self.readers.len() })?;
        report.start = Start::After(Duration::from_secs(3600));
        cx.follow_up(report)?;
        Ok(self.readers.len())
    }
}

impl Job for Letter {
    const KIND: &'static str = "letter";
    const QUEUE: &'static str = "post";
    type State = String;
    type Output = String;

    async fn run(self, cx: Context<String>) -> JobResult<String> {
        if self.reader.is_empty() {
            return Err(JobError::fatal("nobody to write to"));
        }
        Ok(format!("{} {}", cx.state(), self.reader))
    }
}

impl Job for Report {
    const KIND: &'static str = "report";
    type State = ();
    type Output = ();

    async fn run(self, _cx: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

fn harness() -> Harness {
    let mut harness = Harness::new();
    harness.register::<Issue>(()).register::<Letter>("dear".into()).register::<Report>(());
    harness
}

fn outline(runs: &[Ran]) -> Vec<(&str, u32, &'static str)> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Completed { .. } => "completed",
        Outcome::Failed { .. } => "failed",
        _ => "other",
    };
    runs.iter().map(|ran| (ran.kind.as_str(), ran.attempt, word(&ran.outcome))).collect()
}

#[tokio::test]
async fn a_drain_runs_what_is_available_and_what_that_makes_available() {
    let harness = harness();
    let id = harness.enqueue(Issue { readers: vec!["ada".into(), String::new()] });
    let runs = harness.drain().await;
    assert_eq!(
        outline(&runs),
        [("issue", 1, "completed"), ("letter", 1, "completed"), ("letter", 1, "failed")]
    );
    assert_eq!(harness.job(&id).output.unwrap().to_value(), 2);
    assert_eq!(harness.job(&runs[1].id).output.unwrap().to_value(), "dear ada");

    // The report is due in an hour and not before.
    let report = harness.assert_enqueued::<Report>(|report| report.letters == 2);
    assert_eq!(report.state, State::Scheduled);
    assert!(harness.drain().await.is_empty());
    harness.advance(Duration::from_secs(3599));
    assert!(harness.drain().await.is_empty());
    harness.advance(Duration::from_secs(1));
    assert_eq!(outline(&harness.drain().await), [("report", 1, "completed")]);
    harness.refute_enqueued::<Report>(|_| true);
}

#[tokio::test]
async fn a_drain_leaves_kinds_alone_that_were_not_registered() {
    let mut harness = Harness::new();
    harness.register::<Issue>(());
    harness.enqueue(Issue { readers: vec!["ada".into()] });
    assert_eq!(harness.drain().await.len(), 1);
    harness.assert_enqueued::<Letter>(|letter| letter.reader == "ada");
}

#[test]
fn options_apply_and_the_id_is_the_jobs() {
    let harness = harness();
    let options = EnqueueOptions { priority: 7, queue: Some("express".into()), ..EnqueueOptions::default() };
    let id = harness.enqueue_with(Letter { reader: "ada".into() }, options);
    let job = harness.job(&id);
    assert_eq!((job.priority, job.queue.as_str(), job.created_at), (7, "express", harness.now()));
}

#[test]
fn a_failed_assertion_says_what_is_there() {
    let harness = harness();
    harness.enqueue(Letter { reader: "ada".into() });
    let missing = message(|| drop(harness.assert_enqueued::<Letter>(|letter| letter.reader == "grace")));
    assert!(missing.starts_with("no job of kind 'letter' that was asked for waits; "), "{missing}");
    assert!(missing.contains(r#"in 'post', available: {"reader":"ada"}"#), "{missing}");
    let unwanted = message(|| harness.refute_enqueued::<Letter>(|_| true));
    assert!(unwanted.contains("waits, and none should that fits"), "{unwanted}");
    let empty = message(|| drop(Harness::new().assert_enqueued::<Letter>(|_| true)));
    assert!(empty.ends_with("there are no jobs at all"), "{empty}");
}

fn message(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion must fail");
    *panic.downcast::<String>().expect("a message")
}

#[tokio::test]
async fn a_harness_runs_what_prefers_its_labels_at_once_and_what_prefers_others_a_second_later() {
    let mut harness = harness();
    harness.label("gpu", "a100");
    let letter = |reader: &str, prefer| {
        let options = EnqueueOptions { prefer: Some(prefer), ..EnqueueOptions::default() };
        harness.enqueue_with(Letter { reader: reader.into() }, options)
    };
    let ids = [
        letter("a", Prefer::hard([("gpu", "a100")])),
        letter("b", Prefer::soft([("gpu", "h100")])),
        letter("c", Prefer::hard([("gpu", "h100")])),
    ];
    let ran = |runs: Vec<Ran>| runs.into_iter().map(|ran| ran.id).collect::<Vec<_>>();
    assert_eq!(ran(harness.drain().await), ids[..1]);
    harness.advance(longhaul::PREFER_FOR);
    assert_eq!(ran(harness.drain().await), ids[1..2]);
    assert_eq!(harness.job(&ids[2]).state, State::Available);
}
