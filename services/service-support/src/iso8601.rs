use longhaul::Timestamp;

/// A moment as the services' JSON shows it: `2026-01-31T09:30:00.000Z`, always UTC and to the millisecond.
/// A moment outside of years −9999 to 9999 is shown as the nearest one inside.
#[must_use]
pub fn iso8601(at: Timestamp) -> String {
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_utc_to_the_millisecond() {
        assert_eq!(iso8601(Timestamp(1_767_225_600_000)), "2026-01-01T00:00:00.000Z");
        assert_eq!(iso8601(Timestamp(1_767_225_600_045)), "2026-01-01T00:00:00.045Z");
    }
}
