use longhaul::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_support::{Db, DbError, Write};

/// A reply that was kept with its ETag: GitHub answers 304 while it still holds, and a 304 costs no quota.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept<T> {
    pub(super) etag: String,
    pub(super) body: T,
    /// The address of the page after this one.
    pub(super) next: Option<String>,
}

/// Raised when what is read of GitHub's objects changes: bodies that were kept before lack what is new.
const FORM: u32 = 2;
/// Larger bodies are not kept.
const MAX_BODY_BYTES: usize = 512 * 1024;

/// Finds the reply that is kept under a key (the caller's mark and the address), if it can still be read. Uses the primary
/// key.
pub(super) async fn find<T: DeserializeOwned>(db: &Db, key: &str) -> Result<Option<Kept<T>>, DbError> {
    let sql = "SELECT etag, body, next_url FROM github_etags WHERE url = $1 AND form = $2";
    let rows = db.read(sql, vec![key.into(), FORM.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let body: String = row.get("body")?;
    let Ok(body) = serde_json::from_str(&body) else { return Ok(None) };
    Ok(Some(Kept { etag: row.get("etag")?, body, next: row.get("next_url")? }))
}

/// Keeps a reply in place of the one before.
pub(super) async fn keep<T: Serialize>(
    db: &Db,
    key: &str,
    kept: &Kept<&T>,
    now: Timestamp,
) -> Result<(), DbError> {
    let body = longhaul::Json::new(&kept.body)?;
    if body.as_str().len() > MAX_BODY_BYTES {
        return Ok(());
    }
    let write = Write::new(
        "INSERT INTO github_etags (url, form, etag, body, next_url, fetched_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (url) DO UPDATE SET form = excluded.form, etag = excluded.etag, body = excluded.body, \
         next_url = excluded.next_url, fetched_at = excluded.fetched_at",
        vec![
            key.into(),
            FORM.into(),
            kept.etag.as_str().into(),
            body.as_str().into(),
            kept.next.clone().into(),
            now.into(),
        ],
    );
    db.commit(vec![write], vec![]).await.map(|_| ())
}
