//! Somebody outside whom jobs call.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::server::PATIENCE;

/// A receiver on 127.0.0.1 that answers each request with the next of its statuses, and the last of them from then on.
pub(crate) async fn receiver(statuses: &'static [&'static str]) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (told, heard) = unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let status = statuses[number.min(statuses.len() - 1)];
            let mut request = Vec::new();
            let mut piece = [0; 8192];
            // Until the body, which is one JSON value behind the head, is whole.
            while !is_whole(&request) {
                match stream.read(&mut piece).await {
                    Ok(read) if read > 0 => request.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = told.send(String::from_utf8_lossy(&request).into_owned());
        }
    });
    (url, heard)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    text.split_once("\r\n\r\n").is_some_and(|(_, body)| serde_json::from_str::<Value>(body).is_ok())
}

pub(crate) async fn next(heard: &mut UnboundedReceiver<String>) -> String {
    tokio::time::timeout(PATIENCE, heard.recv())
        .await
        .expect("a request comes")
        .expect("the receiver is there")
}
