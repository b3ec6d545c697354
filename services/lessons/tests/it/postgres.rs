//! The service's own statements on Postgres; the other tests run them on SQLite.

use std::collections::BTreeSet;

use fakes::Double;

use crate::fixture::{Fixture, wikipedia};

#[tokio::test]
async fn lessons_that_end_together_are_versions_that_are_found_on_postgres() {
    let double = Double::start().await;
    let f = Fixture::on_postgres(wikipedia(&double)).await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        tasks.push(f.start("English", "Verbs").await);
    }
    let cancelled = f.send("POST", &format!("/lessons/status/{}/cancel", tasks[7]), None).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    let _worker = f.work();
    for task in &tasks[..7] {
        assert_eq!(f.ended(task).await["status"], "completed");
    }
    let made: BTreeSet<String> = f.versions("english", "verbs").await.into_iter().collect();
    assert_eq!(made, (0..7).map(|number| format!("1.{number}")).collect());
    assert_eq!(f.get("/lessons/english/verbs?version=1.3").await.body["version"], "1.3");
    assert_eq!(f.get("/search_lessons?query=verb").await.body["count"], 1);
    let listed = f.get("/lessons/tasks?user_id=user123&page=2&limit=5").await.body;
    assert_eq!((listed["total_tasks"].as_u64(), listed["tasks"].as_array().unwrap().len()), (Some(8), 3));
    assert_eq!(f.get("/lessons/tasks?user_id=%00").await.body["total_tasks"], 0, "a NUL names nobody");
}
