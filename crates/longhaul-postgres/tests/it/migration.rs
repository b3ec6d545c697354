//! The names of schemas and the addresses that the store accepts.

use longhaul::Error;
use longhaul_postgres::PostgresStore;

use crate::server::shared;

#[tokio::test]
async fn stores_that_start_together_make_the_schema_once() {
    let options = shared().options();
    let opened = futures::future::join_all((0..6).map(|_| PostgresStore::open(options.clone()))).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
}

#[tokio::test]
async fn a_store_is_opened_by_its_address() {
    let url = format!("{}?schema=by_address", shared().url());
    let store = PostgresStore::connect(&url).await.unwrap();
    let row = store.pool().get().await.unwrap().query_one("SELECT current_schema()", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "by_address");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let refused = PostgresStore::connect("postgres://127.0.0.1:1/nothing").await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let refused = PostgresStore::connect(&format!("{}?sslmode=require", shared().url())).await;
    assert!(refused.unwrap_err().to_string().contains("TLS"));
}
