//! The network between processes and the store: calls are late, lost on their way or on their way back, delivered twice or
//! in part, and go on though their caller is no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{AbortHandle, Abortable};
use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{Action, Error, Finish, Lease, Outcome, Result, Store};
use parking_lot::Mutex;

use crate::random::Random;
use crate::witness::Witness;
use crate::world::{NETWORK, ProcessId, World};

/// The rate of each fault, in thousandths of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultRates {
    pub(crate) lost_request: u32,
    pub(crate) lost_reply: u32,
    pub(crate) twice: u32,
    pub(crate) in_part: u32,
    pub(crate) slow: u32,
    /// The caller is killed right after its call has taken effect, or right before it is sent.
    pub(crate) killed_at_call: u32,
    /// The caller is stopped there.
    pub(crate) stopped_at_call: u32,
    /// A call goes on though its caller has given it up.
    pub(crate) goes_on: u32,
}

/// The state that all lines of a run share.
pub(crate) struct Network {
    pub(crate) world: Arc<World>,
    pub(crate) witness: Arc<Witness>,
    store: Arc<dyn Store>,
    fault_rates: Mutex<FaultRates>,
    /// The store is away until then.
    away_until: Mutex<Duration>,
    random: Random,
    /// Suspended processes, and the times of their resumption.
    pub(crate) stopped: Mutex<Vec<(Duration, ProcessId)>>,
}

/// The connection of one process to the store.
pub(crate) struct Line {
    network: Arc<Network>,
    process: ProcessId,
    name: String,
    /// Nothing comes through until then.
    cut_until: Mutex<Duration>,
}

/// The fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallFault {
    None,
    LostRequest,
    LostReply,
    Twice,
    InPart,
}

/// The longest wait for an answer that does not come.
const PATIENCE: (usize, usize) = (200, 4_000);

impl Network {
    pub(crate) fn new(
        world: Arc<World>,
        witness: Arc<Witness>,
        fault_rates: FaultRates,
        seed: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            world,
            store: witness.watched(),
            witness,
            fault_rates: Mutex::new(fault_rates),
            away_until: Mutex::default(),
            random: Random::of(seed, 2),
            stopped: Mutex::default(),
        })
    }

    /// No more faults.
    pub(crate) fn calm(&self) {
        *self.fault_rates.lock() = FaultRates::default();
        *self.away_until.lock() = Duration::ZERO;
    }

    /// The store is away for a while.
    pub(crate) fn take_away(&self, until: Duration) {
        *self.away_until.lock() = until;
    }

    /// A line for a process, and the store at the end of it.
    pub(crate) fn connect(self: &Arc<Self>, process: ProcessId) -> (Arc<Line>, Arc<dyn Store>) {
        let line = Arc::new(Line {
            network: Arc::clone(self),
            process,
            name: self.world.name(process),
            cut_until: Mutex::default(),
        });
        let end = Arc::clone(&line);
        let store =
            Intercept::over(Arc::clone(&self.store), move |store, call| Arc::clone(&end).call(store, call));
        (line, Arc::new(store.without_changes()))
    }

    fn call_fault(&self, fault_rates: &FaultRates) -> CallFault {
        let call_faults = [
            (fault_rates.lost_request, CallFault::LostRequest, "requests that were lost"),
            (fault_rates.lost_reply, CallFault::LostReply, "replies that were lost"),
            (fault_rates.twice, CallFault::Twice, "calls that were delivered twice"),
            (fault_rates.in_part, CallFault::InPart, "calls that took effect in part"),
        ];
        for (of_a_thousand, call_fault, name) in call_faults {
            if self.random.happens(of_a_thousand) {
                self.witness.count(name);
                return call_fault;
            }
        }
        CallFault::None
    }
}

impl Line {
    /// Cuts the line for a while.
    pub(crate) fn cut(&self, until: Duration) {
        *self.cut_until.lock() = until;
    }

    async fn call(self: Arc<Self>, store: Arc<dyn Store>, call: Call) -> Result<Answer> {
        let network = Arc::clone(&self.network);
        let fault_rates = *network.fault_rates.lock();
        let call_fault = network.call_fault(&fault_rates);
        let number = network.random.next() % 10_000;
        let text = describe(&call);
        match &text {
            Some(text) => {
                network.world.note(&self.name, format_args!("#{number} {text}{}", Words(call_fault)))
            }
            None => network.world.note_in_digest(&self.name, format_args!("#{number} {}", name_of(&call))),
        }
        let dies_before = self.strikes(&fault_rates);
        if dies_before {
            // A process that is stopped sends its call when it goes on, and one that is killed sends none.
            Yielded(false).await;
        }
        let (answer, answered) = oneshot::channel();
        let (handle, registration) = AbortHandle::new_pair();
        let is_over = Arc::new(AtomicBool::new(false));
        let delivery = Delivery {
            line: Arc::clone(&self),
            store,
            fault_rates,
            call_fault,
            number,
            is_over: Arc::clone(&is_over),
        };
        let journey = Abortable::new(delivery.go(call, answer), registration);
        network.world.spawn(NETWORK, async move {
            // The receiver of a call that was given up is closed.
            let _ = journey.await;
        });
        let goes_on = network.random.happens(fault_rates.goes_on);
        let _given_up = GivenUp { handle: (!goes_on).then_some(handle), is_over };
        answered.await.unwrap_or_else(|_| Err(unavailable("the connection was closed")))
    }

    /// Kills or suspends the caller at this call, at random; true if it did.
    fn strikes(&self, fault_rates: &FaultRates) -> bool {
        let network = &self.network;
        if network.random.happens(fault_rates.killed_at_call) && self.process != NETWORK {
            network.witness.count("processes that were killed at a call");
            network.world.note(&self.name, format_args!("is killed at a call"));
            network.world.kill(self.process);
            return true;
        }
        if network.random.happens(fault_rates.stopped_at_call) && self.process != NETWORK {
            network.witness.count("processes that were stopped at a call");
            let until = network.world.now() + network.random.millis(500, 12_000);
            network
                .world
                .note(&self.name, format_args!("is stopped at a call until {:.3}", until.as_secs_f64()));
            network.world.stop(self.process);
            network.stopped.lock().push((until, self.process));
            return true;
        }
        false
    }

    fn is_cut(&self) -> bool {
        let now = self.network.world.now();
        *self.cut_until.lock() > now || *self.network.away_until.lock() > now
    }
}

/// A call on its way.
struct Delivery {
    line: Arc<Line>,
    store: Arc<dyn Store>,
    fault_rates: FaultRates,
    call_fault: CallFault,
    number: u64,
    is_over: Arc<AtomicBool>,
}

impl Delivery {
    async fn go(self, call: Call, answer: oneshot::Sender<Result<Answer>>) {
        let network = Arc::clone(&self.line.network);
        let clock = network.world.clock(NETWORK);
        clock.sleep(self.delay()).await;
        if self.line.is_cut() || self.call_fault == CallFault::LostRequest {
            clock.sleep(network.random.millis(PATIENCE.0, PATIENCE.1)).await;
            self.tell(answer, Err(unavailable("no answer came")));
            return;
        }
        if self.call_fault == CallFault::Twice {
            self.deliver_later(call.clone());
        }
        let result = match self.call_fault {
            CallFault::InPart => self.deliver_part(call).await,
            _ => call.on(self.store.as_ref()).await,
        };
        // From here on it has had its effect, and is not called back.
        self.is_over.store(true, Ordering::Relaxed);
        if self.line.strikes(&self.fault_rates) {
            network.world.note(&self.line.name, format_args!("… after #{} took effect", self.number));
        }
        clock.sleep(self.delay()).await;
        if self.call_fault == CallFault::LostReply || self.line.is_cut() {
            clock.sleep(network.random.millis(PATIENCE.0, PATIENCE.1)).await;
            self.tell(answer, Err(unavailable("the answer was lost")));
            return;
        }
        if let Err(Ok(mut undelivered)) = answer.send(result) {
            self.take_back(&mut undelivered).await;
        }
    }

    fn tell(&self, answer: oneshot::Sender<Result<Answer>>, result: Result<Answer>) {
        let name = &self.line.name;
        self.line.network.world.note_in_digest(name, format_args!("#{} got no answer", self.number));
        // The receiver may be gone.
        let _ = answer.send(result);
    }

    fn delay(&self) -> Duration {
        let random = &self.line.network.random;
        match random.happens(self.fault_rates.slow) {
            true => random.millis(100, 6_000),
            false => random.millis(0, 8),
        }
    }

    fn deliver_later(&self, call: Call) {
        let network = Arc::clone(&self.line.network);
        let (store, name, number) = (Arc::clone(&self.store), self.line.name.clone(), self.number);
        let delay = network.random.millis(0, 5_000);
        let world = Arc::clone(&network.world);
        world.clone().spawn(NETWORK, async move {
            world.clock(NETWORK).sleep(delay).await;
            world.note(&name, format_args!("#{number} is delivered again"));
            // Its answer goes nowhere.
            let _ = call.on(store.as_ref()).await;
        });
    }

    /// The first part of the call takes effect, where the contract lets each of its parts stand alone, and then it breaks off.
    async fn deliver_part(&self, call: Call) -> Result<Answer> {
        let random = &self.line.network.random;
        let part = match call {
            Call::Finish(mut finishes) if finishes.len() > 1 => {
                finishes.truncate(random.below(finishes.len()));
                Call::Finish(finishes)
            }
            Call::FinishAndClaim(mut finishes, _) => {
                finishes.truncate(random.below(finishes.len() + 1));
                Call::Finish(finishes)
            }
            Call::Record(mut records) if records.len() > 1 => {
                records.truncate(random.below(records.len()));
                Call::Record(records)
            }
            Call::Heartbeat(worker, mut leases, lease_for) if leases.len() > 1 => {
                leases.truncate(random.below(leases.len()));
                Call::Heartbeat(worker, leases, lease_for)
            }
            Call::Act(filter, action, limit) => Call::Act(filter, action, limit.div_ceil(2)),
            whole => return whole.on(self.store.as_ref()).await,
        };
        part.on(self.store.as_ref()).await?;
        Err(unavailable("the connection broke"))
    }

    /// Reverts a claim whose answer is not delivered, as stores do.
    async fn take_back(&self, undelivered: &mut Answer) {
        let leases: Vec<Lease> = undelivered.claimed().iter().map(|claimed| claimed.lease.clone()).collect();
        if leases.is_empty() {
            return;
        }
        let release = |lease: Lease| Finish {
            lease,
            outcome: Outcome::Released,
            entries: Vec::new(),
            follow_ups: Vec::new(),
            cost: None,
        };
        let call = Call::Finish(leases.into_iter().map(release).collect());
        self.line
            .network
            .world
            .note(&self.line.name, format_args!("#{} reached nobody, and is taken back", self.number));
        let _ = call.on(self.store.as_ref()).await;
    }
}

/// Calls a request back whose caller has given it up, unless it has had its effect.
struct GivenUp {
    handle: Option<AbortHandle>,
    is_over: Arc<AtomicBool>,
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take().filter(|_| !self.is_over.load(Ordering::Relaxed)) {
            handle.abort();
        }
    }
}

/// Ready when it is polled a second time: a task that is stopped in between goes no further.
struct Yielded(bool);

impl Future for Yielded {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}

struct Words(CallFault);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            CallFault::None => "",
            CallFault::LostRequest => "; it is lost on its way",
            CallFault::LostReply => "; its answer is lost",
            CallFault::Twice => "; it is delivered twice",
            CallFault::InPart => "; it breaks off in the middle",
        })
    }
}

/// True for an id that the engine draws from the machine's chance.
pub(crate) fn is_random(id: &longhaul::JobId) -> bool {
    id.as_str().contains(":run:")
}

fn unavailable(why: &str) -> Error {
    Error::Unavailable { store: "simulated", source: why.into() }
}

/// A call in words; `None` for calls that are of no interest in a trace.
fn describe(call: &Call) -> Option<String> {
    let leases = |leases: &mut dyn Iterator<Item = &Lease>| {
        leases.map(|lease| format!("{}:{}", lease.id, lease.token)).collect::<Vec<_>>().join(" ")
    };
    let finishes = |finishes: &[Finish]| {
        let end = |finish: &Finish| {
            format!("{}:{} {}", finish.lease.id, finish.lease.token, end_of(&finish.outcome))
        };
        finishes.iter().map(end).collect::<Vec<_>>().join(", ")
    };
    Some(match call {
        Call::Enqueue(jobs) => {
            let job = |job: &longhaul::NewJob| {
                let id = job.id.as_ref().filter(|id| !is_random(id));
                id.map_or("?".to_owned(), ToString::to_string)
            };
            format!("enqueues {}", jobs.iter().map(job).collect::<Vec<_>>().join(" "))
        }
        Call::Heartbeat(_, of, _) if !of.is_empty() => format!("heartbeat of {}", leases(&mut of.iter())),
        Call::Record(records) => {
            format!("records of {}", leases(&mut records.iter().map(|record| &record.lease)))
        }
        Call::Finish(of) => format!("finishes {}", finishes(of)),
        Call::FinishAndClaim(of, claim) => {
            let queues: Vec<_> =
                claim.queues.iter().map(|queue| format!("{} of {}", queue.slots, queue.queue)).collect();
            format!("finishes {}, and claims {}", finishes(of), queues.join(", "))
        }
        Call::Act(filter, action, _) => {
            let ids = filter.ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            format!("{} {ids}{}", deed(action), filter.queues.join(" "))
        }
        Call::Signal(id, name, value) => format!("signals {name} {value:?} to {id}"),
        Call::SetQueue(queue, config) | Call::UpdateQueue(queue, _, config) => {
            format!("sets queue {queue}, fair: {}", config.fair)
        }
        Call::PauseQueue(queue) => format!("pauses queue {queue}"),
        Call::ResumeQueue(queue) => format!("resumes queue {queue}"),
        Call::SetKey(key, config) => format!("sets key {key} to {config:?}"),
        Call::PauseKey(key, pause) => format!("pauses key {key} for {pause:?}"),
        Call::ResumeKey(key) => format!("resumes key {key}"),
        _ => return None,
    })
}

fn end_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed { .. } => "completed",
        Outcome::Retry { .. } => "retry",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Snoozed { .. } => "snoozed",
        Outcome::RateLimited { .. } => "rate limited",
        Outcome::Released => "released",
        Outcome::Waits { .. } => "waits",
    }
}

fn deed(action: &Action) -> &'static str {
    match action {
        Action::Cancel { .. } => "cancels",
        Action::Retry => "retries",
        Action::RetryWith { .. } => "retries with args",
        Action::RetryFrom { .. } => "retries from a step",
        Action::Delete => "deletes",
        Action::SetPriority { .. } => "sets the priority of",
    }
}

/// The name of a call, for counts.
pub(crate) fn name_of(call: &Call) -> &'static str {
    match call {
        Call::Enqueue(_) => "enqueue",
        Call::Claim(_) => "claim",
        Call::Heartbeat(..) => "heartbeat",
        Call::Record(_) => "record",
        Call::Finish(_) => "finish",
        Call::FinishAndClaim(..) => "finish_and_claim",
        Call::Sweep(_) => "sweep",
        Call::Get(_) => "get",
        Call::List(..) => "list",
        Call::Events(..) => "events",
        Call::Act(..) => "act",
        Call::Queues | Call::Lanes | Call::Keys(_) | Call::Workers => "views",
        Call::SetQueue(..) | Call::UpdateQueue(..) | Call::PauseQueue(_) | Call::ResumeQueue(_) => {
            "queues that were set, paused or resumed"
        }
        Call::SetKey(..) | Call::PauseKey(..) | Call::ResumeKey(_) => "keys that were set, paused or resumed",
        _ => "others",
    }
}
