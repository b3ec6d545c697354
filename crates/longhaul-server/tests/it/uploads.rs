//! From an upload to an answer, through the binary and the programs that read documents.

use serde_json::{Value, json};

use crate::courses::{Course, SCANNED_PDF, job_id};
use crate::server::Place;

#[tokio::test]
async fn a_scanned_pdf_is_read_and_found_by_what_it_says() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let course = Course::create(&place, &server).await;
    let id = course.upload(SCANNED_PDF).await.expect("an answer");
    let job = course.ended(&id).await;
    assert_eq!(job["state"], "completed", "{job}");
    let material = course.material(&id).await;
    assert_eq!(material["processing_status"], "completed");
    assert_eq!(material["error_message"], Value::Null);

    let found = course.search(SCANNED_PDF.says).await;
    assert_eq!(found[0]["material_id"], json!(id), "{found:?}");
    let excerpt = found[0]["excerpt"].as_str().expect("an excerpt").replace('\n', " ");
    assert!(excerpt.contains(SCANNED_PDF.says), "OCR has read it: {excerpt}");
    assert!(place.printed(&["jobs", "show", &job_id(&id)]).await.contains("page 3 of 3"));
}

#[tokio::test]
async fn a_server_without_a_worker_leaves_the_work_to_one() {
    let place = Place::new();
    let server = place.serve(&["--no-worker"]).await;
    let course = Course::create(&place, &server).await;
    let id = course.upload(SCANNED_PDF).await.expect("an answer");
    assert_eq!(course.a_second_later(&id).await["state"], "available");

    let log = std::fs::File::create(place.log().with_extension("worker")).expect("a log");
    let mut worker = place.command(&["worker"]).stderr(log).spawn().expect("a worker");
    assert_eq!(course.ended(&id).await["state"], "completed");
    worker.start_kill().expect("it runs");
    worker.wait().await.expect("it ends");
}

#[tokio::test]
async fn sigterm_hands_back_what_does_not_end_in_time_at_no_cost_of_an_attempt() {
    let place = Place::new();
    let mut server = place.serve(&["--grace", "0"]).await;
    let course = Course::create(&place, &server).await;
    let id = course.upload(SCANNED_PDF).await.expect("an answer");
    crate::events::follow(&course, &id, |event| event.name == "progress").await;
    server.terminate().await;
    assert!(server.ended().await.success(), "{}", server.log());
    assert!(server.log().contains("handed 1 unfinished jobs back"), "{}", server.log());

    let server = place.serve(&[]).await;
    let job = course.on(&server).ended(&id).await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job}");
}
