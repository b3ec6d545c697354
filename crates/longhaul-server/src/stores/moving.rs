//! The ends of a move: what an export reads, and what an import writes.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use longhaul::moving::Export;
use longhaul::{Longhaul, Store};
use serde::{Deserialize, Serialize};
use service_support::{Db, RowExport, Tables};

use super::{Database, StoreArgs, kind_of, make_private_folder, must_exist};
use crate::Result;
use crate::output::tell;
use crate::store_url::StoreUrl;

/// A part of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// The rows of the services' tables.
    Services,
    /// The store of jobs.
    Jobs,
}

/// The flag that leaves a part out.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// Only the store of jobs, or only the rows of the services' tables [default: both]
    #[arg(long, value_name = "jobs|services", hide_possible_values = true)]
    pub(crate) only: Option<Part>,
}

/// The parts that are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Both,
    Only(Part),
}

impl Parts {
    /// The parts that are asked for.
    pub(crate) fn wanted(self) -> Wanted {
        self.only.map_or(Wanted::Both, Wanted::Only)
    }
}

impl Wanted {
    pub(crate) fn jobs(self) -> bool {
        self != Wanted::Only(Part::Services)
    }

    pub(crate) fn services(self) -> bool {
        self != Wanted::Only(Part::Jobs)
    }

    /// The parts that are asked for and that a file has; `None` where it has none of them.
    pub(crate) fn among(self, parts: &[Part]) -> Option<Self> {
        let has = |part| parts.contains(&part);
        match (self.services() && has(Part::Services), self.jobs() && has(Part::Jobs)) {
            (true, true) => Some(Wanted::Both),
            (true, false) => Some(Wanted::Only(Part::Services)),
            (false, true) => Some(Wanted::Only(Part::Jobs)),
            (false, false) => None,
        }
    }
}

/// A read that has begun, of one moment where the jobs and the tables are in one database.
pub(crate) struct Source {
    /// The kind of store that has the jobs, or of the database where these are left out.
    pub(crate) kind: &'static str,
    /// The rows; `None` where they are left out, or there are none.
    pub(crate) rows: Option<RowExport>,
    /// The jobs.
    pub(crate) jobs: JobsToRead,
    /// Open for as long as they are read.
    pub(crate) open: Vec<Arc<dyn Store>>,
}

/// Where an export finds the jobs.
pub(crate) enum JobsToRead {
    /// They are left out.
    None,
    /// In the read of the rows, after these.
    BesideRows,
    /// In a read of their own.
    Apart(Box<dyn Export>),
}

/// What is written.
pub(crate) struct Target {
    /// The store of jobs; `None` where it is left alone.
    pub(crate) jobs: Option<Arc<dyn Store>>,
    /// The database of the rows; `None` where it is left alone.
    pub(crate) db: Option<Db>,
    /// Where the jobs go that wait in the outbox of the rows; `None` where a server brings them there.
    pub(crate) outbox_to: Option<Longhaul>,
    /// The address of the jobs.
    pub(crate) store: StoreUrl,
    /// The address of the rows.
    pub(crate) database: StoreUrl,
}

impl StoreArgs {
    /// Begins to read what is there, without a view of what is hidden. It must be there already.
    pub(crate) async fn begin_export(&self, wanted: Wanted, tables: &Tables) -> Result<Source> {
        let (store, database) = self.urls()?;
        let kind = kind_of(if wanted.jobs() { &store } else { &database });
        let mut open = Vec::new();
        if store == database {
            must_exist(&store)?;
            let both = Database::open(&store).await?;
            open.push(both.store());
            let rows =
                if wanted.services() { RowExport::begin(&both.tables()?, tables).await? } else { None };
            let jobs = match (wanted.jobs(), &rows) {
                (false, _) => JobsToRead::None,
                (true, Some(_)) => JobsToRead::BesideRows,
                (true, None) => JobsToRead::Apart(both.store().export().await?),
            };
            return Ok(Source { kind, rows, jobs, open });
        }
        let mut jobs = JobsToRead::None;
        let mut store_of_jobs = None;
        if wanted.jobs() {
            must_exist(&store)?;
            store_of_jobs = Some(Database::open(&store).await?.store());
        }
        open.extend(store_of_jobs.clone());
        // Redis holds its writers while it is read, so that rows which are read after that belong to its jobs. Of other stores the
        // rows are read first: a row whose job is missing waits for ever, and a job whose row is missing ends.
        if let (Some(of_jobs), StoreUrl::Redis(_)) = (&store_of_jobs, &store) {
            jobs = JobsToRead::Apart(of_jobs.export().await?);
        }
        let mut rows = None;
        if wanted.services() && self.has_database(wanted, &database)? {
            let opened = Database::open(&database).await?;
            rows = RowExport::begin(&opened.tables()?, tables).await?;
            open.push(opened.store());
        }
        if let (JobsToRead::None, Some(of_jobs)) = (&jobs, &store_of_jobs) {
            jobs = JobsToRead::Apart(of_jobs.export().await?);
        }
        Ok(Source { kind, rows, jobs, open })
    }

    /// Opens what is to be written, and makes it where it is missing.
    pub(crate) async fn open_to_import(&self, wanted: Wanted) -> Result<Target> {
        let (store, database) = self.urls()?;
        let is_one = store == database;
        let is_in_folder =
            |url: &StoreUrl| matches!(url, StoreUrl::Sqlite(path) if path.starts_with(&self.data));
        if wanted.jobs() && is_in_folder(&store) || wanted.services() && is_in_folder(&database) {
            make_private_folder(&self.data)?;
        }
        let mut jobs = None;
        if wanted.jobs() || is_one {
            jobs = Some(Database::open(&store).await?);
        }
        let db = match (&jobs, wanted.services()) {
            (_, false) => None,
            (Some(jobs), true) if is_one => Some(jobs.tables()?),
            (_, true) => Some(Database::open(&database).await?.tables()?),
        };
        let outbox_to = jobs.as_ref().map(|jobs| Longhaul::over(jobs.store()));
        let jobs = jobs.filter(|_| wanted.jobs()).map(|jobs| jobs.store());
        Ok(Target { jobs, db, outbox_to, store, database })
    }

    /// False where the database was not named and its file is not there: its owner has jobs and no services.
    fn has_database(&self, wanted: Wanted, database: &StoreUrl) -> Result<bool> {
        let StoreUrl::Sqlite(path) = database else { return Ok(true) };
        let is_named = self.database.is_some() || std::env::var_os("DATABASE_URL").is_some();
        if path.exists() || is_named || !wanted.jobs() {
            must_exist(database)?;
            return Ok(true);
        }
        tell(format_args!(
            "there is no database of services' tables at {}: exporting the jobs alone (name it with --database or --data)",
            path.display()
        ));
        Ok(false)
    }
}
