//! Jobs that follow the one that runs, with its unique key, and give it back where they end first.
//!
//! The two are not held together, because either may end while the other does: the end of the one that runs comes with its own
//! row held and then wants the follower's. So a key may be given back to a job that has just ended; who looks for its holder
//! then takes the end into account.

use longhaul::Result;
use longhaul::lifecycle::unique::Hold;

use crate::row::hold;
use crate::write_tx::WriteTx;

/// A job that another follows, and until when it holds its key.
pub(crate) struct Followed {
    seq: i64,
    until: Option<i64>,
}

impl WriteTx<'_> {
    /// The job that another follows, while it has not ended. One made anew under the old id may have another key.
    pub(crate) async fn followed(&self, key: &str, follower: &Hold) -> Result<Option<Followed>> {
        let Some(behind) = &follower.behind else { return Ok(None) };
        let sql = include_str!("sql/followed_job.sql");
        let rows = self.rows("look up a unique key", sql, &[&behind.as_str(), &key]).await?;
        let followed = rows.first().map(|row| Followed {
            seq: row.get(0),
            until: hold(row, [1, 2]).before_end().map(|until| until.0),
        });
        Ok(followed)
    }

    /// Gives a key, where it is the follower's, back to the job that is followed.
    pub(crate) async fn give_back(&self, key: &str, follower: i64, followed: &Followed) -> Result<()> {
        let sql = include_str!("sql/give_unique_key_back.sql");
        self.rows("give a unique key back", sql, &[&key, &follower, &followed.seq, &followed.until])
            .await
            .map(drop)
    }
}
