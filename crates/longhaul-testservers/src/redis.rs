use std::path::Path;

use crate::guarded::{Guarded, Program, free_port, owned};

/// A running Redis. It is killed, as by a power cut, when this is dropped.
#[derive(Debug)]
pub struct Redis {
    server: Guarded,
}

const REDIS: Program = Program { crash: "KILL", command };

impl Redis {
    /// Starts a server with these settings, as its command line has them. Without any it keeps nothing on disk.
    ///
    /// # Panics
    /// If Redis is not installed or does not start.
    #[must_use]
    pub fn start(settings: &[&str]) -> Self {
        Self { server: Guarded::start("redis", REDIS, || owned(settings), |_| {}) }
    }

    /// Starts a server with a second port, for TLS or a cluster's bus, which `settings` are given. Answers that port, too.
    ///
    /// # Panics
    /// As for [`start`](Self::start).
    #[must_use]
    pub fn start_with_port(settings: impl Fn(u16) -> Vec<String>) -> (Self, u16) {
        let mut second = 0;
        // Another process may take this port, too, before the server does: then another one is drawn.
        let settings = || {
            second = free_port();
            settings(second)
        };
        let server = Guarded::start("redis", REDIS, settings, |_| {});
        (Self { server }, second)
    }

    /// Kills the server, as a power cut would, and keeps its folder.
    ///
    /// # Panics
    /// If it was killed already.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts another server in the folder and on the port of one that was killed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self, settings: &[&str]) {
        self.server.restart(settings);
    }

    /// Sends the server a signal: after `STOP` it says nothing until `CONT`.
    ///
    /// # Panics
    /// If nothing can be sent.
    pub fn signal(&self, name: &str) {
        self.server.signal(name);
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Seconds of CPU time that the server and its processes have used.
    #[must_use]
    pub fn cpu_seconds(&self) -> Option<f64> {
        self.server.cpu_seconds()
    }

    /// Bytes of memory that the server and its processes have.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        self.server.memory_bytes()
    }

    /// Bytes of its files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.server.disk_bytes()
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }
}

fn command(folder: &Path, port: u16, settings: &[String]) -> Vec<String> {
    let (folder, port) = (folder.display().to_string(), port.to_string());
    let usual = ["redis-server", "--dir", &folder, "--port", &port, "--bind", "127.0.0.1", "--save", ""];
    usual.map(String::from).into_iter().chain(settings.iter().cloned()).collect()
}
