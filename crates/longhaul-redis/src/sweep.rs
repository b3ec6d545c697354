use std::time::Duration;

use longhaul::{AttemptError, Keep, QueueConfig, Result, State, Swept, WORKER_SEEN_FOR};
use redis::Value;

use crate::answer::{int, list, parsed, text};
use crate::changes::Notes;
use crate::driver::{Driver, JOBS_PER_CALL};
use crate::error::unreadable;
use crate::fields::bounded;
use crate::finish::error_tail;
use crate::scripts::{self, Script};

/// The interval between surveys of all queues, which find ended jobs that the previous release did not note.
const SURVEY_EVERY: Duration = Duration::from_secs(600);
/// The most queues and outcomes that one sweep prunes, of which each costs a few look-ups.
const PLACES_PER_SWEEP: usize = 1_000;

/// Maintenance, at most about `limit` jobs of each sort, in calls of a hundred. A sweep with nothing to do is one call.
pub(crate) async fn sweep(driver: &Driver, limit: usize) -> Result<Swept> {
    let mut swept = Swept::default();
    let mut left = limit;
    let mut may_prune = false;
    while left > 0 {
        let most = left.min(JOBS_PER_CALL);
        let [promoted, rescued, poisoned, fenced, expired, more, prunes] =
            numbers(driver, &scripts::SWEEP, sweep_arguments(most, driver.reporter.notes())).await?;
        swept.promoted += promoted;
        swept.rescued += rescued;
        swept.poisoned += poisoned;
        swept.fenced += fenced;
        swept.expired += expired;
        may_prune = prunes == 1;
        if more == 0 {
            break;
        }
        left -= most;
    }
    if may_prune {
        swept.pruned = prune(driver, limit).await?;
    }
    Ok(swept)
}

fn sweep_arguments(limit: usize, notes: Notes) -> Vec<Vec<u8>> {
    // The number of crashes is known to the script alone, and put between the two parts of the message.
    let poison = error_tail(&AttemptError::crash(u32::MAX, 0));
    let (before, after) = poison.split_once(&u32::MAX.to_string()).unwrap_or((&poison, ""));
    let crash = error_tail(&AttemptError::crash(1, 1));
    let fenced = error_tail(&AttemptError::fenced());
    let texts = [limit.to_string(), crash, before.to_owned(), after.to_owned(), fenced];
    let seen_for = bounded(WORKER_SEEN_FOR).to_string();
    texts.into_iter().chain([seen_for]).map(String::into_bytes).chain([notes.argument()]).collect()
}

/// Removes history that its queue's retention no longer covers, where that is due.
async fn prune(driver: &Driver, limit: usize) -> Result<u64> {
    let (mut pruned, mut left) = (0, limit);
    for _ in 0..PLACES_PER_SWEEP / JOBS_PER_CALL {
        let due = due(driver).await?;
        if due.survey {
            survey(driver).await?;
        }
        let mut places = due.places.as_slice();
        while left > 0 && !places.is_empty() {
            let most = left.min(JOBS_PER_CALL);
            let mut arguments = vec![most.to_string().into_bytes(), driver.reporter.notes().argument()];
            arguments.extend(places.iter().flatten().cloned());
            let [removed, finished] = numbers(driver, &scripts::PRUNE, arguments).await?;
            pruned += removed;
            places = &places[usize::try_from(finished).unwrap_or(0).min(places.len())..];
            // A call that came to its bound counts in full: it may have removed nothing else than lost entries.
            let removed = usize::try_from(removed).unwrap_or(most);
            left -= if finished == 0 { most } else { removed.min(left) };
        }
        if left == 0 || (due.places.len() < JOBS_PER_CALL && !due.survey) {
            break;
        }
    }
    Ok(pruned)
}

/// Numbers that a script answers before the changes that it has noted.
pub(crate) async fn numbers<const N: usize>(
    driver: &Driver,
    script: &'static Script,
    arguments: Vec<Vec<u8>>,
) -> Result<[u64; N]> {
    let answer = driver.call_noting(script, arguments).await?;
    let number = |value: &Value| u64::try_from(int(value)?).ok();
    let numbers = |answer: Vec<Value>| answer.iter().take(N).map(number).collect::<Option<Vec<u64>>>();
    let numbers = list(answer).and_then(numbers);
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| unreadable(script.operation))
}

/// Ended jobs that may be removed by now.
struct Due {
    /// True where all queues are to be looked at.
    survey: bool,
    /// Queues and outcomes, as the arguments of `prune.lua`.
    places: Vec<[Vec<u8>; 4]>,
}

async fn due(driver: &Driver) -> Result<Due> {
    let answer = driver.call(&scripts::DUE, vec![JOBS_PER_CALL.to_string().into_bytes()]).await?;
    let read = || {
        let answer = list(answer)?;
        let (survey, places) = answer.split_first()?;
        let places = places.chunks_exact(3).map(place).collect::<Option<_>>()?;
        Some(Due { survey: int(survey)? == 1, places })
    };
    read().ok_or_else(|| unreadable(scripts::DUE.operation))
}

/// A queue and an outcome with the bounds of its retention.
fn place(place: &[Value]) -> Option<[Vec<u8>; 4]> {
    let state = text(&place[1])?;
    let config: QueueConfig = parsed(&place[2]).unwrap_or_default();
    let keep: &Keep = match State::ALL.get(state.parse::<usize>().ok()?)? {
        State::Failed => &config.retention.failed,
        State::Cancelled => &config.retention.cancelled,
        _ => &config.retention.completed,
    };
    let count = keep.count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX));
    let age = keep.age.map_or(-1, bounded);
    Some([text(&place[0])?, state, &count.to_string(), &age.to_string()].map(|text| text.as_bytes().to_vec()))
}

/// Notes what is to be pruned in all queues, a piece at a time.
async fn survey(driver: &Driver) -> Result<()> {
    let mut cursor = b"0".to_vec();
    loop {
        let every = bounded(SURVEY_EVERY).to_string().into_bytes();
        let answer = driver.call(&scripts::SURVEY, vec![cursor, every]).await?;
        let next = text(&answer).ok_or_else(|| unreadable(scripts::SURVEY.operation))?;
        if next == "0" {
            return Ok(());
        }
        cursor = next.as_bytes().to_vec();
    }
}
