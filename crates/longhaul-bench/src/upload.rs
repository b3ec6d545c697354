//! Uploads to a server whose cores are busy reading scans.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use tokio::task::JoinSet;

use crate::Result;
use crate::child::ServerProcess;
use crate::client::{Connection, Content};
use crate::report::{Latency, Run};

/// Uploads in flight, each on a connection of its own.
const CALLERS: usize = 16;
const UPLOADS_EACH: usize = 25;
const UPLOAD_BYTES: usize = 1024 * 1024;
/// Scans that wait to be read, so that OCR has work for longer than the uploads take.
const SCANS: usize = 60;
const SCAN: &[u8] = include_bytes!("../../../services/materials/samples/scanned-page.png");
/// In a steady load, each caller begins an upload this often; the callers take turns.
const STEADY: Duration = Duration::from_millis(100);
/// The time within which the server must begin with them.
const BUSY_WITHIN: Duration = Duration::from_secs(30);

/// The pace at which callers follow one upload with the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// 160 uploads a second in all.
    Steady,
    /// As fast as they are answered.
    Flood,
}

/// Starts a server, gives it scans to read, and measures how long uploads of 1 MB take meanwhile: from the request's
/// first byte to the answer's last.
pub(crate) async fn measure(pace: Pace) -> Result<Run> {
    let server = ServerProcess::start().await?;
    let (address, token): (_, Arc<str>) = (server.address, server.token().await?.into());
    let course = course(address, &token).await?;
    let path: Arc<str> = format!("/courses/{course}/materials").into();
    let scan = form("scan.png", SCAN);
    let mut connection = Connection::open(address).await?;
    for _ in 0..SCANS {
        upload(&mut connection, &path, &token, &scan).await?;
    }
    wait_until_busy(&mut connection).await?;

    let text: Arc<[u8]> = form("notes.txt", &text()).into();
    let running = Stopwatch::start();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (path, token, text) = (Arc::clone(&path), Arc::clone(&token), Arc::clone(&text));
        callers.spawn(async move { call(address, &path, &token, &text, pace, number).await });
    }
    let mut waits = Vec::new();
    while let Some(caller) = callers.join_next().await {
        waits.extend(caller??);
    }
    let time = running.elapsed();
    let waiting = count(&mut connection, "available").await?;
    server.kill().await?;
    if waiting < CALLERS * UPLOADS_EACH {
        // Jobs are read in their order: where a text has been read, all scans have.
        return Err("failed to keep OCR busy for as long as the uploads took".into());
    }
    Ok(Run {
        jobs: waits.len() as u64,
        time,
        latency: Latency::of(waits),
        note: match pace {
            Pace::Steady => {
                "16 callers, 160 uploads/s of 1 MB in all, while OCR reads scans on every core".into()
            }
            Pace::Flood => {
                "16 callers, 1 MB each without a pause, while OCR reads scans on every core".into()
            }
        },
    })
}

async fn call(
    address: SocketAddr,
    path: &str,
    token: &str,
    text: &[u8],
    pace: Pace,
    number: usize,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address).await?;
    let mut waits = Vec::with_capacity(UPLOADS_EACH);
    let mut ticks = tokio::time::interval(STEADY);
    tokio::time::sleep(STEADY * number as u32 / CALLERS as u32).await;
    ticks.reset_immediately();
    for _ in 0..UPLOADS_EACH {
        if pace == Pace::Steady {
            ticks.tick().await;
        }
        let waiting = Stopwatch::start();
        upload(&mut connection, path, token, text).await?;
        waits.push(waiting.elapsed());
    }
    Ok(waits)
}

/// The limit of the disk: as many callers, each writing a file, syncing it, giving it its name and syncing its folder.
pub(crate) async fn measure_limit() -> Result<Run> {
    let folder = tempfile::Builder::new().prefix("longhaul-bench.").tempdir()?;
    let running = Stopwatch::start();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let folder = folder.path().to_owned();
        callers.spawn_blocking(move || write_files(&folder, number));
    }
    let mut waits = Vec::new();
    while let Some(caller) = callers.join_next().await {
        waits.extend(caller??);
    }
    Ok(Run {
        jobs: waits.len() as u64,
        time: running.elapsed(),
        latency: Latency::of(waits),
        note: format!("{CALLERS} threads, 1 MB each: write, sync, rename, sync the folder; no OCR beside it"),
    })
}

fn write_files(folder: &Path, number: usize) -> io::Result<Vec<Duration>> {
    let text = text();
    let mut waits = Vec::with_capacity(UPLOADS_EACH);
    for upload in 0..UPLOADS_EACH {
        let waiting = Stopwatch::start();
        let incoming = folder.join(format!("incoming-{number}-{upload}"));
        let mut file = File::create(&incoming)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&incoming, folder.join(format!("{number}-{upload}")))?;
        File::open(folder)?.sync_all()?;
        waits.push(waiting.elapsed());
    }
    Ok(waits)
}

async fn upload(connection: &mut Connection, path: &str, token: &str, form: &[u8]) -> Result<()> {
    let content = Content { kind: "multipart/form-data; boundary=longhaul", bytes: form };
    match connection.post(path, Some(token), content).await? {
        201 => Ok(()),
        status => Err(format!("failed to upload: status {status}").into()),
    }
}

async fn course(address: SocketAddr, token: &str) -> Result<String> {
    let mut connection = Connection::open(address).await?;
    let status = connection.post("/courses", Some(token), Content::json(r#"{"name":"bench"}"#)).await?;
    let body: serde_json::Value = serde_json::from_slice(connection.body())?;
    match body["id"].as_str() {
        Some(id) if status == 201 => Ok(id.to_owned()),
        _ => Err(format!("failed to make a course: status {status}").into()),
    }
}

async fn wait_until_busy(connection: &mut Connection) -> Result<()> {
    let waiting = Stopwatch::start();
    while waiting.elapsed() < BUSY_WITHIN {
        if count(connection, "running").await? > 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("failed to find the server reading a scan".into())
}

/// The number of jobs in a state.
async fn count(connection: &mut Connection, state: &str) -> Result<usize> {
    let mut path = format!("/api/jobs?state={state}&limit=100");
    let mut count = 0;
    loop {
        let status = connection.get(&path, None).await?;
        let body: serde_json::Value = serde_json::from_slice(connection.body())?;
        let jobs = body["jobs"].as_array().ok_or(format!("failed to list jobs: status {status}"))?;
        count += jobs.len();
        match body["next"].as_str() {
            Some(next) => path = format!("/api/jobs?state={state}&limit=100&cursor={next}"),
            None => return Ok(count),
        }
    }
}

/// A form with one file.
fn form(name: &str, file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--longhaul\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), file, b"\r\n--longhaul--\r\n"].concat()
}

/// As much text as an upload has.
fn text() -> Vec<u8> {
    b"Light is caught by chlorophyll and kept as sugar. ".iter().copied().cycle().take(UPLOAD_BYTES).collect()
}
