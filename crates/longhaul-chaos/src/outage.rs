//! A store that is away for a minute, under API servers that are asked and workers that have work.
//!
//! While it is away, a request is answered 503 with the time to come back after, soon; nobody turns in circles; and a
//! worker whose lease ran out has stopped its jobs. When it is back, everything goes on by itself, without a rush to
//! the store.

use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use longhaul::clock::Stopwatch;
use longhaul::{JobId, Longhaul, NewJob, Timestamp};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::sync::watch;

use crate::Result;
use crate::check::Findings;
use crate::company::{Company, CompanyArgs};
use crate::history::{Fault, Line, What};
use crate::load::{Load, Phase};
use crate::stage::{self, Absence, StoreKind};
use crate::worker::Watch;

/// The flags of an outage.
#[derive(Args, Clone, Debug)]
pub(crate) struct OutageArgs {
    /// The stores that go away, all at once: those that have a server
    #[arg(long, value_delimiter = ',', default_values = ["postgres", "redis"])]
    store: Vec<StoreKind>,
    /// The ways in which they do, also at once
    #[arg(long, value_delimiter = ',', default_values = ["killed", "silent"])]
    absence: Vec<Absence>,
    /// For how long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds by which anything may be late, on a machine that others share and that pauses
    #[arg(long, default_value_t = 0)]
    tolerance: u64,
    #[command(flatten)]
    company: CompanyArgs,
}

/// Clients that enqueue all the while, and what they send in a second. Few, so that the servers' CPU time while the
/// store is away is not the clients'.
const CLIENTS: u64 = 2;
const RATE: f64 = 20.0;
/// How often each route of each server is asked while the store is away.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take while the store is away: a silent one is waited for 10 s.
const SLOWEST_ANSWER: Duration = Duration::from_secs(12);
/// What a process may use of a core while the store is away.
const BUSIEST: f64 = 0.1;
/// How soon everything must go on once the store is back.
const SLOWEST_RETURN: Duration = Duration::from_secs(10);
/// How many connections a process may ask for in the first second after.
const LARGEST_RUSH: u64 = 10;

/// Takes each store away in each way, and fails if a promise was broken.
///
/// # Errors
/// Where a promise was broken, or an outage could not be made.
pub(crate) async fn run(args: OutageArgs) -> Result<()> {
    if args.store.contains(&StoreKind::Sqlite) {
        return Err("sqlite has no server that could go away: use postgres or redis".into());
    }
    let outages = args.store.iter().flat_map(|store| args.absence.iter().map(|absence| (*store, *absence)));
    let played = join_all(outages.map(|(store, absence)| {
        let args = &args;
        async move { (store, absence, play(args, store, absence).await) }
    }));
    let mut broken = Vec::new();
    for (store, absence, seen) in played.await {
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

/// What was seen of an outage.
struct Seen {
    answers: Vec<Answer>,
    /// The part of a core that each process used while the store was away, the busiest last.
    cores: Vec<f64>,
    /// How long after the store went away a job that ran gave its last sign.
    last_sign: Option<Duration>,
    /// Connections asked for while the store was away, and in the first second after.
    connections: (u64, u64),
    /// How long after the store came back a job was acknowledged, one claimed, and the one given to a worker again that
    /// ran when the store went away.
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
        let tolerance = Duration::from_secs(args.tolerance);
        let lease = Duration::from_secs(args.company.lease);
        let processes = (args.company.workers + args.company.servers) as u64;
        promise(!self.answers.is_empty(), "servers answer while the store is away");
        promise(
            self.answers.iter().all(|answer| answer.is_good(tolerance)),
            "each answer is 503, soon, and says when to come back",
        );
        promise(self.cores.iter().all(|cores| *cores <= BUSIEST), "nobody is busy while the store is away");
        promise(
            self.last_sign.is_some_and(|sign| sign <= lease + tolerance),
            "a worker stops its jobs before its lease ends",
        );
        promise(self.connections.1 <= processes * LARGEST_RUSH, "nobody rushes to a store that is back");
        let last = self.acknowledged.max(self.claimed).max(self.rescued);
        promise(last <= SLOWEST_RETURN + tolerance, "everything goes on by itself");
        broken
    }

    fn report(&self, args: &OutageArgs) {
        let is_good = |answer: &&Answer| answer.is_good(Duration::from_secs(args.tolerance));
        let good = self.answers.iter().filter(is_good).count();
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
        for answer in self.answers.iter().filter(|answer| !is_good(answer)).take(5) {
            println!("    not so             {:?} after {}", answer.status, seconds(Some(answer.took)));
        }
        println!(
            "  the last sign        of a job that ran came after {} (lease {} s)",
            seconds(self.last_sign),
            args.company.lease
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

/// What a server said while the store was away.
struct Answer {
    /// Nothing where it was not HTTP.
    status: Option<StatusCode>,
    says_when: bool,
    took: Duration,
}

impl Answer {
    /// Whether it is what a client can work with.
    fn is_good(&self, tolerance: Duration) -> bool {
        self.status == Some(StatusCode::SERVICE_UNAVAILABLE)
            && self.says_when
            && self.took <= SLOWEST_ANSWER + tolerance
    }
}

async fn play(args: &OutageArgs, kind: StoreKind, absence: Absence) -> Result<Seen> {
    let away = Duration::from_secs(args.seconds);
    let mut company = Company::begin(&args.company, kind).await?;
    let longhaul = Longhaul::over(stage::open(&company.stage.direct).await?);
    let known = JobId::new("runs-all-the-while")?;
    let watch = Watch { millis: (away + SLOWEST_RETURN).as_millis() as u64 };
    longhaul.enqueue_one(NewJob { id: Some(known.clone()), ..NewJob::of(&watch)? }).await?;
    let (phase, over) = watch::channel(Phase::Load);
    let load =
        Load { servers: company.addresses.subscribe(), history: company.history.clone(), rate: RATE, over };
    let load = tokio::spawn(load.run(0, CLIENTS));
    wait_for(&company, |line| matches!(&line.what, What::Ticked { .. })).await?;
    wait_for(&company, |line| matches!(&line.what, What::Finished { .. })).await?;

    company.stage.take_away(absence).await?;
    company.note(Fault::StoreKilled, 0);
    let gone = company.history.now();
    let (cpu, connections) = (cpu(&company), company.stage.connections());
    let addresses = company.addresses.borrow().clone();
    let rows = if kind == StoreKind::Postgres { ROUTES_WITH_ROWS } else { &[] };
    let answers = ask(&addresses, &known, rows, away).await?;
    let cores = cores(&cpu, &self::cpu(&company), away);
    let connections_while_away = company.stage.connections() - connections;

    company.stage.bring_back(absence).await?;
    company.note(Fault::StoreBack, 0);
    let (back, connections) = (company.history.now(), company.stage.connections());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rush = company.stage.connections() - connections;
    let after = |line: &Line| line.at > back;
    let acknowledged =
        wait_for(&company, |line| after(line) && matches!(line.what, What::Acknowledged { .. })).await?;
    let claimed = wait_for(&company, |line| after(line) && matches!(line.what, What::Claimed { .. })).await?;
    let is_rescue = |line: &Line| {
        after(line) && matches!(&line.what, What::Claimed { job, .. } if *job == known.as_str())
    };
    let rescued = wait_for(&company, is_rescue).await?;
    phase.send_replace(Phase::Drain);
    let sent = load.await??;
    let findings = company.finale(&sent).await?;
    let ticks = |line: &&Line| matches!(&line.what, What::Ticked { .. }) && line.at < back;
    let last_sign = company.seen()?.iter().rfind(ticks).map(|line| line.at.since(gone));
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

/// Asks every server for what needs the store, again and again for so long. Answers that come after that are of a
/// store that is back, and left out, unless they took too long.
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
                let request = request.timeout(SLOWEST_ANSWER * 2);
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
fn cpu(company: &Company<'_>) -> Vec<f64> {
    company.servers.iter().chain(&company.workers).map(|actor| actor.cpu().unwrap_or(f64::NAN)).collect()
}

fn cores(from: &[f64], to: &[f64], length: Duration) -> Vec<f64> {
    let mut cores: Vec<f64> =
        from.iter().zip(to).map(|(from, to)| (to - from) / length.as_secs_f64()).collect();
    cores.sort_by(f64::total_cmp);
    cores
}

/// Reads the history again and again until it has the line, and answers its time: a file tells nobody that it grows.
async fn wait_for(company: &Company<'_>, is_it: impl Fn(&Line) -> bool) -> Result<Timestamp> {
    let waiting = Stopwatch::start();
    loop {
        if let Some(line) = company.seen()?.iter().find(|line| is_it(line)) {
            return Ok(line.at);
        }
        if waiting.elapsed() > SLOWEST_RETURN * 3 {
            return Err("waited in vain for something to go on".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
