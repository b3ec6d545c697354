use axum::http::StatusCode;
use fakes::{Double, Fault};
use futures::future::join_all;
use longhaul::{Clock, State};

use crate::fixture::{Fixture, Reply, process_job, sample};

const BRAIN: &[&str] = &["AI_BRAIN_ENDPOINT"];

/// Two slots, and documents of Eve's that are read for as long as the test runs.
async fn eve_reads(hard: usize) -> (Double, Fixture, Vec<String>) {
    let double = Double::start().await;
    for _ in 0..hard {
        double.fail("/router", Fault::Hang);
    }
    let vars = Fixture::variables(&double, BRAIN);
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), &vars).await;
    let course = f.course_of("eve").await;
    let mut ids = Vec::new();
    for _ in 0..hard {
        let reply = f.upload_as("eve", &course, "hard.png", &sample("scanned-page.png")).await;
        ids.push(reply.json()["id"].as_str().unwrap().to_owned());
    }
    (double, f, ids)
}

#[tokio::test]
async fn a_user_whose_documents_hold_all_slots_gives_half_of_them_to_another_who_comes() {
    let (double, f, hard) = eve_reads(4).await;
    let _worker = f.work();
    double.wait_for("/router", 2).await;
    let course = f.course().await;
    for name in ["one.txt", "two.txt"] {
        let id = f.uploaded(&course, name, b"One line of text.").await;
        assert_eq!(f.ended(&id).await["processing_status"], "completed");
    }
    let mut running = 0;
    for id in &hard {
        let job = f.longhaul.get(&process_job(id)).await.unwrap().found().unwrap();
        assert!(!job.state.is_finished() && job.errors.is_empty(), "{job:?}");
        running += usize::from(job.state == State::Running);
    }
    assert_eq!(running, 1, "the one that began first goes on");
}

#[tokio::test]
async fn a_user_with_many_documents_in_front_leaves_a_slot_to_one_who_waits_behind_them() {
    let (_double, f, _) = eve_reads(6).await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"One line of text.").await;
    let _worker = f.work();
    assert_eq!(f.ended(&id).await["processing_status"], "completed");
}

async fn with_quota(variable: &'static str, bytes: u64) -> Fixture {
    let vars = [(variable, bytes.to_string())];
    Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), &vars).await
}

fn over() -> (u16, String) {
    (413, "Storage quota exceeded".into())
}

#[tokio::test]
async fn a_users_files_stay_within_the_quota_and_a_deleted_ones_room_is_there_at_once() {
    let f = with_quota("MATERIALS_QUOTA", 1_000).await;
    let (course, other) = (f.course().await, f.course().await);
    let first = f.uploaded(&course, "a.txt", &[b'a'; 600]).await;
    assert_eq!(f.upload(&other, "b.txt", &[b'b'; 401]).await.error(), over());
    f.uploaded(&other, "b.txt", &[b'b'; 400]).await;
    assert_eq!(f.upload(&other, "c.txt", b"c").await.error(), over());
    let bobs = f.course_of("bob").await;
    assert_eq!(f.upload_as("bob", &bobs, "d.txt", &[b'd'; 1_000]).await.status, 201);
    assert_eq!(f.files().len(), 3, "what was refused has left nothing");
    assert_eq!(f.call("DELETE", &format!("/materials/{first}"), "").await.status, 204);
    assert_eq!(f.upload(&course, "e.txt", &[b'e'; 601]).await.error(), over());
    f.uploaded(&course, "e.txt", &[b'e'; 600]).await;
}

#[tokio::test]
async fn a_course_has_a_quota_of_its_own() {
    let f = with_quota("MATERIALS_COURSE_QUOTA", 1_000).await;
    let (course, other) = (f.course().await, f.course().await);
    f.uploaded(&course, "a.txt", &[b'a'; 1_000]).await;
    assert_eq!(f.upload(&course, "b.txt", b"b").await.error(), over());
    f.uploaded(&other, "b.txt", &[b'b'; 1_000]).await;
}

#[tokio::test]
async fn uploads_side_by_side_do_not_pass_the_quota_together() {
    let f = with_quota("MATERIALS_QUOTA", 1_000).await;
    let course = f.course().await;
    let replies: Vec<Reply> = join_all((0..20).map(|_| f.upload(&course, "a.txt", &[b'a'; 300]))).await;
    let taken = replies.iter().filter(|reply| reply.status == StatusCode::CREATED).count();
    assert_eq!(taken, 3);
    assert!(replies.iter().filter(|reply| reply.status != 201).all(|reply| reply.error() == over()));
    assert_eq!(f.files().len(), 3);
}

#[tokio::test]
async fn a_quota_that_is_no_number_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let env = service_support::Env::new(folder.path(), |name| {
        (name == "MATERIALS_QUOTA").then(|| "5GB".to_owned())
    });
    assert!(env.bytes("MATERIALS_QUOTA").unwrap_err().to_string().contains("must be a number of bytes"));
}

#[tokio::test]
async fn a_deleted_documents_room_goes_back_to_the_file_system() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let small = size(&f).await;
    let text: String = (0..60_000).map(|n| format!("word{n} ")).collect();
    let id = f.uploaded(&course, "words.txt", text.as_bytes()).await;
    let _worker = f.work();
    assert_eq!(f.ended(&id).await["processing_status"], "completed");
    let large = size(&f).await;
    assert!(large > small + (1 << 20), "{small} {large}");
    f.call("DELETE", &format!("/materials/{id}"), "").await;
    f.all_ended("materials.purge").await;
    let after = size(&f).await;
    assert!(after <= small + (1 << 20), "{small} {large} {after}");
}

async fn size(f: &Fixture) -> i64 {
    let sql = "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size";
    f.db.read(sql, vec![]).await.unwrap()[0].get("bytes").unwrap()
}
