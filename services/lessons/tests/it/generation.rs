//! The results of generations in which Wikipedia, the model or the machine fails.

use std::time::Duration;

use fakes::{Double, Fault, Quirk};
use longhaul::{KeyConfig, Rate, State, Worker};
use serde_json::{Value, json};

use crate::fixture::{CHAT, Fixture, SEARCH, both, job_id, text, wikipedia};

const SUMMARY: &str = "/api/rest_v1/page/summary/English_verbs";

#[tokio::test]
async fn wikipedia_and_the_model_make_a_lesson() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let _worker = f.work();
    let done = f.ended(&f.start("english", "verbs").await).await;
    let info = &done["lesson_data"]["wikipedia_info"];
    assert_eq!(info["title"], "English verbs");
    assert_eq!(info["url"], "https://en.wikipedia.org/wiki/English_verbs");
    assert!(text(&info["summary"]).starts_with("Verbs constitute"));
    assert!(text(&info["thumbnail"]).starts_with("https://upload.wikimedia.org/"));
    assert_eq!(info["note"], Value::Null);
    let related = info["related_articles"].as_array().unwrap();
    assert_eq!(related.len(), 4);
    assert_eq!(related[0]["title"], "History of English verbs");
    assert_eq!(related[0]["url"], format!("{}/wiki/History_of_English_verbs", double.url()));
    assert!(!text(&related[0]["excerpt"]).contains('<'));

    let searched = &double.seen(SEARCH)[0];
    assert!(
        searched.query.starts_with("action=query&list=search&srsearch=english+verbs&"),
        "{}",
        searched.query
    );
    assert!(searched.headers["user-agent"].to_str().unwrap().contains("https://"));
    let asked: Value = serde_json::from_slice(&double.seen(CHAT)[0].body).unwrap();
    assert_eq!(asked["stream"], true);
    let schema = &asked["response_format"]["json_schema"];
    assert_eq!(
        (&schema["strict"], schema["schema"]["required"].as_array().unwrap().len()),
        (&json!(true), 6)
    );
    let wish = text(&asked["messages"][1]["content"]);
    for part in
        ["Subject: english\nTopic: verbs", "Wikipedia, \"English verbs\":\nVerbs constitute", "व्याकरणम्"]
    {
        assert!(wish.contains(part), "{wish}");
    }
    assert!(text(&done["lesson_data"]["title"]).starts_with("title of: Write a lesson."));
}

#[tokio::test]
async fn a_lesson_does_without_wikipedia_where_it_fails() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let _worker = f.work();
    for (path, fault, note) in [
        (SEARCH, Fault::Status(503), "Wikipedia refused the request (503)"),
        (SEARCH, Fault::RateLimit("5".into()), "Wikipedia asked for fewer requests (429)"),
        (SEARCH, Fault::RateLimit("100000".into()), "Wikipedia asked for fewer requests (429)"),
        (SEARCH, Fault::Status(404), "Wikipedia does not have the article (404)"),
        (SEARCH, Fault::Malformed, "Wikipedia's answer could not be read"),
        (SEARCH, Fault::MissingFields, "Wikipedia's answer could not be read"),
        (SEARCH, Fault::Body("{\"error\":{\"code\":\"x\"}}".into()), "Wikipedia's answer could not be read"),
        (SEARCH, Fault::Endless, "Wikipedia's answer could not be read"),
        (SEARCH, Fault::Cut, "Wikipedia could not be reached"),
        (SUMMARY, Fault::Status(500), "Wikipedia refused the request (500)"),
        (SUMMARY, Fault::Malformed, "Wikipedia's answer could not be read"),
        (SUMMARY, Fault::MissingFields, "Wikipedia's answer could not be read"),
    ] {
        double.fail(path, fault.clone());
        let task = f.start("english", "verbs").await;
        let done = f.ended(&task).await;
        assert_eq!(done["status"], "completed", "{fault:?}: {done}");
        let info = &done["lesson_data"]["wikipedia_info"];
        assert_eq!((&info["note"], &info["summary"]), (&json!(note), &Value::Null), "{fault:?}");
        let related = info["related_articles"].as_array().unwrap().len();
        assert_eq!(related, if path == SUMMARY { 4 } else { 0 }, "{fault:?}");
        assert_eq!(f.job_ended(&task).await.attempt, 1);
    }
    // Nobody there at all.
    let gone = Double::start().await;
    let url = gone.url();
    drop(gone);
    let mut vars = both(&double);
    vars.retain(|(name, _)| *name != "WIKIPEDIA_API_URL");
    vars.push(("WIKIPEDIA_API_URL", url));
    let f = Fixture::with(vars).await;
    let _worker = f.work();
    let done = f.ended(&f.start("english", "verbs").await).await;
    assert_eq!(done["lesson_data"]["wikipedia_info"]["note"], "Wikipedia could not be reached");
}

#[tokio::test]
async fn a_list_of_meanings_is_no_article_and_nothing_found_is_said() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    // The subject's word finds nothing, so the topic is searched alone, and what comes first only lists meanings.
    let done = f.ended(&f.start("zzzubject", "mercury").await).await;
    let info = &done["lesson_data"]["wikipedia_info"];
    assert_eq!(info["title"], "History of Mercury");
    let related: Vec<String> =
        info["related_articles"].as_array().unwrap().iter().map(|article| text(&article["title"])).collect();
    assert_eq!(related, ["Mercury", "Theory of Mercury", "List of Mercury", "Glossary of Mercury"]);
    assert_eq!(double.seen(SEARCH).len(), 2);

    let done = f.ended(&f.start("zzzubject", "zzzopic").await).await;
    assert_eq!(done["lesson_data"]["wikipedia_info"]["note"], "Wikipedia has no article that fits");
    assert!(text(&done["lesson_data"]["explanation"]).contains("(Wikipedia has no article that fits)"));
}

#[tokio::test]
async fn wikipedia_is_asked_only_where_it_is_wanted() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    let body = json!({ "subject": "english", "topic": "verbs", "user_id": "u", "include_wikipedia": false });
    let task = text(&f.post(&body).await.body["task_id"]);
    let done = f.ended(&task).await;
    let lesson = done["lesson_data"].as_object().unwrap();
    assert_eq!((lesson.len(), &lesson["wikipedia_info"]), (7, &Value::Null));
    assert!(text(&lesson["explanation"]).contains("(Wikipedia was not to be asked)"));
    assert!(double.seen(SEARCH).is_empty());
}

#[tokio::test]
async fn without_a_model_the_lesson_is_an_outline_and_says_so() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    let task = f.start("biology", "photosynthesis").await;
    let done = f.ended(&task).await;
    let lesson = &done["lesson_data"];
    assert_eq!(lesson["title"], "Photosynthesis in Biology");
    assert!(text(&lesson["explanation"]).contains("without a language model"));
    assert!(text(&lesson["explanation"]).contains("The pigment chlorophyll"));
    assert!(text(&lesson["shloka"]).ends_with('॥'));
    let reply = f.get("/lessons/biology/photosynthesis").await;
    assert_eq!(reply.headers["lesson-generator"], "outline");
    let output = f.job_ended(&task).await.output.unwrap().to_value();
    assert_eq!((&output["generator"], &output["version"]), (&json!("outline"), &json!("1.0")));
    assert!(double.seen(CHAT).is_empty());
    // The same request is the same lesson.
    let again = f.ended(&f.start("Biology", "Photosynthesis").await).await;
    assert_eq!(again["lesson_data"]["shloka"], lesson["shloka"]);
}

#[tokio::test]
async fn what_the_model_gets_wrong_is_asked_for_once_more_and_then_fails_with_its_reason() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let _worker = f.work();
    let whole = json!({
        "title": "t", "shloka": "s", "translation": "t", "explanation": "e", "activity": "a", "question": "q",
    });
    let with = |name: &str, value: Value| {
        let mut lesson = whole.clone();
        lesson[name] = value;
        lesson.to_string()
    };
    let mut calls = 0;
    for (said, told) in [
        ("I would rather not.".to_owned(), "the reply holds no JSON"),
        ("{\"title\": \"t\" \"shloka\"}".into(), "the reply is not JSON: "),
        (with("question", json!("")), "'question' is empty"),
        (with("title", json!(null)), "'title' must be a text"),
        ("{}".into(), "'title' is missing, 'shloka' is missing, "),
    ] {
        double.say(&said);
        let done = f.ended(&f.start("english", "verbs").await).await;
        assert_eq!(done["status"], "completed", "{said}: {done}");
        double.say(&said);
        double.say(&said);
        let job = f.job_ended(&f.start("english", "verbs").await).await;
        let reason = &job.errors[0].message;
        assert!(
            reason.starts_with(&format!("LLM failed: the reply cannot be used: {told}")),
            "{said}: {reason}"
        );
        assert_eq!((job.state, job.attempt), (State::Failed, 1), "nothing is paid for a third time");
        calls += 2 + 2;
        assert_eq!(double.seen(CHAT).len(), calls, "{said}");
    }
    // Ten tasks asked Wikipedia once each.
    assert_eq!(double.seen(SEARCH).len(), 10);
}

#[tokio::test]
async fn a_reply_that_would_end_in_the_same_way_is_paid_for_once() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let _worker = f.work();
    for (quirk, told) in [
        (Quirk::Length, "reply too long"),
        (Quirk::Refusal, "the model declined: I cannot help with that."),
        (Quirk::ContentFilter, "content filter"),
    ] {
        let before = double.seen(CHAT).len();
        double.always(Some(quirk));
        let failed = f.ended(&f.start("english", "verbs").await).await;
        assert_eq!(failed["status"], "failed");
        assert!(text(&failed["error_message"]).contains(told), "{quirk:?}: {failed}");
        assert_eq!(double.seen(CHAT).len(), before + 1, "{quirk:?}");
    }
}

#[tokio::test]
async fn a_model_that_nothing_holds_to_the_schema_makes_a_lesson_too() {
    let double = Double::start().await;
    for mode in ["json_object", "none"] {
        let f = Fixture::with([both(&double), vec![("LLM_JSON_MODE", mode.into())]].concat()).await;
        let _worker = f.work();
        let done = f.ended(&f.start("english", "verbs").await).await;
        assert_eq!(done["status"], "completed", "{mode}: {done}");
        assert!(text(&done["lesson_data"]["question"]).starts_with("question of: Write a lesson."), "{done}");
    }
}

#[tokio::test]
async fn a_model_over_its_limit_costs_no_attempt() {
    let double = Double::start().await;
    double.fail(CHAT, Fault::RateLimit("30".into()));
    let f = Fixture::with(both(&double)).await;
    let worker = f.work();
    let task = f.start("english", "verbs").await;
    let paused = f.becomes(&task, |job| job.state == State::Scheduled).await;
    assert_eq!((paused.attempt, paused.errors.len()), (0, 0));
    let told = f.status(&task).await;
    assert_eq!(told["progress_message"], "Lesson generation is in progress... (waiting to go on)");
    // A second lesson waits with it: the limit is the provider's.
    let second = f.start("english", "nouns").await;
    f.becomes(&second, |job| job.state == State::Available).await;
    assert_eq!(double.seen(CHAT).len(), 1);
    f.clock.advance(Duration::from_secs(30));
    for task in [&task, &second] {
        let job = f.job_ended(task).await;
        assert_eq!((job.state, job.attempt), (State::Completed, 1));
    }
    assert_eq!(double.seen(CHAT).len(), 3);
    assert_eq!(double.seen(SEARCH).len(), 2);
    worker.shutdown(crate::fixture::PATIENCE).await;

    // A limit that lasts longer than a job is let to wait fails it at once, with the reason.
    double.fail(CHAT, Fault::RateLimit("901".into()));
    let _worker = f.work();
    let failed = f.ended(&f.start("english", "adverbs").await).await;
    assert_eq!(failed["status"], "failed");
    assert!(text(&failed["error_message"]).starts_with("LLM failed: 429"), "{failed}");
}

#[tokio::test]
async fn a_task_can_be_cancelled_while_it_is_written() {
    let double = Double::start().await;
    double.hold();
    let f = Fixture::with(both(&double)).await;
    let _worker = f.work();
    let task = f.start("english", "verbs").await;
    double.wait_for(CHAT, 1).await;
    f.longhaul.cancel(&job_id(&task)).await.unwrap();
    let ended = f.ended(&task).await;
    // The model's server is told, too: nobody pays for words that nobody reads.
    double.wait_for_hang_up(CHAT, 1).await;
    assert_eq!(
        (&ended["status"], &ended["error_message"]),
        (&json!("failed"), &json!("Lesson generation was cancelled"))
    );
    assert_eq!(f.get("/lessons/english/verbs").await.status, 404);
}

/// A worker in a runtime of its own, which can be taken away without a word to the store, as a crash does.
struct Doomed {
    runtime: tokio::runtime::Runtime,
    worker: Worker,
}

impl Doomed {
    fn start(f: &Fixture) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let guard = runtime.enter();
        let worker = f.work();
        drop(guard);
        Self { runtime, worker }
    }

    async fn crash(self) {
        let Self { runtime, worker } = self;
        let stop = move || runtime.shutdown_timeout(crate::fixture::PATIENCE);
        tokio::task::spawn_blocking(stop).await.unwrap();
        // Its tasks are gone, so there is nobody left who could hand anything back.
        drop(worker);
    }
}

#[tokio::test]
async fn a_crash_in_mid_lesson_asks_wikipedia_no_second_time() {
    let double = Double::start().await;
    double.hold();
    let f = Fixture::with(both(&double)).await;
    let task = f.start("english", "verbs").await;
    let doomed = Doomed::start(&f);
    double.wait_for(CHAT, 1).await;
    double.release(3);
    doomed.crash().await;
    double.release_all();

    let f = f.reopen(both(&double)).await;
    // Whatever the dead worker held is given to others once its lease is over.
    f.clock.advance(Duration::from_secs(60));
    let _worker = f.work();
    let job = f.job_ended(&task).await;
    assert_eq!((job.state, job.attempt), (State::Completed, 1));
    assert_eq!((double.seen(SEARCH).len(), double.seen(SUMMARY).len(), double.seen(CHAT).len()), (1, 1, 2));
    assert_eq!(f.versions("english", "verbs").await, ["1.0"]);
}

#[tokio::test]
async fn a_budget_counts_the_tokens_that_were_taken_in_place_of_those_that_were_reserved() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let (first, second) = (f.start("english", "verbs").await, f.start("english", "nouns").await);
    let is_there = |job: &longhaul::JobRecord| job.state == State::Available;
    let reserved = f.becomes(&first, is_there).await.policy.cost.rate;
    assert!((1_100..3_000).contains(&reserved), "{reserved}");
    // Of two such jobs both start only where the first has given some of its tokens back, for the clock stands still.
    let budget = Rate { n: 1, per: Duration::from_secs(3_600), burst: Some(2 * reserved - 1) };
    let limits = KeyConfig { rate: Some(budget), ..KeyConfig::default() };
    f.longhaul.store().set_key("provider:llm", Some(&limits)).await.unwrap();
    let _worker = f.work();
    for task in [&first, &second] {
        let job = f.job_ended(task).await;
        assert_eq!(
            (job.state, job.limit_keys),
            (State::Completed, vec!["provider:llm".to_owned(), "lessons:user:user123".to_owned()])
        );
    }
}
