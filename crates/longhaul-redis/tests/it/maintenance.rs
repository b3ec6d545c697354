//! Maintenance and waiting claims cost what there is to do, counted in the commands that the server runs.

use std::time::Duration;

use longhaul::{Claim, Clock, JobFilter, Keep, NewJob, QueueConfig, Retention, Sample, Timestamp};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{HOUR, claim, completed, delayed, id, job, json, kind, named, secs, slots};
use longhaul_redis::redis::{Cmd, cmd};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::server::{Server, calls};

async fn on_its_own_server() -> (Server, Fixture, RedisOptions) {
    let server = Server::start(&[]);
    let (clock, options) = (Clock::manual(), server.options());
    let options = RedisOptions { look_every: 1_000 * HOUR, ..options };
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    (server, Fixture::new(store, clock), options)
}

async fn cost_of_a_sweep(server: &Server, fx: &Fixture) -> u64 {
    let before = calls(server, "");
    assert!(fx.sweep().await.is_empty());
    calls(server, "") - before
}

#[tokio::test]
async fn a_sweep_beside_ten_thousand_idle_queues_costs_no_more_than_beside_none() {
    let (server, fx, options) = on_its_own_server().await;
    fx.sweep().await;
    let usual = cost_of_a_sweep(&server, &fx).await;
    // As the previous release leaves them: counted, and noted nowhere else.
    for from in (0..10_000).step_by(1_000) {
        let mut counts = cmd("HSET");
        counts.arg(format!("{}counts", format_args!("{{{}}}:", options.prefix)));
        (from..from + 1_000).for_each(|queue| {
            counts.arg(format!("q{queue}|4")).arg(1);
        });
        server.tell::<i64>(&counts).unwrap();
    }
    fx.clock.advance(HOUR);
    // The survey looks at each of them once, and each sweep at a bounded number.
    let mut surveyed = 0;
    while cost_of_a_sweep(&server, &fx).await > usual {
        surveyed += 1;
        assert!(surveyed <= 12, "the survey comes to an end");
    }
    assert_eq!(cost_of_a_sweep(&server, &fx).await, usual);
}

#[tokio::test]
async fn history_that_the_previous_release_has_left_is_pruned_after_a_survey() {
    let (server, fx, options) = on_its_own_server().await;
    let lease = fx.running_from(named("old")).await.lease;
    fx.end(&lease, completed()).await;
    let prune = format!("{{{}}}:prune", options.prefix);
    server.tell::<i64>(cmd("ZREM").arg(&prune).arg("images|4")).unwrap();
    fx.clock.advance(25 * HOUR);
    assert_eq!(fx.sweep().await.pruned, 1);
}

#[tokio::test]
async fn history_is_pruned_when_it_is_due_and_not_looked_at_before() {
    let (server, fx, _) = on_its_own_server().await;
    fx.sweep().await;
    let usual = cost_of_a_sweep(&server, &fx).await;
    for name in ["a", "b"] {
        let lease = fx.running_from(named(name)).await.lease;
        fx.end(&lease, completed()).await;
        fx.sweep().await;
        fx.clock.advance(HOUR);
    }
    // A survey is due by now; the history of the queue is not.
    fx.sweep().await;
    assert_eq!(cost_of_a_sweep(&server, &fx).await, usual);
    fx.clock.advance(22 * HOUR);
    assert_eq!(fx.sweep().await.pruned, 1);
    fx.clock.advance(HOUR);
    assert_eq!(fx.sweep().await.pruned, 1);
}

#[tokio::test]
async fn a_queue_that_keeps_a_number_of_jobs_is_pruned_at_each_end() {
    let (_server, fx, _) = on_its_own_server().await;
    let retention = Retention { completed: Keep { age: None, count: Some(1) }, ..Retention::default() };
    fx.set_queue("images", &QueueConfig { retention, ..QueueConfig::default() }).await;
    let mut pruned = 0;
    for name in ["a", "b", "c"] {
        let lease = fx.running_from(named(name)).await.lease;
        fx.end(&lease, completed()).await;
        pruned += fx.sweep().await.pruned;
    }
    assert_eq!(pruned, 2);
    assert_eq!(fx.list(&JobFilter::default()).await, [id("c")]);
}

#[tokio::test]
async fn a_claim_costs_the_same_however_many_jobs_of_a_paused_queue_wait_and_a_look_at_the_pauses_once() {
    let (server, fx, _) = on_its_own_server().await;
    let cost = async |slots_wanted| {
        let before = calls(&server, "");
        let queues = vec![slots("images", slots_wanted)];
        let claimed = fx.claim(Claim { queues, ..claim() }).await.len();
        (claimed, calls(&server, "") - before)
    };
    fx.enqueue_all(vec![job(); 300]).await;
    fx.claim_ids().await;
    let [(one, of_one), (many, of_many)] = [cost(1).await, cost(99).await];
    assert_eq!(
        (one, many, of_one),
        (1, 99, of_many),
        "a look at the pauses is for a claim and not for a job"
    );
    fx.store.pause_queue("images").await.unwrap();
    let (none, of_few) = cost(99).await;
    fx.enqueue_all(vec![job(); 3_000]).await;
    assert_eq!((none, cost(99).await), (0, (0, of_few)));
    assert!(of_few < of_many, "{of_few} commands for nothing");
}

#[tokio::test]
async fn nothing_is_left_of_samples_whose_time_is_over() {
    let (server, fx, options) = on_its_own_server().await;
    let sample = |at| Sample {
        series: "s".into(),
        at: Timestamp(at),
        source: "a".into(),
        keep_for: secs(10),
        body: json("1"),
    };
    // More than one call of a sweep forgets, before and after the year 1970.
    fx.store.put_samples(&(-150..150).map(sample).collect::<Vec<_>>()).await.unwrap();
    let kept = fx.store.samples("s", Timestamp(-1)).await.unwrap();
    assert_eq!((kept.len(), &kept[0], &kept[1]), (151, &sample(-1), &sample(0)));
    fx.clock.advance(secs(10));
    fx.sweep().await;
    for key in ["sample", "samples", "samples_end"] {
        let key = format!("{{{}}}:{key}", options.prefix);
        assert_eq!(server.tell::<i64>(cmd("EXISTS").arg(key)).unwrap(), 0);
    }
}

/// Answers once a command's answer is as wanted.
async fn until<T: longhaul_redis::redis::FromRedisValue>(
    server: &Server,
    command: &Cmd,
    is_wanted: impl Fn(&T) -> bool,
) {
    while !is_wanted(&server.tell::<T>(command).unwrap()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_falls_due_wakes_no_claim_of_another_queue() {
    let (server, fx, options) = on_its_own_server().await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..delayed(secs(5)) }).await;
    // A script that the server does not know is sent twice, which is not to be counted.
    assert!(fx.claim_ids().await.is_empty());
    let before = calls(&server, "evalsha");
    // Each wants another kind: of those that want the same, only the first looks.
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            let store = std::sync::Arc::clone(&fx.store);
            let kinds = vec![kind(&format!("kind-{n}"), 1)];
            tokio::spawn(async move { store.claim(Claim { wait: 1_000 * HOUR, kinds, ..claim() }).await })
        })
        .collect();
    while calls(&server, "evalsha") < before + 50 {
        tokio::task::yield_now().await;
    }
    let looks = calls(&server, "evalsha");
    fx.clock.advance(secs(6));
    let scheduled = format!("{{{}}}:scheduled", options.prefix);
    until::<i64>(&server, cmd("ZCARD").arg(&scheduled), |left| *left == 0).await;
    // An answer after the promotion, so that whatever that has woken has looked.
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..named("after") }).await;
    let more = calls(&server, "evalsha") - looks;
    assert!(more < 10, "{more} calls for one job of a queue that nobody waits for");
    waiting.iter().for_each(|claim| claim.abort());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_claim_hears_of_a_job_after_its_connection_for_notifications_was_cut() {
    let (server, fx, options) = on_its_own_server().await;
    let waiting = tokio::spawn({
        let store = std::sync::Arc::clone(&fx.store);
        async move { store.claim(Claim { wait: 1_000 * HOUR, ..claim() }).await }
    });
    let watched = format!("{{{}}}:watched", options.prefix);
    until::<bool>(&server, cmd("SISMEMBER").arg(&watched).arg("qimages"), |is_watched| *is_watched).await;
    // On a busy machine it may just be replaced, since the server was too late with the answer to a ping.
    until::<i64>(&server, cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub"), |killed| *killed > 0).await;
    // Its notification reaches nobody.
    server.tell::<i64>(cmd("SREM").arg(&watched).arg("qimages")).unwrap();
    fx.enqueue(named("a")).await;
    let claimed =
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("a claim within seconds");
    assert_eq!(claimed.unwrap().unwrap().len(), 1);
}

/// Jobs of one key, or each of a key of its own and that key.
async fn enqueue_limited(fx: &Fixture, numbers: std::ops::Range<u32>, has_own: bool) {
    let own = |n| has_own.then(|| format!("tenant:{n}"));
    let keys = |n| own(n).into_iter().chain(["provider".to_owned()]).collect();
    fx.enqueue_all(numbers.map(|n| NewJob { limit_keys: keys(n), ..job() }).collect()).await;
}

#[tokio::test]
async fn what_a_paused_key_keeps_back_costs_nothing_however_many_jobs_and_groups_it_is() {
    for has_own in [false, true] {
        let (server, fx, _) = on_its_own_server().await;
        fx.store.pause_key("provider", HOUR).await.unwrap();
        let mut costs = Vec::new();
        for numbers in [0..20, 20..2_000] {
            enqueue_limited(&fx, numbers, has_own).await;
            // Each group is met once.
            assert!(fx.claim_ids().await.is_empty());
            let start = calls(&server, "");
            assert!(fx.claim_ids().await.is_empty());
            let claimed = calls(&server, "");
            fx.store.resume_key("provider").await.unwrap();
            fx.store.pause_key("provider", HOUR).await.unwrap();
            let resumed = calls(&server, "");
            costs.push([claimed - start, resumed - claimed]);
            assert!(fx.claim_ids().await.is_empty());
        }
        assert!(costs[1][0] <= costs[0][0] && costs[1][1] <= costs[0][1], "{costs:?}");
        assert!(costs[0][0] < 20 && costs[0][1] < 40, "{costs:?}");
        fx.enqueue(named("plain")).await;
        assert_eq!(fx.claim_ids().await, [id("plain")]);
    }
}
