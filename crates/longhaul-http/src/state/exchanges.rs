//! Requests of remote workers that may be sent again, and their answers.
//!
//! A worker whose connection broke cannot know whether its request was heard. Where it had an `Idempotency-Key`, the
//! worker sends it again: what was done is not done a second time but answered again, and what a claim had taken is
//! given back before the claim is made anew, because nobody has it. Both hold for as long as this process remembers:
//! a minute. After that, and on another server, finishes are still fenced by their leases; entries may then be written
//! twice, and claimed jobs wait for their leases to end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use longhaul::clock::Stopwatch;
use longhaul::{Acted, Claimed, Finish, Lease, LeaseStatus, Outcome, Signalled, Store};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::auth::WorkerCaller;
use crate::extract::BodyDigest;
use crate::idempotency;
use crate::problem::{Code, Problem};

/// The time for which a request is remembered.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// The most requests that are remembered; the oldest are forgotten first.
const MOST: usize = 50_000;

/// The requests of the last minute, by caller and key.
#[derive(Debug, Default)]
pub(crate) struct Exchanges(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_key: HashMap<String, Arc<Exchange>>,
    /// The keys, oldest first.
    begun: VecDeque<(Stopwatch, String)>,
}

/// One request, and each time that it is sent again.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    progress: Arc<tokio::sync::Mutex<Progress>>,
    /// The body that it came with.
    digest: Mutex<Option<BodyDigest>>,
    /// Fired when the request comes again, so that the task which still waits for the first one's sake makes room.
    superseded: Mutex<CancellationToken>,
}

/// The progress of a request.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The answer, claims aside.
    pub(crate) answer: Option<Answer>,
    /// The leases that were claimed for it.
    pub(crate) taken: Vec<Lease>,
    /// True once its caller has reported that it does not get the answer.
    pub(crate) abandoned: bool,
}

/// An answer that can be given again.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Statuses(Vec<LeaseStatus>),
    Acted(Acted),
    Signalled(Signalled),
}

/// A request that is being answered. No other one with its key is while this lives.
#[derive(Debug)]
pub(crate) struct ExchangeGuard {
    pub(crate) progress: OwnedMutexGuard<Progress>,
    /// Fired when the request has come again.
    pub(crate) superseded: CancellationToken,
}

impl Exchanges {
    /// The exchange that a request belongs to, if it has a key.
    ///
    /// # Errors
    /// 400 where the key is not 1–255 printable characters, 422 where it came with another body before.
    pub(crate) fn of(
        &self,
        headers: &HeaderMap,
        caller: &WorkerCaller,
        route: &str,
        digest: BodyDigest,
    ) -> Result<Option<Arc<Exchange>>, Problem> {
        let Some(key) = idempotency::key(headers)? else { return Ok(None) };
        let exchange = self.named(caller, route, key);
        if *exchange.digest.lock().get_or_insert(digest) != digest {
            return Err(Problem::new(
                Code::IdempotencyKeyReused,
                "this idempotency-key was used for another request",
            ));
        }
        Ok(Some(exchange))
    }

    /// The exchange of this key.
    pub(crate) fn named(&self, caller: &WorkerCaller, route: &str, key: &str) -> Arc<Exchange> {
        let key = format!("{}\n{route}\n{key}", caller.key);
        let mut remembered = self.0.lock();
        remembered.forget();
        if let Some(exchange) = remembered.by_key.get(&key) {
            return Arc::clone(exchange);
        }
        let exchange = Arc::<Exchange>::default();
        remembered.by_key.insert(key.clone(), Arc::clone(&exchange));
        remembered.begun.push_back((Stopwatch::start(), key));
        exchange
    }
}

impl Remembered {
    fn forget(&mut self) {
        while let Some((begun, _)) = self.begun.front()
            && (begun.elapsed() >= KEPT_FOR || self.begun.len() >= MOST)
        {
            if let Some((_, key)) = self.begun.pop_front() {
                self.by_key.remove(&key);
            }
        }
    }
}

impl Exchange {
    /// Begins to answer: waits until an earlier request with the same key, which is asked to end, has ended.
    pub(crate) async fn begin(&self) -> ExchangeGuard {
        let superseded = CancellationToken::new();
        std::mem::replace(&mut *self.superseded.lock(), superseded.clone()).cancel();
        ExchangeGuard { progress: Arc::clone(&self.progress).lock_owned().await, superseded }
    }
}

impl Progress {
    /// Releases the jobs that were claimed for a request whose answer was not delivered.
    pub(crate) async fn give_back(&mut self, store: &dyn Store) -> longhaul::Result<usize> {
        give_back(store, &self.taken).await?;
        Ok(std::mem::take(&mut self.taken).len())
    }

    pub(crate) fn note_taken(&mut self, claimed: &[Claimed]) {
        self.taken.extend(claimed.iter().map(|claimed| claimed.lease.clone()));
    }
}

/// Releases jobs that were not begun. A snooze of no length costs neither an attempt nor an interruption, because there
/// was none; leases that have ended meanwhile are lost, which has the same effect.
pub(crate) async fn give_back(store: &dyn Store, leases: &[Lease]) -> longhaul::Result<()> {
    if leases.is_empty() {
        return Ok(());
    }
    let untouched = |lease: &Lease| Finish {
        lease: lease.clone(),
        outcome: Outcome::Snoozed { delay: Duration::ZERO },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: None,
    };
    store.finish(leases.iter().map(untouched).collect()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> WorkerCaller {
        WorkerCaller::named("open")
    }

    #[tokio::test]
    async fn a_request_that_comes_again_supersedes_the_first_and_sees_how_far_it_came() {
        let exchanges = Exchanges::default();
        let mut first = exchanges.named(&caller(), "claim", "k").begin().await;
        let again = exchanges.named(&caller(), "claim", "k");
        let second = tokio::spawn(async move { again.begin().await });
        first.superseded.cancelled().await;
        first.progress.abandoned = true;
        assert!(!second.is_finished(), "one at a time");
        drop(first);
        let second = second.await.unwrap();
        assert!(second.progress.abandoned && !second.superseded.is_cancelled());
        assert!(!exchanges.named(&caller(), "turn", "k").begin().await.progress.abandoned, "another route");
        let other = exchanges.named(&WorkerCaller::named("token"), "claim", "k");
        assert!(!other.begin().await.progress.abandoned, "another caller");
    }

    #[test]
    fn no_caller_can_make_it_grow_without_end() {
        let exchanges = Exchanges::default();
        for n in 0..MOST + 10 {
            exchanges.named(&caller(), "claim", &n.to_string());
        }
        let remembered = exchanges.0.lock();
        assert_eq!((remembered.by_key.len(), remembered.begun.len()), (MOST, MOST));
    }
}
