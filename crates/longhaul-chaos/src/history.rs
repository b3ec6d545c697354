//! The history of a run: lines of JSON that all its processes append to one file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use longhaul::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

/// A line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The time by this machine's clock, which all processes of a run share.
    pub(crate) at: Timestamp,
    /// The event.
    #[serde(flatten)]
    pub(crate) what: What,
}

/// An event that a process saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum What {
    /// An API server answered that it has the job.
    Acknowledged {
        /// The job's id.
        job: String,
    },
    /// A worker was given a job.
    Claimed {
        /// The job's id.
        job: String,
        /// The lease's token.
        token: u64,
        /// The worker's process.
        pid: u32,
        /// The time of the request.
        asked: Timestamp,
    },
    /// A worker is about to send the end of a run. It may die before the answer.
    Finishing {
        /// The job's id.
        job: String,
        /// The lease's token.
        token: u64,
    },
    /// A worker ended a run, and the store answered.
    Finished {
        /// The job's id.
        job: String,
        /// The lease's token.
        token: u64,
        /// The worker's process.
        pid: u32,
        /// The end of the run.
        outcome: End,
        /// The store's answer.
        accepted: Accepted,
        /// The time of the request.
        asked: Timestamp,
    },
    /// A job that is watched gave a sign that it runs.
    Ticked {
        /// The job's id.
        job: String,
        /// The worker's process.
        pid: u32,
    },
    /// A client is about to ask for a job's cancel.
    CancelAsked {
        /// The job's id.
        job: String,
    },
    /// A job met a lock file of one of its keys.
    LockMet {
        /// The job's id.
        job: String,
        /// The worker's process.
        pid: u32,
        /// The job that held the lock.
        holder: String,
        /// The process that held it.
        holder_pid: u32,
    },
    /// A fault was made.
    Fault {
        /// The fault.
        fault: Fault,
        /// The process that it struck; 0 where it struck a connection.
        pid: u32,
    },
}

impl What {
    /// The job that it is about.
    pub(crate) fn job(&self) -> Option<&str> {
        match self {
            Self::Acknowledged { job }
            | Self::Claimed { job, .. }
            | Self::Finishing { job, .. }
            | Self::Finished { job, .. }
            | Self::Ticked { job, .. }
            | Self::CancelAsked { job }
            | Self::LockMet { job, .. } => Some(job),
            Self::Fault { .. } => None,
        }
    }
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// It did its work.
    Completed,
    /// It came to its provider's limit, and asked for its key to be paused for this many milliseconds.
    RateLimited(u64),
    /// Anything else.
    Other,
}

/// The store's answer to a finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Accepted {
    /// The lease was held.
    Yes,
    /// The lease was lost.
    No,
}

/// A fault that a run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// SIGKILL for a worker.
    WorkerKilled,
    /// SIGSTOP for a worker, for longer than its lease.
    WorkerStopped,
    /// SIGCONT for it: its leases have ended meanwhile.
    WorkerContinued,
    /// SIGKILL for an API server.
    ServerKilled,
    /// SIGSTOP for an API server.
    ServerStopped,
    /// SIGCONT for it.
    ServerContinued,
    /// SIGKILL for the store's own server.
    StoreKilled,
    /// It takes connections again.
    StoreBack,
    /// Every connection to the store was cut.
    ConnectionsCut,
}

/// The file that a process notes its events in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct History {
    file: Arc<File>,
    clock: Clock,
}

impl History {
    /// Opens the file that all processes of a run append to.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Arc::new(file), clock: Clock::system() })
    }

    /// The time that lines are stamped with.
    #[must_use]
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Records observations, in one write, because an append of one write is not interleaved with others.
    ///
    /// # Panics
    /// The file cannot be written: a history with a gap proves nothing.
    pub(crate) fn note(&self, seen: Vec<What>) {
        let at = self.now();
        let mut text = String::new();
        for what in seen {
            text.push_str(&serde_json::to_string(&Line { at, what }).expect("a line has a JSON form"));
            text.push('\n');
        }
        (&*self.file).write_all(text.as_bytes()).expect("failed to write the history");
    }
}

/// Reads a history, in the order of its lines' times. Half a line, of a process that was killed while it wrote, is
/// ignored.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Line>> {
    let text = std::fs::read_to_string(path)?;
    let mut lines: Vec<Line> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    lines.sort_by_key(|line| line.at);
    Ok(lines)
}
