//! Webhooks and HTTP requests of a server as it is run: what comes to a receiver, and what the commands say of it.

use std::process::Output;

use serde_json::{Value, json};

use crate::receiver::{next, receiver};
use crate::server::{Place, Server, client, ended, stderr, stdout};

async fn run(place: &Place, server: &Server, args: &[&str]) -> Output {
    place.run(&[args, &["--url", server.url.as_str()]].concat()).await
}

#[tokio::test]
async fn a_server_tells_a_receiver_and_the_commands_show_it_and_send_it_again() {
    let (url, mut heard) = receiver(&["200 OK"]).await;
    let place = Place::new();
    let server = place.serve(&["--webhook-allow", "127.0.0.1", "--redact", "output.headers"]).await;
    let none = run(&place, &server, &["webhook-secrets"]).await;
    assert!(
        stdout(&none).contains("so messages are not signed: longhaul webhook-secrets add"),
        "{}",
        stdout(&none)
    );
    let secret = stdout(&run(&place, &server, &["webhook-secrets", "add"]).await);
    assert!(secret.starts_with("whsec_") && secret.lines().count() == 1, "{secret}");

    let request = format!("url={url}");
    let job = run(
        &place,
        &server,
        &["run", "http.request", &request, "method=POST", "body={\"n\":1}", "--webhook", &url, "--wait"],
    )
    .await;
    let output: Value =
        serde_json::from_str(&stdout(&job)).unwrap_or_else(|_| panic!("{} {}", stdout(&job), stderr(&job)));
    assert_eq!((&output["status"], &output["headers"]), (&json!(200), &json!("[redacted]")));
    let sent = next(&mut heard).await;
    assert!(
        sent.starts_with("POST /hook ")
            && sent.contains("\r\nidempotency-key: ")
            && sent.ends_with("{\"n\":1}"),
        "{sent}"
    );
    let told = next(&mut heard).await;
    let (head, body) = told.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("\r\nwebhook-signature: v1,") && head.contains("\r\nwebhook-id: msg_"), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&body["type"], &body["data"]["output"]), (&json!("job.completed"), &output));

    let id = body["data"]["id"].as_str().expect("an id").to_owned();
    // It ends right after the receiver was heard.
    ended(client().get(server.at(&format!("/api/jobs/webhook:{id}")))).await;
    let shown = stdout(&run(&place, &server, &["deliveries", &id[..id.len() - 2]]).await);
    assert!(
        shown.contains("completed")
            && shown.contains("1 of 10")
            && shown.contains("200")
            && shown.contains(&url),
        "{shown}"
    );
    let again = stdout(&run(&place, &server, &["deliveries", "redeliver", &format!("webhook:{id}")]).await);
    assert!(again.starts_with(&format!("webhook:{id}.")), "{again}");
    let repeated = next(&mut heard).await;
    let id_of =
        |request: &str| request.lines().find(|line| line.starts_with("webhook-id")).map(str::to_owned);
    assert_eq!(id_of(&repeated), id_of(&told));
    let refused = run(&place, &server, &["deliveries", "redeliver", "nobody"]).await;
    assert!(
        !refused.status.success() && stderr(&refused).contains("there is no delivery of this id"),
        "{}",
        stderr(&refused)
    );
}

#[tokio::test]
async fn deliveries_of_no_job_are_a_wrong_command_line() {
    let refused = Place::new().run(&["deliveries"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("name a job: longhaul deliveries JOB"), "{}", stderr(&refused));
}

#[tokio::test]
async fn a_server_calls_nothing_on_its_own_machine_unless_it_was_told_to() {
    let (url, mut heard) = receiver(&["200 OK"]).await;
    let place = Place::new();
    let server = place.serve(&[]).await;
    let request = format!("url={url}");
    let failed = run(&place, &server, &["run", "http.request", &request, "--wait"]).await;
    assert!(!failed.status.success());
    assert!(
        stderr(&failed).contains("127.0.0.1 is a loopback address; give a public one, or allow it"),
        "{}",
        stderr(&failed)
    );
    assert!(heard.try_recv().is_err());
}
