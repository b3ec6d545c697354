use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::MeasureArgs;
use super::served::Served;
use crate::Result;
use crate::figure::{Bar, Figure, millis, part};
use crate::target::Target;

/// Events of each job, and the pause between two of them.
const EVENTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// The interval at which a job emits, if each reader has a job of its own.
const PAUSE_OF_MANY: Duration = Duration::from_secs(2);
const EVENTS_OF_MANY: usize = 8;
/// Records of one request.
const AT_ONCE: usize = 50;
/// The bound on a run.
const PATIENCE: Duration = Duration::from_secs(120);

/// The way by which readers follow.
#[derive(Clone, Copy, Debug)]
enum By {
    Sse,
    WebSocket,
}

/// A reader's own part of the latencies.
type Latencies = Vec<Duration>;

/// A server, and this process as the worker that emits: its clock is the readers', too.
struct Stage {
    served: Served,
    clock: Stopwatch,
}

/// Many readers of one job, and as many of a job each, by SSE and by WebSocket: each must hear every event, in order. Told is
/// the time from before the worker sends the event to when a reader has it, and what a reader costs the server.
pub(super) async fn measure(args: &MeasureArgs, target: &Target) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for by in [By::Sse, By::WebSocket] {
        for jobs in [1, args.readers] {
            // A server of its own for each, so that its memory is that of these readers.
            let served = Served::start(&args.longhaul, target).await?;
            let stage = Stage { served, clock: Stopwatch::start() };
            let (mut all, per_reader) = stage.run(by, jobs, args.readers).await?;
            all.sort_unstable();
            let name = format!("{by:?}: {} readers of {jobs} jobs", args.readers);
            let [half, most, last] = [0.5, 0.99, 1.0].map(|of| part(&all, of));
            figures.push(Figure::held(
                format!("{name}, emit to reader, p50 / p99 / max of {}", all.len()),
                format!("{} / {} / {}", millis(half), millis(most), millis(last)),
                Bar::within(most, 100, "p99"),
            ));
            let kilobytes = per_reader / 1024.0;
            figures.push(Figure::held(
                format!("{name}, memory of the server a reader"),
                format!("{kilobytes:.1} KB"),
                Bar::at_most(kilobytes, 50.0, "KB"),
            ));
        }
    }
    Ok(figures)
}

impl Stage {
    async fn run(&self, by: By, jobs: usize, readers: usize) -> Result<(Latencies, f64)> {
        let leases = self.claim(jobs).await?;
        let events = if jobs == 1 { EVENTS } else { EVENTS_OF_MANY };
        let before = self.memory()?;
        let (listening, mut heard) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let (begun, _) = watch::channel(());
        for number in 0..readers {
            let id = leases[number % jobs]["id"].as_str().unwrap_or_default();
            let reader = Reader {
                address: self.served.url.replace("http://", ""),
                id: id.into(),
                by,
                events,
                clock: self.clock,
            };
            let (listening, begun) = (Arc::clone(&listening), begun.clone());
            heard.spawn(async move { reader.read(&listening, &begun).await });
        }
        let mut joined = begun.subscribe();
        while listening.load(Ordering::SeqCst) < readers {
            timeout(PATIENCE, joined.changed()).await??;
            if let Some(early) = heard.try_join_next() {
                return Err(format!("a reader has ended early: {:?}", early?.err()).into());
            }
        }
        if jobs == 1 {
            self.emit_to_one(&leases, events).await?
        } else {
            self.emit_to_each(&leases, events).await?
        }
        // With what events take on their way.
        let after = self.memory()?;
        let mut all = Latencies::new();
        while let Some(heard) = timeout(PATIENCE, heard.join_next()).await? {
            all.extend(heard??);
        }
        if all.len() != readers * events {
            return Err(format!("{} events were heard of {}", all.len(), readers * events).into());
        }
        Ok((all, (after - before) / readers as f64))
    }

    /// Jobs that run, with their leases.
    async fn claim(&self, jobs: usize) -> Result<Vec<Value>> {
        let new = json!({ "kind": "told", "queue": "readers", "args": {} });
        self.served.post("/api/jobs/batch", &Value::Array(vec![new; jobs])).await?;
        let mut leases = Vec::new();
        while leases.len() < jobs {
            let body = json!({
                "worker": { "id": "teller" }, "queues": [{ "queue": "readers", "slots": jobs - leases.len() }],
                "kinds": [{ "kind": "told" }], "lease_for": 600, "wait": 5,
            });
            let claimed = self.served.post("/api/worker/claim", &body).await?;
            let claimed = claimed["claimed"].as_array().cloned().unwrap_or_default();
            leases.extend(claimed.into_iter().map(|mut job| job["lease"].take()));
        }
        Ok(leases)
    }

    async fn emit(&self, leases: &[Value], event: usize) -> Result<()> {
        let said = format!("{event} {}", self.clock.elapsed().as_micros());
        let record = |lease: &Value| json!({ "lease": lease, "entries": [{ "chunk": { "data": said } }] });
        let records: Vec<Value> = leases.iter().map(record).collect();
        self.served.post("/api/worker/record", &json!({ "records": records })).await.map(|_| ())
    }

    async fn emit_to_one(&self, leases: &[Value], events: usize) -> Result<()> {
        let mut pace = interval(PAUSE);
        for event in 0..events {
            pace.tick().await;
            self.emit(leases, event).await?;
        }
        Ok(())
    }

    /// The jobs emit one after the other, so that the load is even.
    async fn emit_to_each(&self, leases: &[Value], events: usize) -> Result<()> {
        let pieces = leases.len().div_ceil(AT_ONCE);
        let mut pace = interval(PAUSE_OF_MANY / u32::try_from(pieces)?);
        for event in 0..events {
            for piece in leases.chunks(AT_ONCE) {
                pace.tick().await;
                self.emit(piece, event).await?;
            }
        }
        Ok(())
    }

    /// Bytes of memory that the server holds.
    fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.served.process.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }
}

struct Reader {
    address: String,
    id: String,
    by: By,
    events: usize,
    clock: Stopwatch,
}

/// The text before an event's own, in both forms.
const MARK: &[u8] = b"\"data\":\"";
/// A ping without data, and the answer to it. No text of ours holds these bytes.
const PING: &[u8] = &[0x89, 0x00];
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];

impl Reader {
    /// Follows the job, and answers how late each event was. An event that is missing, doubled or out of its order is an error.
    async fn read(self, listening: &AtomicUsize, begun: &watch::Sender<()>) -> Result<Latencies> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(self.request().as_bytes()).await?;
        let (mut latencies, mut kept, mut is_listening) =
            (Latencies::with_capacity(self.events), Vec::new(), false);
        while latencies.len() < self.events {
            let mut piece = [0; 2048];
            let length = timeout(PATIENCE, stream.read(&mut piece)).await??;
            if length == 0 {
                return Err(format!("the log of {} ended after {} events", self.id, latencies.len()).into());
            }
            kept.extend_from_slice(&piece[..length]);
            let now = self.clock.elapsed();
            if !is_listening && find(&kept, b"\"running\"").is_some() {
                is_listening = true;
                listening.fetch_add(1, Ordering::SeqCst);
                begun.send_replace(());
            }
            if matches!(self.by, By::WebSocket) && find(&kept, PING).is_some() {
                stream.write_all(PONG).await?;
            }
            while let Some((said, rest)) = next_said(&kept) {
                let (event, at) = said.split_once(' ').ok_or("an event without its time")?;
                if event.parse::<usize>()? != latencies.len() {
                    return Err(format!("event {event} came in place of {}", latencies.len()).into());
                }
                latencies.push(now.saturating_sub(Duration::from_micros(at.parse()?)));
                kept.drain(..rest);
            }
        }
        Ok(latencies)
    }

    fn request(&self) -> String {
        let (path, headers) = match self.by {
            By::Sse => ("events", String::new()),
            By::WebSocket => (
                "ws",
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    .to_owned(),
            ),
        };
        format!("GET /api/jobs/{}/{path} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", self.id, self.address)
    }
}

/// The next event's text, and where what comes after it begins.
fn next_said(kept: &[u8]) -> Option<(String, usize)> {
    let start = find(kept, MARK)? + MARK.len();
    let length = kept[start..].iter().position(|byte| *byte == b'"')?;
    Some((String::from_utf8_lossy(&kept[start..start + length]).into_owned(), start + length))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}
