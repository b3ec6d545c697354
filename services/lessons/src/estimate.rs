//! The estimate of a lesson's time, from its request to its being there, waiting in the queue included.

use std::time::Duration;

use longhaul::Timestamp;
use parking_lot::Mutex;
use service_support::DbError;

use crate::app::App;

/// The estimate until enough lessons were measured, as in the original document of this service
/// (docs/services/lessons.md).
const UNMEASURED: &str = "30-60 seconds";
/// The number of lessons that an estimate needs.
const ENOUGH: usize = 10;
/// The newest lessons that are looked at.
const SAMPLE: usize = 50;
/// The time for which a measurement is used.
const KEPT: Duration = Duration::from_secs(10);

/// Remembers the last measurement.
#[derive(Debug, Default)]
pub(crate) struct Estimator(Mutex<Option<Measured>>);

#[derive(Clone, Debug)]
struct Measured {
    at: Timestamp,
    text: String,
}

impl App {
    /// The likely time of a lesson that is asked for now: the median and the 90th percentile of the times of the newest
    /// lessons of the present generator, in whole seconds. If they cannot be read, the previous answer: a lesson is not
    /// refused because of it.
    pub(crate) async fn estimated_completion_time(&self) -> String {
        let now = self.clock.now();
        let last = self.estimator.0.lock().clone();
        if let Some(last) = last.as_ref().filter(|last| now.since(last.at) < KEPT) {
            return last.text.clone();
        }
        let text = match self.measure().await {
            Ok(took) => in_words(took),
            Err(error) => {
                tracing::warn!("failed to measure how long lessons take: {error}");
                last.map_or_else(|| UNMEASURED.to_owned(), |last| last.text)
            }
        };
        *self.estimator.0.lock() = Some(Measured { at: now, text: text.clone() });
        text
    }

    /// In milliseconds, by the index of generators and times.
    async fn measure(&self) -> Result<Vec<i64>, DbError> {
        let sql = format!(
            "SELECT created_at - requested_at AS took FROM lessons WHERE generator = $1 \
             ORDER BY created_at DESC LIMIT {SAMPLE}"
        );
        let rows = self.db.read(sql, vec![self.providers.composer.generator().into()]).await?;
        rows.iter().map(|row| row.get("took")).collect()
    }
}

/// `took` in milliseconds.
fn in_words(mut took: Vec<i64>) -> String {
    if took.len() < ENOUGH {
        return UNMEASURED.into();
    }
    took.sort_unstable();
    let seconds = |part: usize| {
        // The nearest rank: the smallest that this part of all does not exceed.
        let rank = (took.len() * part).div_ceil(100).max(1) - 1;
        u64::try_from(took[rank]).unwrap_or(0).div_ceil(1_000).max(1)
    };
    let (half, most) = (seconds(50), seconds(90));
    format!("{half}-{} seconds", most.max(half + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ninth_tenth_are_told() {
        assert_eq!(in_words(vec![1; 9]), UNMEASURED);
        assert_eq!(in_words((1..=10).rev().map(|n| n * 1_000).collect()), "5-9 seconds");
        assert_eq!(in_words((1..=100).map(|n| n * 900).collect()), "45-81 seconds");
        assert_eq!(in_words(vec![20; 50]), "1-2 seconds");
        assert_eq!(in_words(vec![-5; 50]), "1-2 seconds", "a clock that was set back");
    }
}
