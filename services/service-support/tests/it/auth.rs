use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Redirect;
use axum::routing::get;
use axum::{Json, Router};
use fakes::{Double, Fault};
use futures::FutureExt;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use longhaul::Clock;
use serde_json::{Value, json};
use service_support::{Auth, AuthConfig, AuthError, Role, User};

const SECRET: &str = "a secret of thirty-two bytes, or more";
const HOUR: Duration = Duration::from_secs(3_600);
/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn config(secret: Option<&str>, audience: Option<&str>) -> AuthConfig {
    AuthConfig {
        secret: secret.map(str::to_owned),
        secret_file: "/nowhere".into(),
        jwks_url: None,
        audience: audience.map(str::to_owned),
    }
}

fn auth(clock: &Clock) -> Auth {
    Auth::open(&config(Some(SECRET), None), clock.clone()).unwrap()
}

fn ada() -> User {
    User { sub: "ada".into(), email: Some("ada@example.com".into()), name: None, role: Role::User }
}

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn headers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

#[test]
fn a_signed_token_names_its_user_until_it_ends() {
    let clock = Clock::manual();
    let auth = auth(&clock);
    let token = auth.sign(&ada(), HOUR).unwrap();
    assert_eq!(auth.verify(&token), Ok(ada()));
    clock.advance(HOUR + Duration::from_secs(59));
    assert_eq!(auth.verify(&token), Ok(ada()), "clocks may differ by a minute");
    clock.advance(Duration::from_secs(1));
    assert_eq!(auth.verify(&token), Err(AuthError::Invalid));
}

#[tokio::test]
async fn a_request_without_a_bearer_token_is_missing_one() {
    let auth = auth(&Clock::manual());
    assert_eq!(auth.authenticate(&HeaderMap::new()).await, Err(AuthError::Missing));
    assert_eq!(auth.authenticate(&headers("Basic YTpi")).await, Err(AuthError::Missing));
    assert_eq!(auth.authenticate(&headers("Bearer")).await, Err(AuthError::Missing));
    assert_eq!(auth.authenticate(&headers("Bearer x.y.z")).await, Err(AuthError::Invalid));
    let token = auth.sign(&ada(), HOUR).unwrap();
    assert_eq!(auth.authenticate(&headers(&format!("bearer {token}"))).await, Ok(ada()));
}

#[test]
fn a_token_that_we_would_not_have_signed_is_refused() {
    let clock = Clock::manual();
    let auth = auth(&clock);
    let secret = SECRET;
    let exp = clock.now().plus(HOUR).0 / 1_000;
    let good = json!({ "sub": "ada", "exp": exp });
    assert!(auth.verify(&signed(Algorithm::HS256, secret, &good)).is_ok());
    // `{"alg":"none"}` and `{"sub":"ada","exp":9999999999}`, without a signature.
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.";
    for (why, token) in [
        ("another secret", signed(Algorithm::HS256, "another secret", &good)),
        ("another algorithm", signed(Algorithm::HS512, secret, &good)),
        ("no algorithm", unsigned.to_owned()),
        ("no end", signed(Algorithm::HS256, secret, &json!({ "sub": "ada" }))),
        ("no user", signed(Algorithm::HS256, secret, &json!({ "exp": exp }))),
        ("an empty user", signed(Algorithm::HS256, secret, &json!({ "sub": "", "exp": exp }))),
        ("not begun", signed(Algorithm::HS256, secret, &json!({ "sub": "ada", "exp": exp, "nbf": exp }))),
        ("not a token", "ada".to_owned()),
    ] {
        assert_eq!(auth.verify(&token), Err(AuthError::Invalid), "{why}");
    }
}

#[test]
fn a_token_of_another_issuer_may_say_more() {
    let clock = Clock::manual();
    let exp = clock.now().plus(HOUR).0 / 1_000;
    let claims =
        json!({ "sub": "ada", "exp": exp, "role": "service_role", "aud": ["authenticated"], "iat": 1 });
    let user = auth(&clock).verify(&signed(Algorithm::HS256, SECRET, &claims)).unwrap();
    let fraction = json!({ "sub": "ada", "exp": exp as f64 + 0.5, "nbf": exp as f64 - 9_999.5 });
    assert!(auth(&clock).verify(&signed(Algorithm::HS256, SECRET, &fraction)).is_ok());
    assert_eq!(user, User { sub: "ada".into(), email: None, name: None, role: Role::User });
}

#[test]
fn the_audience_counts_where_it_is_configured() {
    let clock = Clock::manual();
    let auth = Auth::open(&config(Some(SECRET), Some("us")), clock.clone()).unwrap();
    let exp = clock.now().plus(HOUR).0 / 1_000;
    assert!(auth.verify(&auth.sign(&ada(), HOUR).unwrap()).is_ok());
    for claims in [json!({ "sub": "ada", "exp": exp }), json!({ "sub": "ada", "exp": exp, "aud": "them" })] {
        assert!(auth.verify(&signed(Algorithm::HS256, SECRET, &claims)).is_err(), "{claims}");
    }
}

/// An issuer: its private key as PKCS#8 in hexadecimal, made for this test and used nowhere else.
const EC_KEY: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b020101042087338f85a5ef730dd54a\
    805afcfa52d2f05702d0e975db36f35bd375c8ef27aba14403420004af4142ed5ec40f1b9537cfb6a30ce0bed3a9\
    8ce97d34bfacfdf7978f09c6872af7cf624789ba6c4fa76dd045deccf717edaa2599143998ac410f41792b44b79d";
/// The same for Ed25519, whose keys are any 32 bytes behind a fixed head.
const ED_KEY: &str =
    "302e020100300506032b6570042204200707070707070707070707070707070707070707070707070707070707070707";

fn der(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn issuers() -> [(&'static str, Algorithm, EncodingKey); 2] {
    [
        ("ec", Algorithm::ES256, EncodingKey::from_ec_der(&der(EC_KEY))),
        ("ed", Algorithm::EdDSA, EncodingKey::from_ed_der(&der(ED_KEY))),
    ]
}

fn public(kid: &str, algorithm: Algorithm, key: &EncodingKey) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    serde_json::to_value(jwk).unwrap()
}

fn issued(kid: &str, algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    format!("Bearer {}", jsonwebtoken::encode(&header, claims, key).unwrap())
}

/// The user of a token whose key is or is to become known. A request waits for the keys for two seconds, in which a busy
/// machine may not fetch them; a later one goes on with the same fetch.
async fn admitted(auth: &Auth, headers: &HeaderMap) -> User {
    let admitting = async {
        loop {
            match auth.authenticate(headers).await {
                Ok(user) => return user,
                Err(error) => assert_eq!(error, AuthError::Invalid),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, admitting).await.expect("the key never became known")
}

#[tokio::test]
async fn an_issuers_tokens_are_checked_by_its_public_keys() {
    let double = Double::start().await;
    let clock = Clock::manual();
    let [(ec, es256, ec_key), (ed, eddsa, ed_key)] = issuers();
    double.publish_keys(&json!({ "keys": [public(ec, es256, &ec_key)] }));
    let config = AuthConfig { jwks_url: Some(double.keys_url()), ..config(Some(SECRET), None) };
    let auth = Auth::open(&config, clock.clone()).unwrap();
    let exp = clock.now().plus(HOUR).0 / 1_000;
    let claims = json!({ "sub": "ada", "email": "ada@example.com", "exp": exp, "longhaul_role": "admin" });

    let token = issued(ec, es256, &ec_key, &claims);
    assert_eq!(admitted(&auth, &headers(&token)).await, ada(), "and nobody is an admin by another's word");
    assert_eq!(auth.authenticate(&headers(&token)).await, Ok(ada()));
    assert_eq!(double.seen("/jwks.json").len(), 1, "the keys are kept");
    let own = format!("Bearer {}", auth.sign(&ada(), HOUR).unwrap());
    assert_eq!(auth.authenticate(&headers(&own)).await, Ok(ada()), "our own tokens still hold");

    // A key that is not known yet is asked for, but not as often as somebody likes to invent one.
    let new = headers(&issued(ed, eddsa, &ed_key, &claims));
    assert_eq!(auth.authenticate(&new).await, Err(AuthError::Invalid));
    assert_eq!(double.seen("/jwks.json").len(), 1);
    double.publish_keys(&json!({ "keys": [public(ed, eddsa, &ed_key)] }));
    clock.advance(Duration::from_secs(10));
    assert_eq!(admitted(&auth, &new).await, ada());
    assert_eq!(auth.authenticate(&headers(&token)).await, Err(AuthError::Invalid), "a withdrawn key is void");

    // An issuer that is down locks nobody out whose key is known.
    double.fail("/jwks.json", Fault::Status(500));
    clock.advance(Duration::from_secs(600));
    assert_eq!(auth.authenticate(&new).await, Ok(ada()));
}

#[tokio::test]
async fn a_key_set_cannot_be_used_to_forge() {
    let double = Double::start().await;
    let clock = Clock::manual();
    let [(ec, es256, ec_key), (_, eddsa, ed_key)] = issuers();
    let secret = json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ" });
    double.publish_keys(&json!({ "keys": [public(ec, es256, &ec_key), secret] }));
    let config = AuthConfig { jwks_url: Some(double.keys_url()), ..config(Some(SECRET), Some("us")) };
    let auth = Auth::open(&config, clock.clone()).unwrap();
    let exp = clock.now().plus(HOUR).0 / 1_000;
    let good = json!({ "sub": "ada", "exp": exp, "aud": "us" });
    assert_eq!(admitted(&auth, &headers(&issued(ec, es256, &ec_key, &good))).await.sub, "ada");

    let shared = EncodingKey::from_secret(b"secret-secret-secret");
    let late = json!({ "sub": "ada", "exp": exp - 7_200, "aud": "us" });
    let them = json!({ "sub": "ada", "exp": exp, "aud": "them" });
    for (why, token) in [
        ("a published secret", issued("shared", Algorithm::HS256, &shared, &good)),
        ("another secret of the same kind", issued("shared", Algorithm::HS512, &shared, &good)),
        ("another key under its name", issued(ec, eddsa, &ed_key, &good)),
        ("out of date", issued(ec, es256, &ec_key, &late)),
        ("for somebody else", issued(ec, es256, &ec_key, &them)),
    ] {
        assert_eq!(auth.authenticate(&headers(&token)).await, Err(AuthError::Invalid), "{why}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_slow_or_away_keeps_nobody_waiting_whose_key_is_known() {
    let double = Double::start().await;
    let clock = Clock::manual();
    let [(ec, es256, ec_key), (ed, eddsa, ed_key)] = issuers();
    double.publish_keys(&json!({ "keys": [public(ec, es256, &ec_key)] }));
    let config = AuthConfig { jwks_url: Some(double.keys_url()), ..config(Some(SECRET), None) };
    let auth = Auth::open(&config, clock.clone()).unwrap();
    let claims = json!({ "sub": "ada", "exp": clock.now().plus(HOUR).0 / 1_000 });
    let known = headers(&issued(ec, es256, &ec_key, &claims));
    assert_eq!(admitted(&auth, &known).await, User { email: None, ..ada() });
    for fault in [Fault::Hang, Fault::Endless, Fault::Status(500), Fault::Malformed] {
        double.fail("/jwks.json", fault);
        clock.advance(Duration::from_secs(600));
        let seen = double.seen("/jwks.json").len();
        let answer = auth.authenticate(&known).now_or_never();
        assert!(answer.is_some_and(|answer| answer.is_ok()), "it is answered at once");
        // The fetch before may yet be waited for; then the next look begins the new one.
        while double.seen("/jwks.json").len() == seen {
            assert!(auth.authenticate(&known).now_or_never().is_some_and(|answer| answer.is_ok()));
            tokio::task::yield_now().await;
        }
        // Whoever names a key that is not known may wait for it; the others do not.
        let stranger = headers(&issued(ed, eddsa, &ed_key, &claims));
        let stranger = tokio::spawn({
            let auth = auth.clone();
            async move { auth.authenticate(&stranger).await }
        });
        assert!(auth.authenticate(&known).now_or_never().is_some_and(|answer| answer.is_ok()));
        assert_eq!(stranger.await.unwrap(), Err(AuthError::Invalid));
        clock.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn keys_are_taken_from_nowhere_else_and_one_odd_key_spoils_no_other() {
    let [(ec, es256, ec_key), _] = issuers();
    let odd = json!([{ "kty": "XXX", "kid": "q" }, { "kty": "RSA" }, 7, public(ec, es256, &ec_key)]);
    let set = Json(json!({ "keys": odd }));
    let routes = Router::new()
        .route("/keys", get(move || async move { set }))
        .route("/moved", get(|| async { Redirect::temporary("/keys") }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    for (path, is_taken) in [("keys", true), ("moved", false)] {
        let clock = Clock::manual();
        let url = Some(format!("http://{address}/{path}"));
        let auth =
            Auth::open(&AuthConfig { jwks_url: url, ..config(Some(SECRET), None) }, clock.clone()).unwrap();
        let claims = json!({ "sub": "ada", "exp": clock.now().plus(HOUR).0 / 1_000 });
        let headers = headers(&issued(ec, es256, &ec_key, &claims));
        match is_taken {
            true => assert_eq!(admitted(&auth, &headers).await.sub, "ada"),
            false => assert_eq!(auth.authenticate(&headers).await, Err(AuthError::Invalid)),
        }
    }
}

#[test]
fn a_secret_that_can_be_found_out_is_refused() {
    for secret in ["x", "0123456789abcdef0123456789abcde"] {
        let error = Auth::open(&config(Some(secret), None), Clock::manual()).unwrap_err();
        assert_eq!(error.variable, "JWT_SECRET");
        assert!(!error.to_string().contains(secret) || secret == "x", "{error}");
    }
}

#[test]
fn a_secret_that_is_a_link_is_refused_and_one_that_others_can_read_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("jwt-secret"), folder.path().join("link"));
    std::fs::write(&file, SECRET).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let open = |file: &Path| {
        let config = AuthConfig { secret_file: file.to_owned(), ..config(None, None) };
        Auth::open(&config, Clock::manual())
    };
    assert_eq!(open(&link).unwrap_err().variable, "JWT_SECRET");
    assert!(open(&file).is_ok());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_secret_is_made_once_and_kept_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/jwt-secret");
    let open = |file: &Path| {
        let config = AuthConfig { secret_file: file.to_owned(), ..config(None, None) };
        Auth::open(&config, Clock::manual())
    };
    let token = open(&file).unwrap().sign(&ada(), HOUR).unwrap();
    assert_eq!(open(&file).unwrap().verify(&token), Ok(ada()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path().join("data")).unwrap().count(), 1, "nothing else is left");
    std::fs::write(&file, "short").unwrap();
    assert_eq!(open(&file).unwrap_err().variable, "JWT_SECRET");
}
