use std::time::Duration;

use longhaul::{MAX_SAMPLES, Result, Sample, Timestamp};
use rusqlite::{Connection, params};

use crate::error::fault;
use crate::row::{Columns, unsigned};

/// The samples of a series from a moment on.
pub(crate) fn samples(
    connection: &Connection,
    series: &str,
    from: Timestamp,
    now: Timestamp,
) -> Result<Vec<Sample>> {
    let most = i64::try_from(MAX_SAMPLES).unwrap_or(i64::MAX);
    connection
        .prepare_cached(include_str!("../sql/samples_from.sql"))
        .and_then(|mut find| {
            find.query_map(params![series, from.0, now.0, most], |row| {
                let mut columns = Columns::new(row);
                Ok(Sample {
                    series: series.to_owned(),
                    at: columns.time(),
                    source: columns.next(),
                    keep_for: Duration::from_millis(unsigned(columns.next())),
                    body: columns.json(),
                })
            })?
            .collect()
        })
        .map_err(fault("read samples"))
}
