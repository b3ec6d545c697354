//! Pipelined statements of the writer: their sending, and the processing of their answers.

use std::sync::Arc;
use std::task::Poll;

use futures::future::BoxFuture;
use longhaul::{Finish, FinishAndClaim, LeaseStatus};

use crate::call::{Answer, Call, Op, Verdict};
use crate::error::{copy, is_outage};
use crate::finish_and_claim::{self, Jobs};
use crate::pipelined::{self, Pipelined, Statement, are_simple, is_simple};
use crate::state::Look;
use crate::transactor::{Done, Fold};
use crate::write_tx::{Effects, Unfinished};
use crate::writer::Writer;

/// The most statements on their way: while the server works on one, the answer of another is read.
const PIPELINE: usize = 2;
/// Finishes with a claim that are not even tried in one statement after one that was not simple: the next will be like it.
const GENERAL_CALLS: u32 = 16;
/// Turns without a job with limit keys after which claims are as if there were none.
const PLAIN_CLAIMS: u32 = 16;
/// Jobs with limit keys that are claimed before what their statements have noted is folded in.
const CLAIMED_UNFOLDED: usize = 2_000;

impl Writer {
    /// True where no statement may be sent before another is answered.
    pub(super) fn is_full(&self) -> bool {
        self.pipelined.len() >= PIPELINE
    }

    /// The statement of [simple](are_simple) calls, which is sent once it is polled first; or else gives them back.
    pub(super) fn pipeline(
        &mut self,
        calls: Vec<Call>,
    ) -> std::result::Result<BoxFuture<'static, Pipelined>, Vec<Call>> {
        if self.is_full() || self.wants_look() || !self.transactor.is_timely() || !are_simple(&calls) {
            return Err(calls);
        }
        if is_simple(&calls[0]) {
            // Those who wait are served in the transaction that creates what they wait for.
            let mut jobs = calls.iter().filter_map(Call::jobs).flatten();
            if !self.waiting.is_empty() && jobs.any(|job| self.waiting.has_queue(&job.queue)) {
                return Err(calls);
            }
        } else if self.general_calls > 0 {
            self.general_calls -= 1;
            return Err(calls);
        }
        let of = if self.transactor.claims_keyed() { Jobs::Keyed } else { Jobs::Plain };
        let Some(connection) = self.transactor.connection.as_ref().filter(|open| !open.client.is_closed())
        else {
            return Err(calls);
        };
        let connection = Arc::clone(connection);
        let now = self.transactor.state.now(&self.transactor.clock);
        let patience = self.transactor.options.response_timeout;
        let claim_number = self.transactor.number_claim();
        let observers = Arc::clone(&self.transactor.observers);
        Ok(Box::pin(pipelined::run(connection, calls, of, now, claim_number, patience, observers)))
    }

    /// Sends a statement now, so that the server gets later ones after it. A task of its own takes the answer: the
    /// connection reads nothing after an answer that is not taken.
    pub(super) async fn send(&mut self, mut statement: BoxFuture<'static, Pipelined>) {
        match futures::poll!(&mut statement) {
            Poll::Ready(answered) => self.complete(answered).await,
            Poll::Pending => self.pipelined.push(tokio::spawn(statement)),
        }
    }

    /// Answers calls, or does by a transaction what their one statement could not.
    pub(super) async fn complete(&mut self, pipelined: Pipelined) {
        let Pipelined { calls, connection, claim_number, result } = pipelined;
        match result {
            Ok(Statement::Enqueued(enqueued, effects)) => {
                let verdicts = enqueued.into_iter().map(|jobs| Verdict::Answered(Answer::Enqueued(jobs)));
                // Claims that have begun to wait meanwhile have looked after these jobs were there.
                self.transactor.state.note_write(Ok(()));
                self.transactor.tell(&effects);
                let done = self.done(verdicts.collect());
                self.deliver(calls, done);
            }
            Ok(Statement::Bounded) => self.transact_or_log(calls, None).await,
            Ok(Statement::FinishAndClaim(statement)) if statement.is_all => {
                self.complete_call(calls, statement).await;
            }
            Ok(Statement::FinishAndClaim(statement)) => {
                // These are durable, whatever becomes of the rest.
                self.transactor.tell(&Effects { noted: statement.noted, ..Effects::default() });
                if !statement.is_empty {
                    self.general_calls = GENERAL_CALLS;
                }
                self.transact_or_log(calls, Some(statement.ended)).await;
            }
            Err(error) if is_outage(&error) => {
                self.transactor.state.note_write(Err(&error));
                // Whatever else is on its way on it fails by itself.
                self.transactor.connection.take_if(|ours| Arc::ptr_eq(ours, &connection));
                if calls.iter().any(|call| call.claim().is_some()) {
                    self.transactor.lost_claims.push(claim_number);
                }
                calls.into_iter().for_each(|call| drop(call.reply.send(Err(copy(&error)))));
            }
            // It conflicted with another transaction, or one of the calls is at fault and fails alone.
            Err(_) => self.transact_or_log(calls, None).await,
        }
    }

    async fn complete_call(&mut self, calls: Vec<Call>, statement: finish_and_claim::Done) {
        let leases =
            statement.ended.runs.into_iter().chain(statement.claimed.iter().map(|job| job.lease.clone()));
        let changed = leases.map(|lease| lease.id).collect();
        self.note_keyed(statement.claimed_keyed, statement.claimed.len());
        self.transactor.tell(&Effects { changed, noted: statement.noted, ..Effects::default() });
        let statuses = |finishes: &[Finish]| vec![LeaseStatus::Held; finishes.len()];
        let claimed = statement.claimed;
        let answer = match calls.as_slice() {
            [Call { op: Op::Claim { finishes, .. }, .. }] => {
                Answer::FinishAndClaim(FinishAndClaim { finished: statuses(finishes), claimed })
            }
            calls => Answer::Statuses(calls.iter().filter_map(Call::finishes).flat_map(statuses).collect()),
        };
        let done = self.done(vec![Verdict::Answered(answer)]);
        self.deliver(calls, done);
        for (lease, reason) in statement.unreadable {
            if let Err(error) = self.transactor.one(Op::FailUnreadable(lease, reason)).await {
                tracing::warn!("failed to end a job that cannot be read; its lease will expire: {error}");
            }
        }
    }

    /// Notes how many of the jobs that a statement has claimed have limit keys. What it has noted of them is folded in now and then,
    /// where no sweep does it before.
    fn note_keyed(&mut self, keyed: usize, claimed: usize) {
        match (keyed, claimed) {
            (_, 0) => {}
            (0, _) => self.plain_claims += 1,
            _ => self.plain_claims = 0,
        }
        if self.plain_claims >= PLAIN_CLAIMS {
            self.plain_claims = 0;
            self.transactor.note_claims_keyed(false);
        }
        self.claimed_unfolded += keyed;
        if self.claimed_unfolded >= CLAIMED_UNFOLDED {
            self.claimed_unfolded = 0;
            self.fold = Fold::All;
        }
    }

    fn done(&self, verdicts: Vec<Verdict>) -> Done {
        Done {
            verdicts,
            served: Vec::new(),
            next: self.next,
            look: Look::default(),
            unfinished: Unfinished::default(),
        }
    }
}
