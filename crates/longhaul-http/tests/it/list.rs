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
