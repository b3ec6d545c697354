//! Rows of services on their way from one database to another: what `longhaul export` reads and `longhaul import` writes.
//!
//! Both databases were made by the same migrations, so a row is the values of its columns by their names, in the five forms of
//! [`Value`](super::Value). Each service [names](Schema) its tables.

mod export;
mod import;
mod row;
mod tables;

pub use export::RowExport;
pub use import::{RowImport, RowsWritten};
pub use row::TableRow;
pub use tables::{Schema, Table, TableSort, Tables};

use futures::future::BoxFuture;
use thiserror::Error;

use super::{Db, DbError, Rows};

/// The reason why rows were not moved.
#[derive(Debug, Error)]
pub enum MoveError {
    /// One of the databases cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The database has tables of a service that this build has not.
    #[error(
        "the database has tables of the service '{0}', which this build of longhaul does not know: export with the build that has \
         it, or only the jobs with --only jobs"
    )]
    UnknownService(String),
    /// The database does not take a row.
    #[error("line {line}, table {table}: {reason}")]
    Row {
        /// The number of its line in the file, from 1.
        line: u64,
        /// Its table.
        table: String,
        /// The database's own words.
        reason: String,
    },
}

impl Db {
    fn has_table<'a>(&'a self, table: &'a str) -> BoxFuture<'a, Result<bool, DbError>> {
        let sql = match &self.rows {
            Rows::Sqlite(_) => {
                "SELECT count(*) AS number FROM sqlite_schema WHERE type = 'table' AND name = $1"
            }
            Rows::Postgres(_) => {
                "SELECT count(*) AS number FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_name = CAST($1 AS TEXT)"
            }
        };
        Box::pin(async move {
            let rows = self.read(sql, vec![table.into()]).await?;
            let number: i64 = rows.first().map_or(Ok(0), |row| row.get("number"))?;
            Ok(number > 0)
        })
    }
}
