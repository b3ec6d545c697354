//! The table of answers.

use std::time::Duration;

use axum::http::StatusCode;
use longhaul::Timestamp;

use crate::db::{Db, DbError, Write};

/// An answer as it is kept.
pub(super) struct Kept {
    pub(super) status: StatusCode,
    /// Tells the request that it answers from others.
    pub(super) fingerprint: String,
    pub(super) body: String,
    /// The user who asked, by whom it is found when the user is erased; `None` for callers without a token.
    pub(super) user: Option<String>,
}

/// The table, for every database that has rows of services.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS answers (
    id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status BIGINT NOT NULL, body TEXT NOT NULL,
    expires_at BIGINT NOT NULL);
    CREATE INDEX IF NOT EXISTS answers_by_expiry ON answers (expires_at)";

/// A column that came later. The release before writes rows without it.
pub(crate) const USER_COLUMN: &str = "ALTER TABLE answers ADD COLUMN user_id TEXT";

/// The time for which an answer is kept.
const KEEP_FOR: Duration = Duration::from_secs(24 * 3600);
/// The most answers that are kept, beside those of the last minute.
const MAX_KEPT: usize = 100_000;
/// The most answers that one commit forgets.
const FORGOTTEN_AT_ONCE: usize = 1_000;

impl Kept {
    /// Refused where an answer is kept under the id that is not out of date.
    pub(super) fn write(&self, id: &str, now: Timestamp) -> Write {
        Write::guarded(
            "INSERT INTO answers (id, fingerprint, status, body, expires_at, user_id) VALUES ($1, $2, $3, $4, $5, $7) \
             ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status, \
             body = excluded.body, expires_at = excluded.expires_at, user_id = excluded.user_id \
             WHERE answers.expires_at <= $6",
            vec![
                id.into(),
                self.fingerprint.as_str().into(),
                u32::from(self.status.as_u16()).into(),
                self.body.as_str().into(),
                now.plus(KEEP_FOR).into(),
                now.into(),
                self.user.as_deref().into(),
            ],
        )
    }
}

pub(super) async fn find(db: &Db, id: &str, now: Timestamp) -> Result<Option<Kept>, DbError> {
    let sql = "SELECT fingerprint, status, body FROM answers WHERE id = $1 AND expires_at > $2";
    let rows = db.read(sql, vec![id.into(), now.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let status =
        u16::try_from(row.get::<u32>("status")?).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let fault = || DbError::Column { column: "status".into(), reason: "it holds no status".into() };
    Ok(Some(Kept {
        status: status.ok_or_else(fault)?,
        fingerprint: row.get("fingerprint")?,
        body: row.get("body")?,
        user: None,
    }))
}

/// Both bounds are ranges of the index by expiry.
pub(super) async fn forget_old(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let sql = "SELECT expires_at FROM answers ORDER BY expires_at DESC LIMIT 1 OFFSET $1";
    let surplus = db.read(sql, vec![MAX_KEPT.into()]).await?;
    let newest_surplus: Option<Timestamp> = surplus.first().map(|row| row.get("expires_at")).transpose()?;
    let until = newest_surplus.map_or(now, |at| at.max(now));
    loop {
        let sql = "SELECT id FROM answers WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2";
        let old = db.read(sql, vec![until.into(), FORGOTTEN_AT_ONCE.into()]).await?;
        if old.is_empty() {
            return Ok(());
        }
        let delete = |row: &crate::db::Row| -> Result<Write, DbError> {
            Ok(Write::new("DELETE FROM answers WHERE id = $1", vec![row.get::<String>("id")?.into()]))
        };
        db.commit(old.iter().map(delete).collect::<Result<_, _>>()?, Vec::new()).await?;
    }
}
