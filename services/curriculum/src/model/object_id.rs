use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use longhaul::Timestamp;

/// Makes ids as MongoDB does: the second, the process, a counter; 24 lowercase hexadecimal digits.
#[derive(Debug)]
pub(crate) struct ObjectIds;

impl ObjectIds {
    /// An id that nobody else has. Those that a process makes sort in the order in which it made them.
    pub(crate) fn next(now: Timestamp) -> String {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static COUNTER: OnceLock<AtomicU32> = OnceLock::new();
        let process = PROCESS.get_or_init(|| rand::random::<u64>() & 0xff_ffff_ffff);
        // From a low number, so that a process has to make millions before its counter begins again.
        let counter = COUNTER.get_or_init(|| AtomicU32::new(rand::random::<u32>() & 0xffff));
        let number = counter.fetch_add(1, Ordering::Relaxed) & 0xff_ffff;
        let seconds = u32::try_from(now.0.max(0) / 1_000).unwrap_or(u32::MAX);
        format!("{seconds:08x}{process:010x}{number:06x}")
    }
}

/// Whether a text could be one.
pub(crate) fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_24_digits_and_sort_as_they_were_made() {
        let ids: Vec<String> = (0..100).map(|n| ObjectIds::next(Timestamp(1_767_225_600_000 + n))).collect();
        assert!(ids.iter().all(|id| is_object_id(id)), "{ids:?}");
        assert!(ids.is_sorted() && ids[0] != ids[1]);
        assert!(!is_object_id("6955B900c0ffee0123456789") && !is_object_id("6955b900"));
    }
}
