//! A GitHub with one user, `ada`, and whatever a test says of her.

use fakes::{Double, GithubReply};
use serde_json::{Value, json};

use crate::fixture::Fixture;

pub(crate) fn says(double: &Double, path: &str, document: &Value) {
    double.github_says(path, GithubReply::json(document));
}

/// A repository of ada's.
pub(crate) fn repo(name: &str, with: &Value) -> Value {
    let mut repo = json!({ "name": name, "full_name": format!("ada/{name}"), "size": 1, "language": "Rust", "fork": false });
    for (field, value) in with.as_object().unwrap() {
        repo[field] = value.clone();
    }
    repo
}

/// A commit with one parent.
pub(crate) fn commit(sha: &str, message: &str, date: &str) -> Value {
    json!({ "sha": sha, "commit": { "message": message, "author": { "date": date } }, "parents": [{ "sha": "p" }] })
}

/// Ada with one repository, `ada/one`, and one commit.
pub(crate) fn ada(f: &Fixture) {
    let double = &f.double;
    says(double, "/users/ada", &json!({ "login": "ada", "id": 1, "type": "User", "public_repos": 1 }));
    says(double, "/users/ada/repos", &json!([repo("one", &json!({}))]));
    says(double, "/users/ada/starred", &json!([]));
    says(double, "/users/ada/orgs", &json!([]));
    says(double, "/search/commits", &json!({ "total_count": 0, "items": [] }));
    looked_into(double, "one");
    says(double, "/repos/ada/one/languages", &json!({ "Rust": 4_000 }));
    says(double, "/repos/ada/one/commits", &json!([commit("c1", "feat: add it", "2025-01-01T00:00:00Z")]));
}

/// An empty repository in the eyes of whoever looks into it.
pub(crate) fn looked_into(double: &Double, name: &str) {
    says(double, &format!("/repos/ada/{name}/languages"), &json!({}));
    double.github_says(&format!("/repos/ada/{name}/commits"), GithubReply::empty_repository());
    let nothing = GithubReply::refusal(404, "This repository is empty.");
    double.github_says(&format!("/repos/ada/{name}/contents/"), nothing);
}

/// The result of an analysis of `name`, which ends well.
pub(crate) async fn result(f: &Fixture, name: &str) -> Value {
    let task = f.started(name).await;
    let ended = f.ended(&task).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    ended["result"].clone()
}

pub(crate) fn notes(result: &Value) -> Vec<&str> {
    result["coverage"]["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect()
}
