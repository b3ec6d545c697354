//! The last release and this one on the same store: the programs of the one, then both side by side, then those of the other alone,
//! and back. Jobs are put in at each stage, by each release, and clients go on sending all the while. Each job must end once, as it
//! should; both releases must tell the same of it; and no server may log an error.

mod api;
mod release;
mod rows;
mod samples;
mod session;
mod told;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use longhaul::clock::Stopwatch;
use longhaul::{Longhaul, State};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::release::{Place, Release, Running};
use self::rows::Row;
use self::samples::Sample;
use self::session::Session;
use crate::Result;
use crate::check::{Findings, check};
use crate::history::{Accepted, What};
use crate::load::{Load, Phase, Sent};
use crate::target::{self, StoreKind};
use crate::worker::{Behaviour, QUEUE};

/// The flags of an upgrade.
#[derive(Args, Clone, Debug)]
pub(crate) struct UpgradeArgs {
    /// The folder with `longhaul` and `longhaul-chaos` of the last release
    #[arg(long, value_name = "FOLDER")]
    last: PathBuf,
    /// The server of this release
    #[arg(long, value_name = "BINARY")]
    longhaul: PathBuf,
    /// The stores to upgrade, at the same time [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// A client's session, which is run at a server of each release while both are there: a command that is given the server's URL
    #[arg(long, value_name = "COMMAND")]
    session: Vec<String>,
}

/// Clients that enqueue all the while, and their jobs per second.
const CLIENTS: u64 = 2;
const RATE: f64 = 4.0;
/// The bound on whatever is waited for. A cluster that works is far below it on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(300);
/// The pause between two looks at what nobody tells of.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Upgrades each store and goes back, and fails if something went wrong on one.
///
/// # Errors
/// A job did not end as it should, the releases told different things of one, a server logged an error, or a stage could not be made.
pub(crate) async fn run(args: UpgradeArgs) -> Result<()> {
    let sessions: Vec<Session> = args.session.iter().map(|command| Session::new(command)).collect();
    let stores = StoreKind::chosen(&args.store);
    let upgrades = stores.iter().map(|store| {
        let (args, sessions) = (&args, &sessions);
        async move { Upgrade::start(args, sessions, *store).await?.execute().await }
    });
    let mut wrong = Vec::new();
    for (store, upgraded) in stores.iter().zip(join_all(upgrades).await) {
        println!("\n{store:?}");
        match upgraded {
            Ok(upgraded) => {
                upgraded.report();
                wrong.extend(upgraded.wrong.into_iter().map(|what| format!("{store:?}: {what}")));
            }
            Err(error) => wrong.push(format!("{store:?}: {error}")),
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("an upgrade went wrong:\n  {}", wrong.join("\n  ")).into())
    }
}

/// An upgrade in progress.
struct Upgrade<'a> {
    kind: StoreKind,
    sessions: &'a [Session],
    last: Release,
    this: Release,
    place: Place,
    /// The addresses that clients send to.
    addresses: watch::Sender<Vec<String>>,
    phase: watch::Sender<Phase>,
    load: JoinHandle<Result<Vec<Sent>>>,
    /// The jobs whose ends have been seen.
    ended: Vec<Sample>,
    /// The rows of services.
    rows: Vec<Row>,
    wrong: Vec<String>,
}

/// The result of an upgrade.
struct Upgraded {
    findings: Findings,
    samples: usize,
    logged: usize,
    wrong: Vec<String>,
}

impl<'a> Upgrade<'a> {
    async fn start(args: &UpgradeArgs, sessions: &'a [Session], kind: StoreKind) -> Result<Self> {
        let place = Place::start(kind).await?;
        let addresses = watch::Sender::new(Vec::new());
        let (phase, over) = watch::channel(Phase::Load);
        let load = Load { servers: addresses.subscribe(), history: place.history.clone(), rate: RATE, over };
        Ok(Self {
            kind,
            sessions,
            last: Release {
                name: "last",
                longhaul: args.last.join("longhaul"),
                chaos: args.last.join("longhaul-chaos"),
            },
            this: Release { name: "new", longhaul: args.longhaul.clone(), chaos: std::env::current_exe()? },
            place,
            addresses,
            phase,
            load: tokio::spawn(load.run(0, CLIENTS)),
            ended: Vec::new(),
            rows: Vec::new(),
            wrong: Vec::new(),
        })
    }

    async fn execute(mut self) -> Result<Upgraded> {
        let last = self.bring(&self.last).await?;
        self.round("before", &last, &last).await?;

        // What the last release has begun: jobs of all sorts that wait when this one comes.
        last.api.post(&format!("/api/queues/{QUEUE}/pause"), json!(null)).await?;
        let held = samples::put("held", &last.api, &last.api).await?;
        let this = self.bring(&self.this).await?;
        told::alike(&last.api, &this.api, &held, &mut self.wrong).await?;
        this.api.post(&format!("/api/queues/{QUEUE}/resume"), json!(null)).await?;
        self.end(held, &this, &[&last, &this]).await?;

        self.side_by_side("beside", &last, &this).await?;
        self.take_away(last).await?;
        self.round("after", &this, &this).await?;

        let last = self.bring(&self.last).await?;
        self.side_by_side("back", &last, &this).await?;
        self.take_away(this).await?;
        self.round("rolled-back", &last, &last).await?;

        let this = self.bring(&self.this).await?;
        told::alike(&last.api, &this.api, &self.ended, &mut self.wrong).await?;
        let findings = self.drain().await?;
        told::counts_alike(&last.api, &this.api, &mut self.wrong).await?;
        self.take_away(last).await?;
        self.take_away(this).await?;
        let errors = self.place.logged_errors()?;
        let logged = errors.len();
        self.wrong.extend(errors.into_iter().map(|line| format!("a server has logged an error: {line}")));
        self.wrong.extend(findings.broken());
        Ok(Upgraded { findings, samples: self.ended.len(), logged, wrong: self.wrong })
    }

    /// Both releases at work: each runs what the other was given, and all that both can do is done by both.
    async fn side_by_side(&mut self, stage: &str, last: &Running, this: &Running) -> Result<()> {
        self.round(&format!("{stage}-last"), last, this).await?;
        self.round(&format!("{stage}-this"), this, last).await?;
        let newer = samples::put_newer(stage, &this.api).await?;
        self.end(newer, this, &[last, this]).await?;
        self.run_by(&format!("{stage}-to-last"), this, last).await?;
        self.run_by(&format!("{stage}-to-this"), last, this).await?;
        let (sessions, servers) = (self.sessions, [last, this]);
        let sessions = sessions.iter().flat_map(|session| servers.map(|server| (session, server)));
        let ended = join_all(sessions.map(|(session, server)| async move {
            let ended = session.run(&server.api.url).await;
            ended.err().map(|error| format!("{stage}, the {} release's server: {error}", server.release))
        }));
        self.wrong.extend(ended.await.into_iter().flatten());
        told::alike(&last.api, &this.api, &self.ended, &mut self.wrong).await
    }

    /// Puts jobs of all sorts and rows in at one server, acts on them at the other, and waits for the jobs' ends.
    async fn round(&mut self, stage: &str, by: &Running, other: &Running) -> Result<()> {
        self.rows.push(rows::put(stage, &by.api, &other.api).await?);
        for row in &self.rows {
            self.wrong.extend(row.check(&by.api).await?);
            self.wrong.extend(row.check(&other.api).await?);
        }
        let samples = samples::put(stage, &by.api, &other.api).await?;
        self.end(samples, other, &[by, other]).await
    }

    /// Waits for the ends of jobs, each of which all servers must tell.
    async fn end(&mut self, samples: Vec<Sample>, acting: &Running, servers: &[&Running]) -> Result<()> {
        let ends = samples.iter().map(|sample| async move {
            sample.act(&acting.api).await?;
            let mut wrong = Vec::new();
            for server in servers {
                wrong.extend(sample.end(&server.api).await?);
            }
            Result::Ok(wrong)
        });
        for wrong in join_all(ends).await {
            self.wrong.extend(wrong?);
        }
        self.ended.extend(samples);
        Ok(())
    }

    /// Puts jobs in at one server until a worker of the other release has run one.
    async fn run_by(&mut self, stage: &str, by: &Running, worker: &Running) -> Result<()> {
        let waiting = Stopwatch::start();
        for number in 0.. {
            let id = format!("{stage}-{number}");
            let sample = samples::put_one(&id, stage, &by.api).await?;
            self.end(vec![sample], worker, &[worker]).await?;
            let ran = self.place.read_history()?.into_iter().any(|line| {
                matches!(line.what, What::Finished { ref job, pid, accepted: Accepted::Yes, .. }
                    if *job == id && pid == worker.worker.pid())
            });
            if ran {
                break;
            }
            if waiting.elapsed() > PATIENCE {
                let (by, worker) = (by.release, worker.release);
                return Err(format!(
                    "no worker of the {worker} release ran a job that the {by} one was given"
                )
                .into());
            }
        }
        Ok(())
    }

    /// Starts a release's server and worker, and lets the clients send there, too.
    async fn bring(&self, release: &Release) -> Result<Running> {
        eprintln!("{:?}: the {} release comes", self.kind, release.name);
        let running = self.place.run(release).await?;
        self.addresses.send_modify(|addresses| addresses.push(running.api.url.clone()));
        Ok(running)
    }

    /// Ends a release's server and worker as a service manager does.
    async fn take_away(&self, mut running: Running) -> Result<()> {
        self.addresses.send_modify(|addresses| addresses.retain(|address| *address != running.api.url));
        eprintln!("{:?}: the {} release is taken away", self.kind, running.release);
        running.server.end().await?;
        running.worker.end().await
    }

    /// Lets the clients end, waits until all of their jobs have completed, and checks the history.
    async fn drain(&mut self) -> Result<Findings> {
        self.phase.send_replace(Phase::Drain);
        let sent = (&mut self.load).await??;
        let longhaul = Longhaul::over(target::open(&self.place.target.direct).await?);
        let (waiting, mut completed) = (Stopwatch::start(), std::collections::BTreeSet::new());
        for job in &sent {
            let left = PATIENCE.saturating_sub(waiting.elapsed());
            let found = longhaul.wait(&job.id, left).await?.found();
            if found.is_some_and(|job| job.state == State::Completed) {
                completed.insert(job.id.to_string());
            }
        }
        let limited = sent.iter().filter(|job| job.behaviour == Behaviour::Limited);
        let limited = limited.map(|job| job.id.to_string()).collect();
        Ok(check(&self.place.read_history()?, &completed, &limited, self.place.target.owner()))
    }
}

impl Upgraded {
    fn report(&self) {
        println!("  samples              {} ended as they should, by what both releases tell", self.samples);
        println!("  errors logged        {}", self.logged);
        self.findings.report();
    }
}
