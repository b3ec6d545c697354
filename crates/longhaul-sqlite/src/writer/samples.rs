use longhaul::clock::millis;
use longhaul::{Result, Sample};
use rusqlite::params;

use super::write_tx::WriteTx;
use crate::error::fault;

impl WriteTx<'_> {
    /// Keeps samples, in the places of earlier ones of the same series, moment and source.
    pub(crate) fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        let put = |sample: &Sample| {
            self.connection.prepare_cached(include_str!("../sql/put_sample.sql"))?.execute(params![
                sample.series,
                sample.at.0,
                sample.source,
                millis(sample.keep_for),
                self.now.plus(sample.keep_for).0,
                sample.body.as_str(),
            ])
        };
        samples.iter().try_for_each(|sample| put(sample).map(drop)).map_err(fault("keep samples"))
    }
}
