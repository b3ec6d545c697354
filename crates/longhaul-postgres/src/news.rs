use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longhaul::{Backoff, JobId, Result, Signals};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_postgres::AsyncMessage;

use crate::batch::Effects;
use crate::connection::Connection;
use crate::driver::{Pace, Wake};
use crate::error::{fault, unavailable};
use crate::options::{PostgresOptions, Purpose};

/// Tells other processes, on a connection of its own, what this one has changed, and hears what they have. It is told
/// after the commit, so no commit waits for it; a notification that is lost costs latency, never a job.
#[derive(Clone)]
pub(crate) struct News {
    options: Arc<PostgresOptions>,
    signals: Arc<Signals>,
    wake: Arc<Wake>,
    /// Tells our own notifications from others'.
    name: Arc<str>,
    untold: Arc<Untold>,
    /// Set where more has changed elsewhere than a notification can name.
    everything: Arc<Notify>,
}

#[derive(Default)]
struct Untold {
    words: Mutex<Words>,
    some: Notify,
}

#[derive(Default)]
struct Words {
    changed: String,
    made_available: bool,
    /// More has changed than can be named.
    is_full: bool,
}

/// What a notification may hold, less our own words; the server's bound is 8,000 bytes.
const NAMES: usize = 7_500;
/// Notifications are no more frequent than this.
const EVERY: Duration = Duration::from_millis(5);
/// Those who wait look no more often than this, where it is not known which of them should.
const ALL_EVERY: Duration = Duration::from_millis(50);
/// How often a silent connection is tried, so that one that is dead without a word is noticed.
const PING_EVERY: Duration = Duration::from_secs(10);
/// What is told to everybody, the sender too: a job may be there to be claimed.
pub(crate) const AVAILABLE: &str = "-\na";

impl News {
    pub(crate) fn new(options: Arc<PostgresOptions>, signals: Arc<Signals>, wake: Arc<Wake>) -> Self {
        let name = JobId::random().as_str().into();
        let (untold, everything) = (Arc::default(), Arc::default());
        Self { options, signals, wake, name, untold, everything }
    }

    /// Begins to listen, and goes on as long as the thread's runtime does.
    pub(crate) async fn start(&self) -> Result<()> {
        let first = self.listen().await?;
        tokio::spawn(self.clone().stay(first));
        let news = self.clone();
        tokio::spawn(async move {
            let mut pace = Pace::new(ALL_EVERY);
            loop {
                news.everything.notified().await;
                pace.keep().await;
                news.signals.send_all();
            }
        });
        Ok(())
    }

    /// Notes what a transaction has changed, to be told soon.
    pub(crate) fn tell(&self, effects: &Effects) {
        if !effects.made_available && effects.changed.is_empty() {
            return;
        }
        let mut words = self.untold.words.lock();
        words.made_available |= effects.made_available;
        for id in &effects.changed {
            if words.changed.len() + id.as_str().len() >= NAMES {
                words.is_full = true;
                break;
            }
            words.changed.push('\n');
            words.changed.push_str(id.as_str());
        }
        drop(words);
        self.untold.some.notify_one();
    }

    fn hear(&self, payload: &str) {
        let mut lines = payload.split('\n');
        if lines.next() == Some(&self.name) {
            return;
        }
        let flags = lines.next().unwrap_or_default();
        if flags.contains('a') {
            self.wake.look_again();
        }
        if flags.contains('*') {
            self.everything.notify_one();
        } else {
            lines.for_each(|id| self.signals.send(id));
        }
    }

    /// A connection that listens, and what ends when it does.
    async fn listen(&self) -> Result<(Connection, mpsc::Receiver<()>)> {
        let (alive, end) = mpsc::channel(1);
        let news = self.clone();
        let hear = move |message| {
            // Dropped with this closure, when the connection ends.
            let _alive = &alive;
            if let AsyncMessage::Notification(notification) = message {
                news.hear(notification.payload());
            }
        };
        let connection = Connection::open(&self.options, Purpose::Listen, hear).await?;
        let listen = format!("LISTEN \"{}\"", self.options.channel());
        let listening =
            tokio::time::timeout(self.options.response_timeout, connection.client.batch_execute(&listen));
        listening.await.map_err(|_| unavailable("no answer in time"))?.map_err(fault("listen"))?;
        self.wake.hears_news.store(true, Ordering::SeqCst);
        Ok((connection, end))
    }

    async fn stay(self, first: (Connection, mpsc::Receiver<()>)) {
        let backoff =
            Backoff { base: Duration::from_millis(100), max: Duration::from_secs(2), ..Backoff::default() };
        let mut open = Some(first);
        let mut failures = 0;
        loop {
            if let Some((connection, end)) = open.take() {
                let error = self.talk(&connection, end).await;
                self.wake.hears_news.store(false, Ordering::SeqCst);
                tracing::debug!("lost the connection that tells of changes: {error}");
            }
            failures += 1;
            tokio::time::sleep(backoff.delay(failures)).await;
            match self.listen().await {
                Ok(opened) => {
                    open = Some(opened);
                    failures = 0;
                    // Nothing was heard while there was no connection.
                    self.signals.send_all();
                    self.wake.look_again();
                }
                Err(error) => tracing::debug!("failed to listen for changes: {error}"),
            }
        }
    }

    /// Tells what there is to tell until the connection ends; answers why.
    async fn talk(&self, connection: &Connection, mut end: mpsc::Receiver<()>) -> longhaul::Error {
        let mut pace = Pace::new(EVERY);
        loop {
            tokio::select! {
                _ = end.recv() => return unavailable("the connection has ended"),
                () = self.untold.some.notified() => {}
                () = tokio::time::sleep(PING_EVERY) => {}
            }
            pace.keep().await;
            let Words { changed, made_available, is_full } = std::mem::take(&mut *self.untold.words.lock());
            let flags = match (made_available, is_full) {
                (true, true) => "a*",
                (true, false) => "a",
                (false, true) => "*",
                (false, false) => "",
            };
            let payload = format!("{}\n{flags}{changed}", self.name);
            let channel = self.options.channel();
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&channel, &payload];
            let told = connection.rows(NOTIFY, &values);
            match tokio::time::timeout(self.options.response_timeout, told).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return fault("notify")(error),
                Err(_) => return unavailable("no answer in time"),
            }
        }
    }
}

/// Tells everybody who listens.
/// in: channel, payload
pub(crate) const NOTIFY: &str = "SELECT pg_notify($1, $2)";
