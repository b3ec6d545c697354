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
    // By the reply's own clock, whatever ours says.
    let date =
        vec![("date", "Wed, 01 Jul 2026 12:00:00 GMT"), ("retry-after", "Wed, 01 Jul 2026 12:10:00 GMT")];
    let date = failed(Fault::Answer(429, date, String::new())).await;
    assert_eq!(date.waiting, Waiting::For(Duration::from_secs(600)));
    // What is over already is no limit that is told: else the next call would be made at once, and the one after it.
    for over in ["Wed, 31 Dec 2025 00:10:00 GMT", "0", "0.0"] {
        assert_eq!(waiting(over).await.waiting, Waiting::For(Duration::from_secs(2)), "{over}");
    }
    let away = failed(Fault::Answer(503, vec![("retry-after", "0")], String::new())).await;
    assert_eq!(away.waiting, Waiting::NotTold);
    assert_eq!(waiting("901").await.waiting, Waiting::TooLong(Duration::from_secs(901)));
    let limited = |headers| failed(Fault::Answer(429, headers, "{\"error\":\"slow down\"}".into()));
    let told = limited(vec![("retry-after-ms", "700")]).await;
    assert_eq!(told.waiting, Waiting::For(Duration::from_millis(700)));
    let told = limited(vec![("x-ratelimit-reset-tokens", "6m0s")]).await;
    assert_eq!(told.waiting, Waiting::For(Duration::from_secs(360)));
}

#[tokio::test]
async fn a_limit_without_a_wait_costs_no_attempt_and_does_not_last_for_ever() {
    let (double, clock) = (Double::start().await, Clock::manual());
    let (timeout, max_wait) = (Duration::from_secs(10), Duration::from_secs(900));
    let provider = Provider::new("double", timeout, 1_000, max_wait, clock.clone()).unwrap();
    let call = async || provider.send(provider.client().get(format!("{}{PATH}", double.url()))).await;
    let mut waits = Vec::new();
    loop {
        double.fail(PATH, Fault::Status(429));
        let error = call().await.unwrap_err();
        match error.waiting {
            Waiting::For(wait) => {
                waits.push(wait.as_secs());
                clock.advance(wait);
            }
            Waiting::TooLong(_) => break,
            Waiting::NotTold => panic!("{error}"),
        }
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512]);
    call().await.unwrap();
    double.fail(PATH, Fault::RateLimit("soon".into()));
    assert_eq!(call().await.unwrap_err().waiting, Waiting::For(Duration::from_secs(2)));
}

#[tokio::test]
async fn a_spent_account_fails_at_once_with_the_providers_reason() {
    let body =
        "{\"error\":{\"message\":\"You exceeded your current quota\",\"code\":\"insufficient_quota\"}}";
    for status in [429, 402] {
        let error = failed(Fault::Answer(status, vec![], body.into())).await;
        assert_eq!((error.cause, error.waiting), (Cause::Spent, Waiting::NotTold));
        assert!(
            !error.is_retryable() && error.message.ends_with("You exceeded your current quota"),
            "{error}"
        );
    }
    // A limit that says when it ends is one, whatever it is called.
    let limit = failed(Fault::Answer(429, vec![("retry-after", "5")], body.into())).await;
    assert_eq!(limit.waiting, Waiting::For(Duration::from_secs(5)));
}

#[tokio::test]
async fn a_server_may_say_that_asking_again_is_in_vain() {
    let error = failed(Fault::Answer(500, vec![("x-should-retry", "false")], "no".into())).await;
    assert_eq!((error.cause, error.is_retryable()), (Cause::Refused, false));
}

#[tokio::test]
async fn a_redirect_is_followed_on_its_own_server_only() {
    let double = Double::start().await;
    let elsewhere = Double::start().await;
    let to: &'static str = format!("{}{PATH}", elsewhere.url()).leak();
    double.fail(PATH, Fault::Answer(302, vec![("location", to)], String::new()));
    let error = call(&double, Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(error.cause, Cause::Status(302));
    assert!(elsewhere.seen(PATH).is_empty());
    double.fail(PATH, Fault::Answer(307, vec![("location", PATH)], String::new()));
    assert_eq!(call(&double, Duration::from_secs(10)).await.unwrap(), b"{\"status\":\"healthy\"}");
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
