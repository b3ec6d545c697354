//! The trend of a figure: the line through its points that fits best, and how sure its slope is.

/// A figure over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    pub(super) mean: f64,
    /// The rise of the line from the first point to the last, as a part of the mean.
    pub(super) growth: f64,
    /// Twice the standard error of that.
    pub(super) noise: f64,
}

/// The trend of points in the order of their times, `None` for fewer than three, which any line may fit.
pub(super) fn of(points: &[(f64, f64)]) -> Option<Trend> {
    let [first, _, .., last] = points else { return None };
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mid, mean) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|(at, _)| (at - mid).powi(2)).sum();
    let slope = points.iter().map(|(at, value)| (at - mid) * (value - mean)).sum::<f64>() / spread;
    let apart: f64 = points.iter().map(|(at, value)| (value - mean - slope * (at - mid)).powi(2)).sum();
    let error = (apart / (count - 2.0) / spread).sqrt();
    let span = (last.0 - first.0) / mean;
    Some(Trend { mean, growth: slope * span, noise: 2.0 * error * span })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..101).map(f64::from).map(|at| (at, value(at))).collect()
    }

    #[test]
    fn a_line_is_its_own_trend() {
        let trend = of(&points(|at| 100.0 + at)).expect("there are enough points");
        assert!((trend.mean - 150.0).abs() < 1e-9 && (trend.growth - 100.0 / 150.0).abs() < 1e-9);
        assert!(trend.noise < 1e-9, "nothing is off the line: {trend:?}");
    }

    #[test]
    fn what_goes_up_and_down_has_no_trend_beyond_its_noise() {
        let trend = of(&points(|at| 100.0 + 20.0 * (at * 2.0).sin())).expect("there are enough points");
        assert!(trend.growth.abs() < trend.noise, "{trend:?}");
    }

    #[test]
    fn a_leak_stands_out_of_noise() {
        let trend =
            of(&points(|at| 100.0 + 0.3 * at + 5.0 * (at * 2.0).sin())).expect("there are enough points");
        assert!(trend.growth > 2.0 * trend.noise, "{trend:?}");
    }

    #[test]
    fn two_points_tell_nothing() {
        assert_eq!(of(&[(0.0, 1.0), (1.0, 2.0)]), None);
    }
}
