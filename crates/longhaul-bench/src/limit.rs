//! The limit of the disk: a bare append-only log with the engine's group commit and nothing else.
//!
//! One thread writes. It takes all that waits in its channel, appends it with one write, makes it durable with one
//! `fdatasync`, and answers all. What waits to be claimed is kept in memory. There is no index, no query, no lease
//! and no way to read the log back: a queue that does more can only come near.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::probe::{Email, Probe};
use crate::report::Run;
use crate::sizes::{Bound, Sizes};
use crate::target::StoreUrl;
use crate::{Result, Serve, Workload, http, load};

/// Runs one workload on a new log.
pub(crate) async fn measure(
    workload: Workload,
    store: &StoreUrl,
    sizes: &Sizes,
    serve: Serve,
) -> Result<Run> {
    let folder = tempfile::Builder::new().prefix("longhaul-bench.").tempdir_in(store.folder())?;
    let log = Log::create(&folder.path().join("log"))?;
    match workload {
        Workload::Enqueue1 => enqueue(&log, 1, sizes.enqueue1()).await,
        Workload::Enqueue64 => enqueue(&log, 64, sizes.enqueue64()).await,
        Workload::Bulk => enqueue_many(&log, sizes.bulk()).await,
        Workload::Http => http::measure_log(&log, sizes.http(), serve).await,
        Workload::Drain => drain(&log, sizes).await,
        Workload::Pickup => pickup(&log, sizes).await,
        Workload::Upload | Workload::UploadFlood | Workload::ClaimHistory | Workload::Idle => {
            Err(format!("failed to measure {}: the log has no such thing", workload.name()).into())
        }
    }
}

async fn enqueue(log: &Log, callers: usize, bound: Bound) -> Result<Run> {
    let log = log.clone();
    let send = move |id| {
        let log = log.clone();
        async move { Ok(log.append(vec![payload(id)?]).await?) }
    };
    load::in_flight(callers, bound, send).await
}

async fn enqueue_many(log: &Log, bound: Bound) -> Result<Run> {
    load::in_bulk(bound, |ids| async move {
        let payloads = ids.map(payload).collect::<Result<Vec<_>>>()?;
        Ok(log.append(payloads).await?)
    })
    .await
}

/// 64 tasks, each of which takes the next job and in the same commit ends its last one.
async fn drain(log: &Log, sizes: &Sizes) -> Result<Run> {
    let bound = sizes.drain();
    enqueue_many(log, Bound { jobs: bound.jobs, time: Duration::MAX }).await?;
    let probe = Probe::new(bound.jobs);
    let _worker = start_worker(log, &probe, sizes.slots());
    probe.all_called(bound.time).await;
    let (jobs, time) = probe.span();
    Ok(Run { jobs, time, ..Run::default() })
}

async fn pickup(log: &Log, sizes: &Sizes) -> Result<Run> {
    let probe = load::pickup_probe(sizes.pickup_jobs());
    let _worker = start_worker(log, &probe, 1);
    load::pickup(&probe, sizes.pickup_jobs(), |id| async move { Ok(log.append(vec![payload(id)?]).await?) })
        .await
}

/// Runs until the answer is dropped, which aborts its tasks.
fn start_worker(log: &Log, probe: &Arc<Probe>, slots: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..slots {
        let (log, probe) = (log.clone(), Arc::clone(probe));
        tasks.spawn(async move {
            let mut ended = None;
            // Only a log that has failed answers otherwise; the jobs that are then missing show in the result.
            while let Ok(job) = log.turn(ended).await {
                probe.note(job.number);
                ended = Some(job.number);
            }
        });
    }
    tasks
}

pub(crate) fn payload(id: u64) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&Email::new(id))?)
}

/// The handle on a log; its thread ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Log(mpsc::Sender<Op>);

/// A job that was taken from the log.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Its place in the log, from 0.
    pub(crate) number: u64,
    /// The handler of a real job would read it; this one only has to be handed over.
    _payload: Vec<u8>,
}

#[derive(Debug)]
enum Op {
    Append { payloads: Vec<Vec<u8>>, answer: oneshot::Sender<io::Result<()>> },
    Turn { ended: Option<u64>, answer: oneshot::Sender<io::Result<Taken>> },
}

/// The most calls that are made durable together.
const MAX_BATCH: usize = 4_096;

impl Log {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        let (sender, ops) = mpsc::channel();
        let writer =
            Writer { file, bytes: Vec::new(), next: 0, ready: VecDeque::new(), idle: VecDeque::new() };
        std::thread::Builder::new().name("bench-log".into()).spawn(move || writer.run(&ops))?;
        Ok(Self(sender))
    }

    /// Adds jobs; they are durable when this returns.
    pub(crate) async fn append(&self, payloads: Vec<Vec<u8>>) -> io::Result<()> {
        let (answer, answered) = oneshot::channel();
        self.ask(Op::Append { payloads, answer }, answered).await
    }

    /// Ends a job and takes the next one, as soon as there is one; both are durable when this returns.
    pub(crate) async fn turn(&self, ended: Option<u64>) -> io::Result<Taken> {
        let (answer, answered) = oneshot::channel();
        self.ask(Op::Turn { ended, answer }, answered).await
    }

    async fn ask<T>(&self, op: Op, answered: oneshot::Receiver<io::Result<T>>) -> io::Result<T> {
        let gone = || io::Error::other("failed to reach the log: its thread has ended");
        self.0.send(op).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// The state of the writing thread.
struct Writer {
    file: File,
    /// The batch that is being put together.
    bytes: Vec<u8>,
    next: u64,
    ready: VecDeque<Taken>,
    /// Those who wait for a job.
    idle: VecDeque<oneshot::Sender<io::Result<Taken>>>,
}

const APPENDED: u8 = b'+';
const CLAIMED: u8 = b'>';
const ENDED: u8 = b'-';

impl Writer {
    fn run(mut self, ops: &mpsc::Receiver<Op>) {
        let (mut appended, mut taken) = (Vec::new(), Vec::new());
        while let Ok(op) = ops.recv() {
            self.take_in(op, &mut appended);
            for op in ops.try_iter().take(MAX_BATCH - 1) {
                self.take_in(op, &mut appended);
            }
            self.hand_out(&mut taken);
            let written = self.commit();
            // A caller that has gone away needs no answer.
            for answer in appended.drain(..) {
                let _ = answer.send(copy(&written));
            }
            for (answer, job) in taken.drain(..) {
                let _ = answer.send(copy(&written).map(|()| job));
            }
        }
    }

    fn take_in(&mut self, op: Op, appended: &mut Vec<oneshot::Sender<io::Result<()>>>) {
        match op {
            Op::Append { payloads, answer } => {
                for payload in payloads {
                    self.record(APPENDED, self.next, &payload);
                    self.ready.push_back(Taken { number: self.next, _payload: payload });
                    self.next += 1;
                }
                appended.push(answer);
            }
            Op::Turn { ended, answer } => {
                if let Some(number) = ended {
                    self.record(ENDED, number, &[]);
                }
                self.idle.push_back(answer);
            }
        }
    }

    fn hand_out(&mut self, taken: &mut Vec<(oneshot::Sender<io::Result<Taken>>, Taken)>) {
        while !self.idle.is_empty() && !self.ready.is_empty() {
            if let (Some(answer), Some(job)) = (self.idle.pop_front(), self.ready.pop_front()) {
                self.record(CLAIMED, job.number, &[]);
                taken.push((answer, job));
            }
        }
    }

    fn record(&mut self, what: u8, number: u64, payload: &[u8]) {
        self.bytes.push(what);
        self.bytes.extend_from_slice(&number.to_le_bytes());
        self.bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(payload);
    }

    fn commit(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.bytes).and_then(|()| self.file.sync_data());
        self.bytes.clear();
        written
    }
}

/// An I/O error cannot be cloned, and each caller of a batch needs one.
fn copy(written: &io::Result<()>) -> io::Result<()> {
    match written {
        Ok(()) => Ok(()),
        Err(e) => Err(io::Error::new(e.kind(), format!("failed to append to the log: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&folder.path().join("log")).unwrap();
        (folder, log)
    }

    /// The records of the file, each with its job.
    fn records(folder: &tempfile::TempDir) -> Vec<(u8, u64)> {
        let bytes = std::fs::read(folder.path().join("log")).unwrap();
        let (mut records, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((head, tail)) = rest.split_first_chunk::<13>() {
            let number = u64::from_le_bytes(head[1..9].try_into().unwrap());
            let length = u32::from_le_bytes(head[9..].try_into().unwrap());
            records.push((head[0], number));
            rest = &tail[length as usize..];
        }
        records
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_in_the_file() {
        let (folder, log) = log();
        log.append(vec![b"first".to_vec(), b"second".to_vec()]).await.unwrap();
        let written = std::fs::read(folder.path().join("log")).unwrap();
        assert_eq!(written.len(), 2 * (1 + 8 + 4) + "firstsecond".len());
        assert!(written.ends_with(b"second"));
    }

    #[tokio::test]
    async fn jobs_are_taken_in_order_and_one_that_waits_is_given_the_next() {
        let (folder, log) = log();
        log.append(vec![b"a".to_vec()]).await.unwrap();
        assert_eq!(log.turn(None).await.unwrap().number, 0);
        let waiting = tokio::spawn({
            let log = log.clone();
            async move { log.turn(Some(0)).await }
        });
        log.append(vec![b"b".to_vec()]).await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap().number, 1);
        let expected = [(APPENDED, 0), (CLAIMED, 0), (APPENDED, 1), (CLAIMED, 1), (ENDED, 0)];
        let mut written = records(&folder);
        // The end of job 0 and the arrival of job 1 race each other.
        written.sort_by_key(|(what, number)| expected.iter().position(|record| record == &(*what, *number)));
        assert_eq!(written, expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_drained_log_has_given_out_every_job_once() {
        let (_folder, log) = log();
        log.append((0..500).map(|id| payload(id).unwrap()).collect()).await.unwrap();
        let probe = Probe::new(500);
        let _worker = start_worker(&log, &probe, 64);
        probe.all_called(Duration::from_secs(60)).await;
        assert_eq!((probe.span().0, probe.repeated()), (500, 0));
    }
}
