//! `Link` headers: what they name is a part of them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    if let Some(next) = github::fuzzing::next_link(header) {
        assert!(header.contains(next));
    }
});
