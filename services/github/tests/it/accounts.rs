//! Accounts that are not as most are: organizations, newcomers, those with nothing and those with very much.

use fakes::GithubReply;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::small::{ada, commit, looked_into, notes, repo, result, says};

#[tokio::test]
async fn an_organization_is_what_everybody_wrote_there() {
    let f = Fixture::new().await;
    ada(&f);
    says(
        &f.double,
        "/users/ada",
        &json!({ "login": "ada", "id": 1, "type": "Organization", "public_repos": 1 }),
    );
    let all =
        [commit("c1", "feat: a", "2025-01-01T00:00:00Z"), commit("c2", "fix: b", "2025-01-02T00:00:00Z")];
    says(&f.double, "/repos/ada/one/commits?per_page=100", &json!(all));
    let _worker = f.work();
    let result = result(&f, "ada").await;
    assert_eq!(result["user_data"]["type"], "Organization");
    assert_eq!(result["commit_analysis"]["total_commits_analyzed"], 2);
    // An organization has no stars and no organizations, and writes nothing elsewhere.
    let calls = f.double.github_calls();
    assert!(
        !calls
            .keys()
            .any(|path| path.contains("/orgs") || path.contains("/starred") || path.contains("/search"))
    );
    assert_eq!(notes(&result), Vec::<&str>::new());
}

#[tokio::test]
async fn an_account_with_nothing_has_figures_of_nothing() {
    let f = Fixture::new().await;
    ada(&f);
    let _worker = f.work();
    let none = json!([]);
    let empty: Vec<Value> =
        (0..10).map(|n| repo(&format!("e{n}"), &json!({ "language": null, "size": 0 }))).collect();
    (0..10).for_each(|n| looked_into(&f.double, &format!("e{n}")));
    for repos in [none, json!(empty)] {
        says(&f.double, "/users/ada/repos", &repos);
        let body = json!({ "username": "ada", "force_refresh": true });
        let result = f.post("/api/v1/github/analyze/sync", &body).await.json();
        let commits = &result["commit_analysis"];
        assert_eq!(result["languages"], json!([]));
        for figure in [
            &commits["conventional_commit_analysis"]["stats"]["percentage"],
            &commits["conventional_commit_analysis"]["quality_score"],
            &commits["impact_analysis"]["average_impact_score"],
            &commits["commit_patterns"]["commits_per_week"],
            &commits["commit_patterns"]["average_subject_length"],
            &commits["contributor_metrics"]["average_lines_per_commit"],
            &commits["contributor_metrics"]["commits_per_active_day"],
        ] {
            assert_eq!(*figure, 0.0, "{result}");
        }
        assert_eq!(result["coverage"]["repositories_examined"], json!(repos.as_array().unwrap().len()));
        f.clock.advance(std::time::Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_newcomers_repository_of_no_kilobyte_is_looked_into() {
    let f = Fixture::new().await;
    ada(&f);
    says(&f.double, "/users/ada/repos", &json!([repo("one", &json!({ "size": 0 }))]));
    let _worker = f.work();
    let result = result(&f, "ada").await;
    assert_eq!(result["commit_analysis"]["total_commits_analyzed"], 1);
    assert_eq!(result["languages"][0]["language"], "Rust");
}

#[tokio::test]
async fn very_many_repositories_and_stars_are_read_to_a_bound_that_is_told() {
    let f = Fixture::new().await;
    ada(&f);
    let user = json!({ "login": "ada", "id": 1, "type": "User", "public_repos": 2_345 });
    says(&f.double, "/users/ada", &user);
    let first = "/users/ada/repos".to_owned();
    for page in 1..=25 {
        let fork = json!({ "fork": true, "stargazers_count": page });
        let mut repos: Vec<Value> = (0..99).map(|n| repo(&format!("r{page}-{n}"), &fork)).collect();
        // One that moved from the page before while it was being read.
        repos.push(repo(&format!("r{}-0", (page - 1).max(1)), &fork));
        let path = if page == 1 { first.clone() } else { format!("{first}?page={page}") };
        let next = format!("{}{first}?page={}", f.double.github_url(), page + 1);
        f.double.github_says(&path, GithubReply::json(&json!(repos)).followed_by(&next));
    }
    let star = json!({ "full_name": "o/r", "topics": ["cli"] });
    let stars = GithubReply::json(&json!(vec![star; 100]));
    f.double.github_says(
        "/users/ada/starred",
        stars.followed_by(&format!("{}/users/ada/starred?page=2", f.double.github_url())),
    );
    let _worker = f.work();
    let result = result(&f, "ada").await;
    let coverage = &result["coverage"];
    // Twenty pages of 99 new ones each.
    assert_eq!(
        (&coverage["repositories_read"], &coverage["repositories_total"]),
        (&json!(1_980), &json!(2_345))
    );
    assert_eq!(
        notes(&result),
        ["1980 of 2345 repositories were read: those pushed to last", "only the newest 100 stars were read"]
    );
    assert_eq!(
        f.double.github_calls().keys().filter(|path| path.starts_with("/users/ada/starred")).count(),
        1
    );
}

#[tokio::test]
async fn commits_in_repositories_of_others_count() {
    let f = Fixture::new().await;
    let _worker = f.work();
    let result = result(&f, "contributor").await;
    let metrics = &result["commit_analysis"]["contributor_metrics"];
    assert_eq!(metrics["commits_in_other_repositories"], 3);
    let calls = f.double.github_calls();
    let search =
        "/search/commits?q=author:contributor+-user:contributor&sort=author-date&order=desc&per_page=50";
    assert_eq!(calls[search], 1, "{calls:?}");
}

#[tokio::test]
async fn a_search_that_fails_costs_its_own_part() {
    for (reply, words) in [
        (
            GithubReply::refusal(422, "Validation Failed"),
            "GitHub failed: 422 Unprocessable Entity: Validation Failed",
        ),
        // Searches have a limit of their own, which is no reason to pause all else.
        (
            GithubReply::refusal(403, "API rate limit exceeded for user ID 1.")
                .with("x-ratelimit-resource", "search")
                .with("x-ratelimit-remaining", "0")
                .with("x-ratelimit-reset", "1767229200"),
            "GitHub failed: 403 Forbidden: API rate limit exceeded for user ID 1.",
        ),
        (
            GithubReply::refusal(429, "API rate limit exceeded for user ID 1.")
                .with("x-ratelimit-resource", "search")
                .with("retry-after", "60"),
            "GitHub failed: 429 Too Many Requests: API rate limit exceeded for user ID 1.",
        ),
    ] {
        let f = Fixture::new().await;
        ada(&f);
        f.double.github_says("/search/commits", reply);
        let _worker = f.work();
        let result = result(&f, "ada").await;
        assert_eq!(notes(&result), [format!("commits in repositories of others could not be read: {words}")]);
        assert_eq!(result["commit_analysis"]["total_commits_analyzed"], 1);
    }
    // Another GitHub may know no such search.
    let f = Fixture::new().await;
    ada(&f);
    f.double.github_says("/search/commits", GithubReply::refusal(404, "Not Found"));
    let _worker = f.work();
    assert_eq!(notes(&result(&f, "ada").await), Vec::<&str>::new());
}
