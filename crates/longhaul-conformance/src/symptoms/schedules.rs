//! Symptoms of schedules: a tick that is fired twice, or never.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use longhaul::testing::{Call, Intercept};
use longhaul::{
    CatchUp, Claim, Longhaul, NewJob, Runtime, Schedule, Scheduler, Store, SupportedKind, Timestamp,
};
use tokio::sync::Notify;

use crate::Fixture;
use crate::fixture::{ok, within};
use crate::jobs::{HOUR, QUEUE, claim, completed, finish, json, secs, slots};

/// The death that the next server to finish a ticker dies.
#[derive(Debug, Default)]
struct Fate {
    next: AtomicU8,
    died: Notify,
}

const NONE: u8 = 0;
/// Its finish does not reach the store.
const BEFORE: u8 = 1;
/// It does not hear the answer.
const AFTER: u8 = 2;

/// A server that fires, on a connection of its own which may die.
fn server(fx: &Fixture, fate: &Arc<Fate>) -> Scheduler {
    let (fate, is_dead) = (Arc::clone(fate), Arc::new(AtomicBool::new(false)));
    let store = Intercept::over(Arc::clone(&fx.store), move |store: Arc<dyn Store>, call: Call| {
        let (fate, is_dead) = (Arc::clone(&fate), Arc::clone(&is_dead));
        async move {
            if is_dead.load(Ordering::SeqCst) {
                return pending().await;
            }
            let death = match &call {
                Call::Finish(_) => fate.next.swap(NONE, Ordering::SeqCst),
                _ => NONE,
            };
            if death == NONE {
                return call.on(store.as_ref()).await;
            }
            is_dead.store(true, Ordering::SeqCst);
            if death == AFTER {
                call.on(store.as_ref()).await?;
            }
            fate.died.notify_one();
            pending().await
        }
    });
    let runtime = Runtime { clock: fx.clock.clone(), ..Runtime::tokio() };
    Scheduler::start_on(Longhaul::new(store), runtime)
}

/// The hour in which Berlin's clocks are set forward, with a server of three that dies at each tick: before its finish, after
/// it, or not at all. Each job is deleted once it was seen, so that no id of one keeps a second one away.
pub async fn a36_each_tick_is_enqueued_once_by_servers_that_die_while_clocks_change(fx: &Fixture) {
    let begin = Timestamp(1_806_194_100_000); // 2027-03-28T00:35:00Z
    fx.clock.advance(begin.since(fx.now()));
    let longhaul = Longhaul::over(Arc::clone(&fx.store));
    let schedules = longhaul.schedules().clock(fx.clock.clone());
    let job = NewJob { queue: QUEUE.into(), ..NewJob::new("tick", json("[]")) };
    let schedule =
        Schedule::cron("s", "*/10 0-4 * * *", job).timezone("Europe/Berlin").catch_up(CatchUp::All);
    ok("put a schedule", schedules.put(schedule.clone()).await);
    let fate = Arc::new(Fate::default());
    let mut servers: Vec<Scheduler> = (0..3).map(|_| server(fx, &fate)).collect();
    let ticks = |wait| Claim {
        queues: vec![slots(QUEUE, 1_000)],
        kinds: vec![SupportedKind { kind: "tick".into(), version: 1 }],
        wait,
        ..claim()
    };
    // 01:40 and 01:50, then what is 03:00 there until 04:50.
    let expected = ok("tell ticks", schedule.next(begin, 14));
    for (number, tick) in expected.iter().enumerate() {
        let death = [BEFORE, AFTER, NONE][number % 3];
        fate.next.store(death, Ordering::SeqCst);
        fx.clock.advance(tick.since(fx.now()));
        if death != NONE {
            within("a server's death", fate.died.notified()).await;
            servers.push(server(fx, &fate));
        }
        if death == BEFORE {
            assert!(fx.claim(ticks(Duration::ZERO)).await.is_empty(), "nothing of it was kept");
            fx.clock.advance(secs(31));
            fx.sweep().await;
        }
        let claimed = ok("claim", within("a tick", fx.store.claim(ticks(HOUR))).await);
        let ids: Vec<_> = claimed.iter().map(|claimed| claimed.lease.id.clone()).collect();
        assert_eq!(ids, [longhaul::schedule::tick_id("s", *tick)], "tick {number}, death {death}");
        fx.finish_all(claimed.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
        ok("delete", longhaul.delete(&ids[0]).await);
    }
    assert!(fx.claim(ticks(Duration::ZERO)).await.is_empty(), "and nothing else was enqueued");
    let info = ok("look up a schedule", schedules.get("s").await).expect("it is there");
    assert_eq!(info.recent.last().map(|tick| tick.at), expected.last().copied());
    drop(servers);
}
