//! `longhaul backup`

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use indicatif::HumanBytes;
use longhaul_sqlite::{Existing, backup};

use crate::output::{print, tell};
use crate::store_url::StoreUrl;
use crate::stores::StoreArgs;
use crate::terminal::bar;
use crate::{Coded, Result, USAGE};

/// Copy an SQLite store to a file while it is in use.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file to write; it gets its name once it is whole and synced to disk
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace a file of that name
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    stores: StoreArgs,
}

const EXAMPLES: &str = "\
Examples:
  longhaul backup backup.db --data /var/lib/longhaul && cp -a /var/lib/longhaul/files files
  longhaul backup --overwrite /mnt/backup/longhaul.db --store sqlite:/var/lib/jobs.db

Servers and workers go on meanwhile. The copy is of the moment at which the command begins: each job
that was acknowledged before is in it, and so are the services' tables, queues, schedules and limits.

What the data folder holds beside the store is not in it: uploaded files (files/) and the secret of
users' tokens (jwt-secret). Copy these after the store, so that no row names a file that is missing;
the command says which there are.

To restore: stop the server, put the copy in the place of longhaul.db in the data folder, delete
longhaul.db-wal and longhaul.db-shm, put files/ back with all that is in it (a server refuses to
start on a store whose files are not there), and start it. What ran at that moment runs again.

Postgres: pg_dump. Redis: longhaul export, or a copy of its own files.";

pub(crate) async fn run(args: Args) -> Result<()> {
    let store = args.stores.jobs_url()?;
    let StoreUrl::Sqlite(from) = &store else { return Err(Coded(USAGE, elsewhere(&store)).into()) };
    let existing = if args.overwrite { Existing::Replace } else { Existing::Keep };
    let (from, file) = (from.clone(), args.file.clone());
    let copying = tokio::task::spawn_blocking(move || {
        let bar = bar(0, "copying {bar:30} {bytes} of {total_bytes}, {eta} left");
        let copied = backup(from, file, existing, |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.copied);
        });
        bar.finish_and_clear();
        copied
    });
    let bytes = match copying.await? {
        Ok(bytes) => bytes,
        Err(error) if args.file.is_file() && !args.overwrite => {
            return Err(format!("{error}; --overwrite replaces it").into());
        }
        Err(error) => return Err(error.into()),
    };
    print(format_args!("{store} is backed up in {}, {}", args.file.display(), HumanBytes(bytes)))?;
    let beside = beside(&args.stores.data);
    if !beside.is_empty() {
        tell(format_args!("not in it, to be copied after it: {}", beside.join(", ")));
    }
    Ok(())
}

/// The way to back up a store that is no file.
fn elsewhere(store: &StoreUrl) -> String {
    let instead = match store {
        StoreUrl::Sqlite(_) | StoreUrl::Postgres(_) => {
            "use pg_dump, which copies a Postgres database as of one moment while it is used"
        }
        StoreUrl::Redis(_) => {
            "use longhaul export, which writes all jobs of any store to a file, or copy Redis's own append-only file"
        }
        StoreUrl::Remote(_) => "run it on that server's machine, with its --data or --store",
    };
    format!("{store} is no SQLite file, which is all that longhaul backup copies: {instead}")
}

/// The files of a data folder beside the store.
fn beside(data: &Path) -> Vec<String> {
    let is_there = |path: &PathBuf| match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.is_file(),
    };
    let places = ["files", "jwt-secret"].map(|name| data.join(name));
    places.iter().filter(|path| is_there(path)).map(|path| path.display().to_string()).collect()
}
