use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use super::row::Row;
use crate::clock::Timestamp;
use crate::model::{Idempotency, JobId};
use crate::store::GONE_FOR;

/// Memories that outlive jobs. An expired one counts as forgotten; the sweep throws it away.
#[derive(Debug, Default)]
pub(super) struct Keys {
    unique: HashMap<String, Hold>,
    idempotency: HashMap<String, Promise>,
    /// Until when a removed job is remembered.
    gone: HashMap<JobId, Timestamp>,
    /// Memories by the moment at which they expire. One that has changed since leaves its old entry behind.
    expiries: BTreeSet<(Timestamp, Memory)>,
}

#[derive(Debug)]
struct Hold {
    seq: u64,
    /// `None` until the job ends, where it then gives the key up.
    expires_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Promise {
    fingerprint: String,
    id: JobId,
    expires_at: Timestamp,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Memory {
    Unique(String),
    Idempotency(String),
    Gone(JobId),
}

impl Keys {
    /// The job that holds a unique key.
    pub(super) fn holder(&self, key: &str, now: Timestamp) -> Option<u64> {
        let hold = self.unique.get(key)?;
        hold.expires_at.is_none_or(|expires_at| expires_at > now).then_some(hold.seq)
    }

    /// Gives a job its unique key.
    pub(super) fn hold(&mut self, row: &Row) {
        let Some((key, hold)) = &row.unique else { return };
        self.hold_until(key, row.seq, hold.before_end());
    }

    /// The job that has a unique key, and until when; expired or not.
    pub(super) fn held(&self, key: &str) -> Option<(u64, Option<Timestamp>)> {
        self.unique.get(key).map(|hold| (hold.seq, hold.expires_at))
    }

    /// The idempotency keys that are remembered, with their fingerprints, jobs and ends.
    pub(super) fn promises(&self, now: Timestamp) -> Vec<(&str, &str, &JobId, Timestamp)> {
        let kept = self.idempotency.iter().filter(|(_, promise)| promise.expires_at > now);
        kept.map(|(key, promise)| {
            (key.as_str(), promise.fingerprint.as_str(), &promise.id, promise.expires_at)
        })
        .collect()
    }

    /// The ids that are remembered as gone, and until when.
    pub(super) fn gone(&self, now: Timestamp) -> Vec<(&JobId, Timestamp)> {
        self.gone.iter().filter(|(_, until)| **until > now).map(|(id, until)| (id, *until)).collect()
    }

    /// Remembers an idempotency key until a moment.
    pub(super) fn promise_until(
        &mut self,
        key: String,
        fingerprint: String,
        id: JobId,
        expires_at: Timestamp,
    ) {
        self.expiries.insert((expires_at, Memory::Idempotency(key.clone())));
        self.idempotency.insert(key, Promise { fingerprint, id, expires_at });
    }

    /// Remembers until a moment that a job was there.
    pub(super) fn remember_gone_until(&mut self, id: JobId, until: Timestamp) {
        self.expiries.insert((until, Memory::Gone(id.clone())));
        self.gone.insert(id, until);
    }

    /// Gives a unique key to a job until a moment; `None` is until it ends.
    pub(super) fn hold_until(&mut self, key: &str, seq: u64, expires_at: Option<Timestamp>) {
        self.unique.insert(key.to_owned(), Hold { seq, expires_at });
        self.expiries.extend(expires_at.map(|at| (at, Memory::Unique(key.to_owned()))));
    }

    /// The job has ended: its unique key, where it is still the job's, goes back to the job that it follows, or outlives it for
    /// a time or not at all.
    pub(super) fn let_go(&mut self, row: &Row, followed: Option<&Row>, now: Timestamp) {
        let Some((key, hold)) = &row.unique else { return };
        if !self.is_held_by(key, row.seq) {
            return;
        }
        if let Some(followed) = followed {
            return self.hold(followed);
        }
        match hold.after(row.record.state, now) {
            Some(expires_at) => self.hold_until(key, row.seq, Some(expires_at)),
            None => drop(self.unique.remove(key)),
        }
    }

    fn is_held_by(&self, key: &str, seq: u64) -> bool {
        self.unique.get(key).is_some_and(|hold| hold.seq == seq)
    }

    /// Frees the job's unique key, where it is the job's.
    pub(super) fn free(&mut self, row: &Row) {
        let Some((key, _)) = &row.unique else { return };
        if self.is_held_by(key, row.seq) {
            self.unique.remove(key);
        }
    }

    /// The fingerprint and the job of the first request with this idempotency key.
    pub(super) fn promised(&self, key: &str, now: Timestamp) -> Option<(&str, &JobId)> {
        let promise = self.idempotency.get(key)?;
        (promise.expires_at > now).then_some((promise.fingerprint.as_str(), &promise.id))
    }

    /// Remembers how a request with an idempotency key was answered.
    pub(super) fn promise(&mut self, idempotency: Idempotency, id: JobId, now: Timestamp) {
        let Idempotency { key, fingerprint, keep_for } = idempotency;
        self.promise_until(key, fingerprint, id, now.plus(keep_for));
    }

    pub(super) fn is_gone(&self, id: &JobId, now: Timestamp) -> bool {
        self.gone.get(id).is_some_and(|until| *until > now)
    }

    pub(super) fn remember_gone(&mut self, id: JobId, now: Timestamp) {
        self.remember_gone_until(id, now.plus(GONE_FOR));
    }

    pub(super) fn forget_gone(&mut self, id: &JobId) {
        self.gone.remove(id);
    }

    /// The number of memories, expired or not.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.unique.len() + self.idempotency.len() + self.gone.len()
    }

    /// Throws away at most `limit` expired memories.
    pub(super) fn throw_away(&mut self, limit: usize, now: Timestamp) {
        for _ in 0..limit {
            if self.expiries.first().is_none_or(|(at, _)| *at > now) {
                return;
            }
            let Some((at, memory)) = self.expiries.pop_first() else { return };
            // Only what expires at this very entry goes: a key that was taken again has a newer one.
            match memory {
                Memory::Unique(key) => remove_if(&mut self.unique, &key, |hold| hold.expires_at == Some(at)),
                Memory::Idempotency(key) => {
                    remove_if(&mut self.idempotency, &key, |promise| promise.expires_at == at);
                }
                Memory::Gone(id) => remove_if(&mut self.gone, &id, |until| *until == at),
            }
        }
    }
}

fn remove_if<K: Hash + Eq, V>(map: &mut HashMap<K, V>, key: &K, is_meant: impl FnOnce(&V) -> bool) {
    if map.get(key).is_some_and(is_meant) {
        map.remove(key);
    }
}
