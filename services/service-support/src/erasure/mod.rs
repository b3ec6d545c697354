//! Erasing what services keep of one user.
//!
//! Each service has an `erase.rs` of its own, for it alone knows its tables, its files and whose they are. What is the same for
//! all of them is here: rows in commits of bounded size, jobs that are stopped before they are deleted, answers that were kept
//! for repeated requests. The same calls count where nothing is to be erased, so that a look tells what the deed would do.

mod jobs;
mod user;

use std::collections::{BTreeMap, BTreeSet};

use longhaul::{Clock, KeyFilter, Longhaul};
use thiserror::Error;

pub use jobs::Candidate;
pub use user::{UserIdError, user_label};

use crate::db::{Db, DbError, Value, Write};
use crate::service::Deps;
use crate::turns::Turns;

/// The erasure of what is kept of one user, or a look at it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Erasure {
    user: String,
    deed: Deed,
    db: Db,
    longhaul: Longhaul,
    clock: Clock,
}

/// Tells a look from the deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Counts, and changes nothing.
    Count,
    /// Erases.
    Erase,
}

/// The erased data, or the data that would be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The number of rows by their table, of `jobs`, `files` and so on.
    pub counts: BTreeMap<&'static str, u64>,
    /// The data that stays, although the user had a part in it.
    pub stays: Vec<Stays>,
}

/// Data that is not the user's alone, and stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stays {
    /// Its name, in the plural.
    pub what: &'static str,
    /// Its number.
    pub count: u64,
    /// The reason.
    pub why: &'static str,
}

/// Rows of one table.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The table.
    pub table: &'static str,
    /// The columns of its primary key, separated by commas.
    pub key: &'static str,
    /// The condition, in which `$1` is the user's id.
    pub condition: &'static str,
}

/// The reason why an erasure did not come to its end. It is gone on with by erasing again.
#[derive(Debug, Error)]
pub enum EraseError {
    /// The rows cannot be read or written.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The jobs cannot be.
    #[error(transparent)]
    Store(#[from] longhaul::Error),
    /// A file cannot be removed.
    #[error("failed to remove a file: {0}")]
    File(#[from] std::io::Error),
    /// Jobs did not stop, and were not fenced off either.
    #[error(
        "{0} jobs of the user still run though they were cancelled: their store does not fence them off; see what holds them with \
         longhaul jobs list state:running, and erase again"
    )]
    StillRunning(usize),
}

/// Rows of one commit: every other write waits for it.
const ROWS_PER_COMMIT: usize = 200;
/// Rows that are read at a time.
const PAGE: usize = 500;

impl Erasure {
    /// An erasure, or a count, of a user's data.
    ///
    /// # Errors
    /// An id that no user can have.
    pub fn new(deps: &Deps, user: &str, deed: Deed) -> Result<Self, UserIdError> {
        user::check(user)?;
        let Deps { db, longhaul, clock, .. } = deps.clone();
        Ok(Self { user: user.to_owned(), deed, db, longhaul, clock })
    }

    /// The user's id: the `sub` of tokens, and `user_id` where a service has no tokens. It is compared as it is, byte by byte.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A look, or the deed.
    #[must_use]
    pub fn deed(&self) -> Deed {
        self.deed
    }

    /// The ids in a column, of rows that fit a condition, in which `$1` is the user's id.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn ids(
        &self,
        table: &str,
        column: &str,
        condition: &str,
    ) -> Result<BTreeSet<String>, EraseError> {
        let sql = format!(
            "SELECT {column} AS id FROM {table} WHERE ({condition}) AND {column} > $2 ORDER BY {column} LIMIT {PAGE}"
        );
        let (mut ids, mut after) = (BTreeSet::new(), String::new());
        loop {
            let rows = self.db.read(sql.clone(), vec![self.user().into(), after.as_str().into()]).await?;
            let Some(last) = rows.last() else { return Ok(ids) };
            after = last.get("id")?;
            for row in &rows {
                ids.insert(row.get("id")?);
            }
        }
    }

    /// Deletes rows of the user, some at a time.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn rows(&self, erased: &mut Erased, rows: Rows) -> Result<(), EraseError> {
        self.rows_of(self.user(), erased, rows).await
    }

    /// The same for rows of something that is the user's: `$1` is its id.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn rows_of(&self, id: &str, erased: &mut Erased, rows: Rows) -> Result<(), EraseError> {
        let Rows { table, key, condition } = rows;
        if self.deed == Deed::Count {
            let sql = format!("SELECT count(*) AS number FROM {table} WHERE {condition}");
            let counted = self.db.read(sql, vec![id.into()]).await?;
            let count = counted.first().map(|row| row.get("number")).transpose()?;
            erased.add(table, count.unwrap_or(0));
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {ROWS_PER_COMMIT})"
        );
        loop {
            let deleted = self.write(sql.clone(), vec![id.into()]).await?;
            erased.add(table, deleted);
            if deleted == 0 {
                return Ok(());
            }
        }
    }

    /// Writes one statement and answers how many rows it changed.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn write(&self, sql: String, params: Vec<Value>) -> Result<u64, EraseError> {
        let changed = match self.db.commit(vec![Write::new(sql, params)], vec![]).await? {
            crate::Commit::Done(done) => done.changed,
            crate::Commit::Refused { .. } => Vec::new(),
        };
        Ok(changed.first().copied().unwrap_or(0))
    }

    /// Erases what services share: the answers that were kept for requests of the user's.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn shared(&self, erased: &mut Erased) -> Result<(), EraseError> {
        let rows = Rows { table: "answers", key: "id", condition: "user_id = $1" };
        self.rows(erased, rows).await?;
        let nobodys = self.db.undelivered(Deed::Count, &|_| false).await?;
        let why = "another release wrote them, and this one cannot read whose they are: erase once more with that one";
        erased.stays("entries of the outbox", nobodys.unreadable, why);
        Ok(())
    }

    /// Erases the limits that an operator has set for the user's key, and a pause of it, and lets the turns begin anew, because a queue
    /// remembers whose turn comes when, by name. The key itself goes with its jobs.
    ///
    /// # Errors
    /// A fault of the database or of the store.
    pub async fn turns(&self, erased: &mut Erased, turns: &Turns) -> Result<(), EraseError> {
        let key = turns.key(self.user());
        let filter = KeyFilter { names: vec![key.clone()], limit: 1, ..KeyFilter::default() };
        let store = self.longhaul.store();
        let found = store.keys(&filter).await?;
        let is_set = found.first().is_some_and(|key| key.config.is_some() || key.closed_until.is_some());
        erased.add("limit_keys", u64::from(is_set));
        if self.deed == Deed::Erase {
            if is_set {
                store.set_key(&key, None).await?;
                store.resume_key(&key).await?;
            }
            turns.begin_anew().await?;
        }
        Ok(())
    }

    /// Deletes the answers that were kept for requests of callers without a token and tell of one of these ids.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn answers_about(&self, erased: &mut Erased, ids: &BTreeSet<String>) -> Result<(), EraseError> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT id, body FROM answers WHERE user_id IS NULL AND id > $1 ORDER BY id LIMIT {PAGE}"
        );
        let mut after = String::new();
        loop {
            let rows = self.db.read(sql.clone(), vec![after.as_str().into()]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get("id")?;
            for row in &rows {
                let body: String = row.get("body")?;
                let mut words = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
                if !words.any(|word| ids.contains(word)) {
                    continue;
                }
                if self.deed == Deed::Erase {
                    let id: String = row.get("id")?;
                    self.write("DELETE FROM answers WHERE id = $1".into(), vec![id.into()]).await?;
                }
                erased.add("answers", 1);
            }
        }
    }
}

impl Erased {
    /// Counts what was erased of one sort.
    pub fn add(&mut self, what: &'static str, count: u64) {
        if count > 0 {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// Notes what stays, where there is any.
    pub fn stays(&mut self, what: &'static str, count: u64, why: &'static str) {
        if count > 0 {
            self.stays.push(Stays { what, count, why });
        }
    }

    /// The number of all that was erased.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
