use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longhaul::{Backoff, JobId, KeptChange, Result, Signals};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_postgres::AsyncMessage;

use crate::connection::Connection;
use crate::error::{SILENCE, fault, unavailable};
use crate::options::{PostgresOptions, Purpose};
use crate::state::{DriverState, Look, Throttle};
use crate::write_tx::Effects;

/// Notifies other processes of this one's changes, and receives theirs, on a connection of its own. A notification is
/// sent after the commit, so that no commit waits for it; a lost one costs latency, never a job.
#[derive(Clone)]
pub(crate) struct Notifier {
    options: Arc<PostgresOptions>,
    signals: Arc<Signals>,
    observers: Arc<longhaul::Changes>,
    state: Arc<DriverState>,
    /// Marks our own notifications, to ignore them.
    name: Arc<str>,
    pending: Arc<Pending>,
    /// Set where more has changed elsewhere than a notification can name.
    everything: Arc<Notify>,
}

/// Changes that are not sent yet.
#[derive(Default)]
struct Pending {
    changes: Mutex<Changes>,
    some: Notify,
}

#[derive(Default)]
struct Changes {
    jobs: BTreeSet<JobId>,
    queues: BTreeSet<String>,
    bytes: usize,
    /// More has changed than one notification can name.
    is_full: bool,
}

/// The names in a notification have at most so many bytes; the server's bound for all of it is 8,000.
const NAMES: usize = 7_500;
/// Notifications are no more frequent than this.
const EVERY: Duration = Duration::from_millis(5);
/// The shortest interval at which all who wait are woken, where it is not known which of them should look.
const ALL_EVERY: Duration = Duration::from_millis(50);
/// The interval at which a silent connection is tried, so that one that is dead without a word is noticed.
const PING_EVERY: Duration = Duration::from_secs(10);

impl Notifier {
    pub(crate) fn new(
        options: Arc<PostgresOptions>,
        signals: Arc<Signals>,
        observers: Arc<longhaul::Changes>,
        state: Arc<DriverState>,
    ) -> Self {
        let name = JobId::random().as_str().into();
        let (pending, everything) = (Arc::default(), Arc::default());
        Self { options, signals, observers, state, name, pending, everything }
    }

    /// Begins to listen, and goes on as long as the thread's runtime does.
    pub(crate) async fn start(&self) -> Result<()> {
        let first = self.listen().await?;
        tokio::spawn(self.clone().run(first));
        let notifier = self.clone();
        tokio::spawn(async move {
            let mut throttle = Throttle::new(ALL_EVERY);
            loop {
                notifier.everything.notified().await;
                throttle.wait().await;
                notifier.signals.send_all();
            }
        });
        Ok(())
    }

    /// Notes a transaction's changes, to be sent soon.
    pub(crate) fn tell(&self, effects: &Effects) {
        if effects.available.is_empty() && effects.changed.is_empty() {
            return;
        }
        let mut changes = self.pending.changes.lock();
        for queue in &effects.available {
            if changes.queues.insert(queue.clone()) {
                changes.bytes += queue.len() + 1;
            }
        }
        for id in &effects.changed {
            if changes.bytes > NAMES {
                changes.is_full = true;
                break;
            }
            if changes.jobs.insert(id.clone()) {
                changes.bytes += id.as_str().len() + 1;
            }
        }
        drop(changes);
        self.pending.some.notify_one();
    }

    fn on_message(&self, payload: &str) {
        let mut lines = payload.split('\n');
        if lines.next() == Some(&self.name) {
            return;
        }
        let mut words = lines.next().unwrap_or_default().split(' ');
        let flags = words.next().unwrap_or_default();
        if flags.contains('a') {
            let queues: BTreeSet<String> = words.map(str::to_owned).collect();
            // A process of the release before names none.
            let everywhere = queues.is_empty();
            self.state.look(Look { queues, everywhere, ..Look::default() });
        }
        if flags.contains('*') {
            self.everything.notify_one();
        } else {
            for id in lines {
                self.signals.send(id);
                let committed = self.state.uncommitted.take(id);
                self.observers.tell(committed.iter().map(KeptChange::change));
            }
        }
    }

    /// Opens a connection that listens; the receiver ends with it.
    async fn listen(&self) -> Result<(Connection, mpsc::Receiver<()>)> {
        let (alive, end) = mpsc::channel(1);
        let notifier = self.clone();
        let on_message = move |message| {
            // Dropped with this closure, when the connection ends.
            let _alive = &alive;
            if let AsyncMessage::Notification(notification) = message {
                notifier.on_message(notification.payload());
            }
        };
        let connection = Connection::open(&self.options, Purpose::Listen, on_message).await?;
        let listen = format!("LISTEN \"{}\"", self.options.channel());
        let listening =
            tokio::time::timeout(self.options.response_timeout, connection.client.batch_execute(&listen));
        listening.await.map_err(|_| unavailable(SILENCE))?.map_err(fault("listen"))?;
        self.state.is_listening.store(true, Ordering::SeqCst);
        Ok((connection, end))
    }

    async fn run(self, first: (Connection, mpsc::Receiver<()>)) {
        let backoff =
            Backoff { base: Duration::from_millis(100), max: Duration::from_secs(2), ..Backoff::default() };
        let mut open = Some(first);
        let mut failures = 0;
        loop {
            if let Some((connection, end)) = open.take() {
                let error = self.send_pending(&connection, end).await;
                self.state.is_listening.store(false, Ordering::SeqCst);
                tracing::warn!(
                    "lost the connection for notifications; claims look for jobs by themselves: {error}"
                );
            }
            failures += 1;
            tokio::time::sleep(backoff.delay(failures)).await;
            match self.listen().await {
                Ok(opened) => {
                    open = Some(opened);
                    failures = 0;
                    tracing::info!("notifications are received again");
                    // Nothing was received while there was no connection.
                    self.signals.send_all();
                    self.state.look(Look { everywhere: true, ..Look::default() });
                }
                Err(error) => tracing::debug!("failed to listen for changes: {error}"),
            }
        }
    }

    /// Sends notifications until the connection ends; answers why.
    async fn send_pending(&self, connection: &Connection, mut end: mpsc::Receiver<()>) -> longhaul::Error {
        let mut throttle = Throttle::new(EVERY);
        loop {
            tokio::select! {
                _ = end.recv() => return unavailable("the connection has ended"),
                () = self.pending.some.notified() => {}
                () = tokio::time::sleep(PING_EVERY) => {}
            }
            throttle.wait().await;
            let changes = std::mem::take(&mut *self.pending.changes.lock());
            let payload = payload(&self.name, &changes);
            let channel = self.options.channel();
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&channel, &payload];
            let told = connection.rows(NOTIFY, &values);
            match tokio::time::timeout(self.options.response_timeout, told).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return fault("notify")(error),
                Err(_) => return unavailable(SILENCE),
            }
        }
    }
}

/// Three parts: the sender; `a` with the queues that have available jobs (none: any), and `*` where more jobs have changed
/// than can be named; otherwise the changed jobs, a line each. The release before reads the flags alone.
fn payload(sender: &str, changes: &Changes) -> String {
    let mut payload = format!("{sender}\n");
    if !changes.queues.is_empty() {
        payload.push('a');
    }
    if changes.is_full {
        payload.push('*');
    }
    let names: usize = changes.queues.iter().map(|queue| queue.len() + 1).sum();
    if names <= NAMES {
        for queue in &changes.queues {
            payload.push(' ');
            payload.push_str(queue);
        }
    }
    if !changes.is_full {
        for id in &changes.jobs {
            payload.push('\n');
            payload.push_str(id.as_str());
        }
    }
    payload
}

/// The notification of jobs that an application's transaction has enqueued. The sender gets it too, and knows the
/// [mark](crate::uncommitted::Uncommitted) of its changes; for others the mark is the id of a job without readers.
/// Changed jobs are named as far as there is room: readers of the others look by themselves.
pub(crate) fn available(queues: BTreeSet<String>, mark: Option<JobId>, changed: Vec<JobId>) -> String {
    let mut bytes: usize = queues.iter().map(|queue| queue.len() + 1).sum();
    let fits = |id: &JobId| {
        bytes += id.as_str().len() + 1;
        bytes <= NAMES
    };
    let jobs = mark.into_iter().chain(changed.into_iter().take_while(fits)).collect();
    payload("-", &Changes { queues, jobs, ..Changes::default() })
}

/// Notifies all listeners.
/// in: channel, payload
pub(crate) const NOTIFY: &str = "SELECT pg_notify($1, $2)";

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(queues: &[&str], jobs: &[&str]) -> Changes {
        let queues = queues.iter().map(|queue| (*queue).to_owned()).collect();
        let jobs = jobs.iter().map(|id| JobId::from_store((*id).to_owned())).collect();
        Changes { queues, jobs, ..Changes::default() }
    }

    #[test]
    fn a_notification_names_queues_and_jobs() {
        assert_eq!(payload("p", &changes(&["images", "mail"], &["x", "y"])), "p\na images mail\nx\ny");
        assert_eq!(payload("p", &changes(&[], &["x"])), "p\n\nx");
        assert_eq!(payload("p", &Changes { is_full: true, ..changes(&["images"], &["x"]) }), "p\na* images");
        assert_eq!(available(["mail".to_owned()].into(), None, Vec::new()), "-\na mail");
        let changed: Vec<JobId> = (0..9_999).map(|n| JobId::from_store(format!("job-{n}"))).collect();
        let told = available(BTreeSet::new(), Some(JobId::from_store("mark".into())), changed);
        assert!(
            told.contains("\nmark") && told.contains("\njob-7\n") && told.len() < 8_000,
            "{}",
            told.len()
        );
    }

    #[test]
    fn more_queues_than_a_notification_can_name_mean_any() {
        let many: Vec<String> = (0..2_000).map(|n| format!("queue-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(payload("p", &changes(&many, &[])), "p\na");
    }
}
