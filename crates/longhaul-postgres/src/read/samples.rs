use longhaul::{Json, MAX_SAMPLES, Result, Sample, Timestamp};

use super::{Reader, Reads};
use crate::row::rows_at_most;

/// The samples of a series from a moment on, but for those whose time is over at `now`.
pub(crate) async fn samples(
    reads: &Reads,
    series: &str,
    from: Timestamp,
    now: Timestamp,
) -> Result<Vec<Sample>> {
    let mut reader = Reader::of(reads, "read samples").await?;
    let sql = include_str!("../sql/samples.sql");
    let rows = reader.rows(sql, &[&series, &from.0, &now.0, &rows_at_most(MAX_SAMPLES)]).await?;
    let sample = |row: &tokio_postgres::Row| {
        Some(Sample {
            series: series.to_owned(),
            at: Timestamp(row.get(0)),
            source: row.get(1),
            keep_for: Timestamp(row.get(2)).since(now),
            // One that cannot be read is none.
            body: Json::parse(row.get::<_, String>(3)).ok()?,
        })
    };
    Ok(rows.iter().filter_map(sample).collect())
}
