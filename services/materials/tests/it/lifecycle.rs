use longhaul::{JobId, Lookup, State};

use crate::fixture::{Fixture, process_job};

const TABLES: [&str; 4] = ["material_pages", "material_chunks", "material_terms", "material_vectors"];

#[tokio::test]
async fn a_deleted_material_is_gone_with_all_that_was_made_of_it() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let text: String = (0..3_000).map(|n| format!("Sentence number{n} is about leaves. ")).collect();
    let id = f.uploaded(&course, "a.txt", text.as_bytes()).await;
    let kept = f.uploaded(&course, "b.txt", b"Leaves are green.").await;
    let _worker = f.work();
    f.ended(&id).await;
    f.ended(&kept).await;
    assert!(f.rows("material_terms", &id).await > 10);

    assert_eq!(f.call("DELETE", &format!("/materials/{id}"), "").await.status, 204);
    assert_eq!(f.get(&format!("/materials/{id}")).await.error(), (404, "Material not found".into()));
    assert_eq!(f.get(&format!("/materials/{id}/download")).await.status, 404);
    assert_eq!(f.call("DELETE", &format!("/materials/{id}"), "").await.status, 404);
    let found = f.get(&format!("/courses/{course}/materials/search?query=leaves")).await.json();
    assert_eq!(found.as_array().unwrap().len(), 1);

    let purges = f.all_ended("materials.purge").await;
    assert!(purges.iter().all(|job| job.state == State::Completed), "{purges:?}");
    for table in TABLES {
        assert_eq!(f.rows(table, &id).await, 0, "{table}");
    }
    assert!(f.rows("material_terms", &kept).await > 0);
    assert_eq!(f.files(), [f.folder.path().join("files/materials").join(&kept)]);
}

#[tokio::test]
async fn a_material_deleted_before_it_is_read_is_never_read() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    assert_eq!(f.call("DELETE", &format!("/materials/{id}"), "").await.status, 204);
    let job = f.longhaul.get(&process_job(&id)).await.unwrap().found().unwrap();
    assert_eq!(job.state, State::Cancelled);
    // Even where the cancel was lost, the job finds no material and writes nothing.
    f.longhaul.retry(&job.id).await.unwrap();
    let _worker = f.work();
    assert_eq!(f.reaches(&job.id, State::Cancelled).await.state, State::Cancelled);
    f.all_ended("materials.purge").await;
    assert!(f.files().is_empty());
    assert_eq!(f.rows("material_chunks", &id).await, 0);
}

#[tokio::test]
async fn a_material_is_read_anew_while_search_goes_on() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    let path = format!("/materials/{id}/reprocess");
    let busy = (409, "Material is already being processed".to_owned());
    assert_eq!(f.call("POST", &path, "").await.error(), busy);
    let worker = f.work();
    f.ended(&id).await;
    drop(worker);

    // Reading another text this time, so that the two runs can be told apart.
    std::fs::write(&f.files()[0], "Roots are brown.").unwrap();
    let reply = f.call("POST", &path, "").await;
    assert_eq!(reply.status, 202);
    assert_eq!(reply.json()["processing_status"], "pending");
    assert_eq!(f.call("POST", &path, "").await.error(), busy);
    let search = async |query: &str| {
        let path = format!("/courses/{course}/materials/search?query={query}");
        f.get(&path).await.json().as_array().unwrap().len()
    };
    assert_eq!((search("leaves").await, search("roots").await), (1, 0));

    let _worker = f.work();
    let second = JobId::new(format!("materials-{id}-2")).unwrap();
    f.reaches(&second, State::Completed).await;
    assert_eq!((search("leaves").await, search("roots").await), (0, 1));
    let shown = f.get(&format!("/materials/{id}")).await.json();
    assert_eq!(shown["processing_status"], "completed");
    f.all_ended("materials.purge").await;
    for table in ["material_chunks", "material_terms"] {
        let sql = format!("SELECT count(*) AS n FROM {table} WHERE run = 1");
        let left: i64 = f.db.read(sql, vec![]).await.unwrap()[0].get("n").unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn a_job_that_runs_twice_leaves_what_it_left_once() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green. Roots are brown.").await;
    let worker = f.work();
    f.ended(&id).await;
    drop(worker);
    let all = async || {
        let mut all = Vec::new();
        for table in ["material_chunks", "material_terms"] {
            let rows = f.db.read(format!("SELECT * FROM {table} ORDER BY 1, 2, 3, 4"), vec![]).await.unwrap();
            all.extend(rows.into_iter().map(|row| format!("{row:?}")));
        }
        all
    };
    let once = all().await;
    f.longhaul.retry(&process_job(&id)).await.unwrap();
    let _worker = f.work();
    f.reaches(&process_job(&id), State::Completed).await;
    assert_eq!(all().await, once);
}

#[tokio::test]
async fn a_completed_material_outlives_its_jobs_record() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    let _worker = f.work();
    let before = f.ended(&id).await;
    f.longhaul.delete(&process_job(&id)).await.unwrap();
    assert_eq!(f.longhaul.get(&process_job(&id)).await.unwrap(), Lookup::Gone);
    let after = f.get(&format!("/materials/{id}")).await.json();
    for field in ["processing_status", "processed_at", "error_message", "has_embedding"] {
        assert_eq!(after[field], before[field]);
    }
    assert_eq!(after["processing_status"], "completed");
    let listed = f.get(&format!("/courses/{course}/materials")).await.json();
    assert_eq!(listed[0]["processing_status"], "completed");
}

#[tokio::test]
async fn files_that_nobody_owns_are_cleared_away_at_start() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    let folder = f.folder.path().join("files/materials");
    for name in ["orphan", "held"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    // Another server may be about to write this one's row.
    let held = std::fs::File::open(folder.join("held")).unwrap();
    held.lock().unwrap();
    assert_eq!(f.materials.reconcile().await.unwrap().orphans, 1);
    assert!(!folder.join("orphan").exists());
    assert!(folder.join("held").exists() && folder.join(&id).exists());
    drop(held);
    assert_eq!(f.materials.reconcile().await.unwrap().orphans, 1);
    assert_eq!(f.files(), [folder.join(&id)]);
}
