//! The service's own statements on Postgres; the other tests run them on SQLite.

use axum::body::Body;
use axum::http::Request;
use fakes::Double;
use longhaul::{JobFilter, State};
use serde_json::json;

use crate::fixture::{FORM, Fixture, form};

const TABLES: [&str; 4] = ["material_pages", "material_chunks", "material_terms", "material_vectors"];

#[tokio::test]
async fn a_course_is_filled_searched_asked_and_deleted_on_postgres() {
    let double = Double::start().await;
    let mut vars = Fixture::variables(&double, &["EMBEDDING_BASE_URL"]);
    vars.push(("MATERIALS_QUOTA", "10000".into()));
    let f = Fixture::on_postgres(&vars).await;
    let course = f.course().await;
    let _worker = f.work();

    let text = "Chlorophyll absorbs red light. Roots take up water.";
    let upload = || {
        let request = Request::post(format!("/courses/{course}/materials"))
            .header("authorization", format!("Bearer {}", f.token("ada")))
            .header("idempotency-key", "once")
            .header("content-type", FORM);
        f.send(request.body(Body::from(form("file", "leaf.txt", text.as_bytes()))).unwrap())
    };
    let first = upload().await;
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((first.status.as_u16(), &upload().await.json()["id"]), (201, &json!(id)));
    let other = f.uploaded(&course, "sea.txt", b"The sea is deep.").await;
    for id in [&id, &other] {
        let shown = f.ended(id).await;
        assert_eq!(
            (&shown["processing_status"], &shown["has_embedding"]),
            (&json!("completed"), &json!(true))
        );
    }
    let full = f.upload(&course, "long.txt", &[b'a'; 10_000]).await;
    assert_eq!(full.error(), (413, "Storage quota exceeded".into()));

    let shown = f.get(&format!("/materials/{id}/text")).await.json();
    assert_eq!(shown, json!({ "pages": 1, "page": 1, "text": text, "warnings": [] }));
    let listed = f.get(&format!("/courses/{course}/materials?limit=1")).await;
    let link = listed.headers["link"].to_str().unwrap().to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert_eq!((&listed.json()[0]["id"], &f.get(next).await.json()[0]["id"]), (&json!(other), &json!(id)));
    let found = f.get(&format!("/courses/{course}/materials/search?query=chlorophyll")).await;
    assert_eq!(found.headers["search-mode"], "hybrid");
    assert_eq!(found.json()[0]["material_id"], id);
    let asked = json!({ "message": "What absorbs\0 light?", "attachments": [{ "material_id": id }] });
    let answer = f.post(&format!("/courses/{course}/chat"), &asked).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["sources"][0]["material_id"]), (201, &json!(id)));
    let kept = f.get(&format!("/courses/{course}/chat")).await.json();
    assert_eq!(kept[0]["message"], "What absorbs\u{fffd} light?");

    assert_eq!(f.call("POST", &format!("/materials/{id}/reprocess"), "").await.status, 202);
    let again = longhaul::JobId::new(format!("materials-{id}-2")).unwrap();
    assert_eq!(f.reaches(&again, State::Completed).await.state, State::Completed);
    assert_eq!(f.call("DELETE", &format!("/materials/{other}"), "").await.status, 204);
    let renamed =
        f.call("PATCH", &format!("/courses/{course}"), json!({ "name": "Botany" }).to_string()).await;
    assert_eq!(renamed.json()["name"], "Botany");
    assert_eq!(f.call("DELETE", &format!("/courses/{course}"), "").await.status, 204);
    for kind in ["materials.purge", "materials.purge-course"] {
        assert!(f.all_ended(kind).await.iter().all(|job| job.state == State::Completed), "{kind}");
    }
    for (table, id) in TABLES.iter().flat_map(|table| [(table, &id), (table, &other)]) {
        assert_eq!(f.rows(table, id).await, 0, "{table}");
    }
    let failed = JobFilter { states: vec![State::Failed], ..JobFilter::default() };
    assert_eq!(f.longhaul.store().list(&failed, longhaul::Page::default()).await.unwrap().jobs, []);
}

#[tokio::test]
async fn a_name_with_a_nul_is_nobodys_on_postgres() {
    let f = Fixture::on_postgres(&[]).await;
    for path in ["/courses/%00/materials", "/courses/%00/chat", "/courses/%00/materials/search?query=a"] {
        assert_eq!(f.get(path).await.error(), (404, "Course not found".into()), "{path}");
    }
    for path in ["/materials/%00", "/materials/a%00b/text", "/materials/%00/download"] {
        assert_eq!(f.get(path).await.error(), (404, "Material not found".into()), "{path}");
    }
    assert_eq!(f.call("DELETE", "/courses/%00", "").await.status, 404);
    assert_eq!(f.upload("%00", "a.txt", b"a").await.status, 404);
}
