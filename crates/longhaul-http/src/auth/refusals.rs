//! Actions that were refused, as the audit log tells them: few entries, however many attempts, because anybody may make those.

use std::collections::HashMap;
use std::time::Duration;

use longhaul::access::AuditEntry;
use longhaul::{JobId, Timestamp};
use parking_lot::Mutex;

/// Attempts within this time that differ in nothing are one entry.
const WINDOW: Duration = Duration::from_secs(600);
/// The most entries that a server makes in that time. What is beyond is one entry more.
const MOST: usize = 20;

/// An action that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) who: String,
    pub(super) role: Option<&'static str>,
    pub(super) token: Option<String>,
    pub(super) action: &'static str,
    pub(super) object: String,
    /// The code of the problem that it was answered with.
    pub(super) code: &'static str,
}

/// The attempts of a server within the time of now.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    begun: Option<Timestamp>,
    counted: HashMap<Attempt, Counted>,
}

/// An entry, and how often it was tried.
#[derive(Debug)]
struct Counted {
    entry: AuditEntry,
    times: u64,
}

impl Refusals {
    /// Counts an attempt. Answers the entry that is to be written, which takes the place of the one before: at the first attempt, and then
    /// whenever there have been twice as many.
    pub(super) fn count(&self, attempt: Attempt, request_id: &str, now: Timestamp) -> Option<AuditEntry> {
        let mut window = self.0.lock();
        if window.begun.is_none_or(|begun| begun > now || now.since(begun) >= WINDOW) {
            *window = Window { begun: Some(now), counted: HashMap::new() };
        }
        let is_beyond = window.counted.len() >= MOST && !window.counted.contains_key(&attempt);
        let attempt = if is_beyond { others() } else { attempt };
        let counted = window
            .counted
            .entry(attempt)
            .or_insert_with_key(|attempt| Counted { entry: entry(attempt, request_id, now), times: 0 });
        counted.times += 1;
        if !counted.times.is_power_of_two() {
            return None;
        }
        let count = Some(counted.times).filter(|times| *times > 1);
        counted.entry.count = count;
        Some(counted.entry.clone())
    }
}

/// What stands for all that there is no room for.
fn others() -> Attempt {
    let who = "others".into();
    Attempt { who, role: None, token: None, action: "several", object: String::new(), code: "forbidden" }
}

fn entry(attempt: &Attempt, request_id: &str, now: Timestamp) -> AuditEntry {
    let Attempt { who, role, token, action, object, code } = attempt.clone();
    AuditEntry {
        id: JobId::random().to_string(),
        at: now,
        who,
        role: role.map(str::to_owned),
        token,
        action: action.into(),
        object,
        count: None,
        refused: Some(code.into()),
        request_id: request_id.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn attempt(object: &str) -> Attempt {
        Attempt { object: object.into(), action: "queue.pause", code: "unauthorized", ..others() }
    }

    #[test]
    fn equal_attempts_are_one_entry_that_is_told_again_at_each_doubling() {
        let refusals = Refusals::default();
        let told: Vec<AuditEntry> =
            (0..1_000).filter_map(|_| refusals.count(attempt("mail"), "r", NOW)).collect();
        let counts: Vec<_> = told.iter().map(|entry| entry.count.unwrap_or(1)).collect();
        assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert!(told.iter().all(|entry| (&entry.id, entry.at) == (&told[0].id, NOW)), "one entry");
        let later = refusals.count(attempt("mail"), "r", NOW.plus(WINDOW)).expect("a new one");
        assert_ne!(later.id, told[0].id);
    }

    #[test]
    fn a_flood_makes_no_more_than_so_many_entries() {
        let refusals = Refusals::default();
        let flood = (0..10_000).filter_map(|n| refusals.count(attempt(&format!("q{n}")), "r", NOW));
        let told: Vec<AuditEntry> = flood.collect();
        let ids: std::collections::HashSet<&str> = told.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids.len(), MOST + 1);
        assert_eq!(told.len(), MOST + 14, "and the last one is told at 1, 2, 4, … 8,192");
        assert_eq!(told.last().map(|entry| (entry.who.as_str(), entry.count)), Some(("others", Some(8_192))));
    }
}
