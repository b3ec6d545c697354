use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher;
use std::time::Duration;

use longhaul::{Claim, Claimed, Result};

use super::command::ClaimCommand;
use super::write_tx::{Isolation, WriteTx};

/// Claims that found nothing and wait. They are indexed by queue, so that a job which becomes available costs a look at
/// the claims of its own queue only, and of those at one for each set of kinds.
#[derive(Default)]
pub(super) struct Parked {
    /// By ticket, which is the order in which they are served.
    claims: BTreeMap<u64, Waiter>,
    queues: HashMap<String, Waiters>,
    deadlines: BTreeSet<(Duration, u64)>,
    hasher: RandomState,
}

struct Waiter {
    claim: ClaimCommand,
    /// On the clock's monotonic hand.
    deadline: Duration,
    kinds: Kinds,
}

#[derive(Default)]
struct Waiters {
    tickets: BTreeSet<u64>,
    /// The number of them that look for each set of kinds.
    kinds: HashMap<Kinds, usize>,
}

/// A digest of the kinds that a claim asks for and of its worker's labels: two claims with the same one find the same jobs.
type Kinds = u64;

/// The claims that may have something to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Those of the queues in which the transaction made a job available.
    Affected,
    /// All, because it is not known what has changed.
    All,
}

/// The tickets of claims that were served, with what each was given.
pub(super) type Served = Vec<(u64, Result<Vec<Claimed>>)>;

impl Parked {
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// True where claims that wait already look for the same kinds in every queue of this one: they have found nothing, and
    /// whatever comes wakes all of them, so this one need not look.
    pub(super) fn covers(&self, claim: &Claim) -> bool {
        let kinds = self.kinds(claim);
        let mut queues = claim.queues.iter().map(|slots| self.queues.get(&slots.queue));
        queues.all(|waiters| waiters.is_some_and(|waiters| waiters.kinds.contains_key(&kinds)))
    }

    fn kinds(&self, claim: &Claim) -> Kinds {
        let mut kinds: Vec<_> = claim.kinds.iter().map(|kind| (&kind.kind, kind.version)).collect();
        kinds.sort_unstable();
        self.hasher.hash_one((kinds, &claim.worker.labels))
    }

    pub(super) fn park(&mut self, claim: ClaimCommand, deadline: Duration) {
        let kinds = self.kinds(&claim.claim);
        for slots in &claim.claim.queues {
            let waiters = self.queues.entry(slots.queue.clone()).or_default();
            if waiters.tickets.insert(claim.ticket) {
                *waiters.kinds.entry(kinds).or_default() += 1;
            }
        }
        self.deadlines.insert((deadline, claim.ticket));
        self.claims.insert(claim.ticket, Waiter { claim, deadline, kinds });
    }

    pub(super) fn remove(&mut self, ticket: u64) -> Option<ClaimCommand> {
        let Waiter { claim, deadline, kinds } = self.claims.remove(&ticket)?;
        self.deadlines.remove(&(deadline, ticket));
        for slots in &claim.claim.queues {
            let Some(waiters) = self.queues.get_mut(&slots.queue) else { continue };
            if !waiters.tickets.remove(&ticket) {
                continue;
            }
            if let Some(count) = waiters.kinds.get_mut(&kinds) {
                *count -= 1;
                if *count == 0 {
                    waiters.kinds.remove(&kinds);
                }
            }
            if waiters.tickets.is_empty() {
                self.queues.remove(&slots.queue);
            }
        }
        Some(claim)
    }

    /// Takes out the claims whose wait is over.
    pub(super) fn expired(&mut self, now: Duration) -> Vec<ClaimCommand> {
        let over: Vec<u64> = self.deadlines.range(..=(now, u64::MAX)).map(|(_, ticket)| *ticket).collect();
        over.into_iter().filter_map(|ticket| self.remove(ticket)).collect()
    }

    /// Gives waiting claims what there is for them. They stay parked: the transaction may yet be rolled back.
    pub(super) fn serve(&self, tx: &mut WriteTx<'_>, woken: Woken, isolation: Isolation) -> Result<Served> {
        let mut served: Vec<(u64, Result<Vec<Claimed>>)> = Vec::new();
        let queues: Vec<&str> = match woken {
            Woken::All => self.queues.keys().map(String::as_str).collect(),
            Woken::Affected => {
                let names = self.queues.keys().map(String::as_str);
                // The shorter of the two lists is walked.
                match tx.notes.queues_made_available() {
                    affected if affected.len() < self.queues.len() => {
                        let known =
                            affected.iter().filter_map(|queue| self.queues.get_key_value(queue.as_str()));
                        known.map(|(name, _)| name.as_str()).collect()
                    }
                    affected => names.filter(|name| affected.iter().any(|queue| queue == name)).collect(),
                }
            }
        };
        for queue in queues {
            let Some(waiters) = self.queues.get(queue) else { continue };
            // The kinds of which nothing is left in this queue.
            let mut exhausted: HashSet<Kinds> = HashSet::new();
            for ticket in &waiters.tickets {
                if exhausted.len() == waiters.kinds.len() {
                    break;
                }
                let Some(waiter) = self.claims.get(ticket) else { continue };
                let is_served = served.iter().any(|(served, _)| served == ticket);
                if exhausted.contains(&waiter.kinds) || is_served || waiter.claim.reply.is_closed() {
                    continue;
                }
                let claim = &waiter.claim.claim;
                let slots = claim.queues.iter().filter(|slots| slots.queue == queue);
                let wanted: usize = slots.map(|slots| slots.slots).sum();
                let claimed = tx.run_isolated(isolation, |tx| tx.claim_from(claim, queue))?;
                if claimed.as_ref().is_ok_and(|claimed| claimed.len() < wanted) {
                    exhausted.insert(waiter.kinds);
                }
                if !matches!(&claimed, Ok(claimed) if claimed.is_empty()) {
                    served.push((*ticket, claimed));
                }
            }
        }
        Ok(served)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use longhaul::{Claim, QueueSlots};
    use longhaul_conformance::jobs::{HOUR, claim, job, named};
    use tokio::sync::oneshot;

    use super::*;
    use crate::writer::scratch::Scratch;

    /// So many claims of a queue that wait; their callers must be kept, or the claims count as withdrawn.
    fn parked(count: u64, queue: &str) -> (Parked, Vec<oneshot::Receiver<Result<longhaul::FinishAndClaim>>>) {
        let mut parked = Parked::default();
        let mut callers = Vec::new();
        for ticket in 0..count {
            let queues = vec![QueueSlots { queue: queue.into(), slots: 1 }];
            let (reply, caller) = oneshot::channel();
            let claim = Claim { queues, ..claim() };
            parked.park(ClaimCommand { ticket, finishes: Vec::new(), claim, reply }, HOUR);
            callers.push(caller);
        }
        (parked, callers)
    }

    /// The steps of an enqueue in the usual queue and of serving the claims that wait.
    fn cost(parked: &Parked) -> u64 {
        let file = Scratch::new();
        let mut tx = file.begin();
        file.steps(|| {
            tx.enqueue(&[named("a")]).unwrap();
            assert!(parked.serve(&mut tx, Woken::Affected, Isolation::Together).unwrap().is_empty());
        })
    }

    #[test]
    fn claims_that_wait_on_other_queues_cost_an_enqueue_nothing() {
        let (waiting, _callers) = parked(5_000, "idle");
        assert_eq!(cost(&waiting), cost(&Parked::default()));
    }

    #[test]
    fn a_claim_need_not_look_where_others_wait_for_all_that_it_wants() {
        let queues = |names: &[&str]| -> Vec<QueueSlots> {
            names.iter().map(|name| QueueSlots { queue: (*name).into(), slots: 1 }).collect()
        };
        let like_them = Claim { queues: queues(&["idle"]), ..claim() };
        let (mut waiting, _callers) = parked(1, "idle");
        assert!(waiting.covers(&like_them));
        assert!(!waiting.covers(&Claim { queues: queues(&["idle", "other"]), ..claim() }));
        let mut newer = like_them.clone();
        newer.kinds[0].version += 1;
        assert!(!waiting.covers(&newer));
        waiting.remove(0);
        assert!(!waiting.covers(&like_them));
    }

    #[test]
    fn a_job_goes_to_the_claim_that_has_waited_longest_and_the_others_are_not_tried() {
        let queue = job().queue;
        let (mut waiting, _callers) = parked(1_000, &queue);
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.enqueue(&[named("a")]).unwrap();
        let served = file.steps(|| {
            let served = waiting.serve(&mut tx, Woken::Affected, Isolation::Together).unwrap();
            assert_eq!(served.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [0]);
        });
        let (few, _few_callers) = parked(2, &queue);
        let mut tx = {
            drop(tx);
            file.connection.execute_batch("ROLLBACK").unwrap();
            file.begin()
        };
        tx.enqueue(&[named("b")]).unwrap();
        let served_few =
            file.steps(|| drop(few.serve(&mut tx, Woken::Affected, Isolation::Together).unwrap()));
        assert_eq!(served, served_few);
        assert!(waiting.remove(0).is_some() && waiting.remove(0).is_none());
        assert_eq!(waiting.expired(HOUR).len(), 999);
        assert!(waiting.is_empty() && waiting.queues.is_empty());
    }
}
