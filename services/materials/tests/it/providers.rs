use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fakes::{Double, Fault};
use longhaul::State;
use serde_json::{Value, json};

use crate::fixture::{Fixture, process_job, sample};

const EMBEDDINGS: &[&str] = &["EMBEDDING_BASE_URL"];
const BRAIN: &[&str] = &["AI_BRAIN_ENDPOINT"];

async fn search(f: &Fixture, course: &str, query: &str) -> (String, Vec<Value>) {
    let reply = f.get(&format!("/courses/{course}/materials/search?query={query}")).await;
    let mode = reply.headers["search-mode"].to_str().unwrap().to_owned();
    (mode, reply.json().as_array().unwrap().clone())
}

#[tokio::test]
async fn with_embeddings_a_search_finds_meaning_too() {
    let double = Double::start().await;
    let f = Fixture::with(&double, EMBEDDINGS).await;
    let course = f.course().await;
    let cars = f.uploaded(&course, "cars.txt", b"The vehicle needs fuel.").await;
    let sea = f.uploaded(&course, "sea.txt", b"Rivers carry water towards oceans.").await;
    let _worker = f.work();
    for id in [&cars, &sea] {
        let material = f.ended(id).await;
        assert_eq!(material["has_embedding"], true, "{material}");
    }
    // The word itself stands nowhere; only its meaning does.
    let (mode, found) = search(&f, &course, "automobile").await;
    assert_eq!(mode, "hybrid");
    assert_eq!(found[0]["material_id"], cars);
    assert!(
        found[0]["similarity_score"].as_f64()
            > found.get(1).map_or(Some(0.0), |next| next["similarity_score"].as_f64())
    );
    // Words and meaning together beat meaning alone.
    let (_, by_word) = search(&f, &course, "vehicle%20fuel").await;
    assert!(by_word[0]["similarity_score"].as_f64() > found[0]["similarity_score"].as_f64());

    double.fail("/v1/embeddings", Fault::Status(500));
    let (mode, found) = search(&f, &course, "vehicle").await;
    assert_eq!((mode.as_str(), found.len()), ("lexical", 1), "a provider that is down leaves the words");
}

#[tokio::test]
async fn a_provider_that_is_down_or_over_its_limit_costs_a_text_its_vectors_for_a_while_and_no_more() {
    for (fault, wait) in [
        (Fault::RateLimit("120".into()), 120),
        (Fault::RateLimit("901".into()), 30),
        (Fault::Status(503), 30),
        (Fault::Status(401), 30),
        (Fault::Malformed, 30),
    ] {
        let double = Double::start().await;
        double.fail("/v1/embeddings", fault.clone());
        let f = Fixture::with(&double, EMBEDDINGS).await;
        let course = f.course().await;
        let id = f.uploaded(&course, "a.txt", b"The vehicle needs fuel.").await;
        let _worker = f.work();
        let material = f.ended(&id).await;
        assert_eq!(
            (&material["processing_status"], &material["has_embedding"]),
            (&json!("completed"), &json!(false)),
            "{fault:?}: {material}"
        );
        let (mode, found) = search(&f, &course, "fuel").await;
        assert_eq!((mode.as_str(), &found[0]["material_id"]), ("lexical", &json!(id)), "{fault:?}");

        f.clock.advance(Duration::from_secs(wait));
        let again = f.all_ended("materials.embed").await;
        assert_eq!((again.len(), again[0].attempt), (1, 1), "{fault:?}");
        assert_eq!(f.get(&format!("/materials/{id}")).await.json()["has_embedding"], true, "{fault:?}");
        let (mode, found) = search(&f, &course, "automobile").await;
        assert_eq!((mode.as_str(), &found[0]["material_id"]), ("hybrid", &json!(id)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_batch_or_a_chunk_that_the_provider_refuses_does_not_fail_the_document() {
    let double = Double::start().await;
    // Ten inputs at once, and fewer letters than a chunk has.
    double.limit_embeddings(10, 1_400);
    let f = Fixture::with(&double, EMBEDDINGS).await;
    let course = f.course().await;
    let text: String = (0..3_000)
        .map(|n| format!("Sentence number{n} of ten words says something about leaves. "))
        .collect();
    let id = f.uploaded(&course, "book.txt", text.as_bytes()).await;
    let _worker = f.work();
    let material = f.ended(&id).await;
    assert_eq!(material["processing_status"], "completed", "{material}");
    assert_eq!(material["has_embedding"], true);
    let (chunks, vectors) = (f.rows("material_chunks", &id).await, f.rows("material_vectors", &id).await);
    assert!(chunks > 60 && vectors == chunks, "{vectors} vectors of {chunks} chunks");
    assert_eq!(search(&f, &course, "number2999").await.1[0]["material_id"], id);
}

#[tokio::test]
async fn a_provider_that_recovers_is_asked_for_nothing_twice() {
    let double = Double::start().await;
    let f = Fixture::with(&double, EMBEDDINGS).await;
    let course = f.course().await;
    // Three batches of chunks; the second fails once, the third twice.
    let text: String = (0..2_000)
        .map(|n| format!("Sentence number{n} of ten words says something about leaves. "))
        .collect();
    let id = f.uploaded(&course, "book.txt", text.as_bytes()).await;
    let _worker = f.work();
    f.reaches(&process_job(&id), State::Completed).await;
    let requests = double.seen("/v1/embeddings").len();
    assert!(requests >= 2, "{requests}");

    let second = f.uploaded(&course, "again.txt", text.as_bytes()).await;
    double.fail("/v1/embeddings", Fault::Status(503));
    assert_eq!(f.ended(&second).await["has_embedding"], false);
    f.clock.advance(Duration::from_secs(60));
    f.all_ended("materials.embed").await;
    assert_eq!(f.get(&format!("/materials/{second}")).await.json()["has_embedding"], true);
    assert_eq!(
        double.seen("/v1/embeddings").len(),
        2 * requests + 1,
        "one request failed, none was repeated"
    );
    assert_eq!(f.rows("material_vectors", &second).await, f.rows("material_chunks", &second).await);
}

#[tokio::test]
async fn another_model_embeds_everything_again_and_never_meets_the_first_ones_vectors() {
    let double = Double::start().await;
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "cars.txt", b"The vehicle needs fuel.").await;
    let worker = f.work();
    assert_eq!(f.ended(&id).await["has_embedding"], false);
    drop(worker);

    let mut vars = Fixture::variables(&double, EMBEDDINGS);
    let mut f = f;
    for model in ["small", "large"] {
        vars.retain(|(name, _)| *name != "EMBEDDING_MODEL");
        vars.push(("EMBEDDING_MODEL", model.to_owned()));
        f = f.reopen(&vars).await;
        // A start goes well in a full queue, too, and the next one enqueues what found no room.
        let bound = |max_waiting| longhaul::QueueConfig { max_waiting, ..longhaul::QueueConfig::default() };
        let store = f.longhaul.store();
        store.set_queue(materials::QUEUE, &bound(Some(1))).await.unwrap();
        let other = longhaul::NewJob {
            queue: materials::QUEUE.into(),
            ..longhaul::NewJob::new("other", longhaul::Json::null())
        };
        let other = f.longhaul.enqueue_one(other).await.unwrap().id;
        assert_eq!(f.materials.reconcile().await.unwrap().embeds, 0);
        store.set_queue(materials::QUEUE, &bound(None)).await.unwrap();
        f.longhaul.cancel(&other).await.unwrap();
        assert_eq!(f.materials.reconcile().await.unwrap().embeds, 1);
        assert_eq!(f.materials.reconcile().await.unwrap().embeds, 0, "one that waits is joined");
        let (mode, found) = search(&f, &course, "automobile").await;
        assert_eq!((mode.as_str(), found.len()), ("lexical", 0), "vectors of another model do not count");
        assert_eq!(search(&f, &course, "fuel").await.1[0]["material_id"], id, "words find it meanwhile");
        let shown = f.get(&format!("/materials/{id}")).await.json();
        assert_eq!(shown["has_embedding"], false, "it cannot be found by meaning now");
        let _worker = f.work();
        f.all_ended("materials.embed").await;
        let (_, found) = search(&f, &course, "automobile").await;
        assert_eq!(found[0]["material_id"], id, "{model}");
        assert_eq!(f.get(&format!("/materials/{id}")).await.json()["has_embedding"], true);
        assert_eq!(f.rows("material_vectors", &id).await, 1, "the vectors of the model before are gone");
        assert_eq!(f.materials.reconcile().await.unwrap().embeds, 0);
    }
}

#[tokio::test]
async fn a_model_that_changes_under_its_name_is_met_by_no_vector_of_the_one_before() {
    let double = Double::start().await;
    let f = Fixture::with(&double, EMBEDDINGS).await;
    let course = f.course().await;
    let cars = f.uploaded(&course, "cars.txt", b"The vehicle needs fuel.").await;
    let _worker = f.work();
    f.ended(&cars).await;
    assert_eq!(search(&f, &course, "automobile").await.0, "hybrid");
    double.set_dimension(48);
    let sea = f.uploaded(&course, "sea.txt", b"Rivers carry water towards oceans.").await;
    f.ended(&sea).await;
    // Whoever searches next meets vectors of another length, and sees to it that they are made anew.
    search(&f, &course, "automobile").await;
    f.all_ended("materials.embed").await;
    let (mode, found) = search(&f, &course, "automobile").await;
    assert_eq!((mode.as_str(), &found[0]["material_id"]), ("hybrid", &json!(cars)));
    for id in [&cars, &sea] {
        assert_eq!(f.rows("material_vectors", id).await, 1);
        assert_eq!(f.get(&format!("/materials/{id}")).await.json()["has_embedding"], true);
    }
}

#[tokio::test]
async fn without_its_provider_a_course_is_searched_by_words_and_says_so() {
    let double = Double::start().await;
    let f = Fixture::with(&double, EMBEDDINGS).await;
    let course = f.course().await;
    let id = f.uploaded(&course, "cars.txt", b"The vehicle needs fuel.").await;
    let worker = f.work();
    assert_eq!(f.ended(&id).await["has_embedding"], true);
    drop(worker);
    let f = f.reopen(&[("EMBEDDING_BASE_URL", "none".into())]).await;
    f.materials.reconcile().await.unwrap();
    let (mode, found) = search(&f, &course, "fuel").await;
    assert_eq!((mode.as_str(), &found[0]["material_id"]), ("lexical", &json!(id)));
    assert_eq!(f.get(&format!("/materials/{id}")).await.json()["has_embedding"], false);
    // Its vectors are still there, so the provider's return costs no request.
    let f = f.reopen(&Fixture::variables(&double, EMBEDDINGS)).await;
    let before = double.seen("/v1/embeddings").len();
    f.materials.reconcile().await.unwrap();
    let _worker = f.work();
    f.all_ended("materials.embed").await;
    assert_eq!(f.get(&format!("/materials/{id}")).await.json()["has_embedding"], true);
    assert_eq!(double.seen("/v1/embeddings").len(), before);
}

#[tokio::test]
async fn ai_brain_reads_what_has_no_text_and_embeds() {
    let double = Double::start().await;
    double.show("Chlorophyll absorbs light.");
    let f = Fixture::with(&double, BRAIN).await;
    f.materials.reconcile().await.unwrap();
    assert_eq!(double.seen("/health").len(), 1);
    let course = f.course().await;
    let picture = f.uploaded(&course, "page.png", &sample("scanned-page.png")).await;
    let _worker = f.work();
    let material = f.ended(&picture).await;
    assert_eq!(material["processing_status"], "completed", "{material}");
    assert_eq!(material["has_embedding"], true);
    let (mode, found) = search(&f, &course, "chlorophyll").await;
    assert_eq!(mode, "hybrid");
    assert_eq!(found[0]["excerpt"], "Chlorophyll absorbs light.");
    let sent = double.seen("/router");
    assert!(sent[0].body.len() > sample("scanned-page.png").len(), "the picture went up whole");

    // A document with a text of its own needs no reading.
    let lecture = f.uploaded(&course, "lecture.pdf", &sample("lecture.pdf")).await;
    assert_eq!(f.ended(&lecture).await["processing_status"], "completed");
    assert_eq!(double.seen("/router").len(), 1);
}

#[tokio::test]
async fn ai_brain_reads_a_picture_that_is_attached_to_a_mail() {
    let double = Double::start().await;
    double.show("Chlorophyll absorbs light.");
    let f = Fixture::with(&double, BRAIN).await;
    let course = f.course().await;
    let picture = BASE64_STANDARD.encode(sample("scanned-page.png"));
    let source = format!(
        "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         Photosyn=\r\nthesis\r\n--b\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {picture}\r\n--b--\r\n"
    );
    let id = f.uploaded(&course, "letter.eml", source.as_bytes()).await;
    let _worker = f.work();
    let material = f.ended(&id).await;
    assert_eq!(
        (&material["file_type"], &material["processing_status"]),
        (&json!("message/rfc822"), &json!("completed"))
    );
    let page = async |number: u32| f.get(&format!("/materials/{id}/text?page={number}")).await.json();
    assert_eq!(page(1).await["text"], "Subject: Grüße\nAttachments: a.png\n\nPhotosynthesis");
    assert_eq!(page(2).await["text"], "Chlorophyll absorbs light.");
    assert!(
        double.seen("/router")[0].body.len() > sample("scanned-page.png").len(),
        "the picture went up whole"
    );
}

#[tokio::test]
async fn a_scan_cut_off_at_its_second_page_goes_on_there() {
    let double = Double::start().await;
    for page in ["The first page.", "unused", "The second page.", "The third page."] {
        double.show(page);
    }
    let f = Fixture::with(&double, BRAIN).await;
    let course = f.course().await;
    let id = f.uploaded(&course, "scanned.pdf", &sample("scanned.pdf")).await;
    double.fail_after("/router", 1, Fault::Cut);
    let worker = f.work();
    f.reaches(&process_job(&id), State::Scheduled).await;
    drop(worker);
    assert_eq!(double.seen("/router").len(), 2);
    let _worker = f.work();
    f.clock.advance(Duration::from_secs(60));
    assert_eq!(f.ended(&id).await["processing_status"], "completed");
    assert_eq!(double.seen("/router").len(), 4, "three pages and the one that was cut off");
}

#[tokio::test]
async fn what_ai_brain_could_not_read_is_said_after_three_attempts() {
    let double = Double::start().await;
    for _ in 0..3 {
        double.show("Error processing file: no such model");
    }
    let f = Fixture::with(&double, BRAIN).await;
    let course = f.course().await;
    let id = f.uploaded(&course, "page.png", &sample("scanned-page.png")).await;
    let _worker = f.work();
    for attempt in 1..=2 {
        f.fails_once_more(&process_job(&id), attempt).await;
        f.clock.advance(Duration::from_secs(60));
    }
    let material = f.ended(&id).await;
    assert_eq!(material["processing_status"], "failed");
    assert_eq!(material["error_message"], "AI Brain failed: Error processing file: no such model");
}

#[tokio::test]
async fn a_reading_that_takes_too_long_says_how_long() {
    let double = Double::start().await;
    let mut vars = Fixture::variables(&double, BRAIN);
    vars.push(("AI_BRAIN_TIMEOUT", "0.3".into()));
    for _ in 0..3 {
        double.fail("/router", Fault::Hang);
    }
    let f = Fixture::open(tempfile::tempdir().unwrap(), longhaul::Clock::manual(), &vars).await;
    let course = f.course().await;
    let id = f.uploaded(&course, "page.png", &sample("scanned-page.png")).await;
    let _worker = f.work();
    for attempt in 1..=2 {
        f.fails_once_more(&process_job(&id), attempt).await;
        f.clock.advance(Duration::from_secs(60));
    }
    let material = f.ended(&id).await;
    assert_eq!(
        (&material["processing_status"], &material["error_message"]),
        (&json!("failed"), &json!("OCR processing timeout after 0.3s"))
    );
}
