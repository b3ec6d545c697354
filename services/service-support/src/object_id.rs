use longhaul::Timestamp;

/// Makes MongoDB ObjectIds: 24 lowercase hex digits that stand for four bytes of time in seconds and eight of chance. The
/// standard's counter would let whoever has one id find those that were made beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectIds;

impl ObjectIds {
    /// An id that nobody else has.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> String {
        // The standard's four bytes last from 1970 until 2106.
        let seconds = u32::try_from(now.0.max(0) / 1_000).unwrap_or(u32::MAX);
        format!("{seconds:08x}{:016x}", rand::random::<u64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_time_and_nothing_else_that_can_be_known() {
        let ids: Vec<String> =
            (0..1_000).map(|_| ObjectIds.next(Timestamp(0x60d5_ec49 * 1_000 + 999))).collect();
        assert!(ids.iter().all(|id| id.len() == 24 && id.starts_with("60d5ec49")), "{ids:?}");
        assert!(ids[0].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{ids:?}");
        assert!(ObjectIds.next(Timestamp(-5_000)).starts_with("00000000"));
        // No part of the rest is the same in all, as a process's name would be, and none counts up.
        for digit in 8..24 {
            assert!(
                ids.iter().any(|id| id.as_bytes()[digit] != ids[0].as_bytes()[digit]),
                "{digit}: {ids:?}"
            );
        }
        assert!(!ids.is_sorted());
    }
}
