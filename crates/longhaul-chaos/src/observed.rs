//! A store that notes in the history what is claimed and finished through it.

use std::sync::Arc;

use longhaul::testing::Intercept;
use longhaul::{Claimed, Finish, Lease, LeaseStatus, Outcome, Store, Timestamp};

use crate::history::{Accepted, End, History, What};

/// The store of a worker under observation.
pub(crate) fn observed(store: Arc<dyn Store>, history: History) -> Intercept {
    let notes = Arc::new(Notes(history));
    Intercept::over(store, move |store, call| {
        let notes = Arc::clone(&notes);
        async move {
            let (asked, ends) = (notes.0.now(), ends(call.finishes()));
            notes.finishing(&ends);
            let mut answer = call.on(store.as_ref()).await?;
            notes.finished(ends, answer.statuses(), asked);
            notes.claimed(answer.claimed(), asked);
            Ok(answer)
        }
    })
}

struct Notes(History);

impl Notes {
    fn claimed(&self, claimed: &[Claimed], asked: Timestamp) {
        let pid = std::process::id();
        let seen = claimed.iter().map(|job| What::Claimed {
            job: job.lease.id.to_string(),
            token: job.lease.token,
            pid,
            asked,
        });
        self.note(seen.collect());
    }

    fn finishing(&self, ends: &[(Lease, End)]) {
        let seen =
            ends.iter().map(|(lease, _)| What::Finishing { job: lease.id.to_string(), token: lease.token });
        self.note(seen.collect());
    }

    fn finished(&self, ends: Vec<(Lease, End)>, statuses: &[LeaseStatus], asked: Timestamp) {
        let pid = std::process::id();
        let seen = ends.into_iter().zip(statuses).map(|((lease, outcome), status)| What::Finished {
            job: lease.id.to_string(),
            token: lease.token,
            pid,
            outcome,
            accepted: if *status == LeaseStatus::Lost { Accepted::No } else { Accepted::Yes },
            asked,
        });
        self.note(seen.collect());
    }

    fn note(&self, seen: Vec<What>) {
        if !seen.is_empty() {
            self.0.note(seen);
        }
    }
}

fn ends(finishes: &[Finish]) -> Vec<(Lease, End)> {
    let end = |finish: &Finish| match finish.outcome {
        Outcome::Completed { .. } => End::Completed,
        Outcome::RateLimited { delay } => End::RateLimited(delay.as_millis() as u64),
        _ => End::Other,
    };
    finishes.iter().map(|finish| (finish.lease.clone(), end(finish))).collect()
}
