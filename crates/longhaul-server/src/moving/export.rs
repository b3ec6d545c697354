use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use longhaul::clock::Stopwatch;
use longhaul::{Clock, JobId};

use super::WHAT_COMES_OVER;
use super::file::{FORMAT, FORMAT_OF_JOBS, Header, Line, Sum};
use crate::Result;
use crate::output::tell;
use crate::services;
use crate::stores::{JobsToRead, Part, Parts, Source, StoreArgs};
use crate::terminal::{bar, spoken};

/// Write all that a store of jobs and the services' tables keep into a file, for a backup or for other databases
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(crate) struct Args {
    /// The file, which must not be there yet; - is standard output
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    parts: Parts,
    #[command(flatten)]
    stores: StoreArgs,
}

const EXAMPLES: &str = "\
Examples:
  longhaul export all.jsonl                     all of ./data, where longhaul serve has it
  longhaul export backup.jsonl --only jobs --store redis://cache:6379/0
  longhaul export --data /var/lib/longhaul | gzip > backup.jsonl.gz
  longhaul export --data data | longhaul import --store postgres://longhaul@db/longhaul
  longhaul export rows.jsonl --only services --database sqlite:data/longhaul.db";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{WHAT_COMES_OVER}\n\n{ABOUT_THE_FILE}")
}

const ABOUT_THE_FILE: &str = "\
The file is one moment of a database: servers and workers go on meanwhile. Jobs and tables that
are in two databases are two moments, right after each other. Redis has no snapshots, so whoever
writes to that server waits until the export has ended, about a second for 10,000 jobs; one that
does not allow it (CLIENT PAUSE) is exported while nobody else writes.

It is lines of JSON: a header, a line for each row and record with its \"type\", and a footer with
counts and a checksum. With rows it is of format 2, without them of format 1, which releases before
rows read too. It is as secret as the store: it has the args and the outputs of jobs, the secrets
of webhooks, and all that users have written. An export that is cut short leaves no file, because
half a moment is none: start it again.";

pub(crate) async fn run(args: Args) -> Result<()> {
    let source = args.stores.begin_export(args.parts.wanted(), &services::tables()?).await?;
    if let (None, JobsToRead::None) = (&source.rows, &source.jobs) {
        return Err("no service has its tables there: name their database with --database or --data".into());
    }
    let waiting = Stopwatch::start();
    let sum = if args.file == Path::new("-") {
        let mut out = BufWriter::new(io::stdout().lock());
        // The lock of standard output stays on this thread: the command does nothing else.
        let sum = write(source, &mut out).await?;
        out.flush()?;
        sum
    } else {
        to_file(source, &args.file).await?
    };
    let to = if args.file == Path::new("-") { String::new() } else { format!(" to {}", args.file.display()) };
    tell(format_args!("exported {}{to} in {}", sum.spoken(), spoken(waiting.elapsed())));
    Ok(())
}

/// Writes beside the file and renames it at the end, so that what is called so is whole.
async fn to_file(source: Source, file: &Path) -> Result<Sum> {
    let taken = || format!("{} is there already: name another file, or remove it", file.display());
    let failed = |error: io::Error| format!("failed to write {}: {error}", file.display());
    if file.exists() {
        return Err(taken().into());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Under a name that another export to the same file does not have, and for the owner alone: it is as secret as the store.
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    let part = tempfile::Builder::new().prefix(&name).suffix(".part").tempfile_in(folder).map_err(failed)?;
    let mut out = BufWriter::new(part.as_file());
    let sum = write(source, &mut out).await?;
    out.flush().map_err(failed)?;
    drop(out);
    part.as_file().sync_all().map_err(failed)?;
    part.persist_noclobber(file).map_err(|unnamed| match unnamed.error.kind() {
        io::ErrorKind::AlreadyExists => taken(),
        _ => failed(unnamed.error),
    })?;
    // The name is the folder's data, not the file's.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(sum)
}

/// Rows come before jobs, so that a worker of the new store finds the rows of the jobs that it takes.
async fn write(source: Source, out: &mut impl Write) -> Result<Sum> {
    let Source { kind, mut rows, jobs, open: _open } = source;
    let mut parts = Vec::new();
    parts.extend(rows.is_some().then_some(Part::Services));
    parts.extend((!matches!(jobs, JobsToRead::None)).then_some(Part::Jobs));
    let header = Header {
        format: if rows.is_some() { FORMAT } else { FORMAT_OF_JOBS },
        id: JobId::random().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: kind.to_owned(),
        at: jiff::Timestamp::from_millisecond(Clock::system().now().0)?.to_string(),
        parts,
    };
    let mut sum = Sum::default();
    let text = Line::Header(header).text()?;
    sum.begin(&text);
    out.write_all(text.as_bytes())?;
    let bar = bar(0, "{spinner} {pos} rows and records, {per_sec}");
    let mut put = |lines: Vec<Line>| -> Result<()> {
        for line in lines {
            let text = line.text()?;
            sum.add(&text, line.name());
            out.write_all(text.as_bytes())?;
        }
        bar.set_position(sum.records());
        Ok(())
    };
    while let Some(rows) = &mut rows {
        let page = rows.page().await?;
        if page.is_empty() {
            break;
        }
        put(page.into_iter().map(Line::Row).collect())?;
    }
    let jobs = match (jobs, rows) {
        (JobsToRead::None, _) | (JobsToRead::BesideRows, None) => None,
        (JobsToRead::BesideRows, Some(rows)) => Some(rows.into_jobs()),
        (JobsToRead::Apart(jobs), _) => Some(jobs),
    };
    if let Some(mut jobs) = jobs {
        loop {
            let records = jobs.next().await?;
            if records.is_empty() {
                break;
            }
            put(records.into_iter().map(Line::Record).collect())?;
        }
    }
    bar.finish_and_clear();
    out.write_all(Line::Footer(sum.footer()).text()?.as_bytes())?;
    Ok(sum)
}
