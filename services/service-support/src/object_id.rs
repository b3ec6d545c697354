use std::sync::atomic::{AtomicU32, Ordering};

use longhaul::Timestamp;

/// Makes MongoDB ObjectIds: 24 lowercase hex digits that stand for four bytes of time in seconds, five that this
/// process drew when it started, and a count of three. Ids of one process that are made later sort later.
#[derive(Debug)]
pub struct ObjectIds {
    process: [u8; 5],
    count: AtomicU32,
}

impl Default for ObjectIds {
    /// The count begins at a random number, so that two processes that drew the same five bytes would still hardly
    /// clash, and at a low one, so that a process makes millions of ids before it begins again.
    fn default() -> Self {
        Self { process: rand::random(), count: AtomicU32::new(rand::random::<u16>().into()) }
    }
}

impl ObjectIds {
    /// An id that nobody else has.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> String {
        // The standard's four bytes last from 1970 until 2106.
        let seconds = u32::try_from(now.0.max(0) / 1_000).unwrap_or(u32::MAX).to_be_bytes();
        let count = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let bytes = seconds.iter().chain(&self.process).chain(&count[1..]);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_with_its_time_and_is_made_once() {
        let ids = ObjectIds { process: [1, 2, 3, 0xab, 0xff], count: AtomicU32::new(u32::MAX) };
        assert_eq!(ids.next(Timestamp(0x60d5_ec49 * 1_000 + 999)), "60d5ec49010203abffffffff");
        assert_eq!(ids.next(Timestamp(0x60d5_ec49 * 1_000)), "60d5ec49010203abff000000");
        assert_eq!(ids.next(Timestamp(-5_000)), "00000000010203abff000001");
    }

    #[test]
    fn ids_are_24_digits_and_sort_as_they_were_made() {
        let made = ObjectIds::default();
        let ids: Vec<String> = (0..100).map(|n| made.next(Timestamp(1_767_225_600_000 + n))).collect();
        assert!(
            ids.iter().all(|id| id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit())),
            "{ids:?}"
        );
        assert!(ids.is_sorted() && ids[0] != ids[1]);
    }
}
