//! Words that people read and answer on a terminal.

mod ask;
mod paint;
mod table;

pub(crate) use ask::{Answer, ask};
pub(crate) use paint::{Colour, Paint};
pub(crate) use table::Table;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longhaul::Timestamp;

/// A bar on standard error: a moving one on a terminal, and nothing at all elsewhere.
pub(crate) fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    bar
}

/// A duration as people say it, to the two largest units.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes, rest) =
        (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.1} s", duration.as_secs_f64()),
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The time since a moment in RFC 3339; nothing where it is none.
pub(crate) fn since(at: &str, now: Timestamp) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => spoken(now.since(Timestamp(at.as_millisecond()))),
        Err(_) => String::new(),
    }
}

/// The time to a moment in RFC 3339, in brackets; nothing where it is past or none.
pub(crate) fn until(at: &str, now: Timestamp) -> String {
    match at.parse::<jiff::Timestamp>().map(|at| Timestamp(at.as_millisecond())) {
        Ok(at) if at > now => format!(" (in {})", spoken(at.since(now))),
        Ok(_) | Err(_) => String::new(),
    }
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let seconds = [0.25, 42.0, 90.0, 7_260.0, 90_000.0].map(Duration::from_secs_f64);
        assert_eq!(seconds.map(spoken), ["0.2 s", "42 s", "1 min 30 s", "2 h 1 min", "1 d 1 h"]);
    }
}
