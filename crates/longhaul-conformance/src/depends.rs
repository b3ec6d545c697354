//! The contract of dependencies: a job that is blocked until others have ended.

use std::pin::pin;

use longhaul::{
    Action, CancelReason, Children, Claim, DEPENDANTS_AT_ONCE, Dependency, EnqueueStatus, Error, Finish,
    JobId, Lease, NewJob, OnFailure, Outcome, Start, State, Unique, WaitsFor, Webhook,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{
    HOUR, LEASE, claim, completed, failed, finish, id, idempotent, job, named, retry, secs, unique,
};

const CANCEL: Action = Action::cancel(LEASE);

/// A job that is cancelled where one of these fails.
pub(crate) fn after(name: &str, dependencies: &[&str]) -> NewJob {
    let on = |name: &&str| Dependency::on(id(name));
    NewJob { depends_on: dependencies.iter().map(on).collect(), ..named(name) }
}

/// A job that runs after any end of these.
pub(crate) fn after_any_end(name: &str, dependencies: &[&str]) -> NewJob {
    let mut job = after(name, dependencies);
    job.depends_on.iter_mut().for_each(|dependency| dependency.on_failure = OnFailure::Run);
    job
}

/// Enqueues plain jobs of these names and claims them.
async fn running(fx: &Fixture, names: &[&str]) -> Vec<Lease> {
    fx.enqueue_all(names.iter().map(|name| named(name)).collect()).await;
    let claimed = fx.claim(claim()).await;
    assert_eq!(claimed.len(), names.len(), "these are available, and nothing else");
    claimed.into_iter().map(|claimed| claimed.lease).collect()
}

/// "A job that depends on others is blocked until all have ended."
pub async fn a_job_that_depends_on_others_is_blocked_until_all_have_ended(fx: &Fixture) {
    let leases = running(fx, &["a", "b"]).await;
    fx.enqueue(after("c", &["a", "b"])).await;
    let record = fx.job(&id("c")).await;
    assert_eq!((record.state, record.waits_for), (State::Blocked, Some(WaitsFor::Dependencies)));
    assert_eq!(record.depends_on, [Dependency::on(id("a")), Dependency::on(id("b"))]);
    assert_eq!((record.wakes_at, record.children, record.position), (None, None, None));
    fx.end(&leases[0], completed()).await;
    assert_eq!(fx.state(&id("c")).await, State::Blocked, "one of them is left");
    fx.end(&leases[1], retry(secs(5))).await;
    assert_eq!(fx.state(&id("c")).await, State::Blocked, "a retry is no end");
    fx.clock.advance(secs(5));
    let again = fx.claim_one().await.lease;
    fx.clock.advance(HOUR);
    fx.end(&again, completed()).await;
    let record = fx.job(&id("c")).await;
    assert_eq!((record.state, record.waits_for, record.run_at), (State::Available, None, fx.now()));
    assert_eq!(record.depends_on.len(), 2, "which tell where it comes from");
    assert_eq!(fx.claim_ids().await, [id("c")]);
}

/// "The last dependency to end frees its dependants."
pub async fn the_last_dependency_to_end_frees_its_dependants(fx: &Fixture) {
    // A diamond: d after b and c, and they after a.
    fx.enqueue_all(vec![named("a"), after("b", &["a"]), after("c", &["a"]), after("d", &["b", "c"])]).await;
    let first = fx.claim_one().await.lease;
    assert_eq!(first.id, id("a"));
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.end(&first, completed()).await;
    let freed = ok("claim", within("dependants that are freed", waiting).await);
    let mut ids: Vec<&JobId> = freed.iter().map(|claimed| &claimed.lease.id).collect();
    ids.sort();
    assert_eq!(ids, [&id("b"), &id("c")]);
    assert!(freed.iter().all(|claimed| claimed.attempt == 1));
    // Both in one call.
    fx.finish_all(freed.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
    assert_eq!(fx.claim_ids().await, [id("d")]);
}

/// "A dependency that has ended counts at once."
pub async fn a_dependency_that_has_ended_counts_at_once(fx: &Fixture) {
    let leases = running(fx, &["good", "bad", "left"]).await;
    fx.end(&leases[0], completed()).await;
    fx.end(&leases[1], failed()).await;
    fx.enqueue(after("a", &["good"])).await;
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.waits_for, record.last_event), (State::Available, None, 1));
    fx.enqueue(after_any_end("b", &["good", "bad"])).await;
    fx.enqueue(after_any_end("c", &["good", "left", "bad"])).await;
    assert_eq!(fx.state(&id("c")).await, State::Blocked);
    assert_eq!(fx.claim_ids().await, [id("a"), id("b")]);
    fx.end(&leases[2], completed()).await;
    assert_eq!(fx.claim_ids().await, [id("c")]);
}

/// "A job whose dependency has failed already is created and cancelled."
pub async fn a_job_whose_dependency_has_failed_already_is_created_and_cancelled(fx: &Fixture) {
    let leases = running(fx, &["bad", "left"]).await;
    fx.end(&leases[0], failed()).await;
    let keyed = NewJob { unique: unique("k", None).unique, ..after("a", &["left", "bad"]) };
    let closing = NewJob { start: Start::AfterChildren, ..named("all") };
    let child = NewJob { parent: Some(id("all")), ..keyed };
    // Its own dependants go with it, those of the same call, too.
    let answers = fx.enqueue_all(vec![closing, child, after("b", &["a"]), after_any_end("c", &["b"])]).await;
    assert!(answers.iter().all(|answer| answer.status == EnqueueStatus::Created), "{answers:?}");
    for name in ["a", "b"] {
        let record = fx.job(&id(name)).await;
        assert_eq!((record.state, record.finished_at), (State::Cancelled, Some(fx.now())), "{name}");
        assert_eq!((record.waits_for, record.attempt), (None, 0), "{name}");
    }
    let counted = Children { total: 1, cancelled: 1, ..Children::default() };
    assert_eq!(fx.job(&id("all")).await.children, Some(counted), "as a child it has ended");
    assert!(!fx.offer(unique("k", None)).await.is_duplicate(), "and its key is free");
    let mut freed = fx.claim_ids().await;
    freed.retain(|freed| [id("all"), id("c")].contains(freed));
    assert_eq!(freed, [id("all"), id("c")]);
}

/// "A job may depend on one that stands before it in the call."
pub async fn a_job_may_depend_on_one_that_stands_before_it_in_the_call(fx: &Fixture) {
    fx.enqueue_all(vec![named("a"), after("b", &["a"]), after("c", &["b", "a"])]).await;
    for name in ["a", "b", "c"] {
        let claimed = fx.claim_one().await;
        assert_eq!(claimed.lease.id, id(name));
        fx.end(&claimed.lease, completed()).await;
    }
}

/// "A dependency on a job of the call that was not created is one on the job that stands for it."
pub async fn a_dependency_on_a_job_of_the_call_that_was_not_created_is_one_on_the_job_that_stands_for_it(
    fx: &Fixture,
) {
    let holder = fx.running_from(NewJob { id: Some(id("holder")), ..unique("k", None) }).await.lease;
    let newcomer = NewJob { id: Some(id("newcomer")), ..unique("k", None) };
    let answers = fx.enqueue_all(vec![newcomer, after("b", &["newcomer", "holder"])]).await;
    assert_eq!((&answers[0].id, answers[1].status), (&id("holder"), EnqueueStatus::Created));
    let record = fx.job(&id("b")).await;
    assert_eq!(record.depends_on, [Dependency::on(id("holder"))], "once");
    assert_eq!(record.state, State::Blocked);
    fx.end(&holder, completed()).await;
    assert_eq!(fx.claim_ids().await, [id("b")]);

    // The one that stands for it may be named in the call as well, where its id is taken.
    let of_key = |name: &str| NewJob { id: Some(id(name)), ..unique("other", None) };
    let held = fx.enqueue(of_key("held")).await;
    let answers = fx.enqueue_all(vec![named("held"), of_key("joins"), after("c", &["joins"])]).await;
    let told: Vec<_> = answers.iter().map(|answer| (answer.id.as_str(), answer.status)).collect();
    let (duplicate, created) = (EnqueueStatus::Duplicate, EnqueueStatus::Created);
    assert_eq!(told, [("held", duplicate), ("held", duplicate), ("c", created)]);
    assert_eq!(fx.job(&id("c")).await.depends_on, [Dependency::on(held)]);
}

/// "A job that comes to depend on an unfinished ancestor is created and cancelled."
pub async fn a_job_that_comes_to_depend_on_an_unfinished_ancestor_is_created_and_cancelled(fx: &Fixture) {
    let parent = fx.running_from(NewJob { id: Some(id("parent")), ..unique("k", None) }).await.lease;
    let newcomer = || NewJob { id: Some(id("newcomer")), ..unique("k", None) };
    for (name, on_failure) in [("b", OnFailure::Cancel), ("c", OnFailure::Run)] {
        let depends_on = vec![Dependency { id: id("newcomer"), on_failure }];
        let child = NewJob { parent: Some(id("parent")), depends_on, ..named(name) };
        let answers = fx.enqueue_all(vec![newcomer(), child]).await;
        assert_eq!((&answers[0].id, answers[1].status), (&id("parent"), EnqueueStatus::Created));
        let record = fx.job(&id(name)).await;
        let cancelled = (State::Cancelled, Some(CancelReason::Dependency));
        assert_eq!((record.state, record.cancel_reason), cancelled, "{name} would wait for ever");
        assert_eq!(record.depends_on, [Dependency { id: id("parent"), on_failure }]);
    }
    // Its parent need not wait for it.
    let children = fx.job(&id("parent")).await.children.expect("the parent counts both");
    assert_eq!((children.total, children.unfinished()), (2, 0));
    // So it is with an earlier ancestor, and where a follow-up names one.
    let middle = NewJob { parent: Some(id("parent")), start: Start::After(HOUR), ..named("middle") };
    fx.enqueue(middle).await;
    let grandchild = |name: &str, on: &str| NewJob { parent: Some(id("middle")), ..after(name, &[on]) };
    fx.enqueue_all(vec![newcomer(), grandchild("e", "newcomer")]).await;
    let last = fx.running_from(named("last")).await.lease;
    let follow_ups = vec![grandchild("f", "parent")];
    fx.finish_all(vec![Finish { follow_ups, ..finish(&last, completed()) }]).await;
    for name in ["e", "f"] {
        let record = fx.job(&id(name)).await;
        let cancelled = (State::Cancelled, Some(CancelReason::Dependency));
        assert_eq!((record.state, record.cancel_reason), cancelled, "{name} would wait for ever");
        assert_eq!(record.depends_on, [Dependency::on(id("parent"))]);
    }
    // One that has ended is not waited for.
    let ended = NewJob { unique: Some(Unique { period: Some(HOUR), ..Unique::new("k2") }), ..named("ended") };
    let lease = fx.running_from(ended).await.lease;
    fx.end(&lease, completed()).await;
    let joins = NewJob { id: Some(id("joins")), ..unique("k2", Some(HOUR)) };
    let child = NewJob { parent: Some(id("ended")), ..after("d", &["joins"]) };
    fx.enqueue_all(vec![joins, child]).await;
    assert_eq!(fx.state(&id("d")).await, State::Available);
    fx.end(&parent, completed()).await;
}

/// "Of several dependencies on one job one that cancels holds."
pub async fn of_several_dependencies_on_one_job_one_that_cancels_holds(fx: &Fixture) {
    let holder = fx.running_from(NewJob { id: Some(id("holder")), ..unique("k", None) }).await.lease;
    let newcomer = || NewJob { id: Some(id("newcomer")), ..unique("k", None) };
    let (cancels, any_end) = (Dependency::on, Dependency::on_any_end);
    for (name, depends_on) in [
        ("first", vec![cancels(id("newcomer")), any_end(id("holder"))]),
        ("last", vec![any_end(id("newcomer")), cancels(id("holder"))]),
    ] {
        fx.enqueue_all(vec![newcomer(), NewJob { depends_on, ..named(name) }]).await;
        assert_eq!(fx.job(&id(name)).await.depends_on, [cancels(id("holder"))], "{name}");
    }
    let both = vec![any_end(id("newcomer")), any_end(id("holder"))];
    fx.enqueue_all(vec![newcomer(), NewJob { depends_on: both, ..named("any") }]).await;
    fx.end(&holder, failed()).await;
    for (name, state) in [("first", State::Cancelled), ("last", State::Cancelled), ("any", State::Available)]
    {
        assert_eq!(fx.job(&id(name)).await.state, state, "{name}");
    }
}

/// "A job that depends on one that is not there is refused with its call."
pub async fn a_job_that_depends_on_one_that_is_not_there_is_refused_with_its_call(fx: &Fixture) {
    let gone = fx.running_from(named("gone")).await.lease;
    fx.end(&gone, completed()).await;
    assert_eq!(fx.act(&id("gone"), Action::Delete).await, 1);
    let before = fx.list(&Default::default()).await;
    let webhook = Some(Webhook::new("https://example.com/hook"));
    let told = NewJob { webhook, ..after("a", &["unknown"]) };
    let cases: [(Vec<NewJob>, &str); 8] = [
        // The deliveries of webhooks, which the door adds, are no jobs of the caller's.
        (vec![told.clone()], "depends_on[0]"),
        (vec![told, named("b")], "[0].depends_on[0]"),
        (vec![after("a", &["unknown"])], "depends_on[0]"),
        (vec![after("a", &["gone"])], "depends_on[0]"),
        (vec![named("x"), after("a", &["x", "unknown"])], "[1].depends_on[1]"),
        // A later one, which could depend on this one.
        (vec![after("a", &["b"]), named("b")], "[0].depends_on[0]"),
        (vec![after("a", &["a"])], "depends_on[0]"),
        (vec![named("b"), after("a", &["b", "b"])], "[1].depends_on[1]"),
    ];
    for (jobs, place) in cases {
        refused(fx, jobs, place).await;
        assert_eq!(fx.list(&Default::default()).await, before, "nothing of the call is created");
    }
    fx.enqueue(named("a")).await;
}

async fn refused(fx: &Fixture, jobs: Vec<NewJob>, place: &str) {
    let said = format!("{jobs:?}");
    match fx.store.enqueue(jobs).await {
        Err(Error::Invalid { field, .. }) => assert_eq!(field, place, "{said}"),
        other => panic!("{said} was to be refused, not {other:?}"),
    }
}

/// "A job that depends on an unfinished ancestor is refused with its call."
pub async fn a_job_that_depends_on_an_unfinished_ancestor_is_refused_with_its_call(fx: &Fixture) {
    let closing = |name: &str| NewJob { start: Start::AfterChildren, ..named(name) };
    let of = |parent: &str, job: NewJob| NewJob { parent: Some(id(parent)), ..job };
    let line = || vec![closing("a"), of("a", closing("b"))];
    refused(fx, vec![closing("a"), of("a", after("b", &["a"]))], "[1].depends_on[0]").await;
    refused(fx, [line(), vec![of("b", after("c", &["a"]))]].concat(), "[2].depends_on[0]").await;
    assert_eq!(fx.list(&Default::default()).await, [], "nothing of the call is created");
    // Nor may one that joins later, or whose ancestors are there in part. Of several the nearest is told.
    fx.enqueue_all([line(), vec![of("b", named("first")), named("x")]].concat()).await;
    refused(fx, vec![of("a", after("c", &["a"]))], "depends_on[0]").await;
    refused(fx, vec![of("b", after("c", &["x", "a"]))], "depends_on[1]").await;
    refused(fx, vec![of("b", closing("c")), of("c", after("d", &["a", "x", "b"]))], "[1].depends_on[2]")
        .await;
    // Of an id that is there the parent counts that it has.
    let answers = fx.enqueue_all(vec![of("b", named("x")), of("x", after("d", &["a"]))]).await;
    assert_eq!((answers[0].is_duplicate(), answers[1].is_duplicate()), (true, false));
    assert_eq!(fx.state(&id("d")).await, State::Blocked);
    // A sibling is waited for, and an ancestor that has ended.
    fx.enqueue(of("b", after("sibling", &["first"]))).await;
    for name in ["first", "x"] {
        let claimed = fx.claim_one().await;
        assert_eq!(claimed.lease.id, id(name));
        fx.end(&claimed.lease, completed()).await;
    }
    fx.enqueue(of("x", NewJob { start: Start::After(HOUR), ..named("later") })).await;
    fx.enqueue_all(vec![of("x", after("e", &["x"])), of("later", after("f", &["x"]))]).await;
    assert_eq!(fx.claim_ids().await, [id("sibling"), id("e"), id("f")]);
    // A hundred ancestors are looked at: the first of these is the parent.
    let link = |n: usize| NewJob { start: Start::After(HOUR), ..named(&format!("l{n}")) };
    let chain = (0..=100).map(|n| if n == 0 { link(n) } else { of(&format!("l{}", n - 1), link(n)) });
    fx.enqueue_all(chain.collect()).await;
    refused(fx, vec![of("l100", after("g", &["l1"]))], "depends_on[0]").await;
    fx.enqueue(of("l100", after("g", &["l0"]))).await;
    assert_eq!(fx.state(&id("g")).await, State::Blocked);
}

/// "A job that exists already is not asked for its dependencies."
pub async fn a_job_that_exists_already_is_not_asked_for_its_dependencies(fx: &Fixture) {
    let first = running(fx, &["first"]).await.remove(0);
    let repeated = NewJob { id: None, ..after("-", &["first"]) };
    let repeated = NewJob { idempotency: idempotent("i", "f").idempotency, ..repeated };
    let made = fx.offer(repeated.clone()).await;
    fx.enqueue(after("own", &["first"])).await;
    fx.end(&first, completed()).await;
    assert_eq!(fx.act(&id("first"), Action::Delete).await, 1);
    let again = fx.enqueue_all(vec![repeated, after("own", &["first"])]).await;
    assert!(again.iter().all(longhaul::Enqueued::is_duplicate), "{again:?}");
    assert_eq!((&again[0].id, &again[1].id), (&made.id, &id("own")));
}

/// "A dependant starts no sooner than its own time."
pub async fn a_dependant_starts_no_sooner_than_its_own_time(fx: &Fixture) {
    let lease = running(fx, &["a"]).await.remove(0);
    let begun = fx.now();
    let later = |name: &str, seconds| NewJob { start: Start::After(secs(seconds)), ..after(name, &["a"]) };
    fx.enqueue_all(vec![later("late", 60), later("soon", 5)]).await;
    let record = fx.job(&id("late")).await;
    assert_eq!((record.state, record.run_at), (State::Blocked, begun.plus(secs(60))));
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await.promoted, 0, "a dependency is left, whatever the time");
    fx.end(&lease, completed()).await;
    let record = fx.job(&id("late")).await;
    assert_eq!((record.state, record.run_at), (State::Scheduled, begun.plus(secs(60))));
    let record = fx.job(&id("soon")).await;
    assert_eq!((record.state, record.run_at), (State::Available, fx.now()), "its turn counts from now");
    assert_eq!(fx.claim_ids().await, [id("soon")]);
    fx.clock.advance(secs(50));
    assert_eq!(fx.claim_ids().await, [id("late")]);
    fx.enqueue(later("later", 5)).await;
    assert_eq!(fx.state(&id("later")).await, State::Scheduled, "the same where all have ended before");
}

/// "A closing job with dependencies waits for both."
pub async fn a_closing_job_with_dependencies_waits_for_both(fx: &Fixture) {
    let closing = |name: &str| NewJob { start: Start::AfterChildren, ..after(name, &["first"]) };
    let child = |name: &str, parent: &str| NewJob { parent: Some(id(parent)), ..named(name) };
    fx.enqueue_all(vec![named("first"), closing("x"), child("x1", "x"), closing("y"), closing("z")]).await;
    fx.enqueue_all(vec![child("y1", "y")]).await;
    let claimed = fx.claim(claim()).await;
    let lease = |name: &str| {
        let found = claimed.iter().find(|claimed| claimed.lease.id == id(name));
        found.map(|claimed| claimed.lease.clone()).unwrap_or_else(|| panic!("{name} is claimed"))
    };
    assert_eq!(claimed.len(), 3, "none of the closing jobs");
    fx.end(&lease("x1"), completed()).await;
    for name in ["x", "y", "z"] {
        let record = fx.job(&id(name)).await;
        assert_eq!(
            (record.state, record.waits_for),
            (State::Blocked, Some(WaitsFor::Dependencies)),
            "{name}"
        );
    }
    fx.end(&lease("first"), completed()).await;
    let record = fx.job(&id("y")).await;
    assert_eq!((record.state, record.waits_for), (State::Blocked, Some(WaitsFor::Children)));
    assert_eq!(fx.claim_ids().await, [id("x"), id("z")], "whose children have ended, or which has none");
    fx.end(&lease("y1"), failed()).await;
    assert_eq!(fx.claim_ids().await, [id("y")]);
}

/// "A dependency that fails or is cancelled cancels its dependants and theirs."
pub async fn a_dependency_that_fails_or_is_cancelled_cancels_its_dependants_and_theirs(fx: &Fixture) {
    for (round, end) in
        [failed(), Outcome::Cancelled { reason: "no".into(), cancel_reason: Default::default() }, completed()]
            .into_iter()
            .enumerate()
    {
        let name = |letter: &str| format!("{letter}{round}");
        let [a, b, c, d, e, left] = ["a", "b", "c", "d", "e", "left"].map(name);
        let lease = running(fx, &[&a]).await.remove(0);
        fx.enqueue(NewJob { queue: "elsewhere".into(), ..named(&left) }).await;
        let keyed = NewJob { unique: unique(&name("k"), None).unique, ..after(&b, &[&left, &a]) };
        fx.enqueue_all(vec![keyed, after(&c, &[&b]), after_any_end(&d, &[&c]), after(&e, &[&a])]).await;
        let is_cancel_from_outside = matches!(end, Outcome::Completed { .. });
        if is_cancel_from_outside {
            // A job that waits again is cancelled at once, and its dependants with it.
            fx.end(&lease, retry(HOUR)).await;
            assert_eq!(fx.act(&id(&a), CANCEL).await, 1);
        } else {
            fx.end(&lease, end).await;
        }
        for name in [&b, &c, &e] {
            let record = fx.job(&id(name)).await;
            assert_eq!((record.state, record.finished_at), (State::Cancelled, Some(fx.now())), "{name}");
            assert_eq!(record.waits_for, None);
        }
        assert!(
            !fx.offer(NewJob { queue: "elsewhere".into(), ..unique(&name("k"), None) }).await.is_duplicate()
        );
        let freed = fx.claim_one().await.lease;
        assert_eq!(freed.id, id(&d), "which runs after any end");
        fx.end(&freed, completed()).await;
    }
    // A poisoned one has failed, too, and so has one that is fenced off.
    let lease = fx.running_from(NewJob { max_crashes: 0, ..named("poison") }).await.lease;
    fx.enqueue(after("of-poison", &["poison"])).await;
    assert_eq!(fx.crash_workers().await.poisoned, 1);
    assert_eq!(fx.finish(&lease, completed()).await, longhaul::LeaseStatus::Lost);
    assert_eq!(fx.state(&id("of-poison")).await, State::Cancelled);
    fx.running_from(named("fenced")).await;
    fx.enqueue(after("of-fenced", &["fenced"])).await;
    assert_eq!(fx.act(&id("fenced"), Action::cancel(secs(1))).await, 1);
    assert_eq!(fx.state(&id("of-fenced")).await, State::Blocked, "it has not stopped yet");
    fx.clock.advance(secs(1));
    assert_eq!(fx.sweep().await.fenced, 1);
    assert_eq!(fx.state(&id("of-fenced")).await, State::Cancelled);
}

/// "A dependant that runs after any end is freed by a failure."
pub async fn a_dependant_that_runs_after_any_end_is_freed_by_a_failure(fx: &Fixture) {
    let leases = running(fx, &["a", "b"]).await;
    let mixed = NewJob {
        depends_on: vec![Dependency::on_any_end(id("a")), Dependency::on(id("b"))],
        ..named("mixed")
    };
    fx.enqueue_all(vec![after_any_end("c", &["a", "b"]), mixed]).await;
    fx.end(&leases[0], failed()).await;
    assert_eq!(fx.state(&id("c")).await, State::Blocked);
    assert_eq!(fx.state(&id("mixed")).await, State::Blocked, "of this one the failure means nothing to it");
    fx.end(&leases[1], Outcome::Cancelled { reason: "no".into(), cancel_reason: Default::default() }).await;
    assert_eq!(fx.state(&id("mixed")).await, State::Cancelled);
    assert_eq!(fx.claim_ids().await, [id("c")]);
}

/// Claims and sweeps until nothing is left that these settle by themselves.
async fn work_off(fx: &Fixture, portions: usize) {
    for _ in 0..portions {
        fx.sweep_some(10_000).await;
    }
}

/// "Very many dependants are settled in portions."
pub async fn very_many_dependants_are_settled_in_portions(fx: &Fixture) {
    let many = 3 * DEPENDANTS_AT_ONCE + 7;
    let lease = running(fx, &["a"]).await.remove(0);
    let elsewhere = |n| NewJob { queue: "many".into(), ..after(&format!("d{n}"), &["a"]) };
    fx.enqueue_all((0..many).map(elsewhere).collect()).await;
    fx.enqueue(after("last", &["a", &format!("d{}", many - 1)])).await;
    fx.end(&lease, completed()).await;
    // A dependency that is retried by hand before all is settled changes nothing for those that are left.
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
    // One that comes after the retry waits for the next end, and not for the one that others have not counted yet.
    fx.enqueue(after("late", &["a"])).await;
    work_off(fx, many / DEPENDANTS_AT_ONCE + 1).await;
    assert_eq!(fx.state(&id("late")).await, State::Blocked);
    let counts = fx.counts("many").await;
    assert_eq!(counts.get(&State::Available), Some(&(many as u64)), "{counts:?}");
    assert_eq!(fx.state(&id("last")).await, State::Blocked);
}

/// "Very many dependants are cancelled in portions."
pub async fn very_many_dependants_are_cancelled_in_portions(fx: &Fixture) {
    let many = 2 * DEPENDANTS_AT_ONCE + 7;
    let lease = running(fx, &["a"]).await.remove(0);
    let of = |name: &str, on: &str| NewJob { queue: "many".into(), ..after(name, &[on]) };
    fx.enqueue_all((0..many).map(|n| of(&format!("d{n}"), "a")).collect()).await;
    fx.enqueue_all((0..many).map(|n| of(&format!("e{n}"), &format!("d{n}"))).collect()).await;
    fx.end(&lease, failed()).await;
    work_off(fx, 2 * (many / DEPENDANTS_AT_ONCE + 1)).await;
    let counts = fx.counts("many").await;
    assert_eq!(counts.get(&State::Cancelled), Some(&(2 * many as u64)), "{counts:?}");
}

/// "A dependant counts the end that it waited for though its job has ended anew."
pub async fn a_dependant_counts_the_end_that_it_waited_for_though_its_job_has_ended_anew(fx: &Fixture) {
    // So many that the calls before the second end leave some that have not counted the first.
    let many = 6 * DEPENDANTS_AT_ONCE;
    let lease = running(fx, &["a"]).await.remove(0);
    let of = |name: String| NewJob { queue: "many".into(), ..after(&name, &["a"]) };
    for half in [0..many / 2, many / 2..many] {
        fx.enqueue_all(half.map(|n| of(format!("d{n}"))).collect()).await;
    }
    fx.end(&lease, failed()).await;
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
    fx.enqueue(of("late".to_owned())).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    work_off(fx, 2 * (many / DEPENDANTS_AT_ONCE + 1)).await;
    let counts = fx.counts("many").await;
    assert_eq!(counts.get(&State::Cancelled), Some(&(many as u64)), "{counts:?}");
    assert_eq!(fx.state(&id("late")).await, State::Available, "it waited for the second end");
}

/// "A follow up may depend on the job that it follows."
pub async fn a_follow_up_may_depend_on_the_job_that_it_follows(fx: &Fixture) {
    let lease = running(fx, &["a"]).await.remove(0);
    fx.enqueue(named("other")).await;
    let end = Finish {
        follow_ups: vec![after("b", &["a"]), after("c", &["a", "other"]), after("d", &["b"])],
        ..finish(&lease, completed())
    };
    fx.finish_all(vec![end]).await;
    assert_eq!(fx.state(&id("c")).await, State::Blocked);
    assert_eq!(fx.state(&id("d")).await, State::Blocked);
    assert_eq!(fx.claim_ids().await, [id("other"), id("b")]);
}

/// "A follow up that depends on a job that is not there is created and cancelled."
pub async fn a_follow_up_that_depends_on_a_job_that_is_not_there_is_created_and_cancelled(fx: &Fixture) {
    let lease = running(fx, &["a"]).await.remove(0);
    let follow_ups =
        vec![after("b", &["unknown"]), after_any_end("c", &["unknown"]), after("d", &["b"]), named("e")];
    fx.finish_all(vec![Finish { follow_ups, ..finish(&lease, completed()) }]).await;
    assert_eq!(fx.state(&id("a")).await, State::Completed, "its paid work is not repeated");
    assert_eq!(fx.state(&id("b")).await, State::Cancelled, "so that somebody sees it");
    assert_eq!(fx.state(&id("d")).await, State::Cancelled);
    assert_eq!(fx.claim_ids().await, [id("c"), id("e")]);
}

/// "A dependency counts once though it is retried by hand."
pub async fn a_dependency_counts_once_though_it_is_retried_by_hand(fx: &Fixture) {
    let leases = running(fx, &["a", "b"]).await;
    fx.enqueue(after("c", &["a", "b"])).await;
    fx.end(&leases[0], completed()).await;
    for end in [failed(), completed()] {
        assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
        fx.end(&fx.claim_one().await.lease, end).await;
        assert_eq!(fx.state(&id("c")).await, State::Blocked, "its first end counts");
    }
    fx.end(&leases[1], completed()).await;
    let freed = fx.claim_one().await;
    assert_eq!(freed.lease.id, id("c"));
    assert_eq!(fx.act(&id("b"), Action::Retry).await, 1);
    fx.end(&fx.claim_one().await.lease, failed()).await;
    assert_eq!(fx.state(&id("c")).await, State::Running, "which runs already");
}

/// "A dependant retried by hand does not wait again."
pub async fn a_dependant_retried_by_hand_does_not_wait_again(fx: &Fixture) {
    let leases = running(fx, &["a", "b"]).await;
    fx.enqueue(after("c", &["a", "b"])).await;
    fx.end(&leases[0], failed()).await;
    assert_eq!(fx.state(&id("c")).await, State::Cancelled);
    assert_eq!(fx.act(&id("c"), Action::Retry).await, 1);
    let again = fx.claim_one().await;
    assert_eq!(again.lease.id, id("c"), "though b has not ended");
    // It waits for something else when b ends, and is neither freed nor cancelled by that.
    let on = WaitsFor::Signal("go".into());
    fx.end(&again.lease, Outcome::Waits { on: on.clone(), timeout: None, error: None }).await;
    fx.end(&leases[1], failed()).await;
    let record = fx.job(&id("c")).await;
    assert_eq!((record.state, record.waits_for), (State::Blocked, Some(on)));
}

/// "Deleting a dependency changes nothing."
pub async fn deleting_a_dependency_changes_nothing(fx: &Fixture) {
    let leases = running(fx, &["a", "b"]).await;
    fx.enqueue(after("c", &["a", "b"])).await;
    fx.end(&leases[0], completed()).await;
    assert_eq!(fx.act(&id("a"), Action::Delete).await, 1);
    assert_eq!(fx.state(&id("c")).await, State::Blocked);
    // Another job of its id is another job.
    let other = fx.running_from(named("a")).await.lease;
    fx.end(&other, failed()).await;
    assert_eq!(fx.state(&id("c")).await, State::Blocked);
    fx.end(&leases[1], completed()).await;
    assert_eq!(fx.job(&id("c")).await.depends_on[0].id, id("a"), "it tells what it waited for");
    assert_eq!(fx.claim_ids().await, [id("c")]);
}

/// "A job made anew under an old id does not know the old dependencies."
pub async fn a_job_made_anew_under_an_old_id_does_not_know_the_old_dependencies(fx: &Fixture) {
    let leases = running(fx, &["a", "b"]).await;
    fx.enqueue(after("c", &["a"])).await;
    assert_eq!(fx.act(&id("c"), CANCEL).await, 1);
    assert_eq!(fx.act(&id("c"), Action::Delete).await, 1);
    fx.enqueue(after("c", &["b"])).await;
    fx.end(&leases[0], failed()).await;
    assert_eq!(fx.state(&id("c")).await, State::Blocked, "the old one's failure is not this one's");
    assert!(ok("list dependants", fx.store.dependants(&id("a"), 10).await).is_empty());
    fx.end(&leases[1], completed()).await;
    assert_eq!(fx.claim_ids().await, [id("c")]);
}

/// "Dependants are told in the order in which they were enqueued."
pub async fn dependants_are_told_in_the_order_in_which_they_were_enqueued(fx: &Fixture) {
    let leases = running(fx, &["a", "b"]).await;
    fx.enqueue_all(vec![after("z", &["a"]), after("m", &["b"]), after("c", &["b", "a"])]).await;
    let dependants = async |limit| ok("list dependants", fx.store.dependants(&id("a"), limit).await);
    assert_eq!(dependants(10).await, [id("z"), id("c")]);
    assert_eq!(dependants(1).await, [id("z")]);
    fx.end(&leases[0], completed()).await;
    fx.enqueue(after("a-late-one", &["a"])).await;
    assert_eq!(dependants(10).await, [id("z"), id("c"), id("a-late-one")], "those that wait no more, too");
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(fx.act(&id("z"), Action::Delete).await, 1);
    assert_eq!(dependants(10).await, [id("c"), id("a-late-one")]);
}

/// "An unknown job has no dependants."
pub async fn an_unknown_job_has_no_dependants(fx: &Fixture) {
    assert!(ok("list dependants", fx.store.dependants(&id("unknown"), 10).await).is_empty());
    fx.enqueue(job()).await;
    let alone = fx.enqueue(named("alone")).await;
    assert!(ok("list dependants", fx.store.dependants(&alone, 10).await).is_empty());
}
