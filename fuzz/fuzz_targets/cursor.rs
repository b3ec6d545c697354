//! Cursors, which are ours and come back from anywhere.
#![no_main]

use axum::body::Body;
use axum::http::{Request, Uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|words: &str| {
    // Whatever a URL can hold, written as a browser would write it.
    let escaped: String = words.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let Ok(uri) = format!("/jobs?cursor={escaped}").parse::<Uri>() else { return };
    longhaul_fuzz::ask(Request::get(uri).body(Body::empty()).expect("a request"));
});
