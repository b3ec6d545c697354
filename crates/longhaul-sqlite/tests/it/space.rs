use longhaul_sqlite::{SqliteStore, scrub};

#[tokio::test]
async fn the_room_of_deleted_rows_goes_back_to_the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    let run = async |sql: &'static str| {
        store.transact(move |tx| tx.connection().execute_batch(sql)).await.unwrap().unwrap();
    };
    run("CREATE TABLE notes (text TEXT)").await;
    let before = size(&store).await;
    run("WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO notes SELECT hex(zeroblob(2000)) FROM n")
    .await;
    let full = size(&store).await;
    assert!(full > before + 12_000_000, "{before} {full}");
    run("DELETE FROM notes").await;
    assert_eq!(size(&store).await, full, "the pages are free and the file is as large as before");
    store.give_space_back().await.unwrap();
    let after = size(&store).await;
    assert!(after <= before + (2 << 20), "{before} {full} {after}");
}

#[tokio::test]
async fn a_scrubbed_file_holds_no_byte_of_what_was_deleted_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let run = async |sql: &'static str| {
        store.transact(move |tx| tx.connection().execute_batch(sql)).await.unwrap().unwrap();
    };
    // Rows within a page, and long ones with pages of their own.
    run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); \
         WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) \
         INSERT INTO notes SELECT i, 'secret ' || i || hex(zeroblob(i * 20)) FROM n")
    .await;
    run("UPDATE notes SET text = 'kept ' || id WHERE id % 2 = 0; DELETE FROM notes WHERE id % 2 = 1").await;
    let holds = |mark: &[u8]| {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| std::fs::read(file).unwrap().windows(mark.len()).any(|some| some == mark)).count()
    };
    assert!(holds(b"secret ") > 0, "deleted rows leave their bytes");
    scrub(&path).unwrap();
    assert_eq!(holds(b"secret "), 0);
    assert_eq!(holds(b"kept 300"), 1);
    // Whoever has the file open goes on with it.
    run("INSERT INTO notes (text) VALUES ('one more')").await;
    let count = store.read(|c| c.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0)));
    assert_eq!(count.await.unwrap(), 151);
    scrub(&path).unwrap();
    assert!(scrub(folder.path().join("nothing.db")).is_err());
}

async fn size(store: &SqliteStore) -> i64 {
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    store.read(|c| c.query_row(sql, [], |row| row.get::<_, i64>(0))).await.unwrap()
}
