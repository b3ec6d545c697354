use std::time::Duration;

use longhaul::Timestamp;
use service_support::{Commit, Db, DbError, Write};

/// The period that a budget is counted over.
const WINDOW: Duration = Duration::from_secs(3_600);

/// The answer to a wish for one more call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// It may, and is counted.
    Made,
    /// The hour's calls are used up; a new hour begins after this long.
    Spent(Duration),
}

/// Counts one call of at most `limit` in this hour, for every process on this database together. The count is kept with
/// the rows, so that a restart does not forget what was used.
pub(super) async fn charge(db: &Db, limit: u32, now: Timestamp) -> Result<Charge, DbError> {
    let window = window(now);
    let begin = Write::new(
        "INSERT INTO github_calls (hour, calls) VALUES ($1, 0) ON CONFLICT (hour) DO NOTHING",
        vec![window.into()],
    );
    let count = Write::guarded(
        "UPDATE github_calls SET calls = calls + 1 WHERE hour = $1 AND calls < $2",
        vec![window.into(), limit.into()],
    );
    let forget = Write::new("DELETE FROM github_calls WHERE hour < $1", vec![(window - 1).into()]);
    match db.commit(vec![begin, count, forget], vec![]).await? {
        Commit::Done(_) => Ok(Charge::Made),
        Commit::Refused { .. } => {
            let end = Timestamp((window + 1).saturating_mul(longhaul::clock::millis(WINDOW)));
            Ok(Charge::Spent(end.since(now)))
        }
    }
}

/// Takes back a call that GitHub did not count either.
pub(super) async fn refund(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let sql = "UPDATE github_calls SET calls = calls - 1 WHERE hour = $1 AND calls > 0";
    db.commit(vec![Write::new(sql, vec![window(now).into()])], vec![]).await.map(|_| ())
}

/// Hours since 1970.
fn window(now: Timestamp) -> i64 {
    now.0.div_euclid(longhaul::clock::millis(WINDOW))
}
