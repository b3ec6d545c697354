use std::time::Duration;

use longhaul::lifecycle::unique::{Hold, Holder};
use longhaul::{Idempotency, JobId, Json, State, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::write_tx::{WriteTx, no_json};
use crate::extra_fields::ExtraFields;
use crate::row::{Columns, unsigned};

/// The job that holds a unique key.
pub(super) struct KeyHolder {
    pub(super) id: JobId,
    pub(super) seq: i64,
    state: State,
    kind: String,
    run_at: Timestamp,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    hold: Hold,
}

impl KeyHolder {
    /// The holder as the rules look at it.
    pub(super) fn facts(&self) -> Holder<'_> {
        Holder {
            kind: &self.kind,
            state: self.state,
            run_at: self.run_at,
            created_at: self.created_at,
            started_at: self.started_at,
            held_until: self.hold.until,
        }
    }
}

/// The unique key of a job, and how long the job holds it.
pub(super) struct UniqueKey {
    pub(super) key: String,
    pub(super) hold: Hold,
}

impl UniqueKey {
    /// Reads the columns `unique_key`, `unique_period` and `policy`: the period is all that there is where nothing stands
    /// beside the policy.
    pub(super) fn read(columns: &mut Columns<'_, '_>) -> Option<Self> {
        let key: Option<String> = columns.next();
        let period: Option<i64> = columns.next();
        let extra: Option<ExtraFields> = columns.parsed();
        let period = period.map(|millis| Duration::from_millis(unsigned(millis)));
        let hold = extra.and_then(|extra| extra.hold);
        key.map(|key| Self { key, hold: hold.unwrap_or(Hold { period, ..Hold::default() }) })
    }
}

/// A job that another follows, and until when it holds its key.
struct Followed {
    seq: i64,
    until: Option<Timestamp>,
}

/// True where a job's row says all with the key and the period.
pub(super) fn is_of_period(hold: &Hold) -> bool {
    *hold == Hold { period: hold.period, ..Hold::default() }
}

/// The holders of keys. Jobs take and leave them in the transaction that creates or ends them.
impl WriteTx<'_> {
    /// The job that holds a unique key now.
    pub(super) fn unique_holder(&self, key: &str) -> rusqlite::Result<Option<KeyHolder>> {
        self.connection
            .prepare_cached(include_str!("../sql/unique_holder.sql"))?
            .query_row(params![key, self.now.0], |row| {
                let mut columns = Columns::new(row);
                Ok(KeyHolder {
                    id: columns.id(),
                    seq: columns.next(),
                    state: columns.state(),
                    kind: columns.next(),
                    run_at: columns.time(),
                    created_at: columns.time(),
                    started_at: columns.optional_time(),
                    hold: columns.parsed::<ExtraFields>().and_then(|extra| extra.hold).unwrap_or_default(),
                })
            })
            .optional()
    }

    /// Gives the key to a job, in place of one whose time with it is over.
    pub(super) fn hold_unique_key(&self, unique: &UniqueKey, seq: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO unique_keys (key, job, expires_at) VALUES (?1, ?2, ?3)")?
            .execute(params![unique.key, seq, unique.hold.before_end().map(|until| until.0)])?;
        Ok(())
    }

    /// Lets a job hold its key until another time, whatever becomes of the job.
    pub(super) fn lengthen_hold(
        &self,
        key: &str,
        holder: &KeyHolder,
        until: Timestamp,
    ) -> rusqlite::Result<()> {
        let hold = Hold { until: Some(until), ..holder.hold.clone() };
        let hold = Json::new(&hold).map_err(no_json)?;
        let note = "UPDATE jobs SET policy = json_set(policy, '$.hold', json(?2)) WHERE seq = ?1";
        self.connection.prepare_cached(note)?.execute(params![holder.seq, hold.as_str()])?;
        self.expire_unique_key(key, holder.seq, until)
    }

    /// Frees the key of a job that ends now in a state, lets the job hold it on, or gives it back to the job that this one
    /// follows. Answers from when its retention counts.
    pub(super) fn key_ended(
        &self,
        unique: Option<&UniqueKey>,
        seq: i64,
        state: State,
    ) -> rusqlite::Result<Timestamp> {
        let Some(UniqueKey { key, hold }) = unique else { return Ok(self.now) };
        if let Some(followed) = self.followed(key, hold)? {
            self.give_back_unique_key(key, seq, &followed)?;
            return Ok(hold.kept_from(state, self.now));
        }
        match hold.after(state, self.now) {
            None => self.free_unique_key(key, seq)?,
            // Until the job is removed.
            Some(Timestamp::MAX) => {}
            Some(until) => self.expire_unique_key(key, seq, until)?,
        }
        Ok(hold.kept_from(state, self.now))
    }

    /// The job that another follows, while it has not ended. One made anew under the old id may have another key.
    fn followed(&self, key: &str, hold: &Hold) -> rusqlite::Result<Option<Followed>> {
        let Some(behind) = &hold.behind else { return Ok(None) };
        let found = self
            .connection
            .prepare_cached(include_str!("../sql/followed_job.sql"))?
            .query_row(params![behind.as_str(), key], |row| {
                let mut columns = Columns::new(row);
                let (seq, state) = (columns.next(), columns.state());
                let hold = columns.parsed::<ExtraFields>().and_then(|extra| extra.hold).unwrap_or_default();
                Ok((Followed { seq, until: hold.before_end() }, state))
            })
            .optional()?;
        Ok(found.filter(|(_, state)| !state.is_finished()).map(|(followed, _)| followed))
    }

    fn give_back_unique_key(&self, key: &str, seq: i64, followed: &Followed) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE unique_keys SET job = ?3, expires_at = ?4 WHERE key = ?1 AND job = ?2")?
            .execute(params![key, seq, followed.seq, followed.until.map(|until| until.0)])?;
        Ok(())
    }

    fn expire_unique_key(&self, key: &str, seq: i64, until: Timestamp) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE unique_keys SET expires_at = ?3 WHERE key = ?1 AND job = ?2")?
            .execute(params![key, seq, until.0])?;
        Ok(())
    }

    /// Takes the key from a job, where it is the job's.
    pub(super) fn free_unique_key(&self, key: &str, seq: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM unique_keys WHERE key = ?1 AND job = ?2")?
            .execute(params![key, seq])?;
        Ok(())
    }

    /// The job that an idempotency key stands for, and the digest of the request.
    pub(super) fn idempotency_holder(&self, key: &Idempotency) -> rusqlite::Result<Option<(JobId, String)>> {
        self.connection
            .prepare_cached(include_str!("../sql/idempotency_holder.sql"))?
            .query_row(params![key.key, self.now.0], |row| Ok((JobId::from_store(row.get(0)?), row.get(1)?)))
            .optional()
    }

    /// Remembers how a request was answered.
    pub(super) fn hold_idempotency_key(&self, key: &Idempotency, id: &JobId) -> rusqlite::Result<()> {
        let expires_at = self.now.plus(key.keep_for).0;
        self.connection.prepare_cached(include_str!("../sql/hold_idempotency_key.sql"))?.execute(params![
            key.key,
            id.as_str(),
            key.fingerprint,
            expires_at
        ])?;
        Ok(())
    }
}
