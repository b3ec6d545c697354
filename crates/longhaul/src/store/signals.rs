use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Wakes tasks of this process that wait for a queue or a job.
///
/// A signal is a hint: losing one costs latency, never a job. To lose none, listen first, then look, then wait: a
/// [`Listener`] gets every signal from the moment of its creation.
#[derive(Debug, Default)]
pub struct Signals {
    /// Ordered, so that a simulation takes the same course each time.
    topics: Mutex<BTreeMap<String, Topic>>,
    /// The number of listeners, so that a hot path without any costs one load.
    listeners: AtomicUsize,
}

#[derive(Debug, Default)]
struct Topic {
    notify: Arc<Notify>,
    listeners: usize,
}

impl Signals {
    /// Starts to listen for `topic`: a queue's name or a job's id.
    pub fn listen(self: &Arc<Self>, topic: &str) -> Listener {
        let mut topics = self.topics.lock();
        let entry = topics.entry(topic.to_owned()).or_default();
        entry.listeners += 1;
        let mut notified = Box::pin(Arc::clone(&entry.notify).notified_owned());
        notified.as_mut().enable();
        self.listeners.fetch_add(1, Ordering::SeqCst);
        Listener { signals: Arc::clone(self), topic: topic.to_owned(), notified }
    }

    /// Wakes all listeners of `topic`.
    pub fn send(&self, topic: &str) {
        if self.listeners.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(entry) = self.topics.lock().get(topic) {
            entry.notify.notify_waiters();
        }
    }

    /// Wakes all listeners, for a change of unknown topic.
    pub fn send_all(&self) {
        if self.listeners.load(Ordering::SeqCst) == 0 {
            return;
        }
        for entry in self.topics.lock().values() {
            entry.notify.notify_waiters();
        }
    }

    /// True if there is no listener.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) == 0
    }
}

/// Gets the first signal of its topic that is sent after its creation.
#[derive(Debug)]
pub struct Listener {
    signals: Arc<Signals>,
    topic: String,
    notified: std::pin::Pin<Box<OwnedNotified>>,
}

impl Listener {
    /// Waits for the signal.
    pub async fn heard(&mut self) {
        self.notified.as_mut().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = self.signals.topics.lock();
        self.signals.listeners.fetch_sub(1, Ordering::SeqCst);
        if let Some(entry) = topics.get_mut(&self.topic) {
            entry.listeners -= 1;
            if entry.listeners == 0 {
                topics.remove(&self.topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_between_listening_and_waiting_is_received() {
        let signals = Arc::new(Signals::default());
        let mut listener = signals.listen("emails");
        signals.send("other");
        signals.send("emails");
        listener.heard().await;
        drop(listener);
        assert!(signals.is_idle());
        assert!(signals.topics.lock().is_empty());
    }
}
