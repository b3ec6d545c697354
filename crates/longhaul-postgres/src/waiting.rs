use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use longhaul::{Claim, Timestamp};

use crate::call::Call;

/// Claims that found nothing and wait, in the order in which they came: looked up by queue, so that a job costs nothing
/// to those who wait elsewhere.
#[derive(Default)]
pub(crate) struct Waiting {
    claims: BTreeMap<u64, (Call, Timestamp)>,
    by_queue: HashMap<String, BTreeSet<u64>>,
    by_deadline: BTreeSet<(Timestamp, u64)>,
    /// The number of claims that want jobs of a queue, a kind and the versions up to one, for workers of the same labels.
    sources: HashMap<ClaimSource, usize>,
    next: u64,
    /// Callers who have gone away are looked for when there are more claims than this.
    crowded: usize,
}

/// A queue, a kind and the newest version of it that is wanted, and the worker's labels, by which jobs are for it or not.
pub(crate) type ClaimSource = (String, String, i64, BTreeMap<String, String>);

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Lets a claim wait, until `deadline` on this machine's clock.
    pub(crate) fn park(&mut self, call: Call, deadline: Timestamp) {
        let number = self.next;
        self.next += 1;
        for source in call.claim().into_iter().flat_map(sources) {
            self.by_queue.entry(source.0.clone()).or_default().insert(number);
            *self.sources.entry(source).or_default() += 1;
        }
        self.by_deadline.insert((deadline, number));
        self.claims.insert(number, (call, deadline));
        if self.claims.len() > self.crowded {
            self.forget_closed();
            self.crowded = 2 * self.claims.len().max(512);
        }
    }

    /// True where claims that wait already look for every kind in every queue of this one: they have found nothing, and
    /// whatever comes wakes all of them, so this one need not look.
    pub(crate) fn covers(&self, claim: &Claim) -> bool {
        sources(claim).all(|source| self.sources.contains_key(&source))
    }

    /// Takes a claim out, to be answered.
    pub(crate) fn take(&mut self, number: u64) -> Option<Call> {
        let (call, deadline) = self.claims.remove(&number)?;
        self.by_deadline.remove(&(deadline, number));
        for source in call.claim().into_iter().flat_map(sources) {
            if let Some(numbers) = self.by_queue.get_mut(&source.0) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_queue.remove(&source.0);
                }
            }
            if let Some(count) = self.sources.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    self.sources.remove(&source);
                }
            }
        }
        Some(call)
    }

    pub(crate) fn has_queue(&self, queue: &str) -> bool {
        self.by_queue.contains_key(queue)
    }

    /// The claims that want jobs of any of these queues, in their order.
    pub(crate) fn of_queues(
        &self,
        queues: impl Iterator<Item = impl AsRef<str>>,
    ) -> impl Iterator<Item = (u64, &Call)> {
        let numbers: BTreeSet<u64> =
            queues.filter_map(|queue| self.by_queue.get(queue.as_ref())).flatten().copied().collect();
        numbers.into_iter().filter_map(|number| Some((number, &self.claims.get(&number)?.0)))
    }

    /// Everything that is waited for, once.
    pub(crate) fn sources(&self) -> impl ExactSizeIterator<Item = &ClaimSource> {
        self.sources.keys()
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out the claims whose wait is over.
    pub(crate) fn take_expired(&mut self, now: Timestamp) -> Vec<Call> {
        let mut expired = Vec::new();
        while let Some((_, number)) = self.by_deadline.first().copied().filter(|(at, _)| *at <= now) {
            expired.extend(self.take(number));
        }
        expired
    }

    fn forget_closed(&mut self) {
        let closed = self.claims.iter().filter(|(_, (call, _))| call.reply.is_closed());
        for number in closed.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.take(number);
        }
    }

    /// Stands for the queues and kinds of a claim and its worker's labels: claims of one number find the same jobs.
    pub(crate) fn wanted(claim: &Claim) -> u64 {
        let mut hasher = DefaultHasher::new();
        for queue in claim.queues.iter().filter(|queue| queue.slots > 0) {
            queue.queue.hash(&mut hasher);
        }
        for known in &claim.kinds {
            (&known.kind, known.version).hash(&mut hasher);
        }
        claim.worker.labels.hash(&mut hasher);
        hasher.finish()
    }
}

fn sources(claim: &Claim) -> impl Iterator<Item = ClaimSource> {
    claim.queues.iter().filter(|queue| queue.slots > 0).flat_map(|queue| {
        let of_kind = |known: &longhaul::SupportedKind| {
            (queue.queue.clone(), known.kind.clone(), known.version.into(), claim.worker.labels.clone())
        };
        claim.kinds.iter().map(of_kind)
    })
}

#[cfg(test)]
mod tests {
    use longhaul_conformance::jobs::{claim, slots};

    use super::*;
    use crate::call::Op;

    fn park(waiting: &mut Waiting, queue: &str, deadline: i64) {
        let claim = Claim { queues: vec![slots(queue, 1)], ..claim() };
        let (call, answer) = Call::new(Op::Claim { finishes: Vec::new(), claim });
        // The caller waits for ever.
        std::mem::forget(answer);
        waiting.park(call, Timestamp(deadline));
    }

    #[test]
    fn claims_are_found_by_their_queue_in_the_order_in_which_they_came() {
        let mut waiting = Waiting::default();
        for queue in ["images", "mail", "images"] {
            park(&mut waiting, queue, 10);
        }
        let found = |waiting: &Waiting, queue: &str| -> Vec<u64> {
            waiting.of_queues([queue].iter()).map(|(number, _)| number).collect()
        };
        assert_eq!((found(&waiting, "images"), found(&waiting, "mail")), (vec![0, 2], vec![1]));
        assert!(waiting.take(0).is_some() && waiting.take(0).is_none());
        assert_eq!(found(&waiting, "images"), [2]);
        waiting.take(2);
        assert!(!waiting.has_queue("images") && waiting.has_queue("mail"));
        assert_eq!(waiting.sources().map(|(queue, ..)| queue.as_str()).collect::<Vec<_>>(), ["mail"]);
    }

    #[test]
    fn a_claim_need_not_look_where_others_wait_for_all_that_it_wants() {
        let mut waiting = Waiting::default();
        park(&mut waiting, "images", 10);
        let of = |queues: &[&str]| Claim {
            queues: queues.iter().map(|queue| slots(queue, 2)).collect(),
            ..claim()
        };
        assert!(waiting.covers(&of(&["images"])) && !waiting.covers(&of(&["images", "mail"])));
        let mut newer = of(&["images"]);
        newer.kinds[0].version += 1;
        assert!(!waiting.covers(&newer));
        waiting.take(0);
        assert!(!waiting.covers(&of(&["images"])));
    }

    #[test]
    fn a_claim_whose_wait_is_over_is_taken_out_once() {
        let mut waiting = Waiting::default();
        park(&mut waiting, "images", 10);
        park(&mut waiting, "images", 5);
        assert_eq!(waiting.next_deadline(), Some(Timestamp(5)));
        assert_eq!(waiting.take_expired(Timestamp(5)).len(), 1);
        assert_eq!(waiting.take_expired(Timestamp(20)).len(), 1);
        assert!(waiting.is_empty() && waiting.next_deadline().is_none() && !waiting.has_queue("images"));
    }

    #[test]
    fn claims_whose_callers_have_gone_away_are_forgotten() {
        let mut waiting = Waiting::default();
        for _ in 0..5_000 {
            let (call, _) = Call::new(Op::Claim { finishes: Vec::new(), claim: claim() });
            waiting.park(call, Timestamp(10));
        }
        assert!(waiting.claims.len() < 2_000, "{}", waiting.claims.len());
    }
}
