//! A Postgres that goes away under rows, and comes back.

use std::time::Duration;

use longhaul::Error;
use longhaul_postgres::PostgresStore;
use longhaul_testservers::Postgres;
use service_support::{Commit, Db, DbError, Row, Write};

const SETTINGS: [&str; 2] = ["fsync=off", "shared_buffers=16MB"];
const LONG: Duration = Duration::from_secs(60);

async fn read(db: &Db) -> Result<Vec<Row>, DbError> {
    db.read("SELECT 1 AS one", Vec::new()).await
}

async fn write(db: &Db) -> Result<Commit, DbError> {
    db.commit(vec![Write::new("DELETE FROM jobs WHERE id = 'x'", Vec::new())], Vec::new()).await
}

fn is_unavailable<T>(result: &Result<T, DbError>) -> bool {
    matches!(result, Err(DbError::Store(Error::Unavailable { .. })))
}

async fn is_away(db: &Db) {
    let (read, written) = tokio::join!(read(db), write(db));
    assert!(is_unavailable(&read), "{read:?}");
    assert!(is_unavailable(&written), "{written:?}");
}

/// Reads and writes until both go well: while a server is known to be away, calls fail at once.
async fn goes_on(db: &Db) {
    let going = async {
        loop {
            let (read, written) = tokio::join!(read(db), write(db));
            if read.is_ok() && written.is_ok() {
                return;
            }
            assert!(read.is_ok() || is_unavailable(&read), "{read:?}");
            assert!(written.is_ok() || is_unavailable(&written), "{written:?}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, going).await.expect("the rows never came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_server_that_is_away_are_unavailable_until_it_is_back() {
    let mut server = Postgres::start(&SETTINGS);
    let db = Db::postgres(PostgresStore::connect(&server.url()).await.unwrap());
    goes_on(&db).await;
    server.kill();
    // First on connections that break, then where none can be made.
    for _ in 0..3 {
        is_away(&db).await;
    }
    server.restart(&SETTINGS);
    goes_on(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_server_that_says_nothing_are_given_up_in_time() {
    let server = Postgres::start(&SETTINGS);
    let url = format!("{}?response_timeout=1&connect_timeout=1", server.url());
    let db = Db::postgres(PostgresStore::connect(&url).await.unwrap());
    goes_on(&db).await;
    server.signal("STOP");
    for _ in 0..3 {
        is_away(&db).await;
    }
    server.signal("CONT");
    goes_on(&db).await;
}
