use std::collections::BTreeMap;

use longhaul::{Result, Sample, Timestamp};

use crate::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Keeps samples. Of one series, moment and source the last one counts; rows are always taken in one order, so that no
    /// two transactions wait for each other.
    pub(crate) async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        let place = |sample: &Sample| (sample.series.clone(), sample.at, sample.source.clone());
        let last: BTreeMap<(String, Timestamp, String), &Sample> =
            samples.iter().map(|sample| (place(sample), sample)).collect();
        let (mut series, mut moments, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ends, mut bodies) = (Vec::new(), Vec::new());
        for sample in last.into_values() {
            series.push(sample.series.as_str());
            moments.push(sample.at.0);
            sources.push(sample.source.as_str());
            ends.push(self.time.plus(sample.keep_for).0);
            bodies.push(sample.body.as_str());
        }
        let sql = include_str!("sql/put_samples.sql");
        self.rows("keep samples", sql, &[&series, &moments, &sources, &ends, &bodies]).await.map(drop)
    }
}
