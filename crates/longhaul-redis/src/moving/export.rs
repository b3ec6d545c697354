use std::time::Duration;

use async_trait::async_trait;
use longhaul::lifecycle::unique::Hold;
use longhaul::moving::{
    BYTES_PER_PAGE, Export, Exported, ExportedDependency, ExportedIdempotencyKey, ExportedJob,
    ExportedRemoval, ExportedSample, Holding, RECORDS_PER_PAGE,
};
use longhaul::{Clock, JobId, Result, Sample, State, Timestamp};
use redis::Value;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::answer::{bytes, int, json, list, parsed, text};
use crate::connection::Connection;
use crate::error::{failed, fault, unreadable};
use crate::fields::{Beside, Data, Fields, record};
use crate::options::{RedisOptions, Topology};
use crate::read::entry;
use crate::samples::sample_of;
use crate::scripts::{EXPORT_JOBS, EXPORT_MEMORIES, STAMP, Script};
use crate::steps::read_steps;

/// The time for which writers are held, again and again while the read goes on: as long as they would be, were it to die.
const HELD_FOR: Duration = Duration::from_secs(2);
/// The interval at which that is said anew.
const HOLD_EVERY: Duration = Duration::from_millis(250);
/// The jobs of one call, which the server does in one go.
const JOBS_PER_CALL: usize = 100;

/// A read of a whole prefix on a connection of its own. A server has no snapshots: those who write wait meanwhile, where the server lets
/// us hold them, and a stamp tells whether any job changed all the same.
pub(crate) struct Snapshot {
    connection: Connection,
    root: String,
    clock: Clock,
    held: Option<Held>,
    stamp: Value,
    settings: Vec<Exported>,
    at: Place,
}

/// The part of the prefix that comes next, and how far it was read.
#[derive(Clone, Debug)]
enum Place {
    Settings,
    Jobs(Option<String>),
    Memories(&'static str, i64),
    End,
}

impl Snapshot {
    pub(crate) async fn begin(
        options: &RedisOptions,
        clock: Clock,
        runtime: &Handle,
        settings: Vec<Exported>,
    ) -> Result<Self> {
        let mut connection = Connection::open(options).await?;
        let held = match options.topology {
            // It would be some node of the cluster.
            Topology::Cluster => None,
            Topology::Server => Held::begin(&mut connection, runtime).await,
        };
        let (root, at, stamp) = (options.root(), Place::Settings, Value::Nil);
        let mut snapshot = Self { connection, root, clock, held, stamp, settings, at };
        snapshot.stamp = snapshot.run(&STAMP, Vec::new()).await?;
        Ok(snapshot)
    }

    async fn run(&mut self, script: &Script, arguments: Vec<String>) -> Result<Value> {
        let now = self.clock.is_manual().then(|| self.clock.now());
        let arguments: Vec<Vec<u8>> = arguments.into_iter().map(String::into_bytes).collect();
        let answer = self.connection.run(script, &self.root, now, &arguments).await;
        answer.map_err(|error| fault("export", error))
    }

    /// Lets writers go on, and fails where the read has seen more than one moment.
    async fn end(&mut self) -> Result<()> {
        let stamp = self.run(&STAMP, Vec::new()).await?;
        let was_held = self.held.is_some();
        if let Some(held) = self.held.take() {
            held.end().await;
        }
        if stamp == self.stamp {
            return Ok(());
        }
        let reason = if was_held {
            "jobs changed while they were read, though the server was asked to let writers wait: export again"
        } else {
            "jobs changed while they were read, because the server does not let writers wait (CLIENT PAUSE): allow it to the \
             user, or stop the servers and the workers, and export again"
        };
        Err(failed("export", reason.to_owned()))
    }
}

#[async_trait]
impl Export for Snapshot {
    async fn next(&mut self) -> Result<Vec<Exported>> {
        loop {
            let records = match self.at.clone() {
                Place::Settings => {
                    self.at = Place::Jobs(None);
                    std::mem::take(&mut self.settings)
                }
                Place::Jobs(after) => self.jobs(after).await?,
                Place::Memories(which, from) => self.memories(which, from).await?,
                Place::End => {
                    if self.stamp != Value::Nil {
                        self.end().await?;
                        self.stamp = Value::Nil;
                    }
                    return Ok(Vec::new());
                }
            };
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }
}

impl Snapshot {
    async fn jobs(&mut self, after: Option<String>) -> Result<Vec<Exported>> {
        let from = after.map_or("-inf".to_owned(), |after| format!("({after}"));
        let arguments = vec![from, JOBS_PER_CALL.to_string(), BYTES_PER_PAGE.to_string()];
        let answer = self.run(&EXPORT_JOBS, arguments).await?;
        let damaged = || unreadable("export");
        let mut rows = list(answer).ok_or_else(damaged)?.into_iter();
        let last = rows.next().ok_or_else(damaged)?;
        self.at = match text(&last) {
            Some(last) => Place::Jobs(Some(last.to_owned())),
            None => Place::Memories("i", 0),
        };
        // One that cannot be read is left out: a claim or a sweep ends it as failed.
        let job = |row: Value| exported(row).map(|job| Exported::Job(Box::new(job)));
        Ok(rows.filter_map(job).collect())
    }

    async fn memories(&mut self, which: &'static str, from: i64) -> Result<Vec<Exported>> {
        // A sample may be half a mebibyte.
        let many = if which == "s" { RECORDS_PER_PAGE / 10 } else { RECORDS_PER_PAGE };
        let arguments = vec![which.to_owned(), from.to_string(), many.to_string()];
        let answer = self.run(&EXPORT_MEMORIES, arguments).await?;
        let damaged = || unreadable("export");
        let mut rows = list(answer).ok_or_else(damaged)?.into_iter();
        let looked_at = rows.next().as_ref().and_then(int).ok_or_else(damaged)?;
        self.at = match (looked_at, which) {
            (0, "i") => Place::Memories("g", 0),
            (0, "g") => Place::Memories("s", 0),
            (0, _) => Place::End,
            (many, _) => Place::Memories(which, from + many),
        };
        rows.map(|row| memory(which, row)).collect::<Option<_>>().ok_or_else(damaged)
    }
}

fn memory(which: &str, row: Value) -> Option<Exported> {
    let values = list(row)?;
    let word = |place: usize| Some(text(values.get(place)?)?.to_owned());
    let time = |place: usize| Some(Timestamp(int(values.get(place)?)?));
    Some(match which {
        "i" => Exported::IdempotencyKey(ExportedIdempotencyKey {
            key: word(0)?,
            expires_at: time(1)?,
            fingerprint: word(2)?,
            id: JobId::from_store(word(3)?),
        }),
        "g" => Exported::Removed(ExportedRemoval { id: JobId::from_store(word(0)?), until: time(1)? }),
        _ => {
            let expires_at = time(1)?;
            let keep_for = Duration::from_millis(u64::try_from(int(values.get(2)?)?).ok()?);
            let sample: Sample = sample_of(&word(0)?, keep_for, json(values.get(3)?)?)?;
            Exported::Sample(ExportedSample { sample, expires_at })
        }
    })
}

fn exported(row: Value) -> Option<ExportedJob> {
    let row = list(row)?;
    let id = JobId::from_store(text(row.first()?)?.to_owned());
    let fields = Fields::unpack(bytes(row.get(1)?)?)?;
    let (data, _) = Data::unpack(bytes(row.get(2)?)?);
    let (mut beside, mut times, mut gap) = (Beside::default(), Vec::new(), 0);
    for pair in pairs(row.get(3)?)?.chunks_exact(2) {
        match text(&pair[0])? {
            "progress" => beside.progress = parsed(&pair[1]),
            "output" => beside.output = json(&pair[1]),
            "cut" => gap = text(&pair[1])?.parse().ok()?,
            name if name.starts_with("step|") => times.extend(pair.iter().cloned()),
            _ => {}
        }
    }
    beside.errors = pairs(row.get(4)?)?.iter().filter_map(parsed).collect();
    let state = Value::Int(fields.state as i64);
    let outputs = row.get(5)?.clone();
    let steps = read_steps(Value::Array(vec![state, outputs, Value::Array(times)]))?;
    let log = pairs(row.get(6)?)?.iter().cloned().filter_map(entry).collect();
    let holds = match int(row.get(7)?)? {
        -1 => None,
        0 => Some(Holding { until: None }),
        until => Some(Holding { until: Some(Timestamp(until)) }),
    };
    let mut dependencies = Vec::new();
    for pair in pairs(row.get(9)?)?.chunks_exact(2) {
        let id = JobId::from_store(text(&pair[0])?.to_owned());
        dependencies.push(ExportedDependency { id, settled: int(&pair[1])? == 1 });
    }
    let (period, held_until, ends) = (int(row.get(10)?)?, int(row.get(11)?)?, int(row.get(12)?)?);
    let behind = Some(text(row.get(13)?)?).filter(|behind| !behind.is_empty());
    let hold = Hold {
        period: u64::try_from(period).ok().map(Duration::from_millis),
        ends: State::ALL.into_iter().filter(|state| ends & (1 << (*state as i64)) != 0).collect(),
        until: Some(Timestamp(held_until)).filter(|_| held_until != 0),
        behind: behind.map(|behind| JobId::from_store(behind.to_owned())),
    };
    let (state_event, state_at) = (fields.state_event, fields.state_at);
    Some(ExportedJob {
        hold,
        holds,
        counted: int(row.get(8)?)? == 1,
        dependencies,
        state_event,
        state_at,
        log_gap: gap,
        log,
        steps,
        cancel: None,
        job: record(id, &fields, data, beside),
    })
}

fn pairs(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// The hold on those who write to the server, whatever they write. It ends by itself soon after whoever holds them has died.
struct Held {
    connection: Connection,
    runtime: Handle,
    renewing: JoinHandle<()>,
    /// True once they were let go.
    is_over: bool,
}

impl Held {
    /// `None` where the server does not let us.
    async fn begin(connection: &mut Connection, runtime: &Handle) -> Option<Self> {
        if let Err(error) = connection.send(&hold()).await {
            tracing::warn!("writers are not held while jobs are exported: {error}");
            return None;
        }
        let mut renewed = connection.clone();
        let renewing = runtime.spawn(async move {
            loop {
                tokio::time::sleep(HOLD_EVERY).await;
                // The stamp tells where this was in vain.
                let _ = renewed.send(&hold()).await;
            }
        });
        Some(Self { connection: connection.clone(), runtime: runtime.clone(), renewing, is_over: false })
    }

    async fn end(mut self) {
        self.renewing.abort();
        self.is_over = true;
        let_go(&mut self.connection).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewing.abort();
        if !self.is_over {
            let mut connection = self.connection.clone();
            self.runtime.spawn(async move { let_go(&mut connection).await });
        }
    }
}

async fn let_go(connection: &mut Connection) {
    let mut end = redis::cmd("CLIENT");
    end.arg("UNPAUSE");
    if let Err(error) = connection.send(&end).await {
        tracing::debug!("failed to let writers go on, who will within seconds: {error}");
    }
}

fn hold() -> redis::Cmd {
    let mut hold = redis::cmd("CLIENT");
    let millis = u64::try_from(HELD_FOR.as_millis()).unwrap_or(u64::MAX);
    hold.arg("PAUSE").arg(millis).arg("WRITE");
    hold
}
