use fakes::{Double, Fault};
use serde_json::Value;

async fn get(double: &Double, path: &str) -> reqwest::Response {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().no_proxy().user_agent("test/1 (test@example.com)").build().unwrap();
    client.get(format!("{}{path}", double.url())).send().await.unwrap()
}

async fn json(double: &Double, path: &str) -> (u16, Value) {
    let answer = get(double, path).await;
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

const SEARCH: &str = "/w/api.php?action=query&list=search&format=json&srsearch=";

#[tokio::test]
async fn anything_is_found_and_has_a_summary() {
    let double = Double::start().await;
    let (status, found) = json(&double, &format!("{SEARCH}english%20verbs&srlimit=3")).await;
    assert_eq!((status, found["query"]["searchinfo"]["totalhits"].as_u64()), (200, Some(10)));
    let hits = found["query"]["search"].as_array().unwrap();
    let titles: Vec<&str> = hits.iter().map(|hit| hit["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["English verbs", "History of English verbs", "Theory of English verbs"]);
    assert!(hits[1]["snippet"].as_str().unwrap().contains("<span class=\"searchmatch\">verbs</span>"));
    assert_eq!(found["continue"]["sroffset"], 3);
    let (_, other) = json(&double, &format!("{SEARCH}history%20mughal%20empire&srlimit=1")).await;
    assert_eq!(other["query"]["search"][0]["title"], "Mughal empire");
    let (_, rest) = json(&double, &format!("{SEARCH}english%20verbs&sroffset=3&srlimit=50")).await;
    assert_eq!(rest["query"]["search"].as_array().unwrap().len(), 7);
    assert!(rest["continue"].is_null());

    let (status, summary) = json(&double, "/api/rest_v1/page/summary/English_verbs").await;
    assert_eq!(status, 200);
    assert_eq!(summary["type"], "standard");
    assert_eq!(summary["title"], "English verbs");
    assert_eq!(summary["content_urls"]["desktop"]["page"], "https://en.wikipedia.org/wiki/English_verbs");
    assert!(summary["extract"].as_str().unwrap().starts_with("Verbs constitute"));
    assert!(summary["thumbnail"]["source"].as_str().unwrap().starts_with("https://"));
    let again = json(&double, "/api/rest_v1/page/summary/english_verbs").await;
    assert_eq!(again.1, summary, "the first letter's case is nothing to Wikipedia");
}

#[tokio::test]
async fn what_is_not_there_is_told_as_wikipedia_tells_it() {
    let double = Double::start().await;
    let (_, nothing) = json(&double, &format!("{SEARCH}zzzyx%20verbs")).await;
    assert_eq!(nothing["query"]["search"], serde_json::json!([]));
    let (status, missing) = json(&double, "/api/rest_v1/page/summary/Zzzyx").await;
    assert_eq!((status, missing["detail"].as_str()), (404, Some("Page or revision not found.")));
    let (_, meanings) = json(&double, "/api/rest_v1/page/summary/Mercury").await;
    assert_eq!(meanings["type"], "disambiguation");
    assert!(meanings["thumbnail"].is_null());
}

#[tokio::test]
async fn what_is_refused_is_refused_in_each_apis_way() {
    let double = Double::start().await;
    let answer = get(&double, "/w/api.php?action=query&list=search&format=json").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["mediawiki-api-error"], "missingparam");
    let (_, error) = json(&double, "/w/api.php?action=query&list=search&format=json&srsearch=").await;
    assert_eq!(error["error"]["code"], "missingparam");
    let page = get(&double, "/w/api.php?action=query&list=search&srsearch=x").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");

    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = stranger.get(format!("{}{SEARCH}x", double.url())).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("user-agent"));

    double.fail("/w/api.php", Fault::RateLimit("5".into()));
    let limited = get(&double, &format!("{SEARCH}x")).await;
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"5".parse().unwrap()));
}
