//! Replies as GitHub, and what is between, really gives them.

use fakes::{Double, GithubReply};
use longhaul::State;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::small::{ada, commit, notes, repo, result, says};

fn commits(result: &Value) -> &Value {
    &result["commit_analysis"]["total_commits_analyzed"]
}

#[tokio::test]
async fn a_moved_repository_is_followed_on_the_same_host() {
    for status in [301, 302, 307] {
        let f = Fixture::new().await;
        ada(&f);
        let there = format!("{}/repositories/9/commits?page=1", f.double.github_url());
        f.double.github_says("/repos/ada/one/commits", GithubReply::moved(status, &there));
        says(&f.double, "/repositories/9/commits", &json!([commit("c1", "feat: a", "2025-01-01T00:00:00Z")]));
        let _worker = f.work();
        let result = result(&f, "ada").await;
        assert_eq!((commits(&result), notes(&result).len()), (&json!(1), 0));
        let seen = f.double.seen("/github/repositories/9/commits");
        assert_eq!(seen[0].headers["authorization"], "Bearer t0ken");
    }
}

#[tokio::test]
async fn a_renamed_user_is_asked_for_under_the_new_name() {
    let f = Fixture::new().await;
    ada(&f);
    let there = format!("{}/users/ada", f.double.github_url());
    f.double.github_says("/users/byron", GithubReply::moved(301, &there));
    let _worker = f.work();
    let result = result(&f, "byron").await;
    assert_eq!((&result["user_data"]["login"], commits(&result)), (&json!("ada"), &json!(1)));
}

#[tokio::test]
async fn a_circle_ends_and_no_token_goes_to_another_host() {
    let other = Double::start().await;
    let f = Fixture::new().await;
    ada(&f);
    let there = format!("{}/repos/ada/one/commits", f.double.github_url());
    f.double.github_says("/repos/ada/one/commits", GithubReply::moved(301, &there));
    let elsewhere = format!("{}/repos/ada/one/languages", other.github_url());
    f.double.github_says("/repos/ada/one/languages", GithubReply::moved(301, &elsewhere));
    let repos = GithubReply::json(&json!([repo("one", &json!({}))]));
    f.double.github_says("/users/ada/repos", repos.followed_by(&format!("{}/next", other.github_url())));
    let _worker = f.work();
    let result = result(&f, "ada").await;
    let words = "could not be read: GitHub's answer cannot be read: it leads to another host or in a circle";
    let of = ["page 2 of repositories", "languages of ada/one", "commits of ada/one"];
    assert_eq!(notes(&result), of.map(|of| format!("{of} {words}")));
    assert_eq!(f.double.seen("/github/repos/ada/one/commits").len(), 6, "five redirections are followed");
    assert!(other.github_calls().is_empty(), "{:?}", other.github_calls());
    // Where it is the profile, the analysis fails at once.
    f.double
        .github_says("/users/lost", GithubReply::moved(302, &format!("{}/users/ada", other.github_url())));
    let reply = f.get("/api/v1/github/user/lost").await;
    let detail = "GitHub's answer cannot be read: it leads to another host or in a circle";
    assert_eq!(reply.error(), (502, detail.into()));
}

#[tokio::test]
async fn replies_without_a_body_are_empty_lists() {
    let paths = [
        "/users/ada/starred",
        "/users/ada/orgs",
        "/search/commits",
        "/repos/ada/one/languages",
        "/repos/ada/one/commits",
        "/repos/ada/one/contents/",
        "/users/ada/repos",
    ];
    let empty = [
        GithubReply::no_content(),
        GithubReply::still_counting(),
        GithubReply::bytes(""),
        GithubReply::bytes("\"\""),
        GithubReply::bytes("null"),
        GithubReply::bytes("{}"),
        GithubReply::bytes("\u{feff} \n"),
        GithubReply::empty_repository(),
    ];
    for reply in empty {
        let f = Fixture::new().await;
        ada(&f);
        let _worker = f.work();
        for path in paths {
            f.double.github_says(path, reply.clone());
            let body = json!({ "username": "ada", "force_refresh": true });
            let sync = f.post("/api/v1/github/analyze/sync", &body).await;
            assert_eq!(sync.status, 200, "{path} {reply:?}: {sync:?}");
            assert_eq!(notes(&sync.json()), Vec::<&str>::new(), "{path} {reply:?}");
            f.clock.advance(std::time::Duration::from_secs(1));
        }
    }
}

#[tokio::test]
async fn nulls_and_other_types_cost_themselves() {
    for odd in [Value::Null, json!("x"), json!(-1), json!([null]), json!({})] {
        let f = Fixture::new().await;
        ada(&f);
        let of = |fields: &[&str], known: Value| {
            fields.iter().fold(known, |mut known, field| {
                known[*field] = odd.clone();
                known
            })
        };
        let user = [
            "id",
            "name",
            "bio",
            "company",
            "blog",
            "email",
            "public_repos",
            "followers",
            "created_at",
            "avatar_url",
        ];
        says(&f.double, "/users/ada", &of(&user, json!({ "login": "ada", "type": "User" })));
        let fields = [
            "topics",
            "license",
            "default_branch",
            "description",
            "language",
            "stargazers_count",
            "forks_count",
            "size",
            "pushed_at",
            "fork",
            "archived",
            "html_url",
        ];
        // Some of these would make a fork of it, or none of hers.
        let odd_repo = of(&fields, repo("one", &json!({})));
        says(&f.double, "/users/ada/repos", &json!([null, odd_repo, { "name": null, "full_name": null }, 7]));
        says(
            &f.double,
            "/users/ada/starred",
            &json!([null, { "full_name": "o/r", "topics": odd, "language": odd }]),
        );
        says(&f.double, "/users/ada/orgs", &json!([{ "login": null }, null]));
        says(&f.double, "/repos/ada/one/languages", &json!({ "Rust": 4_000, "C": odd }));
        let mut items = vec![
            commit("c1", "feat: a", "2025-01-01T00:00:00Z"),
            of(
                &["author", "committer", "parents", "html_url"],
                commit("c2", "fix: b", "2025-01-01T00:00:00Z"),
            ),
            of(&["commit"], commit("c3", "", "")),
            Value::Null,
        ];
        items[1]["commit"]["author"] = odd.clone();
        says(&f.double, "/repos/ada/one/commits", &json!(items));
        says(&f.double, "/repos/ada/one/commits/c1", &json!({ "sha": "c1", "stats": odd, "files": odd }));
        let details = json!({ "sha": "c2", "stats": { "additions": odd, "deletions": 2 }, "files": [null, { "filename": "x" }] });
        says(&f.double, "/repos/ada/one/commits/c2", &details);
        says(&f.double, "/repos/ada/one/commits/c3", &json!({ "sha": "c3" }));
        says(
            &f.double,
            "/repos/ada/one/contents/",
            &json!([null, { "name": "Dockerfile", "type": odd, "size": odd }]),
        );
        says(&f.double, "/search/commits", &json!({ "items": [null, { "sha": "x", "repository": odd }] }));
        let _worker = f.work();
        let result = result(&f, "ada").await;
        assert_eq!(
            (commits(&result), &result["languages"][0]["language"]),
            (&json!(3), &json!("Rust")),
            "{odd}"
        );
        assert_eq!(result["languages"].as_array().unwrap().len(), 1);
        let metrics = &result["commit_analysis"]["contributor_metrics"];
        assert_eq!((&metrics["lines_deleted"], &metrics["files_changed"]), (&json!(2), &json!(1)), "{odd}");
        assert_eq!(result["skills"]["tools"], json!(["Docker"]));
    }
}

#[tokio::test]
async fn texts_of_every_sort_are_analyzed() {
    let f = Fixture::new().await;
    ada(&f);
    let long = "x".repeat(1_000_000);
    let list = json!([
        commit("c1", &long, "1970-01-01T00:00:00Z"),
        commit("c2", "fix: a\r\n\r\nBREAKING CHANGE: b\r\n", "2099-01-01T00:00:00Z"),
        commit("c3", "feat: \u{0} nul", "9999-99-99"),
        commit("c4", &format!("{}😀", "é".repeat(1_499)), "2025-01-01T00:00:00Z"),
        commit("c5", ".", "2025-01-01T00:00:00+23:00"),
        commit("c6", " \n", ""),
        commit("c7", "wip", "2025-01-01T00:00:00Z"),
    ]);
    // A byte order mark before it all, and half of a surrogate pair in the last.
    let body = format!("\u{feff}{list}").replace("wip", "w\\ud83dip");
    f.double.github_says("/repos/ada/one/commits", GithubReply::bytes(body));
    let user = json!({ "login": "ada", "id": 1, "name": "N\u{0}", "bio": "a\u{202e}b", "type": "User" });
    says(&f.double, "/users/ada", &user);
    let _worker = f.work();
    let result = result(&f, "ada").await;
    assert_eq!((commits(&result), &result["user_data"]["name"]), (&json!(7), &json!("N\u{fffd}")));
    let analysis = &result["commit_analysis"];
    assert_eq!(analysis["conventional_commit_analysis"]["stats"]["breaking_changes"], 1);
    assert_eq!(analysis["commit_patterns"]["first_commit_at"], "1970-01-01T00:00:00Z");
    assert_eq!(analysis["commit_patterns"]["last_commit_at"], "2099-01-01T00:00:00Z");
}

#[tokio::test]
async fn what_is_taken_down_or_too_large_is_noted() {
    let f = Fixture::new().await;
    ada(&f);
    f.double.github_says("/repos/ada/one/languages", GithubReply::taken_down());
    let words =
        "The history or contributor list is too large to list contributors for this repository via the API.";
    f.double.github_says("/repos/ada/one/commits", GithubReply::refusal(403, words));
    f.double.github_says("/repos/ada/one/contents/", GithubReply::bytes(vec![b' '; 9 * 1024 * 1024]));
    let _worker = f.work();
    let result = result(&f, "ada").await;
    let notes = notes(&result);
    let blocked = "GitHub failed: 451 Unavailable For Legal Reasons: Repository access blocked";
    assert_eq!(notes[0], format!("languages of ada/one could not be read: {blocked}"));
    assert_eq!(
        notes[1],
        format!("commits of ada/one could not be read: GitHub failed: 403 Forbidden: {words}")
    );
    assert!(notes[2].starts_with("files of ada/one could not be read: GitHub's answer"), "{notes:?}");
}

#[tokio::test]
async fn what_may_come_back_is_tried_again_and_only_a_little_is_done_without() {
    for (count, ends_well) in [(3, true), (4, false)] {
        let f = Fixture::new().await;
        ada(&f);
        let broken = [
            "/repos/ada/one/languages",
            "/repos/ada/one/contents/",
            "/repos/ada/one/commits/c1",
            "/users/ada/orgs",
        ];
        for path in &broken[..count] {
            f.double.github_says(path, GithubReply::refusal(500, "Server Error"));
        }
        let _worker = f.work();
        let task = f.started("ada").await;
        for attempt in 1..=2 {
            f.reaches(&task, |job| job.state == State::Scheduled && job.attempt == attempt).await;
            f.clock.advance(std::time::Duration::from_secs(60));
        }
        let ended = f.ended(&task).await;
        if ends_well {
            assert_eq!(notes(&ended["result"]).len(), 3, "{ended}");
        } else {
            assert_eq!(ended["message"], "GitHub failed: 500 Internal Server Error: Server Error");
        }
    }
}

/// The `If-None-Match` of each call to ada's profile.
fn tags(f: &Fixture) -> Vec<Option<String>> {
    let tag = |seen: &fakes::Seen| Some(seen.headers.get("if-none-match")?.to_str().unwrap().to_owned());
    f.double.seen("/github/users/ada").iter().map(tag).collect()
}

async fn refreshed(f: &Fixture) -> Value {
    f.clock.advance(std::time::Duration::from_secs(1));
    let reply = f.get("/api/v1/github/user/ada?force_refresh=true").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test]
async fn a_reply_is_kept_for_the_token_that_it_was_given_to() {
    let f = Fixture::new().await;
    ada(&f);
    let worker = f.work();
    let first = refreshed(&f).await;
    let second = refreshed(&f).await;
    assert_eq!(first["user_data"], second["user_data"]);
    let known = tags(&f);
    assert!(known[0].is_none() && known[1].as_ref().is_some_and(|tag| tag.starts_with("W/\"")), "{known:?}");
    drop(worker);
    let f = f.reopen(&[("GITHUB_TOKEN", "another")]).await;
    let _worker = f.work();
    refreshed(&f).await;
    assert_eq!(tags(&f)[2], None);
    // What was pruned is asked for whole.
    let connection = rusqlite::Connection::open(f.folder.path().join("test.db")).unwrap();
    connection.busy_timeout(crate::fixture::PATIENCE).unwrap();
    connection.execute("DELETE FROM github_etags", []).unwrap();
    refreshed(&f).await;
    assert_eq!(tags(&f)[3], None);
    refreshed(&f).await;
    assert!(tags(&f)[4].is_some());
    // So is what was kept half.
    connection.execute("UPDATE github_etags SET body = substr(body, 1, 9)", []).unwrap();
    refreshed(&f).await;
    assert_eq!(tags(&f)[5], None);
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_asked_again_and_its_link_counts() {
    let f = Fixture::new().await;
    ada(&f);
    let _worker = f.work();
    f.double.github_says("/users/ada/orgs", GithubReply { status: 304, ..GithubReply::default() });
    let result = refreshed(&f).await;
    let asked = f.double.seen("/github/users/ada/orgs");
    assert_eq!((asked.len(), asked[1].headers.get("cache-control").is_some()), (2, true));
    assert_eq!(notes(&result), ["organizations could not be read: GitHub failed: 304 Not Modified"]);
    // Another page has come since: the first one is as it was.
    let next = format!("{}/users/ada/repos?page=2", f.double.github_url());
    let unchanged = GithubReply { status: 304, ..GithubReply::default() };
    f.double.github_says("/users/ada/repos", unchanged.followed_by(&next));
    says(&f.double, "/users/ada/repos?page=2", &json!([repo("two", &json!({ "fork": true }))]));
    assert_eq!(refreshed(&f).await["coverage"]["repositories_read"], 2);
}

#[tokio::test]
async fn pages_are_followed_however_their_links_are_written() {
    let f = Fixture::new().await;
    ada(&f);
    let _worker = f.work();
    let link = |query: &str, rel: &str| format!("<{}/users/ada/repos?{query}>; {rel}", f.double.github_url());
    let first = GithubReply::json(&json!([repo("one", &json!({}))]));
    let in_lines = first.clone().with("link", &link("page=9", "rel=\"last\""));
    for (reply, query) in [
        (in_lines.with("link", &link("page=2", "rel=\"next\"")), "page=2"),
        (first.with("link", &link("ids=1,2&page=2", "Rel=Next")), "ids=1,2&page=2"),
    ] {
        f.double.github_says("/users/ada/repos", reply);
        let second = json!([repo("two", &json!({ "fork": true }))]);
        says(&f.double, &format!("/users/ada/repos?{query}"), &second);
        assert_eq!(refreshed(&f).await["coverage"]["repositories_read"], 2, "{query}");
    }
}
