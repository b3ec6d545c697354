//! The waits that providers ask for: in `Retry-After`, in other headers, in words.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    service_support::fuzzing::retry_after(text);
});
