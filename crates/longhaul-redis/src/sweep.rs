use longhaul::{AttemptError, Keep, QueueInfo, Result, State, Swept, WORKER_SEEN_FOR};

use crate::answer::{int, list};
use crate::driver::{Driver, JOBS_PER_CALL};
use crate::error::unreadable;
use crate::fields::bounded;
use crate::finish::error_tail;
use crate::scripts;

/// Maintenance, at most about `limit` jobs of each sort, in calls of a hundred.
pub(crate) async fn sweep(driver: &Driver, limit: usize) -> Result<Swept> {
    let mut swept = Swept::default();
    let mut left = limit;
    while left > 0 {
        let most = left.min(JOBS_PER_CALL);
        let answer = driver.call(&scripts::SWEEP, arguments(most)).await?;
        let counts: Option<Vec<i64>> = list(answer).and_then(|answer| answer.iter().map(int).collect());
        let Some([promoted, rescued, poisoned, fenced, more]) = counts.as_deref() else {
            return Err(unreadable(scripts::SWEEP.operation));
        };
        swept.promoted += unsigned(*promoted);
        swept.rescued += unsigned(*rescued);
        swept.poisoned += unsigned(*poisoned);
        swept.fenced += unsigned(*fenced);
        if *more == 0 {
            break;
        }
        left -= most;
    }
    swept.pruned = prune(driver, limit).await?;
    Ok(swept)
}

fn arguments(limit: usize) -> Vec<Vec<u8>> {
    // The number of crashes is known to the script alone, and put between the two parts of the message.
    let poison = error_tail(&AttemptError::crash(u32::MAX, 0));
    let (before, after) = poison.split_once(&u32::MAX.to_string()).unwrap_or((&poison, ""));
    let crash = error_tail(&AttemptError::crash(1, 1));
    let fenced = error_tail(&AttemptError::fenced());
    let texts = [limit.to_string(), crash, before.to_owned(), after.to_owned(), fenced];
    let seen_for = bounded(WORKER_SEEN_FOR).to_string();
    texts.into_iter().chain([seen_for]).map(String::into_bytes).collect()
}

/// Removes history that its queue's retention no longer covers.
async fn prune(driver: &Driver, limit: usize) -> Result<u64> {
    let places: Vec<[Vec<u8>; 4]> = crate::queues::queues(driver).await?.iter().flat_map(places).collect();
    let (mut pruned, mut left, mut done_with) = (0, limit, 0);
    while left > 0 && done_with < places.len() {
        let most = left.min(JOBS_PER_CALL);
        let mut arguments = vec![most.to_string().into_bytes()];
        arguments.extend(places[done_with..].iter().take(JOBS_PER_CALL).flatten().cloned());
        let answer = driver.call(&scripts::PRUNE, arguments).await?;
        let counts: Option<Vec<i64>> = list(answer).and_then(|answer| answer.iter().map(int).collect());
        let Some([removed, finished]) = counts.as_deref() else {
            return Err(unreadable(scripts::PRUNE.operation));
        };
        pruned += unsigned(*removed);
        done_with += usize::try_from(*finished).unwrap_or(0);
        if *finished == 0 {
            // The call came to its bound: a call that removed nothing else than lost entries counts, too.
            left -= most;
        } else {
            left -= usize::try_from(*removed).unwrap_or(0).min(left);
        }
    }
    Ok(pruned)
}

/// Where a queue has finished jobs that may become too many or too old.
fn places(queue: &QueueInfo) -> Vec<[Vec<u8>; 4]> {
    let retention = &queue.config.retention;
    let outcomes = [
        (State::Completed, &retention.completed),
        (State::Failed, &retention.failed),
        (State::Cancelled, &retention.cancelled),
    ];
    let has_jobs = |(state, _): &(State, &Keep)| queue.counts.contains_key(state);
    let place = |(state, keep): (State, &Keep)| {
        let count = keep.count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX));
        let age = keep.age.map_or(-1, bounded);
        [queue.name.clone(), (state as u8).to_string(), count.to_string(), age.to_string()]
            .map(String::into_bytes)
    };
    outcomes.into_iter().filter(has_jobs).map(place).collect()
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
