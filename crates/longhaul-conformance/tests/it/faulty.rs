//! Stores with one fault each: the model test must find it, or its silence about another store means nothing.

use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{
    Action, CancelReason, Clock, Cost, Edge, Entry, EventBody, JobFilter, JobId, JobRecord, Lease,
    LeaseStatus, Lookup, MemoryStore, NewJob, OnClash, OnFull, Outcome, Result, Start, State, Store, Unique,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::model::{CASES, SEED, find_difference};

/// The fault of a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    CancelsAsAsked,
    DebouncesNothing,
    DelaysNothing,
    DropsChunks,
    DropsFollowUps,
    DropsResets,
    DropsSecondErrors,
    DropsTheNewestAlways,
    ForgetsTheLongestDelay,
    FreesKeysWithTheClaim,
    FreesNoParent,
    FreesParentsTwice,
    FreesParentsWithTheFirstChild,
    IgnoresBounds,
    IgnoresCosts,
    IgnoresDeadlines,
    IgnoresExpiries,
    IgnoresNewPriorities,
    IgnoresPriority,
    IgnoresRates,
    IgnoresSecondKeys,
    IgnoresSlots,
    IgnoresTerms,
    IgnoresTheGrace,
    IgnoresUniqueKeys,
    IgnoresWeights,
    IsNeverFair,
    KeepsArgs,
    KeepsKeysAfterAFailure,
    KeepsKeysForAWhile,
    LeadsInsteadOfTrailing,
    LosesSteps,
    PausesNoKey,
    PausesNoQueue,
    PausesOneJobOnly,
    RefreshesNothing,
    RejectsNothing,
    RejectsTheOldestAlways,
    ReplacesNothing,
    ReportsNoRescue,
    ResumesNoKey,
    SaysHeldWhenLost,
    SaysStepsTookNoTime,
    SettlesNothing,
    ShortensPauses,
    SupersedesNothing,
    TakesEveryVersion,
    TellsNoDeadline,
    ThrottlesNothing,
}

const FAULTS: [Fault; 49] = [
    Fault::CancelsAsAsked,
    Fault::DebouncesNothing,
    Fault::DelaysNothing,
    Fault::DropsChunks,
    Fault::DropsFollowUps,
    Fault::DropsResets,
    Fault::DropsSecondErrors,
    Fault::DropsTheNewestAlways,
    Fault::ForgetsTheLongestDelay,
    Fault::FreesKeysWithTheClaim,
    Fault::FreesNoParent,
    Fault::FreesParentsTwice,
    Fault::FreesParentsWithTheFirstChild,
    Fault::IgnoresBounds,
    Fault::IgnoresCosts,
    Fault::IgnoresDeadlines,
    Fault::IgnoresExpiries,
    Fault::IgnoresNewPriorities,
    Fault::IgnoresPriority,
    Fault::IgnoresRates,
    Fault::IgnoresSecondKeys,
    Fault::IgnoresSlots,
    Fault::IgnoresTerms,
    Fault::IgnoresTheGrace,
    Fault::IgnoresUniqueKeys,
    Fault::IgnoresWeights,
    Fault::IsNeverFair,
    Fault::KeepsArgs,
    Fault::KeepsKeysAfterAFailure,
    Fault::KeepsKeysForAWhile,
    Fault::LeadsInsteadOfTrailing,
    Fault::LosesSteps,
    Fault::PausesNoKey,
    Fault::PausesNoQueue,
    Fault::PausesOneJobOnly,
    Fault::RefreshesNothing,
    Fault::RejectsNothing,
    Fault::RejectsTheOldestAlways,
    Fault::ReplacesNothing,
    Fault::ReportsNoRescue,
    Fault::ResumesNoKey,
    Fault::SaysHeldWhenLost,
    Fault::SaysStepsTookNoTime,
    Fault::SettlesNothing,
    Fault::ShortensPauses,
    Fault::SupersedesNothing,
    Fault::TakesEveryVersion,
    Fault::TellsNoDeadline,
    Fault::ThrottlesNothing,
];

#[test]
fn the_model_test_finds_each_fault() {
    // A fault that takes a long sequence to show is found by most runs of `CASES` sequences, not by all.
    let cases = 40 * CASES;
    for fault in FAULTS {
        let difference = find_difference(
            || async move {
                let clock = Clock::manual();
                let inner = MemoryStore::with_clock(clock.clone());
                Fixture::new(Intercept::new(inner, move |store, call| around(fault, store, call)), clock)
            },
            cases,
            SEED,
        );
        assert!(difference.is_some(), "a store that {fault:?} passes for a good one");
    }
}

/// Passes a call to the store, bent by the fault on its way in or out.
async fn around(fault: Fault, store: Arc<dyn Store>, mut call: Call) -> Result<Answer> {
    match &mut call {
        Call::Enqueue(jobs) => jobs.iter_mut().for_each(|job| bend_job(fault, job)),
        Call::Record(records) if fault == Fault::DropsChunks => {
            for record in records {
                record.entries.retain(|entry| !matches!(entry, Entry::Chunk { .. }));
            }
        }
        Call::Act(_, Action::Cancel { grace, .. }, _) if fault == Fault::IgnoresTheGrace => {
            *grace = Duration::ZERO
        }
        Call::Act(filter, ..) if fault == Fault::IgnoresTerms => filter.terms.clear(),
        Call::Act(_, action @ Action::RetryWith { .. }, _) if fault == Fault::KeepsArgs => {
            *action = Action::Retry;
        }
        Call::Act(_, Action::SetPriority { priority }, _) if fault == Fault::IgnoresNewPriorities => {
            *priority = 0;
        }
        Call::Act(_, Action::Cancel { reason, .. }, _) if fault == Fault::CancelsAsAsked => {
            *reason = CancelReason::Asked;
        }
        Call::SetQueue(_, config) => match fault {
            Fault::IsNeverFair => config.fair = false,
            Fault::IgnoresBounds => config.max_waiting = None,
            Fault::DropsTheNewestAlways => config.on_full = OnFull::DropNewest,
            Fault::RejectsTheOldestAlways => config.on_full = OnFull::Reject,
            _ => {}
        },
        Call::SetKey(_, Some(config)) => match fault {
            Fault::IgnoresSlots => config.slots = None,
            Fault::IgnoresRates => config.rate = None,
            Fault::IgnoresWeights => config.weight = None,
            _ => {}
        },
        Call::PauseKey(key, _) if fault == Fault::PausesNoKey => call = Call::ResumeKey(std::mem::take(key)),
        Call::ResumeKey(key) if fault == Fault::ResumesNoKey => {
            call = Call::PauseKey(std::mem::take(key), Duration::ZERO);
        }
        Call::PauseQueue(queue) if fault == Fault::PausesNoQueue => {
            call = Call::ResumeQueue(std::mem::take(queue));
        }
        _ => {}
    }
    for finish in call.finishes_mut() {
        if fault == Fault::SettlesNothing {
            finish.cost = None;
        }
        match (fault, &mut finish.outcome) {
            (Fault::DropsFollowUps, _) => finish.follow_ups.clear(),
            (Fault::PausesOneJobOnly, Outcome::RateLimited { delay }) => {
                finish.outcome = Outcome::Snoozed { delay: *delay };
            }
            (Fault::ShortensPauses, Outcome::RateLimited { delay }) => *delay /= 2,
            (Fault::DelaysNothing, Outcome::Retry { delay, .. }) => *delay = Duration::ZERO,
            _ => {}
        }
    }
    let leases: Vec<Lease> = call.finishes().iter().map(|finish| finish.lease.clone()).collect();
    let mut answer = call.on(store.as_ref()).await?;
    match (fault, &mut answer) {
        (Fault::FreesParentsTwice, _) => free_again(store.as_ref(), &leases).await?,
        (Fault::SaysHeldWhenLost, answer) if !leases.is_empty() => answer.statuses().fill(LeaseStatus::Held),
        (Fault::LosesSteps, answer) => answer.claimed().iter_mut().for_each(|claimed| claimed.steps.clear()),
        (Fault::TellsNoDeadline, answer) => {
            answer.claimed().iter_mut().for_each(|claimed| claimed.deadline_in = None);
        }
        (Fault::SaysStepsTookNoTime, Answer::Steps(Some(steps))) => {
            steps.iter_mut().for_each(|step| step.started_at = step.finished_at);
        }
        (Fault::ReportsNoRescue, Answer::Swept(swept)) => swept.rescued = 0,
        (Fault::DropsResets, Answer::Events(Some(events))) => {
            events.retain(|event| event.body != EventBody::Reset);
        }
        (_, Answer::Lookups(lookups)) => {
            for lookup in lookups {
                if let Lookup::Found(job) = lookup {
                    bend_record(fault, job);
                }
            }
        }
        _ => {}
    }
    Ok(answer)
}

fn bend_job(fault: Fault, job: &mut NewJob) {
    match fault {
        Fault::DelaysNothing => job.start = Start::Now,
        Fault::IgnoresCosts => job.policy.cost = Cost::default(),
        Fault::IgnoresPriority => job.priority = 0,
        Fault::IgnoresSecondKeys => job.limit_keys.truncate(1),
        Fault::IgnoresUniqueKeys => job.unique = None,
        Fault::TakesEveryVersion => job.version = 1,
        Fault::IgnoresExpiries => job.expires_in = None,
        Fault::IgnoresDeadlines => job.deadline = None,
        _ => {}
    }
    job.unique = job.unique.take().map(|unique| bend_unique(fault, unique));
}

fn bend_unique(fault: Fault, mut unique: Unique) -> Unique {
    unique.on_clash = match (fault, unique.on_clash) {
        (Fault::RefreshesNothing, OnClash::Refresh)
        | (Fault::RejectsNothing, OnClash::Reject)
        | (Fault::ReplacesNothing, OnClash::Replace)
        | (Fault::DebouncesNothing, OnClash::Debounce { .. })
        | (Fault::ThrottlesNothing, OnClash::Throttle) => OnClash::Join,
        (Fault::SupersedesNothing, OnClash::Supersede) => OnClash::Refresh,
        (Fault::ForgetsTheLongestDelay, OnClash::Debounce { delay, edge, .. }) => {
            OnClash::Debounce { delay, max_delay: None, edge }
        }
        (Fault::LeadsInsteadOfTrailing, OnClash::Debounce { delay, max_delay, .. }) => {
            OnClash::Debounce { delay, max_delay, edge: Edge::Leading }
        }
        (_, on_clash) => on_clash,
    };
    let timed = matches!(unique.on_clash, OnClash::Throttle | OnClash::Debounce { edge: Edge::Leading, .. });
    match fault {
        // A key that dies before its job, and two that outlive it.
        Fault::FreesKeysWithTheClaim if !timed => {
            let states = unique.states.clone().unwrap_or_else(|| State::ALL[..5].to_vec());
            let states: Vec<State> = states.into_iter().filter(|state| *state != State::Running).collect();
            unique.states = Some(states).filter(|states| !states.is_empty()).or(unique.states);
        }
        Fault::KeepsKeysAfterAFailure if !timed => {
            let mut states = unique.states.unwrap_or_else(|| {
                let unfinished = State::ALL.into_iter().filter(|state| !state.is_finished());
                unfinished.collect()
            });
            states.push(State::Failed);
            unique.states = Some(states);
        }
        Fault::KeepsKeysForAWhile => unique.period = unique.period.or(Some(Duration::from_secs(60))),
        _ => {}
    }
    unique
}

fn bend_record(fault: Fault, job: &mut JobRecord) {
    let ended = job.children.map_or(0, |children| children.total - children.unfinished());
    match fault {
        Fault::DropsSecondErrors => job.errors.truncate(1),
        Fault::FreesNoParent if job.state == State::Available && job.attempt == 0 && ended > 0 => {
            (job.state, job.position) = (State::Blocked, None);
        }
        Fault::FreesParentsWithTheFirstChild if job.state == State::Blocked && ended > 0 => {
            job.state = State::Available;
        }
        _ => {}
    }
}

/// Has the closing jobs whose children these runs were free once more, where they have run.
async fn free_again(store: &dyn Store, leases: &[Lease]) -> Result<()> {
    let ids: Vec<JobId> = leases.iter().map(|lease| lease.id.clone()).collect();
    for child in store.get(&ids).await?.into_iter().filter_map(Lookup::found) {
        let Some(parent) = child.parent.filter(|_| child.state.is_finished()) else { continue };
        let parent = store.get(&[parent]).await?.remove(0).found();
        if let Some(parent) = parent.filter(|parent| parent.children.is_some()) {
            store.act(&JobFilter::id(parent.id), Action::Retry, 1).await?;
        }
    }
    Ok(())
}
