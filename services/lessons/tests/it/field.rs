//! Topics as people write them, answers as Wikipedia gives them, and tasks that are cancelled and listed.

use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::{NewJob, State};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{CHAT, Fixture, SEARCH, both, job_id, text, wikipedia};

/// A search's answer with these titles.
fn hits(titles: &[&str]) -> Fault {
    let hit =
        |title: &&str| json!({ "ns": 0, "title": title, "pageid": 1, "snippet": "a <b>word</b> &amp; more" });
    let found: Vec<Value> = titles.iter().map(hit).collect();
    Fault::Body(json!({ "batchcomplete": "", "query": { "search": found } }).to_string())
}

fn summary_path(title: &str) -> String {
    format!("/api/rest_v1/page/summary/{title}")
}

fn page(title: &str, extract: &str) -> Fault {
    Fault::Body(json!({ "type": "standard", "title": title, "extract": extract }).to_string())
}

async fn info(f: &Fixture, subject: &str, topic: &str) -> Value {
    let done = f.ended(&f.start(subject, topic).await).await;
    assert_eq!(done["status"], "completed", "{done}");
    done["lesson_data"]["wikipedia_info"].clone()
}

#[tokio::test]
async fn an_article_on_something_else_is_passed_over() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    double.fail(SEARCH, hits(&["Iron Maiden", "Photosynthesis"]));
    double.fail(
        &summary_path("Iron_Maiden"),
        page("Iron Maiden", "Iron Maiden are an English heavy metal band."),
    );
    let read = info(&f, "biology", "photosynthesis").await;
    assert_eq!((&read["title"], &read["note"]), (&json!("Photosynthesis"), &Value::Null));
    assert_eq!(read["related_articles"], json!([]), "a band is nothing to read on");

    // A page that was deleted, one without a text, one without an extract, a redirect: the next one is read.
    double.fail(SEARCH, hits(&["Deleted", "Light empty", "Light missing", "Light (old name)"]));
    double.fail(&summary_path("Deleted"), Fault::Status(404));
    double.fail(&summary_path("Light_empty"), page("Light empty", " \n "));
    double.fail(&summary_path("Light_missing"), Fault::Body(json!({ "title": "Light missing" }).to_string()));
    let read = info(&f, "physics", "light").await;
    assert_eq!(read["title"], "Light", "title and address are those of the page that was read");
    assert_eq!(read["url"], "https://en.wikipedia.org/wiki/Light");
    let agents = double.seen(&summary_path("Light"));
    assert!(agents[0].headers["user-agent"].to_str().unwrap().contains("https://"), "also behind a redirect");

    // Nulls, hits that are none, parts without what they are to have.
    let hit = |title: &str| json!({ "title": title, "snippet": null });
    let odd = json!([null, { "title": 7 }, hit("Odd sound"), hit("Sound")]);
    double.fail(SEARCH, Fault::Body(json!({ "query": { "search": odd } }).to_string()));
    let page = json!({ "title": "Odd sound", "extract": null });
    double.fail(&summary_path("Odd_sound"), Fault::Body(page.to_string()));
    let page = json!({
        "type": null, "title": "Sound", "extract": "Sound is a wave.", "content_urls": { "mobile": {} },
        "thumbnail": { "width": 3 },
    });
    double.fail(&summary_path("Sound"), Fault::Body(page.to_string()));
    let read = info(&f, "physics", "sound").await;
    assert_eq!((&read["title"], &read["summary"]), (&json!("Sound"), &json!("Sound is a wave.")), "{read}");
    assert!(text(&read["url"]).ends_with("/wiki/Sound") && read["thumbnail"].is_null(), "{read}");

    // Nothing fits, in either search.
    for _ in 0..2 {
        double.fail(SEARCH, hits(&["BSD", "Wife"]));
    }
    let read = info(&f, "computing", "BSOD").await;
    assert_eq!((&read["title"], &read["summary"]), (&Value::Null, &Value::Null));
    assert_eq!(read["note"], "Wikipedia has no article that fits");
}

#[tokio::test]
async fn what_is_read_is_plain_text() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    double.fail(SEARCH, hits(&["Verb", "Verbs &amp; <i>more</i>"]));
    let extract = "A <i>verb</i> (/vɜːrb/ VURB-ish; from Latin verbum) is a word[1] that&nbsp;acts &ndash; x \u{0}\u{7} .";
    double.fail(&summary_path("Verb"), page("<i>Verb</i>", extract));
    let task = f.start("english", "verb").await;
    let done = f.ended(&task).await;
    let read = &done["lesson_data"]["wikipedia_info"];
    assert_eq!(
        (&read["title"], &read["summary"]),
        (&json!("Verb"), &json!("A verb (from Latin verbum) is a word that acts – x."))
    );
    let related = &read["related_articles"][0];
    assert_eq!((&related["title"], &related["excerpt"]), (&json!("Verbs & more"), &json!("a word & more")));
}

#[tokio::test]
async fn a_wiki_that_is_busy_or_a_portal_in_its_place_is_a_note() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    let maxlag = json!({ "error": { "code": "maxlag", "info": "Waiting for 10.64: 6 seconds lagged." } });
    for (fault, note) in [
        (Fault::Body(maxlag.to_string()), "Wikipedia was too busy to answer"),
        (Fault::Body("<html>captive portal</html>".into()), "Wikipedia's answer could not be read"),
    ] {
        double.fail(SEARCH, fault);
        assert_eq!(info(&f, "english", "verbs").await["note"], note);
    }
}

#[tokio::test]
async fn a_lesson_is_in_the_language_that_was_asked_for_or_that_the_request_is_in() {
    let double = Double::start().await;
    let wiki = format!("{}/wikipedia/{{language}}", double.url());
    let f = Fixture::with(vec![("WIKIPEDIA_API_URL", wiki)]).await;
    let _worker = f.work();
    for (subject, topic, language, code, words) in [
        ("biology", "photosynthesis", Value::Null, "en", "To read on"),
        ("Biologie", "Photosynthese", Value::Null, "de", "Zum Weiterlesen"),
        ("biología", "la fotosíntesis", Value::Null, "es", "Para seguir leyendo"),
        ("histoire", "la Révolution française", Value::Null, "fr", "Pour aller plus loin"),
        ("विज्ञान", "प्रकाश संश्लेषण", Value::Null, "hi", "आगे पढ़ने के लिए"),
        ("math", "pi", json!("de-AT"), "de", "Zum Weiterlesen"),
        ("math", "pi", json!("français"), "fr", "Pour aller plus loin"),
        ("Biologie", "Photosynthese", json!("Klingon"), "en", "To read on"),
        ("math", "pi", json!(""), "en", "To read on"),
    ] {
        let body = json!({ "subject": subject, "topic": topic, "user_id": "u", "language": language });
        let done = f.ended(&text(&f.post(&body).await.body["task_id"])).await;
        assert!(text(&done["lesson_data"]["explanation"]).contains(words), "{subject} {language}: {done}");
        let asked = format!("/wikipedia/{code}/w/api.php");
        assert!(!double.seen(&asked).is_empty(), "{code}");
    }
    let body = json!({ "subject": "a", "topic": "b", "user_id": "u", "language": 1 });
    assert_eq!(f.post(&body).await.error(), (400, "language must be a string".into()));
}

#[tokio::test]
async fn the_model_is_told_the_language() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let _worker = f.work();
    f.ended(&f.start("Geschichte", "die Französische Revolution").await).await;
    let asked: Value = serde_json::from_slice(&double.seen(CHAT)[0].body).unwrap();
    assert!(text(&asked["messages"][0]["content"]).contains("in German"), "{asked}");
}

#[tokio::test]
async fn a_lesson_is_found_under_just_what_was_asked_for() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    let long = "é".repeat(127);
    let topics = [
        "C++",
        "C#",
        "AC/DC",
        "9/11",
        "a?b=c&d",
        "50% off",
        "'quoted' \"twice\"",
        "..",
        ".",
        "🎓",
        "intitle:x -y",
        "a\\b",
        "{topic}",
        "<b>x</b>",
        "x;y",
        "&amp;",
        &long,
        "ﬁ",
        "a  b",
    ];
    for topic in topics {
        let done = f.ended(&f.start("s", topic).await).await;
        assert_eq!(done["status"], "completed", "{topic}: {done}");
    }
    let address = f.url.strip_prefix("http://").unwrap();
    for topic in topics {
        // By hand, because clients take a step for what is called `..`.
        let encoded: String = topic.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET /lessons/s/{encoded} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("\"version\":\"1.0\""),
            "{topic}: {answer}"
        );
    }
    let huge = json!({ "subject": "x".repeat(10_000), "topic": "t", "user_id": "u" });
    assert_eq!(f.post(&huge).await.error(), (400, "subject must be at most 200 characters".into()));
}

#[tokio::test]
async fn a_task_is_cancelled_while_it_waits_while_it_is_written_and_while_wikipedia_is_asked() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let cancel = async |task: &str| f.send("POST", &format!("/lessons/status/{task}/cancel"), None).await;
    let waiting = f.start("english", "verbs").await;
    let cancelled = cancel(&waiting).await;
    assert_eq!(cancelled.status, 200);
    let body = &cancelled.body;
    assert_eq!(body.as_object().unwrap().len(), 7);
    assert_eq!(
        (&body["status"], &body["error_message"]),
        (&json!("failed"), &json!("Lesson generation was cancelled"))
    );
    assert_eq!(cancel(&waiting).await.body, *body, "again is the same");

    double.fail(CHAT, Fault::Hang);
    let _worker = f.work();
    let written = f.start("english", "nouns").await;
    double.wait_for(CHAT, 1).await;
    cancel(&written).await;
    assert_eq!(f.job_ended(&written).await.state, State::Cancelled);
    assert_eq!(f.status(&written).await["error_message"], "Lesson generation was cancelled");

    double.fail(SEARCH, Fault::Hang);
    let asked = f.start("english", "adverbs").await;
    double.wait_for(SEARCH, 2).await;
    cancel(&asked).await;
    assert_eq!(f.job_ended(&asked).await.state, State::Cancelled);
    for topic in ["verbs", "nouns", "adverbs"] {
        assert_eq!(f.get(&format!("/lessons/english/{topic}")).await.status, 404, "{topic}");
    }

    let done = f.start("english", "articles").await;
    f.ended(&done).await;
    let told = format!("Task {done} has completed and cannot be cancelled");
    assert_eq!(cancel(&done).await.error(), (409, told));
    assert_eq!(cancel("nobody").await.error().0, 404);
    let counts = f.get("/lessons/tasks").await.body["status_counts"].clone();
    assert_eq!(counts, json!({ "pending": 0, "in_progress": 0, "completed": 1, "failed": 3 }));
}

#[tokio::test]
async fn tasks_are_listed_for_a_user_and_in_pages() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    for (number, user) in (0..5).zip(["ann", "bob", "ann", "bob", "ann"]) {
        let body = json!({ "subject": "s", "topic": format!("t{number}"), "user_id": user });
        assert_eq!(f.post(&body).await.status, 200);
        f.clock.advance(Duration::from_millis(1));
    }
    let list = async |query: &str| {
        let body = f.get(&format!("/lessons/tasks{query}")).await.body;
        let topics: Vec<String> =
            body["tasks"].as_array().unwrap().iter().map(|task| text(&task["topic"])).collect();
        (
            body["total_tasks"].as_u64().unwrap(),
            body["status_counts"]["pending"].as_u64().unwrap(),
            topics.join(" "),
        )
    };
    assert_eq!(list("").await, (5, 5, "t4 t3 t2 t1 t0".into()));
    assert_eq!(list("?user_id=ann").await, (3, 3, "t4 t2 t0".into()));
    assert_eq!(list("?user_id=ann&limit=2&page=2").await, (3, 3, "t0".into()));
    assert_eq!(list("?user_id=nobody").await, (0, 0, String::new()));
    assert_eq!(list("?user_id=").await.0, 5);
    for query in ["?limit=0", "?limit=1001", "?page=0", "?page=x", "?user_id=a&user_id=b"] {
        assert_eq!(f.get(&format!("/lessons/tasks{query}")).await.error().0, 400, "{query}");
    }
}

#[tokio::test]
async fn counts_of_tasks_are_true_beyond_the_list() {
    let f = Fixture::with(vec![]).await;
    let args = longhaul::Json::new(
        &json!({ "subject": "s", "topic": "t", "user_id": "u", "include_wikipedia": false }),
    )
    .unwrap();
    for _ in 0..11 {
        let job = |_| NewJob { queue: "lessons".into(), ..NewJob::new("lessons.generate", args.clone()) };
        f.longhaul.enqueue_many((0..1_000).map(job).collect()).await.unwrap();
    }
    let cancelled = f.start("s", "t").await;
    f.longhaul.cancel(&job_id(&cancelled)).await.unwrap();
    let body = f.get("/lessons/tasks").await.body;
    assert_eq!(body["total_tasks"], 11_001);
    assert_eq!(
        body["status_counts"],
        json!({ "pending": 11_000, "in_progress": 0, "completed": 0, "failed": 1 })
    );
    assert_eq!(body["tasks"].as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_request_that_is_sent_again_with_its_key_makes_one_lesson() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let ask = async |key: &str| {
        let body = json!({ "subject": "s", "topic": "t", "user_id": "u" });
        let request =
            f.client.post(format!("{}/lessons", f.url)).header("idempotency-key", key).body(body.to_string());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        text(&answer["task_id"])
    };
    let first = ask("k1").await;
    assert_eq!(ask("k1").await, first);
    assert_ne!(ask("k2").await, first);
    assert_eq!(f.get("/lessons/tasks").await.body["total_tasks"], 2);
}
