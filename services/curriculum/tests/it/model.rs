//! With a model: what it is asked, what is made of its answers, and what becomes of bad ones.

use std::time::Duration;

use fakes::{Double, Fault, Quirk};
use longhaul::{EventBody, KeyConfig, KeyFilter, Rate, State};
use serde_json::{Value, json};

use crate::fixture::{CHAT, Fixture, job_id, modules};

/// A list of lessons, as a model writes it.
fn list(lessons: usize) -> String {
    let lesson = |number: usize| {
        let title = format!("Lesson on idea {number}");
        json!({ "title": title, "focus": format!("idea {number}"), "bloomLevel": "Apply", "outcomes": [2, 1, 2] })
    };
    json!({ "lessons": (1..=lessons).map(lesson).collect::<Vec<_>>() }).to_string()
}

#[tokio::test]
async fn a_model_writes_the_lessons_and_its_words_can_be_followed() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 3.0)).await;
    f.start(&id).await;
    double.say(&list(2));
    let _worker = f.work();
    f.completes(&id, 1).await;

    let plan = f.step10("GET", &id, "").await.body["data"]["step10"].clone();
    assert_eq!(plan["validation"]["valid"], true, "{}", plan["validation"]);
    let lessons = &plan["moduleLessonPlans"][0]["lessons"];
    for lesson in lessons.as_array().unwrap() {
        assert_eq!(lesson["generator"], "double-1");
        assert_eq!(lesson["linkedMLOs"], json!(["MLO1", "MLO2"]));
        let minutes =
            lesson["activities"].as_array().unwrap().iter().map(|a| a["duration"].as_u64().unwrap());
        assert_eq!(minutes.sum::<u64>(), 90, "the model's minutes were fitted to the lesson");
    }
    let asked: Vec<Value> =
        double.seen(CHAT).iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|body| body["stream"] == true));
    assert_eq!(asked[0]["response_format"]["json_schema"]["name"], "module_plan");
    let words = asked[2]["messages"][1]["content"].as_str().unwrap();
    for part in [
        "Computer Science",
        "CS001: Module 1 (3 contact hours)",
        "1. Explain idea 1",
        "lesson 2,",
        "90 minutes",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }

    let events = f.longhaul.events(&job_id(&id, 0), 0, 1_000, Duration::ZERO).await.unwrap().unwrap();
    let mut texts = [const { String::new() }; 3];
    let mut progress = Vec::new();
    for event in events {
        match event.body {
            EventBody::Chunk { data } => {
                let chunk = data.to_value();
                texts[chunk["lesson"].as_u64().unwrap() as usize].push_str(chunk["text"].as_str().unwrap());
            }
            EventBody::Progress(at) => progress.push((at.percent, at.message)),
            _ => {}
        }
    }
    assert_eq!(texts[0], list(2));
    assert_eq!(lessons[1]["lessonTitle"], "Lesson on idea 2");
    for (text, lesson) in texts[1..].iter().zip(lessons.as_array().unwrap()) {
        let written: Value = serde_json::from_str(text).unwrap();
        for field in ["objectives", "materials", "instructorNotes", "independentStudy", "formativeChecks"] {
            assert_eq!(written[field], lesson[field]);
        }
    }
    // Reports within a tenth of a second are put together; the last one always stands.
    assert_eq!(progress.last().unwrap(), &(100.0, "Module 1 is planned".to_owned()));
    let titles: Vec<&str> =
        lessons.as_array().unwrap().iter().map(|lesson| lesson["lessonTitle"].as_str().unwrap()).collect();
    for (percent, message) in &progress[..progress.len() - 1] {
        let done = titles.iter().position(|title| title == message).unwrap();
        assert_eq!(*percent, done as f64 * 50.0);
    }
}

#[tokio::test]
async fn a_reply_that_comes_all_at_once_is_passed_on_however_long_it_is() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 3.0)).await;
    f.start(&id).await;
    let long = list(2).replacen(':', &format!(":{}", " ".repeat(100_000)), 1);
    double.say(&long);
    double.quirk(Quirk::IgnoresStream);
    let _worker = f.work();
    f.completes(&id, 1).await;
    let events = f.longhaul.events(&job_id(&id, 0), 0, 1_000, Duration::ZERO).await.unwrap().unwrap();
    let chunks = events.into_iter().filter_map(|event| match event.body {
        EventBody::Chunk { data } => Some(data.to_value()),
        _ => None,
    });
    let of_the_list = chunks.filter(|chunk| chunk["lesson"] == 0);
    let told: String = of_the_list.map(|chunk| chunk["text"].as_str().unwrap().to_owned()).collect();
    assert!(told == long, "{} of {} bytes", told.len(), long.len());
}

#[tokio::test]
async fn progress_is_lessons_done_with_the_title_of_the_one_being_written() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 6.0)).await;
    f.start(&id).await;
    double.say(&list(4));
    double.fail_after(CHAT, 1 + 3, Fault::Hang);
    let _worker = f.work();
    let at = f.becomes(&id, 0, |job| job.progress.as_ref().is_some_and(|p| p.percent == 75.0)).await.progress;
    assert_eq!(at.unwrap().message, "Lesson on idea 4");
    assert_eq!(f.status(&id).await["jobs"]["details"][0]["progress"], 75);
}

#[tokio::test]
async fn a_reply_that_cannot_be_used_twice_fails_the_module_and_says_why() {
    let lesson = |change: &dyn Fn(&mut Value)| {
        let mut lesson = json!({
            "objectives": ["o"], "materials": [], "instructorNotes": "n",
            "activities": [{ "type": "check", "title": "t", "duration": 5, "description": "d" }],
            "independentStudy": { "duration": 30, "tasks": ["t"] },
            "formativeChecks": [{ "type": "q", "prompt": "p", "lookFor": "l" }],
        });
        change(&mut lesson);
        lesson.to_string()
    };
    let plan = |lessons: Value| json!({ "lessons": lessons }).to_string();
    let planned =
        |outcomes: Value| json!({ "title": "T", "focus": "f", "bloomLevel": "Apply", "outcomes": outcomes });
    let list = "the list of lessons: LLM failed: the reply cannot be used: ";
    let first = "the plan of lesson 1: LLM failed: the reply cannot be used: ";
    let good = || plan(json!([planned(json!([1]))]));
    let table: Vec<(Vec<String>, String)> = vec![
        (vec!["I would rather not.".into()], format!("{list}the reply holds no JSON")),
        (
            vec!["{\"lessons\": [}".into()],
            format!("{list}the reply is not JSON: expected value at line 1 column 14"),
        ),
        (vec!["{}".into()], format!("{list}'lessons' is missing")),
        (vec![plan(json!([]))], format!("{list}it has 0 lessons and not 1")),
        (
            vec![plan(json!([{ "title": "T" }]))],
            format!(
                "{list}'lessons[1].focus' is missing, 'lessons[1].bloomLevel' is missing, 'lessons[1].outcomes' is missing"
            ),
        ),
        (
            vec![plan(json!([planned(json!([3]))]))],
            format!("{list}'lessons[1].outcomes[1]' must not be greater than 2"),
        ),
        (
            vec![plan(json!([planned(json!([0]))]))],
            format!("{list}'lessons[1].outcomes[1]' must not be less than 1"),
        ),
        (
            vec![good(), lesson(&|l| l["activities"][0]["title"] = json!(null))],
            format!("{first}'activities[1].title' must be a text"),
        ),
        (vec![good(), lesson(&|l| l["activities"] = json!([]))], format!("{first}activities is empty")),
        (
            vec![good(), lesson(&|l| l["instructorNotes"] = json!(" "))],
            format!("{first}instructorNotes is empty"),
        ),
    ];
    for (replies, reason) in table {
        let double = Double::start().await;
        let f = Fixture::with(&double).await;
        let id = f.workflow(&modules(1, 1.5)).await;
        f.start(&id).await;
        for reply in &replies {
            double.say(reply);
        }
        // What is asked for once more comes no better.
        double.say(replies.last().unwrap());
        let _worker = f.work();
        let job = f.becomes(&id, 0, |job| job.state == State::Failed).await;
        assert_eq!(double.seen(CHAT).len(), replies.len() + 1, "nothing is paid for a third time");
        assert_eq!(job.errors[0].message, reason);
        assert_eq!(f.status(&id).await["jobs"]["details"][0]["failedReason"], reason);
    }
}

#[tokio::test]
async fn a_reply_that_lacks_fields_is_asked_for_once_more_and_one_that_is_cut_off_is_tried_again() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 1.5)).await;
    f.start(&id).await;
    double.fail_after(CHAT, 1, Fault::MissingFields);
    double.fail(CHAT, Fault::Cut);
    let _worker = f.work();
    // A reply that is cut is never taken for a whole one.
    f.fails_once_more(&id, 0, 1).await;
    f.clock.advance(Duration::from_secs(60));
    f.completes(&id, 1).await;
    assert_eq!(double.seen(CHAT).len(), 1 + 3, "the list of lessons was asked for once");
}

#[tokio::test]
async fn small_slips_of_a_model_are_mended_and_not_paid_for_again() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 1.5)).await;
    f.start(&id).await;
    double.say(
        &json!({ "lessons": { "title": "T", "focus": "f", "bloomLevel": "apply", "outcomes": ["1"] } })
            .to_string(),
    );
    double.say(
        &json!({
            "objectives": "o", "materials": "paper, pens", "instructorNotes": ["a", "b"],
            "activities": [{ "type": "check", "title": "t", "duration": "90", "description": "d" }],
            "independentStudy": { "duration": 30.0, "tasks": ["t\u{0}"] },
            "formativeChecks": [{ "type": "q", "prompt": "p", "lookFor": "l" }],
        })
        .to_string(),
    );
    let _worker = f.work();
    f.completes(&id, 1).await;
    assert_eq!(double.seen(CHAT).len(), 2);
    let step10 = f.step10("GET", &id, "").await.body["data"]["step10"].clone();
    let lesson = &step10["moduleLessonPlans"][0]["lessons"][0];
    assert_eq!((&lesson["materials"], &lesson["instructorNotes"]), (&json!(["paper, pens"]), &json!("a\nb")));
    assert_eq!(lesson["independentStudy"], json!({ "duration": 30, "tasks": ["t"] }));
}

#[tokio::test]
async fn a_cancel_ends_the_models_call() {
    let double = Double::start().await;
    double.hold();
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 1.5)).await;
    f.start(&id).await;
    let _worker = f.work();
    double.wait_for(CHAT, 1).await;
    f.longhaul.cancel(&job_id(&id, 0)).await.unwrap();
    double.wait_for_hang_up(CHAT, 1).await;
    let job = f.becomes(&id, 0, |job| job.state.is_finished()).await;
    assert_eq!(job.state, State::Cancelled, "{job:?}");
}

#[tokio::test]
async fn a_limit_of_the_model_costs_no_attempt() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 1.5)).await;
    f.start(&id).await;
    double.fail(CHAT, Fault::RateLimit("90".into()));
    let _worker = f.work();
    let job = f.becomes(&id, 0, |job| job.state == State::Scheduled).await;
    assert_eq!((job.attempt, job.run_at), (0, f.clock.now().plus(Duration::from_secs(90))));
    let detail = f.status(&id).await["jobs"]["details"][0].clone();
    assert_eq!((&detail["state"], &detail["attemptsMade"]), (&json!("delayed"), &json!(0)));
    f.clock.advance(Duration::from_secs(90));
    f.completes(&id, 1).await;
    assert_eq!(f.job(&id, 0).await.unwrap().attempt, 1);
}

#[tokio::test]
async fn the_estimate_is_measured_once_there_is_something_to_measure() {
    let f = Fixture::alone().await;
    let first = f.workflow(&modules(4, 3.0)).await;
    assert_eq!(f.start(&first).await["data"]["estimatedTimeMinutes"], 15 * 4);
    let _worker = f.work();
    f.completes(&first, 4).await;
    // The outline needs no minute for a lesson, and no estimate says less than one.
    let second = f.workflow(&modules(4, 3.0)).await;
    assert_eq!(f.start(&second).await["data"]["estimatedTimeMinutes"], 1);
    f.completes(&second, 4).await;
    let slower = "UPDATE curriculum_modules SET worked_ms = 300000 WHERE workflow_id = $1";
    for id in [&first, &second] {
        f.db.commit(vec![service_support::Write::new(slower, vec![id.as_str().into()])], vec![])
            .await
            .unwrap();
    }
    // Eight modules of two lessons took five minutes each: two and a half for each lesson.
    let third = f.workflow(&modules(3, 3.0)).await;
    assert_eq!(f.start(&third).await["data"]["estimatedTimeMinutes"], 15);
    f.completes(&third, 3).await;
}

#[tokio::test]
async fn a_budget_counts_the_tokens_of_a_module_that_were_taken_in_place_of_those_that_were_reserved() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let budget = Rate { n: 1, per: Duration::from_secs(3_600), burst: Some(10_000) };
    let limits = KeyConfig { rate: Some(budget), ..KeyConfig::default() };
    f.longhaul.store().set_key("provider:llm", Some(&limits)).await.unwrap();
    let id = f.workflow(&modules(1, 3.0)).await;
    f.start(&id).await;
    double.say(&list(2));
    let _worker = f.work();
    f.completes(&id, 1).await;
    let job = f.job(&id, 0).await.unwrap();
    let reserved = job.policy.cost;
    assert!((4_000..9_000).contains(&reserved.rate), "{reserved:?}");
    let again = KeyFilter { names: job.limit_keys, cost: reserved, limit: 1, ..KeyFilter::default() };
    let key = f.longhaul.store().keys(&again).await.unwrap().remove(0);
    assert_eq!(
        (key.key.as_str(), key.rate_free_at),
        ("provider:llm", None),
        "as much may be reserved at once"
    );
}
