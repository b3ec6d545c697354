use std::error::Error as StdError;
use std::sync::Once;

use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

/// Builds an HTTP client that trusts the machine's certificate authorities, or, where it has none, those of Mozilla that the binary
/// carries: a process on a bare machine must start, because most never call an address of `https`. `builder` is called again for
/// the second.
///
/// # Errors
/// Fails if the client cannot be built with either.
#[doc(hidden)]
pub fn https_client(builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Client> {
    static WARNING: Once = Once::new();
    // Only the first call in a process installs it; that another has done so is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder().build().or_else(|error| {
        let client = builder().tls_backend_preconfigured(carried()).build()?;
        // The client of traces is built before anybody listens to the log.
        if tracing::enabled!(tracing::Level::WARN) {
            WARNING.call_once(|| {
                let cause = innermost(&error);
                tracing::warn!("https trusts the certificate authorities of this binary: {cause}");
            });
        }
        Ok(client)
    })
}

fn carried() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
