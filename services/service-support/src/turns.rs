//! Turns that users take: each job carries the limit key of its user, and its queue is fair, so that nobody's thousands of jobs go
//! before another's one.

use std::time::Duration;

use longhaul::{Clock, Longhaul, NewJob, QueueConfig};
use sha2::{Digest, Sha256};

use crate::db::{Db, DbError};
use crate::service::Deps;

/// The queues of a service in which users take turns. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Turns {
    keys: &'static str,
    queues: &'static [&'static str],
    db: Db,
    longhaul: Longhaul,
    clock: Clock,
}

/// The longest id that a key holds as it is.
const MAX_ID_BYTES: usize = 100;
/// The pause between two tries to reach the jobs' store.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The job in the turns of this key. It comes behind the key of the outside system that the job asks, because a run that meets a rate
/// limit pauses its first key; so users weigh the same in these turns.
#[must_use]
pub fn in_turn(mut job: NewJob, key: String) -> NewJob {
    job.limit_keys.push(key);
    job
}

impl Turns {
    /// Turns in these queues. `keys` is what the limit keys of their users begin with: each service has keys of its own, so that what
    /// is set for a user, or closed for a moment, concerns that service alone.
    #[must_use]
    pub fn new(deps: &Deps, keys: &'static str, queues: &'static [&'static str]) -> Self {
        let Deps { db, longhaul, clock, .. } = deps.clone();
        Self { keys, queues, db, longhaul, clock }
    }

    /// The limit key of a user's jobs.
    #[must_use]
    pub fn key(&self, user: &str) -> String {
        key_of(self.keys, user)
    }

    /// Lets users take turns, when a service is opened. A store that is away is asked again by [`start`](Self::start).
    ///
    /// # Errors
    /// A fault of the database or of the jobs' store.
    pub async fn open(&self) -> Result<(), DbError> {
        match self.take().await {
            Err(DbError::Store(error)) if error.is_outage() => {
                tracing::warn!("failed to let users take turns: {error}");
                Ok(())
            }
            done => done,
        }
    }

    /// The same in the background after a start, however long the store is away.
    ///
    /// # Errors
    /// A fault that is no outage.
    pub async fn start(&self) -> Result<(), DbError> {
        while let Err(error) = self.take().await {
            match error {
                DbError::Store(error) if error.is_outage() => self.clock.sleep(RETRY_PAUSE).await,
                error => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the queues fair, once: an operator who takes that back is not overruled by the next start.
    async fn take(&self) -> Result<(), DbError> {
        // The table of stamps is there once the id was asked for.
        self.db.id().await?;
        for queue in self.queues {
            if self.db.stamped(&note(queue)).await?.is_none() {
                self.set(queue, Fair::Yes).await?;
                self.db.stamp(&note(queue), NOTED).await?;
            }
        }
        Ok(())
    }

    /// Notes that the queues were made fair before, by a release that noted it elsewhere.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn note(&self) -> Result<(), DbError> {
        for queue in self.queues {
            self.db.stamp(&note(queue), NOTED).await?;
        }
        Ok(())
    }

    /// Lets all turns begin anew in the queues that are fair, because a queue remembers whose turn comes when, by name. Should this
    /// be cut off, the next start makes them fair again.
    pub(crate) async fn begin_anew(&self) -> Result<(), DbError> {
        self.db.id().await?;
        let queues = self.longhaul.store().queues().await?;
        for queue in self.queues {
            if queues.iter().any(|found| found.name == **queue && found.config.fair) {
                self.db.unstamp(&note(queue)).await?;
                self.set(queue, Fair::No).await?;
            }
        }
        self.take().await
    }

    async fn set(&self, queue: &str, fair: Fair) -> Result<(), DbError> {
        let change = |config: &mut QueueConfig| {
            config.fair = fair == Fair::Yes;
            Ok(())
        };
        self.longhaul.change_queue(queue, change).await
    }
}

/// An id may be any text, and a key may not: of one that does not fit it holds a digest.
fn key_of(keys: &str, user: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    if !user.is_empty() && user.len() <= MAX_ID_BYTES && user.bytes().all(is_plain) {
        return format!("{keys}{user}");
    }
    let digest = Sha256::digest(user.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{keys}sha256-{hex}")
}

/// Tells whether a queue takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fair {
    Yes,
    No,
}

/// The value of a note: that it is there says all.
const NOTED: &str = "set";

/// The name of the stamp that notes that a queue was made fair.
fn note(queue: &str) -> String {
    format!("fair:{queue}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_users_id_makes_a_key() {
        let user_key = |user| key_of("user:", user);
        let key = user_key("auth0|ada lovelace ü\0");
        assert!(
            key.len() <= 128 && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-')),
            "{key}"
        );
        assert_ne!(key, user_key("auth0|ada"));
        assert_eq!(user_key("6650f1c2-ada"), "user:6650f1c2-ada");
        assert_ne!(user_key(""), "user:");
    }
}
