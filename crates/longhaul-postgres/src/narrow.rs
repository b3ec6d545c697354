use longhaul::{Claim, Error, Finish, FinishAndClaim, Lease, LeaseStatus, Record, Result, admit};

use crate::call::{Answer, Call, Op, Verdict};
use crate::error::{copy, is_lock_timeout, is_outage, is_serialization_failure};
use crate::transactor::{Locks, Transactor, Work};

impl Transactor {
    /// Finds the calls that a failure is about: halves the transaction until each call that fails is alone, so that the
    /// others are carried out. An outage fails all that are left.
    pub(crate) async fn narrow(&mut self, calls: Vec<Call>, error: Error) -> Vec<(Call, Verdict)> {
        let mut settled = Vec::new();
        let mut groups = vec![(calls, error)];
        while let Some((mut calls, error)) = groups.pop() {
            if is_outage(&error) {
                groups.push((calls, error));
                break;
            }
            let second = calls.split_off(calls.len().div_ceil(2));
            if second.is_empty() {
                if let Some(call) = calls.pop() {
                    let verdict = self.settle_alone(&call, error).await;
                    settled.push((call, verdict));
                }
                continue;
            }
            for group in [calls, second] {
                match self.attempt(&Work::of(&group, Locks::Brief)).await {
                    Ok(done) => settled.extend(group.into_iter().zip(done.verdicts)),
                    Err(error) => groups.push((group, error)),
                }
            }
        }
        // Groups that failed for another reason have met the same outage by now.
        let outage = groups.iter().map(|(_, error)| error).find(|error| is_outage(error)).map(copy);
        if let Some(outage) = outage {
            let left = groups.into_iter().flat_map(|(calls, _)| calls);
            settled.extend(left.map(|call| (call, Verdict::Failed(copy(&outage)))));
        }
        settled
    }

    /// Narrows the failure of a single call down to a finish or a record of it, whose job then fails with the reason.
    async fn settle_alone(&mut self, call: &Call, error: Error) -> Verdict {
        if is_lock_timeout(&error) || is_serialization_failure(&error) {
            return Verdict::Deferred;
        }
        let settled = match &call.op {
            _ if !is_about_data(&error) => Err(error),
            Op::Finish(finishes) => self.finish_each(finishes).await.map(Answer::Statuses),
            Op::Record(records) => self.record_each(records).await.map(Answer::Statuses),
            Op::Claim { finishes, claim } if !finishes.is_empty() => {
                self.finish_then_claim(finishes, claim).await
            }
            _ => Err(error),
        };
        match settled {
            Ok(answer) => Verdict::Answered(answer),
            // What was done so far is answered alike when the call is repeated.
            Err(error) if is_lock_timeout(&error) => Verdict::Deferred,
            Err(error) => Verdict::Failed(error),
        }
    }

    async fn finish_each(&mut self, finishes: &[Finish]) -> Result<Vec<LeaseStatus>> {
        let mut statuses = Vec::with_capacity(finishes.len());
        for finish in finishes {
            let status = match self.one(Op::Finish(vec![finish.clone()])).await {
                Err(error) if is_about_data(&error) => {
                    let failed = unkept(&finish.lease, &error);
                    self.one(Op::Finish(vec![failed])).await?
                }
                other => other?,
            };
            statuses.extend(statuses_of(status));
        }
        Ok(statuses)
    }

    async fn finish_then_claim(&mut self, finishes: &[Finish], claim: &Claim) -> Result<Answer> {
        let finished = self.finish_each(finishes).await?;
        let claim = Op::Claim { finishes: Vec::new(), claim: claim.clone() };
        // Its finishes are kept: they must be answered, whatever becomes of the claim.
        let claimed = match self.one(claim).await {
            Ok(Answer::FinishAndClaim(answer)) => answer.claimed,
            _ => Vec::new(),
        };
        Ok(Answer::FinishAndClaim(FinishAndClaim { finished, claimed }))
    }

    /// A run whose record cannot be kept fails, and its lease is lost.
    async fn record_each(&mut self, records: &[Record]) -> Result<Vec<LeaseStatus>> {
        let mut statuses = Vec::with_capacity(records.len());
        for record in records {
            match self.one(Op::Record(vec![record.clone()])).await {
                Err(error) if is_about_data(&error) => {
                    self.one(Op::Finish(vec![unkept(&record.lease, &error)])).await?;
                    statuses.push(LeaseStatus::Lost);
                }
                other => statuses.extend(statuses_of(other?)),
            }
        }
        Ok(statuses)
    }
}

/// True where the values of a call are at fault, and nothing else is.
fn is_about_data(error: &Error) -> bool {
    matches!(error, Error::Store { .. } | Error::Invalid { .. })
}

/// Ends a run whose outcome or entries cannot be kept, with a reason that a person understands.
fn unkept(lease: &Lease, error: &Error) -> Finish {
    let (entries, follow_ups) = (Vec::new(), Vec::new());
    Finish { lease: lease.clone(), outcome: admit::refused(error), entries, follow_ups, cost: None }
}

fn statuses_of(answer: Answer) -> Vec<LeaseStatus> {
    match answer {
        Answer::Statuses(statuses) => statuses,
        _ => Vec::new(),
    }
}
