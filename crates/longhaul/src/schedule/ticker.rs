use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::timing::{Timing, text};
use super::{CatchUp, KIND, MAX_CATCH_UP, ON_TIME, QUEUE};
use crate::clock::Timestamp;
use crate::model::{
    AttemptError, Claimed, Entry, ErrorKind, Finish, JobId, Json, LogLevel, NewJob, Outcome, Start, Unique,
};
use crate::store::Result;

/// The position of a schedule in time: the args of the job that fires its ticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticker {
    /// The schedule's name.
    pub(super) schedule: String,
    /// The timing from which `next` was computed.
    pub(super) timing: Timing,
    /// Ticks up to this moment are fired or left out.
    pub(super) cursor: Timestamp,
    /// The tick that this job waits for.
    pub(super) next: Timestamp,
    /// The last ticks that were fired, the newest last.
    #[serde(default)]
    pub(super) recent: Vec<Timestamp>,
}

/// The number of ticks that a ticker remembers.
const RECENT: usize = 10;
/// The most ticks that one run fires; the next run, which follows at once, goes on.
const FIRED_AT_ONCE: usize = 100;

impl Ticker {
    /// The first ticker of a schedule's chain, which may have had another one before; `None` if no tick is left.
    pub(super) fn first(kept: &Kept, recent: Vec<Timestamp>) -> Result<Option<NewJob>> {
        let schedule = &kept.definition.schedule;
        let since = kept.floor().max(kept.definition.timing_since);
        // Ticks are due by the store's clock, which may be ahead of the clock that set the time of the resumption.
        let fired = recent.iter().copied().filter(|tick| *tick > kept.definition.created_at).max();
        let cursor = fired.map_or(since, |fired| fired.max(since));
        let Some(next) = schedule.timing.ticks()?.next(cursor) else { return Ok(None) };
        let timing = schedule.timing.clone();
        let ticker = Ticker { schedule: schedule.name.clone(), timing, cursor, next, recent };
        ticker.job(Start::At(next)).map(Some)
    }

    /// The last ticks of the schedule that has the name now; another one may have had it before.
    pub(super) fn recent_since(&self, created_at: Timestamp) -> Vec<Timestamp> {
        self.recent.iter().copied().filter(|tick| *tick > created_at).collect()
    }

    /// The job that this is the args of. Its unique key keeps a schedule from having two chains; its parent, which is no job,
    /// is what stores find it by.
    fn job(&self, start: Start) -> Result<NewJob> {
        Ok(NewJob {
            queue: QUEUE.into(),
            start,
            // Only a release that cannot read it fails it, and nothing that it does can kill a process.
            max_crashes: 1_000_000,
            unique: Some(Unique::new(format!("longhaul.schedule:{}", self.schedule))),
            parent: Some(parent(&self.schedule)),
            ..NewJob::new(KIND, Json::new(self)?)
        })
    }
}

/// The name that all tickers of a schedule have as their parent.
pub(super) fn parent(schedule: &str) -> JobId {
    JobId::from_store(format!("schedule:{schedule}"))
}

/// Ends the run of a ticker: with the jobs of the ticks that are due and the next ticker, all in one transaction.
pub(super) fn run(
    claimed: Claimed,
    kept: impl FnOnce(&str) -> Option<Result<Kept, String>>,
    now: Timestamp,
) -> Finish {
    let mut entries = Vec::new();
    let (outcome, follow_ups) = match fire(&claimed.args, kept, now, &mut entries) {
        Ok((output, follow_ups)) => (Outcome::Completed { output }, follow_ups),
        Err(reason) => {
            tracing::error!(job = %claimed.lease.id, "failed to fire a schedule: {reason}");
            (Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, reason) }, Vec::new())
        }
    };
    Finish { lease: claimed.lease, outcome, entries, follow_ups, cost: None }
}

fn fire(
    args: &Json,
    kept: impl FnOnce(&str) -> Option<Result<Kept, String>>,
    now: Timestamp,
    entries: &mut Vec<Entry>,
) -> Result<(Json, Vec<NewJob>), String> {
    let ticker: Ticker =
        args.to().map_err(|error| format!("failed to read the ticker of a schedule: {error}"))?;
    // Its chain ends where nothing is left to fire, and begins anew when it is resumed.
    let Some(kept) = kept(&ticker.schedule).transpose()? else { return Ok((Json::null(), Vec::new())) };
    if kept.is_paused() {
        return Ok((Json::null(), Vec::new()));
    }
    let fault = |error: crate::Error| error.to_string();
    let Fired { ticks, next, missed_from } = turn(&ticker, &kept, now).map_err(fault)?;
    let schedule = &kept.definition.schedule;
    if let Some(from) = missed_from {
        let message = format!(
            "nobody was there to fire the ticks from {} on, and catch_up leaves some out",
            text(from)
        );
        tracing::warn!(schedule = schedule.name, "{message}");
        entries.push(Entry::Log { level: LogLevel::Warn, message });
    }
    let mut follow_ups: Vec<NewJob> = ticks.iter().map(|tick| schedule.tick_job(*tick)).collect();
    let output =
        Json::new(&ticks.iter().map(|tick| super::tick_id(&schedule.name, *tick)).collect::<Vec<_>>());
    if let Some((next, start)) = next {
        follow_ups.push(next.job(start).map_err(fault)?);
    }
    Ok((output.map_err(fault)?, follow_ups))
}

/// A ticker's run: the ticks that it fires, and the ticker that follows.
struct Fired {
    ticks: Vec<Timestamp>,
    next: Option<(Ticker, Start)>,
    /// The first tick that was missed, where not all of those that were are made up for.
    missed_from: Option<Timestamp>,
}

fn turn(ticker: &Ticker, kept: &Kept, now: Timestamp) -> Result<Fired> {
    let definition = &kept.definition;
    let (schedule, since) = (&definition.schedule, definition.timing_since);
    // The tick is due by the store's clock, and this machine's may be behind it. A job that was run again by hand long
    // before its tick is not due.
    let now = if now.plus(ON_TIME) >= ticker.next { now.max(ticker.next) } else { now };
    let cursor = ticker.cursor.max(kept.floor());
    let ticks = schedule.timing.ticks()?;
    let mut due = Vec::new();
    let is_changed = ticker.timing != schedule.timing;
    let begin = if is_changed {
        // What fell due before the timing changed is the former timing's.
        let former = ticker.timing.ticks();
        due = former.map(|former| former.newest(cursor, now.min(since), MAX_CATCH_UP)).unwrap_or_default();
        cursor.max(since)
    } else {
        cursor
    };
    due.extend(ticks.newest(begin, now, MAX_CATCH_UP));
    let first_due = match is_changed {
        false => ticks.next(cursor).filter(|tick| *tick <= now),
        true => due.first().copied(),
    };
    let mut fired = made_up_for(schedule.catch_up, due, now);
    let missed_from = first_due.filter(|first| fired.first() != Some(first));
    let rest = fired.split_off(fired.len().min(FIRED_AT_ONCE));
    let mut recent = ticker.recent_since(definition.created_at);
    recent.extend(&fired);
    recent.drain(..recent.len().saturating_sub(RECENT));
    let follow = |timing: &Timing, cursor, next, start| {
        let ticker = Ticker { schedule: schedule.name.clone(), timing: timing.clone(), cursor, next, recent };
        (ticker, start)
    };
    let next = match (rest.first(), fired.last()) {
        (Some(next), Some(last)) => {
            let timing = if is_changed && *next <= since { &ticker.timing } else { &schedule.timing };
            Some(follow(timing, *last, *next, Start::Now))
        }
        _ => {
            let cursor = begin.max(now);
            ticks.next(cursor).map(|next| {
                // Where the store took the ticker for due and this machine's clock does not, a moment would be due at once, again
                // and again.
                let start = match fired.is_empty() {
                    true => Start::After(next.since(now)),
                    false => Start::At(next),
                };
                follow(&schedule.timing, cursor, next, start)
            })
        }
    };
    Ok(Fired { ticks: fired, next, missed_from })
}

/// Those of the ticks that are due which are fired: the ones that are on time, and of the others what the schedule asks for.
fn made_up_for(catch_up: CatchUp, mut due: Vec<Timestamp>, now: Timestamp) -> Vec<Timestamp> {
    let late = due.partition_point(|tick| *tick < now.minus(ON_TIME));
    let left_out = match catch_up {
        CatchUp::None => late,
        CatchUp::Once => late.saturating_sub(1),
        CatchUp::All => due.len().saturating_sub(MAX_CATCH_UP),
    };
    due.drain(..left_out);
    due
}
