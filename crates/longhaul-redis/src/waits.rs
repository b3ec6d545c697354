use longhaul::{JobId, Json, Result, Signalled};
use redis::Value;

use crate::answer::{list, text};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::scripts;
use crate::sweep::numbers;

/// Gives a job a signal: `output` is that of the step that it is kept as.
pub(crate) async fn signal(driver: &Driver, id: &JobId, name: &str, output: &Json) -> Result<Signalled> {
    let arguments = [id.as_str(), name, output.as_str()].map(|text| text.as_bytes().to_vec());
    let notes = driver.reporter.notes().argument();
    let [fate] = numbers(driver, &scripts::SIGNAL, arguments.into_iter().chain([notes]).collect()).await?;
    Ok(match fate {
        0 => Signalled::Accepted,
        1 => Signalled::Sent,
        2 => Signalled::Ended,
        _ => Signalled::Unknown,
    })
}

/// The jobs that were enqueued to depend on a job, in the order in which they were.
pub(crate) async fn dependants(driver: &Driver, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let limit = limit.min(i32::MAX as usize).to_string().into_bytes();
    let answer = driver.call(&scripts::LIST_DEPENDANTS, vec![id.as_str().as_bytes().to_vec(), limit]).await?;
    let id = |value: &Value| Some(JobId::from_store(text(value)?.to_owned()));
    let read = list(answer).and_then(|answer| answer.iter().map(id).collect());
    read.ok_or_else(|| unreadable(scripts::LIST_DEPENDANTS.operation))
}
