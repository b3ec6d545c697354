//! A year of schedules in zones that change their clocks, against ticks that were computed by other means.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use longhaul::testing::{Call, Intercept, Simulation};
use longhaul::{CatchUp, Longhaul, Schedule, Scheduler, Store, Timestamp};

use super::{HOUR, at, consume, job, store};

/// The schedules of `ticks_2027.txt`, each with its ticks.
fn expected() -> Vec<(Schedule, Vec<Timestamp>)> {
    let mut all: Vec<(Schedule, Vec<Timestamp>)> = Vec::new();
    for line in include_str!("ticks_2027.txt").lines() {
        if let Some(line) = line.strip_prefix("  ") {
            let (month, ticks) = line.split_once(' ').unwrap();
            let ticks = ticks.split(' ').map(|tick| at(&format!("{month}-{tick}")));
            all.last_mut().unwrap().1.extend(ticks);
        } else {
            let mut words = line.splitn(3, ' ');
            let (name, zone, cron) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let schedule = Schedule::cron(name, cron, job()).timezone(zone).catch_up(CatchUp::All);
            all.push((schedule, Vec::new()));
        }
    }
    all
}

#[test]
fn schedules_have_exactly_the_ticks_of_their_zone_in_a_year_with_changes_of_its_clock() {
    let all = expected();
    assert_eq!(all.len(), 21);
    for (schedule, ticks) in all {
        let before = at("2026-12-31T23:59");
        let told: Vec<Timestamp> = schedule.next(before, ticks.len()).unwrap();
        assert_eq!(told, ticks, "{} {:?}", schedule.name, schedule.timing);
        let rest = schedule.next(*ticks.last().unwrap(), 1).unwrap();
        assert!(rest[0] >= at("2028-01-01T00:00"), "{} fires once more in the year: {rest:?}", schedule.name);
    }
}

/// The way in which a server moves a schedule on.
#[derive(Clone, Copy, PartialEq)]
enum Moves {
    /// As it does.
    AsOne,
    /// With a planted fault: the ticks' jobs are enqueued before the ticker ends, and not with it.
    InTwoCalls,
}

/// A server of three that share a store. It dies in the middle of calls, before they reach the store or before it hears their
/// answers, and is stopped for longer than its leases.
struct Server {
    number: u64,
    is_dead: Arc<AtomicBool>,
    _scheduler: Scheduler,
}

impl Server {
    fn start(number: u64, year: &Year, moves: Moves) -> Self {
        let is_dead = Arc::new(AtomicBool::new(false));
        let (runtime, deaths, has_died) =
            (year.simulation.runtime(), Arc::clone(&year.deaths), Arc::clone(&is_dead));
        let (random, clock) = (Arc::clone(&runtime.random), runtime.clock.clone());
        let around = move |store: Arc<dyn Store>, call: Call| {
            let (deaths, has_died) = (Arc::clone(&deaths), Arc::clone(&has_died));
            let (clock, draw) = (clock.clone(), random() % 16);
            async move {
                if has_died.load(Ordering::SeqCst) {
                    return pending().await;
                }
                let Call::Finish(mut finishes) = call else { return call.on(store.as_ref()).await };
                let die = || {
                    has_died.store(true, Ordering::SeqCst);
                    deaths.fetch_add(1, Ordering::SeqCst);
                };
                if draw == 0 {
                    die();
                    return pending().await;
                }
                if draw == 1 {
                    // SIGSTOP: others take over, and then it goes on as if nothing had happened.
                    clock.sleep(Duration::from_secs(1200)).await;
                }
                if moves == Moves::InTwoCalls {
                    let jobs = finishes
                        .iter_mut()
                        .flat_map(|finish| finish.follow_ups.extract_if(.., |job| job.kind == "tick"));
                    store.enqueue(jobs.collect()).await?;
                }
                let answer = Call::Finish(finishes).on(store.as_ref()).await;
                if draw == 2 {
                    die();
                    return pending().await;
                }
                answer
            }
        };
        let store = Intercept::over(Arc::clone(year.longhaul.store()), around);
        Self { number, is_dead, _scheduler: Scheduler::start_on(Longhaul::new(store), runtime) }
    }
}

/// The time that is looked at, and all that was fired in it.
struct Year {
    simulation: Simulation,
    longhaul: Longhaul,
    deaths: Arc<AtomicU64>,
    fired: BTreeMap<String, u32>,
}

/// The time between two looks, in which a server may die and another take over.
const STEP: Duration = Duration::from_secs(300);

impl Year {
    fn begin(schedules: &[(Schedule, Vec<Timestamp>)]) -> Self {
        let (simulation, longhaul) = store();
        let handle = longhaul.schedules().clock(simulation.clock.clone());
        for (schedule, _) in schedules {
            simulation.run(handle.put(schedule.clone())).unwrap();
        }
        Self { simulation, longhaul, deaths: Arc::default(), fired: BTreeMap::new() }
    }

    /// Lets three servers fire until a moment. They are there while clocks change, and are down for the weeks between, for
    /// which they make up.
    fn pass(&mut self, until: Timestamp, changes: &BTreeSet<Timestamp>, moves: Moves) {
        let mut servers: Vec<Server> = Vec::new();
        while self.simulation.clock.now() < until {
            let now = self.simulation.clock.now();
            if !changes.iter().any(|change| now >= *change && now.since(*change) < 30 * HOUR) {
                servers.clear();
                let next = changes.iter().copied().find(|change| *change > now).unwrap_or(until);
                self.simulation.advance(next.since(now));
            }
            // One that died comes back after a while, some in minutes and some in hours.
            let stays_away = || !(self.simulation.runtime().random)().is_multiple_of(12);
            servers.retain(|server| !server.is_dead.load(Ordering::SeqCst) || stays_away());
            for number in 0..3 {
                if !servers.iter().any(|server| server.number == number) {
                    servers.push(Server::start(number, self, moves));
                }
            }
            self.step();
        }
        servers.clear();
        let _last = Scheduler::start_on(self.longhaul.clone(), self.simulation.runtime());
        for _ in 0..10 {
            self.step();
        }
    }

    fn step(&mut self) {
        self.simulation.advance(STEP);
        self.simulation.run(self.longhaul.store().sweep(1_000)).unwrap();
        for id in self.simulation.run(consume(&self.longhaul)) {
            *self.fired.entry(id.to_string()).or_default() += 1;
        }
    }

    /// The ticks that were not fired once, with how often they were; of those that were to be fired until a moment.
    fn wrong(&self, schedules: &[(Schedule, Vec<Timestamp>)], until: Timestamp) -> Vec<(String, u32)> {
        let id = |schedule: &Schedule, tick: Timestamp| {
            longhaul::schedule::tick_id(&schedule.name, tick).to_string()
        };
        let of = |(schedule, ticks): &(Schedule, Vec<Timestamp>)| -> Vec<String> {
            ticks.iter().filter(|tick| **tick < until).map(|tick| id(schedule, *tick)).collect()
        };
        let expected: BTreeSet<String> = schedules.iter().flat_map(of).collect();
        let is_over =
            |id: &&String| id[id.len() - 20..].parse::<jiff::Timestamp>().unwrap().as_millisecond() < until.0;
        let all: BTreeSet<&String> = expected.iter().chain(self.fired.keys().filter(is_over)).collect();
        let times = |id: &String| self.fired.get(id).copied().unwrap_or_default();
        let wrong = all.into_iter().filter(|id| !expected.contains(*id) || times(id) != 1);
        wrong.map(|id| (id.clone(), times(id))).collect()
    }
}

/// The moments a day after which the clocks of one of the zones have changed.
fn changes(schedules: &[(Schedule, Vec<Timestamp>)]) -> BTreeSet<Timestamp> {
    let around = schedules.iter().filter(|(schedule, _)| schedule.name.contains(".steps."));
    around.map(|(_, ticks)| ticks[0].plus(20 * HOUR)).collect()
}

#[test]
fn three_servers_that_die_fire_each_tick_of_a_year_once() {
    let schedules = expected();
    let mut year = Year::begin(&schedules);
    let end = at("2028-01-01T00:00");
    year.pass(end, &changes(&schedules), Moves::AsOne);
    let (wrong, deaths) = (year.wrong(&schedules, end), year.deaths.load(Ordering::SeqCst));
    assert!(
        wrong.is_empty(),
        "{} ticks were not fired once: {:?}",
        wrong.len(),
        &wrong[..10.min(wrong.len())]
    );
    assert!(deaths > 100, "servers died {deaths} times");
}

#[test]
fn a_scheduler_that_enqueues_before_it_moves_on_is_found_to_fire_twice() {
    let mut schedules = expected();
    schedules.retain(|(schedule, _)| schedule.name == "casablanca.steps.0");
    let mut year = Year::begin(&schedules);
    let end = at("2027-02-10T00:00");
    year.pass(end, &changes(&schedules), Moves::InTwoCalls);
    let wrong = year.wrong(&schedules, end);
    assert!(wrong.iter().any(|(_, times)| *times > 1), "{wrong:?}");
}
