//! Callers that go away, over a real connection: what the server does with them is hyper's part too.

use std::time::Duration;

use longhaul::{JobId, Lookup, State};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::app::App;

async fn serve(app: &App) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = app.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Sends a request that is held, waits until its job runs, and closes the connection.
async fn post_and_leave(app: &App, id: &str, body: &str) {
    let mut connection = TcpStream::connect(serve(app).await).await.unwrap();
    let request = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nprefer: wait=60\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    // A first line that the job has said shows that it runs, which only the request can have brought about.
    app.gate.add_permits(1);
    let id = JobId::new(id).unwrap();
    let is_running = async {
        loop {
            match app.longhaul.events(&id, 0, 100, Duration::from_secs(60)).await.unwrap() {
                Some(events) if events.len() >= 2 => break,
                Some(events) => {
                    let last = events.last().map_or(0, |event| event.seq);
                    app.longhaul.events(&id, last, 1, Duration::from_secs(60)).await.unwrap();
                }
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_running).await.expect("the job runs");
    drop(connection);
}

#[tokio::test]
async fn a_job_outlives_a_caller_that_goes_away() {
    let app = App::new();
    let worker = app.work();
    post_and_leave(&app, "t", r#"{"kind":"tell","args":{"lines":2},"id":"t"}"#).await;
    app.gate.add_permits(1);
    let id = JobId::new("t").unwrap();
    let Lookup::Found(job) = app.longhaul.wait(&id, Duration::from_secs(30)).await.unwrap() else { panic!() };
    assert_eq!(job.state, State::Completed);
    drop(worker);
}

#[tokio::test]
async fn a_job_that_is_to_be_cancelled_with_its_caller_is() {
    let app = App::new();
    let worker = app.work_attentively();
    let body = r#"{"kind":"tell","args":{"lines":2},"id":"t","cancel_on_disconnect":true}"#;
    post_and_leave(&app, "t", body).await;
    let id = JobId::new("t").unwrap();
    let Lookup::Found(job) = app.longhaul.wait(&id, Duration::from_secs(30)).await.unwrap() else { panic!() };
    assert_eq!(job.state, State::Cancelled);
    drop(worker);
}

#[tokio::test]
async fn only_the_caller_who_made_a_job_cancels_it_by_leaving() {
    let app = App::new();
    let worker = app.work();
    app.post("/api/jobs", r#"{"kind":"tell","args":{"lines":2},"id":"t"}"#).await;
    let body = r#"{"kind":"tell","args":{"lines":2},"id":"t","cancel_on_disconnect":true}"#;
    post_and_leave(&app, "t", body).await;
    app.gate.add_permits(1);
    let id = JobId::new("t").unwrap();
    let Lookup::Found(job) = app.longhaul.wait(&id, Duration::from_secs(30)).await.unwrap() else { panic!() };
    assert_eq!(job.state, State::Completed);
    drop(worker);
}

#[tokio::test]
async fn cancelling_on_disconnect_needs_a_connection_that_is_held() {
    let app = App::new();
    let body = r#"{"kind":"tell","args":{"lines":2},"cancel_on_disconnect":true}"#;
    let answer = app.post("/api/jobs", body).await;
    assert_eq!(answer.code(), "invalid");
    assert_eq!(answer.json()["errors"][0]["field"], "cancel_on_disconnect");
}
