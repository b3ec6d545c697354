use axum::http::StatusCode;
use insta::assert_snapshot;

use crate::app::{Answer, App};

fn ids(answer: &Answer) -> Vec<String> {
    let jobs = answer.json()["jobs"].as_array().expect("a list has jobs").clone();
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// Five waiting jobs, `a` to `e`, of which every second has the label `team:red`, and one that has ended.
async fn app() -> App {
    let app = App::new();
    let worker = app.work();
    app.run("done", "greet", r#"{"name":"Zoe"}"#).await;
    worker.shutdown(std::time::Duration::from_secs(5)).await;
    for (n, id) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let team = if n % 2 == 0 { "red" } else { "blue" };
        let body = format!(
            r#"{{"kind":"greet","args":{{"name":"n{n}"}},"id":"{id}","labels":{{"team":"{team}","n":"a:{n}"}}}}"#
        );
        assert_eq!(app.post("/api/jobs", &body).await.status, StatusCode::ACCEPTED);
    }
    app.post("/api/jobs", r#"{"kind":"nap","args":{"seconds":1},"id":"n","queue":"beds"}"#).await;
    app
}

#[tokio::test]
async fn a_list_is_newest_first_and_says_what_its_jobs_are() {
    let app = app().await;
    let all = app.get("/api/jobs").await;
    assert_eq!(ids(&all), ["n", "e", "d", "c", "b", "a", "done"]);
    assert_snapshot!(app.get("/api/jobs?state=completed").await.text());
}

#[tokio::test]
async fn filters_leave_what_fits_all_of_them() {
    let app = app().await;
    for (query, expected) in [
        ("state=available&label=team:red", vec!["e", "c", "a"]),
        ("label=team:blue&label=n:a:3", vec!["d"]),
        ("state=completed&state=available&kind=nap", vec!["n"]),
        ("queue=beds", vec!["n"]),
        ("q=zOE", vec!["done"]),
        ("kind=nothing", vec![]),
        ("q=", vec!["n", "e", "d", "c", "b", "a", "done"]),
    ] {
        assert_eq!(ids(&app.get(&format!("/api/jobs?{query}")).await), expected, "{query}");
    }
}

#[tokio::test]
async fn the_link_of_each_page_leads_to_the_next() {
    let app = app().await;
    let mut path = "/api/jobs?limit=2&label=team%3Ared&state=available".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = app.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        let Some(link) = page.header("link").strip_suffix(">; rel=\"next\"") else {
            assert_eq!(page.json()["next"], serde_json::Value::Null);
            break;
        };
        path = link.strip_prefix('<').unwrap().to_owned();
        assert!(path.contains(page.json()["next"].as_str().unwrap()), "{path}");
    }
    assert_eq!(seen, ["e", "c", "a"]);
}

#[tokio::test]
async fn jobs_that_arrive_between_pages_shift_nothing() {
    let app = app().await;
    let first = app.get("/api/jobs?limit=3").await;
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"late"},"id":"late"}"#).await;
    let next = first.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
    assert_eq!([ids(&first), ids(&app.get(&next).await)].concat(), ["n", "e", "d", "c", "b", "a"]);
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused_with_all_reasons() {
    let app = App::new();
    let query = "state=done&label=red&limit=0&limit=101&limit=x&colour=blue";
    assert_snapshot!(app.get(&format!("/api/jobs?{query}")).await.text());
    let cursor = app.get("/api/jobs?cursor=nonsense").await;
    assert_eq!((cursor.code().as_str(), &cursor.json()["errors"][0]["field"]), ("invalid", &"cursor".into()));
}

#[tokio::test]
async fn a37_a_list_leaves_out_large_args_and_outputs_and_says_their_sizes() {
    let app = App::new();
    let worker = app.work();
    app.run("big", "shout", r#"{"chunks":0,"bytes":5000}"#).await;
    let args = format!(r#"{{"name":"{}"}}"#, "n".repeat(2000));
    app.run("long", "greet", &args).await;
    app.run("small", "greet", r#"{"name":"x"}"#).await;
    let list = app.get("/api/jobs").await.json();
    let job = |list: &serde_json::Value, id: &str| {
        list["jobs"].as_array().unwrap().iter().find(|job| job["id"] == id).unwrap().clone()
    };
    let big = job(&list, "big");
    assert_eq!((&big["output"], &big["output_cut"]), (&serde_json::Value::Null, &true.into()));
    assert_eq!((&big["output_bytes"], &big["args_cut"]), (&5002.into(), &serde_json::Value::Null));
    let long = job(&list, "long");
    assert_eq!((&long["args"], &long["args_cut"]), (&serde_json::Value::Null, &true.into()));
    assert_eq!(long["args_bytes"], args.len());
    assert_eq!(job(&list, "small")["output"], "hello, x");
    let full = app.get("/api/jobs?full=true").await.json();
    assert_eq!(job(&full, "big")["output"].as_str().unwrap().len(), 5000);
    assert_eq!(job(&full, "big").get("output_cut"), None);
    assert_eq!(app.get("/api/jobs/big").await.json()["output"].as_str().unwrap().len(), 5000);
    assert_eq!(app.get("/api/jobs?full=yes").await.code(), "invalid");
    drop(worker);
}

#[tokio::test]
async fn a_text_is_found_in_id_kind_args_and_last_error_whatever_the_case_of_its_letters() {
    let app = App::new();
    let worker = app.work();
    app.run("Nightly", "greet", r#"{"name":"Zanzibar"}"#).await;
    app.run("other", "greet", r#"{"name":""}"#).await;
    for (q, found) in [("NIGHT", "Nightly"), ("zanZI", "Nightly"), ("No+Name", "other")] {
        let page = app.get(&format!("/api/jobs?q={q}")).await;
        assert_eq!(ids(&page), [found], "{q}");
    }
    assert_eq!(ids(&app.get("/api/jobs?q=GREET").await).len(), 2);
    assert!(ids(&app.get("/api/jobs?q=%25").await).is_empty(), "a percent sign stands for itself");
    assert!(ids(&app.get("/api/jobs?q=hello").await).is_empty(), "outputs are not searched");
    drop(worker);
}

#[tokio::test]
async fn no_filter_is_so_large_that_it_breaks_a_query() {
    let app = App::new();
    let many =
        |name: &str, count: usize| (0..count).map(|n| format!("{name}={n}:b")).collect::<Vec<_>>().join("&");
    for (query, field) in [
        (many("label", 33), "label"),
        (many("queue", 1_001), "queue"),
        (many("kind", 1_001), "kind"),
        (many("parent", 1_001), "parent"),
        (format!("q={}", "a".repeat(1_025)), "q"),
        (format!("queue={}", "a".repeat(1_025)), "queue"),
        ("q=%00".to_owned(), "q"),
        ("queue=%00".to_owned(), "queue"),
        ("kind=a%00".to_owned(), "kind"),
        ("label=a%00:b".to_owned(), "label"),
    ] {
        let answer = app.get(&format!("/api/jobs?{query}")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            "{field}"
        );
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }
    for query in [many("label", 32), many("queue", 1_000), format!("q={}", "a".repeat(1_024))] {
        assert_eq!(app.get(&format!("/api/jobs?{query}")).await.status, StatusCode::OK);
    }
    let ids: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    let labels: serde_json::Map<String, serde_json::Value> =
        ids[..33].iter().map(|id| (id.clone(), "b".into())).collect();
    for (filter, field) in [
        (serde_json::json!({ "ids": ids }), "filter.ids"),
        (serde_json::json!({ "kind": ids }), "filter.kind"),
        (serde_json::json!({ "state": vec!["failed"; 1_001] }), "filter.state"),
        (serde_json::json!({ "labels": labels }), "filter.labels"),
        (serde_json::json!({ "q": "x".repeat(1_025) }), "filter.q"),
        (serde_json::json!({ "q": "\0none" }), "filter.q"),
        (serde_json::json!({ "q": "" }), "filter.q"),
    ] {
        let body = serde_json::json!({ "action": "cancel", "filter": filter }).to_string();
        let answer = app.post("/api/jobs/actions", &body).await;
        assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text());
    }
    // The routes of whole stores, whose filters have no bounds of the contract's.
    let labels: Vec<_> = (0..1_200).map(|n: u32| (n.to_string(), "b")).collect();
    for (of, field) in [
        (serde_json::json!({ "text": "x".repeat(60_000) }), "filter.text"),
        (serde_json::json!({ "labels": labels }), "filter"),
    ] {
        let mut filter = serde_json::to_value(longhaul::JobFilter::default()).unwrap();
        filter.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
        let list = serde_json::json!({ "filter": filter, "page": longhaul::Page::default() });
        let act = serde_json::json!({ "filter": filter, "action": longhaul::Action::Retry, "limit": 1 });
        for (route, body) in [("list", list), ("act", act)] {
            let answer = app.post(&format!("/api/worker/{route}"), &body.to_string()).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{route}: {}", answer.text());
            assert_eq!(answer.json()["errors"][0]["field"], field, "{route}: {}", answer.text());
        }
    }
}
