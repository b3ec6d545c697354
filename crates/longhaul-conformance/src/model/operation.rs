use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{
    Action, AttemptError, CancelReason, Claim, Cost, Deadline, Dependency, Edge, Entry, ErrorKind,
    Idempotency, JobFilter, Keep, KeyConfig, NewJob, OnClash, OnFailure, OnFull, Outcome, Policy, Prefer,
    QueueConfig, Rate, Retention, Start, State, Unique, WaitsFor, WorkerInfo,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::fixture::ok;
use crate::jobs::{
    HOUR, QUEUE, chunk, claim, completed, failed, id, job, json, kind, log, progress, retry, secs, slots,
    worker,
};

/// The ids that jobs may have: few, so that they meet.
pub(super) const IDS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
/// The queues that jobs may be in.
pub(super) const QUEUES: [&str; 2] = [QUEUE, "mail"];
/// The ids that jobs name as their parents: few, so that batches come about.
pub(super) const PARENTS: [&str; 3] = ["a", "b", "c"];
/// The limit keys that jobs may have.
pub(super) const KEYS: [&str; 2] = ["p", "q"];
const KINDS: [&str; 2] = ["resize", "send"];
/// The names of the signals that jobs wait for.
pub(super) const SIGNALS: [&str; 2] = ["s", "t"];
/// Words that people search by.
const SEARCHES: [&str; 6] = [
    "key:p",
    "-key:p -queue:mail",
    "error:full",
    "-error:image state:failed",
    "parent:a -kind:send",
    "-state:running 7",
];

/// Something that is done to a store.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Enqueue(Vec<NewJob>),
    Claim(Claim),
    Heartbeat { beats: Vec<Run>, lease_for: Duration },
    Record(Vec<(Run, Vec<Entry>)>),
    Finish(Vec<End>),
    FinishAndClaim(Vec<End>, Claim),
    Sweep,
    Advance(Duration),
    Act(JobFilter, Action),
    SetQueue(&'static str, QueueConfig),
    PauseQueue(&'static str),
    ResumeQueue(&'static str),
    SetKey(&'static str, Option<KeyConfig>),
    PauseKey(&'static str, Duration),
    ResumeKey(&'static str),
    Signal(&'static str, &'static str, u32),
}

/// One of the runs so far, counted from the latest.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    /// Of those whose job is running.
    Open(usize),
    /// Of all, most of which have ended.
    Any(usize),
}

/// The end of a run.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) run: Run,
    pub(super) outcome: Outcome,
    pub(super) entries: Vec<Entry>,
    pub(super) follow_ups: Vec<NewJob>,
    pub(super) cost: Option<u32>,
}

/// Any operation; those that a job's life is made of more often than the others.
pub(super) fn any() -> impl Strategy<Value = Operation> {
    let ends = || vec(any_end(), 1..3);
    prop_oneof![
        6 => vec(any_job(), 1..4).prop_map(Operation::Enqueue),
        3 => any_batch().prop_map(Operation::Enqueue),
        3 => any_graph().prop_map(Operation::Enqueue),
        2 => any_line().prop_map(Operation::Enqueue),
        3 => (select(&IDS[..]), select(&SIGNALS[..]), 0..100_u32)
            .prop_map(|(job, name, value)| Operation::Signal(job, name, value)),
        10 => any_claim().prop_map(Operation::Claim),
        3 => (vec(any_run(), 1..3), select(vec![secs(30), secs(60), HOUR]))
            .prop_map(|(beats, lease_for)| Operation::Heartbeat { beats, lease_for }),
        4 => vec((any_run(), vec(any_entry(), 0..4)), 1..3).prop_map(Operation::Record),
        8 => ends().prop_map(Operation::Finish),
        3 => (ends(), any_claim()).prop_map(|(ends, claim)| Operation::FinishAndClaim(ends, claim)),
        4 => Just(Operation::Sweep),
        5 => any_time().prop_map(Operation::Advance),
        4 => (any_filter(), any_action()).prop_map(|(filter, action)| Operation::Act(filter, action)),
        3 => (select(&QUEUES[..]), any_keep(), any_keep(), proptest::bool::ANY, any_bound(), option::weighted(0.5, any_limits()))
            .prop_map(|(queue, completed, failed, fair, (max_waiting, on_full), limits)| {
                let KeyConfig { slots, rate, .. } = limits.unwrap_or_default();
                let retention = Retention { completed, failed, ..Retention::default() };
                Operation::SetQueue(queue, QueueConfig { retention, fair, slots, rate, max_waiting, on_full })
            }),
        1 => select(&QUEUES[..]).prop_map(Operation::PauseQueue),
        2 => select(&QUEUES[..]).prop_map(Operation::ResumeQueue),
        3 => (select(vec!["p", "q", "*"]), option::weighted(0.8, any_limits()))
            .prop_map(|(key, config)| Operation::SetKey(key, config)),
        1 => (select(&KEYS[..]), select(vec![secs(5), HOUR])).prop_map(|(key, pause)| Operation::PauseKey(key, pause)),
        1 => select(&KEYS[..]).prop_map(Operation::ResumeKey),
    ]
}

fn any_run() -> impl Strategy<Value = Run> {
    prop_oneof![6 => (0..3_usize).prop_map(Run::Open), 1 => (0..9_usize).prop_map(Run::Any)]
}

/// Times that fall on, before and after the ends of leases, delays, periods and retentions.
fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => select(vec![Duration::from_millis(1), Duration::from_millis(999), secs(1), secs(5), secs(10)]),
        3 => select(vec![secs(29), secs(30), secs(31), secs(60)]),
        1 => select(vec![HOUR, 24 * HOUR]),
    ]
}

fn any_job() -> impl Strategy<Value = NewJob> {
    let start = prop_oneof![
        4 => Just(Start::Now),
        1 => select(vec![secs(0), secs(5), secs(10), secs(11)]).prop_map(Start::After),
        // Two seconds before and an hour after the time at which every manual clock begins.
        1 => select(vec![1_767_225_598_000, 1_767_229_200_000])
            .prop_map(|at| Start::At(longhaul::Timestamp(at))),
        1 => Just(Start::AfterChildren),
    ];
    let idempotency =
        (select(vec!["k", "l"]), select(vec!["f", "f", "f", "g"]), select(vec![secs(30), HOUR])).prop_map(
            |(key, fingerprint, keep_for)| Idempotency {
                key: key.into(),
                fingerprint: fingerprint.into(),
                keep_for,
            },
        );
    let place = (select(&IDS[..]), select(&KINDS[..]), select(&QUEUES[..]), 1..3_u32);
    let bounds = (select(vec![0, 0, 0, 1, -1, 100]), 1..4_u32, 0..3_u32);
    let limit_keys = subsequence(KEYS.map(String::from).to_vec(), 1..=2).prop_shuffle();
    let cost =
        (select(vec![1, 1, 2]), select(vec![0, 1, 1, 3])).prop_map(|(slots, rate)| Cost { slots, rate });
    let parent = select(&PARENTS[..]).prop_map(id);
    let at = Deadline::At(longhaul::Timestamp(1_767_225_640_000));
    let deadline = select(vec![Deadline::In(secs(10)), Deadline::In(secs(31)), at]);
    let times =
        (option::weighted(0.15, select(vec![secs(5), secs(10), secs(60)])), option::weighted(0.15, deadline));
    let keys = (
        option::weighted(0.4, any_unique()),
        option::weighted(0.2, idempotency),
        option::weighted(0.4, limit_keys),
        option::weighted(0.4, parent),
        option::weighted(0.3, cost),
        option::weighted(0.1, any_dependency().prop_map(|dependency| vec![dependency])),
        option::weighted(0.1, Just(vec![("ocr".to_owned(), json("7"))])),
        option::weighted(0.25, any_preference()),
    );
    (place, start, bounds, keys, times, 0..100_u32).prop_map(|(place, start, bounds, keys, times, number)| {
        let job = NewJob {
            id: Some(id(place.0)),
            kind: place.1.into(),
            queue: place.2.into(),
            version: place.3,
            args: json(&number.to_string()),
            priority: bounds.0,
            start,
            max_attempts: bounds.1,
            max_crashes: bounds.2,
            unique: keys.0,
            idempotency: keys.1,
            limit_keys: keys.2.unwrap_or_default(),
            parent: keys.3,
            policy: Policy { cost: keys.4.unwrap_or_default(), ..Policy::default() },
            expires_in: times.0,
            deadline: times.1,
            depends_on: keys.5.unwrap_or_default(),
            steps: keys.6.unwrap_or_default(),
            prefer: keys.7,
            ..job()
        };
        admissible(job)
    })
}

fn any_preference() -> impl Strategy<Value = Prefer> {
    select(vec![
        Prefer::soft([("gpu", "a100")]),
        Prefer::soft([("gpu", "a100"), ("zone", "eu")]),
        Prefer::soft([("gpu", "none")]),
        Prefer::hard([("gpu", "a100")]),
        Prefer::hard([("zone", "eu")]),
    ])
}

/// The labels of a worker.
fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let labels = [("gpu", "a100"), ("zone", "eu")].map(|(label, value)| (label.to_owned(), value.to_owned()));
    subsequence(labels.to_vec(), 0..=2).prop_map(BTreeMap::from_iter)
}

fn any_unique() -> impl Strategy<Value = Unique> {
    let debounce = (select(vec![secs(5), secs(10)]), option::of(select(vec![secs(10), secs(15)])));
    let edge = select(vec![Edge::Trailing, Edge::Trailing, Edge::Leading]);
    let debounce =
        (debounce, edge).prop_map(|((delay, max_delay), edge)| OnClash::Debounce { delay, max_delay, edge });
    let on_clash = prop_oneof![
        2 => Just(OnClash::Join),
        2 => Just(OnClash::Refresh),
        1 => Just(OnClash::Reject),
        2 => Just(OnClash::Replace),
        4 => debounce,
        1 => Just(OnClash::Throttle),
        2 => Just(OnClash::Supersede),
        2 => Just(OnClash::Follow),
    ];
    let period = option::of(select(vec![secs(5), secs(60)]));
    let states = option::weighted(0.3, subsequence(&State::ALL[..], 1..6));
    (select(vec!["u", "v"]), period, states, on_clash).prop_map(|(key, period, states, on_clash)| {
        let period = period.or((on_clash == OnClash::Throttle).then_some(secs(10)));
        Unique { key: key.into(), period, states, on_clash }
    })
}

/// The job with a unique key that goes with its start.
fn admissible(job: NewJob) -> NewJob {
    let unique = job.unique.clone().map(|unique| match (unique.on_clash, job.start) {
        (OnClash::Replace | OnClash::Follow, Start::AfterChildren) => {
            Unique { on_clash: OnClash::Supersede, ..unique }
        }
        (OnClash::Debounce { edge: Edge::Trailing, .. }, start) if start != Start::Now => {
            Unique { on_clash: OnClash::Supersede, ..unique }
        }
        _ => unique,
    });
    NewJob { unique, ..job }
}

fn any_dependency() -> impl Strategy<Value = Dependency> {
    let on_failure = select(vec![OnFailure::Cancel, OnFailure::Cancel, OnFailure::Run]);
    (select(&IDS[..]), on_failure).prop_map(|(name, on_failure)| Dependency { id: id(name), on_failure })
}

/// Jobs of one call that depend on some of those before them, and on others.
fn any_graph() -> impl Strategy<Value = Vec<NewJob>> {
    let names = subsequence(&IDS[..], 2..5).prop_shuffle();
    (names, vec((any_job(), vec((0..4_usize, any_dependency()), 0..3)), 5)).prop_map(|(names, jobs)| {
        let job = |(place, (job, dependencies)): (usize, (NewJob, Vec<(usize, Dependency)>))| {
            let on = |(before, other): (usize, Dependency)| match names[..place].get(before) {
                Some(name) => Dependency { id: id(name), ..other },
                None => other,
            };
            NewJob {
                id: Some(id(names[place])),
                depends_on: dependencies.into_iter().map(on).collect(),
                ..job
            }
        };
        jobs.into_iter().enumerate().take(names.len()).map(job).collect()
    })
}

/// A closing job with children, which stand before it or after it, and may be batches themselves.
fn any_batch() -> impl Strategy<Value = Vec<NewJob>> {
    (any_job(), vec(any_job(), 0..4), select(&PARENTS[..]), select(vec![0_usize, 0, 0, 1])).prop_map(
        |(closing, children, name, place)| {
            let closing = NewJob { id: Some(id(name)), start: Start::AfterChildren, ..closing };
            let closing = admissible(closing);
            let child = |child| NewJob { parent: Some(id(name)), ..child };
            let mut jobs: Vec<NewJob> = children.into_iter().map(child).collect();
            jobs.insert(place.min(jobs.len()), closing);
            jobs
        },
    )
}

/// A job, a child of it, and a child of that one, which may depend on the first or follow it.
fn any_line() -> impl Strategy<Value = Vec<NewJob>> {
    let names = (select(vec![("a", "b"), ("b", "c")]), select(&IDS[3..]));
    let follow = select(vec!["u", "v"]);
    let follow = follow.prop_map(|key| Unique { on_clash: OnClash::Follow, ..Unique::new(key) });
    let on_failure = select(vec![OnFailure::Cancel, OnFailure::Run]);
    (names, vec(any_job(), 3), option::of(follow), on_failure).prop_map(
        |(((first, second), last), mut jobs, follow, on_failure)| {
            jobs[0].id = Some(id(first));
            (jobs[1].id, jobs[1].parent) = (Some(id(second)), Some(id(first)));
            (jobs[2].id, jobs[2].parent) = (Some(id(last)), Some(id(second)));
            match follow {
                Some(follow) => jobs[2].unique = Some(follow),
                None => jobs[2].depends_on = vec![Dependency { id: id(first), on_failure }],
            }
            jobs.into_iter().map(admissible).collect()
        },
    )
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let all = vec![slots(QUEUES[0], 9), slots(QUEUES[1], 9)];
    let queues = select(vec![all.clone(), all, vec![slots(QUEUES[0], 1)], vec![slots(QUEUES[1], 2)]]);
    let every = vec![kind(KINDS[0], 2), kind(KINDS[1], 2)];
    let kinds =
        vec![every.clone(), every, vec![kind(KINDS[0], 1), kind(KINDS[1], 2)], vec![kind(KINDS[0], 2)]];
    let lease_for = select(vec![secs(30), secs(30), HOUR]);
    (queues, select(kinds), select(vec!["w1", "w2"]), lease_for, any_labels()).prop_map(
        |(queues, kinds, name, lease_for, labels)| Claim {
            worker: WorkerInfo { labels, ..worker(name) },
            queues,
            kinds,
            lease_for,
            ..claim()
        },
    )
}

fn any_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        (0..100_u32).prop_map(|percent| Entry::Progress(progress(f64::from(percent)))),
        Just(log("hm")),
        (0..100_u32).prop_map(|data| chunk(&data.to_string())),
        (select(vec!["ocr", "index"]), 0..100_u32, select(vec![secs(0), secs(3)])).prop_map(
            |(name, output, took)| Entry::Step { name: name.into(), output: json(&output.to_string()), took }
        ),
    ]
}

fn any_end() -> impl Strategy<Value = End> {
    let delays = || select(vec![secs(0), secs(0), secs(5), secs(10)]);
    let outcome = prop_oneof![
        3 => Just(completed()),
        4 => delays().prop_map(retry),
        1 => Just(failed()),
        1 => select(vec![CancelReason::Asked, CancelReason::Deadline]).prop_map(|cancel_reason| {
            Outcome::Cancelled { reason: "not needed any more".into(), cancel_reason }
        }),
        1 => delays().prop_map(|delay| Outcome::Snoozed { delay }),
        2 => delays().prop_map(|delay| Outcome::RateLimited { delay }),
        1 => Just(Outcome::Released),
        4 => any_wait(),
    ];
    let cost = option::weighted(0.3, select(vec![0, 1, 5]));
    (any_run(), outcome, vec(any_entry(), 0..3), vec(any_job(), 0..2), cost)
        .prop_map(|(run, outcome, entries, follow_ups, cost)| End { run, outcome, entries, follow_ups, cost })
}

fn any_wait() -> impl Strategy<Value = Outcome> {
    let signal = select(&SIGNALS[..]).prop_map(|name| WaitsFor::Signal(name.into()));
    let on = prop_oneof![2 => signal, 3 => Just(WaitsFor::Children), 1 => Just(WaitsFor::Person)];
    (on, option::weighted(0.3, select(vec![secs(0), secs(5), secs(60)]))).prop_map(|(on, timeout)| {
        let error = (on == WaitsFor::Person).then(|| AttemptError::new(ErrorKind::Error, "the disk is full"));
        Outcome::Waits { on, timeout, error }
    })
}

fn any_filter() -> impl Strategy<Value = JobFilter> {
    let all = JobFilter::default;
    prop_oneof![
        4 => select(&IDS[..]).prop_map(|name| JobFilter::id(id(name))),
        2 => Just(JobFilter { states: vec![State::Running], ..all() }),
        1 => select(&PARENTS[..]).prop_map(move |name| JobFilter { parents: vec![id(name)], ..all() }),
        1 => subsequence(&State::ALL[..], 1..4).prop_map(move |states| JobFilter { states, ..all() }),
        1 => select(&QUEUES[..]).prop_map(move |queue| JobFilter { queues: vec![queue.into()], ..all() }),
        2 => select(&SEARCHES[..]).prop_map(move |words| ok("read a query", all().with_query(words))),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (select(vec![secs(0), secs(10), HOUR]), select(vec![CancelReason::Asked, CancelReason::Parent]))
            .prop_map(|(grace, reason)| Action::Cancel { grace, reason }),
        2 => Just(Action::Retry),
        1 => (0..100_u32).prop_map(|number| Action::RetryWith { args: json(&number.to_string()) }),
        2 => (select(vec!["ocr", "index", "signal:s"]), option::weighted(0.3, 0..100_u32)).prop_map(|(step, args)| {
            Action::RetryFrom { step: step.into(), args: args.map(|number| json(&number.to_string())) }
        }),
        2 => select(vec![-100, -1, 0, 1, 100]).prop_map(|priority| Action::SetPriority { priority }),
        1 => Just(Action::Delete),
    ]
}

fn any_limits() -> impl Strategy<Value = KeyConfig> {
    let per = select(vec![Duration::from_millis(7), secs(10)]);
    let rate = (1..4_u32, per, option::of(1..3_u32)).prop_map(|(n, per, burst)| Rate { n, per, burst });
    (option::of(1..4_u32), option::weighted(0.3, rate), option::of(1..4_u32), any_bound()).prop_map(
        |(slots, rate, weight, (max_waiting, on_full))| KeyConfig {
            slots,
            rate,
            weight,
            max_waiting,
            on_full,
        },
    )
}

fn any_bound() -> impl Strategy<Value = (Option<u64>, OnFull)> {
    let on_full = select(vec![OnFull::Reject, OnFull::DropOldest, OnFull::DropNewest]);
    (option::weighted(0.4, 1..5_u64), on_full)
}

fn any_keep() -> impl Strategy<Value = Keep> {
    let age = option::of(select(vec![secs(5), secs(60)]));
    (age, option::of(0..3_u64)).prop_map(|(age, count)| Keep { age, count })
}
