//! The witness of a run: it stands around the store, sees each call with its answer and each change of state in their order,
//! and checks the engine's promises on what it saw.
//!
//! | file | what |
//! |---|---|
//! | `ledger` | the jobs by their reported changes of state, and the rules for a change |
//! | `unique` | unique keys, bounds on what waits, and the times of a job |
//! | `limits` | what is taken of limit keys, by the witness' own count |
//! | `leases` | tokens, leases and the ends of runs |
//! | `waits` | what jobs wait for: others, children, signals, people |
//! | `steps` | what jobs have done |
//! | `quiet` | those who wait though there is something for them |
//! | `end` | what must hold when all is over |

mod end;
mod leases;
mod ledger;
mod limits;
mod quiet;
mod steps;
mod unique;
mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{Change, Event, JobId, NewJob, Observer, Result, State, Store};
use parking_lot::Mutex;

pub(crate) use self::end::Tick;
use self::ledger::{Deed, Ledger};
use self::quiet::Waiting;
use crate::world::{World, at_once};

/// A promise that a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The promise.
    pub promise: &'static str,
    /// The observation that contradicts it.
    pub how: String,
    /// The time since the begin of the run.
    pub at: Duration,
}

/// The promises that a run is judged by.
pub const PROMISES: [&str; 26] = [
    ACKNOWLEDGED,
    BATCH,
    BOUNDS,
    CHANGES,
    CLAIMS,
    COUNTS,
    DEPENDS,
    EVENTS,
    FENCED,
    HAND_BACK,
    LEASE,
    LIVELY,
    OVERLAP,
    PAUSES,
    PERSONS,
    PREFERS,
    RATES,
    SIGNALS,
    SLEEPS,
    SLOTS,
    STEPS,
    TICKS,
    TIMES,
    UNIQUE,
    UNIQUE_FREE,
    WAKES,
];
pub(crate) const ACKNOWLEDGED: &str = "nothing acknowledged is lost";
pub(crate) const BATCH: &str = "who waits for children goes on once, when all of them have ended";
pub(crate) const CHANGES: &str = "jobs change only as their life allows, and each change is told once";
pub(crate) const CLAIMS: &str = "a claim gives what it was asked for, and each run has a token of its own";
pub(crate) const COUNTS: &str = "counts agree with the jobs there are";
pub(crate) const DEPENDS: &str =
    "a dependant starts, or is cancelled, exactly when the ends of its dependencies say so";
pub(crate) const EVENTS: &str = "readers get a job's events in order and without gaps";
pub(crate) const FENCED: &str = "what comes with an old token changes nothing, and the current one is heard";
pub(crate) const HAND_BACK: &str = "a run ends by its own finish, the end of its lease or of a grace";
pub(crate) const LEASE: &str = "the engine's own tasks neither panic nor spin";
pub(crate) const LIVELY: &str = "every job ends once faults have stopped";
pub(crate) const OVERLAP: &str = "two runs of a job never overlap while their processes and clocks go on";
pub(crate) const PAUSES: &str = "no job of a paused queue or key starts";
pub(crate) const PERSONS: &str = "only a job whose attempts are used up waits for a person, and only for one";
pub(crate) const PREFERS: &str =
    "no worker is given a job that is for others, nor before they had their time";
pub(crate) const RATES: &str = "no window has more starts than its rate allows";
pub(crate) const SIGNALS: &str =
    "the first signal of a name is kept, ends its wait, and is what the job is given";
pub(crate) const SLEEPS: &str = "a sleep or a timeout is over no sooner than its time";
pub(crate) const SLOTS: &str = "runs never take more slots than a key or a queue has, and none is lost";
pub(crate) const STEPS: &str = "a step whose output is recorded is not run again";
pub(crate) const TICKS: &str = "each tick of a schedule is fired once";
pub(crate) const BOUNDS: &str = "no job is enqueued beyond a bound on what waits";
pub(crate) const TIMES: &str = "no job starts once its time is over";
pub(crate) const UNIQUE: &str = "a unique key has one unfinished job at most, but for those that give way";
pub(crate) const UNIQUE_FREE: &str = "a unique key is free once its job has ended";
pub(crate) const WAKES: &str = "who waits is woken when there is something for them";

pub(crate) struct Witness {
    pub(crate) world: Arc<World>,
    /// The store that is judged.
    store: Arc<dyn Store>,
    ledger: Mutex<Ledger>,
    waiting: Mutex<Waiting>,
}

impl Witness {
    pub(crate) fn of(world: Arc<World>, store: Arc<dyn Store>) -> Arc<Self> {
        let witness = Arc::new(Self {
            world,
            store: Arc::clone(&store),
            ledger: Mutex::default(),
            waiting: Mutex::default(),
        });
        if let Some(changes) = store.changes() {
            changes.observe(&witness);
        }
        witness
    }

    /// The store as the network reaches it.
    pub(crate) fn watched(self: &Arc<Self>) -> Arc<dyn Store> {
        let witness = Arc::downgrade(self);
        Arc::new(Intercept::over(Arc::clone(&self.store), move |store, call| {
            let witness = witness.upgrade();
            async move {
                match witness {
                    Some(witness) => witness.around(store, call).await,
                    None => call.on(store.as_ref()).await,
                }
            }
        }))
    }

    async fn around(&self, store: Arc<dyn Store>, mut call: Call) -> Result<Answer> {
        self.count(crate::network::name_of(&call));
        self.name_jobs(&mut call);
        let _open = self.open(&call);
        let asked = call.clone();
        let before = {
            let mut ledger = self.ledger.lock();
            ledger.deed = Deed::of(&call, self.world.store_clock.now());
            ledger.offer(&call);
            ledger.before(&call)
        };
        // All but a claim and a reader are done in one go, so that nothing else can happen in between.
        if is_waiting(&call) {
            self.ledger.lock().deed = Deed::None;
        }
        let mut answer = call.on(store.as_ref()).await;
        let mut ledger = self.ledger.lock();
        let now = self.world.store_clock.now();
        if let Ok(answer) = &mut answer {
            ledger.check_answer(&asked, answer, &before, now);
            ledger.note_deed(&asked, now);
        }
        ledger.deed = Deed::None;
        answer
    }

    /// Gives each new job without an id of its own, or with a random one, an id that follows from the run, so that two runs of
    /// one seed are alike.
    fn name_jobs(&self, call: &mut Call) {
        let mut ledger = self.ledger.lock();
        let mut name = |job: &mut NewJob| {
            let random = job.id.clone().filter(crate::network::is_random);
            if job.id.is_some() && random.is_none() {
                return;
            }
            let next = JobId::from_store(format!("n{}", ledger.named.len()));
            // The same call, delivered twice, names the same job.
            let key = random.unwrap_or_else(|| next.clone());
            job.id = Some(ledger.named.entry(key).or_insert(next).clone());
        };
        if let Call::Enqueue(jobs) = call {
            jobs.iter_mut().for_each(&mut name);
        }
        for finish in call.finishes_mut() {
            finish.follow_ups.iter_mut().for_each(&mut name);
        }
    }

    /// Notes that a promise was broken; the first one counts.
    pub(crate) fn break_promise(&self, promise: &'static str, how: String) {
        self.ledger.lock().break_promise(promise, how);
    }

    /// The first promise that was broken.
    pub(crate) fn broken(&self) -> Option<Broken> {
        let mut broken = self.ledger.lock().broken.clone()?;
        broken.at = self.world.now();
        Some(broken)
    }

    /// Notes that a caller was answered that a job is stored.
    pub(crate) fn acknowledge(&self, id: &JobId) {
        self.ledger.lock().acknowledged.insert(id.clone());
    }

    /// The log of a job, as a late reader gets it.
    pub(crate) fn read_whole(&self, id: &JobId) -> Option<Vec<Event>> {
        at_once(self.store.events(id, 0, 20_000, Duration::ZERO)).ok().flatten()
    }

    /// Counts an event for the report.
    pub(crate) fn count(&self, what: &'static str) {
        *self.ledger.lock().counts.entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.ledger.lock().counts.clone()
    }

    /// The jobs that have not ended.
    pub(crate) fn unfinished(&self) -> Vec<(JobId, State)> {
        self.ledger.lock().unfinished()
    }

    /// Notes that the store's clock has jumped: leases may end early.
    pub(crate) fn note_jump(&self) {
        self.ledger.lock().jumped_at = Some(self.world.now());
    }

    /// The time of the last jump of the store's clock.
    pub(crate) fn jumped_at(&self) -> Option<Duration> {
        self.ledger.lock().jumped_at
    }

    /// The number of times that a job was run again by hand.
    pub(crate) fn retries(&self, id: &JobId) -> u32 {
        self.ledger.lock().jobs.get(id).map_or(0, |job| job.retries)
    }
}

/// True for the calls that may stay open for long.
fn is_waiting(call: &Call) -> bool {
    match call {
        Call::Claim(claim) => !claim.wait.is_zero(),
        Call::Events(_, _, _, wait) => !wait.is_zero(),
        _ => false,
    }
}

impl Observer for Witness {
    fn changed(&self, change: &Change<'_>) {
        if change.queue == crate::planted::QUEUE {
            return;
        }
        let state = |state: Option<State>| state.map_or("none", State::as_str);
        let (from, to) = (state(change.from), state(change.to));
        self.world.note("job", format_args!("{}: {from} → {to}, attempt {}", change.id, change.attempt));
        self.ledger.lock().change(change);
    }
}
