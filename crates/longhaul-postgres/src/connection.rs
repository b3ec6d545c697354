use std::collections::HashMap;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use longhaul::{Error, Result};
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row, Statement, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{failed, fault, unavailable};
use crate::options::{PostgresOptions, Purpose};

/// A connection with the statements that it has prepared.
pub(crate) struct Connection {
    pub(crate) client: Client,
    prepared: Mutex<HashMap<&'static str, Statement>>,
    tls: MakeRustlsConnect,
}

impl Connection {
    /// Connects. Notifications and notices go to `on_message`; the task that reads ends with the connection.
    pub(crate) async fn open(
        options: &PostgresOptions,
        purpose: Purpose,
        on_message: impl Fn(AsyncMessage) + Send + 'static,
    ) -> Result<Self> {
        let config = options.connecting(purpose);
        let tls = tls(options)?;
        let connecting = tokio::time::timeout(options.connect_timeout, config.connect(tls.clone()));
        let connected = connecting.await.map_err(|_| unavailable("no connection in time"))?;
        let (client, mut connection) = connected.map_err(refused)?;
        tokio::spawn(async move {
            // An error here also fails the calls that wait for this connection.
            while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                on_message(message);
            }
        });
        Ok(Self { client, prepared: Mutex::default(), tls })
    }

    /// Cancels the statement that the server is executing, because no call waits for its answer any more.
    pub(crate) fn cancel(&self) {
        cancel(&self.client, self.tls.clone());
    }

    /// Prepares statements that are to be sent together with others: one that is not prepared would come after them.
    pub(crate) async fn prepare(&self, statements: &[&'static str]) -> Result<()> {
        for sql in statements {
            self.prepared(sql).await.map_err(fault("prepare"))?;
        }
        Ok(())
    }

    async fn prepared(&self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.prepared.lock().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.lock().insert(sql, statement.clone());
        Ok(statement)
    }

    pub(crate) async fn rows(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepared(sql).await?;
        self.client.query(&statement, values).await
    }
}

/// Cancels a connection's statement, on another connection and in a task of its own.
pub(crate) fn cancel(client: &Client, tls: MakeRustlsConnect) {
    let token = client.cancel_token();
    tokio::spawn(async move {
        match tokio::time::timeout(CANCEL_WITHIN, token.cancel_query(tls)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("failed to cancel a statement: {error}"),
            Err(_) => tracing::debug!("failed to cancel a statement: no connection in time"),
        }
    });
}

/// The longest that the connection which cancels a statement may take.
const CANCEL_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// A server that cannot be reached may be there in a while; one that refuses the login will not change its mind.
fn refused(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(_) => fault("connect")(error),
        None => {
            let source = StdError::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
            unavailable(format!("{error}{source}"))
        }
    }
}

/// Used only where the options ask for it.
pub(crate) fn tls(options: &PostgresOptions) -> Result<MakeRustlsConnect> {
    let roots = match &options.ca_file {
        Some(file) => authorities(file).map_err(|error| {
            failed("connect", format!("no authorities could be read from {}: {error}", file.display()))
        })?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("connect", error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(file: &Path) -> Result<RootCertStore, Box<dyn StdError>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("it has no certificate".into());
    }
    Ok(roots)
}

/// Runs a transaction's statements: on the store's own connection, or within a caller's transaction.
#[derive(Clone, Copy)]
pub(crate) enum Link<'a> {
    Own(&'a Connection),
    Theirs(&'a Transaction<'a>),
}

impl Link<'_> {
    pub(crate) async fn rows(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self {
            Link::Own(connection) => connection.rows(sql, values).await,
            Link::Theirs(transaction) => transaction.query(sql, values).await,
        }
    }

    pub(crate) async fn rows_unprepared(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self {
            Link::Own(connection) => connection.client.query(sql, values).await,
            Link::Theirs(transaction) => transaction.query(sql, values).await,
        }
    }
}
