//! A store that is unreachable for a minute, under API servers that are asked and workers that have work.
//!
//! While it is away, each request is answered 503 with a `Retry-After`, no process is busy, and a worker whose lease ended
//! has stopped its jobs. When it is back, everything goes on by itself, and no process floods the store with connections.

use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use longhaul::clock::Stopwatch;
use longhaul::{JobId, Longhaul, NewJob, Timestamp};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::sync::watch;

use crate::check::Findings;
use crate::cluster::{Cluster, ClusterArgs};
use crate::history::{Fault, Line, What};
use crate::load::{Load, Phase};
use crate::target::{self, Absence, StoreKind};
use crate::worker::Watch;
use crate::{Judge, Result};

/// The flags of an outage.
#[derive(Args, Clone, Debug)]
pub(crate) struct OutageArgs {
    /// The stores that go away, all at once; each must have a server
    #[arg(long, value_delimiter = ',', default_values = ["postgres", "redis"])]
    store: Vec<StoreKind>,
    /// The ways in which they do, also at once
    #[arg(long, value_delimiter = ',', default_values = ["killed", "silent"])]
    absence: Vec<Absence>,
    /// For how long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The promises to judge by
    #[arg(long, value_enum, default_value_t = Judge::Times)]
    judge: Judge,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Clients that enqueue all the while, and their jobs per second: few, so that they take little of the servers' CPU time.
const CLIENTS: u64 = 2;
const RATE: f64 = 20.0;
/// The pause between two requests for the same route of a server while the store is away.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// The bar for an answer while the store is away: a silent store is waited for 10 s.
const SLOWEST_ANSWER: Duration = Duration::from_secs(12);
/// The bar for the part of a core that a process uses while the store is away.
const BUSIEST: f64 = 0.1;
/// The bar for everything to go on once the store is back.
const SLOWEST_RETURN: Duration = Duration::from_secs(10);
/// The bar for the connections that a process asks for in the first second after.
const LARGEST_RUSH: u64 = 10;
/// The bound on what must come: a cluster that works is far below it on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// Takes each store away in each way, and fails if a promise was broken.
///
/// # Errors
/// A promise was broken, or an outage could not be made.
pub(crate) async fn run(args: OutageArgs) -> Result<()> {
    if args.store.contains(&StoreKind::Sqlite) {
        return Err("sqlite has no server that could go away: use postgres or redis".into());
    }
    let outages = args.store.iter().flat_map(|store| args.absence.iter().map(|absence| (*store, *absence)));
    let outages = join_all(outages.map(|(store, absence)| {
        let args = &args;
        async move { (store, absence, observe(args, store, absence).await) }
    }));
    let mut broken = Vec::new();
    for (store, absence, seen) in outages.await {
        println!("\n{store:?}, {absence:?} for {} s", args.seconds);
        let seen = seen?;
        seen.report(&args);
        broken.extend(seen.broken(&args).into_iter().map(|what| format!("{store:?}, {absence:?}: {what}")));
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(format!("promises were broken: {}", broken.join("; ")).into())
    }
}

/// The observations of one outage.
struct Seen {
    answers: Vec<Answer>,
    /// The part of a core that each process used while the store was away, the busiest last.
    cores: Vec<f64>,
    /// The time from the store's end to the last sign of a job that ran.
    last_sign: Option<Duration>,
    /// Connections asked for while the store was away, and in the first second after.
    connections: (u64, u64),
    /// The time from the store's return until a job was acknowledged, one was claimed, and the job that ran when the store
    /// went away was claimed again.
    acknowledged: Duration,
    claimed: Duration,
    rescued: Duration,
    findings: Findings,
}

impl Seen {
    /// The promises that were broken.
    fn broken(&self, args: &OutageArgs) -> Vec<String> {
        let mut broken = self.findings.broken();
        let mut promise = |kept: bool, promise: &str| {
            if !kept {
                broken.push(promise.to_owned());
            }
        };
        promise(!self.answers.is_empty(), "servers answer while the store is away");
        promise(self.answers.iter().all(Answer::is_good), "each answer is 503 and says when to come back");
        promise(self.last_sign.is_some(), "the job that is watched runs when the store goes away");
        if args.judge == Judge::Outcomes {
            return broken;
        }
        let lease = Duration::from_secs(args.cluster.lease);
        let processes = (args.cluster.workers + args.cluster.servers) as u64;
        let slowest = self.answers.iter().map(|answer| answer.took).max();
        promise(slowest.is_none_or(|slowest| slowest <= SLOWEST_ANSWER), "each answer comes soon");
        promise(
            self.cores.iter().all(|cores| *cores <= BUSIEST),
            "no process is busy while the store is away",
        );
        promise(
            self.last_sign.is_some_and(|sign| sign <= lease),
            "a worker stops its jobs before its lease ends",
        );
        promise(self.connections.1 <= processes * LARGEST_RUSH, "no process floods a store that is back");
        let last = self.acknowledged.max(self.claimed).max(self.rescued);
        promise(last <= SLOWEST_RETURN, "everything goes on soon");
        broken
    }

    fn report(&self, args: &OutageArgs) {
        let good = self.answers.iter().filter(|answer| answer.is_good()).count();
        let mut took: Vec<Duration> = self.answers.iter().map(|answer| answer.took).collect();
        took.sort_unstable();
        let took = |part: f64| took.get(((took.len().saturating_sub(1)) as f64 * part) as usize).copied();
        let seconds = |time: Option<Duration>| {
            time.map_or("none".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
        };
        println!(
            "  while it was away    {} answers, {good} of them 503 with a time to come back after: p50 {}, p99 {}, slowest {}",
            self.answers.len(),
            seconds(took(0.5)),
            seconds(took(0.99)),
            seconds(took(1.0))
        );
        for answer in self.answers.iter().filter(|answer| !answer.is_good()).take(5) {
            println!("    not so             {:?} after {}", answer.status, seconds(Some(answer.took)));
        }
        println!(
            "  the last sign        of a job that ran came after {} (lease {} s)",
            seconds(self.last_sign),
            args.cluster.lease
        );
        println!(
            "  the busiest process  used {:.1} % of a core",
            self.cores.last().copied().unwrap_or_default() * 100.0
        );
        println!(
            "  connections          {} while it was away, {} in the first second after",
            self.connections.0, self.connections.1
        );
        println!("  a job acknowledged   {} after it was back", seconds(Some(self.acknowledged)));
        println!("  a job claimed        {} after it was back", seconds(Some(self.claimed)));
        println!("  a job rescued        {} after it was back", seconds(Some(self.rescued)));
        self.findings.report();
    }
}

/// A server's answer while the store was away.
struct Answer {
    /// Nothing where it was not HTTP.
    status: Option<StatusCode>,
    says_when: bool,
    took: Duration,
}

impl Answer {
    /// True where a client can work with it.
    fn is_good(&self) -> bool {
        self.status == Some(StatusCode::SERVICE_UNAVAILABLE) && self.says_when
    }
}

async fn observe(args: &OutageArgs, kind: StoreKind, absence: Absence) -> Result<Seen> {
    let away = Duration::from_secs(args.seconds);
    let mut cluster = Cluster::start(&args.cluster, kind).await?;
    let longhaul = Longhaul::over(target::open(&cluster.target.direct).await?);
    let known = JobId::new("runs-all-the-while")?;
    let watch = Watch { millis: (away + SLOWEST_RETURN).as_millis() as u64 };
    longhaul.enqueue_one(NewJob { id: Some(known.clone()), ..NewJob::of(&watch)? }).await?;
    let (phase, over) = watch::channel(Phase::Load);
    let load =
        Load { servers: cluster.addresses.subscribe(), history: cluster.history.clone(), rate: RATE, over };
    let load = tokio::spawn(load.run(0, CLIENTS));
    wait_for(&cluster, "the job that is watched to run", |line| matches!(&line.what, What::Ticked { .. }))
        .await?;
    wait_for(&cluster, "a job to end", |line| matches!(&line.what, What::Finished { .. })).await?;

    cluster.target.take_away(absence);
    cluster.note(Fault::StoreKilled, 0);
    let gone = cluster.history.now();
    let (cpu, connections) = (cpu(&cluster), cluster.target.connections());
    let addresses = cluster.addresses.borrow().clone();
    let rows = if kind == StoreKind::Postgres { ROUTES_WITH_ROWS } else { &[] };
    let answers = ask(&addresses, &known, rows, away).await?;
    let cores = cores(&cpu, &self::cpu(&cluster), away);
    let connections_while_away = cluster.target.connections() - connections;

    // Others may be served before this process hears that the store is back.
    let returns = cluster.history.now();
    cluster.target.bring_back(absence).await?;
    cluster.note(Fault::StoreBack, 0);
    let (back, connections) = (cluster.history.now(), cluster.target.connections());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rush = cluster.target.connections() - connections;
    let after = |line: &Line| line.at > returns;
    let is_acknowledgement = |line: &Line| after(line) && matches!(line.what, What::Acknowledged { .. });
    let acknowledged =
        wait_for(&cluster, "a job to be acknowledged by the store that is back", is_acknowledgement).await?;
    let is_claim = |line: &Line| after(line) && matches!(line.what, What::Claimed { .. });
    let claimed = wait_for(&cluster, "a job to be claimed from it", is_claim).await?;
    let is_rescue = |line: &Line| {
        after(line) && matches!(&line.what, What::Claimed { job, .. } if *job == known.as_str())
    };
    let rescued = wait_for(&cluster, "the job that is watched to be claimed again", is_rescue).await?;
    phase.send_replace(Phase::Drain);
    let sent = load.await??;
    let findings = cluster.verify(&sent).await?;
    let ticks = |line: &&Line| matches!(&line.what, What::Ticked { .. }) && line.at <= returns;
    let last_sign = cluster.read_history()?.iter().rfind(ticks).map(|line| line.at.since(gone));
    Ok(Seen {
        answers,
        cores,
        last_sign,
        connections: (connections_while_away, rush),
        acknowledged: acknowledged.since(back),
        claimed: claimed.since(back),
        rescued: rescued.since(back),
        findings,
    })
}

/// Routes of services that read rows, which are beside the jobs where these are in Postgres.
const ROUTES_WITH_ROWS: &[&str] = &["/search_lessons?query=verbs", "/api/v3/workflow"];

/// Asks every server for what needs the store, again and again for so long. Answers that come later are left out: they
/// may be of a store that is back.
async fn ask(servers: &[String], known: &JobId, rows: &[&str], length: Duration) -> Result<Vec<Answer>> {
    let client = Client::builder().no_proxy().build()?;
    let probe = json!({ "kind": "chaos.nothing", "args": {}, "queue": "nobody-works-on-this" });
    let asking = Stopwatch::start();
    let mut answers = Vec::new();
    while asking.elapsed() < length {
        for server in servers {
            let jobs = ["/api/jobs", "/api/queues"].iter().chain(rows);
            let mut requests: Vec<_> = jobs.map(|route| client.get(format!("{server}{route}"))).collect();
            requests.push(client.get(format!("{server}/api/jobs/{known}")));
            requests.push(client.post(format!("{server}/api/jobs")).json(&probe));
            for request in requests {
                let request = request.timeout(PATIENCE);
                answers.push(tokio::spawn(async move {
                    let answering = Stopwatch::start();
                    let answer = request.send().await.ok();
                    let says_when =
                        answer.as_ref().is_some_and(|answer| answer.headers().contains_key("retry-after"));
                    let status = answer.map(|answer| answer.status());
                    Answer { status, says_when, took: answering.elapsed() }
                }));
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    let mut seen = Vec::new();
    for answer in answers {
        if answer.is_finished() {
            seen.push(answer.await?);
        }
    }
    Ok(seen)
}

/// The CPU time of each server and each worker, in seconds.
fn cpu(cluster: &Cluster<'_>) -> Vec<f64> {
    cluster.servers.iter().chain(&cluster.workers).map(|process| process.cpu().unwrap_or(f64::NAN)).collect()
}

fn cores(from: &[f64], to: &[f64], length: Duration) -> Vec<f64> {
    let mut cores: Vec<f64> =
        from.iter().zip(to).map(|(from, to)| (to - from) / length.as_secs_f64()).collect();
    cores.sort_by(f64::total_cmp);
    cores
}

/// Polls the history until it has the line, and returns its time: there is no notification of a growing file.
async fn wait_for(cluster: &Cluster<'_>, what: &str, is_it: impl Fn(&Line) -> bool) -> Result<Timestamp> {
    let waiting = Stopwatch::start();
    loop {
        if let Some(line) = cluster.read_history()?.iter().find(|line| is_it(line)) {
            return Ok(line.at);
        }
        if waiting.elapsed() > PATIENCE {
            return Err(format!("waited in vain for {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
