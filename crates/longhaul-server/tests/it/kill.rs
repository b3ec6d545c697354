//! A server that is killed again and again, at random moments, loses nothing and does nothing twice.
//!
//! `LONGHAUL_TEST_KILLS` sets how often (50), `LONGHAUL_TEST_SEED` repeats a run's moments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longhaul::Clock;
use longhaul_sqlite::rusqlite::{Connection, OpenFlags};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::courses::{Course, SCAN, Sample, job_id};
use crate::events::{Event, follow};
use crate::server::{Place, Server};

/// Quick to read; [`SCAN`] takes OCR about a second.
const DOCUMENTS: [Sample; 3] = [
    Sample {
        name: "lecture.pdf",
        bytes: include_bytes!("../../../../services/materials/samples/lecture.pdf"),
        says: "",
    },
    Sample {
        name: "notes.docx",
        bytes: include_bytes!("../../../../services/materials/samples/notes.docx"),
        says: "",
    },
    Sample {
        name: "slides.pptx",
        bytes: include_bytes!("../../../../services/materials/samples/slides.pptx"),
        says: "",
    },
];

/// Uploads that were answered, by the material's id.
type Acknowledged = BTreeMap<String, Sample>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_and_repeat_nothing() {
    let kills: u32 = number("LONGHAUL_TEST_KILLS").unwrap_or(50);
    let seed: u64 = number("LONGHAUL_TEST_SEED").unwrap_or_else(rand::random);
    // Shown where the test fails; the same seed strikes at the same moments.
    println!("LONGHAUL_TEST_SEED={seed} LONGHAUL_TEST_KILLS={kills}");
    let place = Place::new();
    let life = serve(&place).await;
    let course = Course::create(&place, &life.server).await;
    life.server.kill().await;

    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = Acknowledged::new();
    for kill in 1..=kills {
        let moment = *Moment::ALL.choose(&mut random).expect("there are some");
        println!("kill {kill}: {moment:?}, {} acknowledged", acknowledged.len());
        if moment == Moment::Start {
            strike_start(&place, &mut random).await;
            continue;
        }
        let life = serve(&place).await;
        let course = course.on(&life.server);
        settle(&life, &course, &acknowledged).await;
        acknowledged.extend(moment.strike(life, &course, &mut random).await);
    }
    let life = serve(&place).await;
    let course = course.on(&life.server);
    settle(&life, &course, &acknowledged).await;
    check(&course, &acknowledged).await;
    life.server.kill().await;
    check_file(&place);
}

/// The moment at which the server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While it starts and takes over.
    Start,
    /// While files come in.
    Upload,
    /// While documents are read.
    Extraction,
    /// About when the first of them is done.
    Finish,
}

impl Moment {
    const ALL: [Self; 4] = [Self::Start, Self::Upload, Self::Extraction, Self::Finish];

    /// Uploads some documents, kills the server at this moment, and answers which uploads it had acknowledged.
    async fn strike(self, life: Life, course: &Course, random: &mut StdRng) -> Acknowledged {
        let samples = [pick(random), pick(random)];
        let uploads = samples.map(|sample| {
            let course = course.clone();
            tokio::spawn(async move { (course.upload(sample).await, sample) })
        });
        if self == Self::Upload {
            pause(random, Duration::from_millis(60)).await;
            life.server.kill().await;
            return answered(uploads).await;
        }
        let acknowledged = answered(uploads).await;
        if self == Self::Finish {
            let first = acknowledged.keys().next().expect("a live server answers");
            follow(course, first, |event| percent(event) >= 80.0 || event.name == "output").await;
            pause(random, Duration::from_millis(20)).await;
        } else {
            pause(random, Duration::from_millis(1500)).await;
        }
        life.server.kill().await;
        acknowledged
    }
}

/// Waits until every upload that was ever acknowledged has been read. How long that takes is OCR's affair; but from
/// the first moment on, nothing may still belong to a dead server and wait for its lease to end.
async fn settle(life: &Life, course: &Course, acknowledged: &Acknowledged) {
    for id in acknowledged.keys() {
        let job = course.get(&format!("/api/jobs/{}", job_id(id))).await;
        let since = job["started_at"].as_str().map(|at| at.parse::<jiff::Timestamp>().expect("a time"));
        let is_ours = since.is_some_and(|since| since >= life.began);
        assert!(job["state"] != "running" || is_ours, "left to its lease: {job}\n{}", life.server.log());
    }
    for (id, sample) in acknowledged {
        let job = course.ended(id).await;
        assert_eq!(job["state"], "completed", "{}: {job}\n{}", sample.name, life.server.log());
    }
}

/// Every upload is there once, read once, and no step of its reading was done after it had been done.
async fn check(course: &Course, acknowledged: &Acknowledged) {
    let listed = course.materials().await;
    let ids: BTreeSet<String> = listed.iter().map(|material| material["id"].to_string()).collect();
    assert_eq!(ids.len(), listed.len(), "nothing is listed twice");
    for (id, sample) in acknowledged {
        assert!(ids.contains(&json!(id).to_string()), "{} was acknowledged and is not listed", sample.name);
        let material = course.material(id).await;
        assert_eq!(material["processing_status"], "completed", "{material}");
        assert_eq!(material["file_size"], sample.bytes.len(), "{material}");
        check_log(id, &follow(course, id, |_| false).await);
    }
    // An upload whose answer was lost in a crash may be there too; it is then whole as well.
    for material in &listed {
        let job = course.ended(material["id"].as_str().expect("an id")).await;
        assert_eq!(job["state"], "completed", "{job}");
        assert_eq!(
            job["errors"].as_array().map(Vec::len),
            Some(crashes(&job)),
            "only crashes went wrong: {job}"
        );
    }
    let jobs = course.get("/api/jobs?kind=materials.process&limit=100").await;
    let first_page = jobs["jobs"].as_array().expect("a list").len();
    assert_eq!(first_page, listed.len().min(100), "each material has one job");
}

/// The index is written after the text has been stored as a step. So once an attempt has come to the index, no later
/// one may read pages again; and a job completes once.
fn check_log(id: &str, events: &[Event]) {
    let position = |message: &str| events.iter().position(|event| says(event, message));
    if let Some(indexing) = position("indexing") {
        let again = events[indexing..].iter().find(|event| says(event, "page ") || says(event, "reading"));
        assert_eq!(again, None, "{} was read again after its text was stored: {events:#?}", job_id(id));
    }
    let completions = events.iter().filter(|event| event.data["state"] == "completed").count();
    assert_eq!(completions, 1, "{}: {events:#?}", job_id(id));
    assert!(
        events.windows(2).all(|pair| pair[0].id < pair[1].id),
        "events are numbered in order: {events:#?}"
    );
}

/// Checks that the rows of the database belong together, whatever the kills have cut off.
fn check_file(place: &Place) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(place.data().join("longhaul.db"), flags).expect("the database");
    let one = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    let whole: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(whole, "ok");
    // Two materials of one name are the same document, so they must have the same text and the same index.
    let differ = "SELECT count(*) FROM (SELECT m.name FROM materials m LEFT JOIN \
                  (SELECT material_id, count(*) AS n, sum(length(text)) AS l FROM material_chunks GROUP BY 1) c \
                  ON c.material_id = m.id GROUP BY m.name \
                  HAVING count(DISTINCT coalesce(c.n, 0)) > 1 OR count(DISTINCT coalesce(c.l, 0)) > 1)";
    assert_eq!(one(differ), 0, "some materials have lost text, or have it twice");
    assert!(one("SELECT count(*) FROM material_chunks") > 0, "and they do have text");
    let files = std::fs::read_dir(place.data().join("files")).expect("the folder of files");
    assert!(files.count() > 0, "uploads are kept");
}

/// A server, and when it was started.
struct Life {
    server: Server,
    began: jiff::Timestamp,
}

async fn serve(place: &Place) -> Life {
    let began = jiff::Timestamp::from_millisecond(Clock::system().now().0).expect("a time");
    // Some job is bound to be under a dying server more often than five times.
    Life { server: place.serve_with(&[], &[("LONGHAUL_MAX_CRASHES", "1000")]).await, began }
}

/// Starts a server and kills it before, while or after it comes up.
async fn strike_start(place: &Place, random: &mut StdRng) {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(place.log()).expect("a log");
    let mut command = place.command(&["serve"]);
    command.env("LONGHAUL_MAX_CRASHES", "1000").stdout(std::process::Stdio::null()).stderr(log);
    let mut child = command.spawn().expect("the binary starts");
    pause(random, Duration::from_millis(150)).await;
    child.start_kill().expect("it runs");
    child.wait().await.expect("it ends");
}

async fn answered<const N: usize>(
    uploads: [tokio::task::JoinHandle<(Option<String>, Sample)>; N],
) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for upload in uploads {
        let (id, sample) = upload.await.expect("an upload does not panic");
        acknowledged.extend(id.map(|id| (id, sample)));
    }
    acknowledged
}

/// Lets a random time pass. It is what this test varies; it waits for nothing.
async fn pause(random: &mut StdRng, at_most: Duration) {
    tokio::time::sleep(random.random_range(Duration::ZERO..=at_most)).await;
}

fn pick(random: &mut impl Rng) -> Sample {
    // One document of four is a scan.
    *[DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[2], SCAN].choose(random).expect("there are some")
}

fn percent(event: &Event) -> f64 {
    event.data["percent"].as_f64().unwrap_or_default()
}

fn says(event: &Event, message: &str) -> bool {
    event.name == "progress" && event.data["message"].as_str().is_some_and(|text| text.starts_with(message))
}

fn crashes(job: &Value) -> usize {
    let errors = job["errors"].as_array().expect("a list");
    errors.iter().filter(|error| error["kind"] == "crash").count()
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().filter(|text| !text.is_empty()).map(|text| match text.parse() {
        Ok(number) => number,
        Err(_) => panic!("{variable}={text} is no number"),
    })
}
