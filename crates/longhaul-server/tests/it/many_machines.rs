//! One store on a server of its own, API servers that run nothing, and workers that serve nothing: what a deployment on
//! many machines looks like.

use std::process::Stdio;
use std::time::Duration;

use fakes::Double;
use longhaul_testservers::postgres;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server::{PATIENCE, Place, Server, client, ended};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_services_work_on_postgres_with_workers_apart() {
    let scene = Scene::new().await;
    let api = scene.serve().await;
    let _waiting = scene.work("sessions,github,github-batch,lessons,step10");
    let _heavy = scene.work("materials=1");

    let skill = json!({ "name": "React", "category": "Programming", "type": "teaching", "proficiency": 85 });
    let skill = scene.ask(&api, Method::POST, "/skills", &skill).await;
    let session = json!({
        "title": "Hooks", "teachSkillId": skill["_id"], "focusKeywords": ["hooks"], "date": "2024-01-15",
        "startTime": "14:00", "endTime": "16:00", "skillCategory": "Programming", "isTeaching": true,
    });
    let session = scene.ask(&api, Method::POST, "/sessions", &session).await;
    let analysis = json!({ "username": "octocat" });
    let analysis = scene.ask(&api, Method::POST, "/api/v1/github/analyze", &analysis).await;
    let batch = json!({ "usernames": ["ada", "grace", "ghost-1"] });
    let batch = scene.ask(&api, Method::POST, "/api/v1/github/analyze/batch", &batch).await;
    let lesson = json!({ "subject": "english", "topic": "verbs", "user_id": "u" });
    let lesson = scene.ask(&api, Method::POST, "/lessons", &lesson).await;
    let module = |n: u32| json!({ "code": format!("M{n}"), "title": "A module", "contactHours": 2 });
    let workflow = json!({ "title": "Course", "modules": [module(1), module(2)] });
    let workflow = scene.ask(&api, Method::POST, "/api/v3/workflow", &workflow).await;
    let workflow = text(&workflow["data"]["_id"]);
    scene.ask(&api, Method::POST, &format!("/api/v3/workflow/{workflow}/step10"), &json!({})).await;
    let course = scene.ask(&api, Method::POST, "/courses", &json!({ "name": "Botany" })).await;
    let material = scene.upload(&api, &text(&course["id"])).await;

    for job in [
        format!("sessions-dispatch-{}", text(&session["_id"])),
        text(&analysis["user_data"]["task_id"]),
        text(&batch["task_id"]),
        text(&lesson["task_id"]),
        format!("step10-{workflow}-module-0"),
        format!("step10-{workflow}-module-1"),
        format!("materials-{material}"),
    ] {
        let job = scene.ended(&api, &job).await;
        assert_eq!(job["state"], "completed", "{job}");
    }
    let session = format!("/sessions/{}", text(&session["_id"]));
    let session = scene.ask(&api, Method::GET, &session, &Value::Null).await;
    assert_eq!(session["metadata"].as_array().map(Vec::len), Some(10), "{session}");
    let versions = scene.ask(&api, Method::GET, "/lessons/english/verbs/versions", &Value::Null).await;
    assert_eq!(versions["versions"][0]["version"], "1.0");
    let plans = format!("/api/v3/workflow/{workflow}/step10/status");
    assert_eq!(scene.ask(&api, Method::GET, &plans, &Value::Null).await["data"]["allComplete"], true);
    let search = format!("/courses/{}/materials/search?query=chlorophyll", text(&course["id"]));
    let found = scene.ask(&api, Method::GET, &search, &Value::Null).await;
    assert_eq!(found[0]["material_id"], material.as_str(), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_workers_loses_nothing_and_costs_no_attempt() {
    let scene = Scene::new().await;
    // Slow enough that every restart finds texts in the middle.
    scene.double.set_pause(Duration::from_millis(3));
    let api = scene.serve().await;
    let mut workers = vec![scene.work("lessons=4"), scene.work("lessons=4")];
    let mut tasks = Vec::new();
    for restart in 0..6 {
        for number in 0..4 {
            let lesson = json!({ "subject": "s", "topic": format!("t{restart}-{number}"), "user_id": "u" });
            let lesson = scene.ask(&api, Method::POST, "/lessons", &lesson).await;
            tasks.push(text(&lesson["task_id"]));
        }
        scene.double.wait_for("/v1/chat/completions", tasks.len()).await;
        let mut old = workers.remove(0);
        let pid = old.id().expect("it runs");
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().await;
        assert!(asked.expect("sh runs").success());
        workers.push(scene.work("lessons=4"));
        timeout(PATIENCE, old.wait()).await.expect("it drains in time").expect("it can be waited for");
    }
    for task in &tasks {
        let job = scene.ended(&api, task).await;
        assert_eq!(job["state"], "completed", "{job}");
        assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)), "{job}");
    }
}

/// A schema of its own, the outside systems, and a data folder that all processes share for their secret.
struct Scene {
    place: Place,
    double: Double,
    store: String,
    token: String,
}

impl Scene {
    async fn new() -> Self {
        let place = Place::new();
        let token = place.token("60d5ec49f1b2c8b1f8e4f1a1").await;
        Self { place, double: Double::start().await, store: postgres().url_of_new_schema(), token }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.double.exports();
        // The text of a PDF is read here, and not by the double.
        environment.retain(|(name, _)| {
            !matches!(*name, "AI_BRAIN_ENDPOINT" | "EMBEDDING_BASE_URL" | "EMBEDDING_MODEL")
        });
        environment.push(("PYTHON_API_URL", self.double.python_api()));
        environment.push(("LONGHAUL_STORE", self.store.clone()));
        environment
    }

    async fn serve(&self) -> Server {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.place.serve_with(&["--no-worker"], &environment).await
    }

    fn work(&self, queues: &str) -> Child {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.place.log()).expect("a log");
        let mut command = self.place.command(&["worker", "--queues", queues, "--grace", "0"]);
        command.envs(self.environment()).stdout(Stdio::null()).stderr(log);
        command.spawn().expect("the binary starts")
    }

    async fn ask(&self, api: &Server, method: Method, path: &str, body: &Value) -> Value {
        let request = client().request(method, api.at(path)).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.expect("the server answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{path} answered {status}: {text}\n{}", api.log());
        serde_json::from_str(&text).expect("JSON")
    }

    async fn upload(&self, api: &Server, course: &str) -> String {
        let bytes = include_bytes!("../../../../services/materials/samples/lecture.pdf").to_vec();
        let part = reqwest::multipart::Part::bytes(bytes).file_name("lecture.pdf");
        let form = reqwest::multipart::Form::new().part("file", part);
        let request = client().post(api.at(&format!("/courses/{course}/materials")));
        let answer = request.bearer_auth(&self.token).multipart(form).send().await.expect("an answer");
        let material: Value = answer.json().await.expect("JSON");
        text(&material["id"])
    }

    /// A job once it has ended.
    async fn ended(&self, api: &Server, id: &str) -> Value {
        ended(client().get(api.at(&format!("/api/jobs/{id}")))).await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
