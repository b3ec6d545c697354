//! The commands that only look: `why`, `workers`, `kinds`, `errors`, `stats`, `whoami`.

pub(crate) mod errors;
pub(crate) mod kinds;
pub(crate) mod stats;
pub(crate) mod whoami;
pub(crate) mod why;
pub(crate) mod workers;

use clap::Args;
use serde::Deserialize;

use crate::client::encoded;
use crate::run::seconds;

/// The span of time and the part of the jobs that is looked at.
#[derive(Args, Clone, Debug)]
pub(crate) struct Window {
    /// The time up to now that is looked at: 10m, 1h, 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
    window: f64,
    /// Only jobs of this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only jobs of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

impl Window {
    /// The parameters of a route.
    fn query(&self) -> String {
        let only = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("&{name}={}", encoded(value))).unwrap_or_default()
        };
        format!("?window={:.0}{}{}", self.window, only("queue", &self.queue), only("kind", &self.kind))
    }
}

/// Percentiles of a time, in seconds; null where nothing was measured.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Times {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

impl Times {
    fn cells(self) -> [String; 4] {
        [self.p50, self.p90, self.p99, self.max].map(short)
    }
}

/// A time in few letters.
fn short(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(seconds) if seconds < 0.001 => format!("{:.2} ms", seconds * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) if seconds < 100.0 => format!("{seconds:.1} s"),
        Some(seconds) => format!("{:.0} s", seconds),
    }
}

/// Counts as a row of bars.
fn spark(counts: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or_default();
    let bar = |count: &u64| match (*count, most) {
        (0, _) | (_, 0) => ' ',
        (count, most) => BARS[((count * 8).div_ceil(most) as usize).clamp(1, 8) - 1],
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_are_drawn_in_few_letters() {
        assert_eq!(
            [None, Some(0.0002), Some(0.25), Some(2.04), Some(300.0)].map(short),
            ["-", "0.20 ms", "250 ms", "2.0 s", "300 s"]
        );
        assert_eq!(spark(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(spark(&[0, 0]), "  ");
        assert_eq!(spark(&[]), "");
    }
}
