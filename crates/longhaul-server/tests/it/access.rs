//! Roles, sign-in and the path of a proxy, on the real binary.

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::server::{Place, Server, client, stderr};

const ADMIN: &str = "an-admin-token-of-32-characters!";

fn no_redirects() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("the server answers")
}

async fn json_of(response: Response) -> Value {
    response.json().await.expect("JSON")
}

async fn guarded(place: &Place, args: &[&str]) -> Server {
    place.serve_with(args, &[("LONGHAUL_ADMIN_TOKEN", ADMIN), ("TRUSTED_PROXIES", "127.0.0.1")]).await
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn a_token_of_each_role_signs_in_and_does_what_its_role_may() {
    let place = Place::new();
    let server = guarded(&place, &[]).await;
    let mut secrets = vec![ADMIN.to_owned()];
    for (args, role, name) in [
        (&["--role", "viewer", "--name", "The wall"][..], "viewer", json!("The wall")),
        (&["--role", "operator", "--sub", "ada"], "operator", json!("ada")),
        (&["--admin", "--sub", "root"], "admin", json!("root")),
    ] {
        let token = place.printed(&[&["token"], args].concat()).await.trim().to_owned();
        let me = client().get(server.at("/api/me")).bearer_auth(&token);
        assert_eq!(json_of(send(me).await).await, json!({ "role": role, "name": name }));
        let login = client().post(server.at("/admin/login")).json(&json!({ "token": token }));
        let answer = send(login).await;
        let cookie = header(&answer, "set-cookie").split(';').next().expect("a pair").to_owned();
        assert_eq!(json_of(answer).await, json!({ "role": role, "name": name }));
        let by_cookie = |method: reqwest::Method, path: &str| {
            client().request(method, server.at(path)).header("cookie", &cookie)
        };
        assert_eq!(send(by_cookie(reqwest::Method::GET, "/api/jobs")).await.status(), StatusCode::OK);
        let cancel = send(by_cookie(reqwest::Method::POST, "/api/jobs/x/cancel")).await.status();
        assert_eq!(cancel, if role == "viewer" { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND });
        let forged =
            by_cookie(reqwest::Method::POST, "/api/jobs/x/cancel").header("sec-fetch-site", "same-site");
        assert_eq!(send(forged).await.status(), StatusCode::FORBIDDEN);
        secrets.extend([token, cookie.split_once('=').expect("a value").1.to_owned()]);
    }
    let user = place.token("bob").await;
    assert_eq!(
        send(client().get(server.at("/api/me")).bearer_auth(user)).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let read = send(client().get(server.at("/api/jobs/x/events?token=a-read-token"))).await;
    assert_eq!(read.status(), StatusCode::UNAUTHORIZED);
    let log = server.log();
    assert!(secrets.iter().all(|secret| !log.contains(secret)) && !log.contains("a-read-token"), "{log}");
}

#[tokio::test]
async fn a_token_command_that_says_not_whose_it_is_says_what_to_give() {
    let place = Place::new();
    let output = place.run(&["token"]).await;
    assert!(!output.status.success() && stderr(&output).contains("--sub"), "{}", stderr(&output));
    let both = place.run(&["token", "--admin", "--role", "viewer"]).await;
    assert!(!both.status.success());
}

#[tokio::test]
async fn all_of_it_is_served_under_the_path_of_a_proxy_whether_it_takes_the_path_away_or_not() {
    let place = Place::new();
    let server = guarded(&place, &["--base-path", "/longhaul/"]).await;
    // The proxy leaves the path as it is, or takes it away.
    for prefix in ["/longhaul", ""] {
        let at = |path: &str| server.at(&format!("{prefix}{path}"));
        assert_eq!(send(client().get(at("/health"))).await.status(), StatusCode::OK);
        let page = send(client().get(at("/admin/jobs"))).await.text().await.expect("a page");
        assert!(page.contains("<base href=\"/longhaul/admin/\""), "{page}");
        let assets: Vec<&str> = page.split('"').filter_map(|word| word.strip_prefix("./assets/")).collect();
        assert!(assets.len() >= 2, "{page}");
        for asset in assets {
            let asset = send(client().get(at(&format!("/admin/assets/{asset}")))).await;
            assert_eq!(asset.status(), StatusCode::OK);
        }
        let login = client().post(at("/admin/login")).json(&json!({ "token": ADMIN }));
        // As nginx passes it on, with its own name for this server in `Host`.
        let login = login
            .header("origin", "https://jobs.example")
            .header("x-forwarded-for", "192.0.2.1")
            .header("x-forwarded-host", "jobs.example")
            .header("x-forwarded-proto", "https");
        let answer = send(login).await;
        let cookie = header(&answer, "set-cookie");
        assert!(cookie.contains("; Path=/longhaul;") && cookie.ends_with("; Secure"), "{cookie}");
        let body = json!({ "kind": "lessons.generate", "args": {}, "delay": 3600 });
        let create = no_redirects().post(at("/api/jobs")).bearer_auth(ADMIN).json(&body);
        let created = send(create).await;
        assert_eq!(created.status(), StatusCode::ACCEPTED, "{created:?}");
        let location = header(&created, "location").to_owned();
        assert!(location.starts_with("/longhaul/api/jobs/"), "{location}");
        assert_eq!(
            send(client().get(server.at(&location)).bearer_auth(ADMIN)).await.status(),
            StatusCode::OK
        );
        let document = json_of(send(client().get(at("/api/openapi.json"))).await).await;
        assert_eq!(document["servers"][0]["url"], "/longhaul");
        assert!(document["paths"]["/api/jobs"].is_object());
        let lesson = client()
            .post(at("/lessons"))
            .json(&json!({ "subject": "Biology", "topic": "Leaves", "user_id": "ada" }));
        let lesson = json_of(send(lesson).await).await;
        let poll = lesson["poll_url"].as_str().unwrap_or_default();
        assert!(poll.starts_with("/longhaul/lessons/status/"), "{lesson}");
        assert_eq!(send(client().get(server.at(poll))).await.status(), StatusCode::OK);
    }
    let refused = place.run(&["serve", "--base-path", "longhaul"]).await;
    assert!(!refused.status.success() && stderr(&refused).contains("/longhaul"), "{}", stderr(&refused));
}

#[tokio::test]
async fn without_a_proxy_the_page_is_where_it_was() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    for path in ["/admin", "/admin/queues", "/admin/login"] {
        let page = send(client().get(server.at(path))).await.text().await.expect("a page");
        assert!(page.contains("<base href=\"/admin/\""), "{path}: {page}");
    }
    assert_eq!(json_of(send(client().get(server.at("/api/me"))).await).await, json!({ "role": "admin" }));
}

#[tokio::test]
async fn hidden_values_are_neither_in_answers_nor_in_the_terminal_nor_in_the_log() {
    const SECRET: &str = "hunter2-hunter2";
    let place = Place::new();
    let hidden = [("LONGHAUL_REDACT", "args.password")];
    let server = place.serve_with(&["--accept-unknown-kinds", "--no-worker"], &hidden).await;
    let body = json!({ "kind": "login", "args": { "password": SECRET, "user": "ada" }, "id": "j" });
    send(client().post(server.at("/api/jobs")).json(&body)).await;
    let job = json_of(send(client().get(server.at("/api/jobs/j"))).await).await;
    assert_eq!(job["args"], json!({ "password": "[redacted]", "user": "ada" }));
    for args in
        [&["jobs", "show", "j"][..], &["jobs", "list", "--json"], &["jobs", "list", "--json", "hunter2"]]
    {
        let shown = crate::server::output(place.command(args).env(hidden[0].0, hidden[0].1)).await;
        assert!(shown.status.success(), "{}", stderr(&shown));
        let shown = crate::server::stdout(&shown);
        assert!(!shown.contains(SECRET), "{shown}");
        assert_eq!(shown.contains("redacted"), !args.contains(&"hunter2"), "{args:?}: {shown}");
    }
    assert!(!server.log().contains(SECRET), "{}", server.log());
    let refused = place.run(&["serve", "--redact", "password"]).await;
    assert!(!refused.status.success() && stderr(&refused).contains("args.password"), "{}", stderr(&refused));
}

#[tokio::test]
async fn a_token_that_was_made_beside_the_store_is_taken_by_its_server_and_the_log_tells_who_made_it() {
    let place = Place::new();
    let server = guarded(&place, &[]).await;
    let created = ["tokens", "create", "the wall", "--scope", "viewer", "--rate", "100/1m"];
    let token = place.printed(&created).await.trim().to_owned();
    let me = send(client().get(server.at("/api/me")).bearer_auth(&token)).await;
    assert_eq!(header(&me, "ratelimit-policy"), "\"token\";q=100;w=60");
    let expected = json!({ "role": "viewer", "name": "the wall", "scopes": ["viewer"] });
    assert_eq!(json_of(me).await, expected);
    let paused = client().post(server.at("/api/queues/mail/pause")).bearer_auth(ADMIN);
    assert_eq!(send(paused).await.status(), StatusCode::OK);
    let listed = place.printed(&["tokens"]).await;
    assert!(
        listed.contains("the wall") && listed.contains("100 in 60 s") && !listed.contains(&token),
        "{listed}"
    );
    let told = place.printed(&["audit"]).await;
    let rows: Vec<&str> = told.lines().skip(1).collect();
    assert!(
        rows[0].contains("the administrator's token")
            && rows[0].contains("queue.pause")
            && rows[0].contains(" mail"),
        "{told}"
    );
    assert!(rows[1].contains("(longhaul command)") && rows[1].contains("token.create"), "{told}");
    let id = listed.split_whitespace().find(|word| word.starts_with("tok_")).expect("an id").to_owned();
    let revoked = place.printed(&["tokens", "revoke", &id]).await;
    assert!(revoked.contains("is revoked"), "{revoked}");
    let refused = place.run(&["tokens", "create", "x", "--scope", "root"]).await;
    assert!(!refused.status.success() && stderr(&refused).contains("enqueue:KIND"), "{}", stderr(&refused));
    assert!(!server.log().contains(&token));
}

const BY_HEADER: [&str; 4] = ["--sso-user-header", "X-Forwarded-User", "--sso-roles", "ops=operator"];

#[tokio::test]
async fn whoever_a_trusted_proxy_has_signed_in_does_what_the_role_of_their_group_may() {
    let place = Place::new();
    let server = guarded(&place, &BY_HEADER).await;
    let as_ada = |request: RequestBuilder| {
        request.header("x-forwarded-user", "ada").header("x-forwarded-groups", "staff,ops")
    };
    let me = send(as_ada(client().get(server.at("/api/me")))).await;
    assert_eq!(json_of(me).await, json!({ "role": "operator", "name": "ada" }));
    let pause = || as_ada(client().post(server.at("/api/queues/mail/pause")));
    assert_eq!(send(pause().header("origin", "https://evil.example")).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(send(pause()).await.status(), StatusCode::OK);
    let patch = as_ada(client().patch(server.at("/api/queues/mail")).json(&json!({ "slots": 1 })));
    assert_eq!(json_of(send(patch).await).await["needs"], "admin");
    let eva = client().get(server.at("/api/me")).header("x-forwarded-user", "eva");
    assert_eq!(send(eva).await.status(), StatusCode::FORBIDDEN, "none of their groups has a role");
    let log = json_of(send(as_ada(client().get(server.at("/api/audit")))).await).await;
    assert_eq!((&log["entries"][0]["who"], &log["entries"][0]["role"]), (&json!("ada"), &json!("operator")));
    assert_eq!(send(client().get(server.at("/api/me"))).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_anybody_but_a_trusted_proxy_says_of_who_is_signed_in_is_not_believed() {
    let place = Place::new();
    let environment = [("LONGHAUL_ADMIN_TOKEN", ADMIN), ("TRUSTED_PROXIES", "10.0.0.1")];
    let server = place.serve_with(&BY_HEADER, &environment).await;
    let spoofed = client().get(server.at("/api/me")).header("x-forwarded-user", "ada");
    let spoofed = send(spoofed.header("x-forwarded-groups", "ops")).await;
    assert_eq!(spoofed.status(), StatusCode::FORBIDDEN);
    assert_eq!(json_of(spoofed).await["code"], "proxied");
    let open = place.run(&[&["serve"], &BY_HEADER[..]].concat()).await;
    assert!(!open.status.success() && stderr(&open).contains("TRUSTED_PROXIES"), "{}", stderr(&open));
    let nobody = place.run(&["serve", "--sso-user-header", "X-Forwarded-User"]).await;
    assert!(!nobody.status.success() && stderr(&nobody).contains("--sso-roles"), "{}", stderr(&nobody));
}
