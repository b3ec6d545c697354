//! Connections over TLS.

use std::path::Path;
use std::process::Command;

use longhaul::Store;
use longhaul_conformance::jobs::named;
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::server::Server;

/// An authority, and a certificate that it has signed for 127.0.0.1; the server wants its key to be its own.
const CERTIFICATES: &str = r#"
    set -e; cd "$1"
    new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    openssl req -x509 $new -days 30 -subj "/CN=our authority" -keyout ca.key -out ca.pem
    openssl req $new -subj "/CN=ours" -keyout server.key -out server.csr
    echo "subjectAltName=IP:127.0.0.1" > names
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem
    chmod 600 server.key; chmod 755 .
    if [ "$(id -u)" = 0 ]; then chown nobody server.key; fi
"#;

fn tls_server(folder: &Path) -> Server {
    let output = Command::new("sh").args(["-c", CERTIFICATES, "sh"]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = |setting: &str, name: &str| format!("{setting}={}", folder.join(name).display());
    let (certificate, key) = (file("ssl_cert_file", "server.pem"), file("ssl_key_file", "server.key"));
    Server::start(&["fsync=off", "ssl=on", &certificate, &key])
}

#[tokio::test]
async fn a_server_is_reached_over_tls_where_its_authority_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let server = tls_server(folder.path());
    let authority = folder.path().join("ca.pem").display().to_string();
    let url = format!("{}?sslmode=verify-full&sslrootcert={authority}&schema=secret", server.url());
    let store = PostgresStore::connect(&url).await.unwrap();
    store.enqueue(vec![named("a")]).await.unwrap();
    let client = store.pool().get().await.unwrap();
    let sql = "SELECT bool_and(ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE application_name = 'longhaul'";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert!(row.get::<_, bool>(0), "every connection is over TLS");
    assert!(row.get::<_, i64>(1) >= 3, "those that write, listen and read");
}

#[tokio::test]
async fn a_server_that_an_unknown_authority_vouches_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = tls_server(folder.path());
    let refused = PostgresStore::connect(&format!("{}?sslmode=require", server.url())).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("invalid peer certificate"), "{refused}");

    // Another name than the certificate's.
    let authority = Some(folder.path().join("ca.pem"));
    let elsewhere = server.url().replace("127.0.0.1", "localhost") + "?sslmode=verify-full";
    let options = PostgresOptions { ca_file: authority, ..PostgresOptions::new(&elsewhere).unwrap() };
    let refused = PostgresStore::open(options).await.unwrap_err().to_string();
    assert!(refused.contains("invalid peer certificate"), "{refused}");

    let options = PostgresOptions::new(&format!("{}?sslmode=require&sslrootcert=/none.pem", server.url()));
    let refused = PostgresStore::open(options.unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("/none.pem"), "{refused}");
}
