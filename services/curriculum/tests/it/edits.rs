//! A person edits, cancels and deletes a workflow, and has a lesson written anew.

use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::{NewJob, State};
use serde_json::{Value, json};

use crate::fixture::{CHAT, Fixture, job_id, modules};

async fn put(f: &Fixture, id: &str, body: &Value) -> crate::fixture::Reply {
    f.send("PUT", &format!("/api/v3/workflow/{id}"), body.to_string()).await
}

/// The titles of the modules that have plans, with their ids and their numbers of lessons.
async fn planned(f: &Fixture, id: &str) -> Vec<(String, String, usize)> {
    let body = f.step10("GET", id, "").await.body;
    let plans = body["data"]["step10"]["moduleLessonPlans"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let shown = |plan: &Value| {
        let lessons = plan["lessons"].as_array().unwrap().len();
        (text(&plan["moduleTitle"]), text(&plan["moduleId"]), lessons)
    };
    plans.iter().map(shown).collect()
}

#[tokio::test]
async fn an_edit_replaces_the_fields_that_are_given_and_no_others() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(1, 3.0)).await;
    let before = f.get(&format!("/api/v3/workflow/{id}")).await.body["data"].clone();
    f.clock.advance(Duration::from_secs(60));
    let edited = put(&f, &id, &json!({ "title": "y", "level": "Diploma" })).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let data = &edited.body["data"];
    assert_eq!(
        (&data["title"], &data["level"], &data["modules"]),
        (&json!("y"), &json!("Diploma"), &before["modules"])
    );
    assert_eq!(
        (&data["createdAt"], &data["updatedAt"]),
        (&before["createdAt"], &json!("2026-01-01T00:01:00.000Z"))
    );
    // A client that sends back what it was shown changes nothing else.
    let mut shown = data.clone();
    shown["level"] = Value::Null;
    shown["currentStep"] = json!(99);
    shown["_id"] = json!("mine");
    let again = put(&f, &id, &shown).await.body["data"].clone();
    assert_eq!((&again["_id"], &again["currentStep"], again.get("level")), (&json!(id), &json!(9), None));
    assert_eq!(f.get(&format!("/api/v3/workflow/{id}")).await.body["data"], again);

    for (body, told) in [
        (json!({ "modules": [{}] }), "modules[0].code is required"),
        (json!({ "modules": null }), "modules must be a list"),
        (json!({ "title": "" }), "title cannot be empty"),
        (json!([]), "Request body must be a JSON object"),
    ] {
        assert_eq!(put(&f, &id, &body).await.error(), (400, told));
    }
    let big = json!({ "notes": "x".repeat(600_000) });
    assert_eq!(put(&f, &id, &big).await.status, 200);
    let more = json!({ "more": "x".repeat(600_000) });
    assert_eq!(put(&f, &id, &more).await.error(), (413, "Workflow exceeds 1 MB"));
    let unknown = put(&f, "6925b2aa0123456789abcdef", &json!({ "title": "y" })).await;
    assert_eq!(unknown.error(), (404, "Workflow not found"));
}

#[tokio::test]
async fn modules_that_are_not_changed_keep_their_plans_wherever_they_stand() {
    let f = Fixture::alone().await;
    let mut given = modules(3, 3.0);
    let id = f.workflow(&given).await;
    f.start(&id).await;
    let worker = f.work();
    f.completes(&id, 3).await;
    let lessons = f.status(&id).await["totalLessons"].clone();

    // The first and the last change places, the second has other outcomes, and a fourth is added.
    given.swap(0, 2);
    given[1]["outcomes"] = json!(["Evaluate another idea"]);
    given.push(json!({ "code": "NEW", "title": "New", "contactHours": 1.5 }));
    assert_eq!(put(&f, &id, &json!({ "modules": given })).await.status, 200);
    let status = f.status(&id).await;
    assert_eq!((&status["modulesGenerated"], &status["totalModules"]), (&json!(2), &json!(4)));
    assert_eq!((&status["status"], &status["allComplete"]), (&json!("pending"), &json!(false)));
    let kept = planned(&f, &id).await;
    let names: Vec<(&str, &str)> = kept.iter().map(|(title, id, _)| (title.as_str(), id.as_str())).collect();
    assert_eq!(names, [("Module 3", "module-0"), ("Module 1", "module-2")]);

    assert_eq!(f.start(&id).await["data"]["jobsQueued"], 1);
    f.completes(&id, 4).await;
    let names: Vec<String> = planned(&f, &id).await.into_iter().map(|(title, ..)| title).collect();
    assert_eq!(names, ["Module 3", "Module 2", "Module 1", "New"]);
    let status = f.status(&id).await;
    assert_eq!(status["status"], "complete");
    assert!(status["totalLessons"].as_u64() > lessons.as_u64());
    let body = f.step10("GET", &id, "").await.body;
    assert_eq!(
        body["data"]["step10"]["validation"]["valid"], true,
        "{}",
        body["data"]["step10"]["validation"]
    );
    drop(worker);

    // Fewer modules: what is left is complete at once.
    assert_eq!(put(&f, &id, &json!({ "modules": [given[3]] })).await.status, 200);
    let status = f.status(&id).await;
    assert_eq!((&status["status"], &status["totalLessons"]), (&json!("complete"), &json!(1)));
}

#[tokio::test]
async fn modules_are_not_changed_while_one_is_generated_and_a_title_is() {
    let f = Fixture::alone().await;
    let mut given = modules(2, 3.0);
    let id = f.workflow(&given).await;
    f.start(&id).await;
    given[0]["title"] = json!("Another");
    let refused = put(&f, &id, &json!({ "modules": given })).await;
    let told = "Step 10 generation is in progress: cancel it before its modules are changed";
    assert_eq!(refused.error(), (409, told));
    assert_eq!(put(&f, &id, &json!({ "title": "Another" })).await.status, 200);
    f.step10("POST", &id, "/cancel").await;
    assert_eq!(put(&f, &id, &json!({ "modules": given })).await.status, 200);
    assert_eq!(f.status(&id).await["status"], "pending", "the job of before the edit is gone");
    f.start(&id).await;
    let _worker = f.work();
    f.completes(&id, 2).await;
    assert_eq!(planned(&f, &id).await[0].0, "Another");
}

#[tokio::test]
async fn lessons_that_were_written_before_an_edit_are_not_used_after_it() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let mut given = modules(1, 3.0);
    let id = f.workflow(&given).await;
    f.start(&id).await;
    // The list and the first lesson are written.
    double.fail_after(CHAT, 2, Fault::Status(404));
    let worker = f.work();
    f.reaches(&id, 0, State::Failed).await;
    given[0]["title"] = json!("Another");
    assert_eq!(put(&f, &id, &json!({ "modules": given })).await.status, 200);
    f.start(&id).await;
    f.completes(&id, 1).await;
    assert_eq!(double.seen(CHAT).len(), 3 + 3, "the list and both lessons are written for the new module");
    drop(worker);
}

#[tokio::test]
async fn a_job_that_an_edit_was_kept_from_deleting_does_not_end_the_chain() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(2, 3.0)).await;
    let _worker = f.work();
    // As an edit leaves it whose process died once it was written.
    let of_before = curriculum::GenerateModule { workflow_id: id.clone(), module_index: 1 };
    let left = NewJob { id: Some(job_id(&id, 1)), ..NewJob::of(&of_before).unwrap() };
    f.longhaul.enqueue_one(left).await.unwrap();
    f.reaches(&id, 1, State::Failed).await;
    f.start(&id).await;
    f.reaches(&id, 0, State::Completed).await;
    f.completes(&id, 2).await;
    assert_eq!(f.status(&id).await["status"], "complete");
}

#[tokio::test]
async fn a_cancel_ends_the_chain_and_a_start_goes_on_where_it_was() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(3, 3.0)).await;
    f.start(&id).await;
    // The first module and a lesson of the second; the next one hangs.
    double.fail_after(CHAT, 3 + 2, Fault::Hang);
    let _worker = f.work();
    double.wait_for(CHAT, 6).await;
    let cancelled = f.step10("POST", &id, "/cancel").await;
    assert_eq!(cancelled.status, 200);
    assert_eq!(
        cancelled.body,
        json!({
            "success": true,
            "data": { "jobsCancelled": 1, "modulesGenerated": 1, "totalModules": 3 },
            "message": "Step 10 generation is cancelled. Lesson plans that are complete are kept.",
        })
    );
    let job = f.becomes(&id, 1, |job| job.state.is_finished()).await;
    assert_eq!(job.state, State::Cancelled, "the call that hung is cut");
    let status = f.status(&id).await;
    assert_eq!((&status["status"], &status["modulesGenerated"]), (&json!("failed"), &json!(1)));
    assert!(f.job(&id, 2).await.is_none(), "nothing follows");
    let nothing = f.step10("POST", &id, "/cancel").await.body;
    assert_eq!(nothing["message"], "No generation is in progress.");

    assert_eq!(f.start(&id).await["data"]["jobsQueued"], 1);
    f.completes(&id, 3).await;
    assert_eq!(f.status(&id).await["status"], "complete");
    assert_eq!(
        f.step10("POST", "6925b2aa0123456789abcdef", "/cancel").await.error(),
        (404, "Workflow not found")
    );
}

#[tokio::test]
async fn a_module_that_was_queued_by_an_end_beside_the_cancel_does_not_run() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(2, 3.0)).await;
    f.step10("POST", &id, "/cancel").await;
    // As the end of a module leaves it that came after the look for jobs and before the note.
    let job = curriculum::GenerateModule { workflow_id: id.clone(), module_index: 0 };
    let late = f.longhaul.enqueue(job).await.unwrap().id;
    let _worker = f.work();
    let ended = f.longhaul.wait(&late, Duration::from_secs(60)).await.unwrap().found().unwrap();
    assert_eq!(ended.state, State::Cancelled);
    assert_eq!(f.status(&id).await["modulesGenerated"], 0);
}

#[tokio::test]
async fn a_workflow_that_is_deleted_in_the_middle_is_gone_and_nothing_follows() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(3, 3.0)).await;
    f.start(&id).await;
    double.fail_after(CHAT, 3 + 1, Fault::Hang);
    let _worker = f.work();
    double.wait_for(CHAT, 5).await;
    let path = format!("/api/v3/workflow/{id}");
    let deleted = f.send("DELETE", &path, "").await;
    assert_eq!((deleted.status, &deleted.body["message"]), (200, &json!("Workflow deleted")));
    for (method, below) in [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/step10"),
        ("GET", "/step10"),
        ("GET", "/step10/status"),
        ("POST", "/step10/cancel"),
        ("POST", "/step10/lessons/CS001-L1/redo"),
    ] {
        let reply = f.send(method, &format!("{path}{below}"), "{}").await;
        assert_eq!(reply.error(), (404, "Workflow not found"), "{method} {below}");
    }
    let job = f.becomes(&id, 1, |job| job.state.is_finished()).await;
    assert_eq!(job.state, State::Cancelled);
    assert_eq!(f.jobs().await.len(), 2);
    assert_eq!(f.get("/api/v3/workflow").await.body["total"], 0);
    // Retry-all finds nothing to do for it and says why.
    f.longhaul.retry(&job_id(&id, 1)).await.unwrap();
    let again = f.becomes(&id, 1, |job| job.state.is_finished()).await;
    assert_eq!(
        (again.state, again.errors.last().unwrap().message.as_str()),
        (State::Failed, "Workflow not found")
    );
}

#[tokio::test]
async fn one_lesson_is_written_anew_and_the_others_stay() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(2, 3.0)).await;
    let lesson = format!("/api/v3/workflow/{id}/step10/lessons/CS002-L2");
    assert_eq!(f.send("POST", &format!("{lesson}/redo"), "").await.error(), (404, "Lesson not found"));
    f.start(&id).await;
    let worker = f.work();
    f.completes(&id, 2).await;
    drop(worker);
    let before = f.step10("GET", &id, "").await.body["data"]["step10"]["moduleLessonPlans"].clone();

    let asked = f.send("POST", &format!("{lesson}/redo"), "").await;
    let job = format!("step10-{id}-module-1-lesson-2");
    assert_eq!(asked.body["data"], json!({ "lessonId": "CS002-L2", "jobId": job, "jobsQueued": 1 }));
    assert_eq!(f.send("POST", &format!("{lesson}/redo"), "").await.body["data"]["jobsQueued"], 0);
    assert_eq!(f.get(&lesson).await.body["data"]["redo"]["state"], "waiting");
    let _worker = f.work();
    let wait = async || {
        let id = longhaul::JobId::new(job.as_str()).unwrap();
        let ended = f.longhaul.wait(&id, Duration::from_secs(60)).await.unwrap().found().unwrap();
        assert_eq!(ended.state, State::Completed, "{ended:?}");
    };
    wait().await;
    let after = f.step10("GET", &id, "").await.body["data"]["step10"]["moduleLessonPlans"].clone();
    assert_eq!((&after[0], &after[1]["lessons"][0]), (&before[0], &before[1]["lessons"][0]));
    let (old, new) = (&before[1]["lessons"][1], &after[1]["lessons"][1]);
    assert_ne!(old["activities"], new["activities"], "another lesson was wanted");
    for same in ["lessonId", "lessonTitle", "duration", "linkedMLOs", "bloomLevel"] {
        assert_eq!(old[same], new[same]);
    }
    let shown = f.get(&lesson).await.body["data"].clone();
    assert_eq!((&shown["lesson"], &shown["redo"]["state"]), (new, &json!("completed")));
    assert_eq!(f.status(&id).await["status"], "complete");
    // And back.
    f.send("POST", &format!("{lesson}/redo"), "").await;
    wait().await;
    assert_eq!(&f.get(&lesson).await.body["data"]["lesson"], old);

    for unknown in ["CS002-L3", "CS002-L0", "CS009-L1", "CS002", "x-L", "%ff"] {
        let reply = f.get(&format!("/api/v3/workflow/{id}/step10/lessons/{unknown}")).await;
        assert_eq!(reply.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn lessons_of_one_module_that_are_written_anew_at_once_are_all_kept() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 9.0)).await;
    f.start(&id).await;
    let _worker = f.work_with(6);
    f.completes(&id, 1).await;
    double.hold();
    let activity = json!({ "type": "practice", "title": "anew", "duration": 90, "description": "d" });
    let check = json!({ "type": "t", "prompt": "p", "lookFor": "l" });
    let anew = json!({
        "objectives": ["o"], "activities": [activity], "materials": [], "instructorNotes": "n",
        "independentStudy": { "duration": 5, "tasks": [] }, "formativeChecks": [check],
    })
    .to_string();
    for number in 1..=6 {
        double.say(&anew);
        let redo = format!("/api/v3/workflow/{id}/step10/lessons/CS001-L{number}/redo");
        assert_eq!(f.send("POST", &redo, "").await.status, 200);
    }
    double.wait_for(CHAT, 1 + 6 + 6).await;
    double.release_all();
    for number in 1..=6 {
        let job = longhaul::JobId::new(format!("step10-{id}-module-0-lesson-{number}")).unwrap();
        let ended = f.longhaul.wait(&job, Duration::from_secs(60)).await.unwrap().found().unwrap();
        assert_eq!(ended.state, State::Completed, "{ended:?}");
    }
    let body = f.step10("GET", &id, "").await.body;
    let lessons = body["data"]["step10"]["moduleLessonPlans"][0]["lessons"].as_array().unwrap().clone();
    assert!(lessons.iter().all(|lesson| lesson["activities"][0]["title"] == "anew"), "{lessons:?}");
}

#[tokio::test]
async fn a_list_does_not_carry_long_documents() {
    let f = Fixture::alone().await;
    let long = json!({ "title": "Long", "modules": modules(2, 3.0), "notes": vec![json!([]); 300_000] });
    let created = f.send("POST", "/api/v3/workflow", long.to_string()).await;
    assert_eq!(created.status, 201);
    f.clock.advance(Duration::from_millis(1));
    let short = f.workflow(&modules(1, 3.0)).await;
    let listed = f.get("/api/v3/workflow").await.body["data"].clone();
    assert_eq!(listed[0], f.get(&format!("/api/v3/workflow/{short}")).await.body["data"]);
    let long = &listed[1];
    assert_eq!(
        (&long["title"], &long["totalModules"], &long["inShort"], long.get("notes"), long.get("modules")),
        (&json!("Long"), &json!(2), &json!(true), None, None)
    );
    assert_eq!(long["_id"], created.body["data"]["_id"]);
}

#[tokio::test]
async fn plans_are_in_the_language_of_the_workflow_or_the_one_it_names() {
    let f = Fixture::alone().await;
    let _worker = f.work();
    let module = |title: &str, outcome: &str| json!({ "code": "M", "title": title, "contactHours": 1.5, "outcomes": [outcome] });
    for (module, language, words) in [
        (module("Ohm's law", "By the end, students will explain Ohm's law"), Value::Null, "In two sentences"),
        (module("Bruchrechnung", "Die Lernenden können Brüche erklären."), Value::Null, "In zwei Sätzen"),
        (
            module("La fotosíntesis", "Los alumnos podrán explicar la fotosíntesis"),
            Value::Null,
            "En dos frases",
        ),
        (
            module("La photosynthèse", "Les élèves sauront expliquer la photosynthèse"),
            Value::Null,
            "En deux phrases",
        ),
        (module("संज्ञा", "छात्र संज्ञा की व्याख्या कर सकेंगे।"), Value::Null, "दो वाक्यों में"),
        (module("Ohm's law", "Explain Ohm's law"), json!("Deutsch"), "In zwei Sätzen"),
        (module("Bruchrechnung", "Brüche erklären"), json!("xx"), "In two sentences"),
    ] {
        let body = json!({ "title": "W", "modules": [module], "language": language });
        let created = f.send("POST", "/api/v3/workflow", body.to_string()).await;
        let id = created.body["data"]["_id"].as_str().unwrap().to_owned();
        f.start(&id).await;
        f.completes(&id, 1).await;
        let lesson =
            f.get(&format!("/api/v3/workflow/{id}/step10/lessons/M-L1")).await.body["data"]["lesson"].clone();
        assert_eq!(lesson["bloomLevel"], "Understand", "{lesson}");
        let exit = lesson["formativeChecks"][1]["prompt"].as_str().unwrap();
        assert!(exit.starts_with(words), "{body}: {exit}");
    }
}

#[tokio::test]
async fn what_no_database_keeps_and_ids_without_end_do_no_harm() {
    let f = Fixture::alone().await;
    let _worker = f.work();
    let odd = json!({
        "code": "A\u{0}B", "title": "Nul \u{0} and\nmore", "description": "x\u{7}, y", "contactHours": 1.5,
        "outcomes": [{ "id": " LO\u{0}1 ", "statement": "Explain \u{0} it" }],
    });
    let id = f.workflow(&[odd]).await;
    f.start(&id).await;
    f.completes(&id, 1).await;
    let body = f.step10("GET", &id, "").await.body;
    let plan = &body["data"]["step10"]["moduleLessonPlans"][0];
    assert_eq!((&plan["moduleTitle"], &plan["moduleCode"]), (&json!("Nul   and more"), &json!("A B")));
    assert!(!plan.to_string().contains("\\u0000"), "{plan}");

    let module = |name: &str, value: Value| {
        let mut module = json!({ "code": "A", "title": "A", "contactHours": 1.5 });
        module[name] = value;
        json!({ "title": "T", "modules": [module] }).to_string()
    };
    let long = "x".repeat(65);
    for (body, told) in [
        (module("moduleId", json!(long)), "modules[0].moduleId must be at most 64 characters"),
        (
            module("outcomes", json!([{ "id": long, "statement": "s" }])),
            "modules[0].outcomes[0].id must be at most 64 characters",
        ),
        (module("title", json!("\u{0}")), "modules[0].title cannot be empty"),
        (module("outcomes", json!(["\u{1}"])), "modules[0].outcomes[0] must be a text"),
    ] {
        assert_eq!(f.send("POST", "/api/v3/workflow", body).await.error(), (400, told));
    }
    // Deeper than anybody can keep, within what can be read.
    let deep = format!("{{\"title\":\"T\",\"modules\":[],\"x\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    assert!(f.send("POST", "/api/v3/workflow", deep).await.status < 500);
}

#[tokio::test]
async fn plans_are_sent_a_module_at_a_time() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(4, 15.0)).await;
    f.start(&id).await;
    let _worker = f.work();
    f.completes(&id, 4).await;
    let mut answer = f.fetch(&format!("/api/v3/workflow/{id}/step10")).await;
    assert_eq!(answer.content_length(), None, "nobody has put it together to count it");
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    let body: Value = serde_json::from_slice(&whole).unwrap();
    let step10 = &body["data"]["step10"];
    assert_eq!(step10["moduleLessonPlans"].as_array().unwrap().len(), 4);
    assert_eq!(
        (&step10["summary"]["totalLessons"], &step10["validation"]["valid"]),
        (&json!(40), &json!(true))
    );
}

#[tokio::test]
async fn a_request_that_is_sent_again_with_its_key_makes_one_workflow() {
    let f = Fixture::alone().await;
    let body = json!({ "title": "T", "modules": modules(1, 1.5) });
    let (first, again) = (f.keyed(&body, "k1").await, f.keyed(&body, "k1").await);
    assert_eq!((first.status, &first.body), (201, &again.body));
    assert_ne!(f.keyed(&body, "k2").await.body["data"]["_id"], first.body["data"]["_id"]);
    assert_eq!(f.get("/api/v3/workflow").await.body["total"], 2);
}

#[tokio::test]
async fn postgres_edits_as_sqlite_does() {
    let f = Fixture::on_postgres().await;
    let mut given = modules(3, 3.0);
    let id = f.workflow(&given).await;
    f.start(&id).await;
    let _worker = f.work();
    f.completes(&id, 3).await;
    given.swap(0, 2);
    given[1]["title"] = json!("Another");
    assert_eq!(put(&f, &id, &json!({ "modules": given })).await.status, 200);
    let titles: Vec<String> = planned(&f, &id).await.into_iter().map(|(title, ..)| title).collect();
    assert_eq!(titles, ["Module 3", "Module 1"]);
    f.start(&id).await;
    // The others have their plans, so that this one is the last.
    f.reaches(&id, 1, State::Completed).await;
    assert_eq!(f.status(&id).await["status"], "complete");
    let lesson = format!("/api/v3/workflow/{id}/step10/lessons/CS002-L1");
    let old = f.get(&lesson).await.body["data"]["lesson"].clone();
    let asked = f.send("POST", &format!("{lesson}/redo"), "").await;
    let job = longhaul::JobId::new(asked.body["data"]["jobId"].as_str().unwrap()).unwrap();
    let ended = f.longhaul.wait(&job, Duration::from_secs(60)).await.unwrap().found().unwrap();
    assert_eq!(ended.state, State::Completed, "{ended:?}");
    assert_ne!(f.get(&lesson).await.body["data"]["lesson"], old);
    assert_eq!(f.step10("POST", &id, "/cancel").await.body["data"]["jobsCancelled"], 0);
    assert_eq!(put(&f, &id, &json!({ "title": "a\0b" })).await.status, 200);
    assert_eq!(f.get("/api/v3/workflow?limit=5").await.body["total"], 1);
    assert_eq!(f.send("DELETE", &format!("/api/v3/workflow/{id}"), "").await.status, 200);
    assert_eq!(f.step10("GET", &id, "/status").await.error(), (404, "Workflow not found"));
}
