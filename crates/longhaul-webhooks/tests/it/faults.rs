use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longhaul::webhook::{self, Delivery};
use longhaul::{
    Clock, JobFilter, JobRecord, Keep, Longhaul, MemoryStore, NewJob, Page, QueueConfig, Retention, State,
    Webhook,
};
use longhaul_webhooks::register;

use crate::deliveries::Work;
use crate::guard::outbound;
use crate::receiver::{Receiver, Reply};

/// The deliveries of a test run; by hand, in a release build: `LONGHAUL_DELIVERIES=10000 cargo test --release -p longhaul-webhooks faults`.
const DELIVERIES: usize = 300;
const SLOTS: usize = 64;

/// Draws the same numbers in each run.
fn draw(seed: usize) -> usize {
    let mixed = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as usize
}

/// Waits for a change of one of the jobs that are under way.
async fn changed(longhaul: &Longhaul) {
    let states = vec![State::Running, State::Available, State::Blocked];
    let filter = JobFilter { states, ..JobFilter::default() };
    let page = longhaul.store().list(&filter, Page { limit: 1, ..Page::default() }).await.unwrap();
    if let [job] = &page.jobs[..] {
        longhaul.store().events(&job.id, job.last_event, 1, Duration::from_secs(3600)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_receiver_faults_each_delivery_is_taken_or_fails_with_its_reason_and_none_goes_elsewhere() {
    let count =
        std::env::var("LONGHAUL_DELIVERIES").ok().and_then(|count| count.parse().ok()).unwrap_or(DELIVERIES);
    // A place inside, which redirections and names lead to.
    let inside = Receiver::start_on("127.0.0.2", |_| Reply::status("200 OK")).await;
    let inner = inside.address;
    let taken = Arc::<Mutex<HashMap<String, usize>>>::default();
    let (counted, requests) = (Arc::clone(&taken), AtomicUsize::new(0));
    let receiver = Receiver::start(move |seen| {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        if seen.path == "/never" {
            return Reply::status("500 No");
        }
        match draw(number) % 10 {
            0 => Reply::status("500 Internal Server Error"),
            1 => Reply::Reset,
            2 if number % 5 == 0 => Reply::Hang,
            3 if number % 5 == 0 => Reply::HangInBody,
            4 => Reply::status("302 Found\r\nlocation: http://169.254.169.254/latest/meta-data"),
            5 => Reply::status(&format!("307 Temporary Redirect\r\nlocation: http://{inner}/")),
            6 => Reply::status("503 Service Unavailable\r\nretry-after: 120"),
            _ => {
                *counted.lock().unwrap().entry(seen.headers["webhook-id"].clone()).or_default() += 1;
                Reply::status("200 OK")
            }
        }
    })
    .await;

    let clock = Clock::manual();
    let longhaul = Longhaul::new(MemoryStore::with_clock(clock.clone()));
    let all = Keep::default;
    let retention = Retention { completed: all(), failed: all(), cancelled: all() };
    let config = QueueConfig { retention, ..QueueConfig::default() };
    longhaul.store().set_queue(webhook::QUEUE, &config).await.unwrap();
    let outbound = outbound("127.0.0.1").delivery_timeout(Duration::from_millis(250));
    let worker = register(longhaul.worker().register::<Work>(()), &outbound)
        .queue("default", SLOTS)
        .queue(webhook::QUEUE, SLOTS)
        .start();

    let url = |n: usize| match n % 20 {
        0 => receiver.url("/never"),
        1 => format!("http://{inner}/"),
        2 => "http://169.254.169.254/latest/meta-data".to_owned(),
        _ => receiver.url("/"),
    };
    for from in (0..count).step_by(1_000) {
        let job = |n| NewJob {
            webhook: Some(Webhook::new(url(n))),
            ..NewJob::of(&Work { fails: (n % 3 == 0).then(|| "no paper".into()) }).unwrap()
        };
        longhaul.enqueue_many((from..count.min(from + 1_000)).map(job).collect()).await.unwrap();
    }
    // What is under way ends by itself; then the next attempts are due.
    loop {
        let queues = longhaul.store().queues().await.unwrap();
        let counts =
            |state| queues.iter().map(|queue| queue.counts.get(&state).copied().unwrap_or(0)).sum::<u64>();
        let under_way = counts(State::Available) + counts(State::Running) + counts(State::Blocked);
        match (under_way, counts(State::Scheduled)) {
            (0, 0) => break,
            (0, _) => {
                clock.advance(Duration::from_secs(6 * 3600));
                while !longhaul.store().sweep(1_000).await.unwrap().is_empty() {}
            }
            _ => changed(&longhaul).await,
        }
    }
    drop(worker);

    let (mut cursor, mut all) = (None, Vec::<JobRecord>::new());
    loop {
        let filter = JobFilter { kinds: vec![webhook::KIND.into()], ..JobFilter::default() };
        let page =
            longhaul.store().list(&filter, Page { cursor, limit: 1_000, ..Page::default() }).await.unwrap();
        all.extend(page.jobs);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), count);
    let taken = taken.lock().unwrap();
    let (mut delivered, mut failed) = (0, BTreeMap::<String, usize>::new());
    for delivery in &all {
        let args: Delivery = delivery.args.to().unwrap();
        let is_inside = args.url.contains("169.254") || args.url.contains("127.0.0.2");
        match delivery.state {
            State::Completed => {
                assert!(!is_inside, "{args:?}");
                let output = delivery.output.as_ref().unwrap().to_value();
                assert!(taken[output["message"]["id"].as_str().unwrap()] >= 1);
                delivered += 1;
            }
            State::Failed => {
                let reason = &delivery.errors.last().unwrap().message;
                let is_told = if is_inside { delivery.attempt == 1 } else { delivery.attempt == 10 };
                assert!(is_told && !reason.is_empty(), "{args:?}: {reason}");
                let sort = if is_inside { "a private address" } else { "not taken in ten attempts" };
                *failed.entry(sort.into()).or_default() += 1;
            }
            other => panic!("{other}: {args:?}"),
        }
    }
    // One whose last attempt was taken and answered too late has failed all the same.
    assert!(taken.len() >= delivered, "{} {delivered}", taken.len());
    assert!(inside.seen().is_empty(), "nothing came to a place inside");
    let requests = receiver.seen().len();
    let doubled = taken.values().filter(|times| **times > 1).count();
    println!(
        "{count} deliveries: {delivered} taken ({doubled} more than once), failed {failed:?}, {requests} requests"
    );
}
