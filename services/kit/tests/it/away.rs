//! A Postgres that goes away under rows.

use kit::{Db, DbError, Write};
use longhaul::Error;
use longhaul_postgres::PostgresStore;
use longhaul_testservers::Postgres;

fn is_unavailable<T>(result: &Result<T, DbError>) -> bool {
    matches!(result, Err(DbError::Store(Error::Unavailable { .. })))
}

#[tokio::test]
async fn rows_of_a_server_that_is_away_are_unavailable() {
    let server = Postgres::start(&["fsync=off", "shared_buffers=16MB"]);
    let db = Db::postgres(PostgresStore::connect(&server.url()).await.unwrap());
    let read = || db.read("SELECT 1 AS one", Vec::new());
    let write = || db.commit(vec![Write::new("DELETE FROM jobs WHERE id = 'x'", Vec::new())], Vec::new());
    assert!(read().await.is_ok() && write().await.is_ok());

    drop(server);
    // First on a connection that breaks, then where none can be made.
    for _ in 0..3 {
        let (read, written) = (read().await, write().await);
        assert!(is_unavailable(&read), "{read:?}");
        assert!(is_unavailable(&written), "{written:?}");
    }
}
