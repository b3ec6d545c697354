use std::collections::HashSet;

use longhaul::{FinishAndClaim, Result, Timestamp};

use crate::call::{Answer, Call, Op, Verdict};
use crate::finish_and_claim::Ended;
use crate::write_tx::WriteTx;

/// Applies everything but the claims, which come last so that they see all the rest. Calls whose keys another
/// transaction holds are left out, and deferred.
pub(crate) async fn apply_all(
    tx: &mut WriteTx<'_>,
    calls: &[Call],
    ended: Option<&Ended>,
    verdicts: &mut [Option<Verdict>],
) -> Result<()> {
    let locks: Vec<Vec<String>> = calls.iter().map(crate::keys::locks_of).collect();
    let words = locks.concat();
    let new_jobs = calls.iter().filter_map(Call::jobs).flatten();
    let (busy, bounds) = futures::try_join!(tx.try_lock_keys(&words), tx.read_bounds(new_jobs))?;
    tx.bounds = bounds;
    defer(verdicts, &locks, &busy);
    let locks: Vec<Vec<String>> = calls
        .iter()
        .zip(&*verdicts)
        .map(|(call, verdict)| {
            let jobs = call.jobs().filter(|_| verdict.is_none()).unwrap_or_default();
            tx.bounds.locks(jobs).into_iter().collect()
        })
        .collect();
    let busy = tx.try_lock_keys(&locks.concat()).await?;
    defer(verdicts, &locks, &busy);
    let open: Vec<(usize, &Call)> =
        calls.iter().enumerate().filter(|(number, _)| verdicts[*number].is_none()).collect();
    let enqueues: Vec<_> = open.iter().filter_map(|(n, call)| Some((*n, call.jobs()?))).collect();
    if !enqueues.is_empty() {
        let jobs: Vec<_> = enqueues.iter().map(|(_, jobs)| *jobs).collect();
        for ((number, _), answer) in enqueues.iter().zip(tx.enqueue_all(&jobs).await?) {
            verdicts[*number] = Some(match answer {
                Ok(enqueued) => Verdict::Answered(Answer::Enqueued(enqueued)),
                // Nothing of the call was done.
                Err(refused) => Verdict::Failed(refused),
            });
        }
    }
    let finishes: Vec<_> = open.iter().filter_map(|(n, call)| Some((*n, call.finishes()?))).collect();
    if !finishes.is_empty() {
        let runs: Vec<_> = finishes.iter().map(|(_, runs)| *runs).collect();
        for ((number, _), finished) in finishes.iter().zip(tx.finish_all(&runs, ended).await?) {
            let answer = match &calls[*number].op {
                Op::Claim { .. } => Answer::FinishAndClaim(FinishAndClaim { finished, claimed: Vec::new() }),
                _ => Answer::Statuses(finished),
            };
            verdicts[*number] = Some(Verdict::Answered(answer));
        }
    }
    for (number, call) in open {
        if verdicts[number].is_none() {
            verdicts[number] = Some(Verdict::Answered(apply(tx, &call.op).await?));
        }
    }
    Ok(())
}

/// Leaves out the calls that want a lock which another transaction holds.
fn defer(verdicts: &mut [Option<Verdict>], locks: &[Vec<String>], busy: &HashSet<String>) {
    for (words, verdict) in locks.iter().zip(verdicts).filter(|_| !busy.is_empty()) {
        if words.iter().any(|word| busy.contains(word)) {
            *verdict = Some(Verdict::Deferred);
        }
    }
}

/// Applies an operation that is not gathered from many calls; a claim is left to the end of the transaction.
async fn apply(tx: &mut WriteTx<'_>, op: &Op) -> Result<Answer> {
    Ok(match op {
        Op::Enqueue(jobs) => Answer::Enqueued(tx.enqueue(jobs).await??),
        Op::Finish(_) => Answer::Statuses(Vec::new()),
        Op::Claim { .. } => Answer::FinishAndClaim(FinishAndClaim::default()),
        Op::Record(records) => Answer::Statuses(tx.record(records).await?),
        Op::Sweep(limit) => Answer::Swept(tx.sweep(*limit).await?),
        Op::Act { jobs, filter, action } => Answer::Acted(tx.act(jobs, filter, action).await?),
        Op::SetQueue { queue, before, config } => {
            Answer::Updated(tx.set_queue(queue, before.as_ref(), config).await?)
        }
        Op::PauseQueue(queue) => {
            tx.rows("pause a queue", include_str!("sql/pause_queue.sql"), &[queue]).await?;
            Answer::Done
        }
        Op::ResumeQueue(queue) => {
            let resumed = tx.rows("resume a queue", include_str!("sql/resume_queue.sql"), &[queue]).await?;
            if !resumed.is_empty() {
                // To claims it is as if all of its jobs had just come.
                tx.effects.available.insert(queue.clone());
            }
            Answer::Done
        }
        Op::SetKey { key, config } => {
            tx.set_key(key, config.as_deref()).await?;
            Answer::Done
        }
        Op::PauseKey { key, pause } => {
            tx.pause_key(key, tx.time.plus(*pause).min(Timestamp::MAX)).await?;
            Answer::Done
        }
        Op::ResumeKey(key) => {
            tx.resume_key(key).await?;
            Answer::Done
        }
        Op::PutSamples(samples) => {
            tx.put_samples(samples).await?;
            Answer::Done
        }
        Op::Signal { id, name, output } => Answer::Signalled(tx.signal(id, name, output).await?),
        Op::ProbeWrite => {
            tx.rows("write", include_str!("sql/probe_write.sql"), &[]).await?;
            Answer::Done
        }
        Op::FailUnreadable(lease, reason) => {
            tx.fail_unreadable(lease, reason).await?;
            tx.settle().await?;
            Answer::Done
        }
        Op::TakeBack(leases) => {
            tx.take_back(leases).await?;
            Answer::Done
        }
        Op::TakeBackLost(claims) => Answer::Count(tx.take_back_lost(claims).await?),
    })
}
