use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use longhaul::{Backoff, Signals};
use redis::aio::PubSub;
use redis::{Client, RedisError};

use crate::looks::Looks;
use crate::options::RedisOptions;

/// Subscribes, on a connection of its own, to the changes that all processes publish, and wakes those who wait for them here.
pub(crate) struct Notifier {
    clients: Vec<Client>,
    channel: String,
    connect_timeout: Duration,
    signals: Arc<Signals>,
    looks: Arc<Looks>,
}

/// The interval between trials of a silent connection, so that one that is dead without a word is noticed within seconds.
const PING_EVERY: Duration = Duration::from_secs(3);
/// The longest wait for the answer to such a trial.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

impl Notifier {
    pub(crate) fn new(
        options: &RedisOptions,
        signals: Arc<Signals>,
        looks: Arc<Looks>,
    ) -> Result<Self, RedisError> {
        Ok(Self {
            clients: options.clients()?,
            channel: format!("{}news", options.root()),
            connect_timeout: options.connect_timeout,
            signals,
            looks,
        })
    }

    /// Listens for ever, to the first node that can be reached: in a cluster each receives the messages published on any.
    pub(crate) async fn run(self, mut first: Option<PubSub>) {
        let backoff =
            Backoff { base: Duration::from_millis(100), max: Duration::from_secs(2), ..Backoff::default() };
        let mut failures = 0;
        loop {
            let connection = match first.take() {
                Some(connection) => Ok(connection),
                None => self.subscribe().await,
            };
            match connection {
                Ok(connection) => {
                    if failures > 0 {
                        tracing::info!("notifications are back");
                    }
                    failures = 0;
                    self.looks.live();
                    // Nothing was received while there was no connection.
                    self.signals.send_all();
                    self.wake_waiters(connection).await;
                    self.looks.invalidate();
                    tracing::warn!("lost the connection for notifications: claims poll until it is back");
                }
                Err(error) => tracing::debug!("failed to subscribe to notifications: {error}"),
            }
            failures += 1;
            tokio::time::sleep(backoff.delay(failures)).await;
        }
    }

    pub(crate) async fn subscribe(&self) -> Result<PubSub, RedisError> {
        let mut last = RedisError::from((redis::ErrorKind::Io, "no node could be reached"));
        for client in &self.clients {
            let subscribe = async {
                let mut connection = client.get_async_pubsub().await?;
                connection.subscribe(&self.channel).await?;
                Ok(connection)
            };
            match tokio::time::timeout(self.connect_timeout, subscribe).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error,
                Err(_) => last = RedisError::from((redis::ErrorKind::Io, "no answer in time")),
            }
        }
        Err(last)
    }

    /// Passes topics on until the connection breaks.
    async fn wake_waiters(&self, connection: PubSub) {
        let (mut sink, mut stream) = connection.split();
        let timeout = self.connect_timeout.min(PING_TIMEOUT);
        loop {
            tokio::select! {
                message = stream.next() => {
                    let Some(message) = message else { return };
                    let text = String::from_utf8_lossy(message.get_payload_bytes());
                    for topic in text.split('\n') {
                        if topic.starts_with('q') {
                            self.looks.announced();
                        }
                        self.signals.send(topic);
                    }
                }
                () = tokio::time::sleep(PING_EVERY) => {
                    let ping = tokio::time::timeout(timeout, sink.ping::<redis::Value>());
                    if !matches!(ping.await, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }
}
