use std::time::Duration;

use longhaul_webhooks::{Allowed, Answer, CallError, Outbound, Request};
use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::receiver::{Receiver, Reply};

pub(crate) fn outbound(allowed: &str) -> Outbound {
    Outbound::new(allowed.parse::<Allowed>().unwrap()).unwrap()
}

async fn get(outbound: &Outbound, url: &str) -> Result<Answer, CallError> {
    let timeout = Duration::from_secs(30);
    let (method, headers) = (Method::GET, HeaderMap::new());
    outbound.call(Request { method, url, headers, body: None, timeout, max_answer: 1000 }).await
}

#[tokio::test]
async fn nothing_that_is_not_public_is_called_in_whatever_form_it_is_written() {
    let receiver = Receiver::start(|_| Reply::status("200 OK")).await;
    let (port, outbound) = (receiver.address.port(), outbound(""));
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "[fe80::1]",
        "localhost",
    ] {
        let refused = get(&outbound, &format!("http://{host}:{port}/")).await;
        let Err(CallError::Refused(reason)) = &refused else { panic!("{host}: {refused:?}") };
        assert!(reason.contains("--webhook-allow "), "{host}: {reason}");
    }
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_url_of_another_scheme_or_with_a_password_is_refused() {
    let outbound = outbound("0.0.0.0/0");
    for url in
        ["ftp://127.0.0.1/", "file:///etc/passwd", "http://user:secret@127.0.0.1/", "nothing", "http://"]
    {
        let refused = get(&outbound, url).await;
        let Err(CallError::Refused(reason)) = refused else { panic!("{url}") };
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn what_is_allowed_is_called_by_address_and_by_name() {
    let receiver = Receiver::start(|_| Reply::Answer("200 OK".into(), "hello".into())).await;
    let port = receiver.address.port();
    let outbound = outbound("127.0.0.1");
    for host in ["127.0.0.1", "localhost", "0x7f.1"] {
        let answer = get(&outbound, &format!("http://{host}:{port}/")).await.unwrap();
        assert_eq!((answer.status, &answer.body[..], answer.is_cut), (200, &b"hello"[..], false), "{host}");
    }
    assert_eq!(receiver.seen().len(), 3);
}

#[tokio::test]
async fn a_redirection_is_an_answer_and_leads_nowhere() {
    let hidden = Receiver::start_on("127.0.0.2", |_| Reply::status("200 OK")).await;
    let location = format!("302 Found\r\nlocation: http://{}/", hidden.address);
    let receiver = Receiver::start(move |_| Reply::status(&location)).await;
    let answer = get(&outbound("127.0.0.0/8"), &receiver.url("/")).await.unwrap();
    assert_eq!(answer.status, 302);
    assert!(hidden.seen().is_empty());
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_its_bound() {
    let receiver = Receiver::start(|_| Reply::Flood).await;
    let answer = get(&outbound("127.0.0.1"), &receiver.url("/")).await.unwrap();
    assert_eq!((answer.body.len(), answer.is_cut), (1000, true));
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_none() {
    let receiver = Receiver::start(|seen| match seen.path.as_str() {
        "/hang" => Reply::Hang,
        "/body" => Reply::HangInBody,
        _ => Reply::Reset,
    })
    .await;
    let outbound = outbound("127.0.0.1");
    let call = async |path: &str, timeout| {
        let url = receiver.url(path);
        let request = Request {
            method: Method::GET,
            url: &url,
            headers: HeaderMap::new(),
            body: None,
            timeout,
            max_answer: 1000,
        };
        match outbound.call(request).await {
            Err(CallError::Failed(reason)) => reason,
            other => panic!("{path}: {other:?}"),
        }
    };
    for path in ["/hang", "/body"] {
        assert_eq!(call(path, Duration::from_millis(50)).await, "no whole answer came within 0.1 s");
    }
    assert!(call("/reset", Duration::from_secs(30)).await.starts_with("failed to send: "));
}
