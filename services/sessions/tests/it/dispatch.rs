use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::{Clock, ErrorKind, KeyConfig, KeyFilter, Rate, State};
use serde_json::json;

use crate::fixture::{Fixture, Jobs, PATIENCE};
use crate::log::Log;

const PATH: &str = "/api/v1/llm/query";
/// Longer than the longest wait between two attempts.
const LATER: Duration = Duration::from_secs(60);

async fn metadata(f: &Fixture, session: &str) -> usize {
    f.get(&format!("/sessions/{session}")).await.body["metadata"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_service_that_recovers_is_asked_until_it_answers() {
    let log = Log::listen();
    let double = Double::start().await;
    for fault in [Fault::Status(500), Fault::Cut, Fault::Malformed, Fault::MissingFields] {
        double.fail(PATH, fault);
    }
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    for attempt in 1..=4 {
        let job = f.fails_once_more(&id, attempt).await;
        assert_eq!(job.errors.len(), attempt as usize);
        assert_eq!(metadata(&f, &id).await, 0, "the session is as it was");
        f.clock.advance(LATER);
    }
    let job = f.ended(&id).await;
    assert_eq!((job.state, job.attempt), (State::Completed, 5));
    assert_eq!(metadata(&f, &id).await, 10);
    let lines = log.lines();
    let errors = lines.iter().filter(|line| line.contains("Error sending request to Python API"));
    assert_eq!(errors.count(), 4, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("the double refuses with 500")), "{lines:?}");
}

#[tokio::test]
async fn after_five_attempts_it_has_failed_and_the_session_is_there() {
    let double = Double::start().await;
    for _ in 0..5 {
        double.fail(PATH, Fault::Status(503));
    }
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    for attempt in 1..=4 {
        f.fails_once_more(&id, attempt).await;
        f.clock.advance(LATER);
    }
    let job = f.ended(&id).await;
    assert_eq!((job.state, job.attempt, double.seen(PATH).len()), (State::Failed, 5, 5));
    let shown = f.get(&format!("/sessions/{id}/background")).await.body;
    assert_eq!(
        (&shown["state"], &shown["attempt"], &shown["max_attempts"]),
        (&json!("failed"), &json!(5), &json!(5))
    );
    assert_eq!(shown["errors"].as_array().unwrap().len(), 5);
    assert_eq!(
        shown["errors"][4]["message"],
        "Python API failed: 503 Service Unavailable: the double refuses with 503 Service Unavailable"
    );
    assert_eq!(f.get(&format!("/sessions/{id}")).await.status, 200);
}

#[tokio::test]
async fn a_service_that_is_down_or_slow_is_tried_again() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Hang);
    let vars = vec![("PYTHON_API_URL", double.python_api()), ("PYTHON_API_TIMEOUT", "0.3".into())];
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::manual(), vars).await;
    let id = f.dispatched().await;
    let worker = f.work();
    f.fails_once_more(&id, 1).await;
    worker.shutdown(PATIENCE).await;

    // A port that nobody listens on any more.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let f = f.reopen(vec![("PYTHON_API_URL", format!("http://{closed}/api/v1"))]).await;
    let worker = f.work();
    f.clock.advance(LATER);
    let job = f.fails_once_more(&id, 2).await;
    assert!(job.errors[1].message.starts_with("Python API failed:"), "{job:?}");
    worker.shutdown(PATIENCE).await;

    let f = f.reopen(vec![("PYTHON_API_URL", double.python_api())]).await;
    let _worker = f.work();
    f.clock.advance(LATER);
    assert_eq!(f.ended(&id).await.state, State::Completed);
}

#[tokio::test]
async fn a_limit_of_the_service_costs_no_attempt() {
    let double = Double::start().await;
    double.fail(PATH, Fault::RateLimit("120".into()));
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    let job = f.becomes(&id, |job| job.state == State::Scheduled).await;
    assert_eq!(
        (job.attempt, &job.limit_keys[..]),
        (0, &["provider:python-api", "sessions:user:ada"].map(String::from)[..])
    );
    assert_eq!(job.run_at, f.clock.now().plus(Duration::from_secs(120)));
    // The service is not asked for another session before its time, though nobody has refused that one.
    let other = f.dispatched().await;
    let paused = f.becomes(&other, |job| job.state == State::Available).await;
    assert_eq!(f.longhaul.waits_until(&paused).await.unwrap(), Some(job.run_at));
    assert_eq!(double.seen(PATH).len(), 1);
    f.clock.advance(Duration::from_secs(120));
    for id in [&id, &other] {
        let job = f.ended(id).await;
        assert_eq!((job.state, job.attempt, job.errors.len()), (State::Completed, 1, 0));
    }
    assert_eq!(double.seen(PATH).len(), 3);
}

#[tokio::test]
async fn a_limit_of_the_model_behind_this_server_costs_no_attempt_either() {
    let double = Double::start().await;
    double.fail("/v1/chat/completions", Fault::RateLimit("120".into()));
    let vars = vec![("LLM_BASE_URL", double.v1()), ("LLM_MODEL", "double-1".into())];
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::manual(), vars).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    let job = f.becomes(&id, |job| job.state == State::Scheduled).await;
    assert_eq!((job.attempt, job.run_at), (0, f.clock.now().plus(Duration::from_secs(120))));
    // It is the model's key that is closed, for whatever service asks the model.
    assert_eq!(job.limit_keys, ["provider:llm", "sessions:user:ada"]);
    assert!(job.policy.cost.rate > 200, "{:?}", job.policy);
    f.clock.advance(Duration::from_secs(120));
    let job = f.ended(&id).await;
    assert_eq!(job.output.unwrap().to_value()["generator"], "double-1");
}

#[tokio::test]
async fn a_budget_counts_the_tokens_that_a_dispatch_has_taken_in_place_of_those_that_were_reserved() {
    let double = Double::start().await;
    let vars = vec![("LLM_BASE_URL", double.v1()), ("LLM_MODEL", "double-1".into())];
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::manual(), vars).await;
    let [first, second] = [f.dispatched().await, f.dispatched().await];
    let waits = |job: &longhaul::JobRecord| job.state == State::Available;
    let reserved = f.becomes(&first, waits).await.policy.cost.rate;
    // Of two such jobs both start only where the first has given some of its tokens back, for the clock stands still.
    let budget = Rate { n: 1, per: Duration::from_secs(3_600), burst: Some(2 * reserved - 1) };
    let limits = KeyConfig { rate: Some(budget), ..KeyConfig::default() };
    f.longhaul.store().set_key("provider:llm", Some(&limits)).await.unwrap();
    let _worker = f.work();
    for id in [&first, &second] {
        assert_eq!(f.ended(id).await.state, State::Completed);
    }
}

#[tokio::test]
async fn a_call_that_is_turned_away_counts_nothing_and_one_that_fails_counts_once() {
    let double = Double::start().await;
    double.fail(PATH, Fault::RateLimit("120".into()));
    let f = Fixture::dispatching_to(&double).await;
    let budget = Rate { n: 1, per: Duration::from_secs(360_000), burst: Some(2) };
    let limits = KeyConfig { rate: Some(budget), ..KeyConfig::default() };
    f.longhaul.store().set_key("provider:python-api", Some(&limits)).await.unwrap();
    let id = f.dispatched().await;
    let _worker = f.work();
    f.becomes(&id, |job| job.state == State::Scheduled).await;
    double.fail(PATH, Fault::Status(500));
    f.clock.advance(Duration::from_secs(120));
    f.becomes(&id, |job| job.errors.len() == 1).await;
    f.clock.advance(LATER);
    assert_eq!(f.ended(&id).await.state, State::Completed, "two calls are all that the budget has");
    let names = vec!["provider:python-api".to_owned()];
    let filter = KeyFilter { names, limit: 1, ..KeyFilter::default() };
    let key = f.longhaul.store().keys(&filter).await.unwrap().remove(0);
    assert!(key.rate_free_at.is_some(), "and none is left: {key:?}");
}

#[tokio::test]
async fn a_refusal_that_will_not_change_ends_it() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Status(400));
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    let job = f.ended(&id).await;
    assert_eq!((job.state, job.attempt, job.errors[0].kind), (State::Failed, 1, ErrorKind::Fatal));
}

#[tokio::test]
async fn a_skill_that_is_gone_or_anothers_ends_it_at_once() {
    let log = Log::listen();
    let double = Double::start().await;
    let f = Fixture::dispatching_to(&double).await;
    let missing = "60d5ec49f1b2c8b1f8e4f1a1";
    let gone = f.session(json!({ "teachSkillId": missing })).await;
    let bobs = f.call_as("bob", "POST", "/skills", Some(&crate::fixture::skill())).await;
    let bobs = crate::fixture::text(&bobs.body["_id"]);
    let foreign = f.session(json!({ "teachSkillId": bobs.to_uppercase() })).await;
    let _worker = f.work();
    for (session, reason) in [
        (&gone, format!("Skill not found: {missing}")),
        (&foreign, format!("Skill {bobs} does not belong to the session's creator")),
    ] {
        let job = f.ended(session).await;
        assert_eq!((job.state, job.attempt), (State::Failed, 1));
        assert_eq!(job.errors[0].message, reason);
        assert!(log.lines().contains(&format!("[SessionsService] {reason}")), "{:?}", log.lines());
    }
    assert!(double.seen(PATH).is_empty());
}

#[tokio::test]
async fn a_session_deleted_before_its_dispatch_is_not_dispatched() {
    let double = Double::start().await;
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    f.call_as("ada", "DELETE", &format!("/sessions/{id}"), None).await;
    let _worker = f.work();
    assert_eq!(f.ended(&id).await.state, State::Cancelled);
    assert!(double.seen(PATH).is_empty());
}

#[tokio::test]
async fn a_session_deleted_during_its_dispatch_stays_deleted() {
    let double = Double::start().await;
    double.hold();
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    double.wait_for(PATH, 1).await;
    f.call_as("ada", "DELETE", &format!("/sessions/{id}"), None).await;
    double.release(1);
    let job = f.ended(&id).await;
    assert_eq!(job.state, State::Cancelled, "{job:?}");
    assert_eq!(f.get(&format!("/sessions/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_worker_that_dies_in_mid_dispatch_is_replaced() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Hang);
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual());
    let vars = vec![("PYTHON_API_URL", double.python_api())];
    // A runtime of its own stands for the process: it ends in the middle, without a word to anybody.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (opened, in_mid_dispatch) = (clock.clone(), vars.clone());
    let crashed = process.spawn(async move {
        let f = Fixture::open(folder, opened, in_mid_dispatch).await;
        let id = f.dispatched().await;
        std::mem::forget(f.work());
        let running = f.becomes(&id, |job| job.state == State::Running).await;
        assert_eq!(running.attempt, 1);
        (f, id)
    });
    let (crashed, id) = crashed.await.unwrap();
    double.wait_for(PATH, 1).await;
    process.shutdown_background();
    let f = crashed.reopen(vars).await;
    let _worker = f.work();
    f.clock.advance(Duration::from_secs(31));
    let job = f.ended(&id).await;
    assert_eq!(job.state, State::Completed, "{job:?}");
    assert_eq!(metadata(&f, &id).await, 10);
    assert_eq!(double.seen(PATH).len(), 2);
}

#[tokio::test]
async fn a_worker_that_is_dropped_in_mid_dispatch_gives_it_back() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Hang);
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let worker = f.work();
    double.wait_for(PATH, 1).await;
    worker.shutdown(Duration::ZERO).await;
    let f = f.reopen(vec![("PYTHON_API_URL", double.python_api())]).await;
    let _worker = f.work();
    let job = f.ended(&id).await;
    assert_eq!((job.state, job.attempt, job.errors.len()), (State::Completed, 1, 0), "it cost no attempt");
}

#[tokio::test]
async fn the_answer_comes_before_the_dispatch_and_whatever_becomes_of_it() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Hang);
    let f = Fixture::dispatching_to(&double).await;
    let _worker = f.work();
    let id = f.dispatched().await;
    double.wait_for(PATH, 1).await;
    // While the dispatch hangs, the session is there, listed and can be joined.
    assert_eq!(f.get(&format!("/sessions/{id}")).await.status, 200);
    assert_eq!(f.call_as("bob", "POST", &format!("/sessions/{id}/join"), None).await.status, 200);
    let shown = f.get(&format!("/sessions/{id}/background")).await.body;
    assert_eq!((&shown["state"], &shown["kind"]), (&json!("running"), &json!("sessions.dispatch")));
}

#[tokio::test]
async fn jobs_may_be_kept_elsewhere_than_sessions() {
    let double = Double::start().await;
    let vars = vec![("PYTHON_API_URL", double.python_api())];
    let f = Fixture::open_with(tempfile::tempdir().unwrap(), Clock::manual(), vars, Jobs::Elsewhere).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    assert_eq!(f.ended(&id).await.state, State::Completed);
    assert_eq!(metadata(&f, &id).await, 10);
}

#[tokio::test]
async fn an_answer_that_is_none_leaves_the_session_as_it_was() {
    let double = Double::start().await;
    let elsewhere = Double::start().await;
    let to: &'static str = format!("{}{PATH}", elsewhere.url()).leak();
    for (body, told) in [
        ("<html>Sign in</html>".to_owned(), "holds no list 'response'"),
        ("{\"response\":null}".into(), "holds no list 'response'"),
        ("{\"response\":\"a text\"}".into(), "holds no list 'response'"),
        ("\"a text\"".into(), "holds no list 'response'"),
        ("{\"error\":\"the model is loading\"}".into(), "the model is loading"),
    ] {
        double.fail(PATH, Fault::Answer(200, vec![], body.clone()));
        let f = Fixture::dispatching_to(&double).await;
        let id = f.dispatched().await;
        let _worker = f.work();
        let job = f.fails_once_more(&id, 1).await;
        assert!(job.errors[0].message.contains(told), "{body}: {}", job.errors[0].message);
        assert_eq!(metadata(&f, &id).await, 0, "{body}");
    }
    let large = format!("{{\"response\":[\"{}\"]}}", "x".repeat(10 * 1024 * 1024));
    for (fault, told) in [
        (Fault::Answer(200, vec![], large), "exceeds 262144 bytes"),
        (Fault::Answer(307, vec![("location", to)], String::new()), "307"),
        (Fault::Answer(302, vec![("location", "http://169.254.169.254/latest")], String::new()), "302"),
    ] {
        double.fail(PATH, fault);
        let f = Fixture::dispatching_to(&double).await;
        let id = f.dispatched().await;
        let _worker = f.work();
        let job = f.ended(&id).await;
        assert_eq!(job.state, State::Failed, "{told}");
        assert!(job.errors[0].message.contains(told), "{}", job.errors[0].message);
        assert_eq!(metadata(&f, &id).await, 0, "{told}");
    }
    assert!(elsewhere.seen(PATH).is_empty(), "nobody else was asked");
}

#[tokio::test]
async fn a_session_that_is_deleted_ends_its_call() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Hang);
    let f = Fixture::dispatching_to(&double).await;
    let id = f.dispatched().await;
    let _worker = f.work();
    double.wait_for(PATH, 1).await;
    f.call_as("ada", "DELETE", &format!("/sessions/{id}"), None).await;
    double.wait_for_hang_up(PATH, 1).await;
    assert_eq!(f.ended(&id).await.state, State::Cancelled);
}

#[tokio::test]
async fn a_skill_that_changes_in_mid_dispatch_fails_it() {
    for (method, change, told) in [
        ("DELETE", None, "Skill not found: "),
        (
            "PUT",
            Some(json!({ "name": "Knitting" })),
            "The skill was changed while the session was dispatched",
        ),
    ] {
        let double = Double::start().await;
        double.hold();
        let f = Fixture::dispatching_to(&double).await;
        let skill = f.skill().await;
        let id = f.session(json!({ "teachSkillId": skill })).await;
        let _worker = f.work();
        double.wait_for(PATH, 1).await;
        assert_eq!(f.call_as("ada", method, &format!("/skills/{skill}"), change.as_ref()).await.status, 200);
        double.release_all();
        let job = f.ended(&id).await;
        assert_eq!(job.state, State::Failed, "{job:?}");
        assert!(job.errors[0].message.starts_with(told), "{job:?}");
        assert_eq!(metadata(&f, &id).await, 0);
        if method == "PUT" {
            // Tried again, it is asked about the skill as it is now.
            f.call_as("ada", "POST", &format!("/sessions/{id}/background/retry"), None).await;
            assert_eq!(f.ended(&id).await.state, State::Completed);
            assert_eq!(double.seen(PATH).len(), 2);
        }
    }
}
