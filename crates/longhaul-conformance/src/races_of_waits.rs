//! Races between waits and what they wait for: a signal, a child, a dependency that comes at the moment at which somebody begins
//! to wait for it is neither missed nor counted twice.

use std::sync::Arc;

use longhaul::{Action, Children, Finish, NewJob, Signalled, State, WaitsFor};

use crate::Fixture;
use crate::depends::{after, after_any_end};
use crate::fixture::ok;
use crate::jobs::{LEASE, claim, completed, failed, finish, id, json, named, secs};
use crate::races::{CROWD, ROUNDS, both, meet};
use crate::waits::waits;

const CANCEL: Action = Action::Cancel { grace: LEASE, reason: longhaul::CancelReason::Asked };

fn approval() -> WaitsFor {
    WaitsFor::Signal("approve".into())
}

async fn approve(fx: &Fixture, job: &str, value: usize) -> Signalled {
    ok("signal", fx.store.signal(&id(job), "approve", &json(&value.to_string())).await)
}

/// A run begins to wait while its signal comes.
pub async fn a_signal_while_the_run_begins_to_wait_is_not_lost(fx: &Fixture) {
    for round in 0..ROUNDS {
        let name = format!("j{round}");
        let lease = fx.running_from(named(&name)).await.lease;
        let (one, other, job) = (fx.clone(), fx.clone(), name.clone());
        let (_, sent) = both(async move { one.end(&lease, waits(approval(), None)).await }, async move {
            approve(&other, &job, 7).await
        })
        .await;
        assert_eq!(sent, Signalled::Accepted);
        let again = fx.claim_one().await;
        assert_eq!((&again.lease.id, again.attempt), (&id(&name), 1), "in either order it goes on");
        assert_eq!(again.steps["signal:approve"], json(r#"{"value":7}"#));
        fx.end(&again.lease, completed()).await;
    }
}

/// Many signals of one name.
pub async fn one_of_many_signals_is_accepted(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let name = format!("j{round}");
        let lease = fx.running_from(named(&name)).await.lease;
        fx.end(&lease, waits(approval(), None)).await;
        let job = name.clone();
        let sent = meet(fx, CROWD, move |fx, number| {
            let job = job.clone();
            Box::pin(async move { approve(&fx, &job, number).await })
        })
        .await;
        let accepted: Vec<usize> = (0..CROWD).filter(|number| sent[*number] == Signalled::Accepted).collect();
        assert_eq!(accepted.len(), 1, "{sent:?}");
        assert_eq!(sent.iter().filter(|sent| **sent == Signalled::Sent).count(), CROWD - 1);
        let again = fx.claim_one().await;
        let kept = json(&format!(r#"{{"value":{}}}"#, accepted[0]));
        assert_eq!((again.attempt, &again.steps["signal:approve"]), (1, &kept), "the one that was accepted");
        assert!(fx.claim_ids().await.is_empty(), "it goes on once");
        fx.end(&again.lease, completed()).await;
    }
}

/// A signal comes at the very end of the wait, while a claim takes the job.
pub async fn a_signal_at_the_end_of_the_wait_has_one_outcome(fx: &Fixture) {
    for round in 0..ROUNDS {
        let name = format!("j{round}");
        let lease = fx.running_from(named(&name)).await.lease;
        fx.end(&lease, waits(approval(), Some(secs(10)))).await;
        fx.clock.advance(secs(10));
        let (one, other, job) = (fx.clone(), fx.clone(), name.clone());
        let (claimed, sent) =
            both(async move { one.claim(claim()).await }, async move { approve(&other, &job, 7).await })
                .await;
        assert_eq!(sent, Signalled::Accepted, "it has not ended");
        let again = match claimed.into_iter().next() {
            Some(again) => again,
            None => fx.claim_one().await,
        };
        assert_eq!((&again.lease.id, again.attempt), (&id(&name), 1));
        assert!(fx.claim_ids().await.is_empty(), "once");
        // Whether this run knows of the signal or not, it is kept.
        fx.end(&again.lease, waits(approval(), None)).await;
        let last = fx.claim_one().await;
        assert_eq!(last.steps["signal:approve"], json(r#"{"value":7}"#));
        fx.end(&last.lease, completed()).await;
    }
}

/// A run begins to wait for its children while the last of them ends.
pub async fn the_last_child_that_ends_while_its_parent_begins_to_wait_is_not_missed(fx: &Fixture) {
    for round in 0..ROUNDS {
        let name = format!("p{round}");
        let parent = fx.running_from(named(&name)).await.lease;
        let children = (0..3).map(|n| NewJob { parent: Some(id(&name)), ..named(&format!("{name}-{n}")) });
        fx.enqueue_all(children.collect()).await;
        let leases: Arc<Vec<_>> = Arc::new(fx.claim(claim()).await.into_iter().map(|c| c.lease).collect());
        meet(fx, 4, move |fx, number| {
            let (leases, parent) = (Arc::clone(&leases), parent.clone());
            Box::pin(async move {
                match leases.get(number) {
                    Some(child) => fx.end(child, completed()).await,
                    None => fx.end(&parent, waits(WaitsFor::Children, None)).await,
                }
            })
        })
        .await;
        let record = fx.job(&id(&name)).await;
        let counted = Children { total: 3, completed: 3, ..Children::default() };
        assert_eq!((record.state, record.children), (State::Available, Some(counted)));
        fx.end(&fx.claim_one().await.lease, completed()).await;
    }
}

/// The last dependencies of a job end at the same moment.
pub async fn the_last_dependencies_free_a_dependant_once(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let names: Vec<String> = (0..CROWD).map(|n| format!("{round}-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        fx.enqueue_all(names.iter().map(|name| named(name)).collect()).await;
        let dependant = format!("d{round}");
        fx.enqueue(after_any_end(&dependant, &names)).await;
        let leases: Arc<Vec<_>> = Arc::new(fx.claim(claim()).await.into_iter().map(|c| c.lease).collect());
        assert_eq!(leases.len(), CROWD, "the dependencies, and nothing else");
        meet(fx, CROWD, |fx, number| {
            let lease = leases[number].clone();
            let outcome = if number % 2 == 0 { completed() } else { failed() };
            Box::pin(async move { fx.end(&lease, outcome).await })
        })
        .await;
        let record = fx.job(&id(&dependant)).await;
        assert_eq!((record.state, record.last_event), (State::Available, 2), "freed, and told so once");
        fx.end(&fx.claim_one().await.lease, completed()).await;
    }
}

/// A job is enqueued while the one that it depends on ends.
pub async fn a_dependant_that_is_enqueued_while_its_dependency_ends_is_freed(fx: &Fixture) {
    for round in 0..ROUNDS {
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        let lease = fx.running_from(named(&first)).await.lease;
        let end = if round % 2 == 0 { completed() } else { failed() };
        let expected = if round % 2 == 0 { State::Available } else { State::Cancelled };
        let (one, other, dependant) = (fx.clone(), fx.clone(), after(&second, &[&first]));
        both(async move { one.end(&lease, end).await }, async move { other.enqueue(dependant).await }).await;
        assert_eq!(fx.state(&id(&second)).await, expected, "in either order it hears of the end");
        if expected == State::Available {
            fx.end(&fx.claim_one().await.lease, completed()).await;
        }
    }
}

/// A job is cancelled while the last that it depends on ends.
pub async fn a_dependant_that_is_cancelled_while_its_dependency_ends_stays_so(fx: &Fixture) {
    for round in 0..ROUNDS {
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        let lease = fx.running_from(named(&first)).await.lease;
        fx.enqueue(after(&second, &[&first])).await;
        let (one, other, name) = (fx.clone(), fx.clone(), second.clone());
        both(async move { one.end(&lease, completed()).await }, async move {
            other.act(&id(&name), CANCEL).await
        })
        .await;
        assert_eq!(fx.state(&id(&second)).await, State::Cancelled);
        assert!(fx.claim_ids().await.is_empty());
    }
}

/// The dependencies of a job fail at the same moment.
pub async fn dependencies_that_fail_at_once_cancel_a_dependant_once(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let names: Vec<String> = (0..CROWD).map(|n| format!("{round}-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        fx.enqueue_all(names.iter().map(|name| named(name)).collect()).await;
        let (dependant, last) = (format!("d{round}"), format!("e{round}"));
        let closing = NewJob { start: longhaul::Start::AfterChildren, ..named(&format!("all{round}")) };
        let child = NewJob { parent: closing.id.clone(), ..after(&dependant, &names) };
        fx.enqueue_all(vec![closing, child, after_any_end(&last, &[&dependant])]).await;
        let leases: Arc<Vec<_>> = Arc::new(fx.claim(claim()).await.into_iter().map(|c| c.lease).collect());
        meet(fx, CROWD, |fx, number| {
            let lease = leases[number].clone();
            Box::pin(async move { fx.end(&lease, failed()).await })
        })
        .await;
        let record = fx.job(&id(&dependant)).await;
        assert_eq!((record.state, record.last_event), (State::Cancelled, 2));
        let counted = Children { total: 1, cancelled: 1, ..Children::default() };
        assert_eq!(fx.job(&id(&format!("all{round}"))).await.children, Some(counted), "and is counted once");
        let freed = fx.claim(claim()).await;
        assert_eq!(freed.len(), 2, "the closing job, and the one that runs after any end");
        let ends: Vec<Finish> = freed.iter().map(|claimed| finish(&claimed.lease, completed())).collect();
        fx.finish_all(ends).await;
    }
}
