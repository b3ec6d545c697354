//! Jobs that the scripts of the previous release and those of this one work on at the same time, as they do while one is
//! rolled out after the other: what is kept, and in which form, is the same for both, or the layout's version is another.

use longhaul::{
    Action, Backoff, Claim, Clock, Dependency, JobFilter, JobRecord, KeyConfig, KeyFilter, Lease, NewJob,
    Outcome, Policy, Prefer, QueueConfig, Record, Start, State, Store, WaitsFor,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{
    HOUR, KIND, QUEUE, claim, completed, failed, finish, id, json, named, slots, step, worker,
};
use longhaul_redis::redis::{Value, cmd};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::alike::kept;
use crate::server::shared;

async fn record(store: &RedisStore, name: &str) -> JobRecord {
    store.get(&[id(name)]).await.unwrap().remove(0).found().unwrap()
}

const LEASE_FOR: i64 = 30_000;

/// A process of the previous release, as far as its scripts go.
struct Previous {
    root: String,
    clock: Clock,
}

impl Previous {
    fn of(options: &RedisOptions, clock: &Clock) -> Self {
        Self { root: format!("{{{}}}:", options.prefix), clock: clock.clone() }
    }

    fn run(&self, script: &str, arguments: &[Vec<u8>]) -> Vec<Value> {
        let mut eval = cmd("EVAL");
        eval.arg(script).arg(1).arg(&self.root).arg(self.clock.now().0).arg(arguments);
        shared().tell(&eval).unwrap()
    }

    /// Creates a job as `named` makes it, with data that a job of this release has.
    fn enqueue(&self, name: &str, data: &[u8]) {
        self.enqueue_limited(name, data, "");
    }

    /// The same with a limit key, which is none where it is empty.
    fn enqueue_limited(&self, name: &str, data: &[u8], limit_key: &str) {
        let lane = format!("{QUEUE}|{KIND}|1");
        // No delay, no time, no priority; its id may exist.
        let start = [&[0; 20][..], &[1]].concat();
        let word = |word: &str| [&(word.len() as u16).to_be_bytes(), word.as_bytes()].concat();
        let fixed = [
            [1_u32, 0, 5].map(u32::to_be_bytes).concat(),
            (-1_i64).to_be_bytes().to_vec(),
            [QUEUE, KIND, "", limit_key, ""].map(word).concat(),
        ];
        let job = [name.into(), lane.into_bytes(), start, fixed.concat(), data.to_vec()];
        let arguments = [vec![b"1".to_vec()], job.to_vec()].concat();
        assert_eq!(self.run(include_str!("previous_release/enqueue.lua"), &arguments), [Value::Int(0)]);
    }

    fn claim(&self, slots: i64) -> Vec<Lease> {
        let lists = [pack::list(1), pack::list(2), pack::text(QUEUE), pack::int(slots)].concat();
        let kinds = [pack::list(1), pack::list(2), pack::text(KIND), pack::int(1)].concat();
        let head = [pack::list(5), pack::text(&claim().worker.id), pack::int(LEASE_FOR)].concat();
        let wanted = [head, lists, kinds, pack::NIL.to_vec()].concat();
        let answer = self.run(include_str!("previous_release/claim.lua"), &[wanted]);
        let jobs = answer[3..].chunks_exact(4);
        jobs.map(|job| Lease { id: id(std::str::from_utf8(bytes(&job[0])).unwrap()), token: token(&job[1]) })
            .collect()
    }

    fn heartbeat(&self, lease: &Lease) {
        let worker = worker(&claim().worker.id);
        let arguments = [
            worker.id.clone().into_bytes(),
            serde_json::to_vec(&worker).unwrap(),
            LEASE_FOR.to_string().into_bytes(),
            lease.id.as_str().into(),
            lease.token.to_string().into_bytes(),
        ];
        assert_eq!(self.run(include_str!("previous_release/heartbeat.lua"), &arguments), [Value::Int(0)]);
    }

    fn finish(&self, lease: &Lease, outcome: &str, said: &str) {
        self.finish_with(lease, outcome, said, pack::NIL.to_vec());
    }

    fn finish_with(&self, lease: &Lease, outcome: &str, said: &str, entries: Vec<u8>) {
        let lease = [pack::text(lease.id.as_str()), pack::int(i64::try_from(lease.token).unwrap())].concat();
        let end = [pack::text(outcome), pack::text(said), pack::int(0), entries].concat();
        let packed = [pack::list(7), lease, end, pack::NIL.to_vec()].concat();
        assert_eq!(self.run(include_str!("previous_release/finish.lua"), &[packed]), [Value::Int(0)]);
    }
}

/// The token among a job's packed fields.
fn token(fields: &Value) -> u64 {
    u64::from_be_bytes(bytes(fields)[21..29].try_into().unwrap())
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(bytes) => bytes,
        other => panic!("{other:?} is no string"),
    }
}

/// MessagePack, as the scripts are told things in.
mod pack {
    pub(super) const NIL: [u8; 1] = [0xc0];

    pub(super) fn list(length: u8) -> Vec<u8> {
        vec![0x90 | length]
    }

    pub(super) fn int(number: i64) -> Vec<u8> {
        [&[0xd3][..], &number.to_be_bytes()].concat()
    }

    pub(super) fn text(text: &str) -> Vec<u8> {
        [&[0xd9, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }
}

/// The data of the job of that name, which no script looks at.
fn data_of(options: &RedisOptions, name: &str) -> Vec<u8> {
    shared().tell(cmd("GET").arg(format!("{{{}}}:d:{name}", options.prefix))).unwrap()
}

#[tokio::test]
async fn two_releases_work_on_the_same_jobs() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let previous = Previous::of(&options, &clock);
    store.enqueue(vec![named("theirs")]).await.unwrap();
    previous.enqueue("mine", &data_of(&options, "theirs"));

    // Each ends what the other has claimed, and a plain job goes through both.
    let leases = previous.claim(1);
    previous.heartbeat(&leases[0]);
    store.finish(vec![finish(&leases[0], completed())]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["mine"]);
    previous.finish(&claimed[0].lease, "completed", "\"sent\"");
    let plain = NewJob { id: None, ..named("plain") };
    let drawn = store.enqueue(vec![plain]).await.unwrap().remove(0).id;
    let lease = previous.claim(5).remove(0);
    assert_eq!(lease.id, drawn);
    previous.finish(&lease, "completed", "\"sent\"");

    for name in ["theirs", "mine", drawn.as_str()] {
        let job = record(&store, name).await;
        assert_eq!((job.state, job.attempt), (State::Completed, 1), "{name}");
    }
    assert_eq!(record(&store, "mine").await.output.unwrap().to_value(), "sent");
    let counts = store.queues().await.unwrap().remove(0).counts;
    assert_eq!(counts.into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>(), [(State::Completed, 3)]);
}

#[tokio::test]
async fn two_releases_keep_jobs_alike() {
    let clock = Clock::manual();
    let (ours, theirs) = (shared().options(), shared().options());
    let store = RedisStore::open_with_clock(ours.clone(), clock.clone()).await.unwrap();
    // Opening makes what both need.
    drop(RedisStore::open_with_clock(theirs.clone(), clock.clone()).await.unwrap());
    let previous = Previous::of(&theirs, &clock);
    for name in ["completes", "fails", "runs", "waits"] {
        store.enqueue(vec![named(name)]).await.unwrap();
        previous.enqueue(name, &data_of(&ours, name));
    }
    let claimed = store.claim(Claim { queues: vec![slots(QUEUE, 3)], ..claim() }).await.unwrap();
    let leases = previous.claim(3);
    assert_eq!(claimed.iter().map(|job| job.lease.clone()).collect::<Vec<_>>(), leases);
    store.heartbeat(&worker(&claim().worker.id), &leases[2..], claim().lease_for).await.unwrap();
    previous.heartbeat(&leases[2]);
    let ends = vec![finish(&leases[0], completed()), finish(&leases[1], failed())];
    store.finish(ends).await.unwrap();
    let Outcome::Completed { output } = completed() else { unreachable!() };
    previous.finish(&leases[0], "completed", output.as_str());
    let Outcome::Failed { error } = failed() else { unreachable!() };
    let [message, kind] = [serde_json::json!(error.message), serde_json::json!(error.kind)];
    previous.finish(&leases[1], "failed", &format!("\"message\":{message},\"kind\":{kind}}}"));
    // The previous release does not note what is to be pruned; a survey does that for it.
    let [mut ours, theirs] = [kept(&ours), kept(&theirs)];
    ours.remove("prune");
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn steps_that_two_releases_record_are_listed_and_forgotten_together() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let previous = Previous::of(&options, &clock);
    store.enqueue(vec![named("a")]).await.unwrap();
    let lease = previous.claim(1).remove(0);
    let mine = |name: &str| Record { lease: lease.clone(), entries: vec![step(name, "1")] };
    store.record(vec![mine("mine")]).await.unwrap();
    let theirs =
        [pack::list(1), pack::list(3), pack::text("s"), pack::text("theirs"), pack::text("2")].concat();
    previous.finish_with(&lease, "retry", "\"message\":\"no\",\"kind\":\"error\"}", theirs);
    let steps = async || store.steps(&id("a")).await.unwrap().unwrap();
    let shown: Vec<_> =
        steps().await.into_iter().map(|step| (step.name, step.attempt, step.finished_at.is_some())).collect();
    assert_eq!(shown, [("theirs".into(), 0, false), ("mine".into(), 1, true)]);
    let again = store.claim(claim()).await.unwrap().remove(0);
    assert_eq!(again.steps.keys().collect::<Vec<_>>(), ["mine", "theirs"]);
    // The previous release forgets the outputs of a completed job, and knows nothing of the times.
    previous.finish(&again.lease, "completed", "null");
    let shown: Vec<_> = steps().await.into_iter().map(|step| (step.name, step.output)).collect();
    assert_eq!(shown, [("mine".into(), None)]);
    store.act(&JobFilter::id(id("a")), Action::Retry, 1).await.unwrap();
    assert!(steps().await.is_empty());
}

#[tokio::test]
async fn a_job_with_other_args_is_one_that_the_previous_release_runs() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let previous = Previous::of(&options, &clock);
    let policy = Policy { timeout: Some(HOUR), backoff: Some(Backoff::default()), ..Policy::default() };
    let labels = [("tenant".to_owned(), "ada".to_owned())].into();
    store.enqueue(vec![NewJob { policy, labels, max_attempts: 1_000, ..named("a") }]).await.unwrap();
    let lease = previous.claim(1).remove(0);
    previous.finish(&lease, "failed", "\"message\":\"no\",\"kind\":\"fatal\"}");
    let before = record(&store, "a").await;
    let long = format!("[\"{}\"]", "é".repeat(5_000));
    for (args, priority) in [(long.as_str(), -100), ("null", -99), ("{\"n\": 12345678901234567890}", 100)] {
        let retry = Action::RetryWith { args: json(args) };
        assert_eq!(store.act(&JobFilter::id(id("a")), retry, 1).await.unwrap().done, 1);
        assert_eq!(
            store.act(&JobFilter::id(id("a")), Action::SetPriority { priority }, 1).await.unwrap().done,
            1
        );
        let after = record(&store, "a").await;
        assert_eq!(after.args.as_str(), args);
        assert_eq!((after.policy, &after.labels), (before.policy, &before.labels));
        assert_eq!((after.max_attempts, after.priority), (before.max_attempts, priority));
        let lease = previous.claim(1).remove(0);
        assert_eq!(lease.id, id("a"));
        previous.finish(&lease, "failed", "\"message\":\"no\",\"kind\":\"fatal\"}");
    }
}

async fn limited_to_one(options: &RedisOptions, clock: &Clock) -> Fixture {
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let one = KeyConfig { slots: Some(1), ..KeyConfig::default() };
    store.set_key("provider", Some(&one)).await.unwrap();
    Fixture::new(store, clock.clone())
}

async fn provider(fx: &Fixture) -> (u64, u64) {
    let filter = KeyFilter { names: vec!["provider".into()], limit: 1, ..KeyFilter::default() };
    let found = fx.store.keys(&filter).await.unwrap().remove(0);
    (found.waiting, found.used)
}

#[tokio::test]
async fn jobs_with_limit_keys_of_the_previous_release_wait_in_their_group_once_a_claim_meets_them() {
    let (options, clock) = (shared().options(), Clock::manual());
    let fx = limited_to_one(&options, &clock).await;
    let previous = Previous::of(&options, &clock);
    fx.enqueue(NewJob { queue: "mail".into(), ..named("data") }).await;
    for name in ["a", "b", "c"] {
        previous.enqueue_limited(name, &data_of(&options, "data"), "provider");
    }
    fx.enqueue(named("plain")).await;
    let claimed = fx.claim(claim()).await;
    let ids: Vec<_> = claimed.iter().map(|job| job.lease.id.as_str()).collect();
    assert_eq!(ids, ["plain", "a"], "in any order, and no more than the key has slots");
    assert_eq!(provider(&fx).await, (2, 1));
    // It is an older process that ends the run, and knows of no slots: the next sweep gives its slot back.
    previous.finish(&claimed[1].lease, "completed", "null");
    assert!(fx.claim_ids().await.is_empty());
    fx.sweep().await;
    assert_eq!(provider(&fx).await, (2, 0));
    let second = fx.claim(claim()).await.remove(0).lease;
    // One that a process of the previous release has put back is met as any other.
    previous.finish(&second, "released", "\"message\":\"no\",\"kind\":\"cancelled\"}");
    fx.sweep().await;
    assert_eq!(fx.claim_ids().await.len(), 1);
    assert_eq!(provider(&fx).await, (1, 1));
}

#[tokio::test]
async fn the_previous_release_finds_jobs_with_limit_keys_and_leaves_nothing_of_them_in_their_groups() {
    let (options, clock) = (shared().options(), Clock::manual());
    let fx = limited_to_one(&options, &clock).await;
    let previous = Previous::of(&options, &clock);
    let limited = |name| NewJob { limit_keys: vec!["provider".into()], ..named(name) };
    fx.enqueue_all(["a", "b", "c"].map(limited).to_vec()).await;
    fx.enqueue(named("plain")).await;
    let leases = previous.claim(3);
    let ids: Vec<_> = leases.iter().map(|lease| lease.id.as_str()).collect();
    assert_eq!(ids, ["plain", "a", "b"], "which it gives no slots, and claims behind all others");
    fx.end(&leases[1], completed()).await;
    previous.finish(&leases[2], "completed", "null");
    assert_eq!(provider(&fx).await.1, 0);
    assert_eq!(fx.claim_ids().await, [id("c")]);
    assert_eq!(provider(&fx).await, (0, 1));
    let kept = kept(&options);
    let groups: Vec<_> = kept.keys().filter(|key| key.starts_with("group") || *key == "placed").collect();
    assert!(groups.is_empty(), "{groups:?}");
}

#[tokio::test]
async fn jobs_with_limit_keys_that_the_previous_release_has_put_back_are_claimed_once_and_take_slots() {
    for is_fair in [false, true] {
        for queue_slots in [None, Some(4)] {
            let (options, clock) = (shared().options(), Clock::manual());
            let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
            let fx = Fixture::new(store, clock.clone());
            let previous = Previous::of(&options, &clock);
            fx.set_queue(QUEUE, &QueueConfig { slots: queue_slots, fair: is_fair, ..QueueConfig::default() })
                .await;
            let limited = |name| NewJob { limit_keys: vec!["provider".into()], ..named(name) };
            fx.enqueue_all(["a", "b", "c"].map(limited).to_vec()).await;
            fx.enqueue(named("plain")).await;
            // They leave their lane, but not their group, and come back as jobs that have no keys.
            for lease in previous.claim(3) {
                previous.finish(&lease, "released", "\"message\":\"no\",\"kind\":\"cancelled\"}");
            }
            let mut ids = fx.claim_ids().await;
            ids.sort();
            assert_eq!(ids, ["a", "b", "c", "plain"].map(id), "fair: {is_fair}, slots: {queue_slots:?}");
            assert_eq!(provider(&fx).await, (0, 3), "fair: {is_fair}, slots: {queue_slots:?}");
            let queue = fx.queue(QUEUE).await;
            assert_eq!(queue.used, queue_slots.map(u64::from));
            let counts = queue.counts.into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>();
            assert_eq!(counts, [(State::Running, 4)], "fair: {is_fair}, slots: {queue_slots:?}");
        }
    }
}

#[tokio::test]
async fn the_previous_release_claims_what_prefers_other_workers_and_counts_no_slots_of_its_queue() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock.clone());
    let previous = Previous::of(&options, &clock);
    fx.set_queue(QUEUE, &QueueConfig { slots: Some(1), ..QueueConfig::default() }).await;
    let hard = |name: &str| NewJob { prefer: Some(Prefer::hard([("gpu", "a100")])), ..named(name) };
    fx.enqueue_all(vec![hard("a"), NewJob { limit_keys: vec!["tenant".into()], ..hard("b") }]).await;
    let taken = previous.claim(2);
    assert_eq!((taken.len(), fx.queue(QUEUE).await.used), (2, Some(0)));
    let mut labelled = claim();
    labelled.worker.labels.insert("gpu".into(), "a100".into());
    assert!(fx.claim(labelled.clone()).await.is_empty());
    let is_of_groups = |key: &String| {
        ["group", "placed", "preferring", "hung", "lanes"].iter().any(|word| key.starts_with(word))
    };
    let left: Vec<String> = kept(&options).into_keys().filter(is_of_groups).collect();
    assert!(left.is_empty(), "{left:?}");
    // What this release claims it may end: the next sweep gives the slot back.
    fx.enqueue(hard("c")).await;
    let lease = fx.claim(labelled).await.remove(0).lease;
    previous.finish(&lease, "completed", "null");
    assert_eq!(fx.queue(QUEUE).await.used, Some(1));
    fx.sweep().await;
    assert_eq!(fx.queue(QUEUE).await.used, Some(0));
}

#[tokio::test]
async fn a_run_that_an_older_process_has_ended_and_that_is_claimed_again_holds_its_slots_once() {
    let (options, clock) = (shared().options(), Clock::manual());
    let fx = limited_to_one(&options, &clock).await;
    let previous = Previous::of(&options, &clock);
    fx.store.set_key("provider", None).await.unwrap();
    let first = fx.running_from(NewJob { limit_keys: vec!["provider".into()], ..named("a") }).await.lease;
    previous.finish(&first, "released", "\"message\":\"no\",\"kind\":\"cancelled\"}");
    let again = fx.claim(claim()).await.remove(0).lease;
    assert_eq!(provider(&fx).await, (0, 1));
    fx.end(&again, completed()).await;
    assert_eq!(provider(&fx).await, (0, 0));
}

#[tokio::test]
async fn what_the_previous_release_has_ended_is_not_given_back_again_after_limits_that_are_set_have_counted_what_runs()
 {
    let (options, clock) = (shared().options(), Clock::manual());
    let fx = limited_to_one(&options, &clock).await;
    let previous = Previous::of(&options, &clock);
    let config = |slots| QueueConfig { slots: Some(slots), ..QueueConfig::default() };
    let used = async || (fx.queue(QUEUE).await.used, provider(&fx).await.1);
    let key = async |slots| {
        let config = KeyConfig { slots: Some(slots), ..KeyConfig::default() };
        fx.store.set_key("provider", Some(&config)).await.unwrap();
    };
    key(9).await;
    fx.set_queue(QUEUE, &config(9)).await;
    let limited = |name| NewJob { limit_keys: vec!["provider".into()], ..named(name) };
    fx.enqueue_all(["a", "b", "c", "d"].map(limited).to_vec()).await;
    let runs = fx.claim(claim()).await;
    assert_eq!(used().await, (Some(4), 4));
    previous.finish(&runs[0].lease, "completed", "null");
    fx.set_queue(QUEUE, &config(8)).await;
    assert_eq!(used().await, (Some(3), 3));
    fx.sweep().await;
    assert_eq!(used().await, (Some(3), 3), "once");
    // It ends another, and claims it anew: a run of its own holds nothing, unless limits that are set count it.
    previous.finish(&runs[1].lease, "released", "\"message\":\"no\",\"kind\":\"cancelled\"}");
    assert_eq!(previous.claim(1)[0].id, runs[1].lease.id);
    fx.set_queue(QUEUE, &config(7)).await;
    key(8).await;
    assert_eq!(used().await, (Some(3), 3));
    fx.sweep().await;
    assert_eq!(used().await, (Some(3), 3), "which it holds from then on");
    previous.finish(&runs[2].lease, "completed", "null");
    key(7).await;
    assert_eq!(used().await.1, 2);
    fx.sweep().await;
    assert_eq!(used().await, (Some(2), 2), "once");
}

#[tokio::test]
async fn a_job_that_others_depend_on_and_that_the_previous_release_ends_is_counted_at_the_next_sweep() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock.clone());
    let previous = Previous::of(&options, &clock);
    let after =
        |name: &str, other: &str| NewJob { depends_on: vec![Dependency::on(id(other))], ..named(name) };
    fx.enqueue_all(vec![named("good"), named("bad"), after("b", "good"), after("c", "bad")]).await;
    let leases = previous.claim(5);
    previous.heartbeat(&leases[0]);
    previous.finish(&leases[0], "completed", "null");
    previous.finish(&leases[1], "failed", "\"message\":\"no\",\"kind\":\"fatal\"}");
    assert_eq!(fx.state(&id("b")).await, State::Blocked);
    fx.sweep().await;
    assert_eq!(fx.state(&id("c")).await, State::Cancelled);
    // It claims and ends what waits no more, as any other job.
    let freed = previous.claim(5).remove(0);
    assert_eq!(freed.id, id("b"));
    previous.finish(&freed, "completed", "null");
    let job = fx.job(&id("b")).await;
    assert_eq!((job.state, job.waits_for, job.depends_on.len()), (State::Completed, None, 1));
    assert!(!kept(&options).contains_key("awaited"));
}

#[tokio::test]
async fn a_child_that_the_previous_release_ends_is_counted_once_by_its_parent_at_the_next_sweep() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock.clone());
    let previous = Previous::of(&options, &clock);
    let child = |name: &str| NewJob { parent: Some(id("p")), ..named(name) };
    let parent = fx.running_from(named("p")).await.lease;
    fx.enqueue_all(vec![child("early"), child("late"), child("kept")]).await;
    let leases = previous.claim(2);
    // It counts no child of a parent that runs, and one of a parent that is blocked.
    previous.finish(&leases[0], "completed", "null");
    let outcome = Outcome::Waits { on: WaitsFor::Children, timeout: None, error: None };
    fx.end(&parent, outcome).await;
    previous.finish(&leases[1], "failed", "\"message\":\"no\",\"kind\":\"fatal\"}");
    fx.sweep().await;
    fx.sweep().await;
    let children = fx.job(&id("p")).await.children.unwrap();
    assert_eq!((children.total, children.completed + children.failed), (3, 2));
    assert_eq!(fx.state(&id("p")).await, State::Blocked);
    let last = previous.claim(1).remove(0);
    assert_eq!(last.id, id("kept"));
    fx.end(&last, completed()).await;
    assert_eq!(fx.claim_ids().await, [id("p")]);
    assert!(!kept(&options).contains_key("uncounted"));
}

#[tokio::test]
async fn a_closing_job_that_is_retried_before_it_began_counts_each_child_once_whichever_release_ends_it() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock.clone());
    let previous = Previous::of(&options, &clock);
    let child = |name: &str| NewJob { parent: Some(id("p")), ..named(name) };
    let closing = NewJob { start: Start::AfterChildren, ..named("p") };
    fx.enqueue_all(vec![closing, child("early"), child("late"), child("kept")]).await;
    assert_eq!(fx.act(&id("p"), Action::cancel(HOUR)).await, 1);
    assert_eq!(fx.act(&id("p"), Action::Retry).await, 1);
    let leases = fx.claim_leases().await;
    let lease = |name: &str| leases.iter().find(|lease| lease.id == id(name)).unwrap();
    let ended = async || {
        let children = fx.job(&id("p")).await.children.unwrap();
        (children.total, children.completed + children.failed)
    };
    previous.finish(lease("early"), "completed", "null");
    assert_eq!(ended().await, (3, 0), "it counts no child of a job that runs");
    fx.sweep().await;
    assert_eq!(ended().await, (3, 1));
    fx.enqueue(child("joins")).await;
    let joins = fx.claim_one().await.lease;
    fx.end(lease("p"), Outcome::Waits { on: WaitsFor::Children, timeout: None, error: None }).await;
    previous.finish(lease("late"), "failed", "\"message\":\"no\",\"kind\":\"fatal\"}");
    previous.finish(&joins, "completed", "null");
    for _ in 0..2 {
        assert_eq!((ended().await, fx.state(&id("p")).await), ((4, 3), State::Blocked));
        fx.sweep().await;
    }
    fx.end(lease("kept"), completed()).await;
    assert_eq!(fx.claim_ids().await, [id("p")]);
    fx.sweep().await;
    assert!(!kept(&options).contains_key("uncounted"));
}

#[tokio::test]
async fn what_the_previous_release_has_claimed_or_ended_is_counted_no_more_after_a_sweep() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock.clone());
    let previous = Previous::of(&options, &clock);
    fx.set_queue(QUEUE, &QueueConfig { max_waiting: Some(1), ..QueueConfig::default() }).await;
    fx.enqueue(NewJob { expires_in: Some(HOUR), ..named("a") }).await;
    let lease = previous.claim(1).remove(0);
    fx.sweep().await;
    fx.enqueue(named("b")).await;
    previous.finish(&lease, "completed", "null");
    assert_eq!(fx.job(&id("a")).await.state, State::Completed);
    fx.clock.advance(HOUR);
    assert_eq!(fx.sweep().await.expired, 0);
    assert!(!kept(&options).contains_key("timed"));
}
