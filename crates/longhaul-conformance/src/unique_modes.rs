//! The contract of what becomes of a second job of a unique key.

use std::time::Duration;

use longhaul::{
    Action, CancelReason, Claim, Dependency, Edge, EnqueueStatus, Enqueued, EventBody, LeaseStatus, Lookup,
    NewJob, OnClash, Prefer, STOP_GRACE, Start, State, Unique, WaitsFor, WorkerInfo,
};

use crate::Fixture;
use crate::jobs::{
    HOUR, KIND, claim, completed, delayed, failed, id, idempotent, job, json, kind, named, retry, secs, step,
    unique, worker,
};
use crate::waits::waits;

/// A job with the key `k`, an id and args that tell it.
fn keyed(name: &str, on_clash: OnClash) -> NewJob {
    let unique = Unique { on_clash, ..Unique::new("k") };
    NewJob { unique: Some(unique), args: json(&format!("\"{name}\"")), ..named(name) }
}

fn with(job: NewJob, change: impl FnOnce(&mut Unique)) -> NewJob {
    let unique = job.unique.map(|mut unique| {
        change(&mut unique);
        unique
    });
    NewJob { unique, ..job }
}

fn throttled(name: &str, period: Duration) -> NewJob {
    with(keyed(name, OnClash::Throttle), |unique| unique.period = Some(period))
}

fn trailing(name: &str, delay: Duration, max_delay: Option<Duration>) -> NewJob {
    keyed(name, OnClash::Debounce { delay, max_delay, edge: Edge::Trailing })
}

fn leading(name: &str, delay: Duration, max_delay: Option<Duration>) -> NewJob {
    keyed(name, OnClash::Debounce { delay, max_delay, edge: Edge::Leading })
}

/// Offers a job that creates nothing, and checks what its caller is told.
async fn assert_met(fx: &Fixture, job: NewJob, holder: &str, status: EnqueueStatus) {
    let own = job.id.clone();
    assert_eq!(fx.offer(job).await, Enqueued::new(id(holder), status), "the holder is told");
    if let Some(own) = own {
        assert_eq!(fx.lookup(&own).await, Lookup::Unknown, "nothing was created");
    }
}

/// Checks which job others join.
async fn assert_holds(fx: &Fixture, holder: &str) {
    assert_met(fx, unique("k", None), holder, EnqueueStatus::Duplicate).await;
}

/// Checks that nobody holds the key, by a job that is removed again.
async fn assert_free(fx: &Fixture) {
    let probe = fx.enqueue(unique("k", None)).await;
    fx.act(&probe, Action::cancel(Duration::ZERO)).await;
    fx.act(&probe, Action::Delete).await;
}

async fn args(fx: &Fixture, name: &str) -> String {
    fx.job(&id(name)).await.args.as_str().to_owned()
}

/// "A newcomer takes the key of a holder in a state that it does not name."
pub async fn a_newcomer_takes_the_key_of_a_holder_in_a_state_that_it_does_not_name(fx: &Fixture) {
    let waiting = vec![State::Scheduled, State::Available];
    let narrow =
        |name: &str| with(keyed(name, OnClash::Join), |unique| unique.states = Some(waiting.clone()));
    let first = fx.running_from(narrow("first")).await;
    assert_eq!(fx.enqueue(narrow("second")).await, id("second"), "the first runs");
    assert_met(fx, narrow("third"), "second", EnqueueStatus::Duplicate).await;
    assert_eq!(fx.state(&first.lease.id).await, State::Running, "the first goes on");
    fx.end(&first.lease, completed()).await;
    assert_holds(fx, "second").await;
}

/// "A job whose key was given to another frees nothing when it ends."
pub async fn a_job_whose_key_was_given_to_another_frees_nothing_when_it_ends(fx: &Fixture) {
    let narrow = |name: &str| {
        with(keyed(name, OnClash::Join), |unique| {
            unique.states = Some(vec![State::Available]);
            unique.period = Some(secs(60));
        })
    };
    for outcome in [completed(), failed()] {
        let former = fx.running_from(narrow("former")).await;
        fx.enqueue(narrow("holder")).await;
        fx.end(&former.lease, outcome).await;
        assert_holds(fx, "holder").await;
        fx.clock.advance(secs(61));
        fx.sweep().await;
        assert_holds(fx, "holder").await;
        assert_eq!(fx.act(&id("former"), Action::Retry).await, 0, "another holds its key");
        assert_eq!(fx.act(&id("former"), Action::Delete).await, 1);
        assert_holds(fx, "holder").await;
        fx.act(&id("holder"), Action::cancel(Duration::ZERO)).await;
        fx.act(&id("holder"), Action::Delete).await;
        assert_free(fx).await;
    }
}

/// "A job whose key was given to another does not take it back when it ends."
pub async fn a_job_whose_key_was_given_to_another_does_not_take_it_back_when_it_ends(fx: &Fixture) {
    let former = with(keyed("former", OnClash::Join), |unique| {
        unique.states = Some(vec![State::Running, State::Failed, State::Cancelled]);
    });
    let former = fx.running_from(former).await;
    fx.enqueue(keyed("heir", OnClash::Supersede)).await;
    fx.act(&id("heir"), Action::cancel(Duration::ZERO)).await;
    fx.end_asked(&former.lease, retry(secs(1))).await;
    let ended = fx.job(&former.lease.id).await;
    assert_eq!((ended.state, ended.unique.map(|unique| unique.holder)), (State::Cancelled, Some(None)));
    assert_free(fx).await;
}

/// "A holder that has ended in a state that it names keeps its key."
pub async fn a_holder_that_has_ended_in_a_state_that_it_names_keeps_its_key(fx: &Fixture) {
    let states = vec![State::Available, State::Running, State::Failed];
    let named =
        |name: &str| with(keyed(name, OnClash::Reject), |unique| unique.states = Some(states.clone()));
    fx.end(&fx.running_from(named("first")).await.lease, failed()).await;
    fx.clock.advance(HOUR);
    fx.sweep().await;
    assert_met(fx, named("second"), "first", EnqueueStatus::Rejected).await;
    assert_eq!(fx.act(&id("first"), Action::Retry).await, 1, "it may run again");
    fx.end(&fx.claim_one().await.lease, completed()).await;
    fx.end(&fx.running_from(named("second")).await.lease, failed()).await;
    assert_eq!(fx.act(&id("second"), Action::Delete).await, 1);
    fx.enqueue(named("third")).await;
    fx.act(&id("third"), Action::cancel(Duration::ZERO)).await;
    assert_free(fx).await;
    // Who does not name the state takes the key.
    fx.end(&fx.running_from(named("fourth")).await.lease, failed()).await;
    fx.enqueue(keyed("fifth", OnClash::Join)).await;
    // A period bounds the time.
    let brief = |name: &str| with(named(name), |unique| unique.period = Some(secs(60)));
    fx.act(&id("fifth"), Action::cancel(Duration::ZERO)).await;
    fx.end(&fx.running_from(brief("sixth")).await.lease, failed()).await;
    assert_met(fx, brief("seventh"), "sixth", EnqueueStatus::Rejected).await;
    fx.clock.advance(secs(60));
    fx.enqueue(brief("seventh")).await;
}

/// "A reject creates nothing and tells the holder."
pub async fn a_reject_creates_nothing_and_tells_the_holder(fx: &Fixture) {
    fx.enqueue(keyed("holder", OnClash::Join)).await;
    let before = fx.seen(&id("holder")).await;
    let answers = fx.enqueue_all(vec![named("other"), keyed("second", OnClash::Reject), job()]).await;
    let statuses: Vec<EnqueueStatus> = answers.iter().map(|answer| answer.status).collect();
    let created = EnqueueStatus::Created;
    assert_eq!(statuses, [created, EnqueueStatus::Rejected, created], "the others of the call are created");
    assert_eq!(answers[1].id, id("holder"));
    assert_eq!(fx.lookup(&id("second")).await, Lookup::Unknown);
    assert_eq!(fx.seen(&id("holder")).await, before, "the holder is left as it is");
    fx.claim(crate::jobs::claim()).await;
    assert_met(fx, keyed("second", OnClash::Reject), "holder", EnqueueStatus::Rejected).await;
}

/// "A refused job leaves its idempotency key free."
pub async fn a_refused_job_leaves_its_idempotency_key_free(fx: &Fixture) {
    let held = fx.running_from(keyed("holder", OnClash::Join)).await;
    let request =
        || NewJob { idempotency: idempotent("i", "f").idempotency, ..keyed("second", OnClash::Reject) };
    assert_met(fx, request(), "holder", EnqueueStatus::Rejected).await;
    fx.end(&held.lease, completed()).await;
    assert_eq!(fx.enqueue(request()).await, id("second"), "the request is made again, and granted");
    assert!(fx.offer(request()).await.is_duplicate());
}

/// "A replace gives a waiting holder its args and its time."
pub async fn a_replace_gives_a_waiting_holder_its_args_and_its_time(fx: &Fixture) {
    let replace = |name: &str, start| NewJob { start, ..keyed(name, OnClash::Replace) };
    fx.enqueue(NewJob { priority: 7, ..replace("holder", Start::After(secs(60))) }).await;
    let created_at = fx.now();
    let before = fx.job(&id("holder")).await;
    fx.clock.advance(secs(1));
    let later = NewJob { version: 2, priority: 1, ..replace("second", Start::After(secs(90))) };
    assert_met(fx, later, "holder", EnqueueStatus::Replaced).await;
    let after = fx.job(&id("holder")).await;
    assert_eq!((after.args.as_str(), after.version), ("\"second\"", 2));
    assert_eq!((after.state, after.run_at), (State::Scheduled, fx.now().plus(secs(90))));
    assert_eq!((after.priority, after.created_at), (7, created_at), "all else is its own");
    assert!(after.last_event > before.last_event, "readers are told");
    fx.clock.advance(secs(60));
    fx.sweep().await;
    assert_eq!(fx.state(&id("holder")).await, State::Scheduled, "its former time has passed");

    assert_met(fx, replace("third", Start::Now), "holder", EnqueueStatus::Replaced).await;
    let available = fx.job(&id("holder")).await;
    assert_eq!((available.state, available.run_at), (State::Available, fx.now()));
    fx.clock.advance(secs(5));
    assert_met(fx, replace("fourth", Start::Now), "holder", EnqueueStatus::Replaced).await;
    assert_eq!(fx.job(&id("holder")).await.run_at, available.run_at, "it keeps its place");
    let claimed = fx.claim_one().await;
    assert_eq!((claimed.args.as_str(), &claimed.lease.id), ("\"fourth\"", &id("holder")));

    // A job that waits for its next attempt, with what it has done.
    fx.record(&claimed.lease, vec![step("paid", "1")]).await;
    fx.end(&claimed.lease, retry(HOUR)).await;
    assert_met(fx, replace("fifth", Start::Now), "holder", EnqueueStatus::Replaced).await;
    let again = fx.claim_one().await;
    assert_eq!((again.attempt, again.args.as_str()), (2, "\"fifth\""));
    assert!(again.steps.is_empty(), "its steps were those of the former args");
    fx.end(&again.lease, completed()).await;

    // A blocked one keeps its time.
    let closing = |name: &str| NewJob { start: Start::AfterChildren, ..keyed(name, OnClash::Join) };
    let child = NewJob { parent: Some(id("closing")), ..named("child") };
    fx.enqueue_all(vec![closing("closing"), child]).await;
    assert_met(fx, replace("sixth", Start::Now), "closing", EnqueueStatus::Replaced).await;
    assert_eq!(
        (fx.state(&id("closing")).await, args(fx, "closing").await),
        (State::Blocked, "\"sixth\"".into())
    );
}

/// "A replace by another version is claimed whatever limits and preference its holder has."
pub async fn a_replace_by_another_version_is_claimed_whatever_limits_and_preference_its_holder_has(
    fx: &Fixture,
) {
    let claim_up_to = async |version| {
        let labels = [("gpu".to_owned(), "a100".to_owned())].into();
        let worker = WorkerInfo { labels, ..worker("w1") };
        fx.claim(Claim { kinds: vec![kind(KIND, version)], worker, ..claim() }).await
    };
    let prefer = || Some(Prefer::soft([("gpu", "a100")]));
    for (number, (limit_keys, prefer)) in
        [(vec![], None), (vec!["key".into()], None), (vec![], prefer()), (vec!["key".into()], prefer())]
            .into_iter()
            .enumerate()
    {
        for (before, after) in [(1, 2), (2, 1)] {
            let holder = format!("{number}-{before}");
            let offered = keyed(&holder, OnClash::Replace);
            let limit_keys = limit_keys.clone();
            fx.enqueue(NewJob { version: before, limit_keys, prefer: prefer.clone(), ..offered }).await;
            // In the same millisecond, so that it keeps its place among all jobs.
            let second = NewJob { version: after, ..keyed("second", OnClash::Replace) };
            assert_met(fx, second, &holder, EnqueueStatus::Replaced).await;
            if after == 2 {
                assert!(claim_up_to(1).await.is_empty(), "{holder}: it is of the new version");
            }
            let claimed = claim_up_to(after).await;
            let ids: Vec<_> = claimed.iter().map(|job| (job.lease.id.clone(), job.version)).collect();
            assert_eq!(ids, [(id(&holder), after)]);
            fx.end(&claimed[0].lease, completed()).await;
        }
    }
}

/// "A replace comes too late for a holder that runs."
pub async fn a_replace_comes_too_late_for_a_holder_that_runs(fx: &Fixture) {
    let cached = |name: &str| with(keyed(name, OnClash::Replace), |unique| unique.period = Some(HOUR));
    let claimed = fx.running_from(cached("holder")).await;
    assert_met(fx, cached("second"), "holder", EnqueueStatus::Duplicate).await;
    assert_eq!(args(fx, "holder").await, "\"holder\"");
    fx.end(&claimed.lease, completed()).await;
    assert_met(fx, cached("second"), "holder", EnqueueStatus::Duplicate).await;
    // Args mean something to their own kind alone.
    fx.clock.advance(HOUR);
    fx.enqueue(cached("waits")).await;
    let other = NewJob { kind: "mail".into(), ..cached("other") };
    assert_met(fx, other, "waits", EnqueueStatus::Rejected).await;
    assert_eq!(args(fx, "waits").await, "\"waits\"");
}

/// "A debounced job waits until none has come for its delay."
pub async fn a_debounced_job_waits_until_none_has_come_for_its_delay(fx: &Fixture) {
    assert_eq!(fx.enqueue(trailing("a", secs(10), None)).await, id("a"));
    assert_eq!(
        (fx.state(&id("a")).await, fx.job(&id("a")).await.run_at),
        (State::Scheduled, fx.now().plus(secs(10)))
    );
    for name in ["b", "c", "d"] {
        fx.clock.advance(secs(9));
        assert!(fx.claim_ids().await.is_empty());
        assert_met(fx, trailing(name, secs(10), None), "a", EnqueueStatus::Replaced).await;
    }
    fx.clock.advance(secs(10));
    let claimed = fx.claim_one().await;
    assert_eq!((claimed.lease.id.clone(), claimed.args.as_str()), (id("a"), "\"d\""), "the last of them");
    assert_eq!(
        fx.enqueue(trailing("e", secs(10), None)).await,
        id("e"),
        "a new succession begins while it runs"
    );
    fx.end(&claimed.lease, completed()).await;
    assert_met(fx, trailing("f", secs(10), None), "e", EnqueueStatus::Replaced).await;
    fx.clock.advance(secs(10));
    assert_eq!(fx.claim_ids().await, [id("e")]);
}

/// "A debounced job waits no longer than its longest delay."
pub async fn a_debounced_job_waits_no_longer_than_its_longest_delay(fx: &Fixture) {
    let began = fx.now();
    let debounced = |name: &str| trailing(name, secs(10), Some(secs(25)));
    fx.enqueue(debounced("a")).await;
    for name in ["b", "c"] {
        fx.clock.advance(secs(8));
        assert_met(fx, debounced(name), "a", EnqueueStatus::Replaced).await;
    }
    assert_eq!(fx.job(&id("a")).await.run_at, began.plus(secs(25)));
    fx.clock.advance(secs(9));
    assert_eq!(fx.enqueue(debounced("d")).await, id("d"), "one that is due is left alone");
    assert_eq!(fx.claim_one().await.args.as_str(), "\"c\"");
    fx.clock.advance(secs(10));
    assert_eq!(fx.claim_one().await.args.as_str(), "\"d\"");
}

/// "A debounce moves no job that was started or is due."
pub async fn a_debounce_moves_no_job_that_was_started_or_is_due(fx: &Fixture) {
    let debounced = |name: &str| trailing(name, secs(10), None);
    fx.enqueue(debounced("due")).await;
    fx.clock.advance(secs(10));
    fx.sweep().await;
    assert_eq!(fx.enqueue(debounced("next")).await, id("next"), "an available one");
    let due = fx.claim_one().await;
    assert_eq!(due.args.as_str(), "\"due\"");
    fx.clock.advance(secs(10));
    let next = fx.claim_one().await;
    fx.end(&next.lease, retry(secs(60))).await;
    assert_eq!(fx.enqueue(debounced("third")).await, id("third"), "one that waits for another attempt");
    assert_eq!(args(fx, "next").await, "\"next\"");
    fx.end(&due.lease, completed()).await;
    assert_holds(fx, "third").await;
}

/// "A debounce at its leading edge runs the first at once and joins the others."
pub async fn a_debounce_at_its_leading_edge_runs_the_first_at_once_and_joins_the_others(fx: &Fixture) {
    let debounced = |name: &str| leading(name, secs(10), Some(secs(25)));
    let first = fx.running_from(debounced("a")).await;
    fx.end(&first.lease, failed()).await;
    for _ in 0..2 {
        fx.clock.advance(secs(9));
        assert_met(fx, debounced("b"), "a", EnqueueStatus::Duplicate).await;
    }
    assert_eq!(args(fx, "a").await, "\"a\"");
    fx.clock.advance(secs(6));
    fx.sweep().await;
    assert_met(fx, debounced("b"), "a", EnqueueStatus::Duplicate).await;
    fx.clock.advance(secs(1));
    assert_eq!(fx.enqueue(debounced("b")).await, id("b"), "the longest succession is over");
    fx.clock.advance(secs(10));
    assert_eq!(fx.enqueue(debounced("c")).await, id("c"), "and so is a short one, though its job waits");
}

/// "A throttle joins for its period whatever becomes of its job."
pub async fn a_throttle_joins_for_its_period_whatever_becomes_of_its_job(fx: &Fixture) {
    let throttle = |name: &str| throttled(name, secs(60));
    let first = fx.running_from(throttle("a")).await;
    fx.end(&first.lease, failed()).await;
    fx.clock.advance(secs(59));
    fx.sweep().await;
    assert_met(fx, throttle("b"), "a", EnqueueStatus::Duplicate).await;
    fx.clock.advance(secs(1));
    assert_eq!(fx.enqueue(throttle("b")).await, id("b"));
    fx.clock.advance(secs(60));
    assert_eq!(fx.enqueue(throttle("c")).await, id("c"), "though the one before it waits");
    assert_eq!(fx.state(&id("b")).await, State::Available);
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 0, "another holds its key");
    fx.act(&id("b"), Action::cancel(Duration::ZERO)).await;
    assert_met(fx, throttle("d"), "c", EnqueueStatus::Duplicate).await;
    fx.act(&id("c"), Action::cancel(Duration::ZERO)).await;
    assert_met(fx, throttle("d"), "c", EnqueueStatus::Duplicate).await;
    assert_eq!(fx.act(&id("c"), Action::Delete).await, 1, "a job that is removed frees its key");
    fx.enqueue(throttle("d")).await;
}

/// "A supersede cancels a waiting holder and takes its key."
pub async fn a_supersede_cancels_a_waiting_holder_and_takes_its_key(fx: &Fixture) {
    let supersede = |name: &str| keyed(name, OnClash::Supersede);
    fx.enqueue(supersede("a")).await;
    assert_eq!(fx.enqueue(supersede("b")).await, id("b"));
    let first = fx.job(&id("a")).await;
    assert_eq!((first.state, first.cancel_reason), (State::Cancelled, Some(CancelReason::Superseded)));
    assert_eq!(first.finished_at, Some(fx.now()));
    let told = fx.events(&id("a")).await;
    assert!(
        matches!(told[..], [ref last] if matches!(last.body, EventBody::State { state: State::Cancelled, .. }))
    );
    fx.enqueue(NewJob { unique: supersede("x").unique, ..delayed(HOUR) }).await;
    assert_eq!(fx.state(&id("b")).await, State::Cancelled);
    let answers = fx.enqueue_all(vec![supersede("c"), supersede("d")]).await;
    assert!(answers.iter().all(|answer| answer.status == EnqueueStatus::Created), "in one call, too");
    assert_eq!(fx.claim_ids().await, [id("d")]);

    // So does one that is cancelled at once, because another that it depends on has been.
    let other = |job| with(job, |unique| unique.key = "other".into());
    fx.enqueue(other(supersede("e"))).await;
    fx.enqueue(NewJob { depends_on: vec![Dependency::on(id("b"))], ..other(supersede("f")) }).await;
    let reasons = [fx.job(&id("e")).await.cancel_reason, fx.job(&id("f")).await.cancel_reason];
    assert_eq!(reasons, [Some(CancelReason::Superseded), Some(CancelReason::Dependency)]);
    assert!(!fx.offer(other(keyed("g", OnClash::Join))).await.is_duplicate(), "and the key is free");
    fx.act(&id("g"), Action::cancel(Duration::ZERO)).await;

    // A child that is superseded is counted.
    let closing = NewJob { start: Start::AfterChildren, ..named("closing") };
    let child =
        NewJob { parent: Some(id("closing")), ..with(supersede("child"), |unique| unique.key = "c".into()) };
    fx.enqueue_all(vec![closing, child]).await;
    fx.enqueue(with(supersede("newer"), |unique| unique.key = "c".into())).await;
    let closing = fx.job(&id("closing")).await;
    assert_eq!(
        (closing.state, closing.children.map(|children| children.cancelled)),
        (State::Available, Some(1))
    );
}

/// "A supersede asks a running holder to stop."
pub async fn a_supersede_asks_a_running_holder_to_stop(fx: &Fixture) {
    let supersede = |name: &str| keyed(name, OnClash::Supersede);
    let first = fx.running_from(supersede("a")).await;
    fx.enqueue(supersede("b")).await;
    assert_eq!(fx.state(&id("a")).await, State::Running);
    assert_eq!(fx.heartbeat(&first.lease).await, LeaseStatus::CancelRequested);
    let second = fx.claim_one().await;
    assert_eq!(second.lease.id, id("b"), "the two overlap");
    fx.end_asked(&first.lease, retry(secs(1))).await;
    let ended = fx.job(&id("a")).await;
    assert_eq!((ended.state, ended.cancel_reason), (State::Cancelled, Some(CancelReason::Superseded)));
    assert_holds(fx, "b").await;

    fx.enqueue(supersede("c")).await;
    fx.clock.advance(STOP_GRACE - secs(1));
    assert_eq!(fx.heartbeat(&second.lease).await, LeaseStatus::CancelRequested);
    assert_eq!(fx.sweep().await.fenced, 0);
    fx.clock.advance(secs(2));
    assert_eq!(fx.sweep().await.fenced, 1, "one that does not stop is fenced off");
    let fenced = fx.job(&id("b")).await;
    assert_eq!((fenced.state, fenced.cancel_reason), (State::Cancelled, Some(CancelReason::Superseded)));
    assert_holds(fx, "c").await;
}

/// "A supersede takes the key from a finished holder."
pub async fn a_supersede_takes_the_key_from_a_finished_holder(fx: &Fixture) {
    let cached = |name: &str| with(keyed(name, OnClash::Supersede), |unique| unique.period = Some(HOUR));
    let first = fx.running_from(cached("a")).await;
    fx.end(&first.lease, completed()).await;
    fx.enqueue(cached("b")).await;
    assert_eq!(fx.state(&id("a")).await, State::Completed);
    assert_holds(fx, "b").await;
}

/// "A follow waits behind a running holder as the only one."
pub async fn a_follow_waits_behind_a_running_holder_as_the_only_one(fx: &Fixture) {
    let follow = |name: &str| keyed(name, OnClash::Follow);
    let first = fx.running_from(follow("a")).await;
    assert_eq!(fx.enqueue(follow("b")).await, id("b"));
    let next = fx.job(&id("b")).await;
    assert_eq!((next.state, next.waits_for), (State::Blocked, Some(WaitsFor::Dependencies)));
    assert_eq!(next.depends_on, [Dependency::on_any_end(id("a"))]);
    for name in ["c", "d"] {
        assert_met(fx, follow(name), "b", EnqueueStatus::Replaced).await;
    }
    assert_holds(fx, "b").await;
    assert!(fx.claim_ids().await.is_empty(), "it waits");
    // An attempt that fails is no end.
    fx.end(&first.lease, retry(secs(10))).await;
    assert_eq!(fx.state(&id("b")).await, State::Blocked);
    fx.clock.advance(secs(10));
    let again = fx.claim_one().await;
    assert_eq!(again.lease.id, id("a"));
    fx.end(&again.lease, failed()).await;
    let next = fx.claim_one().await;
    assert_eq!((&next.lease.id, next.args.as_str()), (&id("b"), "\"d\""), "the newest");
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 0, "another holds its key");
    assert_eq!(fx.enqueue(follow("e")).await, id("e"), "which is followed in its turn");
    fx.end(&next.lease, completed()).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_free(fx).await;

    // A job that has begun and waits for a signal is in the middle of its work.
    let signalled = fx.running_from(follow("f")).await;
    fx.end(&signalled.lease, waits(WaitsFor::Signal("approve".into()), None)).await;
    assert_eq!(fx.enqueue(follow("g")).await, id("g"));
    assert_eq!(args(fx, "f").await, "\"f\"");
    fx.act(&id("f"), Action::cancel(Duration::ZERO)).await;
    assert_eq!(fx.claim_ids().await, [id("g")], "however it ends");
}

/// "A follow replaces a waiting holder and takes the key from a finished one."
pub async fn a_follow_replaces_a_waiting_holder_and_takes_the_key_from_a_finished_one(fx: &Fixture) {
    let cached = |name: &str| with(keyed(name, OnClash::Follow), |unique| unique.period = Some(HOUR));
    fx.enqueue(NewJob { start: Start::After(HOUR), ..cached("a") }).await;
    assert_met(fx, cached("b"), "a", EnqueueStatus::Replaced).await;
    let claimed = fx.claim_one().await;
    assert_eq!((&claimed.lease.id, claimed.args.as_str()), (&id("a"), "\"b\""));
    fx.end(&claimed.lease, completed()).await;
    assert_eq!(fx.enqueue(cached("c")).await, id("c"), "its result is old");
    let other = NewJob { kind: "mail".into(), ..cached("other") };
    assert_met(fx, other, "c", EnqueueStatus::Rejected).await;
    assert_holds(fx, "c").await;
}

/// "A follow behind a holder that is an ancestor is rejected."
pub async fn a_follow_behind_a_holder_that_is_an_ancestor_is_rejected(fx: &Fixture) {
    let follow = |name: &str| keyed(name, OnClash::Follow);
    let child = |of: &str, job: NewJob| NewJob { parent: Some(id(of)), ..job };
    let closing = |name: &str| NewJob { start: Start::AfterChildren, ..named(name) };
    let first = fx.running_from(follow("a")).await;
    assert_met(fx, child("a", follow("b")), "a", EnqueueStatus::Rejected).await;
    // A child of a child, whose parent was there or is made by the same call. The others of the call are created.
    fx.enqueue_all(vec![child("a", closing("c")), child("c", closing("d"))]).await;
    assert_met(fx, child("d", follow("e")), "a", EnqueueStatus::Rejected).await;
    let answers = fx.enqueue_all(vec![child("c", closing("f")), child("f", follow("g"))]).await;
    let told: Vec<_> = answers.iter().map(|answer| (answer.id.as_str(), answer.status)).collect();
    assert_eq!(told, [("f", EnqueueStatus::Created), ("a", EnqueueStatus::Rejected)]);
    assert_holds(fx, "a").await;
    // So it is where the ancestor waits for its children.
    fx.end(&first.lease, waits(WaitsFor::Signal("go".into()), None)).await;
    assert_met(fx, child("a", follow("b")), "a", EnqueueStatus::Rejected).await;

    // A job that is no descendant follows, and a descendant may give that one its args, which does not wait for itself.
    assert_eq!(fx.enqueue(follow("h")).await, id("h"));
    assert_met(fx, child("a", follow("i")), "h", EnqueueStatus::Replaced).await;
    fx.act(&id("h"), Action::cancel(Duration::ZERO)).await;
    fx.act(&id("a"), Action::cancel(Duration::ZERO)).await;
    assert_eq!(fx.enqueue(child("a", follow("j"))).await, id("j"), "one that has ended is not waited for");
    // A sibling is followed.
    for name in ["d", "f", "c"] {
        fx.act(&id(name), Action::cancel(Duration::ZERO)).await;
    }
    let run = fx.claim_one().await;
    assert_eq!(run.lease.id, id("j"));
    // The parent of a job that was not created is nobody's ancestor.
    let joins = child("j", keyed("joins", OnClash::Join));
    let answers = fx.enqueue_all(vec![joins, child("joins", follow("l"))]).await;
    let told: Vec<_> = answers.iter().map(|answer| (answer.id.as_str(), answer.status)).collect();
    assert_eq!(told, [("j", EnqueueStatus::Duplicate), ("l", EnqueueStatus::Created)]);
    fx.act(&id("l"), Action::cancel(Duration::ZERO)).await;
    assert_eq!(fx.enqueue(child("a", follow("k"))).await, id("k"));
    fx.end(&run.lease, completed()).await;
}

/// "A follower that ends first gives the key back to the job that it follows."
pub async fn a_follower_that_ends_first_gives_the_key_back_to_the_job_that_it_follows(fx: &Fixture) {
    let follow = |name: &str| keyed(name, OnClash::Follow);
    let first = fx.running_from(follow("a")).await;
    fx.enqueue(follow("b")).await;
    fx.act(&id("b"), Action::cancel(Duration::ZERO)).await;
    assert_holds(fx, "a").await;
    assert_eq!(fx.enqueue(NewJob { expires_in: Some(secs(5)), ..follow("c") }).await, id("c"));
    fx.clock.advance(secs(5));
    fx.sweep().await;
    assert_eq!(fx.state(&id("c")).await, State::Cancelled, "it has expired");
    assert_holds(fx, "a").await;
    assert_eq!(fx.act(&id("c"), Action::Retry).await, 0, "another holds its key");
    assert_eq!(fx.act(&id("c"), Action::Delete).await, 1);
    assert_holds(fx, "a").await;
    // One that has failed before it was created gives it back at once.
    fx.enqueue(named("failed")).await;
    fx.act(&id("failed"), Action::cancel(Duration::ZERO)).await;
    let doomed = NewJob { depends_on: vec![Dependency::on(id("failed"))], ..follow("d") };
    assert_eq!(fx.enqueue(doomed).await, id("d"));
    assert_eq!(fx.state(&id("d")).await, State::Cancelled);
    assert_holds(fx, "a").await;
    fx.end(&first.lease, completed()).await;
    assert_free(fx).await;
}
