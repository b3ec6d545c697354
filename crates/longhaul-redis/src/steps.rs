use std::collections::BTreeMap;

use longhaul::{JobId, Json, Result, State, StepRecord, Timestamp};
use redis::Value;

use crate::answer::{int, json, list, text};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::scripts;

/// The steps of a job that are done, in the order in which they were recorded; `None` where there is no such job.
pub(crate) async fn steps(driver: &Driver, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
    let answer = driver.call(&scripts::STEPS, vec![id.as_str().as_bytes().to_vec()]).await?;
    match answer {
        Value::Nil => Ok(None),
        answer => read_steps(answer).map(Some).ok_or_else(|| unreadable(scripts::STEPS.operation)),
    }
}

/// The steps of an answer of `steps.lua`.
pub(crate) fn read_steps(answer: Value) -> Option<Vec<StepRecord>> {
    let [state, outputs, times] = <[Value; 3]>::try_from(list(answer)?).ok()?;
    let has_completed = int(&state)? == State::Completed as i64;
    let output = |pair: &[Value]| Some((text(&pair[0])?.to_owned(), json(&pair[1])?));
    let mut outputs: BTreeMap<String, Json> =
        list(outputs)?.chunks_exact(2).map(output).collect::<Option<_>>()?;
    let mut numbered = Vec::new();
    for pair in list(times)?.chunks_exact(2) {
        let name = text(&pair[0])?.strip_prefix("step|")?;
        let output = outputs.remove(name);
        // Only a completed job has none: the previous release does not forget the times of one that it retries.
        if output.is_some() || has_completed {
            numbered.push(timed(name, text(&pair[1])?, output)?);
        }
    }
    numbered.sort_by_key(|(number, _)| *number);
    // What the previous release has written has an output alone.
    let untimed = outputs.into_iter().map(|(name, output)| StepRecord {
        name,
        attempt: 0,
        started_at: None,
        finished_at: None,
        output: Some(output),
    });
    Some(untimed.chain(numbered.into_iter().map(|(_, step)| step)).collect())
}

/// A step, and its number among those of its job.
fn timed(name: &str, times: &str, output: Option<Json>) -> Option<(u32, StepRecord)> {
    let mut times = times.split('|').map(|number| number.parse::<i64>().ok());
    let mut next = || times.next().flatten();
    let (number, attempt, finished_at, took) = (next()?, next()?, next()?, next()?);
    let step = StepRecord {
        name: name.to_owned(),
        attempt: u32::try_from(attempt).ok()?,
        started_at: Some(Timestamp(finished_at.saturating_sub(took))),
        finished_at: Some(Timestamp(finished_at)),
        output,
    };
    Some((u32::try_from(number).ok()?, step))
}
