//! The contract of the jobs that a completion brings with it.

use std::collections::BTreeMap;

use longhaul::{Finish, JobFilter, LeaseStatus, Lookup, NewJob, Outcome, State};

use crate::Fixture;
use crate::jobs::{
    QUEUE, cancelled, completed, delayed, failed, finish, id, idempotent, json, named, retry, secs, unique,
    untouched,
};

/// "Follow ups are created with the completion."
pub async fn follow_ups_are_created_with_the_completion(fx: &Fixture) {
    let claimed = fx.running_from(NewJob { id: Some(id("first")), ..unique("k", None) }).await;
    fx.clock.advance(secs(3));
    let now = NewJob { args: json("[1, 2]"), parent: Some(id("first")), priority: 3, ..named("now") };
    let later = NewJob { id: Some(id("later")), queue: "elsewhere".into(), ..delayed(secs(10)) };
    // Its predecessor has ended, so that it may have that one's key.
    let same_key = NewJob { id: Some(id("same-key")), ..unique("k", None) };
    let follow_ups = vec![now.clone(), later.clone(), same_key];
    let end = Finish { follow_ups, ..finish(&claimed.lease, completed()) };
    assert_eq!(fx.finish_all(vec![end]).await, [LeaseStatus::Held]);
    assert_eq!(fx.state(&id("first")).await, State::Completed);
    assert_eq!(fx.job(&id("now")).await, untouched(&id("now"), &now, fx.now()));
    assert_eq!(fx.job(&id("later")).await, untouched(&id("later"), &later, fx.now()));
    let clash = fx.offer(NewJob { id: Some(id("x")), ..unique("k", None) }).await;
    assert_eq!(clash.id, id("same-key"));
    assert_eq!(fx.claim_ids().await, [id("now"), id("same-key")]);
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await.promoted, 1);
}

/// "Follow ups of a lost finish are not created."
pub async fn follow_ups_of_a_lost_finish_are_not_created(fx: &Fixture) {
    let old = fx.running().await.lease;
    fx.crash_workers().await;
    let follow_ups = vec![named("next"), NewJob { id: Some(id("keyed")), ..unique("k", None) }];
    let late = Finish { follow_ups: follow_ups.clone(), ..finish(&old, completed()) };
    assert_eq!(fx.finish_all(vec![late.clone()]).await, [LeaseStatus::Lost]);
    let new = fx.claim_one().await.lease;
    assert_eq!(fx.finish_all(vec![late]).await, [LeaseStatus::Lost]);
    assert_eq!(fx.lookup_all(&[id("next"), id("keyed")]).await, [Lookup::Unknown, Lookup::Unknown]);
    assert_eq!(fx.counts(QUEUE).await, BTreeMap::from([(State::Running, 1)]));

    let end = Finish { follow_ups, ..finish(&new, completed()) };
    assert_eq!(fx.finish_all(vec![end.clone()]).await, [LeaseStatus::Held]);
    assert_eq!(fx.claim_ids().await, [id("next"), id("keyed")], "nor was the key held");
    assert_eq!(fx.finish_all(vec![end]).await, [LeaseStatus::Held]);
    assert_eq!(fx.list(&JobFilter::default()).await.len(), 3, "and a second finish creates none");
}

/// "Follow ups of a retry are not created."
pub async fn follow_ups_of_a_retry_are_not_created(fx: &Fixture) {
    let snooze = Outcome::Snoozed { delay: secs(5) };
    for outcome in [retry(secs(5)), failed(), cancelled(), snooze, Outcome::Released] {
        let lease = fx.running().await.lease;
        let end = Finish { follow_ups: vec![named("next")], ..finish(&lease, outcome.clone()) };
        assert_eq!(fx.finish_all(vec![end]).await, [LeaseStatus::Held]);
        assert_eq!(fx.lookup(&id("next")).await, Lookup::Unknown, "{outcome:?}");
        fx.act(&lease.id, longhaul::Action::cancel(secs(1))).await;
    }
    // A retry that turns into a cancel is no completion either.
    let lease = fx.running().await.lease;
    fx.act(&lease.id, longhaul::Action::cancel(secs(60))).await;
    fx.finish_all(vec![Finish { follow_ups: vec![named("next")], ..finish(&lease, retry(secs(5))) }]).await;
    assert_eq!(fx.lookup(&id("next")).await, Lookup::Unknown);
}

/// "A follow up whose id exists leaves the completion standing."
pub async fn a_follow_up_whose_id_exists_leaves_the_completion_standing(fx: &Fixture) {
    let lease = fx.running().await.lease;
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..named("there") }).await;
    let holder = NewJob { queue: "elsewhere".into(), id: Some(id("holder")), ..unique("k", None) };
    fx.enqueue(holder).await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), id: Some(id("asked")), ..idempotent("i", "f") }).await;
    let before = fx.seen(&id("there")).await;
    let follow_ups = vec![
        NewJob { args: json("2"), ..named("there") },
        named("one"),
        NewJob { args: json("2"), ..named("one") },
        NewJob { id: Some(id("joined")), ..unique("k", None) },
        NewJob { id: Some(id("reused")), ..idempotent("i", "g") },
        named("two"),
    ];
    let end = Finish { follow_ups, ..finish(&lease, completed()) };
    assert_eq!(fx.finish_all(vec![end]).await, [LeaseStatus::Held]);
    assert_eq!(fx.state(&lease.id).await, State::Completed);
    assert_eq!(fx.seen(&id("there")).await, before, "the job that is there is left as it is");
    let unknown = [Lookup::Unknown, Lookup::Unknown];
    assert_eq!(fx.lookup_all(&[id("joined"), id("reused")]).await, unknown, "so with keys that are taken");
    assert_eq!(fx.job(&id("one")).await.args, json(r#"{"width":640}"#), "the first of two counts");
    assert_eq!(fx.claim_ids().await, [id("one"), id("two")], "and the others are created");
}
