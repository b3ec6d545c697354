//! Bearer tokens: what we did not sign is nobody's.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use longhaul::Clock;
use service_support::{Auth, AuthConfig};

const SECRET: &str = "a secret that no input of the fuzzer signs with";

fuzz_target!(|token: &str| {
    static AUTH: OnceLock<Auth> = OnceLock::new();
    let auth = AUTH.get_or_init(|| {
        let config = AuthConfig {
            secret: Some(SECRET.into()),
            secret_file: "/nonexistent".into(),
            jwks_url: None,
            audience: None,
        };
        Auth::open(&config, Clock::system()).expect("a secret is all it needs")
    });
    assert!(auth.verify(token).is_err());
});
