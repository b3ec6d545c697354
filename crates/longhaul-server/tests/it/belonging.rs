//! Jobs in Redis, tables elsewhere: what belongs together, and a Redis that is away.

use fakes::Double;
use longhaul_testservers::Redis;
use serde_json::{Value, json};

use crate::server::{Place, Server, client, output, stderr};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_tables_of_its_own_refuses_the_jobs_of_others_and_the_right_one_runs_them() {
    let redis = Redis::start(&[]);
    let url = redis.url();
    let (place, other) = (Place::new(), Place::new());
    let server = place.serve_with(&["--no-worker"], &[("REDIS_URL", &url)]).await;
    let lesson = lesson(&server).await;

    let refused = output(other.command(&["worker"]).env("REDIS_URL", &url)).await;
    assert!(!refused.status.success());
    let said = stderr(&refused);
    assert!(said.contains("belong to the tables of another database"), "{said}");
    assert!(said.contains("set DATABASE_URL or --database"), "{said}");

    let log = std::fs::File::create(place.log().with_extension("worker")).expect("a log");
    let mut command = place.command(&["worker"]);
    let _worker = command.env("REDIS_URL", &url).stderr(log).spawn().expect("a worker");
    assert_eq!(ended(&server, &lesson).await["state"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_the_servers_files_refuses_to_start() {
    let place = Place::new();
    let server = place.serve(&["--no-worker"]).await;
    let empty = place.data().with_extension("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let storage = format!("file://{}", empty.display());
    let refused = output(place.command(&["worker"]).env("STORAGE_URL", &storage)).await;
    assert!(!refused.status.success());
    let said = stderr(&refused);
    assert!(said.contains("the files of this database are not in"), "{said}");
    assert!(said.contains("set STORAGE_URL"), "{said}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_at_the_start_costs_its_jobs_and_not_the_server() {
    let mut redis = Redis::start(&[]);
    redis.kill();
    let double = Double::start().await;
    let port = redis.port().to_string();
    let github =
        double.exports().into_iter().find(|(name, _)| *name == "GITHUB_API_URL").expect("it is there");
    let environment = [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), (github.0, github.1.as_str())];
    let place = Place::new();
    let server = place.serve_with(&[], &environment).await;
    assert!(server.log().contains("starting without it"), "{}", server.log());
    let analysis = json!({ "username": "octocat" });
    let analysis = client().post(server.at("/api/v1/github/analyze")).json(&analysis).send().await;
    let analysis: Value = analysis.expect("an answer").json().await.expect("JSON");
    assert_eq!(analysis["degraded"], true, "{analysis}");

    redis.restart(&[]);
    // It finds its store.
    server.ready().await;
    let lesson = lesson(&server).await;
    assert_eq!(ended(&server, &lesson).await["state"], "completed");
}

async fn lesson(server: &Server) -> String {
    let body = json!({ "subject": "s", "topic": "t", "user_id": "u", "include_wikipedia": false });
    let answer = client().post(server.at("/lessons")).json(&body).send().await.expect("an answer");
    let lesson: Value = answer.json().await.expect("JSON");
    lesson["task_id"].as_str().unwrap_or_else(|| panic!("{lesson}")).to_owned()
}

async fn ended(server: &Server, job: &str) -> Value {
    crate::server::ended(client().get(server.at(&format!("/api/jobs/{job}")))).await
}
