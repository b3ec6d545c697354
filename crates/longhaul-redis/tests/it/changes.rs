//! Reported changes of state with several processes, and after lost answers.

use std::sync::{Arc, Mutex};

use longhaul::{Change, Claim, Finish, Lookup, Observer, State, Store};
use longhaul_conformance::jobs::{claim, completed, failed, finish, id, job, named, slots};
use longhaul_redis::RedisStore;

use crate::server::{Cluster, shared};

use State::{Available, Completed, Failed, Running};

pub(crate) type Moves = Vec<(String, Option<State>, Option<State>)>;

#[derive(Default)]
pub(crate) struct ChangeLog(Mutex<Moves>);

impl Observer for ChangeLog {
    fn changed(&self, change: &Change<'_>) {
        self.0.lock().unwrap().push((change.id.to_string(), change.from, change.to));
    }
}

impl ChangeLog {
    pub(crate) fn of(store: &RedisStore) -> Arc<Self> {
        let log = Arc::new(Self::default());
        store.changes().unwrap().observe(&log);
        log
    }

    /// The changes up to the answer of a later call.
    async fn take(&self, store: &RedisStore) -> Moves {
        store.queues().await.unwrap();
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The same, once there is one: a script that the server does not know yet is sent again after calls that came
    /// later.
    pub(crate) async fn take_some(&self, store: &RedisStore) -> Moves {
        loop {
            let received = self.take(store).await;
            if !received.is_empty() {
                return received;
            }
        }
    }
}

pub(crate) fn moves<const N: usize>(moves: [(&str, Option<State>, Option<State>); N]) -> Moves {
    moves.map(|(name, from, to)| (name.to_owned(), from, to)).to_vec()
}

async fn tell_once(options: longhaul_redis::RedisOptions) {
    let (one, other) =
        (RedisStore::open(options.clone()).await.unwrap(), RedisStore::open(options).await.unwrap());
    let (first, second) = (ChangeLog::of(&one), ChangeLog::of(&other));
    one.enqueue(["a", "b", "c"].map(named).into()).await.unwrap();
    let new = ["a", "b", "c"].map(|name| (name, None, Some(Available)));
    assert_eq!(first.take(&one).await, moves(new));
    let leases: Vec<_> =
        other.claim(claim()).await.unwrap().into_iter().map(|claimed| claimed.lease).collect();
    assert_eq!(
        second.take(&other).await,
        moves(["a", "b", "c"].map(|name| (name, Some(Available), Some(Running))))
    );
    // The one that ends a run need not be the one that has claimed it.
    one.finish(vec![finish(&leases[0], completed()), finish(&leases[1], failed())]).await.unwrap();
    let mut ended = first.take(&one).await;
    ended.sort();
    assert_eq!(ended, moves([("a", Some(Running), Some(Completed)), ("b", Some(Running), Some(Failed))]));
    for store in [&one, &other] {
        let again: Vec<Finish> = leases[..2].iter().map(|lease| finish(lease, completed())).collect();
        store.finish(again).await.unwrap();
    }
    other.finish(vec![finish(&leases[2], completed())]).await.unwrap();
    assert_eq!(second.take(&other).await, moves([("c", Some(Running), Some(Completed))]));
    assert!(first.take(&one).await.is_empty());
}

#[tokio::test]
async fn each_change_is_reported_by_the_process_that_makes_it() {
    tell_once(shared().options()).await;
    tell_once(Cluster::shared().options()).await;
}

#[tokio::test]
async fn a_change_is_reported_if_its_caller_has_gone_away() {
    let store = RedisStore::open(shared().options()).await.unwrap();
    let log = ChangeLog::of(&store);
    let mut enqueue = Box::pin(store.enqueue(vec![named("a")]));
    // Sent, and answered by now or later; or taken back before it was sent.
    let _ = futures::poll!(&mut enqueue);
    drop(enqueue);
    let created = moves([("a", None, Some(Available))]);
    if matches!(store.get(&[id("a")]).await.unwrap()[0], Lookup::Unknown) {
        store.enqueue(vec![named("a")]).await.unwrap();
    }
    assert_eq!(log.take_some(&store).await, created);
    // A claim whose answer is not delivered is reverted, and both changes are reported or none.
    let mut claimed = Box::pin(store.claim(claim()));
    let is_delivered = futures::poll!(&mut claimed).is_ready();
    drop(claimed);
    store.queues().await.unwrap();
    let mut received = log.take(&store).await;
    while !is_delivered && received.len() == 1 {
        received.extend(log.take_some(&store).await);
    }
    let both = moves([("a", Some(Available), Some(Running)), ("a", Some(Running), Some(Available))]);
    let expected = if is_delivered { &both[..1] } else { &both };
    assert!(received == expected || received.is_empty() && !is_delivered, "{received:?}");
}

#[tokio::test]
async fn the_end_of_a_run_is_reported_if_it_was_claimed_before_there_was_an_observer() {
    let store = RedisStore::open(shared().options()).await.unwrap();
    store.enqueue(vec![named("a"), job()]).await.unwrap();
    let one_slot = Claim { queues: vec![slots("images", 1)], ..claim() };
    let lease = store.claim(one_slot.clone()).await.unwrap().remove(0).lease;
    assert_eq!(lease.id, id("a"));
    let log = ChangeLog::of(&store);
    let turn = store.finish_and_claim(vec![finish(&lease, completed())], one_slot).await.unwrap();
    let next = turn.claimed[0].lease.id.as_str();
    let received = log.take(&store).await;
    assert_eq!(
        received,
        moves([("a", Some(Running), Some(Completed)), (next, Some(Available), Some(Running))])
    );
}
