//! Postgres servers, with options for stores on them.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::time::Duration;

use longhaul_postgres::PostgresOptions;
use longhaul_testservers::Postgres;

/// A running server. It is killed, as by a power cut, when this is dropped.
pub(crate) struct Server(Postgres);

impl Server {
    /// Starts a server.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self(Postgres::start(settings))
    }

    /// Options of a store with a schema of its own.
    pub(crate) fn options(&self) -> PostgresOptions {
        let options = PostgresOptions::new(&self.url_of_new_schema()).unwrap();
        PostgresOptions { connect_timeout: Duration::from_secs(30), ..options }
    }
}

impl Deref for Server {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Postgres {
        &mut self.0
    }
}

/// The server that most tests share. What it has is of no use to anybody afterwards.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&["fsync=off", "full_page_writes=off", "shared_buffers=32MB"]))
}
