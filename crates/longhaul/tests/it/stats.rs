use std::sync::Arc;
use std::time::Duration;

use longhaul::stats::{Counts, FeedNews, Recorder, Window};
use longhaul::testing::{Call, Intercept};
use longhaul::{
    AttemptError, CancelReason, Claim, Clock, Error, ErrorKind, Finish, Json, Lease, Longhaul, Maintenance,
    MemoryStore, NewJob, Outcome, QueueSlots, Runtime, State, Store, SupportedKind, Timestamp, WorkerInfo,
};
use tokio::sync::{Notify, Semaphore};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A store in memory with a recorder, on one manual clock.
struct Watched {
    clock: Clock,
    store: Arc<dyn Store>,
    recorder: Recorder,
}

impl Watched {
    fn new() -> Self {
        let clock = Clock::manual();
        Self::over(Arc::new(MemoryStore::with_clock(clock.clone())), clock)
    }

    /// A process of its own, as far as recorders are concerned.
    fn over(store: Arc<dyn Store>, clock: Clock) -> Self {
        let runtime = Runtime { clock: clock.clone(), ..Runtime::tokio() };
        let recorder = Recorder::start_on(Arc::clone(&store), runtime);
        Self { clock, store, recorder }
    }

    async fn enqueue(&self, queue: &str, kind: &str) {
        let job = serde_json::json!({
            "id": null, "kind": kind, "version": 1, "queue": queue, "args": null, "priority": 0, "start": "now",
            "max_attempts": 5, "max_crashes": 5, "unique": null, "idempotency": null, "parent": null, "labels": {},
        });
        let job: NewJob = serde_json::from_value(job).unwrap();
        self.store.enqueue(vec![job]).await.unwrap();
    }

    /// Claims the next job of a queue.
    async fn claim(&self, queue: &str, kind: &str, lease_for: Duration) -> Lease {
        let claim = Claim {
            worker: WorkerInfo { id: "w".into(), ..WorkerInfo::default() },
            queues: vec![QueueSlots { queue: queue.into(), slots: 1 }],
            kinds: vec![SupportedKind { kind: kind.into(), version: 1 }],
            lease_for,
            wait: Duration::ZERO,
        };
        self.store.claim(claim).await.unwrap().pop().expect("a job waits").lease
    }

    /// Runs the next job of a queue for so long, and ends it.
    async fn run(&self, queue: &str, kind: &str, took: Duration, outcome: Outcome) {
        let lease = self.claim(queue, kind, HOUR).await;
        self.clock.advance(took);
        let finish = Finish { lease, outcome, entries: Vec::new(), follow_ups: Vec::new(), cost: None };
        self.store.finish(vec![finish]).await.unwrap();
    }

    async fn report(&self, length: Duration, step: Duration) -> longhaul::stats::Report {
        let window = Window { length, step, queue: None, kind: None };
        self.recorder.report(&window, self.clock.now()).await.unwrap()
    }
}

fn completed() -> Outcome {
    Outcome::Completed { output: Json::null() }
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { error: AttemptError::new(ErrorKind::Error, message) }
}

#[tokio::test]
async fn throughput_and_times_are_those_of_the_jobs_that_ran() {
    let watched = Watched::new();
    for _ in 0..3 {
        watched.enqueue("mail", "send").await;
    }
    watched.enqueue("images", "resize").await;
    watched.clock.advance(5 * SECOND);
    watched.run("mail", "send", 2 * SECOND, completed()).await;
    watched.clock.advance(MINUTE);
    watched.run("mail", "send", 2 * SECOND, failed("no")).await;
    let retry = Outcome::Retry { error: AttemptError::new(ErrorKind::Error, "no"), delay: Duration::ZERO };
    watched.run("mail", "send", 2 * SECOND, retry).await;
    watched
        .run(
            "images",
            "resize",
            HOUR / 2,
            Outcome::Cancelled { reason: "no".into(), cancel_reason: CancelReason::Asked },
        )
        .await;

    let report = watched.report(HOUR, MINUTE).await;
    let counts = Counts { enqueued: 4, completed: 1, failed: 1, cancelled: 1, retried: 1 };
    assert_eq!(report.all.counts, counts);
    assert_eq!(
        report.queues["mail"].counts,
        Counts { enqueued: 3, completed: 1, failed: 1, retried: 1, cancelled: 0 }
    );
    assert_eq!(report.kinds["resize"].counts, Counts { enqueued: 1, cancelled: 1, ..Counts::default() });
    assert_eq!((report.series.len(), report.step, report.window), (60, MINUTE, HOUR));
    let busy: Vec<_> = report.series.iter().filter(|point| point.counts != Counts::default()).collect();
    assert_eq!(busy.iter().map(|point| point.counts.enqueued).collect::<Vec<_>>(), [4, 0, 0]);
    assert_eq!(report.queues["images"].run.max, Some(HOUR / 2));
    assert_eq!(report.kinds["send"].run.p50, Some(2 * SECOND));
    let wait = report.kinds["send"].wait;
    assert_eq!(wait.max, Some(69 * SECOND));
    assert!(
        wait.p50.is_some_and(|p50| p50 >= 67 * SECOND && p50 <= 76 * SECOND),
        "of 5, 67 and 69 s: {wait:?}"
    );
    let mut counted = watched.recorder.counted();
    counted.sort_by(|one, other| one.kind.cmp(&other.kind));
    assert_eq!(counted[0].counts, report.kinds["resize"].counts);
    assert_eq!((counted[1].counts, counted[1].run.len()), (report.kinds["send"].counts, 3));
    assert_eq!(counted[1].run.sum(), 6 * SECOND);
    let mail = Window { length: HOUR, step: HOUR, queue: Some("mail".into()), kind: None };
    let mail = watched.recorder.report(&mail, watched.clock.now()).await.unwrap();
    assert_eq!((mail.all.counts.enqueued, mail.series.len(), mail.queues.len()), (3, 1, 1));
}

#[tokio::test]
async fn counts_survive_the_process_and_those_of_several_are_added_up() {
    let first = Watched::new();
    first.enqueue("mail", "send").await;
    first.recorder.flush().await.unwrap();
    let (store, clock) = (Arc::clone(&first.store), first.clock.clone());
    drop(first);
    clock.advance(2 * MINUTE);
    // The same store behind another face is another process for a recorder.
    let face = Intercept::over(store, async |store, call| call.on(store.as_ref()).await);
    let second = Watched::over(Arc::new(face), clock.clone());
    assert_eq!(second.report(HOUR, MINUTE).await.all.counts.enqueued, 1, "of the one before");
    second.enqueue("mail", "send").await;
    second.run("mail", "send", SECOND, completed()).await;
    let counts = second.report(HOUR, MINUTE).await.all.counts;
    assert_eq!((counts.enqueued, counts.completed), (2, 1), "and of its own, before it is written");
    second.recorder.flush().await.unwrap();
    assert_eq!(second.report(HOUR, MINUTE).await.all.counts, counts, "and once it is written, not twice");
}

#[tokio::test]
async fn a_week_is_counted_in_hours_and_what_is_older_is_forgotten() {
    let watched = Watched::new();
    for _ in 0..5 {
        watched.enqueue("mail", "send").await;
        watched.run("mail", "send", SECOND, completed()).await;
        watched.clock.advance(20 * MINUTE);
        watched.recorder.flush().await.unwrap();
    }
    let week = watched.report(7 * 24 * HOUR, HOUR).await;
    assert_eq!((week.step, week.all.counts.completed), (HOUR, 5));
    let busy: Vec<u64> = week.series.iter().map(|p| p.counts.completed).filter(|n| *n > 0).collect();
    assert!(busy.len() >= 2 && busy.iter().sum::<u64>() == 5, "{busy:?}");
    watched.clock.advance(26 * HOUR);
    watched.store.sweep(100).await.unwrap();
    assert_eq!(watched.report(24 * HOUR, HOUR).await.all.counts.completed, 0, "minutes are kept for a day");
    assert_eq!(watched.report(7 * 24 * HOUR, HOUR).await.all.counts.completed, 5);
    watched.clock.advance(8 * 24 * HOUR);
    assert_eq!(watched.report(7 * 24 * HOUR, HOUR).await.all.counts.completed, 0);
}

#[tokio::test]
async fn failures_of_one_shape_are_one_group_with_its_last_job() {
    let watched = Watched::new();
    for message in ["no user 7", "no user 812", "timed out after 3 s", "no user 9"] {
        watched.enqueue("mail", "send").await;
        watched.run("mail", "send", SECOND, failed(message)).await;
        watched.clock.advance(MINUTE);
    }
    let window = Window { length: HOUR, step: HOUR, queue: None, kind: None };
    let failures = watched.recorder.failures(&window, watched.clock.now()).await.unwrap();
    let told: Vec<_> = failures
        .groups
        .iter()
        .map(|g| (g.failure.message.as_str(), g.failure.count, g.spark.iter().sum()))
        .collect();
    assert_eq!(told, [("no user 9", 3, 3_u64), ("timed out after 3 s", 1, 1)]);
    let users = &failures.groups[0].failure;
    assert!(users.first_at < users.last_at);
    let filter = longhaul::JobFilter::default().with_query(&format!("error:{}", users.fingerprint)).unwrap();
    let jobs = watched.store.list(&filter, longhaul::Page::default()).await.unwrap().jobs;
    assert_eq!((jobs.len(), &jobs[0].id), (3, &users.job));
    let other = Window { queue: Some("other".into()), ..window };
    assert!(watched.recorder.failures(&other, watched.clock.now()).await.unwrap().groups.is_empty());
}

/// The states of the feed's next changes, as many as are expected.
async fn states(feed: &mut longhaul::stats::Feed, count: usize) -> Vec<Option<State>> {
    let mut states = Vec::new();
    while states.len() < count {
        match feed.next().await.expect("the feed goes on") {
            FeedNews::Items(items) => states.extend(items.iter().map(|item| item.state)),
            FeedNews::Gap => panic!("nothing was left out"),
        }
    }
    states
}

/// Moves a manual clock on until `work` is done, so that what sleeps by it goes on.
async fn while_time_passes<T>(clock: &Clock, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(50)),
        }
    }
}

#[tokio::test]
async fn the_feed_tells_changes_of_this_process_and_of_others() {
    let here = Watched::new();
    let face = Intercept::over(Arc::clone(&here.store), async |store, call| call.on(store.as_ref()).await);
    here.enqueue("mail", "send").await;
    // Both hear of every change of the store in memory, so the other one is told what it makes by itself.
    let there = Watched::over(Arc::new(face), here.clock.clone());
    let mut feed = while_time_passes(&here.clock, here.recorder.feed()).await.unwrap();
    here.run("mail", "send", SECOND, completed()).await;
    let told = while_time_passes(&here.clock, states(&mut feed, 4)).await;
    assert_eq!(
        told.iter().filter(|state| **state == Some(State::Running)).count(),
        2,
        "by each of them: {told:?}"
    );

    // A reader that comes right after the last one has left hears nothing twice.
    drop(feed);
    let mut feed = while_time_passes(&here.clock, here.recorder.feed()).await.unwrap();
    here.enqueue("mail", "send").await;
    here.run("mail", "send", SECOND, completed()).await;
    let told = while_time_passes(&here.clock, states(&mut feed, 6)).await;
    assert_eq!(told.iter().filter(|state| **state == Some(State::Running)).count(), 2, "{told:?}");
    drop(there);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_and_a_store_that_was_away_are_told_as_gaps() {
    let clock = Clock::manual();
    let away = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let store = Intercept::new(MemoryStore::with_clock(clock.clone()), {
        let away = Arc::clone(&away);
        move |store, call| {
            let is_away = away.load(std::sync::atomic::Ordering::SeqCst);
            async move {
                match call {
                    Call::Samples(..) | Call::PutSamples(..) if is_away => {
                        Err(Error::Unavailable { store: "test", source: "gone".into() })
                    }
                    call => call.on(store.as_ref()).await,
                }
            }
        }
    });
    let watched = Watched::over(Arc::new(store), clock.clone());
    let mut feed = while_time_passes(&clock, watched.recorder.feed()).await.unwrap();
    away.store(true, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..50 {
        clock.advance(SECOND);
        tokio::task::yield_now().await;
    }
    away.store(false, std::sync::atomic::Ordering::SeqCst);
    let news = while_time_passes(&clock, feed.next()).await;
    assert!(matches!(news, Some(FeedNews::Gap)), "{news:?}");
    for _ in 0..3_000 {
        watched.enqueue("mail", "send").await;
    }
    let mut items = 0;
    while let Some(FeedNews::Items(some)) = while_time_passes(&clock, feed.next()).await {
        items += some.len();
    }
    assert!(items < 3_000, "{items}");
}

#[tokio::test]
async fn a_flush_writes_the_counts_and_publishes_the_changes_before_a_process_ends() {
    let here = Watched::new();
    let face = Intercept::over(Arc::clone(&here.store), async |store, call| call.on(store.as_ref()).await);
    let there = Watched::over(Arc::new(face), here.clock.clone());
    let mut feed = there.recorder.feed().await.unwrap();
    here.enqueue("mail", "send").await;
    Longhaul::over(Arc::clone(&here.store)).flush().await.unwrap();
    drop(here);
    // Both hear of every change of the store in memory, so each of them counts and tells it once.
    assert_eq!(there.report(HOUR, MINUTE).await.all.counts.enqueued, 2);
    assert_eq!(while_time_passes(&there.clock, states(&mut feed, 2)).await, [Some(State::Available); 2]);
}

#[tokio::test]
async fn a_flush_of_a_store_without_a_recorder_does_nothing() {
    Longhaul::new(MemoryStore::default()).flush().await.unwrap();
}

#[tokio::test]
async fn a_flush_waits_for_counts_that_are_on_their_way() {
    let clock = Clock::manual();
    let (may_go, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let store = Intercept::new(MemoryStore::with_clock(clock.clone()), {
        let (may_go, begun) = (Arc::clone(&may_go), Arc::clone(&begun));
        move |store, call| {
            let (may_go, begun) = (Arc::clone(&may_go), Arc::clone(&begun));
            async move {
                if matches!(call, Call::PutSamples(..)) {
                    begun.notify_one();
                    may_go.acquire().await.expect("it is open").forget();
                }
                call.on(store.as_ref()).await
            }
        }
    });
    let watched = Watched::over(Arc::new(store), clock.clone());
    watched.enqueue("mail", "send").await;
    while_time_passes(&clock, begun.notified()).await;
    // The task has taken the counts, and has not written them.
    let flush = watched.recorder.flush();
    tokio::pin!(flush);
    assert!(futures::poll!(&mut flush).is_pending());
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(futures::poll!(&mut flush).is_pending());
    }
    may_go.add_permits(10);
    flush.await.unwrap();
    let written = watched.store.samples("stats.minutes", Timestamp(0)).await.unwrap();
    assert_eq!(written.len(), 1);
}

#[tokio::test]
async fn what_a_process_counted_does_not_fall_when_its_minutes_are_written_and_forgotten() {
    let watched = Watched::new();
    for minute in 1..=200_u64 {
        watched.enqueue("mail", "send").await;
        watched.clock.advance(MINUTE);
        watched.recorder.flush().await.unwrap();
        let counted = watched.recorder.counted();
        assert_eq!(counted.iter().map(|cell| cell.counts.enqueued).collect::<Vec<_>>(), [minute]);
    }
}

#[tokio::test]
async fn what_sweeps_take_from_silent_workers_is_counted() {
    let watched = Watched::new();
    watched.enqueue("mail", "send").await;
    watched.claim("mail", "send", SECOND).await;
    watched.clock.advance(MINUTE);
    let runtime = Runtime { clock: watched.clock.clone(), ..Runtime::tokio() };
    let _sweeping = Maintenance::start_on(Arc::clone(&watched.store), runtime);
    while watched.recorder.counters().rescued.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(watched.recorder.counters().rescued.get(), 1);
}
