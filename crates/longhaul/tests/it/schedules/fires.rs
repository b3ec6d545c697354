//! The jobs of ticks, and the catch-up of ticks that no process fired.

use std::time::Duration;

use longhaul::{CatchUp, JobId, Lookup, Schedule, Scheduler, State};

use super::{HOUR, at, consume, job, started, store, ticks};

#[test]
fn a_tick_enqueues_its_job_with_its_name_and_time() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(Schedule::cron("hourly", "@hourly", job()))).unwrap();
    simulation.advance(HOUR - Duration::from_millis(1));
    assert_eq!(ticks(&simulation, &longhaul, "hourly"), [""; 0]);
    simulation.advance(Duration::from_millis(1));
    assert_eq!(ticks(&simulation, &longhaul, "hourly"), ["2027-01-01T01:00:00Z"]);
    let id = JobId::from_store("schedule:hourly:2027-01-01T01:00:00Z".into());
    let job = simulation.run(longhaul.get(&id)).unwrap().found().unwrap();
    assert_eq!(
        (job.kind.as_str(), job.state, job.run_at),
        ("tick", State::Available, at("2027-01-01T01:00"))
    );
    assert_eq!(job.labels["schedule"], "hourly");
    assert_eq!(job.labels["tick"], "2027-01-01T01:00:00Z");
    let info = simulation.run(schedules.get("hourly")).unwrap().unwrap();
    let tick = info.recent.last().unwrap();
    assert_eq!((tick.at, &tick.job, tick.state), (at("2027-01-01T01:00"), &id, Some(State::Available)));
    assert_eq!(info.next[..2], [at("2027-01-01T02:00"), at("2027-01-01T03:00")]);
    assert_eq!((info.next.len(), info.paused), (5, false));
    assert_eq!(simulation.run(schedules.list()).unwrap(), [info]);
}

#[test]
fn jitter_is_the_same_on_every_server_and_another_for_each_tick() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    let often = Schedule::every("often", Duration::from_secs(600), job()).jitter(Duration::from_secs(300));
    simulation.run(schedules.put(often.clone())).unwrap();
    simulation.advance(Duration::from_secs(1800));
    let mut delays = Vec::new();
    for tick in often.next(at("2027-01-01T00:00"), 3).unwrap() {
        let id = longhaul::schedule::tick_id("often", tick);
        let run_at = simulation.run(longhaul.get(&id)).unwrap().found().unwrap().run_at;
        assert_eq!(often.tick_job(tick).start, longhaul::Start::At(run_at));
        assert!(run_at >= tick && run_at.since(tick) <= Duration::from_secs(300));
        delays.push(run_at.since(tick));
    }
    delays.sort();
    delays.dedup();
    assert_eq!(delays.len(), 3, "{delays:?}");
}

/// The ticks that are there after a schedule of every minute was left alone for an hour and a half.
fn made_up_for(catch_up: CatchUp) -> Vec<String> {
    let (simulation, longhaul) = store();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    let schedule = Schedule::cron("s", "*/30 * * * *", job()).catch_up(catch_up);
    simulation.run(schedules.put(schedule)).unwrap();
    simulation.advance(2 * HOUR + Duration::from_secs(30));
    let _scheduler = Scheduler::start_on(longhaul.clone(), simulation.runtime());
    simulation.advance(Duration::from_secs(1));
    let ticks = ticks(&simulation, &longhaul, "s");
    ticks.iter().map(|tick| tick[11..16].to_owned()).collect()
}

#[test]
fn ticks_that_nobody_fired_are_left_out_or_made_up_for_and_one_that_is_on_time_never_is_left_out() {
    assert_eq!(made_up_for(CatchUp::None), ["02:00"]);
    assert_eq!(made_up_for(CatchUp::Once), ["01:30", "02:00"]);
    assert_eq!(made_up_for(CatchUp::All), ["00:30", "01:00", "01:30", "02:00"]);
}

#[test]
fn the_newest_thousand_ticks_are_made_up_for_and_the_log_tells_of_the_others() {
    let (simulation, longhaul) = store();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    let schedule = Schedule::every("s", Duration::from_secs(60), job()).catch_up(CatchUp::All);
    simulation.run(schedules.put(schedule)).unwrap();
    simulation.clock.advance(48 * HOUR);
    let _scheduler = Scheduler::start_on(longhaul.clone(), simulation.runtime());
    simulation.advance(Duration::from_secs(1));
    let fired = simulation.run(consume(&longhaul));
    assert_eq!(fired.len(), 1_000);
    assert_eq!(fired[0].as_str(), "schedule:s:2027-01-02T07:21:00Z", "2,880 were missed");
    assert_eq!(fired[999].as_str(), "schedule:s:2027-01-03T00:00:00Z");
    simulation.advance(Duration::from_secs(60));
    assert_eq!(simulation.run(consume(&longhaul)).len(), 1, "and then it goes on");
}

#[test]
fn a_machine_whose_clock_is_behind_the_stores_fires_once_and_does_not_run_hot() {
    let (simulation, longhaul) = store();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(Schedule::cron("s", "* * * * *", job()))).unwrap();
    // A simulation whose own clock stands a year earlier than the store's.
    let behind = longhaul::testing::Simulation::new(2);
    let _scheduler = Scheduler::start_on(longhaul.clone(), behind.runtime());
    simulation.clock.advance(Duration::from_secs(90));
    behind.advance(Duration::from_secs(60));
    let queue = simulation.run(longhaul.store().queues()).unwrap();
    let internal = queue.iter().find(|queue| queue.name == longhaul::schedule::QUEUE).unwrap();
    let runs: u64 = internal.counts.values().sum();
    assert!(runs < 5, "the ticker ran {runs} times in a minute");
}

#[test]
fn ticks_do_not_appear_among_the_counts_of_what_applications_enqueue() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(Schedule::cron("s", "* * * * *", job()))).unwrap();
    let recorder = longhaul::stats::Recorder::start_on(longhaul.store().clone(), simulation.runtime());
    let mut feed = simulation.run(recorder.feed()).unwrap();
    simulation.advance(Duration::from_secs(60));
    let heard = simulation.run(feed.next());
    let longhaul::stats::FeedNews::Items(items) = heard.unwrap() else { panic!("a gap") };
    assert!(items.iter().all(|item| *item.queue == *"default"), "{items:?}");
    assert!(matches!(simulation.run(longhaul.get(&items[0].id)).unwrap(), Lookup::Found(_)));
}
