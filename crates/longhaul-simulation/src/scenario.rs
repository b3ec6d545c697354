//! The plan of a run, generated from its seed: jobs, actions by people, and faults of processes and clocks.

use std::collections::BTreeSet;
use std::time::Duration;

use longhaul::{
    Action, CatchUp, Cost, Deadline, Dependency, Edge, Idempotency, JobFilter, JobId, Keep, KeyConfig,
    NewJob, OnClash, OnExhausted, OnFailure, OnFull, Policy, Prefer, QueueConfig, Rate, Retention, Schedule,
    Start, State, Unique,
};

use crate::jobs::{Act, End, Script};
use crate::network::FaultRates;
use crate::random::Random;

pub(crate) const QUEUES: [&str; 3] = ["alpha", "beta", "fair"];
pub(crate) const KEYS: [&str; 4] = ["one", "two", "t:1", "t:2"];
const UNIQUE_KEYS: [&str; 3] = ["u", "v", "w"];
const IDEMPOTENCY_KEYS: [&str; 2] = ["i", "k"];
/// The label of some workers, which some jobs prefer.
pub(crate) const LABEL: (&str, &str) = ("gpu", "a100");
pub(crate) const SCHEDULES: [&str; 2] = ["often", "seldom"];

/// The plan of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Workers, each with the length of its leases; a server for each of the first two places.
    pub(crate) workers: Vec<WorkerPlan>,
    pub(crate) servers: usize,
    pub(crate) fault_rates: FaultRates,
    /// The steps, in their order.
    pub(crate) steps: Vec<(Duration, Step)>,
    /// The time at which faults stop.
    pub(crate) storm: Duration,
}

/// A worker process, and its successors.
#[derive(Clone, Debug)]
pub(crate) struct WorkerPlan {
    pub(crate) lease: Duration,
    /// Numbers of queues and their slots.
    pub(crate) queues: Vec<(usize, usize)>,
    /// Numbers of kinds.
    pub(crate) kinds: Vec<usize>,
    pub(crate) runs_schedules: bool,
    /// True for one with the label that jobs prefer.
    pub(crate) is_labelled: bool,
    /// The time for which it collects errands for a call; `None` if it runs each by itself.
    pub(crate) collects: Option<Duration>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Enqueue {
        jobs: Vec<NewJob>,
        is_read: bool,
    },
    Act(JobFilter, Action),
    /// Cancels a job with all that it waits for.
    Cancel(JobId),
    Signal(JobId, String, u64),
    /// Runs a job again from a step on.
    RetryFrom(JobId, String),
    /// Makes a new job of one that is there.
    Fork(JobId, Option<String>),
    PauseQueue(&'static str),
    ResumeQueue(&'static str),
    SetQueue(&'static str, QueueConfig),
    SetKey(&'static str, Option<KeyConfig>),
    PauseKey(&'static str, Duration),
    ResumeKey(&'static str),
    PutSchedule(Box<Schedule>),
    PauseSchedule(&'static str),
    ResumeSchedule(&'static str),
    RunSchedule(&'static str),
    Look,
    /// Kills the process in a place; another takes it.
    Kill(usize),
    /// Stops it for a while.
    Stop(usize, Duration),
    /// Shuts it down with this grace; another takes its place.
    ShutDown(usize, Duration),
    /// Cuts it off from the store for a while.
    CutOff(usize, Duration),
    /// Sets its wall clock forward.
    SetWallForward(usize, Duration),
    /// The store is away for a while.
    TakeStoreAway(Duration),
    /// The store's clock jumps forward.
    SetStoreForward(Duration),
}

impl Step {
    /// The sort of fault that it is, for counts.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        Some(match self {
            Step::Kill(_) => "processes that were killed",
            Step::Stop(..) => "processes that were stopped",
            Step::ShutDown(..) => "processes that were shut down",
            Step::CutOff(..) => "processes that were cut off",
            Step::SetWallForward(..) => "jumps of a process' clock",
            Step::TakeStoreAway(_) => "absences of the store",
            Step::SetStoreForward(_) => "jumps of the store's clock",
            _ => return None,
        })
    }
}

pub(crate) fn draw(seed: u64) -> Scenario {
    let draw = Draw { random: Random::of(seed, 3) };
    let random = &draw.random;
    let storm = random.millis(8_000, 30_000);
    let mut workers: Vec<WorkerPlan> = (0..random.between(1, 3)).map(|_| draw.worker()).collect();
    let calls = Random::of(seed, 4);
    for worker in &mut workers {
        worker.collects = calls.happens(300).then(|| calls.millis(0, 2_000));
    }
    let servers = random.between(1, 2);
    let places = workers.len() + servers;
    let mut steps = Vec::new();
    let mut ids = Vec::new();
    // Limits first, so that most jobs meet them.
    for key in KEYS.iter().chain(&["t:*"]) {
        if random.happens(600) {
            steps.push((random.millis(0, 500), Step::SetKey(key, Some(draw.limits()))));
        }
    }
    if random.happens(700) {
        steps.push((
            Duration::ZERO,
            Step::SetQueue("fair", QueueConfig { fair: true, ..QueueConfig::default() }),
        ));
    }
    for queue in QUEUES.iter().take(2) {
        if random.happens(300) {
            let config = draw.queue_limits(QueueConfig::default());
            steps.push((random.millis(0, 500), Step::SetQueue(queue, config)));
        }
    }
    for number in 0..random.between(4, 16) {
        let at = random.millis(0, storm.as_millis() as usize);
        steps.push((at, draw.enqueue(number, &mut ids)));
    }
    for _ in 0..random.between(0, 12) {
        steps.push((random.millis(0, storm.as_millis() as usize), draw.steer(&ids)));
    }
    for _ in 0..random.between(0, 10) {
        steps.push((random.millis(0, storm.as_millis() as usize), draw.signal(&ids)));
    }
    if random.happens(400) {
        for name in SCHEDULES.iter().take(random.between(1, 2)) {
            steps.push((random.millis(0, 4_000), Step::PutSchedule(Box::new(draw.schedule(name)))));
            if random.happens(300) {
                steps.push((random.millis(5_000, 12_000), Step::PauseSchedule(name)));
                steps.push((random.millis(9_000, 20_000), Step::ResumeSchedule(name)));
            }
            if random.happens(300) {
                steps.push((random.millis(5_000, 12_000), Step::RunSchedule(name)));
            }
        }
    }
    for _ in 0..random.between(0, 6) {
        steps.push((random.millis(1_000, storm.as_millis() as usize), draw.fault(places)));
    }
    let lines = Draw { random: Random::of(seed, 5) };
    for number in 0..lines.random.below(3) {
        steps.extend(lines.line(number, storm));
    }
    steps.sort_by_key(|(at, _)| *at);
    Scenario { workers, servers, fault_rates: draw.fault_rates(), steps, storm }
}

struct Draw {
    random: Random,
}

impl Draw {
    fn worker(&self) -> WorkerPlan {
        let random = &self.random;
        let lease = *random.pick(&[Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(6)]);
        let queues =
            (0..QUEUES.len()).filter(|_| random.happens(750)).map(|queue| (queue, random.between(1, 4)));
        let mut queues: Vec<(usize, usize)> = queues.collect();
        if queues.is_empty() {
            queues.push((0, 2));
        }
        let mut kinds: Vec<usize> = (0..3).filter(|_| random.happens(850)).collect();
        if kinds.is_empty() {
            kinds.push(0);
        }
        let (runs_schedules, is_labelled) = (random.happens(300), random.happens(400));
        WorkerPlan { lease, queues, kinds, runs_schedules, is_labelled, collects: None }
    }

    /// The fault rates of a run: some are zero, most have a few sorts of faults, some all of them.
    fn fault_rates(&self) -> FaultRates {
        let random = &self.random;
        let strength = *random.pick(&[0, 10, 25, 60]);
        let some = |likely: u32| if random.happens(likely) { strength } else { 0 };
        FaultRates {
            lost_request: some(500),
            lost_reply: some(600),
            twice: some(500),
            in_part: some(400),
            slow: some(500),
            killed_at_call: some(300) / 8,
            stopped_at_call: some(300) / 8,
            goes_on: *random.pick(&[0, 100, 500]),
        }
    }

    fn enqueue(&self, number: usize, ids: &mut Vec<JobId>) -> Step {
        let random = &self.random;
        let id = |name: String| JobId::from_store(name);
        let is_read = random.happens(250);
        let jobs = if random.happens(200) {
            let closing = NewJob {
                id: Some(id(format!("b{number}"))),
                unique: None,
                idempotency: None,
                start: Start::Now,
                ..self.job(2)
            };
            let children = (0..random.between(0, 4)).map(|_| self.job(random.below(2))).collect();
            let mut jobs = NewJob::batch(closing, children);
            // A child that waited for its closing job would wait for ever.
            jobs.iter_mut().for_each(|job| self.depend(job, ids));
            jobs
        } else {
            let mut there = ids.clone();
            let job = |n: usize| {
                let mut job = NewJob { id: Some(id(format!("j{number}.{n}"))), ..self.job(random.below(3)) };
                self.depend(&mut job, &there);
                there.extend(job.id.clone());
                job
            };
            (0..random.between(1, 4)).map(job).collect()
        };
        ids.extend(jobs.iter().filter_map(|job: &NewJob| job.id.clone()));
        Step::Enqueue { jobs, is_read }
    }

    /// A job and a child of it, and later a child of that one, which would wait for the first: by its id, by that of a job which the
    /// first stands for, or as the next of its unique key.
    fn line(&self, number: usize, storm: Duration) -> [(Duration, Step); 2] {
        let random = &self.random;
        let id = |name: &str| Some(JobId::from_store(format!("l{number}.{name}")));
        let key = |on_clash| Some(Unique { on_clash, ..Unique::new(format!("l{number}")) });
        let job = |name: &str| NewJob { id: id(name), idempotency: None, unique: None, ..self.job(0) };
        let first = NewJob { unique: key(OnClash::Join), ..job("first") };
        let second = NewJob { parent: first.id.clone(), ..job("second") };
        let mut third = NewJob { parent: second.id.clone(), ..job("third") };
        let on = |name: &str| id(name).map(Dependency::on).into_iter().collect();
        let mut later = Vec::new();
        match random.below(3) {
            0 => third.depends_on = on("first"),
            1 => {
                later.push(NewJob { unique: key(OnClash::Join), ..job("joins") });
                third.depends_on = on("joins");
            }
            _ => third.unique = key(OnClash::Follow),
        }
        later.push(third);
        let at = random.millis(0, storm.as_millis() as usize);
        let enqueue = |jobs| Step::Enqueue { jobs, is_read: false };
        [(at, enqueue(vec![first, second])), (at + random.millis(1, 4_000), enqueue(later))]
    }

    /// Makes a job depend on others that stand before it.
    fn depend(&self, job: &mut NewJob, ids: &[JobId]) {
        let random = &self.random;
        if ids.is_empty() || !random.happens(250) {
            return;
        }
        let chosen: BTreeSet<&JobId> = (0..random.between(1, 3)).map(|_| random.pick(ids)).collect();
        let on_failure = || *random.pick(&[OnFailure::Cancel, OnFailure::Run]);
        let dependency = |id: &JobId| Dependency { id: id.clone(), on_failure: on_failure() };
        job.depends_on = chosen.into_iter().map(dependency).collect();
    }

    fn job(&self, kind: usize) -> NewJob {
        let random = &self.random;
        let mut job = self.script(2).job(kind);
        job.queue = QUEUES[random.below(QUEUES.len())].into();
        job.priority = *random.pick(&[0, 0, 0, 1, -1, 50]);
        job.max_attempts = random.between(1, 4) as u32;
        job.max_crashes = random.between(0, 6) as u32;
        if random.happens(200) {
            job.start = Start::After(random.millis(0, 10_000));
        }
        if random.happens(400) {
            let first = random.below(KEYS.len());
            job.limit_keys = vec![KEYS[first].into()];
            if random.happens(300) {
                job.limit_keys.push(KEYS[(first + 1) % KEYS.len()].into());
            }
        }
        if random.happens(200) {
            job.unique = Some(self.unique());
            if matches!(self.debounced(&job), Some(Edge::Trailing)) {
                job.start = Start::Now;
            }
        }
        if random.happens(150) {
            let is_soft = random.happens(500);
            job.prefer = Some(if is_soft { Prefer::soft([LABEL]) } else { Prefer::hard([LABEL]) });
        }
        if random.happens(120) {
            job.expires_in = Some(random.millis(300, 10_000));
        }
        if random.happens(120) {
            job.deadline = Some(Deadline::In(random.millis(1_000, 15_000)));
        }
        if random.happens(100) {
            job.idempotency = Some(Idempotency {
                key: (*random.pick(&IDEMPOTENCY_KEYS)).into(),
                fingerprint: (*random.pick(&["f", "f", "f", "g"])).into(),
                keep_for: Duration::from_secs(3_600),
            });
        }
        job.policy = Policy {
            timeout: random.happens(200).then(|| random.millis(500, 6_000)),
            cost: Cost { slots: *random.pick(&[1, 1, 1, 2]), rate: *random.pick(&[1, 1, 1, 2, 0]) },
            on_exhausted: *random.pick(&[OnExhausted::Fail, OnExhausted::Fail, OnExhausted::Pause]),
            ..Policy::default()
        };
        job
    }

    fn debounced(&self, job: &NewJob) -> Option<Edge> {
        match job.unique.as_ref()?.on_clash {
            OnClash::Debounce { edge, .. } => Some(edge),
            _ => None,
        }
    }

    fn unique(&self) -> Unique {
        let random = &self.random;
        let period = || random.millis(1_000, 8_000);
        let debounce = |edge| OnClash::Debounce {
            delay: random.millis(300, 3_000),
            max_delay: random.happens(500).then(|| random.millis(3_000, 6_000)),
            edge,
        };
        let on_clash = match random.below(11) {
            0..=2 => OnClash::Join,
            3 => OnClash::Refresh,
            4 => OnClash::Reject,
            5 => OnClash::Replace,
            6 => OnClash::Throttle,
            7 => debounce(Edge::Trailing),
            8 => debounce(Edge::Leading),
            9 => OnClash::Follow,
            _ => OnClash::Supersede,
        };
        let states = [vec![State::Scheduled, State::Available], vec![State::Running], State::ALL.to_vec()];
        Unique {
            key: (*random.pick(&UNIQUE_KEYS)).into(),
            period: (on_clash == OnClash::Throttle || random.happens(250)).then(period),
            states: random.happens(120).then(|| random.pick(&states).clone()),
            on_clash,
        }
    }

    fn max_waiting(&self) -> (Option<u64>, OnFull) {
        let random = &self.random;
        let on_full = *random.pick(&[OnFull::Reject, OnFull::DropOldest, OnFull::DropNewest]);
        match random.happens(150) {
            true => (Some(random.between(1, 6) as u64), on_full),
            false => (None, OnFull::default()),
        }
    }

    fn script(&self, deep: usize) -> Script {
        let random = &self.random;
        let mut acts = Vec::new();
        for number in 0..random.between(0, 4) {
            acts.push(match random.below(14) {
                0 | 1 => Act::Sleep(random.between(1, 400) as u64),
                2 => Act::Sleep(random.between(1_000, 9_000) as u64),
                3 => Act::Log,
                4 => Act::Progress(random.below(100) as u8),
                5 => Act::Stream(random.between(1, 5) as u32),
                6 | 7 => Act::Step { name: format!("s{number}"), takes: random.between(0, 900) as u64 },
                8 => Act::Obey(random.between(500, 9_000) as u64),
                9 => Act::Pause { name: format!("s{number}"), millis: random.between(1, 6_000) as u64 },
                10 | 11 => Act::Await {
                    name: format!("g{number}"),
                    timeout: random.happens(500).then(|| random.between(1, 9_000) as u64),
                },
                12 if deep > 0 => Act::Raise {
                    name: format!("c{number}"),
                    children: (0..random.between(0, 3)).map(|_| self.child(deep)).collect(),
                },
                _ if deep > 0 && random.happens(400) => Act::Enqueue(Box::new(self.descendant(deep))),
                _ => Act::Sleep(random.between(0, 30) as u64),
            });
        }
        let ends = (0..random.below(4)).map(|_| self.end()).collect();
        let follow_ups =
            if deep > 0 && random.happens(200) { vec![self.descendant(deep)] } else { Vec::new() };
        Script { acts, ends, follow_ups }
    }

    /// A job that a job makes. Its id is drawn, so that the run that is repeated makes the same.
    fn descendant(&self, deep: usize) -> NewJob {
        let random = &self.random;
        NewJob {
            id: Some(JobId::from_store(format!("d{}", random.next() % 1_000_000))),
            queue: QUEUES[random.below(QUEUES.len())].into(),
            ..self.script(deep - 1).job(random.below(2))
        }
    }

    /// A job that a job waits for.
    fn child(&self, deep: usize) -> NewJob {
        let random = &self.random;
        NewJob {
            queue: QUEUES[random.below(QUEUES.len())].into(),
            max_attempts: random.between(1, 2) as u32,
            ..self.script(deep - 1).job(random.below(2))
        }
    }

    fn end(&self) -> End {
        let random = &self.random;
        match random.below(12) {
            0..=3 => End::Retry,
            4 => End::Fail,
            5 => End::Cancel,
            6 => End::Snooze(random.between(0, 4_000) as u64),
            7 | 8 => End::RateLimited(random.between(100, 4_000) as u64),
            9 => End::Panic,
            _ => End::Complete,
        }
    }

    fn rate(&self) -> Rate {
        let random = &self.random;
        Rate {
            n: random.between(1, 5) as u32,
            per: *random.pick(&[Duration::from_millis(500), Duration::from_secs(2)]),
            burst: random.happens(500).then(|| random.between(1, 3) as u32),
        }
    }

    /// The same with limits of the whole queue, where some are drawn.
    fn queue_limits(&self, config: QueueConfig) -> QueueConfig {
        let random = &self.random;
        QueueConfig {
            slots: random.happens(600).then(|| random.between(1, 4) as u32),
            rate: random.happens(300).then(|| self.rate()),
            ..config
        }
    }

    fn limits(&self) -> KeyConfig {
        let random = &self.random;
        let (max_waiting, on_full) = self.max_waiting();
        KeyConfig {
            slots: random.happens(750).then(|| random.between(1, 3) as u32),
            rate: random.happens(350).then(|| self.rate()),
            weight: random.happens(300).then(|| random.between(1, 4) as u32),
            max_waiting,
            on_full,
        }
    }

    fn schedule(&self, name: &'static str) -> Schedule {
        let random = &self.random;
        let job = NewJob { queue: QUEUES[random.below(2)].into(), ..self.script(0).job(0) };
        let every = Duration::from_secs(random.between(2, 7) as u64);
        let catch_up = *random.pick(&[CatchUp::All, CatchUp::All, CatchUp::Once, CatchUp::None]);
        Schedule::every(name, every, job).catch_up(catch_up)
    }

    fn steer(&self, ids: &[JobId]) -> Step {
        let random = &self.random;
        let queue = *random.pick(&QUEUES);
        let key = *random.pick(&KEYS);
        let id = || random.pick(ids).clone();
        match random.below(16) {
            0 | 1 => {
                let grace =
                    *random.pick(&[Duration::ZERO, Duration::from_millis(700), Duration::from_secs(10)]);
                Step::Act(JobFilter::id(id()), Action::cancel(grace))
            }
            2 => Step::Cancel(id()),
            3 | 4 => Step::Act(JobFilter::id(id()), Action::Retry),
            5 => Step::Act(JobFilter::id(id()), Action::RetryWith { args: self.script(0).job(0).args }),
            6 | 7 => Step::Act(JobFilter::id(id()), Action::Delete),
            8 => Step::Act(JobFilter::id(id()), Action::SetPriority { priority: *random.pick(&[-5, 7]) }),
            9 => Step::PauseQueue(queue),
            10 => Step::ResumeQueue(queue),
            11 => Step::PauseKey(key, random.millis(100, 20_000)),
            12 => Step::ResumeKey(key),
            13 => Step::SetKey(key, random.happens(700).then(|| self.limits())),
            14 => {
                let completed =
                    Keep { age: Some(random.millis(1_000, 9_000)), count: Some(random.below(4) as u64) };
                let retention = Retention { completed, ..Retention::default() };
                {
                    let (max_waiting, on_full) = self.max_waiting();
                    let config = QueueConfig {
                        retention,
                        fair: random.happens(400),
                        max_waiting,
                        on_full,
                        ..QueueConfig::default()
                    };
                    Step::SetQueue(
                        queue,
                        if random.happens(300) { self.queue_limits(config) } else { config },
                    )
                }
            }
            _ => Step::Look,
        }
    }

    /// Something that moves a job which waits, or which has done a part of its steps.
    fn signal(&self, ids: &[JobId]) -> Step {
        let random = &self.random;
        let id = random.pick(ids).clone();
        let step = |sorts: &[&str]| format!("{}{}", random.pick(sorts), random.below(4));
        match random.below(8) {
            0 => Step::RetryFrom(id, step(&["s", "signal:g", "c"])),
            1 => Step::Fork(id, random.happens(500).then(|| step(&["s", "signal:g"]))),
            _ => Step::Signal(id, format!("g{}", random.below(4)), random.next() % 1_000),
        }
    }

    fn fault(&self, places: usize) -> Step {
        let random = &self.random;
        let place = random.below(places);
        match random.below(12) {
            0..=2 => Step::Kill(place),
            3..=5 => Step::Stop(place, random.millis(200, 15_000)),
            6 => Step::ShutDown(place, random.millis(0, 3_000)),
            7 | 8 => Step::CutOff(place, random.millis(200, 12_000)),
            9 => Step::SetWallForward(place, random.millis(100, 90_000)),
            10 => Step::TakeStoreAway(random.millis(200, 10_000)),
            _ => Step::SetStoreForward(random.millis(50, 40_000)),
        }
    }
}
