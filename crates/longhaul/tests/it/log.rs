//! Progress, log lines and chunks of a running job, and the moment at which readers hear of them.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{EventBody, JobError, LogLevel, State};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::script::{Script, enqueue, events, longhaul, until, within, worker};

const GRACE: Duration = Duration::from_secs(60);

/// An event in the few words that these tests compare.
fn word(body: &EventBody) -> String {
    match body {
        EventBody::State { state, .. } => state.to_string(),
        EventBody::Progress(progress) => format!("{}% {}", progress.percent, progress.message),
        EventBody::Log { message, .. } => format!("log {message}"),
        EventBody::Chunk { data } => format!("chunk {}", data.as_str()),
        EventBody::Gap => "gap".into(),
        EventBody::Reset => "reset".into(),
        EventBody::Output { output } => format!("output {}", output.as_str()),
    }
}

#[tokio::test]
async fn progress_log_and_chunks_arrive_in_the_order_in_which_they_were_said() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |_, cx| {
        cx.progress(10, "begun");
        cx.log(LogLevel::Info, "one");
        cx.emit(1).await?;
        cx.emit("two").await?;
        cx.progress(40, "nobody can see this one");
        cx.progress(50, "half");
        cx.log(LogLevel::Warn, "two");
        // A step goes to the store at once, and all that was said before it must be there first.
        cx.step("middle", async || Ok(())).await?;
        cx.emit(json!({ "n": 3 })).await?;
        Ok(json!("end"))
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    let done = until(&longhaul, &id, State::Completed).await;
    let events = events(&longhaul, &id).await;
    let words: Vec<String> = events.iter().map(|event| word(&event.body)).collect();
    let expected = [
        "10% begun",
        "log one",
        "chunk 1",
        "chunk \"two\"",
        "50% half",
        "log two",
        "chunk {\"n\":3}",
        "output \"end\"",
        "completed",
    ];
    assert_eq!(words, expected);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(events.last().unwrap().seq, done.last_event);
    assert_eq!(done.progress.unwrap().percent, 50.0);
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_reader_hears_a_chunk_while_the_job_still_runs() {
    let (longhaul, _clock) = longhaul();
    let gate = Arc::new(Notify::new());
    let script = Script::new({
        let gate = Arc::clone(&gate);
        move |_, cx| {
            let gate = Arc::clone(&gate);
            async move {
                cx.emit("early").await?;
                gate.notified().await;
                Ok(Value::Null)
            }
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    let mut after = 0;
    let chunk = async {
        loop {
            let news = longhaul.events(&id, after, 10, GRACE).await.unwrap().unwrap();
            after = news.last().map_or(after, |event| event.seq);
            if let Some(chunk) = news.iter().find(|event| word(&event.body) == "chunk \"early\"") {
                return chunk.clone();
            }
        }
    };
    let chunk = within("the chunk", chunk).await;
    assert_eq!(chunk.attempt, 1);
    gate.notify_one();
    until(&longhaul, &id, State::Completed).await;
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_later_attempt_begins_with_a_reset_and_is_told_apart() {
    let (longhaul, clock) = longhaul();
    let script = Script::new(async |_, cx| {
        cx.emit(cx.attempt()).await?;
        if cx.attempt() == 1 { Err(JobError::retry("again")) } else { Ok(Value::Null) }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Scheduled).await;
    clock.advance(GRACE);
    until(&longhaul, &id, State::Completed).await;
    let events = events(&longhaul, &id).await;
    let told: Vec<(u32, String)> = events.iter().map(|event| (event.attempt, word(&event.body))).collect();
    let expected = [(1, "chunk 1"), (2, "reset"), (2, "chunk 2"), (2, "output null"), (2, "completed")];
    assert_eq!(told, expected.map(|(attempt, word)| (attempt, word.to_owned())));
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_job_that_emits_more_than_may_wait_loses_nothing() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |_, cx| {
        for n in 0..900 {
            cx.emit(n).await?;
        }
        Ok(Value::Null)
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Completed).await;
    let chunks = events(&longhaul, &id).await.into_iter().filter_map(|event| match event.body {
        EventBody::Chunk { data } => data.to::<u32>().ok(),
        _ => None,
    });
    assert_eq!(chunks.collect::<Vec<_>>(), (0..900).collect::<Vec<_>>());
    worker.shutdown(GRACE).await;
}
