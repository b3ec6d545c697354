use longhaul_sqlite::SqliteStore;

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

async fn size(store: &SqliteStore) -> i64 {
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    store.read(|c| c.query_row(sql, [], |row| row.get::<_, i64>(0))).await.unwrap()
}
