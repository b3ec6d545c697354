use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use longhaul::clock::Stopwatch;
use longhaul::moving::{Exported, Imported};
use longhaul::{JobFilter, Json, Page, Sample, Store, Timestamp};
use serde::{Deserialize, Serialize};
use service_support::STAMP;

use super::WHAT_COMES_OVER;
use super::file::{FORMAT, Footer, Header, Line, Sum};
use crate::Result;
use crate::output::tell;
use crate::stores::StoreArgs;
use crate::terminal::{bar, spoken};

/// Write what `longhaul export` has read into another store, of whatever kind
///
/// The store must be new: one without jobs. An import that was cut short goes on where it was when it is started again with the
/// same file, and one that was whole adds nothing. Servers and workers may use the store meanwhile: jobs come in their order, each
/// after those that it depends on.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(crate) struct Args {
    /// The file; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Add to a store that has jobs what it does not have; of a job, a key or a queue that it has, its own stays
    #[arg(long)]
    merge: bool,
    /// Take what there is of a file that was cut; the whole file goes on from there
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    stores: StoreArgs,
}

const EXAMPLES: &str = "\
Examples:
  longhaul import backup.jsonl --store redis://cache:6379/0
  gunzip -c backup.jsonl.gz | longhaul import --data /var/lib/longhaul
  longhaul import more.jsonl --merge --store postgres://longhaul@db/longhaul";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{WHAT_COMES_OVER}\n\n{ABOUT_MOVING}")
}

const ABOUT_MOVING: &str = "\
To move a running system: stop its servers and workers, export, import, and start them on the new store. A job that
runs in both runs twice.";

/// The series of samples in which a store remembers its imports, by the ids of the exports.
const MARKS: &str = "imports";
/// The time for which an import is remembered.
const MARKED_FOR: Duration = Duration::from_secs(400 * 86_400);
/// About the records and the bytes of one call.
const RECORDS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 << 20;

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// The lines that are there.
    lines: u64,
    /// True once all are.
    whole: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let is_stdin = args.file == Path::new("-");
    if !is_stdin {
        // Before anything is written: a file can be read twice.
        check(open(&args.file)?, &args)?;
    }
    let store = args.stores.open_to_import().await?;
    if is_stdin {
        import(&*store, BufReader::new(io::stdin()), &args).await
    } else {
        import(&*store, open(&args.file)?, &args).await
    }
}

fn open(file: &Path) -> Result<BufReader<File>> {
    let opened = File::open(file).map_err(|error| format!("failed to open {}: {error}", file.display()))?;
    Ok(BufReader::new(opened))
}

/// Reads a whole file, and refuses one that is damaged, cut or of a later release.
fn check(lines: impl BufRead, args: &Args) -> Result<()> {
    let mut lines = Lines::new(lines);
    lines.header()?;
    while lines.next()?.is_some() {}
    lines.end(args)
}

async fn import(store: &dyn Store, lines: impl BufRead, args: &Args) -> Result<()> {
    let waiting = Stopwatch::start();
    let mut lines = Lines::new(lines);
    let header = lines.header()?;
    let mut mark = find_mark(store, &header.id).await?;
    if let Some(Mark { whole: true, .. }) = mark {
        tell("this export was imported already: there is nothing to do");
        return Ok(());
    }
    if mark.is_none() && !args.merge && has_jobs(store).await? {
        return Err("the store has jobs already: import into a new one (another file, database or ?prefix=), or add what it does \
                    not have with --merge"
            .into());
    }
    let done = mark.get_or_insert_default().lines;
    if done > 0 {
        tell(format_args!("going on after line {done}"));
    }
    let bar = bar(0, "{spinner} {pos} records, {per_sec}");
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut totals = Totals::default();
    loop {
        let next = lines.next()?;
        let is_last = next.is_none();
        if let Some((record, size)) = next
            && lines.number > done
            && !is_stamp(&record)
        {
            bytes += size;
            batch.push(record);
        }
        if is_last || batch.len() >= RECORDS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            let imported = store.import(std::mem::take(&mut batch)).await;
            let imported =
                imported.map_err(|error| format!("line {} or one before it: {error}", lines.number))?;
            totals.add(&imported);
            bytes = 0;
            // A stream may be cut after what it has told.
            put_mark(store, &header.id, Mark { lines: lines.number, whole: false }).await?;
            bar.set_position(lines.sum.records());
        }
        if is_last {
            break;
        }
    }
    bar.finish_and_clear();
    lines.end(args)?;
    if lines.footer.is_some() {
        put_mark(store, &header.id, Mark { lines: lines.number, whole: true }).await?;
    }
    tell(format_args!("imported {}: {totals} in {}", lines.sum.spoken(), spoken(waiting.elapsed())));
    Ok(())
}

/// Says to which tables jobs belong, which may be others now: the first server that opens the store says it anew.
fn is_stamp(record: &Exported) -> bool {
    matches!(record, Exported::Job(job) if job.job.id.as_str() == STAMP)
}

async fn has_jobs(store: &dyn Store) -> Result<bool> {
    let page = store.list(&JobFilter::default(), Page { limit: 2, ..Page::default() }).await?;
    Ok(page.jobs.iter().any(|job| job.id.as_str() != STAMP) || page.next.is_some())
}

async fn find_mark(store: &dyn Store, id: &str) -> Result<Option<Mark>> {
    let marks = store.samples(MARKS, Timestamp(0)).await?;
    let found = marks.iter().find(|mark| mark.source == id);
    Ok(found.and_then(|mark| mark.body.to().ok()))
}

async fn put_mark(store: &dyn Store, id: &str, mark: Mark) -> Result<()> {
    let (series, source, keep_for) = (MARKS.to_owned(), id.to_owned(), MARKED_FOR);
    let sample = Sample { series, at: Timestamp(0), source, keep_for, body: Json::new(&mark)? };
    Ok(store.put_samples(&[sample]).await?)
}

/// What became of records.
#[derive(Debug, Default)]
struct Totals {
    created: u64,
    present: u64,
    removed: u64,
}

impl Totals {
    fn add(&mut self, imported: &[Imported]) {
        for imported in imported {
            match imported {
                Imported::Created => self.created += 1,
                Imported::Present => self.present += 1,
                Imported::Removed => self.removed += 1,
            }
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { created, present, removed } = self;
        write!(f, "{created} new")?;
        if *present > 0 {
            write!(f, ", {present} there already")?;
        }
        if *removed > 0 {
            write!(f, ", {removed} left out because they were removed here")?;
        }
        Ok(())
    }
}

/// The lines of a file, which are counted and summed up.
struct Lines<R> {
    reader: R,
    /// The number of the line that was read last.
    number: u64,
    sum: Sum,
    footer: Option<Footer>,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader, number: 0, sum: Sum::default(), footer: None }
    }

    /// The next line with its text; `None` at the end.
    fn line(&mut self) -> Result<Option<(Line, String)>> {
        let mut text = String::new();
        let number = self.number + 1;
        let read = self.reader.read_line(&mut text);
        let read = read.map_err(|error| format!("line {number} cannot be read: {error}"))?;
        if read == 0 {
            return Ok(None);
        }
        // The last line of a cut file is no line.
        if !text.ends_with('\n') {
            return Ok(None);
        }
        self.number = number;
        let line = Line::parse(&text);
        let line =
            line.map_err(|error| format!("line {number} is damaged, or of a later release: {error}"))?;
        Ok(Some((line, text)))
    }

    fn header(&mut self) -> Result<Header> {
        let what = "the file does not begin as an export does: it must be one that `longhaul export` has written, unpacked";
        let line = self.line().map_err(|error| format!("{what} ({error})"))?;
        let Some((Line::Header(header), text)) = line else { return Err(what.into()) };
        if header.format > FORMAT {
            return Err(format!(
                "the file is of format {}, written by release {}, and this release reads formats up to {FORMAT}: import it with \
                 a release that is at least as new",
                header.format, header.version
            )
            .into());
        }
        self.sum.begin(&text);
        Ok(header)
    }

    /// The next record and its bytes; `None` at the footer, and where the file ends without one.
    fn next(&mut self) -> Result<Option<(Exported, usize)>> {
        match self.line()? {
            None => Ok(None),
            Some((Line::Footer(footer), _)) => {
                self.footer = Some(footer);
                Ok(None)
            }
            Some((Line::Header(_), _)) => {
                Err(format!("line {} is a second header: import one export at a time", self.number).into())
            }
            Some((Line::Record(record), text)) => {
                self.sum.add(&text, &record);
                Ok(Some((record, text.len())))
            }
        }
    }

    /// Holds what was read against the footer.
    fn end(&self, args: &Args) -> Result<()> {
        let number = self.number;
        let Some(footer) = &self.footer else {
            if args.partial {
                tell(format_args!(
                    "the file ends after line {number} without its footer: import the whole one to go on"
                ));
                return Ok(());
            }
            return Err(format!(
                "the file was cut after line {number}: export again, or take what there is with --partial and import the whole \
                 one later"
            )
            .into());
        };
        let found = self.sum.footer();
        if found.counts != footer.counts {
            return Err(format!(
                "the file has {:?} and its footer says {:?}: lines are missing or were added; export again",
                found.counts, footer.counts
            )
            .into());
        }
        if found.sha256 != footer.sha256 {
            return Err("the file is not as it was written: its checksum differs, though each line can be read; export again".into());
        }
        Ok(())
    }
}
