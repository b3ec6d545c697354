//! Slots: how many jobs of which queue a worker runs at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul::testing::{Call, Intercept, Simulation};
use longhaul::{DEFAULT_LEASE, EnqueueOptions, JobId, Longhaul, MemoryStore, State, Store};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::script::{LEASE, Script, Scripted, enqueue, enqueue_with, longhaul, until, within, worker};

const GRACE: Duration = Duration::from_secs(60);

fn in_queue(queue: &str) -> EnqueueOptions {
    EnqueueOptions { queue: Some(queue.into()), ..EnqueueOptions::default() }
}

/// The jobs' number says which queue they are in.
const NARROW: usize = 0;
const WIDE: usize = 1;

/// The jobs that run now, and the most that ever did, by queue.
#[derive(Default)]
struct Census {
    now: [usize; 2],
    most: [usize; 2],
}

impl Census {
    fn begin(&mut self, queue: usize) {
        self.now[queue] += 1;
        self.most[queue] = self.most[queue].max(self.now[queue]);
    }

    fn end(&mut self, queue: usize) {
        self.now[queue] -= 1;
    }
}

#[tokio::test]
async fn a_worker_with_two_queues_keeps_their_slots_apart() {
    let (longhaul, _clock) = longhaul();
    let census = Arc::new(Mutex::new(Census::default()));
    let gates = Arc::new([Semaphore::new(0), Semaphore::new(0)]);
    let (begun, mut begins) = mpsc::unbounded_channel();
    let script = Script::new({
        let (census, gates) = (Arc::clone(&census), Arc::clone(&gates));
        move |number, _| {
            let (census, gates, begun) = (Arc::clone(&census), Arc::clone(&gates), begun.clone());
            async move {
                let queue = number as usize;
                census.lock().begin(queue);
                begun.send(queue)?;
                gates[queue].acquire().await?.forget();
                census.lock().end(queue);
                Ok(Value::Null)
            }
        }
    });
    let worker = longhaul.worker().register::<Scripted>(script).lease(LEASE);
    let worker = worker.queue("narrow", 1).queue("wide", 3).start();
    let mut ids: Vec<JobId> = Vec::new();
    for (number, queue) in [(NARROW, "narrow"), (WIDE, "wide")] {
        for _ in 0..6 {
            ids.push(enqueue_with(&longhaul, number as u32, in_queue(queue)).await);
        }
    }
    for _ in 0..4 {
        within("the first jobs to begin", begins.recv()).await;
    }
    // Each one that is let go makes room for one of its own queue, at once: whether the other queue has jobs
    // that run, or wait, or none.
    for (queue, waiting) in [(WIDE, 3), (NARROW, 5)] {
        for _ in 0..waiting {
            gates[queue].add_permits(1);
            assert_eq!(within("another job to begin", begins.recv()).await, Some(queue));
        }
    }
    gates.iter().for_each(|gate| gate.add_permits(3));
    for id in &ids {
        until(&longhaul, id, State::Completed).await;
    }
    assert_eq!(census.lock().most, [1, 3]);
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_slot_is_taken_again_while_another_queue_has_nothing_to_do() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |number, _| Ok(json!(number)));
    let worker = longhaul.worker().register::<Scripted>(script).lease(LEASE);
    let worker = worker.queue("busy", 1).queue("idle", 1).start();
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(enqueue_with(&longhaul, number, in_queue("busy")).await);
    }
    for id in &ids {
        until(&longhaul, id, State::Completed).await;
    }
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_queue_named_twice_has_the_slots_that_were_named_last() {
    let (longhaul, _clock) = longhaul();
    let gate = Arc::new(Notify::new());
    let (begun, mut begins) = mpsc::unbounded_channel();
    let script = Script::new({
        let gate = Arc::clone(&gate);
        move |_, _| {
            let (gate, begun) = (Arc::clone(&gate), begun.clone());
            async move {
                begun.send(())?;
                gate.notified().await;
                Ok(Value::Null)
            }
        }
    });
    // Four slots by the helper, then one.
    let worker = worker(&longhaul, script).queue("default", 1).start();
    let (first, second) = (enqueue(&longhaul, 1).await, enqueue(&longhaul, 2).await);
    within("the first job to begin", begins.recv()).await;
    assert!(begins.try_recv().is_err());
    gate.notify_one();
    until(&longhaul, &first, State::Completed).await;
    within("the second job to begin", begins.recv()).await;
    gate.notify_one();
    until(&longhaul, &second, State::Completed).await;
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_scheduled_job_runs_when_its_time_has_come() {
    let (longhaul, clock) = longhaul();
    let worker = worker(&longhaul, Script::new(async |number, _| Ok(json!(number)))).start();
    let start = longhaul::Start::After(GRACE);
    let later = enqueue_with(&longhaul, 1, EnqueueOptions { start, ..EnqueueOptions::default() }).await;
    let now = enqueue(&longhaul, 2).await;
    until(&longhaul, &now, State::Completed).await;
    let waiting = crate::script::record(&longhaul, &later).await;
    assert_eq!((waiting.state, waiting.run_at), (State::Scheduled, clock.now().plus(GRACE)));
    clock.advance(GRACE);
    until(&longhaul, &later, State::Completed).await;
    worker.shutdown(GRACE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_run_every_job_once() {
    let (longhaul, _clock) = longhaul();
    let (ran, mut runs) = mpsc::unbounded_channel();
    let script = Script::new(move |number, _| {
        let ran = ran.clone();
        async move {
            ran.send(number)?;
            Ok(Value::Null)
        }
    });
    let workers: Vec<_> = (0..8).map(|_| worker(&longhaul, script.clone()).start()).collect();
    drop(script);
    let jobs = (0..1_000).map(|number| longhaul::NewJob::of(&Scripted { number }).unwrap());
    longhaul.enqueue_many(jobs.collect()).await.unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < 1_000 {
        numbers.push(within("every job to run", runs.recv()).await.unwrap());
    }
    for worker in workers {
        worker.shutdown(GRACE).await;
    }
    while let Ok(number) = runs.try_recv() {
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    let queues = longhaul.store().queues().await.unwrap();
    assert_eq!(queues[0].counts, [(State::Completed, 1_000)].into());
}

#[test]
fn an_idle_worker_asks_four_times_a_minute_and_a_job_that_comes_late_in_the_wait_keeps_its_lease() {
    let simulation = Simulation::new(1);
    let claims: Arc<AtomicUsize> = Arc::default();
    let store = MemoryStore::with_clock(simulation.clock.clone());
    let longhaul = Longhaul::new(Intercept::new(store, {
        let claims = Arc::clone(&claims);
        move |store: Arc<dyn Store>, call: Call| {
            claims.fetch_add(usize::from(call.claim().is_some()), Ordering::SeqCst);
            async move { call.on(store.as_ref()).await }
        }
    }));
    let clock = simulation.clock.clone();
    let script = Script::new(move |number, _| {
        let clock = clock.clone();
        async move {
            clock.sleep(GRACE).await;
            Ok(json!(number))
        }
    });
    let worker = worker(&longhaul, script).lease(DEFAULT_LEASE).runtime(simulation.runtime()).start();
    simulation.advance(10 * GRACE - Duration::from_millis(100));
    assert_eq!(claims.load(Ordering::SeqCst), 40);
    let id = simulation.run(enqueue(&longhaul, 1));
    let done = simulation.run(longhaul.wait(&id, 10 * GRACE)).unwrap().found().unwrap();
    assert_eq!((done.state, done.interruptions, done.crashes), (State::Completed, 0, 0));
    simulation.run(worker.shutdown(GRACE));
}

#[test]
fn idle_workers_of_one_process_ask_for_jobs_and_say_that_they_live_at_the_same_moments() {
    let simulation = Simulation::new(1);
    let [claims, heartbeats]: [Arc<Mutex<Vec<u64>>>; 2] = Default::default();
    let store = MemoryStore::with_clock(simulation.clock.clone());
    let longhaul = Longhaul::new(Intercept::new(store, {
        let (claims, heartbeats, clock) = (claims.clone(), heartbeats.clone(), simulation.clock.clone());
        move |store: Arc<dyn Store>, call: Call| {
            let now = clock.monotonic().as_secs();
            match &call {
                Call::Heartbeat(..) => heartbeats.lock().push(now),
                call if call.claim().is_some() => claims.lock().push(now),
                _ => {}
            }
            async move { call.on(store.as_ref()).await }
        }
    }));
    let start = |_| {
        let script = Script::new(|number, _| async move { Ok(json!(number)) });
        let worker = worker(&longhaul, script).lease(DEFAULT_LEASE).runtime(simulation.runtime()).start();
        simulation.advance(Duration::from_secs(7));
        worker
    };
    let workers: Vec<_> = (0..2).map(start).collect();
    simulation.advance(Duration::from_secs(40));
    assert_eq!(*claims.lock(), [0, 7, 15, 15, 30, 30, 45, 45]);
    assert_eq!(*heartbeats.lock(), [0, 7, 25, 25, 50, 50]);
    for worker in workers {
        simulation.run(worker.shutdown(GRACE));
    }
}
