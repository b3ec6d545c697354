use std::collections::HashMap;
use std::time::Duration;

use super::{Delivery, KIND, QUEUE, parent};
use crate::model::{
    Acted, Action, JobFilter, JobId, JobRecord, Lookup, NewJob, Page, Payloads, Start, State,
};
use crate::store::{Result, Store};

/// The jobs whose deliveries are looked for in one call.
const LOOKED_FOR_AT_ONCE: usize = 100;
/// The jobs of a page.
const AT_ONCE: usize = 1_000;
/// The time after which a delivery checks whether the retry that it was enqueued for was done.
const CHECKED_AFTER: Duration = Duration::from_secs(60);

/// A store's [`act`](Store::act) that also enqueues new deliveries for jobs that are run again, because their first
/// deliveries have ended.
///
/// A delivery that checks for the retry later is enqueued before the action, and one that waits for the next end after
/// it. If the caller dies in between, the former takes the place of the latter.
///
/// `whole` is the same store where `store` is a view of it that hides values.
///
/// # Errors
/// As for [`Store::act`].
pub async fn act(
    store: &dyn Store,
    whole: &dyn Store,
    filter: &JobFilter,
    action: Action,
    limit: usize,
) -> Result<Acted> {
    let is_retry = matches!(action, Action::Retry | Action::RetryFrom { .. } | Action::RetryWith { .. });
    if !is_retry || !is_used(whole).await? {
        return store.act(filter, action, limit).await;
    }
    let left = |acted: &Acted| limit.saturating_sub(usize::try_from(acted.done).unwrap_or(limit));
    let (mut acted, mut cursor) = (Acted::default(), None);
    loop {
        let page = Page { cursor, limit: left(&acted).clamp(1, AT_ONCE), payloads: Payloads::Short };
        let page = store.list(filter, page).await?;
        let mut jobs = page.jobs;
        while !jobs.is_empty() {
            let (ended, unfinished): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.state.is_finished());
            if !ended.is_empty() {
                let told = with_webhooks(whole, &ended).await?;
                let checks = told.iter().map(|(job, delivery)| check(job, delivery));
                whole.enqueue(checks.collect::<Result<_>>()?).await?;
                let done = store.act(&these(filter, &ended), action.clone(), left(&acted)).await?;
                tell_next_ends(whole, &told).await?;
                add(&mut acted, done);
            }
            if unfinished.is_empty() || left(&acted) == 0 {
                break;
            }
            // Those that wait for a person, whose deliveries wait for their ends. One that has ended since it was looked at is looked at
            // again: its delivery may have told that end already.
            let states = State::ALL.into_iter().filter(|state| !state.is_finished());
            let states = states.filter(|state| filter.states.is_empty() || filter.states.contains(state));
            let waiting = JobFilter { states: states.collect(), ..these(filter, &unfinished) };
            let done = store.act(&waiting, action.clone(), left(&acted)).await?;
            add(&mut acted, done);
            jobs = match done.matched < unfinished.len() as u64 {
                true => ended_since(store, filter, &unfinished).await?,
                false => Vec::new(),
            };
        }
        cursor = page.next;
        acted.complete = cursor.is_none();
        if acted.complete || acted.done >= limit as u64 {
            return Ok(acted);
        }
    }
}

/// The filter, for these of the jobs that fit it.
fn these(filter: &JobFilter, jobs: &[&JobRecord]) -> JobFilter {
    JobFilter { ids: jobs.iter().map(|job| job.id.clone()).collect(), ..filter.clone() }
}

/// Those of the jobs that fit the filter and have ended by now.
async fn ended_since(store: &dyn Store, filter: &JobFilter, jobs: &[&JobRecord]) -> Result<Vec<JobRecord>> {
    let page = Page { cursor: None, limit: jobs.len(), payloads: Payloads::Short };
    let mut found = store.list(&these(filter, jobs), page).await?.jobs;
    found.retain(|job| job.state.is_finished());
    Ok(found)
}

fn add(acted: &mut Acted, more: Acted) {
    acted.matched += more.matched;
    acted.done += more.done;
}

/// True where a job was ever enqueued with a webhook: there is a queue of deliveries then.
async fn is_used(store: &dyn Store) -> Result<bool> {
    Ok(store.queues().await?.iter().any(|queue| queue.name == QUEUE))
}

/// Enqueues the deliveries of the next ends of those jobs that were run again.
async fn tell_next_ends(store: &dyn Store, told: &[(JobRecord, Delivery)]) -> Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    let ids: Vec<JobId> = told.iter().map(|(job, _)| job.id.clone()).collect();
    let now = store.get(&ids).await?.into_iter().filter_map(Lookup::found);
    let now: HashMap<JobId, u64> = now.map(|job| (job.id, job.last_event)).collect();
    let is_run_again =
        |(job, _): &&(JobRecord, Delivery)| now.get(&job.id).is_some_and(|last| *last > job.last_event);
    let next = told.iter().filter(is_run_again).map(|(job, delivery)| next_end(delivery, job.last_event));
    store.enqueue(next.collect::<Result<_>>()?).await.map(drop)
}

/// Those of the jobs, which have ended, that have a webhook, with their newest delivery.
async fn with_webhooks(store: &dyn Store, ended: &[&JobRecord]) -> Result<Vec<(JobRecord, Delivery)>> {
    let mut told = Vec::new();
    for jobs in ended.chunks(LOOKED_FOR_AT_ONCE) {
        told.extend(newest_deliveries(store, jobs).await?);
    }
    Ok(told)
}

async fn newest_deliveries(store: &dyn Store, jobs: &[&JobRecord]) -> Result<Vec<(JobRecord, Delivery)>> {
    let by_parent: HashMap<JobId, &JobRecord> = jobs.iter().map(|job| (parent(&job.id), *job)).collect();
    let parents: Vec<JobId> = by_parent.keys().cloned().collect();
    let filter = JobFilter { parents, kinds: vec![KIND.into()], ..JobFilter::default() };
    let (mut told, mut cursor): (HashMap<JobId, Delivery>, _) = (HashMap::new(), None);
    loop {
        let page = store.list(&filter, Page { cursor, limit: AT_ONCE, ..Page::default() }).await?;
        for delivery in page.jobs {
            // Newest first.
            if let (Some(parent), Ok(args)) = (delivery.parent, delivery.args.to::<Delivery>()) {
                told.entry(parent).or_insert(args);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            let job = |(parent, delivery)| Some(((*by_parent.get(&parent)?).clone(), delivery));
            return Ok(told.into_iter().filter_map(job).collect());
        }
    }
}

/// The delivery that looks whether a retry was made whose own one was not enqueued any more.
fn check(job: &JobRecord, delivery: &Delivery) -> Result<NewJob> {
    let last = job.last_event;
    let check = Delivery { message: None, after: Some(last), ..delivery.clone() };
    Ok(NewJob { start: Start::After(CHECKED_AFTER), ..check.job(&format!(".{last}.check"))? })
}

/// The delivery that waits for the end of a job which is run again after the event `last`.
///
/// # Errors
/// As for [`Delivery::job`].
pub fn next_end(delivery: &Delivery, last: u64) -> Result<NewJob> {
    let next = Delivery { message: None, after: None, ..delivery.clone() };
    next.after_end(&format!(".{last}"))
}

/// The id of that delivery.
#[must_use]
pub fn next_id(job: &JobId, last: u64) -> JobId {
    super::id(job, &format!(".{last}"))
}
