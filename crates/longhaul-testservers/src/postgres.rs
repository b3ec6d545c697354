use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::guarded::{Guarded, Program, owned};

/// A running Postgres. It is killed, as by a power cut, when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Guarded,
}

/// All its processes end at once and write nothing more.
const POSTGRES: Program = Program { crash: "QUIT", command };

impl Postgres {
    /// Starts a server with these settings, each as `name=value`.
    ///
    /// # Panics
    /// If Postgres is not installed or does not start.
    #[must_use]
    pub fn start(settings: &[&str]) -> Self {
        Self { server: Guarded::start("postgres", POSTGRES, || owned(settings), init) }
    }

    /// Ends the server as a crash would, and keeps its folder.
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

    /// Sends a signal to the server and all its connections: after `STOP` it says nothing until `CONT`.
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

    /// Its address, with the user who owns everything.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://longhaul@127.0.0.1:{}/postgres", self.port())
    }

    /// The same, with a schema that is unique in this process.
    #[must_use]
    pub fn url_of_new_schema(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        format!("{}?schema=test_{}", self.url(), NEXT.fetch_add(1, Ordering::SeqCst))
    }
}

/// The server that most tests of a process share. It syncs nothing: what it has is of no use to anybody afterwards.
///
/// # Panics
/// As for [`Postgres::start`].
#[must_use]
pub fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&["fsync=off", "full_page_writes=off", "shared_buffers=32MB"]))
}

/// Makes a cluster in a folder.
fn init(folder: &Path) {
    if is_root() {
        std::os::unix::fs::chown(folder, Some(NOBODY), None).expect("root may");
    }
    let mut words = as_nobody();
    words.extend([program("initdb"), "-D".into(), data(folder), "-U".into(), "longhaul".into()]);
    words.extend(["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"].map(String::from));
    let made = Command::new(&words[0]).args(&words[1..]).current_dir(folder).output().expect("initdb runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn command(folder: &Path, port: u16, settings: &[String]) -> Vec<String> {
    let mut words = as_nobody();
    words.extend([program("postgres"), "-D".into(), data(folder), "-k".into(), folder.display().to_string()]);
    words.extend(["-p".into(), port.to_string()]);
    let usual = ["listen_addresses=127.0.0.1", "max_connections=500"].map(String::from);
    for setting in usual.iter().chain(settings) {
        words.extend(["-c".into(), setting.clone()]);
    }
    words
}

fn data(folder: &Path) -> String {
    folder.join("data").display().to_string()
}

/// The user `nobody` of Debian.
const NOBODY: u32 = 65_534;

/// The prefix of a command that refuses to run as root: it becomes a user without rights.
fn as_nobody() -> Vec<String> {
    let words: &[&str] = match is_root() {
        true => &["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"],
        false => &[],
    };
    words.iter().copied().map(String::from).collect()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|ours| ours.uid() == 0)
}

/// A program of the newest version.
fn program(name: &str) -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    let newest: PathBuf =
        folders.max().expect("no Postgres under /usr/lib/postgresql: run scripts/install-tools");
    newest.join(name).display().to_string()
}
