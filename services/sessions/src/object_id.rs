/// True for a MongoDB ObjectId; its digits may come in capitals too.
pub(crate) fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_id_is_24_digits() {
        assert!(is_object_id(&service_support::ObjectIds.next(longhaul::Timestamp(0))));
        assert!(!is_object_id("60d5ec49010203abffffffg0") && !is_object_id("60d5"));
    }
}
