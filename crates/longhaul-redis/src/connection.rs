use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Backoff, Result, Timestamp};
use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use crate::error::{failed, fault};
use crate::options::{RedisOptions, Topology};
use crate::scripts::{Flags, Script};

/// The connection that carries all commands, many at once. It is made anew by itself when it breaks; writes that were on
/// their way then fail, reads are sent once more, and calls made while the server is away fail after a few attempts to
/// reach it.
#[derive(Clone)]
pub(crate) enum Connection {
    Server(Arc<Server>),
    Cluster(Box<ClusterConnection>),
}

/// The connection to one server.
pub(crate) struct Server {
    client: Client,
    config: ConnectionManagerConfig,
    current: Mutex<Current>,
    /// True if the last call was not answered in time, and nothing was received since.
    is_silent: AtomicBool,
}

struct Current {
    manager: ConnectionManager,
    since: Stopwatch,
}

/// The longest pause between attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The attempts of a call to reach a server that is away before it fails.
const ATTEMPTS: usize = 3;
/// The oldest server whose scripts have flags.
const OLDEST: u32 = 7;

impl Connection {
    pub(crate) async fn open(options: &RedisOptions) -> Result<Self> {
        let connection = match options.topology {
            Topology::Server => Self::open_server(options).await,
            Topology::Cluster => Self::open_cluster(options).await,
        };
        let connection = connection.map_err(|error| fault("open", error))?;
        connection.clone().check_servers().await?;
        Ok(connection)
    }

    async fn open_server(options: &RedisOptions) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(options.response_timeout))
            .set_connection_timeout(Some(options.connect_timeout))
            .set_number_of_retries(ATTEMPTS)
            .set_max_delay(LONGEST_PAUSE);
        let client = options.clients()?.swap_remove(0);
        let manager = ConnectionManager::new_with_config(client.clone(), config.clone()).await?;
        let current = Mutex::new(Current { manager, since: Stopwatch::start() });
        let is_silent = AtomicBool::new(false);
        Ok(Self::Server(Arc::new(Server { client, config, current, is_silent })))
    }

    async fn open_cluster(options: &RedisOptions) -> RedisResult<Self> {
        let nodes = options.nodes.iter().map(String::as_str);
        let mut builder = redis::cluster::ClusterClient::builder(nodes);
        if let Some(certificates) = options.certificates() {
            builder = builder.certs(certificates);
        }
        let client = builder
            .response_timeout(options.response_timeout)
            .connection_timeout(options.connect_timeout)
            .retries(ATTEMPTS as u32)
            .max_retry_wait(u64::try_from(LONGEST_PAUSE.as_millis()).unwrap_or(u64::MAX))
            .build()?;
        Ok(Self::Cluster(Box::new(client.get_async_connection().await?)))
    }

    pub(crate) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(server) => server.send(command).await,
            Self::Cluster(connection) => command.query_async(connection.as_mut()).await,
        }
    }

    /// Runs a script, and loads it into a server that does not know it, because it is new or its scripts were flushed.
    pub(crate) async fn run(
        &mut self,
        script: &Script,
        root: &str,
        now: Option<Timestamp>,
        arguments: &[Vec<u8>],
    ) -> RedisResult<Value> {
        let command = |name: &str, script: &str| {
            let size = arguments.iter().map(Vec::len).sum::<usize>() + script.len() + root.len() + 64;
            let mut command = Cmd::with_capacity(arguments.len() + 5, size);
            command.arg(name).arg(script).arg(1).arg(root);
            match now {
                Some(now) => command.arg(now.0),
                None => command.arg(""),
            };
            for argument in arguments {
                command.arg(argument.as_slice());
            }
            command
        };
        let by_hash = command("EVALSHA", &script.hash);
        let mut answer = self.send(&by_hash).await;
        // A connection that the server or a firewall has cut says so to its next call. A read is safe to send again; a write
        // may have been carried out.
        if script.flags == Flags::Reads && answer.as_ref().is_err_and(RedisError::is_connection_dropped) {
            answer = self.send(&by_hash).await;
        }
        match answer {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&command("EVAL", &script.source)).await
            }
            answer => answer,
        }
    }

    /// Refuses a server that drops data when its memory is full, or that is too old.
    async fn check_servers(mut self) -> Result<()> {
        for info in self.info("server").await? {
            let version = field(&info, "redis_version").unwrap_or_default();
            let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
            if major.is_some_and(|major| major < OLDEST) {
                return Err(failed(
                    "open",
                    format!("the server is of version {version}; at least {OLDEST} is needed"),
                ));
            }
        }
        for info in self.info("memory").await? {
            let limit = field(&info, "maxmemory").and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
            let policy = field(&info, "maxmemory_policy").unwrap_or("noeviction");
            if limit > 0 && policy != "noeviction" {
                return Err(failed(
                    "open",
                    format!(
                        "the server evicts data when its memory is full (maxmemory-policy is {policy}), which loses \
                         jobs: set maxmemory-policy to noeviction"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A section of what each server says of itself; nothing of those that do not let us ask.
    async fn info(&mut self, section: &str) -> Result<Vec<String>> {
        let answer = match self.send(redis::cmd("INFO").arg(section)).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
                tracing::warn!("may not ask the server for its settings; it must not evict data: {error}");
                return Ok(Vec::new());
            }
            Err(error) => return Err(fault("open", error)),
        };
        let text = |value: Value| redis::from_redis_value::<String>(value).unwrap_or_default();
        Ok(match answer {
            Value::Map(nodes) => nodes.into_iter().map(|(_, info)| text(info)).collect(),
            info => vec![text(info)],
        })
    }
}

impl Server {
    /// While the server is silent, a call fails at once: everybody would wait as long as the first one did.
    async fn send(self: &Arc<Self>, command: &Cmd) -> RedisResult<Value> {
        if self.is_silent.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server has not answered in time").into());
        }
        let answer = self.ask(command).await;
        match &answer {
            Err(error) if error.is_timeout() => self.listen(),
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) => self.replace(),
            _ => {}
        }
        answer
    }

    async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        let mut manager = self.current.lock().manager.clone();
        command.query_async(&mut manager).await
    }

    /// Tries new connections until the server answers on one: a machine that is gone does not say so.
    fn listen(self: &Arc<Self>) {
        if self.is_silent.swap(true, Ordering::SeqCst) {
            return;
        }
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            let pause = Backoff { base: LONGEST_PAUSE, factor: 1.0, max: LONGEST_PAUSE, jitter: 0.4 };
            while let Some(server) = server.upgrade() {
                server.replace();
                if server.ask(&redis::cmd("PING")).await.is_ok() {
                    server.is_silent.store(false, Ordering::SeqCst);
                    return;
                }
                drop(server);
                tokio::time::sleep(pause.delay(1)).await;
            }
        });
    }

    /// Replaces a connection that is open and of no use, at most twice a second: the server does not answer, or is a
    /// replica since a failover.
    fn replace(&self) {
        let mut current = self.current.lock();
        if current.since.elapsed() < LONGEST_PAUSE / 2 {
            return;
        }
        if let Ok(manager) = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone())
        {
            *current = Current { manager, since: Stopwatch::start() };
        }
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    info.lines().find_map(value)
}
