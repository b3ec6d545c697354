//! A lesson can be watched while it is written, over the engine's own API.

use std::time::Duration;

use fakes::{Double, Fault, Quirk};
use longhaul::EventBody;
use reqwest::Response;
use serde_json::{Value, json};
use service_support::Write;

use crate::fixture::{CHAT, Fixture, both, text, wikipedia};

/// A reader of a job's events.
struct Reader {
    answer: Response,
    buffer: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Reader {
    async fn open(f: &Fixture, task: &str, last_seen: Option<&str>) -> Self {
        let mut request = f.client.get(format!("{}/api/jobs/{task}/events", f.url));
        if let Some(id) = last_seen {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { answer, buffer: String::new() }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.buffer = rest;
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                };
                if field("event:").is_empty() {
                    continue;
                }
                let data = serde_json::from_str(&field("data:")).unwrap();
                return Some(Event { id: field("id:"), name: field("event:"), data });
            }
            let piece = self.answer.chunk().await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn next_of(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended without {name}"));
            if event.name == name {
                return event;
            }
        }
    }

    async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn written(events: &[Event]) -> String {
    let mut all = String::new();
    for event in events {
        match event.name.as_str() {
            "chunk" => all.push_str(event.data["data"].as_str().unwrap()),
            "reset" => all.clear(),
            _ => {}
        }
    }
    all
}

fn lesson() -> String {
    let fields = ["title", "shloka", "translation", "explanation", "activity", "question"];
    let lesson: serde_json::Map<String, Value> = fields
        .iter()
        .map(|name| ((*name).to_owned(), json!(format!("the {name} of this lesson, विद्या"))))
        .collect();
    Value::from(lesson).to_string()
}

#[tokio::test]
async fn words_are_seen_as_they_are_written() {
    let double = Double::start().await;
    double.say(&lesson());
    double.hold();
    let f = Fixture::with(both(&double)).await;
    let task = f.start("english", "verbs").await;
    let _worker = f.work();
    let mut reader = Reader::open(&f, &task, None).await;
    double.wait_for(CHAT, 1).await;

    let lesson = lesson();
    let words: Vec<&str> = lesson.split_inclusive(' ').collect();
    let mut seen = Vec::new();
    for word in &words[..6] {
        // It cannot have come before: the model has not said it yet.
        double.release(1);
        let event = reader.next_of("chunk").await;
        assert_eq!(event.data["data"], *word);
        seen.push(event);
    }
    drop(reader);
    // The reader comes back with the fourth; what it had seen after that comes again, and nothing else does.
    let reader = Reader::open(&f, &task, Some(&seen[3].id)).await;
    double.release_all();
    let rest = reader.rest().await;
    assert_eq!(written(&seen[..4]) + &written(&rest), lesson);
    assert!(rest.iter().all(|event| event.name != "reset"));
    assert_eq!(rest.last().unwrap().data["state"], "completed");
    assert_eq!(written(&Reader::open(&f, &task, None).await.rest().await), lesson);
    assert_eq!(f.ended(&task).await["lesson_data"]["title"], "the title of this lesson, विद्या");
}

#[tokio::test]
async fn a_retry_tells_readers_to_begin_anew() {
    let double = Double::start().await;
    double.say(&lesson());
    double.say(&lesson());
    double.fail(CHAT, Fault::CutAfter(5));
    let f = Fixture::with(both(&double)).await;
    let task = f.start("english", "verbs").await;
    let _worker = f.work();
    let first = f.fails_once_more(&task, 1).await;
    assert!(first.errors[0].message.starts_with("LLM failed:"), "{first:?}");
    f.clock.advance(Duration::from_secs(2));
    f.job_ended(&task).await;
    let events = Reader::open(&f, &task, None).await.rest().await;
    let resets: Vec<usize> = (0..events.len()).filter(|at| events[*at].name == "reset").collect();
    assert_eq!(resets.len(), 1, "{events:?}");
    let (before, after) = events.split_at(resets[0]);
    assert!(!written(before).is_empty() && lesson().starts_with(&written(before)));
    assert_eq!(written(after), lesson());
    assert!(after.iter().all(|event| event.data["attempt"] == 2));
}

#[tokio::test]
async fn a_text_that_is_paid_for_is_shown_again_and_not_written_again() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let rename = async |from: &str, to: &str| {
        let rename = Write::new(format!("ALTER TABLE {from} RENAME TO {to}"), vec![]);
        f.db.commit(vec![rename], vec![]).await.unwrap();
    };
    rename("lesson_topics", "away").await;
    let task = f.start("english", "verbs").await;
    let _worker = f.work();
    f.fails_once_more(&task, 1).await;
    let first = f.longhaul.events(&crate::fixture::job_id(&task), 0, 1_000, Duration::ZERO).await.unwrap();
    assert!(first.unwrap().len() > 10);
    rename("away", "lesson_topics").await;
    f.clock.advance(Duration::from_secs(2));
    let done = f.ended(&task).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!((double.seen(CHAT).len(), double.seen(crate::fixture::SEARCH).len()), (1, 1));
    let events = Reader::open(&f, &task, None).await.rest().await;
    assert!(events.iter().any(|event| event.name == "reset"));
    let shown: Value = serde_json::from_str(&written(&events)).unwrap();
    assert_eq!(shown["title"], done["lesson_data"]["title"]);
}

#[tokio::test]
async fn a_reply_that_comes_all_at_once_is_shown_however_long_it_is() {
    let double = Double::start().await;
    let mut long: Value = serde_json::from_str(&lesson()).unwrap();
    long["explanation"] = json!("विद्या ".repeat(5_000));
    double.say(&long.to_string());
    double.quirk(Quirk::IgnoresStream);
    let f = Fixture::with(both(&double)).await;
    let task = f.start("english", "verbs").await;
    let _worker = f.work();
    let done = f.ended(&task).await;
    assert_eq!(done["status"], "completed", "{done}");
    let events = f.longhaul.events(&crate::fixture::job_id(&task), 0, 1_000, Duration::ZERO).await.unwrap();
    let shown = events.unwrap().into_iter().filter_map(|event| match event.body {
        EventBody::Chunk { data } => Some(text(&data.to_value())),
        _ => None,
    });
    assert_eq!(shown.collect::<String>(), long.to_string());
}

#[tokio::test]
async fn the_outline_can_be_watched_too() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let task = f.start("english", "verbs").await;
    let _worker = f.work();
    let events = Reader::open(&f, &task, None).await.rest().await;
    assert!(events.iter().filter(|event| event.name == "chunk").count() > 50);
    let shown = written(&events);
    assert!(shown.starts_with("{\"title\": \"Verbs in English\""), "{shown}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let mut lesson = f.status(&task).await["lesson_data"].clone();
    lesson.as_object_mut().unwrap().remove("wikipedia_info");
    assert_eq!(shown, lesson);
    let output = events.iter().find(|event| event.name == "output").unwrap();
    assert_eq!(text(&output.data["output"]["generator"]), "outline");
}
