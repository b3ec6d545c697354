//! Races between what people do by hand, or retention, and what happens to a job by itself: in either order the answers fit what
//! is there afterwards.

use std::collections::BTreeSet;

use longhaul::{
    Action, Children, Claim, EnqueueStatus, Error, JobFilter, KeyConfig, KeyFilter, KeyInfo, Lease,
    LeaseStatus, Lookup, NewJob, Start, State, WaitsFor,
};

use crate::Fixture;
use crate::depends::{after, after_any_end};
use crate::fixture::{ok, within};
use crate::jobs::{
    HOUR, LEASE, QUEUE, claim, completed, failed, finish, id, job, kind, limited, log, named, secs, slots,
    unique,
};
use crate::races::{ROUNDS, both};
use crate::waits::waits;

const CANCEL: Action = Action::cancel(LEASE);

/// Claims so many jobs, which are available or about to be: a claim may pass over what another transaction is at.
async fn claim_all(fx: &Fixture, count: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    while leases.len() < count {
        let waiting = fx.store.claim(Claim { wait: HOUR, ..claim() });
        let claimed = ok("claim", within("a claim of what is there", waiting).await);
        leases.extend(claimed.into_iter().map(|claimed| claimed.lease));
    }
    assert_eq!(leases.len(), count, "each once");
    leases
}

/// A job of this name that has failed.
async fn failed_job(fx: &Fixture, job: NewJob) -> longhaul::JobId {
    let lease = fx.running_from(job).await.lease;
    fx.end(&lease, failed()).await;
    lease.id
}

/// A job is retried while retention removes it.
pub async fn a_retry_while_retention_removes_the_job_has_one_winner(fx: &Fixture) {
    for round in 0..ROUNDS {
        let job = failed_job(fx, named(&format!("j{round}"))).await;
        // Of failed jobs retention keeps fourteen days.
        fx.clock.advance(secs(15 * 24 * 3600));
        let (one, other, again) = (fx.clone(), fx.clone(), job.clone());
        let (retried, swept) =
            both(async move { one.act(&again, Action::Retry).await }, async move { other.sweep().await })
                .await;
        match (retried, swept.pruned) {
            (1, 0) => {
                let lease = fx.claim_one().await.lease;
                assert_eq!(lease.id, job);
                fx.end(&lease, completed()).await;
                assert_eq!(fx.act(&job, Action::Delete).await, 1);
            }
            (0, 1) => assert_eq!(fx.lookup(&job).await, Lookup::Gone),
            answers => panic!("either it runs again or it is removed, not {answers:?}"),
        }
        assert!(fx.counts(QUEUE).await.is_empty(), "round {round}");
    }
}

/// A job is retried while it is deleted.
pub async fn a_retry_while_the_job_is_deleted_has_one_winner(fx: &Fixture) {
    for round in 0..ROUNDS {
        let job = failed_job(fx, named(&format!("j{round}"))).await;
        let (one, other) = (fx.clone(), fx.clone());
        let (again, gone) = (job.clone(), job.clone());
        let done = both(async move { one.act(&again, Action::Retry).await }, async move {
            other.act(&gone, Action::Delete).await
        })
        .await;
        match done {
            (1, 0) => {
                fx.end(&fx.claim_one().await.lease, completed()).await;
                assert_eq!(fx.act(&job, Action::Delete).await, 1);
            }
            (0, 1) => assert_eq!(fx.lookup(&job).await, Lookup::Gone),
            answers => panic!("either it runs again or it is removed, not {answers:?}"),
        }
        assert!(fx.counts(QUEUE).await.is_empty(), "round {round}");
    }
}

/// A child is retried by two people at once.
pub async fn a_child_that_two_retry_at_once_is_waited_for_once(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let all = id(&format!("all-{round}"));
        let closing = NewJob { start: Start::AfterChildren, ..named(all.as_str()) };
        let child = || NewJob { parent: Some(all.clone()), ..job() };
        fx.enqueue_all(vec![closing, child(), child()]).await;
        let leases = fx.claim_leases().await;
        fx.end(&leases[0], failed()).await;
        let (one, other) = (fx.clone(), fx.clone());
        let (first, second) = (leases[0].id.clone(), leases[0].id.clone());
        let (first, second) = both(async move { one.act(&first, Action::Retry).await }, async move {
            other.act(&second, Action::Retry).await
        })
        .await;
        assert_eq!(first + second, 1, "it is retried once");
        assert_eq!(fx.job(&all).await.children, Some(Children { total: 2, ..Children::default() }));
        fx.end(&leases[1], completed()).await;
        fx.end(&fx.claim_one().await.lease, completed()).await;
        let counted = Children { total: 2, completed: 2, ..Children::default() };
        let record = fx.job(&all).await;
        assert_eq!((record.state, record.children), (State::Available, Some(counted)));
        fx.end(&fx.claim_one().await.lease, completed()).await;
    }
}

/// A child is retried while the last of the others ends.
pub async fn a_child_that_is_retried_while_the_last_one_ends_is_counted_once(fx: &Fixture) {
    for round in 0..ROUNDS {
        let all = id(&format!("all-{round}"));
        let closing = NewJob { start: Start::AfterChildren, ..named(all.as_str()) };
        let child = || NewJob { parent: Some(all.clone()), ..job() };
        fx.enqueue_all(vec![closing, child(), child()]).await;
        let leases = fx.claim_leases().await;
        fx.end(&leases[0], failed()).await;
        let (one, other) = (fx.clone(), fx.clone());
        let (again, last) = (leases[0].id.clone(), leases[1].clone());
        let (retried, ()) = both(async move { one.act(&again, Action::Retry).await }, async move {
            other.end(&last, completed()).await
        })
        .await;
        assert_eq!(retried, 1);
        // The child, and the closing job where it was let go before.
        let mut runs = 0;
        loop {
            let leases = fx.claim_leases().await;
            if leases.is_empty() {
                break;
            }
            runs += leases.len();
            fx.finish_all(leases.iter().map(|lease| finish(lease, completed())).collect()).await;
        }
        let counted = Children { total: 2, completed: 2, ..Children::default() };
        let record = fx.job(&all).await;
        assert_eq!((runs, record.state, record.children), (2, State::Completed, Some(counted)));
    }
}

/// A closing job is cancelled while its last child ends.
pub async fn a_parent_that_is_cancelled_while_its_last_child_ends_stays_so(fx: &Fixture) {
    for round in 0..ROUNDS {
        let all = id(&format!("all-{round}"));
        let closing = NewJob { start: Start::AfterChildren, ..named(all.as_str()) };
        fx.enqueue_all(vec![closing, NewJob { parent: Some(all.clone()), ..job() }]).await;
        let child = fx.claim_one().await.lease;
        let (one, other, parent) = (fx.clone(), fx.clone(), all.clone());
        let (cancelled, ()) = both(async move { one.act(&parent, CANCEL).await }, async move {
            other.end(&child, completed()).await
        })
        .await;
        assert_eq!((cancelled, fx.state(&all).await), (1, State::Cancelled), "in either order");
        assert!(fx.claim_ids().await.is_empty());
    }
}

/// A run begins to wait for its children, a signal or a person while it is cancelled.
pub async fn a_run_that_begins_to_wait_while_it_is_cancelled_ends(fx: &Fixture) {
    for round in 0..ROUNDS {
        let name = format!("p{round}");
        let parent = fx.running_from(named(&name)).await.lease;
        fx.enqueue(NewJob { parent: Some(parent.id.clone()), ..job() }).await;
        let child = fx.claim_one().await.lease;
        let on = match round % 3 {
            0 => WaitsFor::Children,
            1 => WaitsFor::Signal("approve".into()),
            _ => WaitsFor::Person,
        };
        let (one, other, run) = (fx.clone(), fx.clone(), parent.clone());
        let (cancelled, ()) = both(
            {
                let parent = parent.id.clone();
                async move { one.act(&parent, CANCEL).await }
            },
            async move { other.end_asked(&run, waits(on, None)).await },
        )
        .await;
        assert_eq!((cancelled, fx.state(&parent.id).await), (1, State::Cancelled), "in either order");
        fx.end(&child, completed()).await;
        assert!(fx.claim_ids().await.is_empty());
    }
}

/// A job that waits for a signal is cancelled while the signal comes.
pub async fn a_wait_that_is_cancelled_while_its_signal_comes_ends(fx: &Fixture) {
    for round in 0..ROUNDS {
        let lease = fx.running_from(named(&format!("j{round}"))).await.lease;
        fx.end(&lease, waits(WaitsFor::Signal("approve".into()), None)).await;
        let (one, other) = (fx.clone(), fx.clone());
        let (first, second) = (lease.id.clone(), lease.id.clone());
        let (cancelled, _) = both(async move { one.act(&first, CANCEL).await }, async move {
            ok("signal", other.store.signal(&second, "approve", &crate::jobs::json("7")).await)
        })
        .await;
        assert_eq!((cancelled, fx.state(&lease.id).await), (1, State::Cancelled), "in either order");
        assert!(fx.claim_ids().await.is_empty());
    }
}

/// Jobs are given another priority while they are claimed, with limit keys and without.
pub async fn jobs_whose_priority_changes_while_they_are_claimed_run_once(fx: &Fixture) {
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..8).map(|n| format!("{round}-{n}")).collect();
        let jobs = names.iter().enumerate().map(|(n, name)| match n % 2 {
            0 => named(name),
            _ => limited(name, &["tenant"]),
        });
        let ids: BTreeSet<_> = fx.enqueue_all(jobs.collect()).await.into_iter().map(|job| job.id).collect();
        let (one, other) = (fx.clone(), fx.clone());
        let waiting = JobFilter { ids: ids.iter().cloned().collect(), ..JobFilter::default() };
        let priority = if round % 2 == 0 { 7 } else { -7 };
        let (changed, claimed) = both(
            async move { one.act_on(&waiting, Action::SetPriority { priority }, 100).await },
            async move { other.claim(Claim { queues: vec![slots(QUEUE, 5)], ..claim() }).await },
        )
        .await;
        assert_eq!(changed, 8, "running or not, each has it");
        let rest = claim_all(fx, 8 - claimed.len()).await;
        let leases: Vec<_> = claimed.into_iter().map(|claimed| claimed.lease).chain(rest).collect();
        assert_eq!(leases.iter().map(|lease| lease.id.clone()).collect::<BTreeSet<_>>(), ids);
        fx.finish_all(leases.iter().map(|lease| finish(lease, completed())).collect()).await;
        let tenant = tenant(fx).await;
        assert_eq!((tenant.waiting, tenant.used), (0, 0));
        assert!(fx.claim_ids().await.is_empty());
    }
}

/// All jobs of a queue are cancelled while they are claimed.
pub async fn a_cancel_of_all_jobs_while_they_are_claimed_reaches_each(fx: &Fixture) {
    for _ in 0..ROUNDS / 4 {
        let ids: Vec<_> =
            fx.enqueue_all((0..40).map(|_| job()).collect()).await.into_iter().map(|job| job.id).collect();
        let (one, other) = (fx.clone(), fx.clone());
        let all = JobFilter { ids: ids.clone(), ..JobFilter::default() };
        let (cancelled, claimed) = both(async move { one.act_on(&all, CANCEL, 100).await }, async move {
            other.claim(Claim { queues: vec![slots(QUEUE, 20)], ..claim() }).await
        })
        .await;
        assert_eq!(cancelled, 40, "each is cancelled or asked to stop");
        let running: BTreeSet<_> = claimed.iter().map(|claimed| claimed.lease.id.clone()).collect();
        for record in fx.lookup_all(&ids).await.into_iter().filter_map(Lookup::found) {
            match running.contains(&record.id) {
                true => assert!(record.state == State::Running && record.cancel_requested),
                false => assert_eq!(record.state, State::Cancelled),
            }
        }
        assert!(fx.claim_ids().await.is_empty());
        for claimed in claimed {
            fx.end_asked(&claimed.lease, crate::jobs::cancelled()).await;
        }
    }
}

/// A dependant is enqueued while the job that it depends on is removed.
pub async fn a_dependant_of_a_job_that_is_removed_at_the_moment_is_refused_or_free(fx: &Fixture) {
    for round in 0..ROUNDS {
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        let lease = fx.running_from(named(&first)).await.lease;
        fx.end(&lease, completed()).await;
        let (one, other, dependant) = (fx.clone(), fx.clone(), after(&second, &[&first]));
        let (answer, removed) = both(async move { one.store.enqueue(vec![dependant]).await }, async move {
            other.act(&lease.id, Action::Delete).await
        })
        .await;
        assert_eq!(removed, 1);
        match answer {
            Ok(_) => {
                assert_eq!(fx.state(&id(&second)).await, State::Available, "it counted the end");
                fx.end(&fx.claim_one().await.lease, completed()).await;
            }
            Err(Error::Invalid { .. }) => assert_eq!(fx.lookup(&id(&second)).await, Lookup::Unknown),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A dependant is enqueued while the job that it depends on, which has failed, is retried.
pub async fn a_dependant_of_a_job_that_is_retried_at_the_moment_runs_once_it_has_ended(fx: &Fixture) {
    for round in 0..ROUNDS {
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        let job = failed_job(fx, named(&first)).await;
        let (one, other, dependant) = (fx.clone(), fx.clone(), after_any_end(&second, &[&first]));
        let (_, retried) =
            both(
                async move { one.enqueue(dependant).await },
                async move { other.act(&job, Action::Retry).await },
            )
            .await;
        assert_eq!(retried, 1);
        let state = fx.state(&id(&second)).await;
        let leases = fx.claim_leases().await;
        match state {
            State::Available => assert_eq!(leases.len(), 2, "it counted the first end"),
            State::Blocked => assert_eq!(leases.len(), 1, "it waits for the second"),
            state => panic!("{state}"),
        }
        fx.finish_all(leases.iter().map(|lease| finish(lease, completed())).collect()).await;
        if state == State::Blocked {
            fx.end(&fx.claim_one().await.lease, completed()).await;
        }
        assert_eq!(fx.state(&id(&second)).await, State::Completed);
    }
}

/// A job with a unique key is retried while another takes the key.
pub async fn a_retry_while_another_takes_the_unique_key_has_one_winner(fx: &Fixture) {
    for round in 0..ROUNDS {
        let keyed = || unique(&format!("k{round}"), None);
        let former = failed_job(fx, keyed()).await;
        let (one, other, again, newcomer) = (fx.clone(), fx.clone(), former.clone(), keyed());
        let (retried, offered) =
            both(
                async move { one.act(&again, Action::Retry).await },
                async move { other.offer(newcomer).await },
            )
            .await;
        match (retried, offered.status) {
            (1, EnqueueStatus::Duplicate) => assert_eq!(offered.id, former),
            (0, EnqueueStatus::Created) => assert_ne!(offered.id, former),
            answers => panic!("one of them runs, not {answers:?}"),
        }
        let lease = fx.claim_one().await.lease;
        assert_eq!(lease.id, offered.id);
        assert!(fx.claim_ids().await.is_empty(), "the other does not");
        fx.end(&lease, completed()).await;
    }
}

/// A queue is paused while its jobs are claimed, and configured.
pub async fn a_pause_of_a_queue_and_its_configuration_do_not_undo_each_other(fx: &Fixture) {
    for round in 0..ROUNDS {
        fx.enqueue_all(vec![job(), job(), job()]).await;
        let (one, other) = (fx.clone(), fx.clone());
        let config = longhaul::QueueConfig {
            slots: Some(if round % 3 == 0 { 50 } else { 60 }),
            fair: round % 2 == 0,
            ..longhaul::QueueConfig::default()
        };
        let (taken, ()) = both(
            async move {
                let taken = one.claim(Claim { queues: vec![slots(QUEUE, 1)], ..claim() }).await;
                ok("pause a queue", one.store.pause_queue(QUEUE).await);
                assert!(one.claim_ids().await.is_empty(), "the pause has begun");
                taken
            },
            {
                let config = config.clone();
                async move { other.set_queue(QUEUE, &config).await }
            },
        )
        .await;
        let queue = fx.queue(QUEUE).await;
        assert_eq!((queue.paused, queue.config), (true, config));
        ok("resume a queue", fx.store.resume_queue(QUEUE).await);
        let rest = claim_all(fx, 3 - taken.len()).await;
        let leases: Vec<_> = taken.into_iter().map(|claimed| claimed.lease).chain(rest).collect();
        fx.finish_all(leases.iter().map(|lease| finish(lease, completed())).collect()).await;
    }
}

async fn set_slots_of_key(fx: &Fixture, slots: Option<u32>) {
    let config = slots.map(|slots| KeyConfig { slots: Some(slots), ..KeyConfig::default() });
    ok("configure a key", fx.store.set_key("tenant", config.as_ref()).await);
}

async fn tenant(fx: &Fixture) -> KeyInfo {
    let tenant = KeyFilter { names: vec!["tenant".into()], limit: 1, ..KeyFilter::default() };
    ok("list keys", fx.store.keys(&tenant).await).remove(0)
}

/// The slots of a key are set and taken away while its jobs are claimed and end.
pub async fn slots_of_a_key_that_are_set_while_jobs_begin_and_end_are_counted_once(fx: &Fixture) {
    for round in 0..ROUNDS {
        let of_key = || NewJob { limit_keys: vec!["tenant".into()], ..job() };
        set_slots_of_key(fx, Some(6)).await;
        fx.enqueue_all((0..6).map(|_| of_key()).collect()).await;
        let (one, other) = (fx.clone(), fx.clone());
        let begin_and_end = async move {
            let mut leases = one.claim_leases().await;
            let left = leases.split_off(leases.len().min(2));
            one.finish_all(leases.iter().map(|lease| finish(lease, completed())).collect()).await;
            (leases.len(), left)
        };
        let lower = async move { set_slots_of_key(&other, (round % 3 > 0).then_some(1)).await };
        let ((ended, left), ()) = both(begin_and_end, lower).await;
        set_slots_of_key(fx, Some(1)).await;
        assert_eq!(tenant(fx).await.used, left.len() as u64, "round {round}");
        if !left.is_empty() {
            assert!(fx.claim_ids().await.is_empty(), "more run than may already");
        }
        fx.finish_all(left.iter().map(|lease| finish(lease, completed())).collect()).await;
        set_slots_of_key(fx, None).await;
        let rest = claim_all(fx, 6 - ended - left.len()).await;
        fx.finish_all(rest.iter().map(|lease| finish(lease, completed())).collect()).await;
        assert_eq!(tenant(fx).await.used, 0, "round {round}");
        assert!(fx.claim_ids().await.is_empty());
    }
}

/// A bound on waiting jobs is set while jobs that wait fall due.
pub async fn a_bound_that_is_set_while_jobs_fall_due_counts_each(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let delayed = |n: usize| NewJob {
            kind: format!("kind-{}", n % 3).into(),
            start: Start::After(secs(1)),
            ..job()
        };
        fx.enqueue_all((0..6).map(delayed).chain([NewJob { kind: "zoom".into(), ..job() }]).collect()).await;
        fx.clock.advance(secs(1));
        let (one, other) = (fx.clone(), fx.clone());
        let config = longhaul::QueueConfig { max_waiting: Some(10), ..longhaul::QueueConfig::default() };
        both(async move { one.set_queue(QUEUE, &config).await }, async move { other.sweep().await }).await;
        let answers = fx.enqueue_all((0..8).map(|_| job()).collect()).await;
        let created = answers.iter().filter(|answer| answer.status == EnqueueStatus::Created).count();
        assert_eq!(created, 3, "seven waited already, in round {round}");
        fx.set_queue(QUEUE, &longhaul::QueueConfig::default()).await;
        let kinds = ["kind-0", "kind-1", "kind-2", "zoom", crate::jobs::KIND].map(|name| kind(name, 1));
        let leases = fx.claim(Claim { kinds: kinds.into(), ..claim() }).await;
        assert_eq!(leases.len(), 10);
        fx.finish_all(leases.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
    }
}

/// A job ends while its log is read, and is deleted at once.
pub async fn a_reader_that_waits_while_its_job_ends_and_is_deleted_is_answered(fx: &Fixture) {
    for round in 0..ROUNDS {
        let lease = fx.running_from(named(&format!("j{round}"))).await.lease;
        let seen = fx.job(&lease.id).await.last_event;
        let (one, other, read) = (fx.clone(), fx.clone(), lease.id.clone());
        let (events, removed) = both(
            async move { ok("read events", one.store.events(&read, seen, 100, HOUR).await) },
            async move {
                other.end(&lease, completed()).await;
                other.act(&lease.id, Action::Delete).await
            },
        )
        .await;
        assert_eq!(removed, 1);
        assert!(events.is_none_or(|events| !events.is_empty()), "it heard of the end, or found no job");
    }
}

/// A log is read again and again while its job is deleted.
pub async fn a_log_that_is_read_while_its_job_is_deleted_is_whole_or_none(fx: &Fixture) {
    for round in 0..ROUNDS {
        let lease = fx.running_from(named(&format!("j{round}"))).await.lease;
        let lines = (0..5).map(|line| log(&format!("line {line}"))).collect();
        assert_eq!(fx.record(&lease, lines).await, LeaseStatus::Held);
        fx.end(&lease, completed()).await;
        let whole = fx.events(&lease.id).await;
        let (one, other, read) = (fx.clone(), fx.clone(), lease.id.clone());
        both(
            async move {
                while let Some(events) = ok("read events", one.store.events(&read, 0, 100, HOUR).await) {
                    assert_eq!(events, whole);
                    // A store that answers at once would read on and on in a runtime of one thread.
                    tokio::task::yield_now().await;
                }
            },
            async move { assert_eq!(other.act(&lease.id, Action::Delete).await, 1) },
        )
        .await;
    }
}
