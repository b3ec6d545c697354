//! What the handle does in several calls of the store, while another process does something between two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::moving::{Exported, ExportedQueue, Imported, import_settings};
use longhaul::schedule::Put;
use longhaul::testing::{Call, Intercept};
use longhaul::webhook::{Delivery, parent};
use longhaul::{
    Action, AttemptError, Claim, Clock, Done, Entry, ErrorKind, Finish, FromStep, JobFilter, JobId, Json,
    Lease, LeaseStatus, Longhaul, MemoryStore, NewJob, Outcome, Page, QueueConfig, QueueSlots, Record,
    Schedule, State, Store, SupportedKind, Webhook, WorkerInfo, schedule,
};

/// A store, and a handle on it to which something else happens right after the first call that fits.
fn meanwhile<F>(
    clock: &Clock,
    fits: fn(&Call) -> bool,
    then: impl Fn(Longhaul) -> F + Send + Sync + 'static,
) -> (Longhaul, Longhaul)
where
    F: Future<Output = ()> + Send + 'static,
{
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(clock.clone()));
    let (then, is_done) = (Arc::new(then), Arc::new(AtomicBool::new(false)));
    let around = Intercept::over(Arc::clone(&store), move |store: Arc<dyn Store>, call: Call| {
        let (then, is_done) = (Arc::clone(&then), Arc::clone(&is_done));
        async move {
            let is_now = fits(&call) && !is_done.swap(true, Ordering::SeqCst);
            let answer = call.on(store.as_ref()).await;
            if is_now {
                then(Longhaul::over(store)).await;
            }
            answer
        }
    });
    (Longhaul::over(store), Longhaul::new(around))
}

fn id() -> JobId {
    JobId::new("a").unwrap()
}

fn job() -> NewJob {
    NewJob { id: Some(id()), ..NewJob::new("k", Json::null()) }
}

async fn claim(longhaul: &Longhaul) -> Lease {
    let claim = Claim {
        worker: WorkerInfo { id: "w".into(), process: "p".into(), ..WorkerInfo::default() },
        queues: vec![QueueSlots { queue: "default".into(), slots: 1 }],
        kinds: vec![SupportedKind { kind: "k".into(), version: 1 }],
        lease_for: Duration::from_secs(30),
        wait: Duration::ZERO,
    };
    longhaul.store().claim(claim).await.unwrap().remove(0).lease
}

async fn end(longhaul: &Longhaul, lease: Lease, outcome: Outcome) {
    let finish = Finish { lease, outcome, entries: Vec::new(), follow_ups: Vec::new(), cost: None };
    assert_eq!(longhaul.store().finish(vec![finish]).await.unwrap(), [LeaseStatus::Held]);
}

fn failed() -> Outcome {
    Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, "the disk is full") }
}

/// The lease of the first claim of the job.
fn first_lease() -> Lease {
    Lease { id: id(), token: 1 }
}

fn step(name: &str) -> Entry {
    Entry::Step { name: name.into(), output: Json::null(), took: Duration::ZERO }
}

/// A running job that has done two steps.
async fn with_steps(longhaul: &Longhaul) -> Lease {
    longhaul.enqueue_one(job()).await.unwrap();
    let lease = claim(longhaul).await;
    let entries = vec![step("pay"), step("send")];
    longhaul.store().record(vec![Record { lease: lease.clone(), entries }]).await.unwrap();
    lease
}

#[tokio::test]
async fn a_fork_of_a_job_that_completes_meanwhile_does_not_do_its_steps_again() {
    let (longhaul, seen) = meanwhile(
        &Clock::manual(),
        |call| matches!(call, Call::Get(_)),
        async |longhaul| {
            end(&longhaul, first_lease(), Outcome::Completed { output: Json::null() }).await;
        },
    );
    assert_eq!(with_steps(&longhaul).await, first_lease());
    let forked = seen.fork(&id(), Some("send"), None).await.unwrap();
    assert_eq!(forked, FromStep::Forgotten, "its outputs are forgotten");
    let jobs = longhaul.store().list(&JobFilter::default(), Page::default()).await.unwrap().jobs;
    assert_eq!(jobs.len(), 1, "nothing was forked");
}

#[tokio::test]
async fn a_fork_of_a_job_that_is_retried_with_other_args_meanwhile_has_their_steps_alone() {
    let (longhaul, seen) = meanwhile(
        &Clock::manual(),
        |call| matches!(call, Call::Get(_)),
        async |longhaul| {
            let action = Action::RetryWith { args: Json::new(&7).unwrap() };
            assert_eq!(longhaul.store().act(&JobFilter::id(id()), action, 1).await.unwrap().done, 1);
            let lease = claim(&longhaul).await;
            longhaul.store().record(vec![Record { lease, entries: vec![step("pay")] }]).await.unwrap();
        },
    );
    let lease = with_steps(&longhaul).await;
    end(&longhaul, lease, failed()).await;
    let FromStep::Done(fork) = seen.fork(&id(), None, None).await.unwrap() else { panic!() };
    let record = longhaul.get(&fork.id).await.unwrap().found().unwrap();
    let steps = longhaul.store().steps(&fork.id).await.unwrap().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!((record.args, names), (Json::new(&7).unwrap(), vec!["pay"]), "args and steps of one moment");
}

#[tokio::test]
async fn a_job_that_ends_while_it_is_to_be_retried_tells_its_next_end_or_is_not_retried() {
    let (longhaul, seen) = meanwhile(
        &Clock::manual(),
        |call| matches!(call, Call::List(..)),
        async |longhaul| {
            end(&longhaul, first_lease(), failed()).await;
        },
    );
    let webhook = Some(Webhook::new("https://example.com/hook"));
    longhaul.enqueue_one(NewJob { webhook, ..job() }).await.unwrap();
    claim(&longhaul).await;
    let done = seen.retry(&id()).await.unwrap();
    let of_the_job = JobFilter { parents: vec![parent(&id())], ..JobFilter::default() };
    let deliveries = longhaul.store().list(&of_the_job, Page::default()).await.unwrap().jobs;
    // The first delivery tells the failure: it may have read the job before the retry.
    let waiting = deliveries.iter().filter(|delivery| delivery.state == State::Blocked);
    let waiting = waiting.filter(|delivery| delivery.args.to::<Delivery>().is_ok()).count();
    match done {
        Done::Yes => assert_eq!(waiting, 1, "the end of the run that follows is told by another delivery"),
        Done::NotApplicable => {
            let state = longhaul.get(&id()).await.unwrap().found().unwrap().state;
            assert_eq!((state, waiting), (State::Failed, 0));
        }
    }
}

fn hourly() -> Schedule {
    Schedule::cron("s", "0 * * * *", NewJob::new("k", Json::null()))
}

#[tokio::test]
async fn a_schedule_that_is_deleted_while_it_is_paused_leaves_no_pause_to_the_next_of_its_name() {
    let clock = Clock::manual();
    let (longhaul, seen) = meanwhile(
        &clock,
        |call| matches!(call, Call::Samples(..)),
        async |longhaul| {
            assert_eq!(longhaul.schedules().delete("s").await.unwrap(), Done::Yes);
        },
    );
    let schedules = longhaul.schedules().clock(clock.clone());
    schedules.put(hourly()).await.unwrap();
    assert_eq!(seen.schedules().clock(clock.clone()).pause("s").await.unwrap(), Done::NotApplicable);
    schedules.put(hourly()).await.unwrap();
    let anew = schedules.get("s").await.unwrap().unwrap();
    assert!(!anew.paused && !anew.next.is_empty(), "nobody has paused this one");
}

#[tokio::test]
async fn a_schedule_that_is_put_anew_while_it_is_deleted_fires() {
    let clock = Clock::manual();
    let anew = clock.clone();
    let (longhaul, seen) = meanwhile(
        &clock,
        |call| matches!(call, Call::PutSamples(_)),
        move |longhaul: Longhaul| {
            let schedules = longhaul.schedules().clock(anew.clone());
            async move { assert_eq!(schedules.put(hourly()).await.unwrap(), Put::Created) }
        },
    );
    longhaul.schedules().clock(clock.clone()).put(hourly()).await.unwrap();
    assert_eq!(seen.schedules().clock(clock.clone()).delete("s").await.unwrap(), Done::Yes);
    assert!(longhaul.schedules().clock(clock).get("s").await.unwrap().is_some());
    let tickers = JobFilter {
        kinds: vec![schedule::KIND.into()],
        states: vec![State::Scheduled, State::Available],
        ..JobFilter::default()
    };
    let tickers = longhaul.store().list(&tickers, Page::default()).await.unwrap().jobs;
    assert_eq!(tickers.len(), 1, "the delete came before the put, and cancels nothing of it");
}

#[tokio::test]
async fn what_an_operator_sets_while_settings_are_imported_stays() {
    let config = QueueConfig { slots: Some(3), ..QueueConfig::default() };
    let (longhaul, seen) = meanwhile(&Clock::manual(), |call| matches!(call, Call::Queues), {
        let config = config.clone();
        move |longhaul: Longhaul| {
            let config = config.clone();
            async move { longhaul.store().set_queue("mail", &config).await.unwrap() }
        }
    });
    let moved = QueueConfig { fair: true, ..QueueConfig::default() };
    let records = [Exported::Queue(ExportedQueue { queue: "mail".into(), config: moved, paused: false })];
    let now = Clock::manual().now();
    let imported = import_settings(seen.store().as_ref(), &records, now).await.unwrap();
    assert_eq!(imported, [Some(Imported::Present)]);
    assert_eq!(longhaul.store().queues().await.unwrap()[0].config, config);
}

#[tokio::test]
async fn a_queue_that_is_changed_while_another_changes_it_has_both_changes() {
    let (longhaul, seen) = meanwhile(
        &Clock::manual(),
        |call| matches!(call, Call::Queues),
        async |longhaul| {
            let change = |config: &mut QueueConfig| {
                config.slots = Some(3);
                Ok::<(), longhaul::Error>(())
            };
            longhaul.change_queue("mail", change).await.unwrap();
        },
    );
    let change = |config: &mut QueueConfig| {
        config.fair = true;
        Ok::<(), longhaul::Error>(())
    };
    seen.change_queue("mail", change).await.unwrap();
    let config = &longhaul.store().queues().await.unwrap()[0].config;
    assert_eq!((config.fair, config.slots), (true, Some(3)));
}
