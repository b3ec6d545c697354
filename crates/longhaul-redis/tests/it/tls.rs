//! A server that is spoken to over TLS, with a certificate that only the test knows.

use std::path::Path;
use std::process::Command;

use longhaul::{Error, Store};
use longhaul_conformance::jobs::{claim, named};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::server::Server;

/// Makes an authority (`ca.pem`) and a certificate of its for localhost (`server.pem`), with their keys.
fn certify(folder: &Path) {
    let make = |name: &str, more: &[&str]| {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(more)
            .current_dir(folder)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    make("ca", &["-subj", "/CN=ca"]);
    let name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    let signed = ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key"];
    make("server", &[&name[..], &signed].concat());
}

#[tokio::test]
async fn a_server_is_spoken_to_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let [ca, certificate, key] =
        ["ca.pem", "server.pem", "server.key"].map(|name| folder.path().join(name).display().to_string());
    let (_server, port) = Server::start_with_port(|port| {
        let port = port.to_string();
        let settings = [
            ["--tls-port", &port],
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &ca],
            ["--tls-auth-clients", "no"],
        ];
        settings.concat().into_iter().map(String::from).collect()
    });
    let url = format!("rediss://localhost:{port}");
    let stranger = RedisStore::open(RedisOptions::new(&url).unwrap()).await;
    assert!(matches!(stranger, Err(Error::Unavailable { .. })), "{stranger:?}");

    let store = RedisStore::connect(&format!("{url}?ssl_ca_certs={ca}")).await.unwrap();
    let other = store.clone();
    let waiting = tokio::spawn(async move {
        other.claim(longhaul::Claim { wait: std::time::Duration::from_secs(30), ..claim() }).await
    });
    store.enqueue(vec![named("a")]).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}

#[test]
fn certificates_that_cannot_be_read_are_an_error() {
    let error = RedisOptions::new("rediss://localhost?ssl_ca_certs=/no/such/file").unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}
