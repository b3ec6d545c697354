//! Every route with every role.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use longhaul::testing::{Call, Intercept};
use longhaul_http::HttpConfig;
use serde_json::Value;

use crate::access::guarded;
use crate::app::{Answer, App, json, request};

const ROLES: [&str; 3] = ["viewer", "operator", "admin"];

/// Every documented operation, with the least role that opens it as the document names it, and whether anybody may.
async fn operations(app: &App) -> Vec<(Method, String, Option<String>)> {
    let document = app.get("/api/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let path =
            format!("/api{}", path.replace("{id}", "x").replace("{queue}", "x").replace("{name}", "x"));
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let role = operation["security"][0]["bearer"][0].as_str().map(str::to_owned);
            (method.to_uppercase().parse().unwrap(), path.clone(), role)
        })
    });
    all.collect()
}

/// The answer to a request without a body, which shows the refusal or what comes after it.
async fn ask(app: &App, method: &Method, path: &str, header: (&str, &str)) -> Answer {
    app.send(json(method.clone(), path, "", &[header])).await
}

#[tokio::test]
async fn each_role_opens_its_routes_and_is_refused_the_others_with_the_role_they_need() {
    let app = App::with(guarded());
    let (mut opened, mut refused) = (0, 0);
    for (method, path, needed) in operations(&app).await {
        let place = |role| ROLES.iter().position(|known| *known == role).unwrap();
        for role in ROLES {
            let token = format!("Bearer {role}-ada");
            let answer = ask(&app, &method, &path, ("authorization", &token)).await;
            let needed = needed.as_deref().unwrap_or("viewer");
            if place(role) >= place(needed) {
                assert!(![401, 403].contains(&answer.status.as_u16()), "{role} {method} {path}: {answer:?}");
                opened += 1;
                continue;
            }
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{role} {method} {path}");
            assert_eq!(answer.code(), "forbidden");
            assert_eq!(answer.json()["needs"], needed, "{role} {method} {path}");
            assert!(answer.header("www-authenticate").contains(needed), "{answer:?}");
            refused += 1;
        }
    }
    assert!(opened > 40 && refused > 30, "{opened} {refused}");
}

#[tokio::test]
async fn each_route_needs_the_role_that_its_kind_of_work_has() {
    let app = App::with(guarded());
    for (method, path, needed) in operations(&app).await {
        let steers = path.starts_with("/api/jobs")
            || ["/pause", "/resume", "/run", "/redeliver"].iter().any(|end| path.ends_with(end));
        let expected = match method.as_str() {
            _ if path == "/api/openapi.json" || path.starts_with("/api/signals/") => None,
            _ if path.starts_with("/api/worker/") => Some("admin"),
            "GET" => Some("viewer"),
            "POST" | "DELETE" if steers => Some("operator"),
            _ => Some("admin"),
        };
        assert_eq!(needed.as_deref(), expected, "{method} {path}: see the table in auth/roles.rs");
    }
}

#[tokio::test]
async fn a_stranger_is_refused_every_route_but_the_document() {
    let app = App::with(guarded());
    for (method, path, needed) in operations(&app).await {
        if needed.is_none() {
            continue;
        }
        for (header, code) in [
            (("accept", "*/*"), "unauthorized"),
            (("authorization", "Bearer guess"), "invalid_token"),
            (("cookie", "longhaul_session=guess"), "invalid_token"),
        ] {
            let answer = ask(&app, &method, &path, header).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, code), "{path}");
        }
    }
}

#[tokio::test]
async fn me_tells_the_role_and_the_name() {
    let app = App::with(guarded());
    let me = async |token: &str| {
        let header = format!("Bearer {token}");
        app.get_with("/api/me", &[("authorization", &header)]).await.json()
    };
    assert_eq!(me("s3cret").await, serde_json::json!({ "role": "admin" }));
    assert_eq!(me("viewer-ada").await, serde_json::json!({ "role": "viewer", "name": "ada" }));
    assert_eq!(App::new().get("/api/me").await.json(), serde_json::json!({ "role": "admin" }));
}

/// Signs in; the cookie as a browser sends it back, and the attributes that came with it.
pub(crate) async fn sign_in(app: &App, token: &str) -> (String, String) {
    let answer = log_in(app, token, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let (cookie, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
    (cookie.to_owned(), attributes.to_owned())
}

async fn log_in(app: &App, token: &str, headers: &[(&str, &str)]) -> Answer {
    app.post_with("/admin/login", &serde_json::json!({ "token": token }).to_string(), headers).await
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_cookie_that_no_script_reads() {
    let app = App::with(guarded());
    let (cookie, attributes) = sign_in(&app, "operator-ada").await;
    assert!(!cookie.contains("ada") && cookie.starts_with("longhaul_session="), "{cookie}");
    assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict");
    let headers = [("cookie", &*format!("theme=dark; {cookie}"))];
    let me = app.get_with("/api/me", &headers).await;
    assert_eq!(me.json(), serde_json::json!({ "role": "operator", "name": "ada" }));
    assert_eq!(app.post_with("/api/jobs/x/cancel", "", &headers).await.code(), "no_such_job");
    let refused = app.send(json(Method::PATCH, "/api/queues/x", "{}", &headers)).await;
    assert_eq!(refused.json()["needs"], "admin");

    app.clock.advance(std::time::Duration::from_secs(12 * 3_600));
    assert_eq!(app.get_with("/api/me", &headers).await.code(), "invalid_token");
    let out = app.post_with("/admin/logout", "", &headers).await;
    assert_eq!(
        (out.status, out.header("set-cookie").contains("=; Path=/; Max-Age=0;")),
        (StatusCode::NO_CONTENT, true)
    );
}

#[tokio::test]
async fn a_logout_ends_that_session_on_every_server_of_the_store() {
    let here = App::with(guarded());
    let another = || App::over(here.longhaul.clone(), HttpConfig { clock: here.clock.clone(), ..guarded() });
    let there = another();
    let (left, _) = sign_in(&here, "operator-ada").await;
    let (kept, _) = sign_in(&here, "operator-ada").await;
    let me = async |app: &App, cookie: &str| app.get_with("/api/me", &[("cookie", cookie)]).await.status;
    for app in [&here, &there] {
        assert_eq!((me(app, &left).await, me(app, &kept).await), (StatusCode::OK, StatusCode::OK));
    }
    let out = here.post_with("/admin/logout", "", &[("cookie", &*left)]).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    here.clock.advance(std::time::Duration::from_secs(1));
    for app in [&here, &there, &another()] {
        assert_eq!((me(app, &left).await, me(app, &kept).await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    }
    // It is remembered for as long as the cookie would have been good.
    here.clock.advance(std::time::Duration::from_secs(12 * 3_600 - 2));
    assert_eq!(
        (me(&there, &left).await, me(&there, &kept).await),
        (StatusCode::UNAUTHORIZED, StatusCode::OK)
    );
}

#[tokio::test]
async fn a_logout_that_the_store_cannot_keep_says_so_and_takes_the_cookie_away() {
    let clock = longhaul::Clock::manual();
    let store =
        Intercept::new(longhaul::MemoryStore::with_clock(clock.clone()), async |store, call| match call {
            Call::PutSamples(..) => {
                Err(longhaul::Error::Unavailable { store: "test", source: "gone".into() })
            }
            call => call.on(store.as_ref()).await,
        });
    let app = App::over(longhaul::Longhaul::new(store), HttpConfig { clock, ..guarded() });
    let (cookie, _) = sign_in(&app, "operator-ada").await;
    let out = app.post_with("/admin/logout", "", &[("cookie", &*cookie)]).await;
    assert_eq!(out.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(out.header("set-cookie").contains("=; Path=/; Max-Age=0;"), "{out:?}");
}

#[tokio::test]
async fn a_session_ends_with_the_tokens_that_have_opened_it() {
    let ends = longhaul_http::Verifier::new(|token| {
        let expires_at = Some(longhaul::Clock::manual().now().plus(std::time::Duration::from_secs(60)));
        Some(longhaul_http::Identity { expires_at, ..crate::access::bearer(token)? })
    });
    let access = |token: &[u8]| longhaul_http::Access::Bearer {
        token: longhaul_http::Secret(token.to_vec()),
        verifier: Some(ends.clone()),
    };
    let app = App::with(longhaul_http::HttpConfig { access: access(b"s3cret"), ..guarded() });
    let (cookie, attributes) = sign_in(&app, "viewer-ada").await;
    assert!(attributes.contains("Max-Age=60;"), "{attributes}");
    let (admin, _) = sign_in(&app, "s3cret").await;
    app.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(app.get_with("/api/me", &[("cookie", &cookie)]).await.code(), "invalid_token");
    assert_eq!(app.get_with("/api/me", &[("cookie", &admin)]).await.status, StatusCode::OK);
    let changed = App::with(longhaul_http::HttpConfig { access: access(b"another"), ..guarded() });
    assert_eq!(changed.get_with("/api/me", &[("cookie", &admin)]).await.code(), "invalid_token");
}

#[tokio::test]
async fn what_another_site_asks_for_with_the_cookie_is_refused() {
    let app = App::with(guarded());
    let (cookie, _) = sign_in(&app, "s3cret").await;
    let ask = async |method: Method, more: &[(&str, &str)]| {
        let path = if method == Method::GET { "/api/jobs" } else { "/api/jobs/x/cancel" };
        let headers = [&[("cookie", &*cookie), ("host", "jobs.example")], more].concat();
        app.send(json(method, path, "", &headers)).await
    };
    let (same, other) = (("origin", "https://jobs.example"), ("origin", "https://evil.example"));
    for own in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("sec-fetch-site", "none")],
        &[same],
        &[("sec-fetch-site", "same-origin"), same],
        // No browser.
        &[],
    ] {
        assert_eq!(ask(Method::POST, own).await.code(), "no_such_job", "{own:?}");
    }
    for foreign in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-site"), same],
        &[other],
        &[("origin", "null")],
        &[("origin", "https://jobs.example.evil.example")],
        &[("origin", "https://jobs.example:8443")],
    ] {
        assert_eq!(ask(Method::POST, foreign).await.code(), "cross_site", "{foreign:?}");
        assert_eq!(log_in(&app, "s3cret", foreign).await.code(), "cross_site", "{foreign:?}");
        // It cannot read the answer.
        assert_eq!(ask(Method::GET, foreign).await.status, StatusCode::OK, "{foreign:?}");
    }
    // A bearer token is sent by nobody but who has it.
    let bearer = [("authorization", "Bearer s3cret"), ("sec-fetch-site", "cross-site")];
    assert_eq!(app.post_with("/api/jobs/x/cancel", "", &bearer).await.code(), "no_such_job");
}

#[tokio::test]
async fn a_wrong_token_is_told_which_are_right_and_many_have_to_wait() {
    let app = App::with(guarded());
    for _ in 0..10 {
        let answer = log_in(&app, "guess", &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "invalid_token"));
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("LONGHAUL_ADMIN_TOKEN") && detail.contains("longhaul token"), "{detail}");
        assert_eq!(answer.header("set-cookie"), "");
    }
    let answer = log_in(&app, "s3cret", &[]).await;
    assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("too_many_logins", "60"));
    app.clock.advance(std::time::Duration::from_secs(60));
    sign_in(&app, "s3cret").await;
}

#[tokio::test]
async fn behind_a_proxy_that_is_trusted_the_cookie_is_for_tls_and_its_path() {
    use longhaul_http::{Arrival, Scheme};
    let app = App::with(longhaul_http::HttpConfig { base_path: "/longhaul".into(), ..guarded() });
    let arrival = Arrival { client: None, scheme: Scheme::Https, host: Some("jobs.example".into()) };
    let headers = [("origin", "https://jobs.example"), ("host", "10.0.0.1:8000")];
    let login = json(Method::POST, "/admin/login", r#"{"token":"s3cret"}"#, &headers);
    let mut login = login;
    login.extensions_mut().insert(arrival);
    let answer = app.send(login).await;
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.ends_with("; Path=/longhaul; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
}

#[tokio::test]
async fn on_an_open_server_whoever_signs_in_is_admin_and_needs_no_cookie() {
    let app = App::new();
    let answer = log_in(&app, "anything", &[]).await;
    assert_eq!(answer.json(), serde_json::json!({ "role": "admin" }));
    assert_eq!(answer.header("set-cookie"), "");
}

#[tokio::test]
async fn links_and_the_document_name_the_path_of_the_proxy() {
    let app = App::with(longhaul_http::HttpConfig {
        base_path: "/longhaul".into(),
        ..longhaul_http::HttpConfig::default()
    });
    let body = r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#;
    assert_eq!(app.post("/api/jobs", body).await.header("location"), "/longhaul/api/jobs/g");
    app.post("/api/jobs", &body.replace("\"g\"", "\"h\"")).await;
    let page = app.send(request(Method::GET, "/api/jobs?limit=1").body(Body::empty()).unwrap()).await;
    assert!(page.header("link").starts_with("</longhaul/api/jobs?"), "{page:?}");
    let document: Value = app.get("/api/openapi.json").await.json();
    assert_eq!(document["servers"][0]["url"], "/longhaul/api");
}
