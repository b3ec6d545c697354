//! The words that people search jobs with.
#![no_main]

use axum::body::Body;
use axum::http::{Request, Uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|words: &str| {
    // Whatever a URL can hold, written as a browser would write it.
    let escaped: String = words.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let Ok(uri) = format!("/jobs?q={escaped}").parse::<Uri>() else { return };
    longhaul_fuzz::ask(Request::get(uri).body(Body::empty()).expect("a request"));
});
