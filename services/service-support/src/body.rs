//! The bodies of requests.

/// A body without the byte order mark that some tools of Windows write before UTF-8, and which a reader of JSON may ignore (RFC
/// 8259, 8.1).
#[must_use]
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_is_left_out() {
        assert_eq!(without_mark("\u{feff}{}".as_bytes()), b"{}");
        assert_eq!(without_mark(b"{}"), b"{}");
        assert_eq!(without_mark(b"\xEF\xBB"), b"\xEF\xBB");
    }
}
