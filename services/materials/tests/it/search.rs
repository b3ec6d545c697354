use serde_json::{Value, json};

use crate::fixture::{Fixture, process_job};

async fn course_with(f: &Fixture, files: &[(&str, &str)]) -> (String, Vec<String>) {
    let course = f.course().await;
    let mut ids = Vec::new();
    for (name, text) in files {
        ids.push(f.uploaded(&course, name, text.as_bytes()).await);
    }
    let _worker = f.work();
    for id in &ids {
        assert_eq!(f.ended(id).await["processing_status"], "completed");
    }
    (course, ids)
}

async fn search(f: &Fixture, course: &str, query: &str) -> Vec<Value> {
    let reply = f.get(&format!("/courses/{course}/materials/search?query={query}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn the_best_passage_of_each_material_is_found() {
    let f = Fixture::alone().await;
    let filler = "Water flows down the river and into the sea. ".repeat(200);
    let long = format!("{filler}Chlorophyll absorbs red light in the leaf. {filler}");
    let (course, ids) = course_with(
        &f,
        &[
            ("river.txt", &long),
            ("leaf.md", "# Leaf\n\nChlorophyll and light: chlorophyll makes a leaf green."),
            ("sea.txt", "The sea is deep."),
        ],
    )
    .await;
    let found = search(&f, &course, "chlorophyll%20light").await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0]["material_id"], ids[1]);
    assert_eq!(found[1]["material_id"], ids[0]);
    assert_eq!(found[0]["name"], "leaf.md");
    assert_eq!(found[0]["file_type"], "text/markdown");
    assert_eq!(found[0].as_object().unwrap().len(), 5);
    for result in &found {
        let score = result["similarity_score"].as_f64().unwrap();
        assert!(score > 0.0 && score <= 1.0);
        let excerpt = result["excerpt"].as_str().unwrap();
        assert!(
            excerpt.to_lowercase().contains("chlorophyll") && excerpt.chars().count() <= 500,
            "{excerpt}"
        );
    }
    assert!(search(&f, &course, "volcano").await.is_empty());
    assert!(search(&f, &course, "the%20of").await.is_empty());
    let one = f.get(&format!("/courses/{course}/materials/search?query=chlorophyll&limit=1")).await.json();
    assert_eq!(one.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_search_stays_within_its_course() {
    let f = Fixture::alone().await;
    let (first, _) = course_with(&f, &[("a.txt", "Chlorophyll is green.")]).await;
    let (second, ids) = course_with(&f, &[("b.txt", "Chlorophyll absorbs light.")]).await;
    let found = search(&f, &second, "chlorophyll").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["material_id"], ids[0]);
    assert_eq!(search(&f, &first, "chlorophyll").await.len(), 1);
}

#[tokio::test]
async fn what_is_not_read_yet_is_not_found() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    f.uploaded(&course, "a.txt", b"Chlorophyll is green.").await;
    assert!(search(&f, &course, "chlorophyll").await.is_empty());
}

#[tokio::test]
async fn a_long_document_is_found_to_its_end() {
    let f = Fixture::alone().await;
    // More chunks than are indexed at a time, and more rows than go into one commit.
    let mut text = String::new();
    for number in 0..4_500 {
        let words: Vec<String> = (0..90).map(|word| format!("w{}", (number * 7 + word) % 5_000)).collect();
        text.push_str(&format!("Sentence number{number} says {}.\n\n", words.join(" ")));
    }
    let (course, ids) = course_with(&f, &[("book.txt", &text)]).await;
    let job = f.longhaul.get(&process_job(&ids[0])).await.unwrap().found().unwrap();
    assert!(job.output.unwrap().to_value()["chunks"].as_u64().unwrap() > 1_000);
    for number in ["number0", "number2250", "number4499"] {
        let found = search(&f, &course, number).await;
        assert!(found[0]["excerpt"].as_str().unwrap().contains(number), "{number}: {found:?}");
    }
}

#[tokio::test]
async fn a_query_is_words_and_each_kind_of_them_finds_itself() {
    let f = Fixture::alone().await;
    let text = "Rule POL-358 applies. The course uses C++ and don't forget pi, 3.14. The café is in the Straße of İstanbul. \
                植物的光合作用很重要。 พืชใช้การสังเคราะห์ด้วยแสง. Ratio a:b is near( the limit. The ofﬁce 😀 divides cells.";
    let (course, ids) = course_with(&f, &[("a.txt", text), ("b.txt", "Something else entirely.")]).await;
    let longest = "pi ".repeat(600);
    for query in [
        "POL-358",
        "C++",
        "don't",
        "3.14",
        "cafe",
        "café",
        "CAFÉ",
        "STRASSE",
        "straße",
        "istanbul",
        "İSTANBUL",
        "光合作用",
        "สังเคราะห์",
        "office",
        "😀",
        "division of a cell",
        "a:b ratio",
        "NEAR(limit",
        "limit%",
        "limit*",
        "\"limit\"",
        "limit OR",
        "'; DROP TABLE limit",
        longest.trim(),
    ] {
        let found = search(&f, &course, &encoded(query)).await;
        assert_eq!(
            found.first().map(|first| &first["material_id"]),
            Some(&json!(ids[0])),
            "{query}: {found:?}"
        );
    }
    for nothing in ["\"", "%", "*", "@@@", "(", "\0", "🦦", "' OR '1'='1"] {
        assert_eq!(search(&f, &course, &encoded(nothing)).await, Vec::<Value>::new(), "{nothing}");
    }
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn distinct_words_make_an_index_of_a_few_times_their_length_and_a_delete_removes_it() {
    let f = Fixture::alone().await;
    let words = |from: u32| -> String {
        (from..from + 60_000).map(|n| format!("w{:07x} ", n.wrapping_mul(2_654_435_761) >> 4)).collect()
    };
    let before = f.database_bytes().await;
    let text = words(0);
    let (course, ids) = course_with(&f, &[("words.txt", &text)]).await;
    let grown = f.database_bytes().await - before;
    // The text is there as pages and as chunks, and the index beside it; it was 33 times the text once.
    assert!(grown < 5 * text.len() as u64, "{grown} bytes for {}", text.len());
    let last = text.split_whitespace().last().unwrap();
    assert_eq!(search(&f, &course, last).await[0]["material_id"], ids[0]);

    f.call("DELETE", &format!("/materials/{}", ids[0]), "").await;
    let _worker = f.work();
    f.all_ended("materials.purge").await;
    for table in ["material_terms", "material_chunks", "material_vectors"] {
        assert_eq!(f.rows(table, &ids[0]).await, 0, "{table}");
    }
    assert_eq!(search(&f, &course, last).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_course_that_an_older_release_indexed_is_found_at_once_and_indexed_again() {
    let f = Fixture::alone().await;
    let (course, ids) =
        course_with(&f, &[("a.txt", "Chlorophyll is green."), ("b.txt", "The sea is deep.")]).await;
    // As the migration leaves it.
    let forget = ["DELETE FROM material_terms", "UPDATE materials SET nodes = NULL, languages = 1"];
    f.db.commit(forget.map(|sql| service_support::Write::new(sql, vec![])).into(), vec![]).await.unwrap();
    assert_eq!(search(&f, &course, "chlorophyll").await[0]["material_id"], ids[0]);
    f.materials.reconcile().await.unwrap();
    let _worker = f.work();
    assert_eq!(f.all_ended("materials.index").await.len(), 2);
    assert!(f.rows("material_terms", &ids[0]).await > 0);
    assert_eq!(search(&f, &course, "chlorophyll").await[0]["material_id"], ids[0]);
}

#[tokio::test]
async fn a_search_says_what_it_cannot_take() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let refused =
        async |query: &str| f.get(&format!("/courses/{course}/materials/search?{query}")).await.error();
    let empty = (400, "Query parameter cannot be empty".to_owned());
    assert_eq!(refused("query=").await, empty);
    assert_eq!(refused("query=%20%20").await, empty);
    assert_eq!(refused("").await, empty);
    let limit = (400, "Limit must be between 1 and 10".to_owned());
    for bad in ["0", "11", "-1", "many", "1.5", ""] {
        assert_eq!(refused(&format!("query=x&limit={bad}")).await, limit, "{bad}");
    }
    assert_eq!(refused(&format!("query={}", "x".repeat(2_001))).await.0, 400);
    assert_eq!(
        f.get(&format!("/courses/{course}/materials/search?query=x&limit=10")).await.json(),
        json!([])
    );
}
