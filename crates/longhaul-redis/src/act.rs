use crate::driver::{Driver, JOBS_PER_CALL};
use crate::fields::bounded;
use crate::filter::{Narrowed, Rows};
use crate::pack::Packer;
use crate::read::{Row, list_rows};
use crate::scripts;
use crate::sweep::numbers;
use longhaul::{Acted, Action, CancelReason, JobFilter, Json, Page, Result};

/// The most candidates of one call: each costs the server's one thread some 20 µs.
const CANDIDATES_PER_CALL: usize = 500;

/// Acts on jobs that fit, and changes at most `limit`: a bounded number of candidates at a time. What the script cannot hold against the
/// filter by itself is looked for before, and held against the rest of it again by the script that writes.
pub(crate) async fn act(driver: &Driver, filter: &JobFilter, action: &Action, limit: usize) -> Result<Acted> {
    let mut acted = Acted { complete: true, ..Acted::default() };
    let Some(filter) = Narrowed::new(filter) else { return Ok(acted) };
    let mut page = Page { limit: JOBS_PER_CALL, ..Page::default() };
    loop {
        let left = (limit as u64).saturating_sub(acted.done);
        let part = if filter.looks_at() == Rows::None {
            let part = act_on(driver, &filter, action, left, Candidates::Before(page.cursor)).await?;
            page.cursor = (part.last_seq > 0).then(|| part.last_seq.to_string());
            part
        } else {
            let found = list_rows(driver, &filter, &page, filter.looks_at()).await?;
            page.cursor = found.next;
            act_on(driver, &filter, action, left, Candidates::These(&found.rows)).await?
        };
        acted.matched += part.matched;
        acted.done += part.acted;
        acted.complete &= part.is_cut == 0 && part.changed_since == 0;
        if page.cursor.is_none() {
            return Ok(acted);
        }
        if acted.done >= limit as u64 {
            return Ok(Acted { complete: false, ..acted });
        }
    }
}

/// The jobs that one call looks at.
enum Candidates<'a> {
    /// Those that were enqueued before the job of this seq.
    Before(Option<String>),
    /// Those that were found to match.
    These(&'a [Row]),
}

/// The answer of one call, in the order of `act.lua`.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    matched: u64,
    acted: u64,
    /// 1 if others match, too.
    is_cut: u64,
    /// The number of jobs that have changed their state since they were found, so that their args and last errors are
    /// unchecked.
    changed_since: u64,
    /// The seq of the last job that was checked, if there are more.
    last_seq: u64,
}

async fn act_on(
    driver: &Driver,
    filter: &Narrowed,
    action: &Action,
    limit: u64,
    candidates: Candidates<'_>,
) -> Result<Part> {
    let (script, word, value) = match action {
        Action::Cancel { grace, reason } => {
            let value = format!("{}|{}", bounded(*grace), number_of(*reason));
            (&scripts::ACT, "cancel", value.into_bytes())
        }
        Action::Retry => (&scripts::ACT, "retry", Vec::new()),
        Action::RetryWith { args } => (&scripts::ACT_WITH_DATA, "retry_with", args.as_str().into()),
        Action::RetryFrom { step, args } => {
            let script = if args.is_some() { &scripts::ACT_WITH_DATA } else { &scripts::ACT };
            let mut from = Packer::new();
            from.list(2).text(step).text_or_none(args.as_ref().map(Json::as_str));
            (script, "retry_from", from.done())
        }
        Action::Delete => (&scripts::ACT, "delete", Vec::new()),
        Action::SetPriority { priority } => {
            (&scripts::ACT, "set_priority", priority.to_string().into_bytes())
        }
    };
    let mut arguments = vec![
        word.into(),
        value,
        limit.to_string().into_bytes(),
        filter.packed(),
        driver.reporter.notes().argument(),
    ];
    match candidates {
        Candidates::Before(seq) => {
            arguments.push(CANDIDATES_PER_CALL.to_string().into_bytes());
            arguments.push(seq.unwrap_or_default().into_bytes());
            arguments.extend(filter.ids());
        }
        Candidates::These(rows) => {
            arguments.push(Vec::new());
            for row in rows {
                let state_event =
                    if filter.may_change() { row.state_event.to_string() } else { String::new() };
                arguments.extend([
                    row.id.as_str().as_bytes().to_vec(),
                    row.seq.to_string().into_bytes(),
                    state_event.into_bytes(),
                ]);
            }
        }
    }
    let [matched, acted, is_cut, changed_since, last_seq] = numbers(driver, script, arguments).await?;
    Ok(Part { matched, acted, is_cut, changed_since, last_seq })
}

/// The number of a reason in `layout.lua`.
pub(crate) fn number_of(reason: CancelReason) -> usize {
    CancelReason::ALL.iter().position(|other| *other == reason).map_or(1, |place| place + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longhaul::{Clock, Signals, State, Store};
    use longhaul_conformance::jobs::{claim, completed, failed, finish, id, named};
    use longhaul_testservers::Redis;

    use super::*;
    use crate::{RedisOptions, RedisStore};

    #[tokio::test]
    async fn a_bulk_retry_does_not_run_a_job_again_that_has_completed_since_it_looked() {
        let server = Redis::start(&[]);
        let options = RedisOptions::new(&server.url()).unwrap();
        let store = RedisStore::open(options.clone()).await.unwrap();
        let driver = Driver::start(options, Clock::system(), Arc::new(Signals::default())).await.unwrap();
        store.enqueue(vec![named("x")]).await.unwrap();
        let lease = store.claim(claim()).await.unwrap().remove(0).lease;
        store.finish(vec![finish(&lease, failed())]).await.unwrap();

        let filter = JobFilter { states: vec![State::Failed], ..JobFilter::default() };
        let by_state = Narrowed::new(&filter).unwrap();
        let text = JobFilter { text: Some("x".into()), ..filter.clone() };
        let by_text = Narrowed::new(&text).unwrap();
        let looked = list_rows(&driver, &by_text, &Page::default(), by_text.looks_at()).await.unwrap().rows;
        assert_eq!(looked.len(), 1);
        let acted = store.act(&filter, Action::Retry, 1_000).await.unwrap();
        assert_eq!(acted, Acted { matched: 1, done: 1, complete: true });
        let again = store.claim(claim()).await.unwrap().remove(0).lease;
        store.finish(vec![finish(&again, completed())]).await.unwrap();
        // One that looked before acts only now, by the state alone and by what may be in the last error.
        for (filter, changed_since) in [(by_state, 0), (by_text, 1)] {
            let these = Candidates::These(&looked);
            let late = act_on(&driver, &filter, &Action::Retry, 1_000, these).await.unwrap();
            assert_eq!(late, Part { matched: 0, acted: 0, is_cut: 0, changed_since, last_seq: 0 });
        }
        let found = store.get(&[id("x")]).await.unwrap().remove(0).found().unwrap();
        assert_eq!(found.state, State::Completed);
    }
}
