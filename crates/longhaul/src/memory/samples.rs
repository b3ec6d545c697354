use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::model::Sample;
use crate::store::MAX_SAMPLES;

/// Samples by series, moment and source, each with the time at which it is forgotten.
#[derive(Debug, Default)]
pub(super) struct Samples {
    kept: BTreeMap<(String, Timestamp, String), (Timestamp, Sample)>,
}

impl Samples {
    pub(super) fn put(&mut self, samples: &[Sample], now: Timestamp) {
        for sample in samples {
            let place = (sample.series.clone(), sample.at, sample.source.clone());
            self.kept.insert(place, (now.plus(sample.keep_for), sample.clone()));
        }
    }

    pub(super) fn read(&self, series: &str, from: Timestamp, now: Timestamp) -> Vec<Sample> {
        let from = (series.to_owned(), from, String::new());
        let of_series = self.kept.range(from..).take_while(|((name, ..), _)| name == series);
        let kept = of_series.filter(|(_, (until, _))| *until > now);
        kept.map(|(_, (_, sample))| sample.clone()).take(MAX_SAMPLES).collect()
    }

    /// All that are kept, with their ends.
    pub(super) fn all(&self, now: Timestamp) -> impl Iterator<Item = &(Timestamp, Sample)> {
        self.kept.values().filter(move |(until, _)| *until > now)
    }

    /// Keeps a sample until a moment, unless there is one in its place. Answers true where there was none.
    pub(super) fn put_until(&mut self, sample: Sample, until: Timestamp, now: Timestamp) -> bool {
        let place = (sample.series.clone(), sample.at, sample.source.clone());
        if self.kept.get(&place).is_some_and(|(until, _)| *until > now) {
            return false;
        }
        self.kept.insert(place, (until, sample));
        true
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        self.kept.retain(|_, (until, _)| *until > now);
    }
}
