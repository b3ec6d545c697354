//! Many workflows at once take turns.

use std::collections::HashMap;

use crate::fixture::{Fixture, modules};

const WORKFLOWS: usize = 20;
const MODULES: usize = 6;

/// The modules in the order in which they were saved, each with which workflow it is of.
async fn saved_by(f: &Fixture, slots: usize) -> Vec<(usize, u32)> {
    let mut ids = Vec::new();
    for _ in 0..WORKFLOWS {
        ids.push(f.workflow(&modules(MODULES, 3.0)).await);
    }
    for id in &ids {
        f.start(id).await;
    }
    let worker = f.work_with(slots);
    for id in &ids {
        f.completes(id, MODULES).await;
    }
    drop(worker);
    let sql = "SELECT workflow_id, module_index FROM curriculum_modules ORDER BY rowid";
    let rows = f.db.read(sql, vec![]).await.unwrap();
    let which: HashMap<&str, usize> = ids.iter().enumerate().map(|(n, id)| (id.as_str(), n)).collect();
    let saved = rows.iter().map(|row| {
        let id: String = row.get("workflow_id").unwrap();
        (which[id.as_str()], row.get("module_index").unwrap())
    });
    saved.collect()
}

#[tokio::test]
async fn one_slot_serves_twenty_workflows_in_turn() {
    let f = Fixture::alone().await;
    let saved = saved_by(&f, 1).await;
    let in_turn: Vec<(usize, u32)> = (0..MODULES as u32)
        .flat_map(|module| (0..WORKFLOWS).map(move |workflow| (workflow, module)))
        .collect();
    assert_eq!(saved, in_turn);
}

#[tokio::test]
async fn with_several_slots_nobody_is_far_ahead() {
    let f = Fixture::alone().await;
    let saved = saved_by(&f, 4).await;
    assert_eq!(saved.len(), WORKFLOWS * MODULES);
    let mut done = [0_u32; WORKFLOWS];
    for (workflow, module) in saved {
        assert_eq!(done[workflow], module, "in order within a workflow");
        done[workflow] += 1;
        let (least, most) = (done.iter().min().unwrap(), done.iter().max().unwrap());
        assert!(most - least <= 2, "{done:?}");
    }
}

#[tokio::test]
async fn one_users_many_workflows_leave_a_turn_to_another_who_comes_behind_them() {
    let f = Fixture::alone().await;
    let mut ids = Vec::new();
    for _ in 0..WORKFLOWS {
        ids.push(f.workflow_of(Some("eve"), &modules(1, 3.0)).await);
    }
    let one = f.workflow_of(Some("ada"), &modules(MODULES, 3.0)).await;
    for id in ids.iter().chain([&one]) {
        f.start(id).await;
    }
    let worker = f.work_with(1);
    f.completes(&one, MODULES).await;
    for id in &ids {
        f.completes(id, 1).await;
    }
    drop(worker);
    let rows = f.db.read("SELECT workflow_id FROM curriculum_modules ORDER BY rowid", vec![]).await.unwrap();
    let saved: Vec<String> = rows.iter().map(|row| row.get("workflow_id").unwrap()).collect();
    let last = saved.iter().rposition(|id| *id == one).unwrap();
    assert!(last < 2 * MODULES + 1, "turn by turn: {saved:?}");
}

#[tokio::test]
async fn a_module_whose_job_waits_for_its_store_is_on_its_way() {
    let (f, away) = Fixture::apart().await;
    let id = f.workflow(&modules(1, 3.0)).await;
    away.take_no_jobs();
    assert_eq!(f.start(&id).await["data"]["jobsQueued"], 1);
    away.leave();
    let status = f.status(&id).await;
    assert_eq!((&status["status"], &status["jobs"]["total"]), (&"in_progress".into(), &1.into()), "{status}");
    assert_eq!(status["jobs"]["details"][0]["state"], "waiting");
    let again = f.start(&id).await;
    assert_eq!(
        (&again["data"]["jobsQueued"], &again["data"]["message"]),
        (&0.into(), &"Generation already in progress".into())
    );
    let edited = serde_json::json!({ "modules": modules(2, 3.0) }).to_string();
    let edited = f.send("PUT", &format!("/api/v3/workflow/{id}"), edited).await;
    assert_eq!(edited.status, 409, "{edited:?}");

    away.come_back();
    assert_eq!(f.status(&id).await["status"], "in_progress", "its store does not know it yet");
    assert_eq!(f.db.deliver().await.unwrap(), 1);
    let _worker = f.work();
    f.completes(&id, 1).await;
}
