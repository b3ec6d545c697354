//! The services that wait for outside systems, under a server that is killed again and again at random moments: what
//! was acknowledged is done, once, and paid work is not paid twice.
//!
//! `LONGHAUL_TEST_SERVICE_KILLS` sets how often each is killed (20), `LONGHAUL_TEST_SEED` repeats a run's moments.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use fakes::Double;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Place, Server, client, ended};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_analysis_lose_no_task_and_repeat_no_call_that_was_answered() {
    // One analysis at a time, which makes at most three calls side by side.
    let scene = Scene { slots: "1", ..Scene::new("github").await };
    let tasks = scene
        .strike(Duration::from_millis(400), |caller, kill| async move {
            let body = json!({ "username": format!("user-{kill}") });
            let answer = caller.ask(Method::POST, "/api/v1/github/analyze", &body).await?;
            Some(answer["user_data"]["task_id"].as_str().expect("a task").to_owned())
        })
        .await;
    let life = scene.serve().await;
    let caller = &life.caller;
    for task in &tasks {
        let job = caller.ended(task).await;
        assert_eq!(job["state"], "completed", "{job}\n{}", life.server.log());
        let told = caller.ask(Method::GET, &format!("/api/v1/github/task/{task}"), &Value::Null).await;
        assert_eq!(told.expect("it is there")["status"], "completed");
    }
    let calls = scene.double.github_calls();
    let repeated: usize = calls.values().map(|count| count - 1).sum();
    // A kill strikes at most three calls that are under way, and what they bring is lost with them.
    assert!(repeated <= 3 * scene.kills, "{repeated} calls were made again: {calls:#?}");
    assert!(calls.len() > 20 * tasks.len(), "and there were many that could have been");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_lesson_skip_no_version_and_double_none() {
    let scene = Scene::new("lessons").await;
    let tasks = scene
        .strike(Duration::from_millis(400), |caller, _| async move {
            let body = json!({ "subject": "english", "topic": "verbs", "user_id": "user123" });
            let answer = caller.ask(Method::POST, "/lessons", &body).await?;
            Some(answer["task_id"].as_str().expect("a task").to_owned())
        })
        .await;
    let life = scene.serve().await;
    let caller = &life.caller;
    for task in &tasks {
        let job = caller.ended(task).await;
        assert_eq!(job["state"], "completed", "{job}\n{}", life.server.log());
    }
    // A task whose answer was lost in a crash may be there too.
    let jobs = caller.ask(Method::GET, "/api/jobs?kind=lessons.generate&limit=100", &Value::Null).await;
    let jobs = jobs.expect("a list")["jobs"].as_array().expect("a list").clone();
    for job in &jobs {
        caller.ended(job["id"].as_str().expect("an id")).await;
    }
    let versions = caller.ask(Method::GET, "/lessons/english/verbs/versions", &Value::Null).await;
    let versions = versions.expect("they are there");
    let versions = versions["versions"].as_array().expect("a list").iter();
    let found: BTreeSet<u32> = versions
        .clone()
        .filter_map(|version| version["version"].as_str()?.strip_prefix("1.")?.parse().ok())
        .collect();
    assert_eq!(found.len(), versions.len(), "none is there twice");
    assert_eq!(found, (0..jobs.len() as u32).collect(), "and none is skipped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_module_lose_double_or_halve_no_module() {
    let scene = Scene::new("curriculum").await;
    let workflows = scene
        .strike(Duration::from_millis(500), |caller, kill| async move {
            let module = |n: u32| json!({ "code": format!("M{n}"), "title": "A module", "contactHours": 4 });
            let body = json!({ "title": format!("Workflow {kill}"), "modules": [module(1), module(2)] });
            let made = caller.ask(Method::POST, "/api/v3/workflow", &body).await?;
            let id = made["data"]["_id"].as_str().expect("an id").to_owned();
            // Answered or not, the workflow is there.
            caller.ask(Method::POST, &format!("/api/v3/workflow/{id}/step10"), &json!({})).await;
            Some(id)
        })
        .await;
    let life = scene.serve().await;
    let caller = &life.caller;
    for id in &workflows {
        // A call that a kill had cut off is made again; one that was not is answered that it is under way, or done.
        caller.ask(Method::POST, &format!("/api/v3/workflow/{id}/step10"), &json!({})).await;
        for module in 0..2 {
            let job = caller.ended(&format!("step10-{id}-module-{module}")).await;
            assert_eq!(job["state"], "completed", "{job}\n{}", life.server.log());
        }
        let plans = caller.ask(Method::GET, &format!("/api/v3/workflow/{id}/step10"), &Value::Null).await;
        let plans = plans.expect("they are there");
        let modules = plans["data"]["step10"]["moduleLessonPlans"].as_array().expect("a list");
        assert_eq!(modules.len(), 2, "{plans:#}");
        let mut lessons = BTreeSet::new();
        for module in modules {
            assert_eq!(module["lessons"].as_array().map(Vec::len), Some(3), "{module:#}");
            let ids = module["lessons"].as_array().into_iter().flatten();
            lessons.extend(ids.map(|lesson| lesson["lessonId"].to_string()));
        }
        assert_eq!(lessons.len(), 6, "no lesson is there twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_dispatch_lose_no_session_and_every_one_gets_its_keywords() {
    let scene = Scene::new("sessions").await;
    let skill = scene.skill().await;
    let sessions = scene
        .strike(Duration::from_millis(150), |caller, kill| {
            let skill = skill.clone();
            async move {
                let body = json!({
                    "title": format!("Session {kill}"), "teachSkillId": skill, "focusKeywords": ["hooks"],
                    "date": "2024-01-15", "startTime": "14:00", "endTime": "16:00",
                    "skillCategory": "Programming", "isTeaching": true,
                });
                let answer = caller.ask(Method::POST, "/sessions", &body).await?;
                Some(answer["_id"].as_str().expect("an id").to_owned())
            }
        })
        .await;
    let life = scene.serve().await;
    let caller = &life.caller;
    for id in &sessions {
        let job = caller.ended(&format!("sessions-dispatch-{id}")).await;
        assert_eq!(job["state"], "completed", "{job}\n{}", life.server.log());
        let session = caller.ask(Method::GET, &format!("/sessions/{id}"), &Value::Null).await;
        let session = session.expect("an acknowledged session is there");
        assert_eq!(session["metadata"].as_array().map(Vec::len), Some(10), "{session:#}");
    }
}

/// One service, its outside systems, and the moments at which its server is killed.
struct Scene {
    service: &'static str,
    place: Place,
    double: Double,
    token: String,
    /// The jobs of a queue that run at once.
    slots: &'static str,
    kills: usize,
    seed: u64,
}

impl Scene {
    async fn new(service: &'static str) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let kills = number("LONGHAUL_TEST_SERVICE_KILLS").unwrap_or(20) as usize;
        let seed = number("LONGHAUL_TEST_SEED").unwrap_or_else(rand::random);
        // Shown where the test fails; the same seed strikes at the same moments.
        println!("LONGHAUL_TEST_SEED={seed} LONGHAUL_TEST_SERVICE_KILLS={kills}");
        let double = Double::start().await;
        // Long enough that kills find the model in the middle of a text.
        double.set_pause(Duration::from_millis(1));
        let place = Place::new();
        let token = place.token("60d5ec49f1b2c8b1f8e4f1a1").await;
        Self { service, place, double, token, slots: "64", kills, seed }
    }

    async fn serve(&self) -> Life {
        let mut environment = self.double.exports();
        environment.push(("PYTHON_API_URL", self.double.python_api()));
        environment.push(("GITHUB_TASKS_PER_USER", "1000".into()));
        // Some job is bound to be under a dying server more often than five times.
        environment.push(("LONGHAUL_MAX_CRASHES", "1000".into()));
        environment.push(("LONGHAUL_WAITING_SLOTS", self.slots.into()));
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = self.place.serve_with(&["--services", self.service], &environment).await;
        let caller = Caller { url: server.url.clone(), token: self.token.clone() };
        Life { server, caller }
    }

    /// Starts a server, lets `post` ask it for something, and kills it at a random moment; so often. Answers what was
    /// acknowledged.
    async fn strike<T, F>(&self, at_most: Duration, post: impl Fn(Caller, usize) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = Option<T>> + Send + 'static,
    {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut acknowledged = Vec::new();
        for kill in 0..self.kills {
            let life = self.serve().await;
            let asking = tokio::spawn(post(life.caller.clone(), kill));
            // It is what this test varies; it waits for nothing.
            tokio::time::sleep(random.random_range(Duration::ZERO..=at_most)).await;
            life.server.kill().await;
            acknowledged.extend(asking.await.expect("a caller does not panic"));
        }
        assert!(!acknowledged.is_empty(), "some were acknowledged before the server was killed");
        acknowledged
    }

    async fn skill(&self) -> String {
        let life = self.serve().await;
        let body =
            json!({ "name": "React", "category": "Programming", "type": "teaching", "proficiency": 85 });
        let skill = life.caller.ask(Method::POST, "/skills", &body).await.expect("a skill");
        let id = skill["_id"].as_str().expect("an id").to_owned();
        life.server.kill().await;
        id
    }
}

/// A server and a client of it.
struct Life {
    server: Server,
    caller: Caller,
}

/// A client of a server that may be killed.
#[derive(Clone)]
struct Caller {
    url: String,
    token: String,
}

impl Caller {
    /// The answer; `None` where the server was killed before it could give one.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let request = client().request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let text = answer.text().await.ok()?;
        assert!(status.is_success(), "{path} answered {status}: {text}");
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// A job once it has ended.
    async fn ended(&self, id: &str) -> Value {
        ended(client().get(format!("{}/api/jobs/{id}", self.url))).await
    }
}
