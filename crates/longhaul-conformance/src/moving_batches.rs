//! The contract of [`Store::import`](longhaul::Store::import) for parents and their children, which may come in different calls.

use longhaul::{Action, Children, NewJob, Outcome, Start, State, WaitsFor};

use crate::Fixture;
use crate::jobs::{HOUR, completed, failed, id, named};
use crate::moving::{beside, export, import, is_a_view};

/// The parent that most tests use.
const ALL: &str = "all";

fn closing() -> NewJob {
    NewJob { start: Start::AfterChildren, ..named(ALL) }
}

fn child_of(parent: &str, name: &str) -> NewJob {
    NewJob { parent: Some(id(parent)), ..named(name) }
}

fn child(name: &str) -> NewJob {
    child_of(ALL, name)
}

/// The parent's state, and its children: all of them, and those that have ended.
async fn counts(fx: &Fixture) -> (State, u64, u64) {
    let parent = fx.job(&id(ALL)).await;
    let Children { total, completed, failed, cancelled } =
        parent.children.expect("it waits, or waited, for children");
    (parent.state, total, completed + failed + cancelled)
}

/// "An imported child joins a parent that was not imported with it."
pub async fn an_imported_child_joins_a_parent_that_was_not_imported_with_it(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue_all(vec![closing(), child("a"), child("b")]).await;
    let first = export(&source).await;
    // This one was enqueued after the export that the parent came with.
    source.enqueue(child("c")).await;
    import(fx, &first).await;
    import(fx, &export(&source).await).await;
    assert_eq!(counts(fx).await, (State::Blocked, 3, 0));
    let leases = fx.claim_leases().await;
    assert_eq!(leases.len(), 3);
    for (ended, lease) in (0..).zip(&leases) {
        assert_eq!(counts(fx).await, (State::Blocked, 3, ended), "it waits for all of them");
        fx.end(lease, completed()).await;
    }
    assert_eq!(counts(fx).await, (State::Available, 3, 3));

    // Nor was another job of the parent's id, which was there before.
    let other = beside(fx);
    other.enqueue_all(vec![closing(), child("theirs")]).await;
    let lease = fx.claim_one().await.lease;
    fx.enqueue(child("own")).await;
    import(fx, &export(&other).await).await;
    assert_eq!(counts(fx).await, (State::Running, 5, 3));
    fx.end(&lease, Outcome::Waits { on: WaitsFor::Children, timeout: None, error: None }).await;
    let leases = fx.claim_leases().await;
    fx.end(&leases[0], completed()).await;
    assert_eq!(counts(fx).await, (State::Blocked, 5, 4));
    fx.end(&leases[1], failed()).await;
    assert_eq!(counts(fx).await, (State::Available, 5, 5));
}

/// "An import that is begun anew counts each child once."
pub async fn an_import_that_is_begun_anew_counts_each_child_once(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue_all(vec![closing(), child("a"), child("b"), child("c")]).await;
    source.end(&source.claim_one().await.lease, completed()).await;
    let records = export(&source).await;
    // It was cut short when one child had not come.
    import(fx, &records[..3]).await;
    assert_eq!(counts(fx).await, (State::Blocked, 3, 1));
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(counts(fx).await, (State::Blocked, 3, 2));
    for _ in 0..2 {
        import(fx, &records).await;
        assert_eq!(counts(fx).await, (State::Blocked, 3, 2));
    }
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(counts(fx).await, (State::Available, 3, 3));
}

/// "An imported child of a job that counts no new one is not counted."
pub async fn an_imported_child_of_a_job_that_counts_no_new_one_is_not_counted(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    for (parent, name) in [("over", "a"), ("new", "b")] {
        let closing = NewJob { start: Start::AfterChildren, ..named(parent) };
        source.enqueue_all(vec![closing, child_of(parent, name)]).await;
    }
    // Jobs of these ids are there: one has ended, and one has not begun.
    fx.enqueue(named("over")).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    fx.enqueue(NewJob { start: Start::After(HOUR), ..named("new") }).await;
    let before = (fx.job(&id("over")).await, fx.job(&id("new")).await);
    import(fx, &export(&source).await).await;
    let leases = fx.claim_leases().await;
    assert_eq!(leases.len(), 2);
    fx.end(&leases[0], completed()).await;
    fx.end(&leases[1], failed()).await;
    assert_eq!((fx.job(&id("over")).await, fx.job(&id("new")).await), before);
}

/// "An imported child that had ended is waited for where it is retried by hand."
pub async fn an_imported_child_that_had_ended_is_waited_for_where_it_is_retried_by_hand(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    for (parent, end) in [("first", completed()), ("second", failed())] {
        let source = beside(fx);
        let closing = || NewJob { start: Start::AfterChildren, ..named(parent) };
        let (theirs, own) = (format!("{parent}-theirs"), format!("{parent}-own"));
        source.enqueue_all(vec![closing(), child_of(parent, &theirs)]).await;
        source.end(&source.claim_one().await.lease, end).await;
        // The parent that is there knows nothing of that end.
        fx.enqueue_all(vec![closing(), child_of(parent, &own)]).await;
        import(fx, &export(&source).await).await;
        assert_eq!(fx.act(&id(&theirs), Action::Retry).await, 1);
        let leases = fx.claim_leases().await;
        assert_eq!(leases.len(), 2);
        fx.end(&leases[0], completed()).await;
        assert_eq!(fx.state(&id(parent)).await, State::Blocked, "one of them runs");
        fx.end(&leases[1], completed()).await;
        let freed = fx.claim_one().await;
        assert_eq!(freed.lease.id, id(parent));
        let children = fx.job(&id(parent)).await.children;
        assert_eq!(children, Some(Children { total: 2, completed: 2, failed: 0, cancelled: 0 }));
        fx.end(&freed.lease, completed()).await;
    }
}
