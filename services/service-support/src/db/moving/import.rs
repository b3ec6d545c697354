use futures::future::BoxFuture;

use super::super::{Commit, Db, DbError, Value, Write, placeholders, stamp};
use super::{MoveError, TableRow, TableSort, Tables};

/// Writes the rows of one export into a database, some in a commit, and notes there how far it has come.
#[derive(Debug)]
pub struct RowImport {
    db: Db,
    tables: Tables,
    /// The id of the export.
    export: String,
    /// The lines of its file that are there; `None` where it has not begun.
    lines: Option<u64>,
    is_whole: bool,
    /// The id of the database that the rows come from, once it was read.
    origin: Option<String>,
}

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsWritten {
    /// Those that were written.
    pub created: u64,
    /// Those that were there already, or of which a row that is there has a unique value.
    pub present: u64,
}

/// How far imports have come, by the ids of their exports.
const MARKS: &str = "CREATE TABLE IF NOT EXISTS service_imports (
    id TEXT PRIMARY KEY, lines BIGINT NOT NULL, whole BIGINT NOT NULL)";
/// Rows of one statement.
const ROWS_PER_STATEMENT: usize = 50;

impl RowImport {
    /// Makes the tables of all services, or brings them up to date, and looks how far the import of this export has come.
    ///
    /// # Errors
    /// A fault of the database, or tables of a newer release.
    pub fn begin(db: Db, tables: Tables, export: String) -> BoxFuture<'static, Result<Self, DbError>> {
        Box::pin(async move {
            for (service, schema) in &tables.services {
                db.migrate(service, schema.migrations).await?;
            }
            for table in [stamp::TABLE, MARKS] {
                db.commit_here(vec![Write::new(table, vec![])], vec![]).await?;
            }
            let sql = "SELECT lines, whole FROM service_imports WHERE id = $1";
            let marks = db.read(sql, vec![export.as_str().into()]).await?;
            let lines = marks.first().map(|mark| mark.get("lines")).transpose()?;
            let is_whole = marks.first().map_or(Ok(0), |mark| mark.get::<i64>("whole"))? != 0;
            Ok(Self { db, tables, export, lines, is_whole, origin: None })
        })
    }

    /// The lines of the file that are there; `None` where the import has not begun.
    #[must_use]
    pub fn lines(&self) -> Option<u64> {
        self.lines
    }

    /// True once all rows are there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// A table that has rows of use, where there is one: the database is not new.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn filled(&self) -> BoxFuture<'_, Result<Option<&'static str>, DbError>> {
        Box::pin(async {
            for shape in self.tables.shapes.iter().filter(|shape| shape.table.sort != TableSort::SetUp) {
                let sql = format!("SELECT 1 AS found FROM \"{}\" LIMIT 1", shape.table.name);
                if !self.db.read(sql, vec![]).await?.is_empty() {
                    return Ok(Some(shape.table.name));
                }
            }
            Ok(None)
        })
    }

    /// Writes rows that [fit](Tables::fit), each with the number of its line, and notes with them that this line and all before it are
    /// there. All of the call are written or, where one cannot be, none after that one.
    ///
    /// # Errors
    /// A fault of the database, or a row that it does not take.
    pub fn write(
        &mut self,
        rows: Vec<(u64, TableRow)>,
        lines: u64,
    ) -> BoxFuture<'_, Result<RowsWritten, MoveError>> {
        Box::pin(self.write_rows(rows, lines))
    }

    /// Notes that all lines are there.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn end(&mut self, lines: u64) -> BoxFuture<'_, Result<(), DbError>> {
        Box::pin(async move {
            self.is_whole = true;
            self.db.commit_here(vec![self.mark(lines)], vec![]).await?;
            self.lines = Some(lines);
            Ok(())
        })
    }

    /// True where the database has an id of its own beside that of the one the rows come from, which its files name.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn has_other_id(&self) -> BoxFuture<'_, Result<bool, DbError>> {
        Box::pin(async {
            let own = self.db.stamped("database").await?;
            Ok(matches!((own, &self.origin), (Some(own), Some(origin)) if own != *origin))
        })
    }

    async fn write_rows(&mut self, rows: Vec<(u64, TableRow)>, lines: u64) -> Result<RowsWritten, MoveError> {
        for (_, row) in &rows {
            if let ("stamps", Some(Value::Text(name)), Some(Value::Text(id))) =
                (row.table.as_str(), row.get("name"), row.get("value"))
                && name == "database"
            {
                self.origin = Some(id.clone());
            }
        }
        let alike = rows.chunk_by(|(_, one), (_, next)| is_alike(one, next));
        let statements = alike.flat_map(|rows| rows.chunks(ROWS_PER_STATEMENT));
        let mut writes: Vec<Write> = statements.map(|rows| self.insert(rows)).collect();
        writes.push(self.mark(lines));
        let created = match self.db.commit_here(writes, vec![]).await {
            Ok(Commit::Done(mut done)) => {
                // The last is the mark.
                done.changed.pop();
                done.changed.iter().sum::<u64>()
            }
            Ok(Commit::Refused { .. }) => 0,
            Err(DbError::Statement { .. }) => {
                let created = self.write_one_by_one(&rows).await?;
                self.db.commit_here(vec![self.mark(lines)], vec![]).await?;
                created
            }
            Err(error) => return Err(error.into()),
        };
        self.lines = Some(lines);
        Ok(RowsWritten { created, present: (rows.len() as u64).saturating_sub(created) })
    }

    /// Finds the row that a statement of many was refused for. Each is written with the note that it is there, so that the import goes on
    /// after those before that one.
    async fn write_one_by_one(&self, rows: &[(u64, TableRow)]) -> Result<u64, MoveError> {
        let mut created = 0;
        for row in rows {
            let writes = vec![self.insert(std::slice::from_ref(row)), self.mark(row.0)];
            match self.db.commit_here(writes, vec![]).await {
                Ok(Commit::Done(done)) => created += done.changed.first().copied().unwrap_or(0),
                Ok(Commit::Refused { .. }) => {}
                Err(DbError::Statement { reason, .. }) => {
                    return Err(MoveError::Row { line: row.0, table: row.1.table.clone(), reason });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(created)
    }

    /// A statement that writes rows of one table with the same columns.
    fn insert(&self, rows: &[(u64, TableRow)]) -> Write {
        let Some((_, first)) = rows.first() else { return Write::new("SELECT 1", vec![]) };
        let names: Vec<String> = first.values.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (width, table) = (names.len(), &first.table);
        let places: Vec<String> =
            (0..rows.len()).map(|row| format!("({})", placeholders(1 + row * width, width))).collect();
        let on_conflict = self.on_conflict(first);
        let (names, places) = (names.join(", "), places.join(", "));
        let sql = format!("INSERT INTO \"{table}\" ({names}) VALUES {places} {on_conflict}");
        let values = rows.iter().flat_map(|(_, row)| row.values.iter().map(|(_, value)| value.clone()));
        Write::new(sql, values.collect())
    }

    fn on_conflict(&self, row: &TableRow) -> String {
        let Some(shape) = self.tables.shape(&row.table) else { return String::new() };
        let TableSort::Newest(number) = shape.table.sort else { return "ON CONFLICT DO NOTHING".to_owned() };
        let key: Vec<String> = shape.key.iter().map(|name| format!("\"{name}\"")).collect();
        let others = row.values.iter().filter(|(name, _)| !shape.key.contains(name));
        let sets: Vec<String> = others.map(|(name, _)| format!("\"{name}\" = excluded.\"{name}\"")).collect();
        format!(
            "ON CONFLICT ({}) DO UPDATE SET {} WHERE \"{}\".\"{number}\" < excluded.\"{number}\"",
            key.join(", "),
            sets.join(", "),
            shape.table.name,
        )
    }

    fn mark(&self, lines: u64) -> Write {
        let sql = "INSERT INTO service_imports (id, lines, whole) VALUES ($1, $2, $3) \
                   ON CONFLICT (id) DO UPDATE SET lines = excluded.lines, whole = excluded.whole";
        let whole = i64::from(self.is_whole);
        Write::new(sql, vec![self.export.as_str().into(), lines.into(), whole.into()])
    }
}

/// True if one statement can write both.
fn is_alike(one: &TableRow, next: &TableRow) -> bool {
    let names = |row: &TableRow| row.values.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    one.table == next.table && names(one) == names(next)
}
