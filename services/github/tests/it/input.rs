use serde_json::{Value, json};

use crate::fixture::Fixture;

const NAME: &str = "Invalid GitHub username: must be 1 to 39 letters, digits or hyphens, and begin and end with a letter or a digit";

#[tokio::test]
async fn bad_bodies_are_refused_in_the_original_form() {
    let f = Fixture::new().await;
    let long = "x".repeat(40);
    let bodies: Vec<(String, u16, &str)> = vec![
        (String::new(), 400, "Request body must be JSON"),
        ("{".into(), 400, "Request body must be JSON"),
        ("\u{0}".into(), 400, "Request body must be JSON"),
        ("[".repeat(50_000), 400, "Request body"),
        ("null".into(), 400, "Request body is not valid: invalid type: null"),
        ("[]".into(), 400, "Request body is not valid"),
        ("\"octocat\"".into(), 400, "Request body is not valid: invalid type: string"),
        ("{}".into(), 400, "Request body is not valid: missing field `username`"),
        (json!({ "username": 7 }).to_string(), 400, "Request body is not valid: invalid type: integer"),
        (json!({ "username": null }).to_string(), 400, "Request body is not valid"),
        (json!({ "username": ["octocat"] }).to_string(), 400, "Request body is not valid"),
        (
            json!({ "username": "octocat", "force_refresh": "yes" }).to_string(),
            400,
            "Request body is not valid",
        ),
        (
            json!({ "username": "octocat", "force_refesh": true }).to_string(),
            400,
            "Request body is not valid: unknown field `force_refesh`",
        ),
        (json!({ "username": "" }).to_string(), 400, NAME),
        (json!({ "username": "-a" }).to_string(), 400, NAME),
        (json!({ "username": "a-" }).to_string(), 400, NAME),
        (json!({ "username": "a b" }).to_string(), 400, NAME),
        (json!({ "username": "../etc" }).to_string(), 400, NAME),
        (json!({ "username": "a\u{0}" }).to_string(), 400, NAME),
        (json!({ "username": "dependabot[bot]" }).to_string(), 400, NAME),
        (json!({ "username": "@mona" }).to_string(), 400, NAME),
        (json!({ "username": "https://github.com/mona" }).to_string(), 400, NAME),
        (json!({ "username": " mona " }).to_string(), 400, NAME),
        (json!({ "username": "ünï" }).to_string(), 400, NAME),
        (json!({ "username": long }).to_string(), 400, NAME),
        (format!("{{\"username\":\"{}\"}}", "x".repeat(70_000)), 413, "Request body exceeds 64 KB"),
    ];
    for path in ["analyze", "analyze/sync", "analyze/stream"] {
        for (body, status, detail) in &bodies {
            let reply = f.post_text(&format!("/api/v1/github/{path}"), body.clone()).await;
            let (got, said) = reply.error();
            assert!(got == *status && said.starts_with(detail), "{path} {:.60}: {got} {said}", body);
        }
    }
    assert!(f.jobs("github.analyze").await.is_empty());
}

#[tokio::test]
async fn bad_batches_are_refused() {
    let f = Fixture::new().await;
    let bodies: [(Value, &str); 7] = [
        (json!({}), "Request body is not valid: missing field `usernames`"),
        (json!({ "usernames": "octocat" }), "Request body is not valid: invalid type: string"),
        (json!({ "usernames": [] }), "usernames must be between 1 and 100"),
        (json!({ "usernames": vec!["a"; 101] }), "usernames must be between 1 and 100"),
        (json!({ "usernames": ["a", 1] }), "Request body is not valid: invalid type: integer"),
        (json!({ "usernames": ["a", "-b"] }), "usernames[1]: Invalid GitHub username"),
        (json!({ "usernames": ["a"], "other": 1 }), "Request body is not valid: unknown field `other`"),
    ];
    for (body, detail) in bodies {
        let (status, said) = f.post("/api/v1/github/analyze/batch", &body).await.error();
        assert!(status == 400 && said.starts_with(detail), "{body}: {status} {said}");
    }
}

#[tokio::test]
async fn bad_paths_are_refused() {
    let f = Fixture::new().await;
    for name in ["-a", "a_b", "a%20b", "..%2f", "%ff", &"x".repeat(40)] {
        for path in [format!("user/{name}"), format!("user/{name}/async"), format!("user/{name}/history")] {
            let reply = f.get(&format!("/api/v1/github/{path}")).await;
            assert_eq!(reply.error(), (400, NAME.into()), "{path}");
        }
    }
    let reply = f.get("/api/v1/github/user/octocat?force_refresh=maybe").await;
    assert_eq!(reply.error(), (400, "force_refresh must be true or false".into()));
    for limit in ["0", "11", "x"] {
        let reply = f.get(&format!("/api/v1/github/user/octocat/history?limit={limit}")).await;
        assert_eq!(reply.error(), (400, "limit must be between 1 and 10".into()));
    }
    let long = "x".repeat(200);
    for id in ["x", "a%20b", "%ff", "a%00b", long.as_str(), "github_profile_octocat_1"] {
        let reply = f.task(id).await;
        assert_eq!(reply.status, 404, "{id}: {reply:?}");
        assert!(reply.error().1.ends_with(" not found"), "{reply:?}");
        assert_eq!(f.get(&format!("/task/{id}")).await.status, 404);
    }
}

#[tokio::test]
async fn jobs_of_other_kinds_are_no_tasks() {
    let f = Fixture::new().await;
    let member = github::Member {
        username: "octocat".to_owned().try_into().unwrap(),
        force_refresh: false,
        same_as: None,
    };
    let id = f.longhaul.enqueue(member).await.unwrap().id;
    assert_eq!(f.task(id.as_str()).await.error(), (404, format!("Task {id} not found")));
}
