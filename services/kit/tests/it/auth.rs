use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kit::{Auth, AuthConfig, AuthError, Role, User};
use longhaul::Clock;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);

fn config(secret: Option<&str>, audience: Option<&str>) -> AuthConfig {
    AuthConfig {
        secret: secret.map(str::to_owned),
        secret_file: "/nowhere".into(),
        audience: audience.map(str::to_owned),
    }
}

fn auth(clock: &Clock) -> Auth {
    Auth::open(&config(Some("a secret of some length"), None), clock.clone()).unwrap()
}

fn ada() -> User {
    User { sub: "ada".into(), email: Some("ada@example.com".into()), role: Role::User }
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

#[test]
fn a_request_without_a_bearer_token_is_missing_one() {
    let auth = auth(&Clock::manual());
    assert_eq!(auth.authenticate(&HeaderMap::new()), Err(AuthError::Missing));
    assert_eq!(auth.authenticate(&headers("Basic YTpi")), Err(AuthError::Missing));
    assert_eq!(auth.authenticate(&headers("Bearer")), Err(AuthError::Missing));
    assert_eq!(auth.authenticate(&headers("Bearer x.y.z")), Err(AuthError::Invalid));
    let token = auth.sign(&ada(), HOUR).unwrap();
    assert_eq!(auth.authenticate(&headers(&format!("bearer {token}"))), Ok(ada()));
}

#[test]
fn a_token_that_we_would_not_have_signed_is_refused() {
    let clock = Clock::manual();
    let auth = auth(&clock);
    let secret = "a secret of some length";
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
    let user = auth(&clock).verify(&signed(Algorithm::HS256, "a secret of some length", &claims)).unwrap();
    assert_eq!(user, User { sub: "ada".into(), email: None, role: Role::User });
}

#[test]
fn the_audience_counts_where_it_is_configured() {
    let clock = Clock::manual();
    let auth = Auth::open(&config(Some("secret"), Some("us")), clock.clone()).unwrap();
    let exp = clock.now().plus(HOUR).0 / 1_000;
    assert!(auth.verify(&auth.sign(&ada(), HOUR).unwrap()).is_ok());
    for claims in [json!({ "sub": "ada", "exp": exp }), json!({ "sub": "ada", "exp": exp, "aud": "them" })] {
        assert!(auth.verify(&signed(Algorithm::HS256, "secret", &claims)).is_err(), "{claims}");
    }
}

#[test]
fn a_secret_is_made_once_and_kept_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/jwt-secret");
    let open = |file: &Path| {
        let config = AuthConfig { secret: None, secret_file: file.to_owned(), audience: None };
        Auth::open(&config, Clock::manual())
    };
    let token = open(&file).unwrap().sign(&ada(), HOUR).unwrap();
    assert_eq!(open(&file).unwrap().verify(&token), Ok(ada()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path().join("data")).unwrap().count(), 1, "nothing else is left");
    std::fs::write(&file, "short").unwrap();
    assert_eq!(open(&file).unwrap_err().variable, "JWT_SECRET");
}
