use longhaul::Timestamp;

/// A moment in the original document's form: `2024-01-01T00:00:00`, in UTC, to the second.
pub(crate) fn original_time(at: Timestamp) -> String {
    // `2024-01-01T00:00:00.000Z`, less its fraction and its zone.
    let mut text = service_support::iso8601(at);
    text.truncate(text.len().saturating_sub(".000Z".len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_original_form() {
        assert_eq!(original_time(Timestamp(1_767_225_630_999)), "2026-01-01T00:00:30");
    }
}
