use std::fmt;

use futures::future::BoxFuture;
use longhaul::moving::Export;

use super::super::migrate::{ADDED, refuse_newer};
use super::super::{Db, DbError, Rows, Value, postgres, sqlite};
use super::tables::Shape;
use super::{MoveError, TableRow, Tables};

/// A read of all rows of services in a database, as they were when it began, table after table, each by its primary key.
pub struct RowExport {
    snapshot: Snapshot,
    shapes: Vec<Shape>,
    /// The number of the table that comes next.
    at: usize,
    /// The key of its last row that was read.
    after: Option<Vec<Value>>,
    /// The rows of the next page.
    limit: usize,
}

/// One moment of a database.
enum Snapshot {
    Sqlite(longhaul_sqlite::Snapshot),
    Postgres(longhaul_postgres::Snapshot),
}

/// The rows of the first page; the next ones follow the size of rows.
const FIRST_PAGE: usize = 16;
const LARGEST_PAGE: usize = 512;
/// About the bytes of a page.
const BYTES_PER_PAGE: usize = 4 << 20;

impl RowExport {
    /// Begins to read; `None` where no service has ever had its tables in this database. Those of an older release are brought up to
    /// date first.
    ///
    /// # Errors
    /// A fault of the database, or tables of a service or a release that this one does not know.
    pub fn begin<'a>(db: &'a Db, tables: &'a Tables) -> BoxFuture<'a, Result<Option<Self>, MoveError>> {
        Box::pin(begin(db, tables))
    }

    /// The next rows; none once all have been read.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn page(&mut self) -> BoxFuture<'_, Result<Vec<TableRow>, DbError>> {
        Box::pin(self.next_page())
    }

    /// The jobs that are kept beside the rows, as of the same moment.
    #[must_use]
    pub fn into_jobs(self) -> Box<dyn Export> {
        match self.snapshot {
            Snapshot::Sqlite(snapshot) => Box::new(snapshot),
            Snapshot::Postgres(snapshot) => Box::new(snapshot),
        }
    }

    async fn next_page(&mut self) -> Result<Vec<TableRow>, DbError> {
        while let Some(shape) = self.shapes.get(self.at) {
            let (sql, params) = shape.page(self.after.as_deref(), self.limit);
            let rows = self.snapshot.read(sql, params).await?;
            let is_last = rows.len() < self.limit;
            let bytes: usize = rows.iter().flatten().map(size).sum();
            self.limit = match bytes > BYTES_PER_PAGE {
                true => (self.limit / 4).max(1),
                false => (self.limit * 2).min(LARGEST_PAGE),
            };
            let names = || shape.columns.iter().map(|column| column.name.clone());
            let rows = rows.into_iter().map(|values| TableRow {
                table: shape.table.name.to_owned(),
                values: names().zip(values).collect(),
            });
            let rows: Vec<TableRow> = rows.collect();
            if is_last {
                (self.at, self.after, self.limit) = (self.at + 1, None, FIRST_PAGE);
            } else {
                self.after = rows
                    .last()
                    .map(|row| shape.key.iter().filter_map(|column| row.get(column)).cloned().collect());
            }
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }
}

async fn begin(db: &Db, tables: &Tables) -> Result<Option<RowExport>, MoveError> {
    if !db.has_table("service_migrations").await? {
        return Ok(None);
    }
    let rows = db.read("SELECT DISTINCT service FROM service_migrations ORDER BY service", vec![]).await?;
    let mut there = Vec::new();
    for row in &rows {
        let noted_under: String = row.get("service")?;
        let name = noted_under.trim_end_matches(ADDED);
        let Some((service, schema)) = tables.services.iter().find(|(service, _)| *service == name) else {
            return Err(MoveError::UnknownService(name.to_owned()));
        };
        // What a newer binary has added would be left out.
        refuse_newer(db, service, &noted_under, schema.migrations.len()).await?;
        if !there.contains(service) {
            db.migrate(service, schema.migrations).await?;
            there.push(*service);
        }
    }
    if there.is_empty() {
        return Ok(None);
    }
    let mut shapes = Vec::new();
    for shape in &tables.shapes {
        let is_there = match shape.service {
            Some(service) => there.contains(&service),
            None => db.has_table(shape.table.name).await?,
        };
        if is_there {
            shapes.push(shape.clone());
        }
    }
    let snapshot = match &db.rows {
        Rows::Sqlite(store) => Snapshot::Sqlite(store.snapshot().await.map_err(DbError::from)?),
        Rows::Postgres(store) => Snapshot::Postgres(store.snapshot().await.map_err(DbError::from)?),
    };
    Ok(Some(RowExport { snapshot, shapes, at: 0, after: None, limit: FIRST_PAGE }))
}

impl Snapshot {
    async fn read(&mut self, sql: String, params: Vec<Value>) -> Result<Vec<Vec<Value>>, DbError> {
        match self {
            Snapshot::Sqlite(snapshot) => {
                let read = snapshot.read(move |connection| {
                    Ok(sqlite::select(connection, &sql, &params)
                        .map_err(|error| sqlite::statement(&sql, error)))
                });
                Ok(read.await??.into_iter().map(super::super::Row::into_values).collect())
            }
            Snapshot::Postgres(snapshot) => {
                let rows = snapshot.query(&sql, &postgres::borrowed(&params)).await?;
                let values = |row: &tokio_postgres::Row| {
                    (0..row.len()).map(|i| postgres::column(row, i)).collect::<Result<Vec<Value>, _>>()
                };
                let rows: Result<_, _> = rows.iter().map(values).collect();
                rows.map_err(|error| postgres::statement(&sql, error))
            }
        }
    }
}

impl Shape {
    /// The statement of the rows after a key, which is a range of the primary key's index.
    fn page(&self, after: Option<&[Value]>, limit: usize) -> (String, Vec<Value>) {
        let quoted = |name: &str| format!("\"{name}\"");
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let key: Vec<String> = self.key.iter().map(|name| quoted(name)).collect();
        let (columns, key, table) = (columns.join(", "), key.join(", "), self.table.name);
        let condition = match after {
            None => String::new(),
            Some(after) => {
                format!("WHERE ({key}) > ({})", super::super::placeholders(1, after.len()))
            }
        };
        let sql = format!("SELECT {columns} FROM \"{table}\" {condition} ORDER BY {key} LIMIT {limit}");
        (sql, after.map(<[Value]>::to_vec).unwrap_or_default())
    }
}

/// About the bytes of a value.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Int(_) | Value::Real(_) => 8,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}

impl fmt::Debug for RowExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowExport").field("at", &self.at).finish_non_exhaustive()
    }
}
