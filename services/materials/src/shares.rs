use std::time::Duration;

use longhaul::{JobError, KeyFilter, process_id};
use tokio::sync::watch;

use crate::app::App;
use crate::jobs::QUEUE;

/// The documents that this process reads now. Users take turns, for the queue is fair; and while documents of others wait, one
/// user's take at most half of its slots, rounded up: hard ones keep a slot for minutes, and a turn comes when a slot is free.
///
/// A share is looked after by the runs themselves. One that is beyond its user's share looks, now and then, for others that
/// wait, and gives its slot back when there are any: its user's jobs are put off for a moment, in their order, at no cost
/// of an attempt, and the pages that it has read stay.
#[derive(Debug)]
pub(crate) struct Shares {
    /// In the order in which they began.
    running: watch::Sender<Vec<Turn>>,
}

#[derive(Clone, Debug)]
struct Turn {
    number: u64,
    user: String,
}

/// A run's place among those of its user. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    shares: &'a Shares,
    number: u64,
}

/// The time between two looks for others that wait.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// The time for which the jobs of a user are put off who holds more than a share.
pub(crate) const PUT_OFF: Duration = Duration::from_secs(5);
/// The beginning of the limit keys of users.
pub(crate) const USERS: &str = "user:";
/// Waiting users that are looked at.
const LOOKED_AT: usize = 100;

impl Default for Shares {
    fn default() -> Self {
        Self { running: watch::Sender::new(Vec::new()) }
    }
}

impl Shares {
    /// Takes a place for a run of a user's.
    pub(crate) fn enter(&self, user: String) -> Place<'_> {
        let mut number = 0;
        self.running.send_modify(|running| {
            number = running.last().map_or(0, |turn| turn.number + 1);
            running.push(Turn { number, user });
        });
        Place { shares: self, number }
    }
}

impl Place<'_> {
    /// The number of runs of the same user that began before this one and go on.
    fn earlier(&self) -> usize {
        let running = self.shares.running.borrow();
        let Some(own) = running.iter().find(|turn| turn.number == self.number) else { return 0 };
        running.iter().filter(|turn| turn.number < self.number && turn.user == own.user).count()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shares.running.send_modify(|running| running.retain(|turn| turn.number != self.number));
    }
}

impl App {
    /// Ends when a run is to give its slot back, and not before.
    pub(crate) async fn give_way(&self, place: &Place<'_>, key: &str) -> JobError {
        let mut changes = place.shares.running.subscribe();
        loop {
            if place.earlier() == 0 {
                // The first run of a user is within every share; it may become a later one's predecessor, never its own.
                std::future::pending::<()>().await;
            }
            match self.is_beyond_its_share(place, key).await {
                Ok(false) => {}
                Ok(true) => {
                    return JobError::rate_limited(
                        PUT_OFF,
                        "the documents of other users go first for a moment",
                    );
                }
                Err(error) => tracing::warn!("failed to look for documents of others that wait: {error}"),
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = self.clock.sleep(LOOK) => {}
            }
        }
    }

    async fn is_beyond_its_share(&self, place: &Place<'_>, key: &str) -> longhaul::Result<bool> {
        let workers = self.longhaul.store().workers().await?;
        let own = workers.iter().filter(|worker| worker.process == process_id());
        let queues = own.flat_map(|worker| &worker.queues).filter(|queue| queue.queue == QUEUE);
        let slots: usize = queues.map(|queue| queue.slots).sum();
        // A worker that its store does not know yet has as many as it likes.
        if slots == 0 || place.earlier() < slots.div_ceil(2) {
            return Ok(false);
        }
        self.others_wait(key).await
    }

    /// True where a document of another user could be read now if there were a slot.
    async fn others_wait(&self, key: &str) -> longhaul::Result<bool> {
        let waiting = KeyFilter {
            prefix: USERS.to_owned(),
            queue: Some(QUEUE.to_owned()),
            limit: LOOKED_AT,
            ..KeyFilter::default()
        };
        let users = self.longhaul.store().keys(&waiting).await?;
        // A user whose own runs gave way just now waits for that, and not for a slot.
        Ok(users.iter().any(|user| user.key != key && user.closed_until.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_runs_of_a_user_know_how_many_are_ahead() {
        let shares = Shares::default();
        let first = shares.enter("eve".into());
        let other = shares.enter("alice".into());
        let second = shares.enter("eve".into());
        assert_eq!([&first, &other, &second].map(Place::earlier), [0, 0, 1]);
        drop(first);
        assert_eq!([&other, &second].map(Place::earlier), [0, 0]);
        let third = shares.enter("eve".into());
        assert_eq!(third.earlier(), 1);
    }
}
