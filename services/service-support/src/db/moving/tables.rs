use rusqlite::Connection;

use super::super::migrate::{HISTORY, Migration, OUTBOX, OUTBOX_JOBS};
use super::super::{DbError, Value, sqlite, stamp};
use super::TableRow;
use crate::once::{TABLE as ANSWERS, USER_COLUMN as ANSWERS_USER};

/// The tables of a service.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// What makes them.
    pub migrations: &'static [Migration],
    /// All that the migrations leave: a table after those that its rows refer to.
    pub tables: &'static [Table],
}

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What its rows say of the database, and which of two rows with one key stays.
    pub sort: TableSort,
}

/// What the rows of a table say of their database, and which of two rows with one key stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableSort {
    /// They came of use: a database that has any is not new. The row that is there stays.
    Used,
    /// They came of use, and of two rows with one key the one with the greater number in this column stays.
    Newest(&'static str),
    /// They are written when the service is first opened: a database that has some may be new all the same. The row that is there
    /// stays.
    SetUp,
}

impl Table {
    /// A table whose rows come of use.
    #[must_use]
    pub const fn of(name: &'static str) -> Self {
        Self { name, sort: TableSort::Used }
    }

    /// A table whose rows carry a number in `column` that grows: the row with the greater one stays.
    #[must_use]
    pub const fn newest(name: &'static str, column: &'static str) -> Self {
        Self { name, sort: TableSort::Newest(column) }
    }

    /// A table whose rows are written when the service is first opened.
    #[must_use]
    pub const fn set_up(name: &'static str) -> Self {
        Self { name, sort: TableSort::SetUp }
    }
}

/// The tables that services share. The ids of the database and of the place of its files come over, so that the files are still those
/// of the database.
const SHARED: &[Table] =
    &[Table::set_up("stamps"), Table::of("outbox"), Table::of("outbox_jobs"), Table::of("answers")];

/// All tables of some services, with their columns. Cheap to make: the migrations run in memory.
#[derive(Clone, Debug)]
pub struct Tables {
    pub(super) services: Vec<(&'static str, Schema)>,
    pub(super) shapes: Vec<Shape>,
}

/// A table with its columns.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The service that has it; `None` where all have.
    pub(super) service: Option<&'static str>,
    pub(super) table: Table,
    pub(super) columns: Vec<Column>,
    /// The columns of its primary key.
    pub(super) key: Vec<String>,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    kind: Kind,
    nulls: Nulls,
}

/// The form of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Real,
    Text,
    Blob,
}

/// What stands for no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    /// Null is a value.
    Allowed,
    /// A row that does not name the column gets its default.
    Default,
    /// Each row must have a value.
    Refused,
}

impl Tables {
    /// The tables of these services, by their names, and those that they share.
    ///
    /// # Errors
    /// A migration that does not run, or that does not make a table which is named.
    pub fn of(services: &[(&'static str, Schema)]) -> Result<Self, DbError> {
        let fault = |error| sqlite::statement("migrations in memory", error);
        let connection = Connection::open_in_memory().map_err(fault)?;
        let shared = [HISTORY, OUTBOX, OUTBOX_JOBS, ANSWERS, ANSWERS_USER, stamp::TABLE];
        let own = services.iter().flat_map(|(_, schema)| schema.migrations).map(|migration| migration.sql);
        for sql in shared.into_iter().chain(own) {
            connection.execute_batch(sql).map_err(fault)?;
        }
        let shared = SHARED.iter().map(|table| (None, *table));
        let own = services
            .iter()
            .flat_map(|(name, schema)| schema.tables.iter().map(move |table| (Some(*name), *table)));
        let shapes = shared.chain(own).map(|(service, table)| shape(&connection, service, table));
        Ok(Self { services: services.to_vec(), shapes: shapes.collect::<Result<_, _>>()? })
    }

    /// Each column by its table, the tables in the order in which their rows are moved.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.shapes
            .iter()
            .flat_map(|shape| shape.columns.iter().map(|column| (shape.table.name, column.name.as_str())))
    }

    /// A row in the forms that its table takes, or the reason why it takes none such, with the table and the column.
    ///
    /// # Errors
    /// The reason.
    pub fn fit(&self, row: TableRow) -> Result<TableRow, String> {
        let TableRow { table, mut values } = row;
        let Some(shape) = self.shape(&table) else {
            return Err(format!(
                "table {table}: this release or build of longhaul has none of that name; import with the one that wrote the file"
            ));
        };
        for (name, value) in &mut values {
            let Some(column) = shape.columns.iter().find(|column| column.name == *name) else {
                return Err(format!(
                    "table {table}, column {name}: this release has none of that name; import with one that is as new as the \
                     one that wrote the file"
                ));
            };
            column.fit(value).map_err(|reason| format!("table {table}, column {name}: {reason}"))?;
        }
        let is_missing = |column: &&Column| {
            column.nulls == Nulls::Refused && !values.iter().any(|(name, _)| *name == column.name)
        };
        match shape.columns.iter().find(is_missing) {
            Some(column) => {
                Err(format!("table {table}, column {}: the row has no value for it", column.name))
            }
            None => Ok(TableRow { table, values }),
        }
    }

    pub(super) fn shape(&self, table: &str) -> Option<&Shape> {
        self.shapes.iter().find(|shape| shape.table.name == table)
    }
}

impl Column {
    fn fit(&self, value: &mut Value) -> Result<(), String> {
        match (self.kind, &*value) {
            (_, Value::Null) if self.nulls == Nulls::Allowed => {}
            (Kind::Real, Value::Int(number)) => *value = Value::Real(*number as f64),
            (Kind::Int, Value::Int(_))
            | (Kind::Real, Value::Real(_))
            | (Kind::Text, Value::Text(_))
            | (Kind::Blob, Value::Blob(_)) => {}
            (kind, other) => {
                return Err(format!("it takes {}, and the row has {}", kind.form(), other.form()));
            }
        }
        Ok(())
    }
}

impl Kind {
    fn of(declared: &str) -> Option<Self> {
        Some(match declared {
            "BIGINT" => Self::Int,
            "DOUBLE PRECISION" => Self::Real,
            "TEXT" => Self::Text,
            "BYTEA" => Self::Blob,
            _ => return None,
        })
    }

    fn form(self) -> &'static str {
        match self {
            Kind::Int => "a whole number",
            Kind::Real => "a number",
            Kind::Text => "text",
            Kind::Blob => "bytes",
        }
    }
}

fn shape(connection: &Connection, service: Option<&'static str>, table: Table) -> Result<Shape, DbError> {
    let sql = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info($1) ORDER BY cid";
    let fault = |error| sqlite::statement(sql, error);
    let wrong = |reason: String| DbError::Migration { service: service.unwrap_or("all services"), reason };
    let mut statement = connection.prepare(sql).map_err(fault)?;
    let read = |row: &rusqlite::Row<'_>| {
        let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
        let (not_null, default, key): (bool, Option<String>, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok((name, declared, not_null, default, key))
    };
    let rows = statement.query_map([table.name], read).map_err(fault)?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    for row in rows {
        let (name, declared, not_null, default, place) = row.map_err(fault)?;
        let Some(kind) = Kind::of(&declared) else {
            let reason =
                format!("column {name} of {} is a {declared}, which not both databases know", table.name);
            return Err(wrong(reason));
        };
        if place > 0 {
            key.push((place, name.clone()));
        }
        // SQLite takes null in a primary key, and Postgres does not.
        let nulls = match (not_null || place > 0, default) {
            (false, _) => Nulls::Allowed,
            (true, Some(_)) => Nulls::Default,
            (true, None) => Nulls::Refused,
        };
        columns.push(Column { name, kind, nulls });
    }
    if key.is_empty() {
        return Err(wrong(format!("no migration makes a table {} with a primary key", table.name)));
    }
    key.sort_unstable();
    let key = key.into_iter().map(|(_, name)| name).collect();
    Ok(Shape { service, table, columns, key })
}
