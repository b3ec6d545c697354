//! Sign-on by a proxy's headers, as oauth2-proxy sends them, and by id tokens signed with a real key, whose public half
//! is served on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use longhaul::Clock;
use longhaul_http::SignedIn;
use serde_json::{Value, json};
use service_support::{KeySet, KeySource, TrustedProxies};
use tower::ServiceExt;

use super::args::key_source;
use super::id_token::{IdTokens, Issuer};
use super::{Headers, SignOn};

// Keys that were made for these tests.
const RSA: &str = "MIIEowIBAAKCAQEAmvU8R/nrcRTq0SURNmhwFFzN+1ekU2HFY5rB74z7i6wh5rfcRIYj4Q1wPcrkfjeXf8H5XtwWerzWnRtR6cZlEaEXT24qRZesQvbm/HTWfDLT/0cJQeZl37JGKsHe15zkf9k0bHpeYzja9cMTegHzkpqR4OYqN3+GHSzTyJGln16MggT3B9QtzXhl3uYs/3K9ECUESUTHmBVve39dgVG16LbJgpUu58aS9X3HktAPIJWYMGlsnGVesV1TmvCwhcX3PS+61Pk4t9SJPvmPDe3B/6IIoP2hkK0CE61BslsdaGydqsLP2DTiYQEuUW3CMU7i+r5AAngyFfpjxnbL8BjtwQIDAQABAoIBAACmpTW+8jcR1bzyTzrDmG1weJ3Mv+QpB+yPwc7vIF8lRmjvBqwLxXawgRNEYP55/q8e5iyYp3hFZvAm5Uqibooi+2tmMMOlNAg9u+mNdtlzl/YFgw+hn3XPrJlpQjW1CzVxiNWoE7GOY4aW5sP7Yj3gW/qmMuET7kD8/0iDWp8TU56xW08/+8xzPrIk8UQLitLKpqQvrm7kYQ8XUTzdro2HJhJtMV7YEDndkOR4dG2ezTk5KXeTsYc4VR+FFRNAZWT2ek8fQsw2ubwz9h2Fe+yX9tFJIDtpI+OxRMZ1ZZTaSbvwg+ye5QW89JtRayNfwVoRPmMZGH1gnSt6Sy6ODnECgYEAysyIIurvH3+wRpP47W4+lDLcQsAmYD7dDwM5g5hx0uvJw8ummOZy1iGAjqkn75IRwxz0C0sIGbUVSmH3v5Q3JtCfbXk+uzUdVIZj+U9eUKq6iu8+bWMK4z5nU8o278mI1uphLKbEgrs69v0TBClS9gN0drjlFGEvtATY5oonerECgYEAw5vSfTBSypo4uyVfH2H1sPOf4DKiCocEAH2AiG9t4YOu634UuWvqMT30CFoi9TyXJ94oFV7uK6tW4pi7BII8GI+NUWRDt9MCkku5nIB1V1b76gW3+yH0XaM0aI1g/PptXzXGmFCzA/3l+bR0Wp0XjZarSe21q+HozgHtQAZ4SBECgYAcuCRbVYvxmQKcrB3neeJQ2HcK2O1WWfCyTJGbij4sUYnsOW3pX1FJ88qh6WCnc7ciO3pwEvsdsOBH/WG5dsLss0SwmygAGQCDVNjZmJzRravnOwRLN2h2UAMQAaYQBSlkziJe0Wso3Fz4V1SXFUcTYd/fZEXEwhKgWsNgupXmsQKBgHWndOy9sx6Pso3GRbe/mSMM9l3ItrR0T1DoK/ZkZ4gcR4r3tAlvQlbJ981KQfqVrilZs2xfRAxaK5Fx4hMtLm5rccnB8AVSUxqhl4vtrCaTeERjmizgWHY14yD74JlpG34H/2LAL1y4S6ptAws5r+AG/xIhe4NeB0RZ3lUDTzexAoGBAKLuvvRUvkPREKWiH9e1hEuBEAZQuXRSN+QfijFrT1b3rIhzD/DallOHy+BaMIWqSr8kyLDtq+TUnHixSZHN1B/YxBqmfQuJp1APwAy448NgZOhtNwjHVHPlau71/C1uF+bJ3Oo3SZp4FYqyejVs+bQH5g2UmnJZt/vtpOasPyx0";
const OTHER_RSA: &str = "MIIEpQIBAAKCAQEA7xQtwlYU/CbuxTNRVQuqiIWYoYs0jSOOrTwmcS43tU5AlIJ6bfKfKnVkF513NSE5TqFG/4MvRhV820qVXDCgqquZb47tuEj6aLWPz6nL5TuxYrT/c1rPos+NBud0v6yKQ7q6fZjxzBY8Nc9l326R9qKd/uZpXsE0wUiMYqn/Y71yZpSa1Ukrst5IfOHnpxiilBDvot76dOJo4Uz5NiFx42JFTqcnFol9SwkDX8ezaK+s5P6yYLy6ka+usIIXgDjVATVp/8NLnEEWeO9/xnCuxeBPKXnEAFnWf1rr2O2pBGJovwiWQb5cyUOWRWFSZsYMzsgoBrmnovUIFR3+ULyfaQIDAQABAoIBABgZuiUphVMH37D8Y9oFY4sAoKrEPCdwKq1W728gYBhES6lM3+eeeiIPFGh3BLHT6BF/m4cdY9IWT3BRu+2/ryqVQtHmoBsgLDIK/3TJIpc4pcCUC15HDMBWWNqV0YSS8ZszQyJvHQzcPvSTtCrKXCd3LCMqefvF0TocxJ4bkfWtTO0Kk1MlKuvXxNqyEhjhpwN3vkq+l1066z0G5lOJ8uWD5QYvHDCzxVFnXjFY6X3p9r4c35PStFb68bbZatLEZrZZWsyir9OxZa4QGzY4jibPPzwyJ5u6oQYPs/85lZwpn2BKlzwjjPRVFhk+moQTIzcwJCQQis+wwH6s74scsUMCgYEA+1d+kG/KeHbQ5gIy5V+DkIecbaPgwDUuJ2oPA/Qa0nKPzcc8YvAzhVuMBE43l4jmCYHPp7gRFpD+mvKlh2n3nuFMRFgjLtaywpcZOEZwMUvn5NQ4IjL+6iWdjli/8v76T2DbtE/xbkCC75fnhbaDep7KMzeA2ltA58BVn9WZImcCgYEA84KAh69kE5XY7ebvEfmgqSYFHJap+z+sfNUbnLKkKYvMztQ7sK9vDuNQS3mGO+Nfq8sMQaMZVbOlcdV+aelL3k7fbz2qNUkaQgAvs/eXskwsESccF1Wl6dz56M8H9LBwWe2gyC+7GnEw7loPJnb2b5wv0H41YJj1ljXr1gCuLa8CgYEA0HkPEpCXGPo8ZTuXqadiwgOpnUtbhTHXGXwf/kB/6uR5IM7L6Kiho1B+v6d89uTnISWZ7tx+1//mHvF6mOotKIxpLRsJ+7S7Syn3EjVio5D5RFU+RieURvRyTfqRI+WYCzUkptfUQoWh1UdjEwaC4bdJsdesufEM0e03WD7cKKsCgYEAm32hhQLB7J+qvX7Q+bFknZ3hdbffIsgt5ChQUWbg3IagaRGsa84aJG+SPh+DT4qI9LHbSa5T5x2nb2DcL9UA1RuYIPhHT282jR6BV3GqM/ffy7Qlg+D06Lhp+/b3JY/krgfGuw1/dAsDK6/mLLGZ+vrIrWFpxBzn9NrJlQUqM5ECgYEAunQQU+jfS88RiNKT21CRkT4jJDZxpgRNI+b0OjW9CWmLyG518R6/n0AEsXLqCVTTeAv32jNfzrZKYH/5V/v+zkBfkDkaSctuxbTsmbYOhcFKN8flG3UNTRRofSP7clkCU/A8Qx4d9Xtsqvf+r790g8+8MchfRJq/FWZX5NChsgQ=";
const EC: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgo0ng6ZGPWLY3OUoIJFGEah/OagUW09Uh1uu29hGfrcOhRANCAAQ2mrkaA7Awf6q0ha0R+XQz32uIjp0eLXaQfJ+x1cq9Y+UtGAqnR6fYgf9Zf+eQxskCuv+3MRJm/MIHTk8Pp/RT";

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "longhaul";

fn rsa(key: &str) -> EncodingKey {
    EncodingKey::from_rsa_der(&STANDARD.decode(key).expect("base64"))
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_der(&STANDARD.decode(EC).expect("base64"))
}

fn public(key: &EncodingKey, algorithm: Algorithm, name: &str) -> Value {
    let mut key = Jwk::from_encoding_key(key, algorithm).expect("a public half");
    key.common.key_id = Some(name.into());
    serde_json::to_value(key).expect("JSON")
}

/// An issuer's keys on loopback, and how often they were asked for.
struct Served {
    url: String,
    asked: Arc<AtomicUsize>,
}

async fn serve(keys: Value) -> Served {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let routes = Router::new().route(
        "/keys",
        get(async move || {
            count.fetch_add(1, Ordering::Relaxed);
            Json(keys.clone())
        }),
    );
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Served { url, asked }
}

async fn redirect_to(url: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = format!("http://{}/keys", listener.local_addr().expect("an address"));
    let routes = Router::new().route("/keys", get(async move || Redirect::temporary(&url)));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    own
}

fn both_keys() -> Value {
    json!({"keys": [public(&rsa(RSA), Algorithm::RS256, "rsa"), public(&ec(), Algorithm::ES256, "ec")]})
}

fn id_tokens(source: KeySource, clock: Clock) -> IdTokens {
    let issuer = Issuer {
        name: ISSUER.into(),
        audiences: vec!["another".into(), AUDIENCE.into()],
        groups_claim: "groups".into(),
        skew: Duration::from_secs(60),
    };
    IdTokens::new(issuer, KeySet::new(source, clock.clone()).expect("a client"), clock)
}

/// Routes behind a sign-on that answer the signed-in user.
fn behind(sign_on: SignOn) -> Router {
    let who = async |signed_in: Option<Extension<SignedIn>>| match signed_in {
        Some(Extension(SignedIn { name, role })) => {
            format!("{name} {}", role.map_or("none", |role| role.as_str()))
        }
        None => "nobody".to_owned(),
    };
    sign_on.around(Router::new().route("/", get(who)))
}

async fn ask(routes: &Router, peer: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::builder().uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    let peer: SocketAddr = peer.parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = routes.clone().oneshot(request).await.expect("an answer");
    let body = axum::body::to_bytes(answer.into_body(), 1_024).await.expect("a body");
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

fn by_headers() -> Router {
    let proxies = TrustedProxies { networks: vec!["10.0.0.0/8".parse().expect("a network")] };
    let headers = Headers {
        proxies,
        user: "x-forwarded-user".parse().expect("a name"),
        groups: "x-forwarded-groups".parse().expect("a name"),
    };
    let roles = "ops=operator, /people/admins=admin".parse().expect("roles");
    behind(SignOn { headers: Some(headers), id_tokens: None, roles })
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_who_is_signed_in_is_believed() {
    let routes = by_headers();
    // As oauth2-proxy sends them.
    let ada = [
        ("x-forwarded-user", "ada"),
        ("x-forwarded-email", "ada@example.com"),
        ("x-forwarded-groups", "staff,ops"),
        ("x-forwarded-preferred-username", "ada"),
    ];
    assert_eq!(ask(&routes, "10.0.0.7:4711", &ada).await, "ada operator");
    let admin = [("x-forwarded-user", "root"), ("x-forwarded-groups", "ops, /people/admins")];
    assert_eq!(ask(&routes, "[::ffff:10.0.0.7]:4711", &admin).await, "root admin", "the greatest counts");
    let nobody = [("x-forwarded-user", "eva"), ("x-forwarded-groups", "staff")];
    assert_eq!(ask(&routes, "10.0.0.7:4711", &nobody).await, "eva none");
    assert_eq!(ask(&routes, "10.0.0.7:4711", &[("x-forwarded-user", "eva")]).await, "eva none");
}

#[tokio::test]
async fn what_anybody_else_says_is_not() {
    let routes = by_headers();
    let (user, groups) = (("x-forwarded-user", "ada"), ("x-forwarded-groups", "ops"));
    for peer in ["192.0.2.1:4711", "127.0.0.1:4711", "11.0.0.1:4711"] {
        assert_eq!(
            ask(&routes, peer, &[user, groups, ("x-forwarded-for", "10.0.0.7")]).await,
            "nobody",
            "{peer}"
        );
    }
    // One of two headers was written by the client.
    for twice in [[user, user, groups], [user, groups, groups]] {
        assert_eq!(ask(&routes, "10.0.0.7:1", &twice).await, "nobody");
    }
    assert_eq!(ask(&routes, "10.0.0.7:1", &[("x-forwarded-user", ""), groups]).await, "nobody");
    // A token that is not good is not made up for.
    assert_eq!(
        ask(&routes, "10.0.0.7:1", &[user, groups, ("authorization", "Bearer guess")]).await,
        "nobody"
    );
}

/// A token of an issuer, as one signs it, with some claims changed.
fn signed(clock: &Clock, key: &EncodingKey, header: (Algorithm, Option<&str>), changed: &Value) -> String {
    let now = clock.now().0 / 1_000;
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "248289", "email": "ada@example.com", "groups": ["ops"],
        "iat": now, "exp": now + 300,
    });
    let changed = changed.as_object().expect("claims").clone();
    for (name, value) in changed {
        if value.is_null() {
            claims.as_object_mut().expect("claims").remove(&name);
        } else {
            claims[name] = value;
        }
    }
    let header = Header { kid: header.1.map(str::to_owned), ..Header::new(header.0) };
    encode(&header, &claims, key).expect("a token")
}

fn by_tokens(id_tokens: IdTokens) -> Router {
    let roles = "ops=operator,*=viewer".parse().expect("roles");
    behind(SignOn { headers: None, id_tokens: Some(id_tokens), roles })
}

async fn show(routes: &Router, token: &str) -> String {
    ask(routes, "192.0.2.1:4711", &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn an_id_token_that_the_issuer_has_signed_is_taken() {
    let clock = Clock::manual();
    let served = serve(both_keys()).await;
    let routes = by_tokens(id_tokens(KeySource::Url(served.url), clock.clone()));
    let (rs, es) = ((Algorithm::RS256, Some("rsa")), (Algorithm::ES256, Some("ec")));
    let nothing = json!({});
    assert_eq!(show(&routes, &signed(&clock, &rsa(RSA), rs, &nothing)).await, "ada@example.com operator");
    assert_eq!(show(&routes, &signed(&clock, &ec(), es, &nothing)).await, "ada@example.com operator");
    let others =
        json!({"email": null, "preferred_username": "eva", "groups": "staff", "aud": ["x", AUDIENCE]});
    assert_eq!(show(&routes, &signed(&clock, &rsa(RSA), rs, &others)).await, "eva viewer");
    let bare = json!({"email": null, "groups": null});
    assert_eq!(show(&routes, &signed(&clock, &rsa(RSA), rs, &bare)).await, "248289 viewer");
    assert_eq!(served.asked.load(Ordering::Relaxed), 1, "the keys are read once");
}

#[tokio::test]
async fn an_id_token_of_another_issuer_audience_key_or_time_is_refused() {
    let clock = Clock::manual();
    let served = serve(both_keys()).await;
    let routes = by_tokens(id_tokens(KeySource::Url(served.url), clock.clone()));
    let rs = (Algorithm::RS256, Some("rsa"));
    let now = clock.now().0 / 1_000;
    for changed in [
        json!({"iss": "https://evil.example"}),
        json!({"iss": null}),
        json!({"aud": "another-application"}),
        json!({"aud": null}),
        json!({"sub": null}),
        json!({"exp": null}),
        json!({"exp": now - 60}),
        json!({"nbf": now + 61}),
        json!({"iat": now + 61}),
    ] {
        assert_eq!(show(&routes, &signed(&clock, &rsa(RSA), rs, &changed)).await, "nobody", "{changed}");
    }
    for within in [json!({"exp": now - 59}), json!({"nbf": now + 60}), json!({"iat": now + 60})] {
        assert_eq!(
            show(&routes, &signed(&clock, &rsa(RSA), rs, &within)).await,
            "ada@example.com operator",
            "{within}"
        );
    }
    let nothing = json!({});
    // Another's key under the issuer's name for its own, and a name of nobody's.
    assert_eq!(show(&routes, &signed(&clock, &rsa(OTHER_RSA), rs, &nothing)).await, "nobody");
    assert_eq!(
        show(&routes, &signed(&clock, &rsa(RSA), (Algorithm::RS256, Some("no")), &nothing)).await,
        "nobody"
    );
    assert_eq!(
        show(&routes, &signed(&clock, &rsa(RSA), (Algorithm::RS256, None), &nothing)).await,
        "nobody",
        "there are two"
    );
    assert_eq!(
        show(&routes, &signed(&clock, &ec(), (Algorithm::ES256, Some("rsa")), &nothing)).await,
        "nobody"
    );
    // Without a signature, and signed with what everybody knows.
    let good = signed(&clock, &rsa(RSA), rs, &nothing);
    let parts: Vec<&str> = good.split('.').collect();
    let none = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"rsa"}"#);
    for token in [format!("{none}.{}.", parts[1]), format!("{}.{}.", parts[0], parts[1])] {
        assert_eq!(show(&routes, &token).await, "nobody", "{token}");
    }
    let shared =
        EncodingKey::from_secret(both_keys()["keys"][0]["n"].as_str().expect("a modulus").as_bytes());
    assert_eq!(
        show(&routes, &signed(&clock, &shared, (Algorithm::HS256, Some("rsa")), &nothing)).await,
        "nobody"
    );
}

#[tokio::test]
async fn keys_are_read_from_a_file_too_again_and_again_and_kept_while_there_are_none() {
    let clock = Clock::manual();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let only = json!({"keys": [public(&rsa(RSA), Algorithm::RS256, "rsa")]});
    std::fs::write(&file, only.to_string()).expect("a file");
    let source = key_source(file.to_str().expect("a path")).expect("a file");
    let routes = by_tokens(id_tokens(source, clock.clone()));
    // Of a single key a token need not name it.
    let (unnamed, nothing) = ((Algorithm::RS256, None), json!({}));
    assert_eq!(
        show(&routes, &signed(&clock, &rsa(RSA), unnamed, &nothing)).await,
        "ada@example.com operator"
    );
    // The issuer changes over to another key, which a token names before it would be read anyway.
    let other = || signed(&clock, &rsa(OTHER_RSA), (Algorithm::RS256, Some("other")), &nothing);
    let both = json!({"keys": [only["keys"][0], public(&rsa(OTHER_RSA), Algorithm::RS256, "other")]});
    std::fs::write(&file, both.to_string()).expect("a file");
    clock.advance(Duration::from_secs(9));
    assert_eq!(show(&routes, &other()).await, "nobody", "made-up names cost the issuer little");
    clock.advance(Duration::from_secs(1));
    assert_eq!(show(&routes, &other()).await, "ada@example.com operator");
    // It is away when they are due.
    std::fs::remove_file(&file).expect("it goes");
    clock.advance(Duration::from_secs(600));
    assert_eq!(show(&routes, &other()).await, "ada@example.com operator");
    // A key that was taken back is not believed any more.
    std::fs::write(&file, only.to_string()).expect("a file");
    clock.advance(Duration::from_secs(600));
    // No request waits for that: the first ones after it bring it about.
    while show(&routes, &other()).await != "nobody" {
        tokio::task::yield_now().await;
    }
    assert!(key_source("ftp://keys.example").is_err());
}

#[tokio::test]
async fn a_key_of_an_unknown_kind_spoils_no_other_and_a_redirection_is_not_followed() {
    let clock = Clock::manual();
    let odd = json!({"kty": "of the future", "kid": "odd"});
    let served = serve(json!({"keys": [odd, public(&rsa(RSA), Algorithm::RS256, "rsa")]})).await;
    let token = signed(&clock, &rsa(RSA), (Algorithm::RS256, Some("rsa")), &json!({}));
    let routes = by_tokens(id_tokens(KeySource::Url(served.url.clone()), clock.clone()));
    assert_eq!(show(&routes, &token).await, "ada@example.com operator");
    let elsewhere = redirect_to(served.url).await;
    let routes = by_tokens(id_tokens(KeySource::Url(elsewhere), clock.clone()));
    assert_eq!(show(&routes, &token).await, "nobody");
    assert_eq!(served.asked.load(Ordering::Relaxed), 1, "only by the first");
}

#[tokio::test]
async fn what_is_no_set_of_keys_opens_nothing() {
    let clock = Clock::manual();
    let served = serve(json!("no keys")).await;
    let routes = by_tokens(id_tokens(KeySource::Url(served.url), clock.clone()));
    let token = signed(&clock, &rsa(RSA), (Algorithm::RS256, None), &json!({}));
    assert_eq!(show(&routes, &token).await, "nobody");
    assert_eq!(served.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn roles_are_read_from_words() {
    let roles = |text: &str| text.parse::<super::Roles>();
    assert!(roles("").expect("none").is_empty());
    assert!(roles("ops").is_err() && roles("ops=root").is_err());
    let of = |groups: &[&str]| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        roles("a=b=viewer,ops=admin").expect("roles").of(&groups).map(|role| role.as_str())
    };
    assert_eq!((of(&["a=b"]), of(&["ops", "a=b"]), of(&[])), (Some("viewer"), Some("admin"), None));
}
