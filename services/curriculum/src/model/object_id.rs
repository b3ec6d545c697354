/// True if a text could be one of our ids: a MongoDB ObjectId as we write it.
pub(crate) fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_24_lowercase_digits() {
        assert!(is_object_id(&service_support::ObjectIds.next(longhaul::Timestamp(1_767_225_600_000))));
        assert!(!is_object_id("6955B900c0ffee0123456789") && !is_object_id("6955b900"));
    }
}
