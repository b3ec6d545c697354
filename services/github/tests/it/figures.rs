//! Every figure of a result, computed by hand beside what it is made from.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::small::{commit, looked_into, repo, result, says};

/// A small GitHub whose every number is known.
fn known(f: &Fixture) {
    use base64::Engine;
    let double = &f.double;
    let text = |text: &str| {
        let content = base64::prelude::BASE64_STANDARD.encode(text);
        json!({ "encoding": "base64", "content": content })
    };
    let user =
        json!({ "login": "ada", "id": 7, "type": "User", "public_repos": 4, "followers": 7, "following": 2 });
    says(double, "/users/ada", &user);
    let engine = json!({ "stargazers_count": 99, "forks_count": 4, "topics": ["cli", "docker"],
        "license": { "spdx_id": "MIT" }, "pushed_at": "2025-03-10T10:00:00Z" });
    let notes = json!({ "language": "Python", "forks_count": 1, "topics": null, "license": null });
    let empty = json!({ "language": null, "stargazers_count": 1, "size": 0 });
    let fork = json!({ "language": "C", "fork": true, "stargazers_count": 50, "forks_count": 9 });
    let repos = [repo("engine", &engine), repo("notes", &notes), repo("empty", &empty), repo("linux", &fork)];
    says(double, "/users/ada/repos", &json!(repos));
    let starred = [("o/a", json!(["cli"])), ("o/b", json!(["cli", "ai"]))];
    let starred = starred.map(|(name, topics)| json!({ "full_name": name, "topics": topics }));
    says(double, "/users/ada/starred", &json!(starred));
    says(double, "/users/ada/orgs", &json!([{ "login": "octo" }]));
    for name in ["engine", "notes", "empty"] {
        looked_into(double, name);
    }
    says(double, "/repos/ada/engine/languages", &json!({ "Rust": 8_000, "Shell": 400 }));
    says(double, "/repos/ada/notes/languages", &json!({ "Python": 1_200, "Shell": 400 }));

    // 2025-03-03 and -10 are Mondays.
    let mut merge = commit("e3", "Merge pull request #3 from x/y", "2025-03-09T09:00:00Z");
    merge["parents"] = json!([{ "sha": "a" }, { "sha": "b" }]);
    let breaking = "refactor!: drop the old form\n\nBREAKING CHANGE: gone";
    let engine = [
        commit("e1", "feat(parser): support nested lists", "2025-03-10T10:00:00Z"),
        commit("e2", "fix: crash on empty input", "2025-03-09T10:00:00Z"),
        merge,
        commit("e4", breaking, "2025-03-08T23:00:00Z"),
    ];
    says(double, "/repos/ada/engine/commits", &json!(engine));
    let notes = [
        commit("n1", "Update README.md", "2025-03-03T10:00:00Z"),
        commit("n2", "Prefix all keys", "2025-03-03T12:00:00Z"),
    ];
    says(double, "/repos/ada/notes/commits", &json!(notes));
    let mut elsewhere = commit("x1", "docs: explain the lock", "2025-03-01T10:00:00Z");
    elsewhere["repository"] = json!({ "name": "kernel", "full_name": "octo/kernel" });
    says(double, "/search/commits", &json!({ "total_count": 1, "items": [elsewhere] }));
    let sizes = [
        ("engine", "e1", 60, 3, 2),
        ("engine", "e2", 5, 2, 1),
        ("engine", "e4", 0, 15, 3),
        ("notes", "n1", 1, 0, 1),
    ];
    for (name, sha, additions, deletions, files) in sizes {
        let files = vec![json!({ "filename": "x" }); files];
        let detail = json!({ "sha": sha, "stats": { "additions": additions, "deletions": deletions }, "files": files });
        says(double, &format!("/repos/ada/{name}/commits/{sha}"), &detail);
    }
    let detail = json!({ "sha": "n2", "stats": { "additions": 3, "deletions": 0 }, "files": null });
    says(double, "/repos/ada/notes/commits/n2", &detail);

    let file = |name: &str| json!({ "name": name, "type": "file", "size": 10 });
    says(
        double,
        "/repos/ada/engine/contents/",
        &json!([file("Cargo.toml"), file("Dockerfile"), file("README.md")]),
    );
    says(
        double,
        "/repos/ada/engine/contents/Cargo.toml",
        &text("[dependencies]\nserde = \"1\"\ntokio = \"1\"\n"),
    );
    says(double, "/repos/ada/notes/contents/", &json!([file("requirements.txt")]));
    says(double, "/repos/ada/notes/contents/requirements.txt", &text("\u{feff}Django>=4\n"));
}

#[tokio::test]
async fn each_figure_is_what_is_computed_by_hand() {
    let f = Fixture::new().await;
    known(&f);
    let _worker = f.work();
    let result = result(&f, "ada").await;

    let user = &result["user_data"];
    // 99 + 0 + 1 stars, 4 + 1 + 0 forks: a fork's are not ada's.
    assert_eq!((&user["total_stars"], &user["total_forks"]), (&json!(100), &json!(5)));
    // `cli` twice, `ai` once.
    assert_eq!((&user["starred_topics"], &user["organizations"]), (&json!(["cli", "ai"]), &json!(["octo"])));
    assert_eq!(
        (&user["public_repos"], &user["followers"], &user["following"]),
        (&json!(4), &json!(7), &json!(2))
    );

    // By stars, those that seem empty after the others, forks last.
    let names: Vec<&Value> =
        result["repositories"].as_array().unwrap().iter().map(|repo| &repo["name"]).collect();
    assert_eq!(names, ["engine", "notes", "empty", "linux"]);

    // 10,000 bytes in all; Shell is 400 in each of two.
    let share = |language, repositories, percentage: f64, lines| json!({ "language": language, "repository_count": repositories, "percentage": percentage, "lines_of_code": lines });
    let shares = [share("Rust", 1, 80.0, 200), share("Python", 1, 12.0, 30), share("Shell", 2, 8.0, 20)];
    assert_eq!(result["languages"], json!(shares));

    // Docker is a topic and a file, the other names stand once each. Of six authored commits two are documentation and one has
    // a body; one of seven is a merge; the longest streak is three days.
    let skills = json!({
        "technical_skills": ["Rust", "Python", "Shell"],
        "frameworks": ["Django", "Serde", "Tokio"],
        "tools": ["Docker", "Cargo", "pip"],
        "domains": ["Backend Development", "DevOps", "Developer Tools", "Systems Programming"],
        "dependencies_found": ["django", "serde", "tokio"],
        "soft_skills": ["Collaboration", "Documentation"],
    });
    assert_eq!(result["skills"], skills);

    let commits = &result["commit_analysis"];
    // 4 of ada/engine, 2 of ada/notes, 1 elsewhere.
    assert_eq!(commits["total_commits_analyzed"], 7);
    // Six without the merge, four of them conventional. 60 × 4/6 = 40; all subjects have 10 to 72 characters: 20; a scope or a
    // body have e1 and e4: 20 × 2/6 = 6.7.
    let conventional = json!({
        "stats": {
            "total": 6, "conventional": 4, "percentage": 66.7, "with_scope": 1, "breaking_changes": 1,
            "types": { "feat": 1, "fix": 1, "refactor": 1, "docs": 1 },
        },
        "quality_score": 66.7,
    });
    assert_eq!(commits["conventional_commit_analysis"], conventional);

    // ada/engine reaches lg(99 + 1) / 2 = 1. Half the binary logarithm of the changed lines and one: e1 64 → 3, e2 8 → 1.5,
    // e4 16 → 2, n1 2 → 0.5, n2 4 → 1. e1 5 + 3 + 1 = 9; e2 4 + 1.5 + 1 = 6.5; e3 is a merge: 1; e4 4 + 2 (breaking) + 2 + 1 = 9;
    // n1 2 + 0.5; n2 1.5 + 1; x1 2. The sum is 32.5, by seven 4.64.
    let impact = &commits["impact_analysis"];
    assert_eq!(impact["distribution"], json!({ "high": 2, "moderate": 1, "low": 4 }));
    assert_eq!(impact["average_impact_score"], 4.6);
    let high: Vec<_> = impact["high_impact_commits"].as_array().unwrap().iter().collect();
    let high: Vec<_> = high.iter().map(|c| (&c["sha"], &c["impact_score"], &c["lines_changed"])).collect();
    assert_eq!(high, [(&json!("e1"), &json!(9.0), &json!(63)), (&json!("e4"), &json!(9.0), &json!(15))]);

    // Of six: e1, e2, e4, n2 have an area each; n1 and x1 share documentation. "Prefix" is no fix.
    let share = |count, percentage: f64| json!({ "count": count, "percentage": percentage });
    let areas = json!({
        "patterns": {
            "feature_development": share(1, 16.7), "bug_fixing": share(1, 16.7), "refactoring": share(1, 16.7),
            "documentation": share(2, 33.3), "maintenance": share(1, 16.7),
        },
        "primary_strength": "documentation",
    });
    assert_eq!(commits["excellence_areas"], areas);
    assert_eq!(commits["tools_and_features"], json!({ "tools": {}, "features": ["support nested lists"] }));

    let mut by_hour = [0; 24];
    (by_hour[9], by_hour[10], by_hour[12], by_hour[23]) = (1, 4, 1, 1);
    // Five days, of which the 8th to the 10th are three in a row; from the 1st to the 10th 10/7 weeks: 7 / 1.43 = 4.9. Subjects
    // have 34 + 25 + 30 + 28 + 16 + 15 + 22 = 170 characters, by seven 24.3.
    let patterns = json!({
        "by_weekday": { "Monday": 3, "Saturday": 2, "Sunday": 2 }, "by_hour": by_hour,
        "most_active_weekday": "Monday", "most_active_hour": 10, "active_days": 5, "longest_streak_days": 3,
        "commits_per_week": 4.9, "average_subject_length": 24.3,
        "first_commit_at": "2025-03-01T10:00:00Z", "last_commit_at": "2025-03-10T10:00:00Z",
    });
    assert_eq!(commits["commit_patterns"], patterns);

    // 4/7, 2/7, 1/7.
    let top = |repository, commits, percentage: f64, stars, language: Value| json!({ "repository": repository, "commits": commits, "percentage": percentage, "stars": stars, "language": language });
    let top = [
        top("ada/engine", 4, 57.1, 99, json!("Rust")),
        top("ada/notes", 2, 28.6, 0, json!("Python")),
        top("octo/kernel", 1, 14.3, 0, Value::Null),
    ];
    assert_eq!(commits["top_repositories"], json!(top));

    // 60 + 5 + 0 + 1 + 3 lines added, 3 + 2 + 15 deleted, 2 + 1 + 3 + 1 + 0 files: 89 lines by five commits. Seven commits on
    // five days.
    let metrics = json!({
        "repositories_contributed_to": 3, "commits_authored": 6, "merge_commits": 1, "commits_in_other_repositories": 1,
        "commits_measured": 5, "lines_added": 69, "lines_deleted": 20, "files_changed": 7,
        "average_lines_per_commit": 17.8, "commits_per_active_day": 1.4,
    });
    assert_eq!(commits["contributor_metrics"], metrics);
    let coverage = json!({
        "repositories_read": 4, "repositories_total": 4, "repositories_examined": 3, "stars_read": 2, "notes": [],
    });
    assert_eq!(result["coverage"], coverage);
}
