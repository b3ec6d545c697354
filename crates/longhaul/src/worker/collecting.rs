use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::call::run_call;
use super::dispatch::Dispatch;
use super::gather::{Gather, GatherClaim, Gathered, Gathering, left_out};
use super::running::RunningJob;
use super::settle::End;
use super::task::{CallSlot, Slot, Task, release};

/// The part of a dispatcher that groups jobs of collected kinds into calls. Each kind claims by itself, and holds its
/// jobs until a call is due, which takes one slot. If jobs of other kinds wait for the same slots, calls and single
/// jobs alternate.
impl Dispatch {
    /// Claims for each kind that has room.
    pub(super) fn open_gather_claims(&mut self) {
        if self.gathers.is_empty() || self.left(&self.claims).is_some() {
            return;
        }
        let free: Vec<usize> = self.queues.iter().map(|queue| queue.free).collect();
        for n in 0..self.gathers.len() {
            let gather = &mut self.gathers[n];
            gather.review_claim(&free);
            if gather.is_claiming() {
                continue;
            }
            let wanted = gather.wanted(&free);
            if wanted.iter().all(|jobs| *jobs == 0) {
                continue;
            }
            let wait = if gather.is_dry() { self.longest_poll() } else { Duration::ZERO };
            let claim = self.claim(vec![self.gathers[n].kind.clone()], &wanted, wait);
            let (store, clock) = (Arc::clone(self.longhaul.store()), self.runtime.clock.clone());
            let answer = async move { (clock.monotonic(), store.claim(claim).await) }.boxed();
            self.gathers[n].begin_claim(GatherClaim { wanted, wait, answer });
        }
    }

    pub(super) fn note_gathering(&mut self, gather: usize, gathering: Gathering) {
        match gathering {
            Gathering::Claimed { leased, wanted, claimed } => {
                if let Ok(jobs) = &claimed {
                    self.gathers[gather].note_claim(wanted, jobs.len());
                }
                self.note_claim(leased, claimed);
            }
            Gathering::LeftOut { run } => {
                let Some(Gathered { job, .. }) = self.gathers[gather].remove(run) else { return };
                match left_out(&job) {
                    Some(finish) => self.unsent.push(End { run, finish }),
                    None => {
                        self.stats.counters().leases_lost.add(1);
                        self.active.remove(&[run]);
                    }
                }
            }
        }
    }

    /// The gather of a kind, where it is collected.
    pub(super) fn gather_of(&mut self, job: &RunningJob) -> Option<&mut Gather> {
        self.gathers.iter_mut().find(|gather| gather.kind.kind == job.claimed.kind)
    }

    /// The gather and the group of the call that has been ready for the longest time.
    pub(super) fn ready_call(&self, queue: usize) -> Option<(usize, usize)> {
        let free = self.queues[queue].free;
        let ready = self.gathers.iter().enumerate();
        let ready =
            ready.filter_map(|(n, gather)| gather.ready(queue, free).map(|(since, group)| (since, n, group)));
        ready.min().map(|(_, gather, group)| (gather, group))
    }

    /// Starts a call in a slot that was taken for it.
    pub(super) fn start_call(&mut self, queue: usize, gather: usize, group: usize) {
        let taken = self.gathers[gather].take(group);
        let stack = Arc::clone(&self.stack);
        let (clock, active) = (self.runtime.clock.clone(), self.active.clone());
        let slot = CallSlot::new(queue, self.ended.clone());
        let members: Vec<_> = taken
            .into_iter()
            .map(|Gathered { run, job, .. }| {
                let task = Task::new(run, Slot::OfCall(queue), Arc::clone(&job), self.ended.clone());
                (job, task.execute(Arc::clone(&stack)))
            })
            .collect();
        let kind = self.gathers[gather].kind.kind.clone();
        self.runtime.spawn(async move {
            let _slot = slot;
            if let Some(runner) = stack.registry.get(&kind) {
                run_call(runner, members, &clock, active.aborted()).await;
            }
        });
    }

    /// Gives back jobs that have waited too long for a slot.
    pub(super) fn give_back_gathered(&mut self) {
        let given_up: Vec<Gathered> = self.gathers.iter_mut().flat_map(Gather::give_up).collect();
        self.release_gathered(given_up);
    }

    /// Gives back all jobs that are not run yet.
    pub(super) fn close_gathers(&mut self) {
        let left: Vec<Gathered> = self.gathers.iter_mut().flat_map(Gather::close).collect();
        self.release_gathered(left);
    }

    fn release_gathered(&mut self, gathered: Vec<Gathered>) {
        let ends = gathered.into_iter().map(|Gathered { run, job, .. }| End { run, finish: release(&job) });
        self.unsent.extend(ends);
    }
}
