use std::collections::BTreeMap;
use std::time::Duration;

use fakes::Fault;
use longhaul::State;

use crate::fixture::{Fixture, TOKEN};

/// Calls of `after` that were made more often than once, less those that hung in `before`.
fn repeated(after: &BTreeMap<String, usize>) -> Vec<&String> {
    after.iter().filter(|(_, count)| **count > 1).map(|(path, _)| path).collect()
}

#[tokio::test]
async fn a_restart_in_the_middle_repeats_no_call_that_was_answered() {
    // The paths of a run that nothing disturbs, to break each run at another place.
    let whole = Fixture::new().await;
    let worker = whole.work();
    let task = whole.started("octocat").await;
    let expected = whole.ended(&task).await["result"].clone();
    let paths: Vec<String> = whole.double.github_calls().into_keys().collect();
    drop(worker);
    assert!(paths.len() > 20);

    for path in paths.iter().step_by(5) {
        let f = Fixture::new().await;
        let plain = format!("/github{}", path.split('?').next().unwrap());
        f.double.fail(&plain, Fault::Hang);
        let worker = f.work();
        let task = f.started("octocat").await;
        f.double.wait_for(&plain, 1).await;
        drop(worker);
        let f = f.reopen(TOKEN).await;
        // The process that ran it was this one, so it is not dead: its lease must end.
        f.clock.advance(Duration::from_secs(60));
        f.store().sweep(100).await.unwrap();
        let _worker = f.work();
        let ended = f.ended(&task).await;
        assert_eq!(ended["status"], "completed", "{path}: {ended}");
        // Times of day differ by the minute that passed.
        for part in ["user_data", "repositories", "languages", "skills", "commit_analysis"] {
            assert_eq!(ended["result"][part], expected[part], "{path}: {part}");
        }
        let calls = f.double.github_calls();
        let again = repeated(&calls);
        assert!(again.len() <= 3, "{path}: {again:?}");
        assert!(
            again.iter().any(|again| again.starts_with(path.split('?').next().unwrap())),
            "{path}: {again:?}"
        );
    }
}

#[tokio::test]
async fn a_retry_resumes_at_the_step_that_failed() {
    let f = Fixture::new().await;
    f.double.fail("/github/users/octocat/starred", Fault::Status(500));
    f.double.fail("/github/users/octocat/repos", Fault::Cut);
    let _worker = f.work();
    let task = f.started("octocat").await;
    for attempt in 1..=2 {
        let job = f.reaches(&task, |job| job.state == State::Scheduled && job.attempt == attempt).await;
        assert_eq!(job.errors.len(), attempt as usize);
        f.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(f.ended(&task).await["status"], "completed");
    let calls = f.double.github_calls();
    assert_eq!(calls["/users/octocat"], 1);
    assert_eq!(repeated(&calls).len(), 2, "{calls:?}");
}

#[tokio::test]
async fn replies_that_make_no_sense_are_asked_for_again() {
    let f = Fixture::new().await;
    f.double.fail("/github/users/octocat", Fault::Malformed);
    f.double.fail("/github/users/octocat", Fault::Body("[]".into()));
    let _worker = f.work();
    let task = f.started("octocat").await;
    for attempt in 1..=2 {
        f.reaches(&task, |job| job.state == State::Scheduled && job.attempt == attempt).await;
        f.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(f.ended(&task).await["status"], "completed");
}

#[tokio::test]
async fn a_reply_without_end_fails_the_task() {
    let f = Fixture::new().await;
    f.double.fail("/github/users/octocat", Fault::Endless);
    let _worker = f.work();
    let task = f.started("octocat").await;
    let ended = f.ended(&task).await;
    assert_eq!(ended["message"], "GitHub's answer cannot be read: the reply exceeds 8388608 bytes");
}

#[tokio::test]
async fn a_token_that_github_refuses_is_said_so() {
    let f = Fixture::with(&[("GITHUB_TOKEN", "bad")]).await;
    let _worker = f.work();
    let task = f.started("octocat").await;
    let words = "GitHub refuses the token of this service (GITHUB_TOKEN): Bad credentials";
    assert_eq!(f.ended(&task).await["message"], words);
}
