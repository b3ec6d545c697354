use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use longhaul::{AttemptError, Claimed, Result};
use parking_lot::Mutex;

use crate::driver::Driver;
use crate::finish::error_tail;
use crate::scripts;

/// Claims whose answers were lost with a connection. Their jobs are not run, so that they are reverted before their
/// worker claims again: they would otherwise wait for the end of their leases, and count as crashes.
#[derive(Debug, Default)]
pub(crate) struct LostClaims {
    /// The highest token that this process was given. Those of a lost claim are higher.
    highest: AtomicU64,
    is_any: AtomicBool,
    by_worker: Mutex<HashMap<String, Lost>>,
}

#[derive(Clone, Debug)]
struct Lost {
    floor: u64,
    /// Tokens above the floor that the worker was given all the same.
    known: Vec<u64>,
}

impl LostClaims {
    /// The token above which those of a claim will be that is sent now.
    pub(crate) fn floor(&self) -> u64 {
        self.highest.load(Ordering::SeqCst)
    }

    /// Notes a claim that was answered.
    pub(crate) fn answered(&self, worker: &str, claimed: &[Claimed]) {
        let tokens = claimed.iter().map(|job| job.lease.token);
        let Some(highest) = tokens.clone().max() else { return };
        self.highest.fetch_max(highest, Ordering::SeqCst);
        if self.is_any.load(Ordering::SeqCst)
            && let Some(lost) = self.by_worker.lock().get_mut(worker)
        {
            lost.known.extend(tokens);
        }
    }

    /// Notes a claim that may have been made, and whose answer will not come.
    pub(crate) fn lose(&self, worker: &str, floor: u64) {
        let mut by_worker = self.by_worker.lock();
        let lost = by_worker.entry(worker.to_owned()).or_insert(Lost { floor, known: Vec::new() });
        lost.floor = lost.floor.min(floor);
        self.is_any.store(true, Ordering::SeqCst);
    }

    /// Takes back what a worker's lost claims were given.
    pub(crate) async fn take_back(&self, driver: &Driver, worker: &str) -> Result<()> {
        if !self.is_any.load(Ordering::SeqCst) {
            return Ok(());
        }
        let Some(lost) = self.by_worker.lock().get(worker).cloned() else { return Ok(()) };
        let mut arguments = vec![
            error_tail(&AttemptError::cancelled()).into_bytes(),
            worker.as_bytes().to_vec(),
            lost.floor.to_string().into_bytes(),
        ];
        arguments.extend(lost.known.iter().map(|token| token.to_string().into_bytes()));
        driver.call_noting(&scripts::UNCLAIM_LOST, arguments).await?;
        let mut by_worker = self.by_worker.lock();
        by_worker.remove(worker);
        self.is_any.store(!by_worker.is_empty(), Ordering::SeqCst);
        Ok(())
    }
}
