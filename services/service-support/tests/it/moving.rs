//! Rows go from SQLite to Postgres and back.

use longhaul_postgres::PostgresStore;
use longhaul_sqlite::SqliteStore;
use service_support::{
    Db, Migration, MoveError, Older, RowExport, RowImport, RowsWritten, Schema, Table, TableRow, Tables,
    Value, Write,
};
use tempfile::TempDir;

const SERVICES: &[(&str, Schema)] = &[(
    "things",
    Schema {
        migrations: &[Migration {
            name: "things",
            sql: "CREATE TABLE things (id TEXT PRIMARY KEY, size BIGINT NOT NULL, weight DOUBLE PRECISION, raw BYTEA,
                                       note TEXT, \"type\" TEXT NOT NULL DEFAULT 'plain');
                  CREATE TABLE parts (thing TEXT NOT NULL REFERENCES things (id), number BIGINT NOT NULL,
                                      text TEXT NOT NULL, PRIMARY KEY (thing, number));
                  CREATE TABLE counters (id TEXT PRIMARY KEY, newest BIGINT NOT NULL, words TEXT NOT NULL)",
            older: Older::Refused,
        }],
        tables: &[Table::of("things"), Table::of("parts"), Table::newest("counters", "newest")],
    },
)];

fn tables() -> Tables {
    Tables::of(SERVICES).unwrap()
}

async fn sqlite() -> (Db, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("test.db")).await.unwrap();
    (Db::sqlite(store), folder)
}

async fn postgres() -> Db {
    let url = longhaul_testservers::postgres().url_of_new_schema();
    Db::postgres(PostgresStore::connect(&url).await.unwrap())
}

async fn write(db: &Db, sql: &'static str, params: Vec<Value>) {
    assert!(db.commit(vec![Write::new(sql, params)], vec![]).await.unwrap().is_done());
}

const THING: &str = "INSERT INTO things (id, size, weight, raw, note) VALUES ($1, $2, $3, $4, $5)";
const PART: &str = "INSERT INTO parts (thing, number, text) VALUES ($1, $2, $3)";
const COUNTER: &str = "INSERT INTO counters (id, newest, words) VALUES ($1, $2, $3)";

/// Values at their bounds, and more rows than two pages have.
async fn furnish(db: &Db) {
    db.migrate("things", SERVICES[0].1.migrations).await.unwrap();
    let id = db.id().await.unwrap();
    assert!(!id.is_empty());
    let reals = [0.1, -0.0, 1e300, 5e-324, 85.0, f64::INFINITY, f64::NEG_INFINITY];
    let texts = ["", "null", "line\nline\t\"quoted\" \\ \u{1}", "ॐ 中 🦀", "{\"a\":1}", "0"];
    let mut writes = Vec::new();
    for (number, real) in reals.into_iter().enumerate() {
        let note = texts.get(number).copied();
        let size = [i64::MIN, i64::MAX, 0, -1][number % 4];
        let raw = if number == 0 { Value::Null } else { Value::Blob((0..=255).take(number * 40).collect()) };
        let params = vec![format!("t{number}").into(), size.into(), real.into(), raw, note.into()];
        writes.push(Write::new(THING, params));
    }
    for number in 0..1_300_i64 {
        writes.push(Write::new(PART, vec![format!("t{}", number % 3).into(), number.into(), "x".into()]));
    }
    writes.push(Write::new(COUNTER, vec!["a".into(), 7_i64.into(), "seven".into()]));
    assert!(db.commit(writes, vec![]).await.unwrap().is_done());
}

async fn exported(db: &Db) -> Vec<TableRow> {
    let tables = tables();
    let mut export = RowExport::begin(db, &tables).await.unwrap().expect("it has tables");
    rest(&mut export).await
}

async fn rest(export: &mut RowExport) -> Vec<TableRow> {
    let mut rows = Vec::new();
    loop {
        let page = export.page().await.unwrap();
        assert!(page.len() <= 512);
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// In an order that is the same on databases that sort texts differently.
fn sorted(rows: &[TableRow]) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    lines.sort();
    lines
}

fn numbered(rows: &[TableRow]) -> Vec<(u64, TableRow)> {
    let tables = tables();
    let read =
        |row: &TableRow| serde_json::from_str::<TableRow>(&serde_json::to_string(row).unwrap()).unwrap();
    (2..).zip(rows.iter().map(|row| tables.fit(read(row)).unwrap())).collect()
}

async fn import(db: &Db, export: &str) -> RowImport {
    RowImport::begin(db.clone(), tables(), export.to_owned()).await.unwrap()
}

#[tokio::test]
async fn rows_go_to_the_other_database_and_back_as_they_are() {
    let (source, _folder) = sqlite().await;
    assert!(RowExport::begin(&source, &tables()).await.unwrap().is_none(), "no service was ever there");
    furnish(&source).await;
    let rows = exported(&source).await;
    assert_eq!(rows.len(), 7 + 1_300 + 1 + 1);
    let order: Vec<&str> = rows.iter().map(|row| row.table.as_str()).collect();
    let first = |name| order.iter().position(|table| *table == name).unwrap();
    assert!(first("things") < first("parts"), "what others refer to comes first");
    let middle = postgres().await;
    let (back, _other) = sqlite().await;
    for (number, (from, to)) in [(&source, &middle), (&middle, &back)].into_iter().enumerate() {
        let rows = exported(from).await;
        let mut import = import(to, &format!("export-{number}")).await;
        assert_eq!((import.lines(), import.filled().await.unwrap()), (None, None));
        for some in numbered(&rows).chunks(500) {
            let last = some.last().unwrap().0;
            let written = import.write(some.to_vec(), last).await.unwrap();
            assert_eq!(written, RowsWritten { created: some.len() as u64, present: 0 });
        }
        assert!(!import.has_other_id().await.unwrap(), "the new database has the old one's id");
        import.end(9_999).await.unwrap();
        assert_eq!(sorted(&exported(to).await), sorted(&rows));
    }
    assert_eq!(sorted(&exported(&back).await), sorted(&rows));
    assert_eq!(back.id().await.unwrap(), source.id().await.unwrap());
}

/// On one database: it sees nothing of what is written after it began.
async fn is_one_moment(db: Db) {
    furnish(&db).await;
    let tables = tables();
    let mut export = RowExport::begin(&db, &tables).await.unwrap().unwrap();
    let before = export.page().await.unwrap();
    write(&db, "UPDATE counters SET newest = 8", vec![]).await;
    write(&db, "DELETE FROM parts WHERE number > 100", vec![]).await;
    let mut rows = before;
    rows.extend(rest(&mut export).await);
    assert_eq!(rows.iter().filter(|row| row.table == "parts").count(), 1_300);
    let counter = rows.iter().find(|row| row.table == "counters").unwrap();
    assert!(counter.values.contains(&("newest".to_owned(), Value::Int(7))));
    let mut jobs = export.into_jobs();
    assert_eq!(jobs.next().await.unwrap(), [], "the jobs of the same moment");
}

#[tokio::test]
async fn an_export_is_one_moment_of_sqlite() {
    let (db, _folder) = sqlite().await;
    is_one_moment(db).await;
}

#[tokio::test]
async fn an_export_is_one_moment_of_postgres() {
    is_one_moment(postgres().await).await;
}

/// What a database has stays, but for a counter that is behind, and an import that was cut off goes on.
async fn merges_and_goes_on(from: Db, to: Db) {
    furnish(&from).await;
    let rows = numbered(&exported(&from).await);
    to.migrate("things", SERVICES[0].1.migrations).await.unwrap();
    let own = to.id().await.unwrap();
    write(&to, THING, vec!["t0".into(), 5_i64.into(), Value::Null, Value::Null, "mine".into()]).await;
    write(&to, COUNTER, vec!["a".into(), 3_i64.into(), "three".into()]).await;
    let mut first = import(&to, "x").await;
    assert_eq!(first.filled().await.unwrap(), Some("things"));
    let (head, tail) = rows.split_at(600);
    let last = head.last().unwrap().0;
    // The stamp of the database and one thing are there already.
    assert_eq!(first.write(head.to_vec(), last).await.unwrap(), RowsWritten { created: 598, present: 2 });
    drop(first);
    let mut second = import(&to, "x").await;
    assert_eq!((second.lines(), second.is_whole()), (Some(last), false));
    second.write(tail.to_vec(), 1_310).await.unwrap();
    second.end(1_310).await.unwrap();
    let whole = import(&to, "x").await;
    assert_eq!((whole.lines(), whole.is_whole()), (Some(1_310), true));
    assert_eq!(to.id().await.unwrap(), own);
    let thing = to.read("SELECT note FROM things WHERE id = 't0'", vec![]).await.unwrap();
    assert_eq!(thing[0].get::<String>("note").unwrap(), "mine");
    let counter = to.read("SELECT newest, words FROM counters", vec![]).await.unwrap();
    assert_eq!(counter[0].get::<i64>("newest").unwrap(), 7, "a counter never falls behind what it counts");
    assert_eq!(counter[0].get::<String>("words").unwrap(), "seven");
    let mut again = import(&from, "y").await;
    let counter = TableRow {
        table: "counters".into(),
        values: vec![
            ("id".into(), "a".into()),
            ("newest".into(), 3_i64.into()),
            ("words".into(), "old".into()),
        ],
    };
    again.write(vec![(2, counter)], 2).await.unwrap();
    let counter = from.read("SELECT words FROM counters", vec![]).await.unwrap();
    assert_eq!(counter[0].get::<String>("words").unwrap(), "seven", "nor does an older one take its place");
}

#[tokio::test]
async fn sqlite_merges_what_postgres_had_and_goes_on() {
    let (db, _folder) = sqlite().await;
    merges_and_goes_on(postgres().await, db).await;
}

#[tokio::test]
async fn postgres_merges_what_sqlite_had_and_goes_on() {
    let (db, _folder) = sqlite().await;
    merges_and_goes_on(db, postgres().await).await;
}

fn row(json: &str) -> TableRow {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_row_that_fits_no_table_is_refused_by_its_table_and_column() {
    let tables = tables();
    for (json, reason) in [
        (r#"{"table":"robots","row":{}}"#, "table robots: this release"),
        (r#"{"table":"things","row":{"id":"a","size":1,"arm":2}}"#, "table things, column arm: this release"),
        (
            r#"{"table":"things","row":{"id":"a","size":"1"}}"#,
            "column size: it takes a whole number, and the row has text",
        ),
        (
            r#"{"table":"things","row":{"id":"a","size":1.0}}"#,
            "column size: it takes a whole number, and the row has a number",
        ),
        (
            r#"{"table":"things","row":{"id":null,"size":1}}"#,
            "column id: it takes text, and the row has null",
        ),
        (r#"{"table":"things","row":{"id":"a"}}"#, "table things, column size: the row has no value for it"),
    ] {
        let refused = tables.fit(row(json)).unwrap_err();
        assert!(refused.contains(reason), "{json}: {refused}");
    }
    let fits =
        tables.fit(row(r#"{"table":"things","row":{"id":"a","size":1,"weight":2,"note":null}}"#)).unwrap();
    assert!(fits.values.contains(&("weight".to_owned(), Value::Real(2.0))), "{fits:?}");
}

/// The database's own refusal is told with the line, and what was before the row is there.
async fn names_the_line(db: Db) {
    let mut import = import(&db, "x").await;
    let thing = |id| row(&format!(r#"{{"table":"things","row":{{"id":"{id}","size":1}}}}"#));
    let orphan = row(r#"{"table":"parts","row":{"thing":"nobody","number":1,"text":"x"}}"#);
    let rows = vec![(2, thing("a")), (3, orphan), (4, thing("b"))];
    match import.write(rows, 4).await {
        Err(MoveError::Row { line: 3, table, reason }) => {
            assert_eq!(table, "parts");
            assert!(reason.to_lowercase().contains("foreign key"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let things = db.read("SELECT id, type FROM things", vec![]).await.unwrap();
    assert_eq!(things.len(), 1);
    assert_eq!(
        things[0].get::<String>("type").unwrap(),
        "plain",
        "a column that a row does not name has its default"
    );
    let again = RowImport::begin(db, tables(), "x".to_owned()).await.unwrap();
    assert_eq!(again.lines(), Some(2), "it goes on after the rows that are there");
}

#[tokio::test]
async fn sqlite_names_the_line_of_a_row_that_it_does_not_take() {
    let (db, _folder) = sqlite().await;
    names_the_line(db).await;
}

#[tokio::test]
async fn postgres_names_the_line_of_a_row_that_it_does_not_take() {
    names_the_line(postgres().await).await;
}

#[tokio::test]
async fn tables_of_a_service_that_a_build_has_not_are_refused() {
    let (db, _folder) = sqlite().await;
    furnish(&db).await;
    let none = Tables::of(&[]).unwrap();
    let refused = RowExport::begin(&db, &none).await.unwrap_err().to_string();
    assert!(
        refused.contains("tables of the service 'things'") && refused.contains("--only jobs"),
        "{refused}"
    );
}

#[test]
fn a_table_that_no_migration_makes_and_a_type_that_not_both_databases_know_are_refused() {
    const NONE: Schema = Schema { migrations: &[], tables: &[Table::of("ghosts")] };
    const ODD: Schema = Schema {
        migrations: &[Migration {
            name: "odd",
            sql: "CREATE TABLE odd (id TEXT PRIMARY KEY, at TIMESTAMP)",
            older: Older::Refused,
        }],
        tables: &[Table::of("odd")],
    };
    for (schema, reason) in
        [(NONE, "no migration makes a table ghosts"), (ODD, "column at of odd is a TIMESTAMP")]
    {
        let refused = Tables::of(&[("s", schema)]).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}
