//! Schedules that are changed, paused and deleted while they fire.

use std::time::Duration;

use futures::future::join_all;
use longhaul::schedule::Put;
use longhaul::testing::Simulation;
use longhaul::{Done, Error, JobFilter, Longhaul, NewJob, Page, Schedule, Scheduler, State, Store, Timing};

use super::{HOUR, at, job, started, store, ticks};

const MINUTE: Duration = Duration::from_secs(60);

fn hourly() -> Schedule {
    Schedule::cron("s", "0 * * * *", job())
}

fn tickers(simulation: &Simulation, longhaul: &Longhaul) -> usize {
    let filter = JobFilter {
        kinds: vec![longhaul::schedule::KIND.into()],
        states: vec![State::Scheduled, State::Available, State::Running],
        ..JobFilter::default()
    };
    simulation.run(longhaul.store().list(&filter, Page::default())).unwrap().jobs.len()
}

#[test]
fn a_paused_schedule_fires_nothing_and_goes_on_after_the_pause_without_what_it_left_out() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(hourly().catch_up(longhaul::CatchUp::All))).unwrap();
    simulation.advance(HOUR + MINUTE);
    assert_eq!(simulation.run(schedules.pause("s")).unwrap(), Done::Yes);
    let paused = simulation.run(schedules.get("s")).unwrap().unwrap();
    assert!(paused.paused && paused.next.is_empty());
    simulation.advance(3 * HOUR);
    // A new definition leaves the pause as it is.
    simulation.run(schedules.put(Schedule { jitter: MINUTE, ..hourly() })).unwrap();
    simulation.advance(HOUR);
    assert_eq!(simulation.run(schedules.resume("s")).unwrap(), Done::Yes);
    assert_eq!(simulation.run(schedules.resume("s")).unwrap(), Done::Yes, "and once more changes nothing");
    simulation.advance(HOUR);
    assert_eq!(ticks(&simulation, &longhaul, "s"), ["2027-01-01T01:00:00Z", "2027-01-01T06:00:00Z"]);
    let recent = simulation.run(schedules.get("s")).unwrap().unwrap().recent;
    assert_eq!(recent.len(), 2, "it remembers the tick before the pause");
    assert_eq!(simulation.run(schedules.pause("other")).unwrap(), Done::NotApplicable);
}

#[test]
fn a_pause_that_ends_before_the_next_tick_changes_nothing() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(hourly())).unwrap();
    simulation.run(schedules.pause("s")).unwrap();
    simulation.advance(MINUTE);
    simulation.run(schedules.resume("s")).unwrap();
    simulation.advance(HOUR);
    assert_eq!(ticks(&simulation, &longhaul, "s"), ["2027-01-01T01:00:00Z"]);
}

#[test]
fn a_new_timing_holds_from_then_on_and_what_was_due_before_is_fired() {
    let (simulation, longhaul) = store();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    assert_eq!(simulation.run(schedules.put(hourly())).unwrap(), Put::Created);
    // Nobody fires, so that the tick of 01:00 is due and not fired when the timing changes.
    simulation.advance(HOUR + Duration::from_millis(500));
    let often = Schedule::cron("s", "*/20 * * * *", job());
    assert_eq!(simulation.run(schedules.put(often.clone())).unwrap(), Put::Replaced);
    assert_eq!(simulation.run(schedules.put(often)).unwrap(), Put::Unchanged);
    let _scheduler = Scheduler::start_on(longhaul.clone(), simulation.runtime());
    simulation.advance(HOUR);
    let fired = ["01:00", "01:20", "01:40", "02:00"].map(|time| format!("2027-01-01T{time}:00Z"));
    assert_eq!(ticks(&simulation, &longhaul, "s"), fired);
    assert_eq!(tickers(&simulation, &longhaul), 1);
}

#[test]
fn a_new_job_is_what_the_next_tick_enqueues() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(hourly())).unwrap();
    let other = NewJob::new("other", longhaul::Json::parse("[1]".into()).unwrap());
    simulation.run(schedules.put(Schedule { job: other, ..hourly() })).unwrap();
    simulation.advance(HOUR);
    let id = longhaul::schedule::tick_id("s", at("2027-01-01T01:00"));
    let job = simulation.run(longhaul.get(&id)).unwrap().found().unwrap();
    assert_eq!((job.kind.as_str(), job.args.as_str()), ("other", "[1]"));
}

#[test]
fn a_deleted_schedule_fires_no_more_and_one_of_its_name_begins_anew() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(hourly().catch_up(longhaul::CatchUp::All))).unwrap();
    simulation.advance(HOUR);
    assert_eq!(simulation.run(schedules.delete("s")).unwrap(), Done::Yes);
    assert_eq!(simulation.run(schedules.delete("s")).unwrap(), Done::NotApplicable);
    assert_eq!((simulation.run(schedules.get("s")).unwrap(), tickers(&simulation, &longhaul)), (None, 0));
    simulation.advance(2 * HOUR);
    simulation.run(schedules.put(hourly().catch_up(longhaul::CatchUp::All))).unwrap();
    assert!(
        simulation.run(schedules.get("s")).unwrap().unwrap().recent.is_empty(),
        "the other one's ticks are not its"
    );
    simulation.advance(HOUR);
    assert_eq!(ticks(&simulation, &longhaul, "s"), ["2027-01-01T01:00:00Z", "2027-01-01T04:00:00Z"]);
}

#[test]
fn a_run_by_hand_comes_beside_the_ticks_and_though_the_schedule_is_paused() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(hourly())).unwrap();
    simulation.run(schedules.pause("s")).unwrap();
    let run = simulation.run(schedules.run("s")).unwrap().unwrap();
    assert!(run.is_created() && run.id.as_str().starts_with("schedule:s:run:"));
    let job = simulation.run(longhaul.get(&run.id)).unwrap().found().unwrap();
    assert_eq!((job.state, job.labels["schedule"].as_str()), (State::Available, "s"));
    assert!(simulation.run(schedules.run("s")).unwrap().unwrap().id != run.id);
    assert!(simulation.run(schedules.run("other")).unwrap().is_none());
}

#[test]
fn a_ticker_that_somebody_cancels_or_deletes_is_made_up_for() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    simulation.run(schedules.put(hourly())).unwrap();
    let tickers = JobFilter { kinds: vec![longhaul::schedule::KIND.into()], ..JobFilter::default() };
    let cancel = longhaul::Action::cancel(MINUTE);
    simulation.run(longhaul.store().act(&tickers, cancel.clone(), 10)).unwrap();
    simulation.advance(HOUR);
    simulation.run(longhaul.store().act(&tickers, cancel, 10)).unwrap();
    simulation.run(longhaul.store().act(&tickers, longhaul::Action::Delete, 10)).unwrap();
    simulation.advance(HOUR);
    assert_eq!(ticks(&simulation, &longhaul, "s"), ["2027-01-01T01:00:00Z", "2027-01-01T02:00:00Z"]);
}

#[test]
fn a_definition_that_was_written_before_its_process_died_holds() {
    let (simulation, longhaul) = store();
    let other = Longhaul::over(longhaul.store().clone());
    let schedules = other.schedules().clock(simulation.clock.clone());
    // The write of a definition is all that a killed process has done: the series is what others see of it.
    simulation.run(schedules.put(hourly())).unwrap();
    let kept =
        simulation.run(longhaul.store().samples("longhaul.schedules", longhaul::Timestamp(0))).unwrap();
    simulation.run(schedules.delete("s")).unwrap();
    let (simulation, longhaul, _scheduler) = started();
    simulation.run(longhaul.store().put_samples(&kept)).unwrap();
    simulation.advance(HOUR);
    assert_eq!(ticks(&simulation, &longhaul, "s"), ["2027-01-01T01:00:00Z"]);
}

#[test]
fn servers_that_start_with_one_file_agree_on_its_schedules() {
    let (simulation, longhaul) = store();
    let servers = [0, 1, 2].map(|_| {
        let longhaul = Longhaul::over(longhaul.store().clone());
        let scheduler = Scheduler::start_on(longhaul.clone(), simulation.runtime());
        (longhaul.schedules().clock(simulation.clock.clone()), scheduler)
    });
    let load = |file: Vec<Schedule>| {
        let loads = servers.iter().map(|(schedules, _)| schedules.put_file(file.clone()));
        simulation.run(join_all(loads)).into_iter().collect::<Result<Vec<()>, Error>>()
    };
    simulation.run(servers[0].0.put(Schedule { name: "by-hand".into(), ..hourly() })).unwrap();
    load(vec![hourly(), Schedule { name: "t".into(), ..hourly() }]).unwrap();
    simulation.advance(HOUR);
    load(vec![hourly()]).unwrap();
    simulation.advance(HOUR);
    assert_eq!(ticks(&simulation, &longhaul, "s").len(), 2);
    assert_eq!(ticks(&simulation, &longhaul, "t").len(), 1, "it is in the file no more");
    assert_eq!(ticks(&simulation, &longhaul, "by-hand").len(), 2, "it never was");
    assert_eq!(tickers(&simulation, &longhaul), 2);
    let wrong = Schedule { timing: Timing::Every(Duration::ZERO), ..hourly() };
    assert!(matches!(load(vec![wrong]), Err(Error::Invalid { field, .. }) if field == "every"));
}

#[test]
fn updates_that_meet_leave_one_definition_and_one_ticker_of_it() {
    let (simulation, longhaul, _scheduler) = started();
    let schedules = longhaul.schedules().clock(simulation.clock.clone());
    let update = |minute: u32| schedules.put(Schedule::cron("s", format!("{minute} * * * *"), job()));
    for answer in simulation.run(join_all((0..10).map(|n| update(n * 5 + 1)))) {
        answer.unwrap();
    }
    simulation.advance(MINUTE);
    let Timing::Cron { cron, .. } = simulation.run(schedules.get("s")).unwrap().unwrap().schedule.timing
    else {
        panic!()
    };
    let minute: u32 = cron.split(' ').next().unwrap().parse().unwrap();
    simulation.advance(2 * HOUR);
    let later: Vec<String> =
        ticks(&simulation, &longhaul, "s").into_iter().filter(|tick| tick.contains("T01:")).collect();
    assert_eq!(later, [format!("2027-01-01T01:{minute:02}:00Z")]);
    assert_eq!(tickers(&simulation, &longhaul), 1);
}

#[test]
fn a_schedule_that_is_wrong_is_refused_with_its_field() {
    let (simulation, longhaul) = store();
    let schedules = longhaul.schedules();
    let with = |job: NewJob| Schedule { job, ..hourly() };
    let cases = [
        (Schedule { name: "a b".into(), ..hourly() }, "name: must be"),
        (Schedule { name: "n".repeat(65), ..hourly() }, "name: must be at most 64"),
        (hourly().timezone("Mars/Olympus"), "timezone: must be a time zone"),
        (hourly().jitter(25 * HOUR), "jitter: must be at most 86400"),
        (with(NewJob { id: Some(longhaul::JobId::random()), ..job() }), "job.id: must be left out"),
        (with(NewJob { start: longhaul::Start::After(HOUR), ..job() }), "job.run_at: must be left out"),
        (with(NewJob { kind: "".into(), ..job() }), "job.kind: must be"),
        (with(NewJob { priority: 101, ..job() }), "job.priority: must be"),
    ];
    for (schedule, reason) in cases {
        let error = simulation.run(schedules.put(schedule)).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
    assert!(simulation.run(schedules.list()).unwrap().is_empty());
    let _: &dyn Store = longhaul.store().as_ref();
}
