//! The original document's "fallback to synchronous processing": while the store is unreachable, an analysis runs in
//! the request.
//!
//! It is bounded, so that an outage cannot stampede: a few at a time, one per user, each within a time limit, and a
//! result is cached for later requests.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longhaul::{JobError, JobId, Timestamp, Verdict};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::analysis::Profile;
use crate::app::App;
use crate::error::Error;
use crate::failure::Failure;
use crate::name::Username;
use crate::run::Run;
use crate::start::Wish;

/// Analyses that run in requests at a time.
const AT_ONCE: usize = 4;
/// The time that such a request may take, its wait for the others included.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Answers that are remembered.
const REMEMBERED: usize = 64;
/// For how long they can be asked for as tasks.
const SHOWN_FOR: Duration = Duration::from_secs(3_600);

/// The analyses that go on while the store is away.
#[derive(Debug)]
pub(crate) struct Outage {
    slots: Semaphore,
    /// The users that are being analyzed.
    running: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The newest last.
    answered: Mutex<VecDeque<Answered>>,
}

/// An analysis that was made in a request.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// A task's id that only this process knows, so that clients that poll find what they were given.
    pub(crate) task_id: JobId,
    pub(crate) login: String,
    pub(crate) profile: Arc<Profile>,
    pub(crate) at: Timestamp,
}

impl Default for Outage {
    fn default() -> Self {
        Self { slots: Semaphore::new(AT_ONCE), running: Mutex::default(), answered: Mutex::default() }
    }
}

impl Outage {
    /// The answer that stands for a task.
    pub(crate) fn find_task(&self, task_id: &str, now: Timestamp) -> Option<Answered> {
        let answered = self.answered.lock();
        let mut newest = answered.iter().rev();
        newest.find(|known| known.task_id.as_str() == task_id && known.at.plus(SHOWN_FOR) > now).cloned()
    }

    fn find_user(&self, login: &str, since: Timestamp) -> Option<Answered> {
        let answered = self.answered.lock();
        answered.iter().rev().find(|known| known.login == login && known.at > since).cloned()
    }

    fn remember(&self, answered: Answered) {
        let mut all = self.answered.lock();
        if all.len() >= REMEMBERED {
            all.pop_front();
        }
        all.push_back(answered);
    }
}

impl App {
    /// Makes an analysis in the request, or joins another request that makes it.
    pub(crate) async fn analyze_here(&self, username: &Username, wish: Wish) -> Result<Answered, Error> {
        tracing::warn!(username = username.as_str(), "analyzing within the request, for the store is away");
        let asked_at = self.clock.now();
        let since = match wish {
            Wish::Fresh => asked_at.minus(self.config.cache_ttl),
            Wish::Refreshed => asked_at,
        };
        let login = username.login();
        let turn = Arc::clone(self.outage.running.lock().entry(login.clone()).or_default());
        let answered = tokio::time::timeout(TIME_LIMIT, async {
            let _turn = turn.lock().await;
            match self.outage.find_user(&login, since) {
                Some(answered) => Ok(answered),
                None => self.analyze_in_place(username).await,
            }
        });
        let answered = answered.await.unwrap_or_else(|_| Err(Error::unavailable(Duration::from_secs(10))));
        drop(turn);
        self.outage.running.lock().retain(|_, turn| Arc::strong_count(turn) > 1);
        answered
    }

    async fn analyze_in_place(&self, username: &Username) -> Result<Answered, Error> {
        let Ok(_slot) = self.outage.slots.acquire().await else {
            return Err(Error::unavailable(Duration::from_secs(10)));
        };
        let profile =
            self.analyze(username, Run::Request).await.map_err(|error| self.refusal(username, error))?;
        let answered = Answered {
            task_id: self.task_id(username, 1)?,
            login: username.login(),
            profile: Arc::new(profile),
            at: self.clock.now(),
        };
        self.outage.remember(answered.clone());
        Ok(answered)
    }

    fn refusal(&self, username: &Username, error: JobError) -> Error {
        let wait = match error.verdict {
            Verdict::RateLimited(wait) => Some(wait),
            _ => self.client.barred_for(),
        };
        Failure::of(&error.message).answer(username, error.message, wait)
    }
}
