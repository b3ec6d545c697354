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
