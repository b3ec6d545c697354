use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use longhaul::{Clock, Result, Signals};
use redis::{RedisResult, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::connection::Connection;
use crate::error::{closed, fault, unreadable};
use crate::news::News;
use crate::options::{RedisOptions, Topology};
use crate::scripts::Script;

/// Hands calls to the thread that talks to the server. It has a thread of its own, so that jobs which block their
/// runtime can keep neither heartbeats nor anybody else's calls from the server.
#[derive(Debug)]
pub(crate) struct Driver {
    requests: mpsc::UnboundedSender<Request>,
    /// Bounds what may be on its way; a caller beyond it waits its turn instead of filling the memory.
    room: Semaphore,
    hears_news: Arc<AtomicBool>,
    topology: Topology,
}

/// A call of a script.
#[derive(Debug)]
pub(crate) enum Request {
    /// By itself.
    Alone(Alone),
    /// Together with others of the same script, if any wait.
    Shared(Shared),
}

#[derive(Debug)]
pub(crate) struct Alone {
    pub(crate) script: &'static Script,
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) reply: oneshot::Sender<RedisResult<Value>>,
    /// What to do with an answer that nobody is there to hear.
    pub(crate) undo: Option<Undo>,
}

/// Makes, of an answer that nobody hears, the call that undoes what it tells of.
pub(crate) type Undo = fn(&Value) -> Option<Alone>;

#[derive(Debug)]
pub(crate) struct Shared {
    script: &'static Script,
    arguments: Vec<Vec<u8>>,
    /// How many jobs it is about, each of which has one answer.
    jobs: usize,
    reply: oneshot::Sender<RedisResult<Vec<Value>>>,
}

/// The most calls that may be on their way.
const CAPACITY: usize = 16_384;
/// The most jobs of several callers in one call, so that the server stays responsive. One caller's call is never cut.
pub(crate) const JOBS_PER_CALL: usize = 100;
/// And the most bytes.
const BYTES_PER_CALL: usize = 1 << 20;
/// Shared calls of one script on their way: while the server works on one, the next is gathered and sent.
const FLIGHTS: usize = 2;
/// How long nothing is asked of the server before the connection is tried.
const PING_AFTER: Duration = Duration::from_secs(15);

impl Driver {
    /// Connects, on a new thread, and answers once the server was found to be one that can be used.
    pub(crate) async fn start(options: RedisOptions, clock: Clock, signals: Arc<Signals>) -> Result<Self> {
        let (requests, inbox) = mpsc::unbounded_channel();
        let (opened, opening) = oneshot::channel();
        let hears_news = Arc::new(AtomicBool::new(false));
        let (is_live, topology) = (Arc::clone(&hears_news), options.topology);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| fault("open", redis::RedisError::from(e)))?;
        let run = async move {
            let thread = match Thread::open(&options, clock, signals, is_live).await {
                Ok(thread) => thread,
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(())).is_ok() {
                thread.run(inbox).await;
            }
        };
        std::thread::Builder::new()
            .name("longhaul-redis".into())
            .spawn(move || runtime.block_on(run))
            .map_err(|e| fault("open", redis::RedisError::from(e)))?;
        opening.await.map_err(|_| closed())??;
        Ok(Self { requests, room: Semaphore::new(CAPACITY), hears_news, topology })
    }

    /// Whether changes are heard of as they happen. If not, whoever waits must look by itself more often.
    pub(crate) fn hears_news(&self) -> bool {
        self.hears_news.load(Ordering::SeqCst)
    }

    /// Whether a call may be made twice on its way: a cluster's client does so when a connection breaks under it.
    pub(crate) fn may_send_twice(&self) -> bool {
        self.topology == Topology::Cluster
    }

    /// Runs a script.
    pub(crate) async fn call(&self, script: &'static Script, arguments: Vec<Vec<u8>>) -> Result<Value> {
        let (reply, answer) = oneshot::channel();
        let _room = self.room.acquire().await.map_err(|_| closed())?;
        self.send(Request::Alone(Alone { script, arguments, reply, undo: None }))?;
        answer.await.map_err(|_| closed())?.map_err(|error| fault(script.operation, error))
    }

    /// Runs a script whose answer must be heard or undone, and answers with where it will come.
    pub(crate) fn call_undoable(
        &self,
        script: &'static Script,
        arguments: Vec<Vec<u8>>,
        undo: Undo,
    ) -> Result<oneshot::Receiver<RedisResult<Value>>> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Alone(Alone { script, arguments, reply, undo: Some(undo) }))?;
        Ok(answer)
    }

    /// Runs a script over arguments that may stand beside those of other callers; it answers once for each job.
    pub(crate) async fn share(
        &self,
        script: &'static Script,
        arguments: Vec<Vec<u8>>,
        jobs: usize,
    ) -> Result<Vec<Value>> {
        let (reply, answer) = oneshot::channel();
        let _room = self.room.acquire().await.map_err(|_| closed())?;
        self.send(Request::Shared(Shared { script, arguments, jobs, reply }))?;
        answer.await.map_err(|_| closed())?.map_err(|error| fault(script.operation, error))
    }

    pub(crate) fn send(&self, request: Request) -> Result<()> {
        self.requests.send(request).map_err(|_| closed())
    }
}

/// The thread's own state.
struct Thread {
    connection: Connection,
    root: Arc<str>,
    clock: Clock,
    waiting: Vec<Line>,
}

/// Shared calls of one script that wait.
struct Line {
    script: &'static Script,
    calls: VecDeque<Shared>,
    flights: usize,
}

/// A call on its way; answers the script, where it was a shared one, and what is to be called next.
type Flight = Pin<Box<dyn Future<Output = (Option<&'static Script>, Option<Alone>)> + Send>>;

impl Thread {
    async fn open(
        options: &RedisOptions,
        clock: Clock,
        signals: Arc<Signals>,
        is_live: Arc<AtomicBool>,
    ) -> Result<Self> {
        let connection = Connection::open(options).await?;
        let news = News::new(options, signals, Arc::clone(&is_live)).map_err(|error| fault("open", error))?;
        let first = news.subscribe().await.map_err(|error| fault("open", error))?;
        is_live.store(true, Ordering::SeqCst);
        tokio::spawn(news.hear(Some(first)));
        Ok(Self { connection, root: options.root().into(), clock, waiting: Vec::new() })
    }

    /// Runs until the store is dropped and all that it asked for is answered.
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Request>) {
        let mut flights: FuturesUnordered<Flight> = FuturesUnordered::new();
        let mut arrived = Vec::new();
        let mut is_open = true;
        while is_open || !flights.is_empty() {
            tokio::select! {
                count = inbox.recv_many(&mut arrived, CAPACITY), if is_open => is_open = count > 0,
                Some((script, next)) = flights.next(), if !flights.is_empty() => {
                    if let Some(script) = script
                        && let Some(line) = self.waiting.iter_mut().find(|line| line.script.hash == script.hash)
                    {
                        line.flights -= 1;
                    }
                    if let Some(next) = next {
                        flights.push(self.alone(next));
                    }
                }
                // A connection that something on the way has forgotten must not be found out by somebody's job.
                () = tokio::time::sleep(PING_AFTER), if flights.is_empty() => flights.push(self.ping()),
            }
            for request in arrived.drain(..) {
                match request {
                    // Whose caller is gone has not been promised anything.
                    Request::Alone(call) if call.undo.is_some() && call.reply.is_closed() => {}
                    Request::Alone(call) => flights.push(self.alone(call)),
                    Request::Shared(call) => self.line(call.script).calls.push_back(call),
                }
            }
            for number in 0..self.waiting.len() {
                while self.waiting[number].flights < FLIGHTS && !self.waiting[number].calls.is_empty() {
                    let flight = self.shared(number);
                    flights.push(flight);
                }
            }
        }
    }

    fn line(&mut self, script: &'static Script) -> &mut Line {
        let number = match self.waiting.iter().position(|line| line.script.hash == script.hash) {
            Some(number) => number,
            None => {
                self.waiting.push(Line { script, calls: VecDeque::new(), flights: 0 });
                self.waiting.len() - 1
            }
        };
        &mut self.waiting[number]
    }

    fn now(&self) -> Option<longhaul::Timestamp> {
        self.clock.is_manual().then(|| self.clock.now())
    }

    fn alone(&self, call: Alone) -> Flight {
        let (mut connection, root, now) = (self.connection.clone(), Arc::clone(&self.root), self.now());
        Box::pin(async move {
            let answer = connection.run(call.script, &root, now, &call.arguments).await;
            let unheard = call.reply.send(answer).err().and_then(Result::ok);
            (None, unheard.zip(call.undo).and_then(|(answer, undo)| undo(&answer)))
        })
    }

    /// Lets the connection notice by itself that it is broken.
    fn ping(&self) -> Flight {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            if let Err(error) = connection.send(&redis::cmd("PING")).await {
                tracing::debug!("the connection was broken: {error}");
            }
            (None, None)
        })
    }

    /// Sends as many of a line's calls as go together.
    fn shared(&mut self, number: usize) -> Flight {
        let (mut connection, root, now) = (self.connection.clone(), Arc::clone(&self.root), self.now());
        let line = &mut self.waiting[number];
        line.flights += 1;
        let script = line.script;
        let (mut arguments, mut callers, mut jobs, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
        while let Some(call) = line.calls.front() {
            let size: usize = call.arguments.iter().map(Vec::len).sum();
            if !callers.is_empty() && (jobs + call.jobs > JOBS_PER_CALL || bytes + size > BYTES_PER_CALL) {
                break;
            }
            let Some(call) = line.calls.pop_front() else { break };
            (jobs, bytes) = (jobs + call.jobs, bytes + size);
            arguments.extend(call.arguments);
            callers.push((call.jobs, call.reply));
        }
        Box::pin(async move {
            match connection.run(script, &root, now, &arguments).await {
                Ok(Value::Array(answers)) if answers.len() == jobs => {
                    let mut answers = answers.into_iter();
                    for (count, reply) in callers {
                        let _ = reply.send(Ok(answers.by_ref().take(count).collect()));
                    }
                }
                answer => {
                    let error = answer.err().unwrap_or_else(|| {
                        let text = unreadable(script.operation).to_string();
                        (redis::ErrorKind::UnexpectedReturnType, "unexpected answer", text).into()
                    });
                    for (_, reply) in callers {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
            (Some(script), None)
        })
    }
}

/// How long whoever waits sleeps before it looks by itself where no notification comes.
pub(crate) const LOOK_IN_SILENCE: Duration = Duration::from_millis(500);

/// A sleep of about `base`, so that not all processes look at once.
pub(crate) fn about(base: Duration) -> Duration {
    let backoff = longhaul::Backoff { base, factor: 1.0, max: base, jitter: 0.4 };
    backoff.delay(1)
}
