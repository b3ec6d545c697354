//! The contract of [`Store::events`](longhaul::Store::events).

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use longhaul::{
    Action, CancelReason, Deadline, Event, EventBody, JobId, NewJob, OnClash, Outcome, State, Unique,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{
    HOUR, LEASE, chunk, completed, delayed, failed, id, job, json, log, named, progress, retry, secs, step,
};

fn bodies(events: &[Event]) -> Vec<EventBody> {
    events.iter().map(|event| event.body.clone()).collect()
}

fn state(state: State) -> EventBody {
    EventBody::State { state, error: None, children: None, cancel_reason: None }
}

/// "A job that emits nothing has only its state to tell."
pub async fn a_job_that_emits_nothing_has_only_its_state_to_tell(fx: &Fixture) {
    let new = fx.enqueue(NewJob { id: Some(id("a")), ..delayed(secs(10)) }).await;
    let mut last = 0;
    let mut assert_only = async |expected: State| {
        let events = fx.events(&new).await;
        assert_eq!(bodies(&events), [state(expected)], "the present one only, not those it has left");
        assert!(events[0].seq > last, "with a number that is new");
        assert_eq!(fx.job(&new).await.last_event, events[0].seq);
        last = events[0].seq;
    };
    assert_only(State::Scheduled).await;
    fx.clock.advance(secs(10));
    fx.sweep().await;
    assert_only(State::Available).await;
    let claimed = fx.claim_one().await;
    assert_only(State::Running).await;
    fx.record(&claimed.lease, vec![step("ocr", "1")]).await;
    fx.end(&claimed.lease, Outcome::Snoozed { delay: secs(5) }).await;
    assert_only(State::Scheduled).await;
    fx.clock.advance(secs(5));
    let claimed = fx.claim_one().await;
    assert_only(State::Running).await;
    fx.end(&claimed.lease, Outcome::Released).await;
    assert_only(State::Available).await;
    assert_eq!(fx.act(&new, Action::cancel(secs(1))).await, 1);
    let events = fx.events(&new).await;
    assert_eq!(events.len(), 1);
    assert!(matches!(events[0].body, EventBody::State { state: State::Cancelled, .. }));
    assert_eq!((events[0].attempt, events[0].at), (0, fx.now()));
}

/// "Events after a number leave out what was seen."
pub async fn events_after_a_number_leave_out_what_was_seen(fx: &Fixture) {
    let claimed = fx.running().await;
    let at = &claimed.lease.id;
    let entries = vec![chunk("1"), log("hm"), chunk("2")];
    fx.record(&claimed.lease, entries).await;
    let all = fx.events(at).await;
    assert_eq!(all.len(), 4, "the state and three entries");
    assert_eq!(all[0].body, state(State::Running), "each has its place by its number");
    let last = all[3].seq;
    for after in 0..=last + 1 {
        let left: Vec<Event> = all.iter().filter(|event| event.seq > after).cloned().collect();
        assert_eq!(fx.events_after(at, after, 100).await, left, "after {after}");
    }
    fx.end(&claimed.lease, completed()).await;
    let news = bodies(&fx.events_after(at, last, 100).await);
    assert_eq!(news, [EventBody::Output { output: json(r#"{"bytes": 1.50}"#) }, state(State::Completed)]);
    let all = bodies(&fx.events(at).await);
    assert!(!all.contains(&state(State::Running)), "a state that was left is not told again");
    assert_eq!(all.len(), 5);
}

/// "Events are read in pieces without loss."
pub async fn events_are_read_in_pieces_without_loss(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.record(&claimed.lease, vec![chunk("1"), step("ocr", "1"), chunk("2")]).await;
    fx.end(&claimed.lease, retry(Duration::ZERO)).await;
    let claimed = fx.claim_one().await;
    fx.record(&claimed.lease, vec![chunk("3"), longhaul::Entry::Progress(progress(1.0))]).await;
    let running = fx.events(&claimed.lease.id).await;
    fx.end(&claimed.lease, completed()).await;
    let ended = fx.events(&claimed.lease.id).await;
    assert_eq!((running.len(), ended.len()), (6, 7), "{running:#?}\n{ended:#?}");
    assert!(ended.is_sorted_by(|a, b| a.seq < b.seq));
    for limit in 1..=8 {
        let mut read: Vec<Event> = Vec::new();
        loop {
            let after = read.last().map_or(0, |event| event.seq);
            let piece = fx.events_after(&claimed.lease.id, after, limit).await;
            assert!(piece.len() <= limit);
            if piece.is_empty() {
                break;
            }
            read.extend(piece);
        }
        assert_eq!(read, ended, "in pieces of {limit}");
    }

    // A reader that follows along misses no entry, whatever states come and go meanwhile.
    let seen = running[running.len() - 1].seq;
    let rest = fx.events_after(&claimed.lease.id, seen, 100).await;
    let told: Vec<EventBody> = bodies(&running).into_iter().chain(bodies(&rest)).collect();
    for body in bodies(&ended) {
        assert!(told.contains(&body), "{body:?}");
    }
}

/// "A completed job ends its log with output and state."
pub async fn a_completed_job_ends_its_log_with_output_and_state(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.record(&claimed.lease, vec![chunk("1")]).await;
    fx.clock.advance(secs(2));
    fx.end(&claimed.lease, Outcome::Completed { output: json("null") }).await;
    let events = fx.events(&claimed.lease.id).await;
    let expected = [
        EventBody::Chunk { data: json("1") },
        EventBody::Output { output: json("null") },
        state(State::Completed),
    ];
    assert_eq!(bodies(&events), expected, "an output of null is an output");
    let (output, end) = (&events[1], &events[2]);
    assert_eq!((end.at, end.attempt, output.at, output.attempt), (fx.now(), 1, fx.now(), 1));
    assert!(output.seq < end.seq);
    assert_eq!(fx.job(&claimed.lease.id).await.last_event, end.seq);

    // Neither is left of a completion that was undone.
    assert_eq!(fx.act(&claimed.lease.id, Action::Retry).await, 1);
    let events = fx.events(&claimed.lease.id).await;
    assert_eq!(bodies(&events), [EventBody::Chunk { data: json("1") }, state(State::Available)]);
    assert!(events[1].seq > end.seq);
}

/// Opens a reader that has seen everything, waits until it waits, does `change`, and answers what it reads.
async fn heard(fx: &Fixture, id: &JobId, what: &str, change: impl Future<Output = ()>) -> Vec<EventBody> {
    let seen = fx.job(id).await.last_event;
    let mut reading = pin!(fx.store.events(id, seen, 100, HOUR));
    park(fx, reading.as_mut()).await;
    change.await;
    let events = ok("read events", within(what, reading).await);
    let events = events.unwrap_or_else(|| panic!("{what}: {id} has a log"));
    assert!(!events.is_empty() && events.iter().all(|event| event.seq > seen), "{what}: {events:?}");
    bodies(&events)
}

/// "A waiting reader hears of a new event."
pub async fn a_waiting_reader_hears_of_a_new_event(fx: &Fixture) {
    let (claimed, other) = (fx.running().await, fx.running().await);
    let at = &claimed.lease.id;
    for data in ["1", "2"] {
        let news = heard(fx, at, "a chunk", async {
            // What another job has to say is no news of this one, and must not use up its wait.
            fx.record(&other.lease, vec![chunk("0")]).await;
            fx.record(&claimed.lease, vec![step("ocr", "1")]).await;
            fx.record(&claimed.lease, vec![chunk(data)]).await;
        });
        assert_eq!(news.await, [EventBody::Chunk { data: json(data) }]);
    }
    let last =
        longhaul::Finish { entries: vec![chunk("3")], ..crate::jobs::finish(&claimed.lease, retry(HOUR)) };
    let news = heard(fx, at, "a chunk with a finish", async {
        fx.finish_all(vec![last]).await;
    });
    assert_eq!(news.await[0], EventBody::Chunk { data: json("3") });
}

/// "A waiting reader hears of a change of state."
pub async fn a_waiting_reader_hears_of_a_change_of_state(fx: &Fixture) {
    let new = fx.enqueue(NewJob { max_crashes: 0, ..delayed(secs(10)) }).await;
    let promoted = heard(fx, &new, "a promotion", async {
        fx.clock.advance(secs(10));
        fx.sweep().await;
    });
    assert_eq!(promoted.await, [state(State::Available)]);
    let claimed = heard(fx, &new, "a claim", async {
        fx.claim_one().await;
    });
    assert_eq!(claimed.await, [state(State::Running)]);
    let poisoned = heard(fx, &new, "a rescue", async {
        fx.clock.advance(LEASE + secs(1));
        fx.sweep().await;
    });
    assert!(matches!(poisoned.await[..], [EventBody::State { state: State::Failed, error: Some(_), .. }]));

    let ends: [(Outcome, State); 4] = [
        (retry(HOUR), State::Scheduled),
        (failed(), State::Failed),
        (Outcome::Released, State::Available),
        (completed(), State::Completed),
    ];
    for (outcome, expected) in ends {
        let lease = fx.running().await.lease;
        let what = format!("{outcome:?}");
        let news = heard(fx, &lease.id, &what, fx.end(&lease, outcome)).await;
        let last = news.last().unwrap_or_else(|| panic!("{what} is heard"));
        assert!(matches!(last, EventBody::State { state, .. } if *state == expected), "{what}: {last:?}");
        fx.act(&lease.id, Action::cancel(secs(1))).await;
    }

    let waiting = fx.enqueue(job()).await;
    let cancelled = heard(fx, &waiting, "a cancel", async {
        fx.act(&waiting, Action::cancel(secs(1))).await;
    });
    assert!(matches!(cancelled.await[..], [EventBody::State { state: State::Cancelled, .. }]));
}

/// "A waiting reader hears that a job is asked to stop."
pub async fn a_waiting_reader_hears_that_a_job_is_asked_to_stop(fx: &Fixture) {
    let told = |state, cancel_reason| EventBody::State {
        state,
        error: None,
        children: None,
        cancel_reason: Some(cancel_reason),
    };
    let asked = fx.running().await.lease;
    let news = heard(fx, &asked.id, "a request to stop", async {
        fx.act(&asked.id, Action::cancel(HOUR)).await;
    });
    assert_eq!(news.await, [told(State::Running, CancelReason::Asked)]);
    let seen = fx.job(&asked.id).await.last_event;
    assert_eq!(fx.act(&asked.id, Action::cancel(HOUR)).await, 0);
    assert_eq!(fx.job(&asked.id).await.last_event, seen, "a second request that changes nothing is not told");
    let news = heard(fx, &asked.id, "a shorter grace", async {
        fx.act(&asked.id, Action::cancel(secs(5))).await;
    });
    assert_eq!(news.await, [told(State::Running, CancelReason::Asked)]);
    let news = heard(fx, &asked.id, "the end of its grace", async {
        fx.clock.advance(secs(6));
        fx.sweep().await;
    });
    assert!(matches!(
        news.await[..],
        [EventBody::State { state: State::Cancelled, cancel_reason: Some(CancelReason::Asked), .. }]
    ));

    // Entries keep their places around it.
    let unique = |name: &str| {
        let supersede = Unique { on_clash: OnClash::Supersede, ..Unique::new("k") };
        NewJob { unique: Some(supersede), ..named(name) }
    };
    let superseded = fx.running_from(unique("a")).await.lease;
    fx.record(&superseded, vec![chunk("1")]).await;
    let news = heard(fx, &superseded.id, "a supersede", async {
        fx.enqueue(unique("b")).await;
    });
    assert_eq!(news.await, [told(State::Running, CancelReason::Superseded)]);
    fx.record(&superseded, vec![chunk("2")]).await;
    let events = fx.events(&superseded.id).await;
    let expected = [
        EventBody::Chunk { data: json("1") },
        told(State::Running, CancelReason::Superseded),
        EventBody::Chunk { data: json("2") },
    ];
    assert_eq!(bodies(&events), expected);

    let late = NewJob { deadline: Some(Deadline::In(secs(9))), ..named("late") };
    fx.act(&id("b"), Action::cancel(Duration::ZERO)).await;
    let late = fx.running_from(late).await.lease;
    let news = heard(fx, &late.id, "a deadline", async {
        fx.clock.advance(secs(9));
        fx.sweep().await;
    });
    assert_eq!(news.await, [told(State::Running, CancelReason::Deadline)]);
}

/// "A reader of a finished job does not wait."
pub async fn a_reader_of_a_finished_job_does_not_wait(fx: &Fixture) {
    for outcome in [completed(), failed(), crate::jobs::cancelled()] {
        let lease = fx.running().await.lease;
        fx.end(&lease, outcome.clone()).await;
        let last = fx.job(&lease.id).await.last_event;
        let read = async |after| {
            let reading = fx.store.events(&lease.id, after, 100, HOUR);
            ok("read events", within("a reader of a finished job", reading).await)
        };
        assert_eq!(read(last).await, Some(Vec::new()), "{outcome:?}: nothing will follow");
        assert_eq!(read(last + 5).await, Some(Vec::new()));
        assert_eq!(read(0).await, Some(fx.events(&lease.id).await));
    }

    // An unfinished one is waited for no longer than was asked.
    let waiting = fx.enqueue(named("a")).await;
    let begin = fx.now();
    let mut reading = pin!(fx.store.events(&waiting, 1, 100, secs(5)));
    park(fx, reading.as_mut()).await;
    let events = within("a reader whose wait is over", async {
        // A store with threads of its own may begin to wait only now, so its end is at no certain time.
        loop {
            fx.clock.advance(secs(1));
            if let std::task::Poll::Ready(answer) = futures::poll!(reading.as_mut()) {
                return ok("read events", answer);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(events, Some(Vec::new()));
    assert!(fx.now() >= begin.plus(secs(5)));
}

/// "Events of an unknown job are none."
pub async fn events_of_an_unknown_job_are_none(fx: &Fixture) {
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..named("a") }).await;
    for wait in [Duration::ZERO, HOUR] {
        let unknown = id("unknown");
        let reading = fx.store.events(&unknown, 0, 10, wait);
        let events = ok("read events", within("a reader of an unknown job", reading).await);
        assert_eq!(events, None, "and are not waited for");
    }
    let deleted = fx.running_from(named("b")).await.lease;
    fx.record(&deleted, vec![chunk("1")]).await;
    fx.end(&deleted, failed()).await;
    assert_eq!(fx.act(&deleted.id, Action::Delete).await, 1);
    assert_eq!(ok("read events", fx.store.events(&deleted.id, 0, 10, HOUR).await), None);
    fx.enqueue(named("b")).await;
    assert_eq!(bodies(&fx.events(&deleted.id).await), [state(State::Available)], "nor do they come back");
}
