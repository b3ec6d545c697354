//! The bodies of requests: the first byte chooses the route.
#![no_main]

use axum::body::Body;
use axum::http::Request;
use libfuzzer_sys::fuzz_target;

const ROUTES: [(&str, &str); 12] = [
    ("POST", "/jobs"),
    ("POST", "/jobs/batch"),
    ("POST", "/jobs/actions"),
    ("PATCH", "/queues/mail"),
    ("PUT", "/schedules/nightly"),
    ("PATCH", "/keys/tenant"),
    ("POST", "/jobs/a/signals/go"),
    ("POST", "/worker/enqueue"),
    ("POST", "/worker/claim"),
    ("POST", "/worker/finish"),
    ("POST", "/worker/record"),
    ("POST", "/worker/heartbeat"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&route, body)) = bytes.split_first() else { return };
    let (method, path) = ROUTES[usize::from(route) % ROUTES.len()];
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    longhaul_fuzz::ask(request.body(Body::from(body.to_vec())).expect("a request"));
});
