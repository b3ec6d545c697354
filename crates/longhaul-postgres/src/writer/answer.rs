use std::time::Duration;

use longhaul::{FinishAndClaim, Lease};
use tokio::sync::oneshot;

use super::{Done, Writer};
use crate::batch::Effects;
use crate::ops::{Answer, Call, Op, claim_of};

impl Writer {
    /// Answers everybody, and parks the claims that found nothing and may wait.
    pub(super) async fn deliver(&mut self, calls: Vec<Call>, done: Done) {
        let Done { answers, served, next_due, effects } = done;
        self.next_due = next_due;
        self.look_again |= effects.stopped_early;
        self.tell(&effects);
        let now = self.clock.now();
        let mut unheard = Vec::new();
        if !served.is_empty() {
            for ((call, deadline), claimed) in std::mem::take(&mut self.parked).into_iter().zip(served) {
                if claimed.is_empty() {
                    self.parked.push((call, deadline));
                } else {
                    unheard.extend(send_turn(call, FinishAndClaim { finished: Vec::new(), claimed }));
                }
            }
        }
        for (call, answer) in calls.into_iter().zip(answers) {
            match answer {
                Answer::FinishAndClaim(turn) => {
                    let wait = claim_of(&call).map_or(Duration::ZERO, |claim| claim.wait);
                    // A finish wants its answer now; only a claim by itself may wait.
                    let waits = turn.claimed.is_empty() && turn.finished.is_empty() && !wait.is_zero();
                    match waits {
                        true => self.parked.push((call, now.plus(wait))),
                        false => unheard.extend(send_turn(call, turn)),
                    }
                }
                // A caller who has gone away does not want to know.
                answer => drop(call.reply.send(Ok(answer))),
            }
        }
        self.parked.retain(|(call, _)| !call.reply.is_closed());
        if !unheard.is_empty() {
            self.take_back(unheard).await;
        }
    }

    /// A caller went away while its claim was being committed: nobody runs these jobs, so they are made available
    /// again at once instead of after their lease.
    async fn take_back(&mut self, leases: Vec<Lease>) {
        let (reply, _) = oneshot::channel();
        let call = [Call { op: Op::Unclaim(leases), reply }];
        // Put aside, so that this transaction gives them nothing: whoever of them has gone away meanwhile would have to
        // be taken back from in turn. They are looked after in the next one.
        let parked = std::mem::take(&mut self.parked);
        let undone = self.attempt(&call, false, None).await;
        self.parked = parked;
        match undone {
            Ok(done) => {
                self.tell(&done.effects);
                self.look_again = true;
            }
            Err(error) => tracing::warn!("failed to take a claim back; its lease will expire: {error}"),
        }
    }

    /// Tells those who wait, here and elsewhere, what a transaction has changed.
    fn tell(&self, effects: &Effects) {
        for id in &effects.changed {
            self.signals.send(id.as_str());
        }
        self.news.tell(effects);
    }

    pub(super) fn answer_expired(&mut self) {
        let now = self.clock.now();
        for (call, deadline) in std::mem::take(&mut self.parked) {
            if deadline <= now {
                let _ = call.reply.send(Ok(Answer::FinishAndClaim(FinishAndClaim::default())));
            } else if !call.reply.is_closed() {
                self.parked.push((call, deadline));
            }
        }
    }
}

/// Answers the leases of a claim that nobody heard of.
fn send_turn(call: Call, turn: FinishAndClaim) -> Vec<Lease> {
    match call.reply.send(Ok(Answer::FinishAndClaim(turn))) {
        Err(Ok(Answer::FinishAndClaim(turn))) => turn.claimed.into_iter().map(|job| job.lease).collect(),
        _ => Vec::new(),
    }
}
