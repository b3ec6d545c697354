//! Stores with one fault each: the model test must find it, or its silence about another store means nothing.

use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{
    Action, CancelReason, Clock, Cost, Edge, Entry, EventBody, JobFilter, JobId, JobRecord, Lease,
    LeaseStatus, Lookup, MemoryStore, NewJob, OnClash, OnFailure, OnFull, Outcome, Page, Result, Signalled,
    Start, State, Store, Unique, WaitsFor,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::model::{CASES, SEED, find_difference};

/// The fault of a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    CancelsAfterAnyFailure,
    CancelsAsAsked,
    DebouncesNothing,
    DelaysNothing,
    DropsChunks,
    DropsFollowUps,
    DropsResets,
    DropsSecondErrors,
    DropsTheNewestAlways,
    FollowsAncestors,
    FollowsNothing,
    FollowsWithoutWaiting,
    ForgetsForkedSteps,
    ForgetsLabels,
    ForgetsTheLongestDelay,
    ForgetsTimeouts,
    FreesDependantsWithTheFirstEnd,
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
    KeepsStepsThatAreToBeDoneAgain,
    LeadsInsteadOfTrailing,
    LosesEarlySignals,
    LosesSteps,
    PausesNoJob,
    PausesNoKey,
    PausesNoQueue,
    PausesOneJobOnly,
    RefreshesNothing,
    RejectsNothing,
    RejectsTheOldestAlways,
    ReplacesNothing,
    ReportsNoRescue,
    ResumesNoKey,
    RunsAfterFailures,
    SaysEverySignalWasFirst,
    SaysHeldWhenLost,
    SaysStepsTookNoTime,
    SettlesNothing,
    ShortensPauses,
    SupersedesNothing,
    TakesEveryVersion,
    TellsNoDeadline,
    ThrottlesNothing,
    WaitsForAncestors,
    WaitsForDeletedChildren,
    WaitsForNoChildren,
}

const FAULTS: [Fault; 65] = [
    Fault::CancelsAfterAnyFailure,
    Fault::CancelsAsAsked,
    Fault::DebouncesNothing,
    Fault::DelaysNothing,
    Fault::DropsChunks,
    Fault::DropsFollowUps,
    Fault::DropsResets,
    Fault::DropsSecondErrors,
    Fault::DropsTheNewestAlways,
    Fault::FollowsAncestors,
    Fault::FollowsNothing,
    Fault::FollowsWithoutWaiting,
    Fault::ForgetsForkedSteps,
    Fault::ForgetsLabels,
    Fault::ForgetsTheLongestDelay,
    Fault::ForgetsTimeouts,
    Fault::FreesDependantsWithTheFirstEnd,
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
    Fault::KeepsStepsThatAreToBeDoneAgain,
    Fault::LeadsInsteadOfTrailing,
    Fault::LosesEarlySignals,
    Fault::LosesSteps,
    Fault::PausesNoJob,
    Fault::PausesNoKey,
    Fault::PausesNoQueue,
    Fault::PausesOneJobOnly,
    Fault::RefreshesNothing,
    Fault::RejectsNothing,
    Fault::RejectsTheOldestAlways,
    Fault::ReplacesNothing,
    Fault::ReportsNoRescue,
    Fault::ResumesNoKey,
    Fault::RunsAfterFailures,
    Fault::SaysEverySignalWasFirst,
    Fault::SaysHeldWhenLost,
    Fault::SaysStepsTookNoTime,
    Fault::SettlesNothing,
    Fault::ShortensPauses,
    Fault::SupersedesNothing,
    Fault::TakesEveryVersion,
    Fault::TellsNoDeadline,
    Fault::ThrottlesNothing,
    Fault::WaitsForAncestors,
    Fault::WaitsForDeletedChildren,
    Fault::WaitsForNoChildren,
];

#[test]
fn the_model_test_finds_each_fault() {
    // A fault that takes a long sequence to show is found by most runs of `CASES` sequences, not by all.
    let cases = 100 * CASES;
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
        Call::Enqueue(jobs) if matches!(fault, Fault::FollowsAncestors | Fault::WaitsForAncestors) => {
            for job in jobs {
                disown(fault, store.as_ref(), job).await?;
            }
        }
        Call::Enqueue(jobs) => jobs.iter_mut().for_each(|job| bend_job(fault, job)),
        Call::Record(records) if fault == Fault::DropsChunks => {
            for record in records {
                record.entries.retain(|entry| !matches!(entry, Entry::Chunk { .. }));
            }
        }
        Call::Act(_, Action::Cancel { grace, .. }, _) if fault == Fault::IgnoresTheGrace => {
            *grace = Duration::ZERO
        }
        Call::Claim(claim) if fault == Fault::ForgetsLabels => claim.worker.labels.clear(),
        Call::Act(filter, ..) if fault == Fault::IgnoresTerms => filter.terms.clear(),
        Call::Act(_, action @ Action::RetryWith { .. }, _) if fault == Fault::KeepsArgs => {
            *action = Action::Retry;
        }
        Call::Act(_, Action::SetPriority { priority }, _) if fault == Fault::IgnoresNewPriorities => {
            *priority = 0;
        }
        Call::Act(_, action @ Action::RetryFrom { .. }, _)
            if fault == Fault::KeepsStepsThatAreToBeDoneAgain =>
        {
            *action = Action::Retry;
        }
        Call::Signal(id, ..) if fault == Fault::LosesEarlySignals => {
            let job = store.get(std::slice::from_ref(id)).await?.remove(0).found();
            if job.is_some_and(|job| job.state == State::Running) {
                return Ok(Answer::Signalled(Signalled::Accepted));
            }
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
            (Fault::ForgetsTimeouts, Outcome::Waits { timeout, .. }) => *timeout = None,
            (Fault::WaitsForNoChildren, Outcome::Waits { on: WaitsFor::Children, .. }) => {
                finish.outcome = Outcome::Snoozed { delay: Duration::ZERO };
            }
            (Fault::PausesNoJob, Outcome::Waits { on: WaitsFor::Person, error: Some(error), .. }) => {
                finish.outcome = Outcome::Failed { error: error.clone() };
            }
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
        (Fault::SaysEverySignalWasFirst, Answer::Signalled(signalled)) if *signalled == Signalled::Sent => {
            *signalled = Signalled::Accepted;
        }
        (Fault::WaitsForDeletedChildren, Answer::Lookups(lookups)) => {
            for lookup in lookups {
                if let Lookup::Found(job) = lookup {
                    wait_for_deleted_children(store.as_ref(), job).await?;
                }
            }
        }
        (Fault::FreesDependantsWithTheFirstEnd, Answer::Lookups(lookups)) => {
            for lookup in lookups {
                if let Lookup::Found(job) = lookup {
                    free_with_the_first_end(store.as_ref(), job).await?;
                }
            }
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
        Fault::ForgetsForkedSteps => job.steps.clear(),
        Fault::RunsAfterFailures => job.depends_on.iter_mut().for_each(|on| on.on_failure = OnFailure::Run),
        Fault::CancelsAfterAnyFailure => {
            job.depends_on.iter_mut().for_each(|on| on.on_failure = OnFailure::Cancel);
        }
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
        | (Fault::FollowsNothing, OnClash::Follow)
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
        // The newcomer runs beside the job that it is to follow.
        Fault::FollowsWithoutWaiting if unique.on_clash == OnClash::Follow => {
            unique.on_clash = OnClash::Replace;
            unique.states = Some(vec![State::Blocked, State::Scheduled, State::Available]);
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

/// Has a job that would wait for an ancestor above its parent be nobody's child, so that it does wait.
async fn disown(fault: Fault, store: &dyn Store, job: &mut NewJob) -> Result<()> {
    let is_waited_for = |job: &NewJob, above: &JobRecord| match (&job.unique, &above.unique) {
        _ if fault == Fault::WaitsForAncestors => {
            !above.state.is_finished() && job.depends_on.iter().any(|on| on.id == above.id)
        }
        (Some(own), Some(held)) => {
            let has_begun = above.state == State::Running
                || (above.state == State::Blocked && above.started_at.is_some());
            own.on_clash == OnClash::Follow && own.states.is_none() && own.key == held.key && has_begun
        }
        _ => false,
    };
    let mut next = job.parent.clone();
    for generation in 1..5 {
        let Some(id) = next.take() else { break };
        let Some(above) = store.get(&[id]).await?.remove(0).found() else { break };
        if generation > 1 && is_waited_for(job, &above) {
            job.parent = None;
        }
        next = above.parent;
    }
    Ok(())
}

/// Shows a job as waiting still whose last child was deleted after its end.
async fn wait_for_deleted_children(store: &dyn Store, job: &mut JobRecord) -> Result<()> {
    let children = JobFilter { parents: vec![job.id.clone()], ..JobFilter::default() };
    let there = store.list(&children, Page::default()).await?.jobs.len() as u64;
    let has_waited = job.state == State::Available && job.attempt == 0;
    if has_waited && job.children.is_some_and(|children| children.total > there) {
        (job.state, job.position, job.waits_for) = (State::Blocked, None, Some(WaitsFor::Children));
    }
    Ok(())
}

/// Shows a job as freed once one of its dependencies has ended, as where the one is counted twice.
async fn free_with_the_first_end(store: &dyn Store, job: &mut JobRecord) -> Result<()> {
    let ids: Vec<JobId> = job.depends_on.iter().map(|dependency| dependency.id.clone()).collect();
    let mut there = store.get(&ids).await?.into_iter().filter_map(Lookup::found);
    if job.waits_for == Some(WaitsFor::Dependencies) && there.any(|other| other.state.is_finished()) {
        (job.state, job.waits_for) = (State::Scheduled, None);
    }
    Ok(())
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
