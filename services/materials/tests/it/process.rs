use std::time::Duration;

use longhaul::{EventBody, State};
use serde_json::{Value, json};

use crate::fixture::{Fixture, process_job, sample};

#[tokio::test]
async fn a_scan_is_read_watched_and_found() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "scanned.pdf", &sample("scanned.pdf")).await;
    let _worker = f.work();
    let material = f.ended(&id).await;
    assert_eq!(material["processing_status"], "completed", "{material}");
    assert_eq!(material["error_message"], Value::Null);
    assert_eq!(material["has_embedding"], false);
    assert!(
        material["processed_at"].is_string()
            && material["updated_at"].as_str() >= material["processed_at"].as_str()
    );

    let reply = f.get(&format!("/courses/{course}/materials/search?query=rubisco+enzyme")).await;
    assert_eq!(reply.headers["search-mode"], "lexical");
    let found = reply.json();
    assert_eq!(found[0]["material_id"], id);
    assert!(found[0]["excerpt"].as_str().unwrap().contains("an enzyme named rubisco"), "{found}");

    let events = f.longhaul.events(&process_job(&id), 0, 1_000, Duration::ZERO).await.unwrap().unwrap();
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Progress(progress) => Some(progress.message.as_str()),
            _ => None,
        })
        .collect();
    assert!(told.contains(&"page 2 of 3"), "{told:?}");
}

#[tokio::test]
async fn every_kind_of_file_is_read() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let _worker = f.work();
    for (name, bytes, kind) in [
        ("lecture.pdf", sample("lecture.pdf"), "application/pdf"),
        (
            "notes.docx",
            sample("notes.docx"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            "slides.pptx",
            sample("slides.pptx"),
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ),
        ("scanned-page.png", sample("scanned-page.png"), "image/png"),
        ("notes.md", b"# Leaves\n\nChlorophyll absorbs light.".to_vec(), "text/markdown"),
        ("notes.txt", b"Chlorophyll absorbs light.".to_vec(), "text/plain"),
    ] {
        let id = f.uploaded(&course, name, &bytes).await;
        let material = f.ended(&id).await;
        assert_eq!(material["processing_status"], "completed", "{material}");
        assert_eq!(material["file_type"], kind);
        assert!(f.rows("material_chunks", &id).await > 0, "{name}");
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_fails_at_once_in_plain_words() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let _worker = f.work();
    for (name, message) in [("encrypted.pdf", "PDF is encrypted"), ("truncated.pdf", "PDF cannot be read")] {
        let id = f.uploaded(&course, name, &sample(name)).await;
        let material = f.ended(&id).await;
        assert_eq!(material["processing_status"], "failed");
        assert_eq!(material["error_message"], message);
        assert_eq!(material["processed_at"], Value::Null);
        let job = f.longhaul.get(&process_job(&id)).await.unwrap().found().unwrap();
        assert_eq!((job.state, job.attempt), (State::Failed, 1));
        assert_eq!(f.rows("material_chunks", &id).await, 0);

        // The row says the same once the job's record is gone.
        f.longhaul.delete(&job.id).await.unwrap();
        let later = f.get(&format!("/materials/{id}")).await.json();
        assert_eq!(
            (&later["processing_status"], &later["error_message"]),
            (&json!("failed"), &json!(message))
        );
    }
}

#[tokio::test]
async fn a_blank_document_is_completed_and_found_by_nothing() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let _worker = f.work();
    let id = f.uploaded(&course, "blank.txt", b" \n\t\n").await;
    let material = f.ended(&id).await;
    assert_eq!(material["processing_status"], "completed");
    assert_eq!(material["has_embedding"], false);
    let found = f.get(&format!("/courses/{course}/materials/search?query=anything")).await.json();
    assert_eq!(found, json!([]));
}

#[tokio::test]
async fn a_material_whose_job_was_lost_says_so() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    // Nobody prunes an unfinished job, but an operator may cancel one, and its record is pruned later.
    f.longhaul.cancel(&process_job(&id)).await.unwrap();
    let material = f.get(&format!("/materials/{id}")).await.json();
    assert_eq!(material["error_message"], "Processing was cancelled");
    f.longhaul.delete(&process_job(&id)).await.unwrap();
    let material = f.get(&format!("/materials/{id}")).await.json();
    assert_eq!(material["processing_status"], "failed");
    assert_eq!(material["error_message"], "Processing was interrupted");
}

#[tokio::test]
async fn a_file_that_is_missing_is_tried_again_and_then_failed() {
    let f = Fixture::open(tempfile::tempdir().unwrap(), longhaul::Clock::manual(), &[]).await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    std::fs::remove_file(&f.files()[0]).unwrap();
    let _worker = f.work();
    for attempt in 1..=2 {
        f.fails_once_more(&process_job(&id), attempt).await;
        let material = f.get(&format!("/materials/{id}")).await.json();
        assert_eq!(material["processing_status"], "processing", "a retry is not a new beginning");
        assert_eq!(material["error_message"], Value::Null);
        f.clock.advance(Duration::from_secs(60));
    }
    let material = f.ended(&id).await;
    assert_eq!(material["processing_status"], "failed");
    assert!(
        material["error_message"].as_str().unwrap().contains("failed to find the document"),
        "{material}"
    );
}
