//! `longhaul erase`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use longhaul::access::{Audit, AuditEntry};
use longhaul::{Clock, JobId};
use serde_json::{Value, json};
use service_support::{DbError, Deed, Erased, Erasure, Stays};

use crate::client::local_user;
use crate::output::{print, tell};
use crate::services::{self, Selection, Services};
use crate::stores::{OpenStores, StoreArgs};
use crate::terminal::{Answer, ask, grouped};
use crate::{Coded, Result, USAGE};

/// Erase what all services keep of one user: rows, files, jobs and what these say
///
/// Jobs of the user that run are cancelled first, and fenced off where they do not stop, so that nothing comes back later. What is
/// not the user's alone stays, and is told. Servers and workers may go on meanwhile. An erasure that was cut off is gone on with by
/// running the command again.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{REACH}"))]
pub(crate) struct Args {
    /// The user's id: the `sub` of tokens, and `user_id` of lessons. It is compared to the letter
    #[arg(long, value_name = "USER")]
    user: String,
    /// Count what is there, and erase nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; without a terminal nothing is erased unless this is given
    #[arg(long, short)]
    yes: bool,
    /// The result as JSON: {"user", "dry_run", "services", "stays", "total", "scrubbed"}
    #[arg(long)]
    json: bool,
    /// Leave the bytes of deleted rows in the free space of an SQLite file, where they stand until it is used again
    #[arg(long)]
    no_scrub: bool,
    #[command(flatten)]
    stores: StoreArgs,
}

const EXAMPLES: &str = "\
Examples:
  longhaul erase --user ada --dry-run               what is kept of ada, in numbers
  longhaul erase --user ada --data /var/lib/longhaul
  longhaul erase --user ada --yes --json            for a script

Run it where the server runs, with the variables that the server has: DATABASE_URL, REDIS_URL, STORAGE_URL.";

const REACH: &str = "\
First revoke the user's tokens: what is created while this runs is erased too, and what is created after it stays.

An SQLite file is written anew at the end, without the bytes of deleted rows: writes wait meanwhile, about a second for 100 MiB, and
it takes room for two more copies. --no-scrub leaves that out. Postgres drops dead rows with its next VACUUM; Redis has them in its
append-only file until that is rewritten (BGREWRITEAOF).

Not reached: backups and exports, logs of processes, what language models and other systems outside were sent, jobs that an
application has enqueued under kinds of its own, and the audit log, which says that one user was erased, when and by whom, and not
which one. Exit code: 0 where something was erased or counted, 1 where nothing is kept of the user.";

/// The stamp of an erasure that has begun and not ended, or has left bytes of deleted rows. It does not name the user.
const BEGUN: &str = "erasure";
/// The most passes over all services. The last one finds nothing.
const PASSES: usize = 10;

/// The erased rows, by service.
#[derive(Debug, Default)]
struct Report {
    services: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    stays: Vec<(&'static str, Stays)>,
    scrubbed: Vec<PathBuf>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let stores = args.stores.open_existing_tables().await?;
    let services = services::open(&Selection::ALL, &args.stores, &stores, None, "").await?;
    if services.is_empty() {
        return Err("this build has no services, and so knows no users: use the full longhaul".into());
    }
    let erasure = |deed| Erasure::new(&services.deps, &args.user, deed);
    let look = erasure(Deed::Count).map_err(|error| Coded(USAGE, format!("--user: {error}")))?;
    let mut counted = Report::default();
    services.erase(&look, |name, erased| counted.add(name, erased)).await?;
    // The table of stamps is there once the id was asked for.
    services.deps.db.id().await?;
    let was_begun = services.deps.db.stamped(BEGUN).await?.is_some();
    if counted.total() == 0 && !was_begun {
        return Err(unknown(&args.user, &stores).into());
    }
    if args.dry_run {
        return counted.print(&args);
    }
    if counted.total() == 0 {
        tell(format_args!(
            "an erasure is not at its end yet, and is gone on with; of '{}' nothing is kept any more",
            args.user
        ));
    }
    confirm(&args, &counted)?;
    let deed = erasure(Deed::Erase).map_err(|error| Coded(USAGE, format!("--user: {error}")))?;
    let mut report = Report { stays: counted.stays, ..Report::default() };
    let done = erase(&args, &services, &deed, &mut report).await;
    note(&services, &report, done.is_ok()).await?;
    done?;
    report.print(&args)
}

fn unknown(user: &str, stores: &OpenStores) -> String {
    format!(
        "nothing is kept of a user '{user}' in {}: an id is compared to the letter with the sub of tokens; where the server has \
         other variables than this command (DATABASE_URL, REDIS_URL, STORAGE_URL), set them here too",
        stores.described()
    )
}

fn confirm(args: &Args, counted: &Report) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let all = grouped(counted.total());
    match ask(&format!("Erase all {all} rows, files and jobs of {} for good?", args.user))? {
        Answer::Yes => Ok(()),
        Answer::No => Err("nothing was done".into()),
        Answer::Nobody => Err(format!("{all} rows, files and jobs would be erased: add --yes").into()),
    }
}

/// Goes over all services until nothing is found any more: others may write meanwhile.
async fn erase(args: &Args, services: &Services, deed: &Erasure, report: &mut Report) -> Result<()> {
    let db = &services.deps.db;
    db.stamp(BEGUN, "begun").await?;
    for pass in 1..=PASSES {
        // What waits in the outbox is found among the jobs. An entry that cannot be delivered is gone through where it is.
        match db.deliver().await {
            Err(DbError::Undelivered { .. }) => {}
            done => drop(done?),
        }
        let mut found = 0;
        let told = |name, erased: Erased| {
            found += erased.total();
            if pass == 1 {
                tell(format_args!("{name}: {} erased", grouped(erased.total())));
            }
            report.count(name, &erased);
        };
        services.erase(deed, told).await?;
        if found == 0 {
            break;
        }
        if pass == PASSES {
            return Err(
                "the user's data comes as fast as it is erased: revoke the user's tokens, and run this again"
                    .into(),
            );
        }
    }
    // Keys of limits and the like go with the next sweep.
    services.deps.longhaul.store().sweep(1_000).await?;
    let files = args.stores.sqlite_files()?;
    if args.no_scrub && !files.is_empty() {
        tell(
            "bytes of deleted rows are left in the free space of the file: run this again without --no-scrub to remove them",
        );
        // The stamp stays, so that the next run comes this far though it finds nothing.
        return Ok(());
    }
    for file in files {
        scrub(&file).await?;
        report.scrubbed.push(file);
    }
    Ok(db.unstamp(BEGUN).await?)
}

async fn scrub(file: &Path) -> Result<()> {
    let path = file.to_owned();
    let scrubbed = tokio::task::spawn_blocking(move || longhaul_sqlite::scrub(path)).await?;
    scrubbed.map_err(|error| {
        format!(
            "all is erased, but deleted rows may still have left their bytes in {}: {error}; run this again to write it anew",
            file.display()
        )
        .into()
    })
}

/// Notes the erasure in the audit log: who asked for it and how much it was, and not of whom.
async fn note(services: &Services, report: &Report, is_whole: bool) -> Result<()> {
    let jobs = report.sum("jobs") + report.sum("outbox");
    let rest = report.total() - jobs;
    let end = if is_whole { "" } else { ", not to the end" };
    let entry = AuditEntry {
        id: JobId::random().to_string(),
        at: Clock::system().now(),
        who: local_user(),
        role: None,
        token: None,
        action: "user.erase".into(),
        object: format!("one user: {rest} rows and files{end}"),
        count: Some(jobs),
        refused: None,
        request_id: JobId::random().to_string(),
    };
    let store = services.deps.longhaul.store();
    Ok(Audit::of(&**store).note(entry).await?)
}

impl Report {
    fn add(&mut self, service: &'static str, erased: Erased) {
        self.count(service, &erased);
        self.stays.extend(erased.stays.into_iter().map(|stays| (service, stays)));
    }

    fn count(&mut self, service: &'static str, erased: &Erased) {
        let counts = self.services.entry(service).or_default();
        for (what, count) in &erased.counts {
            *counts.entry(what).or_default() += count;
        }
    }

    fn total(&self) -> u64 {
        self.services.values().flat_map(BTreeMap::values).sum()
    }

    fn sum(&self, what: &str) -> u64 {
        self.services.values().filter_map(|counts| counts.get(what)).sum()
    }

    fn print(&self, args: &Args) -> Result<()> {
        if args.json {
            return Ok(print(self.to_json(args))?);
        }
        for (service, counts) in self.services.iter().filter(|(_, counts)| !counts.is_empty()) {
            let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
            print(format_args!("{service}: {}", counts.join(", ")))?;
        }
        for (service, Stays { what, count, why }) in &self.stays {
            print(format_args!("{service}: {count} {what} stay: {why}"))?;
        }
        for file in &self.scrubbed {
            print(format_args!("{} is written anew, without the bytes of deleted rows", file.display()))?;
        }
        let total = grouped(self.total());
        match args.dry_run {
            true => print(format_args!("{total} in all would be erased; nothing was done"))?,
            false => print(format_args!("{total} in all erased"))?,
        }
        Ok(())
    }

    fn to_json(&self, args: &Args) -> Value {
        let stays = self.stays.iter().map(|(service, Stays { what, count, why })| {
            json!({ "service": service, "what": what, "count": count, "why": why })
        });
        let scrubbed: Vec<String> = self.scrubbed.iter().map(|file| file.display().to_string()).collect();
        json!({
            "user": args.user,
            "dry_run": args.dry_run,
            "services": self.services,
            "stays": stays.collect::<Vec<_>>(),
            "total": self.total(),
            "scrubbed": scrubbed,
        })
    }
}
