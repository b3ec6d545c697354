//! Calls that need no transaction of several statements.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use longhaul::{Enqueued, Error, Finish, FinishAndClaim, LeaseStatus, NewJob, Result};

use crate::batch::Effects;
use crate::connection::Connection;
use crate::enqueue::{enqueue_drawn, is_drawn};
use crate::error::{SILENCE, copy, is_about_another, unavailable};
use crate::ops::{Answer, Call, Op, claim_of, enqueue_of, finishes_of};
use crate::server_clock::Now;
use crate::turn;
use crate::writer::{Done, Writer};

/// Calls on their way to the server, or back: what one statement can do, in a commit of its own.
pub(crate) type Flying = BoxFuture<'static, Flight>;

/// How many may be: while the server works on one, the answer of another is read and the next is written.
const FLIGHTS: usize = 2;
/// How many turns are not even tried in one statement after one that was not brief: the next will be like it.
const TURNS_TO_PASS: u32 = 16;

/// Calls that have come back.
pub(crate) struct Flight {
    pub(crate) calls: Vec<Call>,
    connection: Arc<Connection>,
    pub(crate) done: Result<Landed>,
}

/// What the one statement has done, and committed.
pub(crate) enum Landed {
    FinishAndClaim(turn::Done),
    /// The answer of each call, and whether any of the jobs is available.
    Enqueued(Vec<Vec<Enqueued>>, bool),
}

/// Whether one statement can do what is asked for: a turn by itself, or enqueues.
pub(crate) fn can_fly(calls: &[Call]) -> bool {
    match calls {
        [Call { op: Op::Finish(finishes) | Op::Claim { finishes, .. }, .. }] => turn::is_brief(finishes),
        calls => !calls.is_empty() && calls.iter().all(is_light),
    }
}

/// Whether a call can fly together with others.
pub(crate) fn is_light(call: &Call) -> bool {
    enqueue_of(call).is_some_and(is_drawn)
}

/// Sends calls that [can fly](can_fly), once this is polled first.
pub(crate) fn fly(connection: Arc<Connection>, calls: Vec<Call>, now: Now, patience: Duration) -> Flying {
    Box::pin(async move {
        let done = async {
            match calls.as_slice() {
                [call @ Call { op: Op::Finish(finishes) | Op::Claim { finishes, .. }, .. }] => {
                    // Whose caller is gone takes nothing.
                    let claim = claim_of(call).filter(|_| !call.reply.is_closed());
                    turn::take(&connection, finishes, claim, now).await.map(Landed::FinishAndClaim)
                }
                calls => {
                    let jobs: Vec<&[NewJob]> = calls.iter().filter_map(enqueue_of).collect();
                    let (enqueued, are_available) = enqueue_drawn(&connection, &jobs, now).await?;
                    Ok(Landed::Enqueued(enqueued, are_available))
                }
            }
        };
        let done = tokio::time::timeout(patience, done).await;
        let done = done.unwrap_or_else(|_| Err(unavailable(SILENCE)));
        Flight { calls, connection, done }
    })
}

impl Writer {
    /// Calls that one statement can do, on their way; or else gives them back.
    pub(super) fn take_off(&mut self, calls: Vec<Call>) -> std::result::Result<Flying, Vec<Call>> {
        if self.look_again || !self.is_timely() || self.flights.len() >= FLIGHTS || !can_fly(&calls) {
            return Err(calls);
        }
        if is_light(&calls[0]) {
            // Those who wait are served in the transaction that creates what they wait for.
            if !self.parked.is_empty() {
                return Err(calls);
            }
        } else if self.turns_to_pass > 0 {
            self.turns_to_pass -= 1;
            return Err(calls);
        }
        let Some(connection) = self.connection.as_ref().filter(|open| !open.client.is_closed()) else {
            return Err(calls);
        };
        Ok(fly(Arc::clone(connection), calls, self.wake.now(&self.clock), self.options.response_timeout))
    }

    /// Sends calls now, so that what is sent later comes after it at the server, too. A task of its own takes the answer:
    /// the connection reads nothing that comes behind an answer which nobody takes.
    pub(super) async fn send(&mut self, mut flight: Flying) {
        match futures::poll!(&mut flight) {
            Poll::Ready(flight) => self.land(flight).await,
            Poll::Pending => self.flights.push(tokio::spawn(flight)),
        }
    }

    /// Answers calls, or does by a transaction what their one statement could not.
    pub(super) async fn land(&mut self, flight: Flight) {
        let Flight { calls, connection, done } = flight;
        match done {
            Ok(Landed::Enqueued(enqueued, made_available)) => {
                let answers = enqueued.into_iter().map(Answer::Enqueued).collect();
                let effects = Effects { made_available, ..Effects::default() };
                // Whoever has begun to wait meanwhile has looked after these jobs were there.
                self.deliver(calls, Done { answers, served: Vec::new(), next_due: self.next_due, effects })
                    .await;
            }
            Ok(Landed::FinishAndClaim(turn)) if turn.is_all => {
                let done = self.done_briefly(&calls, turn);
                self.deliver(calls, done).await;
            }
            Ok(Landed::FinishAndClaim(turn)) => {
                self.turns_to_pass = TURNS_TO_PASS;
                self.transact_or_say(calls, Some(turn.ended)).await;
            }
            Err(error) if matches!(error, Error::Unavailable { .. }) && !is_about_another(&error) => {
                // Whatever else is on its way on it fails by itself.
                self.connection.take_if(|ours| Arc::ptr_eq(ours, &connection));
                calls.into_iter().for_each(|call| drop(call.reply.send(Err(copy(&error)))));
            }
            // It met another transaction, or one of the calls is at fault, which then is told so alone.
            Err(_) => self.transact_or_say(calls, None).await,
        }
    }

    fn done_briefly(&self, calls: &[Call], turn: turn::Done) -> Done {
        let leases = turn.ended.into_iter().chain(turn.claimed.iter().map(|job| job.lease.clone()));
        let effects = Effects { changed: leases.map(|lease| lease.id).collect(), ..Effects::default() };
        let statuses = |finishes: &[Finish]| vec![LeaseStatus::Held; finishes.len()];
        let answer = match calls {
            [Call { op: Op::Claim { finishes, .. }, .. }] => {
                Answer::FinishAndClaim(FinishAndClaim { finished: statuses(finishes), claimed: turn.claimed })
            }
            _ => Answer::Statuses(calls.iter().filter_map(finishes_of).flat_map(statuses).collect()),
        };
        Done { answers: vec![answer], served: Vec::new(), next_due: self.next_due, effects }
    }
}
