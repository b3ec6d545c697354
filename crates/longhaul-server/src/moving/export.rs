use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use longhaul::clock::Stopwatch;
use longhaul::{Clock, JobId, Store};

use super::WHAT_COMES_OVER;
use super::file::{FORMAT, Header, Line, Sum, record_text};
use crate::Result;
use crate::output::tell;
use crate::stores::StoreArgs;
use crate::terminal::{bar, spoken};

/// Write all that a store of jobs keeps into a file, for a backup or for another store
///
/// The file is one moment of the store: servers and workers go on meanwhile. Redis has no snapshots, so whoever writes to that
/// server waits until its export has ended, about a second for 10,000 jobs; one that does not allow it (CLIENT PAUSE) is
/// exported while nobody else writes.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(crate) struct Args {
    /// The file, which must not be there yet; - is standard output
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    stores: StoreArgs,
}

const EXAMPLES: &str = "\
Examples:
  longhaul export backup.jsonl --store redis://cache:6379/0
  longhaul export --data /var/lib/longhaul | gzip > backup.jsonl.gz
  longhaul export --store sqlite:data/longhaul.db | longhaul import --store postgres://longhaul@db/longhaul";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{WHAT_COMES_OVER}\n\n{ABOUT_THE_FILE}")
}

const ABOUT_THE_FILE: &str = "\
The file is lines of JSON: a header, a line for each record with its \"type\", and a footer with counts and a checksum.
It is as secret as the store: it has the args and the outputs of jobs, and the secrets of webhooks. An export that is
cut short leaves no file, because half a moment is none: start it again.";

pub(crate) async fn run(args: Args) -> Result<()> {
    let (store, kind) = args.stores.open_to_export().await?;
    let waiting = Stopwatch::start();
    let sum = if args.file == Path::new("-") {
        let mut out = BufWriter::new(io::stdout().lock());
        // The lock of standard output stays on this thread: the command does nothing else.
        let sum = write(&*store, kind, &mut out).await?;
        out.flush()?;
        sum
    } else {
        to_file(&*store, kind, &args.file).await?
    };
    let to = if args.file == Path::new("-") { String::new() } else { format!(" to {}", args.file.display()) };
    tell(format_args!("exported {}{to} in {}", sum.spoken(), spoken(waiting.elapsed())));
    Ok(())
}

/// Writes beside the file and renames it at the end, so that what is called so is whole.
async fn to_file(store: &dyn Store, kind: &'static str, file: &Path) -> Result<Sum> {
    if file.exists() {
        return Err(format!("{} is there already: name another file, or remove it", file.display()).into());
    }
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let failed = |error: io::Error| format!("failed to write {}: {error}", part.display());
    let mut out = BufWriter::new(File::create(&part).map_err(failed)?);
    let written = write(store, kind, &mut out).await;
    let written = match written {
        Ok(sum) => {
            let synced =
                out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|out| out.sync_all());
            synced.map_err(failed).map(|()| sum).map_err(Into::into)
        }
        Err(error) => Err(error),
    };
    match written {
        Ok(sum) => {
            std::fs::rename(&part, file).map_err(failed)?;
            Ok(sum)
        }
        Err(error) => {
            // Half an export is none.
            let _ = std::fs::remove_file(&part);
            Err(error)
        }
    }
}

async fn write(store: &dyn Store, kind: &'static str, out: &mut impl Write) -> Result<Sum> {
    let header = Header {
        format: FORMAT,
        id: JobId::random().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: kind.to_owned(),
        at: jiff::Timestamp::from_millisecond(Clock::system().now().0)?.to_string(),
    };
    let mut sum = Sum::default();
    let text = Line::Header(header).text()?;
    sum.begin(&text);
    out.write_all(text.as_bytes())?;
    let bar = bar(0, "{spinner} {pos} records, {per_sec}");
    let mut export = store.export().await?;
    loop {
        let records = export.next().await?;
        if records.is_empty() {
            break;
        }
        for record in records {
            let text = record_text(&record)?;
            sum.add(&text, &record);
            out.write_all(text.as_bytes())?;
        }
        bar.set_position(sum.records());
    }
    bar.finish_and_clear();
    out.write_all(Line::Footer(sum.footer()).text()?.as_bytes())?;
    Ok(sum)
}
