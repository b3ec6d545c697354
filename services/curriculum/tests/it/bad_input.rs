use serde_json::{Value, json};

use crate::fixture::{Fixture, modules};

fn with(module: Value) -> Value {
    json!({ "title": "T", "modules": [module] })
}

#[tokio::test]
async fn bad_bodies_are_named_and_never_a_fault() {
    let f = Fixture::alone().await;
    let good = json!({ "code": "A", "title": "A", "contactHours": 3 });
    let module = |field: &str, value: Value| {
        let mut module = good.clone();
        module[field] = value;
        with(module)
    };
    let hours = "modules[0].contactHours must be more than 0 and at most 500";
    let table: Vec<(Value, &str)> = vec![
        (json!({ "modules": [] }), "title is required"),
        (json!({ "title": null, "modules": [] }), "title is required"),
        (json!({ "title": 7, "modules": [] }), "title must be a text"),
        (json!({ "title": " ", "modules": [] }), "title cannot be empty"),
        (json!({ "title": "x".repeat(501), "modules": [] }), "title must be at most 500 characters"),
        (json!({ "title": "T" }), "modules must be a list"),
        (json!({ "title": "T", "modules": { "0": good } }), "modules must be a list"),
        (json!({ "title": "T", "modules": modules(501, 1.0) }), "modules must be at most 500"),
        (
            json!({ "title": "T", "modules": modules(41, 250.0) }),
            "modules must have at most 10000 contactHours in all",
        ),
        (
            json!({ "title": "T", "modules": [], "step9Complete": "yes" }),
            "step9Complete must be true or false",
        ),
        (with(json!("A")), "modules[0] must be an object"),
        (module("code", Value::Null), "modules[0].code is required"),
        (module("code", json!(5)), "modules[0].code must be a text"),
        (module("code", json!("x".repeat(65))), "modules[0].code must be at most 64 characters"),
        (module("title", json!("")), "modules[0].title cannot be empty"),
        (module("description", json!([])), "modules[0].description must be a text"),
        (module("contactHours", json!("3")), "modules[0].contactHours must be a number"),
        (module("contactHours", json!(0)), hours),
        (module("contactHours", json!(-3)), hours),
        (module("contactHours", json!(0.001)), hours),
        (module("contactHours", json!(501)), hours),
        (module("contactHours", json!(1e308)), hours),
        (module("outcomes", json!("Explain")), "modules[0].outcomes must be a list"),
        (module("outcomes", json!([1])), "modules[0].outcomes[0] must be a text"),
        (module("outcomes", json!([{ "id": "x" }])), "modules[0].outcomes[0] must be a text"),
        (module("outcomes", json!([" "])), "modules[0].outcomes[0] must be a text"),
        (module("outcomes", json!(vec!["x"; 51])), "modules[0].outcomes must be at most 50"),
        (json!({ "title": "T", "modules": [good, good] }), "modules[1].code 'A' is another module's too"),
        (json!([]), "Request body must be a JSON object"),
        (json!("x"), "Request body must be a JSON object"),
    ];
    for (body, error) in table {
        let reply = f.send("POST", "/api/v3/workflow", body.to_string()).await;
        assert_eq!(reply.error(), (400, error), "{body}");
    }
    for body in ["", "{", "{\"title\": \"T\", \"modules\": [", "\u{0}", "{\"title\":NaN}"] {
        let reply = f.send("POST", "/api/v3/workflow", body).await;
        assert_eq!(reply.error(), (400, "Request body must be JSON"), "{body:?}");
    }
    let deep =
        format!("{{\"title\": \"T\", \"modules\": [], \"x\": {}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(f.send("POST", "/api/v3/workflow", deep).await.status, 400);
    let not_utf8 = b"{\"title\": \"\xff\", \"modules\": []}".to_vec();
    assert_eq!(f.send("POST", "/api/v3/workflow", not_utf8).await.status, 400);
    let huge = json!({ "title": "T", "modules": [], "notes": "x".repeat(1024 * 1024) });
    let reply = f.send("POST", "/api/v3/workflow", huge.to_string()).await;
    assert_eq!(reply.error(), (413, "Request body exceeds 1 MB"));
    assert_eq!(f.get("/api/v3/workflow").await.body["total"], 0, "nothing of it was kept");
    for query in ["page=0", "limit=0", "limit=101", "page=x", "limit=-1"] {
        assert_eq!(f.get(&format!("/api/v3/workflow?{query}")).await.error().0, 400, "{query}");
    }
}

#[tokio::test]
async fn what_is_odd_and_allowed_is_kept_as_it_was_given() {
    let f = Fixture::alone().await;
    let body = json!({
        "title": "  Ünïcode \u{0} 🎓 ", "_id": "mine", "createdAt": "never", "modules": [
            { "code": " A ", "title": "A\nB", "contactHours": 0.5, "extra": { "deep": [1, null] }, "outcomes": null },
            { "code": "a", "title": "B", "contactHours": 2.2, "outcomes": [{ "id": "LO-9", "statement": "Apply it" }] },
        ],
        "step3": { "kept": true },
    });
    let created = f.send("POST", "/api/v3/workflow", body.to_string()).await.body["data"].clone();
    for field in ["title", "modules", "step3"] {
        assert_eq!(created[field], body[field]);
    }
    assert_ne!(created["_id"], "mine");
    assert_eq!(created["createdAt"], "2026-01-01T00:00:00.000Z");
    let id = created["_id"].as_str().unwrap();
    f.start(id).await;
    let _worker = f.work();
    f.completes(id, 2).await;
    let data = f.step10("GET", id, "").await.body["data"]["step10"].clone();
    assert_eq!(data["validation"]["valid"], true, "{}", data["validation"]);
    let plans = &data["moduleLessonPlans"];
    assert_eq!(plans[0]["lessons"][0]["lessonId"], "A-L1");
    assert_eq!(plans[0]["lessons"][0]["duration"], 30);
    assert_eq!(plans[1]["lessons"][0]["linkedMLOs"], json!(["LO-9"]));
    assert_eq!(plans[1]["totalContactHours"], 2.2);
    assert_eq!(data["summary"]["totalContactHours"], 2.7);
}

#[tokio::test]
async fn the_list_is_newest_first_and_in_pages() {
    let f = Fixture::alone().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(f.workflow(&[]).await);
        f.clock.advance(std::time::Duration::from_millis(1));
    }
    ids.reverse();
    let page = async |query: &str| -> Vec<String> {
        let reply = f.get(&format!("/api/v3/workflow?{query}")).await;
        let data = reply.body["data"].as_array().unwrap().clone();
        data.iter().map(|workflow| workflow["_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(page("limit=2").await, ids[..2]);
    assert_eq!(page("limit=2&page=3").await, ids[4..]);
    assert!(page("page=4294967295&limit=100").await.is_empty());
}
