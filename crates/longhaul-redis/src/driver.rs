use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use longhaul::{Clock, Result, Signals, Timestamp};
use redis::{RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::changes::{ChangeReporter, OnAnswer};
use crate::connection::Connection;
use crate::direct::Direct;
use crate::enqueue::Bounded;
use crate::error::{closed, fault, is_outage, unreadable};
use crate::looks::Looks;
use crate::lost::LostClaims;
use crate::notifier::Notifier;
use crate::options::{RedisOptions, Topology};
use crate::scripts::Script;

/// Hands calls to the thread that talks to the server. It has a thread of its own, so that jobs which block their
/// runtime can keep neither heartbeats nor anybody else's calls from the server.
#[derive(Debug)]
pub(crate) struct Driver {
    requests: mpsc::UnboundedSender<Request>,
    /// Bounds the calls that are on their way; a caller beyond that waits instead of filling the memory.
    permits: Semaphore,
    pub(crate) looks: Arc<Looks>,
    topology: Topology,
    runtime: Handle,
    pub(crate) lost_claims: LostClaims,
    pub(crate) reporter: Arc<ChangeReporter>,
    pub(crate) bounded: Bounded,
    direct: Direct,
    root: Arc<str>,
    clock: Clock,
}

/// A call of a script.
pub(crate) enum Request {
    /// By itself.
    Alone(Alone),
    /// Together with others of the same script, if any wait.
    Shared(Shared),
}

pub(crate) struct Alone {
    pub(crate) script: &'static Script,
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) reply: oneshot::Sender<RedisResult<Value>>,
    /// Undoes an answer whose caller has gone away.
    pub(crate) undo: Option<Undo>,
    pub(crate) route: Route,
    pub(crate) on_answer: Option<OnAnswer>,
}

/// The connection that carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Work,
    /// The connection that nothing large is sent on, so that a heartbeat does not wait behind a pipeline of jobs.
    Heartbeat,
}

/// Makes the call that undoes an answer which was not delivered.
pub(crate) type Undo = fn(&Value) -> Option<Alone>;

pub(crate) struct Shared {
    script: &'static Script,
    arguments: Vec<Vec<u8>>,
    /// The number of jobs that it is about, each of which has one answer.
    jobs: usize,
    reply: oneshot::Sender<RedisResult<Vec<Value>>>,
    on_answer: Option<OnAnswer>,
}

/// The most calls that may be on their way.
const CAPACITY: usize = 16_384;
/// The most jobs of several callers in one call, so that the server stays responsive. One caller's call is never cut.
pub(crate) const JOBS_PER_CALL: usize = 100;
/// And the most bytes.
const BYTES_PER_CALL: usize = 1 << 20;
/// Shared calls of one script on their way: while the server works on one, the next is gathered and sent.
const IN_FLIGHT: usize = 2;
/// The idle time after which the connections are tried.
const PING_AFTER: Duration = Duration::from_secs(15);

impl Driver {
    /// Connects, on a new thread, and answers once the server was found to be one that can be used.
    pub(crate) async fn start(options: RedisOptions, clock: Clock, signals: Arc<Signals>) -> Result<Self> {
        let (requests, inbox) = mpsc::unbounded_channel();
        let (opened, opening) = oneshot::channel();
        let looks = Arc::new(Looks::default());
        let reporter = Arc::new(ChangeReporter::default());
        let (noted, reported, topology) = (Arc::clone(&looks), Arc::clone(&reporter), options.topology);
        let (direct, root, own_clock) = (Direct::new(options.clone()), options.root().into(), clock.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| fault("open", redis::RedisError::from(e)))?;
        let handle = runtime.handle().clone();
        let run = async move {
            let state = match DriverState::open(&options, clock, signals, noted, reported).await {
                Ok(state) => state,
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(())).is_ok() {
                state.run(inbox).await;
            }
        };
        std::thread::Builder::new()
            .name("longhaul-redis".into())
            .spawn(move || runtime.block_on(run))
            .map_err(|e| fault("open", redis::RedisError::from(e)))?;
        opening.await.map_err(|_| closed())??;
        let permits = Semaphore::new(CAPACITY);
        let lost_claims = LostClaims::default();
        let bounded = Bounded::default();
        Ok(Self {
            requests,
            permits,
            looks,
            topology,
            runtime: handle,
            lost_claims,
            reporter,
            bounded,
            direct,
            root,
            clock: own_clock,
        })
    }

    /// True where a call may be made twice on its way: a cluster's client does so when a connection breaks under it.
    pub(crate) fn may_send_twice(&self) -> bool {
        self.topology == Topology::Cluster
    }

    /// The runtime of the driver's thread.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs a script.
    pub(crate) async fn call(&self, script: &'static Script, arguments: Vec<Vec<u8>>) -> Result<Value> {
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        self.call_by(Route::Work, script, arguments, None).await
    }

    /// Runs a script whose answer ends with the changes of state that it has noted.
    pub(crate) async fn call_noting(
        &self,
        script: &'static Script,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Value> {
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        self.call_by(Route::Work, script, arguments, self.reporter.on_noted()).await
    }

    /// Runs a script on the connection for heartbeats, however many calls are on their way.
    pub(crate) async fn call_ahead(&self, script: &'static Script, arguments: Vec<Vec<u8>>) -> Result<Value> {
        self.call_by(Route::Heartbeat, script, arguments, None).await
    }

    async fn call_by(
        &self,
        route: Route,
        script: &'static Script,
        arguments: Vec<Vec<u8>>,
        on_answer: Option<OnAnswer>,
    ) -> Result<Value> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Alone(Alone { script, arguments, reply, undo: None, route, on_answer }))?;
        answer.await.map_err(|_| closed())?.map_err(|error| fault(script.operation, error))
    }

    /// Answers at once, with an error where the server takes no writes.
    pub(crate) async fn check_writes(&self) -> Result<()> {
        self.call_ahead(&crate::scripts::READY, Vec::new()).await.map(drop)
    }

    /// Runs a script whose answer must be delivered or undone; returns the channel for the answer.
    pub(crate) fn call_undoable(
        &self,
        script: &'static Script,
        arguments: Vec<Vec<u8>>,
        undo: Undo,
        on_answer: Option<OnAnswer>,
    ) -> Result<oneshot::Receiver<RedisResult<Value>>> {
        let (reply, answer) = oneshot::channel();
        let undo = Some(undo);
        self.send(Request::Alone(Alone { script, arguments, reply, undo, route: Route::Work, on_answer }))?;
        Ok(answer)
    }

    /// Runs a script over arguments that may stand beside those of other callers; it answers once for each job.
    pub(crate) async fn share(
        &self,
        script: &'static Script,
        arguments: Vec<Vec<u8>>,
        jobs: usize,
        on_answer: Option<OnAnswer>,
    ) -> Result<Vec<Value>> {
        let (reply, answer) = oneshot::channel();
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        self.send(Request::Shared(Shared { script, arguments, jobs, reply, on_answer }))?;
        answer.await.map_err(|_| closed())?.map_err(|error| fault(script.operation, error))
    }

    /// The same from the runtime of the caller, where no other call is under way that could go with it.
    pub(crate) async fn share_from_here(
        &self,
        script: &'static Script,
        arguments: Vec<Vec<u8>>,
        jobs: usize,
        on_answer: Option<OnAnswer>,
    ) -> Result<Vec<Value>> {
        let call = self.direct.enter();
        let Some((runtime, connection)) = self.direct.way(&call) else {
            return self.share(script, arguments, jobs, on_answer).await;
        };
        let (reply, answer) = oneshot::channel();
        let now = self.clock.is_manual().then(|| self.clock.now());
        let mut caller = Caller { connection, root: Arc::clone(&self.root), now };
        self.reporter.changes.committed(1);
        // A task of its own receives the answer, also if the caller goes away.
        runtime.spawn(async move {
            let all = 0..arguments.len();
            let call = Part { arguments: all, jobs, reply, on_answer };
            caller.run_together(script, &arguments, vec![call], jobs).await;
        });
        answer.await.map_err(|_| closed())?.map_err(|error| fault(script.operation, error))
    }

    pub(crate) fn send(&self, request: Request) -> Result<()> {
        self.requests.send(request).map_err(|_| closed())
    }
}

/// The state of the driver's thread.
struct DriverState {
    connection: Connection,
    heartbeats: Connection,
    root: Arc<str>,
    clock: Clock,
    waiting: Vec<Queue>,
    reporter: Arc<ChangeReporter>,
}

/// Shared calls of one script that wait.
struct Queue {
    script: &'static Script,
    calls: VecDeque<Shared>,
    in_flight: usize,
}

/// A call on its way; answers the script, where it was a shared one, and the call that is to follow.
type Pipelined = Pin<Box<dyn Future<Output = (Option<&'static Script>, Option<Alone>)> + Send>>;

impl DriverState {
    async fn open(
        options: &RedisOptions,
        clock: Clock,
        signals: Arc<Signals>,
        looks: Arc<Looks>,
        reporter: Arc<ChangeReporter>,
    ) -> Result<Self> {
        let connection = Connection::open(options).await?;
        let heartbeats = Connection::open(options).await?;
        let notifier =
            Notifier::new(options, signals, Arc::clone(&looks)).map_err(|error| fault("open", error))?;
        let first = notifier.subscribe().await.map_err(|error| fault("open", error))?;
        looks.live();
        tokio::spawn(notifier.run(Some(first)));
        let root = options.root().into();
        Ok(Self { connection, heartbeats, root, clock, waiting: Vec::new(), reporter })
    }

    /// Runs until the store is dropped and all that it asked for is answered.
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Request>) {
        let mut in_flight: FuturesUnordered<Pipelined> = FuturesUnordered::new();
        let mut arrived = Vec::new();
        let mut is_open = true;
        while is_open || !in_flight.is_empty() {
            tokio::select! {
                count = inbox.recv_many(&mut arrived, CAPACITY), if is_open => is_open = count > 0,
                Some((script, next)) = in_flight.next(), if !in_flight.is_empty() => {
                    if let Some(script) = script
                        && let Some(queue) = self.waiting.iter_mut().find(|queue| queue.script.hash == script.hash)
                    {
                        queue.in_flight -= 1;
                    }
                    if let Some(next) = next {
                        let on_answer = self.reporter.on_noted();
                        in_flight.push(self.alone(Alone { on_answer, ..next }));
                    }
                }
                // A dead connection is to be found by a ping and not by a job's call.
                () = tokio::time::sleep(PING_AFTER), if in_flight.is_empty() => in_flight.push(self.ping()),
            }
            for request in arrived.drain(..) {
                match request {
                    // A caller that is gone has not been promised anything.
                    Request::Alone(call) if call.undo.is_some() && call.reply.is_closed() => {}
                    Request::Alone(call) => in_flight.push(self.alone(call)),
                    Request::Shared(call) => self.queue(call.script).calls.push_back(call),
                }
            }
            for number in 0..self.waiting.len() {
                while self.waiting[number].in_flight < IN_FLIGHT && !self.waiting[number].calls.is_empty() {
                    let call = self.shared(number);
                    in_flight.push(call);
                }
            }
        }
    }

    fn queue(&mut self, script: &'static Script) -> &mut Queue {
        let number = match self.waiting.iter().position(|queue| queue.script.hash == script.hash) {
            Some(number) => number,
            None => {
                self.waiting.push(Queue { script, calls: VecDeque::new(), in_flight: 0 });
                self.waiting.len() - 1
            }
        };
        &mut self.waiting[number]
    }

    fn caller(&self, route: Route) -> Caller {
        let connection = match route {
            Route::Work => &self.connection,
            Route::Heartbeat => &self.heartbeats,
        };
        let now = self.clock.is_manual().then(|| self.clock.now());
        Caller { connection: connection.clone(), root: Arc::clone(&self.root), now }
    }

    fn alone(&self, call: Alone) -> Pipelined {
        let mut caller = self.caller(call.route);
        Box::pin(async move {
            let answer = caller.run(call.script, &call.arguments).await;
            if let (Ok(answer), Some(on_answer)) = (&answer, call.on_answer) {
                on_answer(std::slice::from_ref(answer));
            }
            let undelivered = call.reply.send(answer).err().and_then(Result::ok);
            (None, undelivered.zip(call.undo).and_then(|(answer, undo)| undo(&answer)))
        })
    }

    /// Lets the connections notice by themselves that they are broken.
    fn ping(&self) -> Pipelined {
        let connections = [self.connection.clone(), self.heartbeats.clone()];
        Box::pin(async move {
            for mut connection in connections {
                if let Err(error) = connection.send(&redis::cmd("PING")).await {
                    tracing::debug!("a connection was broken: {error}");
                }
            }
            (None, None)
        })
    }

    /// Sends as many of the waiting calls of a script as go together.
    fn shared(&mut self, number: usize) -> Pipelined {
        let mut caller = self.caller(Route::Work);
        let queue = &mut self.waiting[number];
        queue.in_flight += 1;
        let script = queue.script;
        let (mut arguments, mut calls, mut jobs, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
        while let Some(call) = queue.calls.front() {
            let size: usize = call.arguments.iter().map(Vec::len).sum();
            if !calls.is_empty() && (jobs + call.jobs > JOBS_PER_CALL || bytes + size > BYTES_PER_CALL) {
                break;
            }
            let Some(call) = queue.calls.pop_front() else { break };
            (jobs, bytes) = (jobs + call.jobs, bytes + size);
            let first = arguments.len();
            arguments.extend(call.arguments);
            let arguments = first..arguments.len();
            calls.push(Part { arguments, jobs: call.jobs, reply: call.reply, on_answer: call.on_answer });
        }
        self.reporter.changes.committed(calls.len());
        Box::pin(async move {
            caller.run_together(script, &arguments, calls, jobs).await;
            (Some(script), None)
        })
    }
}

/// One call among those that are sent together.
struct Part {
    arguments: Range<usize>,
    jobs: usize,
    reply: oneshot::Sender<RedisResult<Vec<Value>>>,
    on_answer: Option<OnAnswer>,
}

impl Part {
    fn answer(self, answer: RedisResult<Vec<Value>>) {
        if let (Ok(answers), Some(on_answer)) = (&answer, self.on_answer) {
            on_answer(answers);
        }
        let _ = self.reply.send(answer);
    }
}

/// Runs scripts.
struct Caller {
    connection: Connection,
    root: Arc<str>,
    now: Option<Timestamp>,
}

impl Caller {
    async fn run(&mut self, script: &Script, arguments: &[Vec<u8>]) -> RedisResult<Value> {
        self.connection.run(script, &self.root, self.now, arguments).await
    }

    /// Runs calls together. An error that is no outage is about one of them and has changed nothing, so each is then run
    /// by itself, and only that one fails.
    async fn run_together(
        &mut self,
        script: &'static Script,
        arguments: &[Vec<u8>],
        calls: Vec<Part>,
        jobs: usize,
    ) {
        match self.run_for(script, arguments, jobs).await {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for call in calls {
                    let answers = answers.by_ref().take(call.jobs).collect();
                    call.answer(Ok(answers));
                }
            }
            Err(error) if calls.len() == 1 || is_outage(&error) => {
                for call in calls {
                    call.answer(Err(error.clone()));
                }
            }
            Err(_) => {
                for call in calls {
                    let answer = self.run_for(script, &arguments[call.arguments.clone()], call.jobs).await;
                    call.answer(answer);
                }
            }
        }
    }

    async fn run_for(
        &mut self,
        script: &'static Script,
        arguments: &[Vec<u8>],
        jobs: usize,
    ) -> RedisResult<Vec<Value>> {
        match self.run(script, arguments).await? {
            Value::Array(answers) if answers.len() == jobs => Ok(answers),
            _ => {
                let text = unreadable(script.operation).to_string();
                Err((redis::ErrorKind::UnexpectedReturnType, "unexpected answer", text).into())
            }
        }
    }
}
