//! One run: processes are started, what was planned happens, faults stop, and all must come to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longhaul::{
    CatchUp, Collect, JobId, Longhaul, Maintenance, MemoryStore, Schedule, Scheduler, Shutdown, State, Store,
    Timestamp, WaitsFor, Worker,
};
use parking_lot::Mutex;

use crate::client::Client;
use crate::jobs::{RunContext, Work, play_call};
use crate::network::{Line, Network};
use crate::planted::Planted;
use crate::scenario::{KEYS, LABEL, QUEUES, SCHEDULES, Scenario, Step, WorkerPlan, draw};
use crate::trace::Lines;
use crate::witness::{Broken, LEASE, LIVELY, Tick, Witness};
use crate::world::{NETWORK, ProcessId, ProcessState, World};

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first promise that was broken.
    pub broken: Option<Broken>,
    /// The digest of all events, which is equal for two runs of one seed.
    pub digest: u64,
    /// The event lines, if they were kept.
    pub lines: Vec<String>,
    /// The numbers of events, by sort.
    pub counts: BTreeMap<&'static str, u64>,
    /// The time that passed in it.
    pub simulated: Duration,
    /// The steps that it was planned with.
    pub planned: usize,
}

/// The steps of a scenario to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    All,
    /// Those with these numbers.
    Only(Vec<usize>),
}

/// The time in which every job must have ended after faults have stopped.
const DRAIN: Duration = Duration::from_secs(1_200);
/// The time after which schedules are deleted.
const SCHEDULES_GO_ON: Duration = Duration::from_secs(20);
/// The time by which a tick may be late without being missing.
const LATE: Duration = Duration::from_secs(65);

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, planted: Option<Planted>, lines: Lines) -> Outcome {
    run_steps(seed, planted, lines, &Steps::All)
}

pub(crate) fn run_steps(seed: u64, planted: Option<Planted>, lines: Lines, taken: &Steps) -> Outcome {
    let mut scenario = draw(seed);
    let planned = scenario.steps.len();
    if let Steps::Only(numbers) = taken {
        let kept = numbers.iter().filter_map(|number| scenario.steps.get(*number).cloned());
        scenario.steps = kept.collect();
    }
    let world = World::new(seed, lines);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(world.store_clock.clone()));
    let store = match planted {
        Some(planted) => planted.into_store(store, world.store_clock.clone()),
        None => store,
    };
    let witness = Witness::of(Arc::clone(&world), store);
    let network = Network::new(Arc::clone(&world), Arc::clone(&witness), scenario.fault_rates, seed);
    let mut stage = Stage {
        seed,
        places: Vec::new(),
        world: Arc::clone(&world),
        witness: Arc::clone(&witness),
        network,
        runs: Arc::default(),
        served: 0,
        schedules: Arc::default(),
        scenario,
    };
    if let Err(how) = stage.play() {
        witness.break_promise(LEASE, how);
    }
    stage.strike();
    Outcome {
        broken: witness.broken(),
        digest: world.trace.digest(),
        lines: world.trace.take_lines(),
        counts: witness.counts(),
        simulated: world.now(),
        planned,
    }
}

/// All that takes part in a run.
struct Stage {
    seed: u64,
    scenario: Scenario,
    world: Arc<World>,
    witness: Arc<Witness>,
    network: Arc<Network>,
    runs: Arc<Mutex<BTreeMap<JobId, crate::jobs::Runs>>>,
    /// Workers first, then servers.
    places: Vec<Place>,
    /// Steps that servers were given.
    served: usize,
    /// The schedules that were put, and from when their ticks count.
    schedules: Arc<Mutex<BTreeMap<String, Put>>>,
}

/// A schedule that was put and is fired from then on.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) schedule: Schedule,
    pub(crate) since: Timestamp,
    /// False if it was paused, so that ticks may be left out.
    pub(crate) is_whole: bool,
}

/// A process at its place.
struct Place {
    process: ProcessId,
    line: Arc<Line>,
    worker: Option<Worker>,
    ending: Arc<Mutex<Option<Shutdown>>>,
    is_ending: bool,
    _maintenance: Option<Maintenance>,
    _scheduler: Option<Scheduler>,
}

impl Stage {
    fn play(&mut self) -> Result<(), String> {
        for number in 0..self.scenario.workers.len() + self.scenario.servers {
            let place = self.start(number);
            self.places.push(place);
        }
        let steps = std::mem::take(&mut self.scenario.steps);
        for (at, step) in steps {
            self.go_on_until(at)?;
            if self.is_broken() {
                return Ok(());
            }
            self.take(step);
        }
        self.go_on_until(self.scenario.storm)?;
        self.calm();
        self.drain()
    }

    fn is_broken(&self) -> bool {
        self.witness.broken().is_some()
    }

    /// Lets the run go on until a time, or until a promise is broken.
    fn go_on_until(&mut self, until: Duration) -> Result<(), String> {
        loop {
            self.world.run_until_stalled()?;
            self.witness.check_waiting_calls()?;
            let now = self.world.now();
            if self.is_broken() || now >= until {
                return Ok(());
            }
            let world = &self.world;
            self.network.stopped.lock().retain(|(at, process)| {
                let is_due = *at <= now;
                if is_due && world.state(*process) == ProcessState::Stopped {
                    world.note(&world.name(*process), format_args!("goes on"));
                    world.go_on(*process);
                }
                !is_due
            });
            self.replace_dead();
            let next = self.network.stopped.lock().iter().map(|(at, _)| at.saturating_sub(now)).min();
            self.world.run_until_stalled()?;
            self.world.pass(next.unwrap_or(Duration::MAX).min(until - now).max(Duration::from_millis(1)));
        }
    }

    /// Starts the process of a place: a worker, or a server, which enqueues and steers for others.
    fn start(&self, number: usize) -> Place {
        let workers = self.scenario.workers.len();
        let sort = if number < workers { "w" } else { "s" };
        let process = self.world.start(sort);
        self.world.note(&self.world.name(process), format_args!("starts"));
        let (line, store) = self.network.connect(process);
        let longhaul = Longhaul::over(store);
        let runtime = self.world.runtime(process, self.seed);
        let mut place = Place {
            process,
            line,
            worker: None,
            ending: Arc::default(),
            is_ending: false,
            _maintenance: None,
            _scheduler: None,
        };
        match self.scenario.workers.get(number) {
            Some(plan) => place.worker = Some(self.worker(plan, longhaul, process)),
            None => {
                place._maintenance =
                    Some(Maintenance::start_on(Arc::clone(longhaul.store()), runtime.clone()));
                place._scheduler = Some(Scheduler::start_on(longhaul, runtime));
            }
        }
        place
    }

    fn worker(&self, plan: &WorkerPlan, longhaul: Longhaul, process: ProcessId) -> Worker {
        let context = RunContext {
            world: Arc::clone(&self.world),
            witness: Arc::clone(&self.witness),
            runs: Arc::clone(&self.runs),
            process,
            clock: self.world.clock(process),
        };
        let mut builder = longhaul.worker().lease(plan.lease).runtime(self.world.runtime(process, self.seed));
        for kind in &plan.kinds {
            builder = match (kind, plan.collects) {
                (0, _) => builder.register::<Work<0>>(context.clone()),
                (1, None) => builder.register::<Work<1>>(context.clone()),
                (1, Some(wait)) => {
                    let collect = Collect { max: 3, wait, by: None };
                    let collecting = builder.collect(context.clone(), collect, play_call);
                    collecting.expect("the bounds of a call are good")
                }
                _ => builder.register::<Work<2>>(context.clone()),
            };
        }
        for (queue, slots) in &plan.queues {
            builder = builder.queue(QUEUES[*queue], *slots);
        }
        if plan.runs_schedules {
            builder = builder.run_schedules();
        }
        if plan.is_labelled {
            builder = builder.label(LABEL.0, LABEL.1);
        }
        builder.start()
    }

    /// Puts another process in the place of each that has died or ended.
    fn replace_dead(&mut self) {
        for number in 0..self.places.len() {
            let place = &mut self.places[number];
            let has_ended = place.is_ending && place.ending.lock().is_some();
            if has_ended {
                self.world.kill(place.process);
            }
            if self.world.state(place.process) == ProcessState::Dead {
                let place = self.start(number);
                let dead = std::mem::replace(&mut self.places[number], place);
                drop(dead);
            }
        }
    }

    fn take(&mut self, step: Step) {
        if let Some(fault) = step.fault() {
            self.witness.count(fault);
        }
        match step {
            Step::Kill(place) => {
                let process = self.places[place].process;
                self.world.note(&self.world.name(process), format_args!("is killed"));
                self.world.kill(process);
                self.replace_dead();
            }
            Step::Stop(place, time) => {
                let process = self.places[place].process;
                self.world.note(&self.world.name(process), format_args!("is stopped for {time:?}"));
                self.world.stop(process);
                self.network.stopped.lock().push((self.world.now() + time, process));
            }
            Step::ShutDown(place, grace) => self.shut_down(place, grace),
            Step::CutOff(place, time) => {
                let place = &self.places[place];
                self.world.note(&self.world.name(place.process), format_args!("is cut off for {time:?}"));
                place.line.cut(self.world.now() + time);
            }
            Step::SetWallForward(place, time) => {
                let process = self.places[place].process;
                self.world
                    .note(&self.world.name(process), format_args!("'s clock is set forward by {time:?}"));
                self.world.clock(process).set_wall_forward(time);
            }
            Step::TakeStoreAway(time) => {
                self.world.note("net", format_args!("the store is away for {time:?}"));
                self.network.take_away(self.world.now() + time);
            }
            Step::SetStoreForward(time) => {
                self.world.note("net", format_args!("the store's clock is set forward by {time:?}"));
                self.witness.note_jump();
                self.world.store_clock.set_wall_forward(time);
            }
            other => self.serve(other),
        }
    }

    fn shut_down(&mut self, number: usize, grace: Duration) {
        let place = &mut self.places[number];
        let process = place.process;
        self.world.note(&self.world.name(process), format_args!("is shut down, with a grace of {grace:?}"));
        match place.worker.take() {
            Some(worker) => {
                place.is_ending = true;
                let ending = Arc::clone(&place.ending);
                self.world.spawn(process, async move {
                    *ending.lock() = Some(worker.shutdown(grace).await);
                });
            }
            None => {
                self.world.kill(process);
                self.replace_dead();
            }
        }
    }

    /// Has a server do something.
    fn serve(&mut self, step: Step) {
        let workers = self.scenario.workers.len();
        self.served += 1;
        let place = &self.places[workers + self.served % self.scenario.servers];
        let client = Client {
            world: Arc::clone(&self.world),
            witness: Arc::clone(&self.witness),
            clock: self.world.clock(place.process),
            longhaul: Longhaul::over(self.network.connect(place.process).1),
            schedules: Arc::clone(&self.schedules),
        };
        let process = place.process;
        self.world.spawn(process, client.serve(step));
    }

    /// Faults stop: processes go on, the network is quick and true, and nothing is paused any more.
    fn calm(&mut self) {
        self.world.note("net", format_args!("faults stop"));
        self.network.calm();
        self.network.stopped.lock().clear();
        for place in &self.places {
            place.line.cut(Duration::ZERO);
            self.world.go_on(place.process);
        }
        self.replace_dead();
        // A worker for all that others may not know.
        let all = WorkerPlan {
            lease: Duration::from_secs(3),
            queues: (0..QUEUES.len()).map(|queue| (queue, 3)).collect(),
            kinds: vec![0, 1, 2],
            runs_schedules: false,
            is_labelled: true,
            collects: None,
        };
        self.scenario.workers.insert(0, all);
        let place = self.start(0);
        self.places.insert(0, place);
    }

    fn drain(&mut self) -> Result<(), String> {
        let begun = self.world.now();
        let network = Longhaul::over(self.network.connect(NETWORK).1);
        // What is on its way may pause something once more, so this waits for it.
        self.go_on_until(begun + Duration::from_secs(8))?;
        let store = Arc::clone(network.store());
        self.world.spawn(NETWORK, async move {
            // Nothing is lost any more.
            for queue in QUEUES {
                let _ = store.resume_queue(queue).await;
            }
            for key in KEYS {
                let _ = store.resume_key(key).await;
            }
        });
        self.go_on_until(begun + SCHEDULES_GO_ON)?;
        let ticks = self.ticks();
        let schedules = network.schedules().clock(self.world.clock(NETWORK));
        let deleted: Arc<Mutex<bool>> = Arc::default();
        let done = Arc::clone(&deleted);
        self.world.spawn(NETWORK, async move {
            let mut all_done = true;
            for name in SCHEDULES {
                all_done &= schedules.delete(name).await.is_ok();
            }
            *done.lock() = all_done;
        });
        let end = begun + DRAIN;
        let mut helped = BTreeSet::new();
        while !self.is_broken() {
            let now = self.world.now();
            self.give_what_is_waited_for(&network, &mut helped);
            let left = self.witness.unfinished();
            if left.is_empty() && *deleted.lock() {
                break;
            }
            if now >= end {
                let some: Vec<&(JobId, State)> = left.iter().take(5).collect();
                let how = format!(
                    "{} jobs have not ended {DRAIN:?} after faults have stopped: {some:?}",
                    left.len()
                );
                self.witness.break_promise(LIVELY, how);
                return Ok(());
            }
            self.go_on_until(now + Duration::from_secs(1))?;
        }
        if self.is_broken() {
            return Ok(());
        }
        self.witness.check_end(&ticks)
    }

    /// Sends signals to jobs that wait for one, and has those that wait for a person run once more, and then end.
    fn give_what_is_waited_for(&self, network: &Longhaul, helped: &mut BTreeSet<JobId>) {
        for (id, on) in self.witness.wait_for_outside() {
            let (network, was_helped) = (network.clone(), !helped.insert(id.clone()));
            self.world.spawn(NETWORK, async move {
                // Nothing is lost any more.
                match on {
                    WaitsFor::Signal(name) => drop(network.signal(&id, &name, &0_u64).await),
                    _ if was_helped => drop(network.cancel(&id).await),
                    _ => drop(network.retry(&id).await),
                }
            });
        }
    }

    /// The ticks that must have been fired by now.
    fn ticks(&self) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let now = self.world.clock(NETWORK).now();
        for put in self.schedules.lock().values() {
            if !put.is_whole || put.schedule.catch_up != CatchUp::All {
                continue;
            }
            let next = put.schedule.next(put.since, 200).unwrap_or_default();
            let due = next.into_iter().filter(|tick| tick.plus(LATE) <= now);
            ticks.extend(due.map(|at| Tick { schedule: put.schedule.name.clone(), at }));
        }
        ticks
    }

    /// Ends all that takes part.
    fn strike(self) {
        self.world.kill_all();
    }
}
