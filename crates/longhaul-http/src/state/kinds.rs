use std::collections::HashMap;
use std::time::Duration;

use longhaul::{SupportedKind, Timestamp};
use parking_lot::RwLock;

/// The kinds that remote workers have claimed lately, so that callers may enqueue them though this process runs none.
/// Known to this process only, and again as soon as a worker claims.
#[derive(Debug, Default)]
pub(crate) struct RemoteKinds(RwLock<HashMap<String, Known>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    version: u32,
    /// The time of the last claim that was noted with this version.
    version_at: Timestamp,
    /// The time of the last claim that was noted with any.
    seen_at: Timestamp,
}

/// The time for which a kind is known that no worker claims any more. Long, because jobs of a kind are worth keeping while its
/// workers are being replaced.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);
/// The time for which a version outranks lower ones after its last claim: longer than a worker that is busy with short jobs goes
/// without a claim, and short enough that a version which was claimed by mistake is soon forgotten.
const VERSION_KNOWN_FOR: Duration = Duration::from_secs(5 * 60);
/// The interval at which a kind's time is written; what lies between costs claims a look and no lock for writing.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// The most kinds that are known.
const MOST_KINDS: usize = 1_000;

impl RemoteKinds {
    /// Notes the kinds that a worker runs.
    pub(crate) fn note(&self, kinds: &[SupportedKind], now: Timestamp) {
        let is_news = {
            let known = self.0.read();
            kinds.iter().any(|kind| {
                known.get(&kind.kind).is_none_or(|known| {
                    let noted_at =
                        if known.version == kind.version { known.version_at } else { known.seen_at };
                    known.version < kind.version || now.since(noted_at) >= NOTED_EVERY
                })
            })
        };
        if !is_news {
            return;
        }
        let mut known = self.0.write();
        known.retain(|_, known| now.since(known.seen_at) < KNOWN_FOR);
        for kind in kinds {
            if known.len() >= MOST_KINDS && !known.contains_key(&kind.kind) {
                continue;
            }
            let fresh = Known { version: kind.version, version_at: now, seen_at: now };
            let entry = known.entry(kind.kind.clone()).or_insert(fresh);
            if kind.version >= entry.version || now.since(entry.version_at) >= VERSION_KNOWN_FOR {
                *entry = fresh;
            }
            entry.seen_at = now;
        }
    }

    /// The newest version of a kind's args that remote workers have claimed lately, where one runs the kind.
    pub(crate) fn version(&self, kind: &str, now: Timestamp) -> Option<u32> {
        let known = self.0.read();
        known.get(kind).filter(|known| now.since(known.seen_at) < KNOWN_FOR).map(|known| known.version)
    }

    /// All of them, by name.
    pub(crate) fn names(&self, now: Timestamp) -> Vec<String> {
        let known = self.0.read();
        let mut names: Vec<String> = known
            .iter()
            .filter(|(_, known)| now.since(known.seen_at) < KNOWN_FOR)
            .map(|(name, _)| name.clone())
            .collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, version: u32) -> Vec<SupportedKind> {
        vec![SupportedKind { kind: name.into(), version }]
    }

    #[test]
    fn a_kind_is_known_until_a_day_after_its_last_claim() {
        let (kinds, start) = (RemoteKinds::default(), Timestamp(0));
        let hour = start.plus(Duration::from_secs(3600));
        kinds.note(&kind("paint", 2), start);
        kinds.note(&kind("paint", 2), hour);
        assert_eq!(kinds.version("paint", start.plus(KNOWN_FOR)), Some(2), "a claim renews it");
        assert_eq!(kinds.version("dig", start), None);
        assert_eq!(kinds.version("paint", hour.plus(KNOWN_FOR)), None);
        assert!(kinds.names(hour.plus(KNOWN_FOR)).is_empty());
    }

    #[test]
    fn a_lower_version_counts_once_the_higher_is_no_longer_claimed() {
        let (kinds, mut now) = (RemoteKinds::default(), Timestamp(0));
        for _ in 0..2 * VERSION_KNOWN_FOR.as_secs() / NOTED_EVERY.as_secs() {
            kinds.note(&kind("paint", 1), now);
            kinds.note(&kind("paint", 2), now);
            assert_eq!(kinds.version("paint", now), Some(2), "workers of both versions claim");
            now = now.plus(NOTED_EVERY);
        }
        let last = now;
        kinds.note(&kind("paint", 2), last);
        while now.since(last) < VERSION_KNOWN_FOR {
            kinds.note(&kind("paint", 1), now);
            assert_eq!(kinds.version("paint", now), Some(2));
            now = now.plus(NOTED_EVERY);
        }
        kinds.note(&kind("paint", 1), now);
        assert_eq!(kinds.version("paint", now), Some(1));
    }

    #[test]
    fn no_caller_can_make_it_grow_without_end() {
        let kinds = RemoteKinds::default();
        for n in 0..2 * MOST_KINDS {
            kinds.note(&kind(&format!("k{n}"), 1), Timestamp(0));
        }
        assert_eq!(kinds.names(Timestamp(0)).len(), MOST_KINDS);
    }
}
