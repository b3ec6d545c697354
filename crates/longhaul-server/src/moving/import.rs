use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;
use longhaul::clock::Stopwatch;
use longhaul::moving::{Exported, Imported};
use longhaul::{JobFilter, Page, Store};
use service_support::{DbError, RowImport, RowsWritten, STAMP, TableRow, Tables};

use super::WHAT_COMES_OVER;
use super::file::{Header, Line};
use super::lines::{Cut, Lines};
use super::marks::{Mark, find_mark, put_mark};
use crate::output::tell;
use crate::stores::{Part, Parts, StoreArgs, Target, Wanted};
use crate::terminal::{bar, spoken};
use crate::{Result, services};

/// Write what `longhaul export` has read into another store and another database, of whatever kind
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(crate) struct Args {
    /// The file; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Add to a store that has jobs, or a database that has rows, what it does not have; of a job, a key, a queue or a row that it
    /// has, its own stays
    #[arg(long)]
    merge: bool,
    /// Take what there is of a file that was cut; the whole file goes on from there
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    parts: Parts,
    #[command(flatten)]
    stores: StoreArgs,
}

const EXAMPLES: &str = "\
Examples:
  longhaul import backup.jsonl --store redis://cache:6379/0
  gunzip -c backup.jsonl.gz | longhaul import --data /var/lib/longhaul
  longhaul import more.jsonl --merge --store postgres://longhaul@db/longhaul
  longhaul import all.jsonl --only services --database postgres://longhaul@db/longhaul";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{WHAT_COMES_OVER}\n\n{ABOUT_MOVING}")
}

const ABOUT_MOVING: &str = "\
The store and the database must be new: without jobs, and without rows of services. Tables are made
first. An import that was cut short goes on where it was when it is started again with the same
file, and one that was whole adds nothing. Servers and workers may use the store meanwhile: rows
come before jobs, and jobs in their order, each after those that it depends on.

To move a running system: stop its servers and workers, export, import, copy the files, and start
them on the new store. A job that runs in both runs twice. The new database takes the id of the old
one, which its files name in files/longhaul-stamp; one on which a server was started before keeps
its own, and then that file must stay as the new server has it: copy the others.";

/// About the lines and the bytes of one call.
const LINES_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 << 20;

pub(crate) async fn run(args: Args) -> Result<()> {
    let is_stdin = args.file == Path::new("-");
    let tables = services::tables()?;
    if is_stdin {
        return import(BufReader::new(io::stdin()), &args, &tables).await;
    }
    // Before anything is written: a file can be read twice.
    check(open(&args.file)?, &args, &tables)?;
    import(open(&args.file)?, &args, &tables).await
}

fn open(file: &Path) -> Result<BufReader<File>> {
    let opened = File::open(file).map_err(|error| format!("failed to open {}: {error}", file.display()))?;
    Ok(BufReader::new(opened))
}

impl Args {
    fn cut(&self) -> Cut {
        if self.partial { Cut::Taken } else { Cut::Refused }
    }

    /// The parts that are asked for and that the file has.
    fn wanted(&self, header: &Header) -> Result<Wanted> {
        self.parts.wanted().among(&header.parts).ok_or_else(|| {
            let (missing, made_with) = match self.parts.only {
                Some(Part::Services) => ("rows of services", "--only jobs, or by a release before such rows"),
                _ => ("jobs", "--only services"),
            };
            format!("the file has no {missing}: it was exported with {made_with}").into()
        })
    }
}

/// Reads a whole file, and refuses one that is damaged, cut or of a later release, or has rows that no table takes.
fn check(lines: impl BufRead, args: &Args, tables: &Tables) -> Result<()> {
    let mut lines = Lines::new(lines, tables);
    let header = lines.header()?;
    args.wanted(&header)?;
    while lines.next()?.is_some() {}
    lines.end(args.cut())
}

async fn import(lines: impl BufRead, args: &Args, tables: &Tables) -> Result<()> {
    let waiting = Stopwatch::start();
    let mut lines = Lines::new(lines, tables);
    let header = lines.header()?;
    let target = args.stores.open_to_import(args.wanted(&header)?).await?;
    let mut rows = RowsIn::begin(&target, tables, &header).await?;
    let mut jobs = JobsIn::begin(&target, &header).await?;
    let is_rows_whole = rows.as_ref().is_none_or(|rows| rows.import.is_whole());
    if is_rows_whole && jobs.as_ref().is_none_or(|jobs| jobs.is_whole) {
        tell("this export was imported already: there is nothing to do");
        return Ok(());
    }
    if !args.merge {
        // Before either is written.
        if let Some(rows) = &rows {
            rows.refuse_filled(&target).await?;
        }
        if let Some(jobs) = &jobs {
            jobs.refuse_filled().await?;
        }
    }
    if let Some(jobs) = &mut jobs {
        jobs.mark(jobs.done).await?;
    }
    let done = [rows.as_ref().map(|rows| rows.done), jobs.as_ref().map(|jobs| jobs.done)];
    let done = done.into_iter().flatten().max().unwrap_or(0);
    if done > 0 {
        tell(format_args!("going on after line {done}"));
    }
    let bar = bar(0, "{spinner} {pos} rows and records, {per_sec}");
    while let Some((line, size)) = lines.next()? {
        match line {
            Line::Row(row) => {
                if let Some(rows) = &mut rows {
                    rows.take(lines.number, row, size).await?;
                }
            }
            Line::Record(record) => {
                // Rows come first, so that nobody takes a job whose rows are not there.
                if let Some(rows) = &mut rows {
                    rows.flush().await?;
                }
                if let Some(jobs) = &mut jobs {
                    jobs.take(lines.number, record, size).await?;
                }
            }
            Line::Header(_) | Line::Footer(_) => {}
        }
        bar.set_position(lines.sum.records());
    }
    // A stream may be cut after what it has told.
    if let Some(rows) = &mut rows {
        rows.flush().await?;
    }
    if let Some(jobs) = &mut jobs {
        jobs.flush(lines.number).await?;
    }
    bar.finish_and_clear();
    lines.end(args.cut())?;
    if lines.footer.is_some() {
        if let Some(jobs) = &mut jobs {
            jobs.end(lines.number).await?;
        }
        if let Some(rows) = &mut rows {
            rows.end(&target, lines.number).await?;
        }
    }
    let mut told = Vec::new();
    told.extend(rows.map(|rows| format!("rows in {}: {}", target.database, rows.totals)));
    told.extend(jobs.map(|jobs| format!("records in {}: {}", target.store, jobs.totals)));
    tell(format_args!(
        "imported {} in {}; {}",
        lines.sum.spoken(),
        spoken(waiting.elapsed()),
        told.join("; ")
    ));
    Ok(())
}

/// The rows of an import.
struct RowsIn {
    import: RowImport,
    /// The lines that were there when it began.
    done: u64,
    batch: Vec<(u64, TableRow)>,
    bytes: usize,
    totals: Totals,
}

impl RowsIn {
    async fn begin(target: &Target, tables: &Tables, header: &Header) -> Result<Option<Self>> {
        let Some(db) = &target.db else { return Ok(None) };
        let import = RowImport::begin(db.clone(), tables.clone(), header.id.clone()).await?;
        let done = import.lines().unwrap_or(0);
        Ok(Some(Self { import, done, batch: Vec::new(), bytes: 0, totals: Totals::default() }))
    }

    async fn refuse_filled(&self, target: &Target) -> Result<()> {
        if self.import.lines().is_some() {
            return Ok(());
        }
        let Some(table) = self.import.filled().await? else { return Ok(()) };
        Err(format!(
            "the services' tables in {} have rows already (in {table}): import into a new database, add what it does not have \
             with --merge, or only the jobs with --only jobs",
            target.database
        )
        .into())
    }

    async fn take(&mut self, line: u64, row: TableRow, size: usize) -> Result<()> {
        if self.import.is_whole() || line <= self.done {
            return Ok(());
        }
        self.batch.push((line, row));
        self.bytes += size;
        if self.batch.len() >= LINES_AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let Some((last, _)) = self.batch.last() else { return Ok(()) };
        let last = *last;
        let RowsWritten { created, present } =
            self.import.write(std::mem::take(&mut self.batch), last).await?;
        self.bytes = 0;
        self.totals.created += created;
        self.totals.present += present;
        Ok(())
    }

    async fn end(&mut self, target: &Target, lines: u64) -> Result<()> {
        if let (Some(db), Some(longhaul)) = (&target.db, &target.outbox_to) {
            match db.clone().with_jobs_in(longhaul.clone()).deliver().await {
                Err(error @ DbError::Undelivered { .. }) => tell(error),
                done => drop(done?),
            }
        }
        self.import.end(lines).await?;
        if self.import.has_other_id().await? {
            tell(
                "the database has an id of its own, for a server was started on it before: copy files without their longhaul-stamp, \
                 which names the old one, and leave the one that is there",
            );
        }
        Ok(())
    }
}

/// The jobs of an import, and what belongs to them.
struct JobsIn {
    store: Arc<dyn Store>,
    /// The id of the export.
    export: String,
    is_new: bool,
    is_whole: bool,
    /// The lines that were there when it began.
    done: u64,
    batch: Vec<Exported>,
    bytes: usize,
    totals: Totals,
}

impl JobsIn {
    async fn begin(target: &Target, header: &Header) -> Result<Option<Self>> {
        let Some(store) = &target.jobs else { return Ok(None) };
        let mark = find_mark(&**store, &header.id).await?;
        let Mark { lines: done, whole: is_whole } = mark.unwrap_or_default();
        let (store, export, is_new) = (Arc::clone(store), header.id.clone(), mark.is_none());
        let (batch, totals) = (Vec::new(), Totals::default());
        Ok(Some(Self { store, export, is_new, is_whole, done, batch, bytes: 0, totals }))
    }

    async fn refuse_filled(&self) -> Result<()> {
        if !self.is_new || !has_jobs(&*self.store).await? {
            return Ok(());
        }
        Err("the store has jobs already: import into a new one (another file, database or ?prefix=), or add what it does \
             not have with --merge"
            .into())
    }

    async fn take(&mut self, line: u64, record: Exported, size: usize) -> Result<()> {
        if self.is_whole || line <= self.done || is_stamp(&record) {
            return Ok(());
        }
        self.batch.push(record);
        self.bytes += size;
        if self.batch.len() >= LINES_AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.flush(line).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, line: u64) -> Result<()> {
        if self.is_whole {
            return Ok(());
        }
        let imported = self.store.import(std::mem::take(&mut self.batch)).await;
        let imported = imported.map_err(|error| format!("line {line} or one before it: {error}"))?;
        self.totals.add(&imported);
        self.bytes = 0;
        self.mark(line).await
    }

    async fn end(&mut self, lines: u64) -> Result<()> {
        self.is_whole = true;
        self.mark(lines).await
    }

    async fn mark(&self, lines: u64) -> Result<()> {
        put_mark(&*self.store, &self.export, Mark { lines, whole: self.is_whole }).await
    }
}

/// Says to which tables jobs belong, which may be others now: the first server that opens the store says it anew.
fn is_stamp(record: &Exported) -> bool {
    matches!(record, Exported::Job(job) if job.job.id.as_str() == STAMP)
}

async fn has_jobs(store: &dyn Store) -> Result<bool> {
    let page = store.list(&JobFilter::default(), Page { limit: 2, ..Page::default() }).await?;
    Ok(page.jobs.iter().any(|job| job.id.as_str() != STAMP) || page.next.is_some())
}

/// What became of records or rows.
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
