use longhaul::Timestamp;

/// A moment as the original document shows it: `2025-05-29T14:55:20.885000`, UTC without saying so, to the microsecond. A moment
/// outside of years −9999 to 9999 is shown as the nearest one inside.
pub(crate) fn isoformat(at: Timestamp) -> String {
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_as_the_seed_shows_it() {
        assert_eq!(isoformat(Timestamp(1_748_530_520_885)), "2025-05-29T14:55:20.885000");
        assert_eq!(isoformat(Timestamp(1_767_225_600_000)), "2026-01-01T00:00:00.000000");
    }
}
