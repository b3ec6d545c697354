//! The programs that read documents end with what they work for, however that ends.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::courses::{Course, SCANNED_PDF, job_id};
use crate::server::{PATIENCE, Place, Server};

/// A document that is being read by a program which does not end by itself.
struct Reading {
    place: Place,
    server: Server,
    id: String,
    /// Held open by the program for as long as it lives.
    alive: BufReader<File>,
}

impl Reading {
    async fn begun() -> Self {
        let place = Place::new();
        // Makes the folder of the place.
        place.token("ada").await;
        let home = place.data().parent().expect("a folder").to_owned();
        let fifo = home.join("alive");
        let made = Command::new("mkfifo").arg(&fifo).status().await.expect("mkfifo runs");
        assert!(made.success());
        let tool = home.join("bin").join("tesseract");
        std::fs::create_dir(home.join("bin")).expect("a folder");
        let script = "#!/bin/sh\nexec 3>\"$HOME/alive\"\necho started >&3\nexec sleep 600\n";
        std::fs::write(&tool, script).expect("a script");
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).expect("its mode");

        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> =
            std::iter::once(home.join("bin")).chain(std::env::split_paths(&path)).collect();
        let path = std::env::join_paths(folders).expect("a path");
        let environment = [("PATH", path.to_str().expect("UTF-8")), ("HOME", home.to_str().expect("UTF-8"))];
        let server = place.serve_with(&["--grace", "60"], &environment).await;
        let course = Course::create(&place, &server).await;
        let id = course.upload(SCANNED_PDF).await.expect("an answer");
        let opened = timeout(PATIENCE, File::open(&fifo)).await.expect("the program starts");
        let mut alive = BufReader::new(opened.expect("the pipe"));
        let mut line = String::new();
        alive.read_line(&mut line).await.expect("a line");
        assert_eq!(line, "started\n");
        Self { place, server, id, alive }
    }

    async fn program_ends(mut self) {
        let mut line = String::new();
        let ended = timeout(PATIENCE, self.alive.read_line(&mut line)).await;
        assert_eq!(ended.expect("the program ends in time").expect("the pipe"), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_takes_its_programs_along() {
    let reading = Reading::begun().await;
    let Reading { place, server, id, alive } = reading;
    server.kill().await;
    // The next server reads it again; what the first one ran must be gone by then.
    let mut alive = alive;
    let mut line = String::new();
    let ended = timeout(PATIENCE, alive.read_line(&mut line)).await;
    assert_eq!(ended.expect("the program ends in time").expect("the pipe"), 0);
    let left = std::fs::read_dir(place.data().join("files/materials-incoming")).expect("a folder").count();
    assert_eq!(left, 0, "no file of {id} is left half done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_to_end_twice_takes_its_programs_along() {
    let mut reading = Reading::begun().await;
    reading.server.terminate().await;
    // The second word counts once the first was heard.
    let asking = async { while !reading.server.log().contains("draining") {} };
    timeout(PATIENCE, asking).await.expect("it drains");
    reading.server.terminate().await;
    assert_eq!(reading.server.ended().await.code(), Some(143));
    reading.program_ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_document_takes_its_program_along() {
    let reading = Reading::begun().await;
    let (place, id) = (&reading.place, job_id(&reading.id));
    place.printed(&["jobs", "cancel", &id]).await;
    reading.program_ends().await;
}
