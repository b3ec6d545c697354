//! A row and its job in one transaction, from an axum handler: `cargo run --example transactional -- postgres://127.0.0.1/shop`,
//! and then `curl -X POST 'localhost:3000/orders?item=tea'` and `curl localhost:3000/orders/1`.
//!
//! If the process dies between the two inserts, neither is stored; if it answers, both are, and the mail is sent
//! however often the process dies.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use longhaul::{Context, Job, JobResult, Longhaul, NewJob, Store};
use longhaul_postgres::PostgresStore;
use serde::{Deserialize, Serialize};

/// Sends an order's confirmation.
#[derive(Serialize, Deserialize)]
struct Confirm {
    order: i64,
}

impl Job for Confirm {
    const KIND: &'static str = "confirm";
    type State = PostgresStore;
    type Output = ();

    async fn run(self, cx: Context<PostgresStore>) -> JobResult<()> {
        let client = cx.state().pool().get().await?;
        let row = client.query_one("SELECT item FROM orders WHERE id = $1", &[&self.order]).await?;
        println!("order {}: {} is on its way", self.order, row.get::<_, &str>(0));
        client.execute("UPDATE orders SET confirmed = true WHERE id = $1", &[&self.order]).await?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
}

#[derive(Serialize)]
struct Order {
    id: i64,
    item: String,
    is_confirmed: bool,
}

type Answer<T> = Result<T, (StatusCode, String)>;

fn broken(error: impl Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn create(State(store): State<PostgresStore>, Query(new): Query<NewOrder>) -> Answer<Json<Order>> {
    let mut client = store.pool().get().await.map_err(broken)?;
    let transaction = client.transaction().await.map_err(broken)?;
    let row = transaction
        .query_one("INSERT INTO orders (item) VALUES ($1) RETURNING id", &[&new.item])
        .await
        .map_err(broken)?;
    let id: i64 = row.get(0);
    let job = NewJob::of(&Confirm { order: id }).map_err(broken)?;
    store.enqueue_in(&transaction, vec![job]).await.map_err(broken)?;
    transaction.commit().await.map_err(broken)?;
    Ok(Json(Order { id, item: new.item, is_confirmed: false }))
}

async fn show(State(store): State<PostgresStore>, Path(id): Path<i64>) -> Answer<Json<Order>> {
    let client = store.pool().get().await.map_err(broken)?;
    let found = client
        .query_opt("SELECT item, confirmed FROM orders WHERE id = $1", &[&id])
        .await
        .map_err(broken)?
        .ok_or((StatusCode::NOT_FOUND, format!("there is no order {id}")))?;
    Ok(Json(Order { id, item: found.get(0), is_confirmed: found.get(1) }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::args().nth(1).ok_or("usage: transactional postgres://HOST/DATABASE")?;
    let store = PostgresStore::connect(&url).await?;
    let table = "CREATE TABLE IF NOT EXISTS orders (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item TEXT NOT NULL, confirmed BOOL NOT NULL DEFAULT false)";
    store.pool().get().await?.batch_execute(table).await?;

    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let longhaul = Longhaul::over(shared);
    let worker = longhaul.worker().register::<Confirm>(store.clone()).queue("default", 10).start();
    let app = Router::new().route("/orders", post(create)).route("/orders/{id}", get(show)).with_state(store);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let until = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(until).await?;
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
