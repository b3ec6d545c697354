use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::Clock;
use service_support::{Cause, Provider, ProviderError, Waiting};

const PATH: &str = "/health";

async fn call(double: &Double, timeout: Duration) -> Result<Vec<u8>, ProviderError> {
    let max_wait = Duration::from_secs(900);
    let provider = Provider::new("double", timeout, 1_000, max_wait, Clock::manual()).unwrap();
    let request = provider.client().get(format!("{}{PATH}", double.url()));
    provider.send(request).await.map(|reply| reply.body.to_vec())
}

async fn failed(fault: Fault) -> ProviderError {
    let double = Double::start().await;
    double.fail(PATH, fault);
    call(&double, Duration::from_secs(10)).await.unwrap_err()
}

#[tokio::test]
async fn a_good_reply_is_read_whole() {
    let double = Double::start().await;
    assert_eq!(call(&double, Duration::from_secs(10)).await.unwrap(), b"{\"status\":\"healthy\"}");
}

#[tokio::test]
async fn a_refusal_brings_its_status_and_reason() {
    let error = failed(Fault::Status(503)).await;
    assert_eq!((error.cause, error.waiting), (Cause::Status(503), Waiting::NotTold));
    assert!(error.is_retryable());
    assert!(error.to_string().contains("the double refuses with 503"), "{error}");
    assert!(!failed(Fault::Status(404)).await.is_retryable());
}

#[tokio::test]
async fn who_asks_sees_a_refusal_whole_and_can_make_it_an_error() {
    let double = Double::start().await;
    double.fail(PATH, Fault::RateLimit("30".into()));
    let provider =
        Provider::new("double", Duration::from_secs(10), 1_000, Duration::from_secs(900), Clock::manual())
            .unwrap();
    let ask = || provider.ask(provider.client().get(format!("{}{PATH}", double.url())));
    let reply = ask().await.unwrap();
    assert_eq!((reply.status.as_u16(), &reply.headers["retry-after"]), (429, &"30".parse().unwrap()));
    double.fail(PATH, Fault::RateLimit("30".into()));
    let request = provider.client().get(format!("{}{PATH}", double.url()));
    assert_eq!(provider.refused(&reply), provider.send(request).await.unwrap_err());
    assert_eq!(ask().await.unwrap().body, b"{\"status\":\"healthy\"}".as_slice());
    double.fail(PATH, Fault::Endless);
    assert_eq!(ask().await.unwrap_err().cause, Cause::TooLarge);
}

#[tokio::test]
async fn a_limit_brings_its_wait() {
    let waiting = |wait: &str| failed(Fault::RateLimit(wait.into()));
    assert_eq!(waiting("30").await.waiting, Waiting::For(Duration::from_secs(30)));
    // The clock stands at 2026-01-01T00:00:00Z.
    let date = waiting("Thu, 01 Jan 2026 00:10:00 GMT").await;
    assert_eq!(date.waiting, Waiting::For(Duration::from_secs(600)));
    assert_eq!(waiting("901").await.waiting, Waiting::TooLong(Duration::from_secs(901)));
    assert_eq!(waiting("soon").await.waiting, Waiting::NotTold);
}

#[tokio::test]
async fn a_broken_connection_may_be_tried_again() {
    let error = failed(Fault::Cut).await;
    assert_eq!(error.cause, Cause::Connection);
    let nobody = Double::start().await;
    let url = nobody.url();
    drop(nobody);
    let provider =
        Provider::new("nobody", Duration::from_secs(10), 1_000, Duration::ZERO, Clock::system()).unwrap();
    let error = provider.send(provider.client().get(url)).await.unwrap_err();
    assert_eq!(error.cause, Cause::Connection);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_reply_without_end_is_cut_off_at_the_bound() {
    let error = failed(Fault::Endless).await;
    assert_eq!(error.cause, Cause::TooLarge);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_silent_server_runs_into_the_time_limit() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Hang);
    let error = call(&double, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error.cause, Cause::Timeout);
    assert!(error.is_retryable());
}
