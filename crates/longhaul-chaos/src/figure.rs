//! Measured figures, and their bars.

use std::fmt;
use std::time::Duration;

use crate::target::StoreKind;

/// A line of a table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: String,
    /// `None` for a figure without a bar.
    pub(crate) bar: Option<Bar>,
}

/// The number that a figure must reach.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// The bar as it is shown.
    text: String,
    stands: Stands,
}

/// Whether a figure reaches its bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Holds,
    Missed,
}

/// The head of the table.
pub(crate) const HEAD: &str = "| store | measured | figure | bar | |\n|---|---|--:|--:|---|";

/// Prints the figures of a store, and collects those that miss their bars.
pub(crate) fn print(store: StoreKind, figures: Vec<Figure>, missed: &mut Vec<String>) {
    for figure in figures {
        println!("| {store:?} | {figure} |");
        if figure.is_missed() {
            missed.push(format!("{store:?}: {}: {}", figure.name, figure.value));
        }
    }
}

impl Figure {
    /// A figure without a bar.
    pub(crate) fn without_bar(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), bar: None }
    }

    /// A figure and its bar.
    pub(crate) fn held(name: impl Into<String>, value: impl Into<String>, bar: Bar) -> Self {
        Self { bar: Some(bar), ..Self::without_bar(name, value) }
    }

    /// True where its bar is missed.
    pub(crate) fn is_missed(&self) -> bool {
        self.bar.as_ref().is_some_and(|bar| bar.stands == Stands::Missed)
    }
}

impl Bar {
    /// `measured` may be no more than `most`; the unit is for the reader.
    pub(crate) fn at_most(measured: f64, most: f64, unit: &str) -> Self {
        let stands = if measured <= most { Stands::Holds } else { Stands::Missed };
        Self { text: format!("≤ {most} {unit}").trim_end().to_owned(), stands }
    }

    /// `measured` must be at least `least`.
    pub(crate) fn at_least(measured: f64, least: f64, unit: &str) -> Self {
        let stands = if measured >= least { Stands::Holds } else { Stands::Missed };
        Self { text: format!("≥ {least} {unit}").trim_end().to_owned(), stands }
    }

    /// The same bar, shown by other words.
    pub(crate) fn said(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    /// A bar of at most so many milliseconds; `of` says which percentile is meant.
    pub(crate) fn within(measured: Duration, most: u32, of: &str) -> Self {
        let bar = Self::at_most(measured.as_secs_f64() * 1_000.0, f64::from(most), "ms");
        Self { text: format!("{of} {}", bar.text).trim_start().to_owned(), ..bar }
    }
}

impl fmt::Display for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Missed => "MISSED",
        })
    }
}

/// The last two columns of a table.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, bar } = self;
        match bar {
            Some(Bar { text, stands }) => write!(f, "{name} | {value} | {text} | {stands}"),
            None => write!(f, "{name} | {value} | |"),
        }
    }
}

/// A part of times in order, from 0 for the least to 1 for the most.
pub(crate) fn part(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_at_its_bar_holds_it_and_one_beyond_misses_it() {
        let figures = [
            (Bar::at_most(1.2, 1.2, "×"), "n | v | ≤ 1.2 × | holds"),
            (Bar::at_most(1.21, 1.2, "×"), "n | v | ≤ 1.2 × | MISSED"),
            (Bar::at_most(f64::NAN, 1.2, "×"), "n | v | ≤ 1.2 × | MISSED"),
            (Bar::at_least(0.5, 0.5, "×"), "n | v | ≥ 0.5 × | holds"),
            (Bar::at_least(94.9, 95.0, "%"), "n | v | ≥ 95 % | MISSED"),
            (Bar::within(Duration::from_millis(20), 20, "p99"), "n | v | p99 ≤ 20 ms | holds"),
            (Bar::at_most(1.0, 0.0, ""), "n | v | ≤ 0 | MISSED"),
        ];
        for (bar, shown) in figures {
            let figure = Figure::held("n", "v", bar);
            assert_eq!((figure.to_string().as_str(), figure.is_missed()), (shown, shown.ends_with("MISSED")));
        }
        let told = Figure::without_bar("n", "v");
        assert_eq!((told.to_string().as_str(), told.is_missed()), ("n | v | |", false));
    }
}
