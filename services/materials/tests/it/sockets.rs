//! Faults that only a real connection shows: clients that go away, and clients that are refused while they send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{FORM, Fixture, form_head};

async fn serve(f: &Fixture) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = f.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    TcpStream::connect(address).await.unwrap()
}

fn head(f: &Fixture, course: &str, extra: &str) -> String {
    format!(
        "POST /courses/{course}/materials HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: {FORM}\r\n{extra}\r\n\r\n",
        f.token("ada")
    )
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let mut client = serve(&f).await;
    let body = [form_head("file", "a.pdf"), b"%PDF-1.7\n".to_vec(), vec![b'x'; 2_000_000]].concat();
    let head = head(&f, &course, "Content-Length: 20000000");
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    until("the upload is under way", || f.files().len() == 1).await;
    drop(client);
    until("nothing is left", || f.files().is_empty()).await;
    let list = f.get(&format!("/courses/{course}/materials")).await.json();
    assert_eq!(list, serde_json::json!([]));
}

#[tokio::test]
async fn a_client_that_sends_too_much_gets_413_while_it_sends() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let client = serve(&f).await;
    let (mut read, mut write) = client.into_split();
    // Chunked, so that the size is not known beforehand; 60 MB in all.
    let head = head(&f, &course, "Transfer-Encoding: chunked");
    let sender = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await?;
        let first = [form_head("file", "a.pdf"), b"%PDF-1.7\n".to_vec()].concat();
        write.write_all(&chunk(&first)).await?;
        let piece = chunk(&vec![b'x'; 1024 * 1024]);
        for _ in 0..60 {
            write.write_all(&piece).await?;
        }
        write.write_all(&chunk(b"\r\n--XyZ--\r\n")).await?;
        write.write_all(b"0\r\n\r\n").await
    });
    let answer = answer(&mut read).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("{\"detail\":\"File size exceeds 50.0MB limit\"}"), "{answer}");
    sender.await.unwrap().expect("the connection was closed in the client's face");
    assert!(f.files().is_empty());
}

#[tokio::test]
async fn a_client_that_expects_100_continue_sends_no_refused_body() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let mut client = serve(&f).await;
    let head = head(&f, &course, "Content-Length: 60000000\r\nExpect: 100-continue");
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = answer(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The first answer, headers and body.
async fn answer(read: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while !text.contains("\"}") {
        let count = read.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the connection ended after: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

/// Polls the folder, which has no signal to wait for.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let polling = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(120), polling).await;
    assert!(ended.is_ok(), "waited in vain until {what}");
}
