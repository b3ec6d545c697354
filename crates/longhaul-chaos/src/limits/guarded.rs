//! The job of a run of limits. It holds a lock file for each key of one slot while it runs, so that a handler sees whether
//! another runs beside it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::{Backoff, Context, Job, JobError, JobResult};
use serde::{Deserialize, Serialize};

use crate::history::{History, What};

/// The queue of these jobs.
pub(crate) const QUEUE: &str = "limits";
/// The begin of the names of the keys that have one slot.
pub(super) const ONE: &str = "one:";

/// A job of some limit keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guarded {
    /// Its limit keys.
    pub(super) keys: Vec<String>,
    /// The time that it takes.
    pub(super) millis: u64,
    /// Its first end.
    pub(super) end: FirstEnd,
}

/// The end of a job's first run. Each gives the slots back in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FirstEnd {
    /// It completes.
    Completes,
    /// It completes, and does not listen to a cancel.
    Deaf,
    /// It fails, and is tried again.
    Fails,
    /// It panics, and is tried again.
    Panics,
    /// It asks for a pause of its own.
    Snoozes,
    /// It pauses its first key.
    PausesItsKey,
}

/// The state of a worker that runs such jobs.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    /// Its history.
    pub(crate) history: History,
    /// The folder of the lock files.
    pub(crate) locks: PathBuf,
}

/// The pause that a job asks for.
const PAUSE: Duration = Duration::from_millis(100);

impl Job for Guarded {
    const KIND: &'static str = "chaos.guarded";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 1_000;

    type State = Notes;
    type Output = ();

    fn backoff() -> Backoff {
        Backoff { base: PAUSE, factor: 1.0, max: PAUSE, jitter: 0.2 }
    }

    fn limit_keys(&self) -> Vec<String> {
        self.keys.clone()
    }

    async fn run(self, cx: Context<Notes>) -> JobResult<()> {
        let mut locks = Vec::new();
        for key in self.keys.iter().filter(|key| key.starts_with(ONE)) {
            let (lock, met) = Lock::take(&cx.state().locks, key, cx.id().as_str())?;
            locks.push(lock);
            let met = met.into_iter().map(|(holder, holder_pid)| What::LockMet {
                job: cx.id().to_string(),
                pid: std::process::id(),
                holder,
                holder_pid,
            });
            cx.state().history.note(met.collect());
        }
        let work = tokio::time::sleep(Duration::from_millis(self.millis));
        if self.end == FirstEnd::Deaf {
            work.await;
            return Ok(());
        }
        tokio::select! {
            () = work => {}
            () = cx.cancelled() => return Err(JobError::cancel("asked to")),
        }
        let mut is_first = false;
        cx.step("first", || async {
            is_first = true;
            Ok(())
        })
        .await?;
        match self.end {
            FirstEnd::Fails if is_first => Err(JobError::retry("fails the first time")),
            FirstEnd::Panics if is_first => std::panic::resume_unwind(Box::new("panics the first time")),
            FirstEnd::Snoozes if is_first => Err(JobError::snooze(PAUSE, "waits the first time")),
            FirstEnd::PausesItsKey if is_first => Err(JobError::rate_limited(PAUSE, "the provider is busy")),
            _ => Ok(()),
        }
    }
}

/// A lock file that its holder's job and process stand in.
struct Lock {
    path: PathBuf,
    text: String,
}

impl Lock {
    /// Takes a key's lock, and returns the jobs and processes that held it: dead ones leave it behind, and the history
    /// decides whether others still had the right to it.
    fn take(folder: &Path, key: &str, job: &str) -> io::Result<(Self, Vec<(String, u32)>)> {
        let pid = std::process::id();
        let text = format!("{pid} {job}");
        // A link, unlike a file that is made and then written, is never met without its text; as `O_EXCL` has it, only one is
        // made.
        let draft = folder.join(format!("{pid}-{job}-{key}"));
        fs::write(&draft, &text)?;
        let path = folder.join(key);
        let mut met = Vec::new();
        loop {
            match fs::hard_link(&draft, &path) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let holder = fs::read_to_string(&path).unwrap_or_default();
                    let holder = holder.split_once(' ').and_then(|(pid, job)| Some((pid.parse().ok()?, job)));
                    met.extend(holder.map(|(pid, job): (u32, &str)| (job.to_owned(), pid)));
                    let _ = fs::remove_file(&path);
                }
                Err(error) => return Err(error),
            }
        }
        fs::remove_file(&draft)?;
        Ok((Self { path, text }, met))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
