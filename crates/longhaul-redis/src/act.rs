use longhaul::{Acted, Action, JobFilter, JobId, Page, Payloads, Result, State};

use crate::answer::int;
use crate::driver::{Driver, JOBS_PER_CALL};
use crate::error::unreadable;
use crate::fields::bounded;
use crate::read::list_jobs;
use crate::scripts;

/// Does something to at most `limit` jobs that fit. Candidates are looked for a bounded page at a time; the script then
/// checks each again.
pub(crate) async fn act(driver: &Driver, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
    let mut acted = Acted { complete: true, ..Acted::default() };
    let Some(filter) = narrowed(filter, action) else { return Ok(acted) };
    let mut page = Page { limit: JOBS_PER_CALL, payloads: Payloads::Short, ..Page::default() };
    loop {
        let found = list_jobs(driver, &filter, &page).await?;
        let left = limit.saturating_sub(usize::try_from(acted.done).unwrap_or(limit));
        let has_more = found.jobs.len() > left || found.next.is_some();
        let ids: Vec<JobId> = found.jobs.into_iter().map(|job| job.id).take(left).collect();
        acted.matched += ids.len() as u64;
        if !ids.is_empty() {
            acted.done += act_on(driver, &ids, action).await?;
        }
        page.cursor = found.next;
        if !has_more || acted.done >= limit as u64 {
            return Ok(Acted { complete: !has_more, ..acted });
        }
    }
}

async fn act_on(driver: &Driver, ids: &[JobId], action: Action) -> Result<u64> {
    let (word, grace) = match action {
        Action::Cancel { grace } => ("cancel", bounded(grace)),
        Action::Retry => ("retry", 0),
        Action::Delete => ("delete", 0),
    };
    let mut arguments = vec![word.as_bytes().to_vec(), grace.to_string().into_bytes()];
    arguments.extend(ids.iter().map(|id| id.as_str().as_bytes().to_vec()));
    let answer = driver.call(&scripts::ACT, arguments).await?;
    let done = int(&answer).and_then(|done| u64::try_from(done).ok());
    done.ok_or_else(|| unreadable(scripts::ACT.operation))
}

/// Leaves out of a filter what the action does not apply to; `None` where that is everything.
fn narrowed(filter: &JobFilter, action: Action) -> Option<JobFilter> {
    let applies = |state: &State| match action {
        Action::Cancel { .. } => !state.is_finished(),
        Action::Retry | Action::Delete => state.is_finished(),
    };
    let states = if filter.states.is_empty() { &State::ALL[..] } else { &filter.states };
    let states: Vec<State> = states.iter().copied().filter(applies).collect();
    (!states.is_empty()).then(|| JobFilter { states, ..filter.clone() })
}
