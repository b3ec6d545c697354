use serde_json::{Value, json};

use crate::fixture::{Fixture, sample};

fn document(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    std::fs::read(folder.join(name)).unwrap()
}

#[tokio::test]
async fn the_text_of_a_material_is_shown_page_by_page() {
    let service = Fixture::alone().await;
    let course = service.course().await;
    let id = service.uploaded(&course, "lecture.pdf", &sample("lecture.pdf")).await;
    let _worker = service.work();
    assert_eq!(service.ended(&id).await["processing_status"], "completed");
    let page = |number: u32| format!("/materials/{id}/text?page={number}");
    for (number, mark) in [(1, "chloroplasts"), (2, "photosystem"), (3, "rubisco")] {
        let shown = service.get(&page(number)).await.json();
        assert_eq!(
            (&shown["pages"], &shown["page"], &shown["warnings"]),
            (&json!(3), &json!(number), &json!([]))
        );
        assert!(shown["text"].as_str().unwrap().contains(mark), "{shown}");
        assert_eq!(service.get(&format!("/api{}", page(number))).await.json(), shown);
    }
    let first = service.get(&format!("/materials/{id}/text")).await.json();
    assert_eq!(first, service.get(&page(1)).await.json());
    assert_eq!(service.get(&page(4)).await.error(), (404, "Page not found".to_owned()));
    let twice = service.get(&format!("/materials/{id}/text?page=1&page=2")).await;
    assert_eq!(twice.error(), (400, "Query parameters are not valid".into()));
    let junk = service.get(&format!("/materials/{id}/text?page=0")).await;
    assert_eq!(junk.error(), (400, "Page must be a number from 1".to_owned()));
}

#[tokio::test]
async fn a_stranger_sees_no_text() {
    let service = Fixture::alone().await;
    let course = service.course().await;
    let id = service.uploaded(&course, "a.txt", b"Stomata open.").await;
    let request = axum::http::Request::builder()
        .uri(format!("/materials/{id}/text"))
        .header("authorization", format!("Bearer {}", service.token("eve")))
        .body(axum::body::Body::empty());
    assert_eq!(service.send(request.unwrap()).await.error(), (404, "Material not found".to_owned()));
    let none = service.get("/materials/none/text").await;
    assert_eq!(none.error(), (404, "Material not found".to_owned()));
}

#[tokio::test]
async fn what_was_left_out_is_told_beside_the_text_and_not_in_the_material() {
    let service = Fixture::alone().await;
    let course = service.course().await;
    let id = service.uploaded(&course, "one-nul.txt", &document("one-nul.txt")).await;
    let waiting = service.get(&format!("/materials/{id}/text")).await.json();
    assert_eq!(waiting, json!({ "pages": 0, "page": 1, "text": "", "warnings": [] }));
    let _worker = service.work();
    let material = service.ended(&id).await;
    assert_eq!(material["processing_status"], "completed");
    assert_eq!(material.as_object().map(serde_json::Map::len), Some(12));
    let shown = service.get(&format!("/materials/{id}/text")).await.json();
    assert_eq!(shown["text"], "Good text then QUOKKA.");
    let message = "1 character that is no part of a text was left out";
    assert_eq!(shown["warnings"], json!([{ "page": 1, "code": "odd_characters", "message": message }]));
}

#[tokio::test]
async fn a_passage_knows_its_page() {
    let service = Fixture::alone().await;
    let course = service.course().await;
    let id = service.uploaded(&course, "lecture.pdf", &sample("lecture.pdf")).await;
    let _worker = service.work();
    service.ended(&id).await;
    let sql = "SELECT page, text FROM material_chunks WHERE material_id = $1 ORDER BY number";
    let rows = service.db.read(sql, vec![id.as_str().into()]).await.unwrap();
    let pages: Vec<Option<i64>> = rows.iter().map(|row| row.get("page").unwrap()).collect();
    assert_eq!(pages, [Some(1), Some(2), Some(3)]);
    let notes = service.uploaded(&course, "notes.docx", &sample("notes.docx")).await;
    service.ended(&notes).await;
    let rows = service.db.read(sql, vec![notes.as_str().into()]).await.unwrap();
    assert!(rows.iter().all(|row| row.get::<Option<i64>>("page").unwrap().is_none()) && !rows.is_empty());
}

#[tokio::test]
async fn a_material_that_an_earlier_version_read_says_how_to_see_its_text() {
    let service = Fixture::alone().await;
    let course = service.course().await;
    let id = service.uploaded(&course, "a.txt", b"Stomata open.").await;
    let _worker = service.work();
    service.ended(&id).await;
    let sql = "DELETE FROM material_pages WHERE material_id = $1";
    let forget = service_support::Write::new(sql, vec![id.as_str().into()]);
    service.db.commit(vec![forget], vec![]).await.unwrap();
    let shown: Value = service.get(&format!("/materials/{id}/text")).await.json();
    assert_eq!((&shown["pages"], &shown["text"]), (&json!(0), &json!("")));
    assert!(shown["warnings"][0]["message"].as_str().unwrap().contains("reprocess"), "{shown}");
}
