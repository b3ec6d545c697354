//! Limit keys as the database stores them, for the writer and for readers.

use longhaul::lifecycle::limits::KeyState;
use longhaul::{KeyConfig, QueueConfig, State, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::row::{Columns, unsigned};

/// The rank that a job's row stores. An available job with limit keys is placed behind all jobs without any: claims
/// find it by its group, so that claims of plain jobs never read it, and a process of an earlier release, which knows
/// no groups, still finds it. Each half of the range of numbers is larger than the range of times.
pub(crate) fn stored_rank(state: State, limit_key: Option<&str>, rank: i64) -> i64 {
    match (state, limit_key) {
        (State::Available, Some(_)) => beyond_plain(rank),
        _ => rank,
    }
}

/// The stored rank of an available job with limit keys.
pub(crate) fn beyond_plain(rank: i64) -> i64 {
    BEHIND_PLAIN + rank.clamp(-FIRST_KEYED, FIRST_KEYED - 1)
}

/// The rank of a job, from the rank that its row stores.
pub(crate) fn natural_rank(stored: i64) -> i64 {
    if stored < FIRST_KEYED { stored } else { stored - BEHIND_PLAIN }
}

/// The first rank of a job that has limit keys. The statements have it as `1 << 61`, and the next as `1 << 62`.
pub(crate) const FIRST_KEYED: i64 = 1 << 61;
const BEHIND_PLAIN: i64 = 1 << 62;

/// The limit keys in the text of a job or of a group; none if it has a preference only.
pub(crate) fn each_key(text: &str) -> impl Iterator<Item = &str> {
    keys_in(text).split(',').filter(|key| !key.is_empty())
}

/// The limit keys in a job's text, without its preference.
pub(crate) fn keys_in(text: &str) -> &str {
    text.split(';').next().unwrap_or(text)
}

/// The preference in a job's text or a lane's kind, from the semicolon on; empty without one.
pub(crate) fn preference_in(text: &str) -> &str {
    &text[keys_in(text).len()..]
}

/// The kind of the lane of a job: jobs with a preference have lanes of their own.
pub(crate) fn lane_kind(kind: &str, text: &str) -> String {
    format!("{kind}{}", preference_in(text))
}

/// The name of the row with the used limits of a queue, which is a limit key of all its jobs. No limit key has such a
/// name.
pub(crate) fn key_of_queue(queue: &str) -> String {
    format!("={queue}")
}

/// The queue of such a name.
pub(crate) fn queue_of_key(key: &str) -> Option<&str> {
    key.strip_prefix('=')
}

/// The stored row of a limit key.
#[derive(Debug, Default)]
pub(crate) struct KeyRow {
    /// The limits that were set for this very key.
    pub(crate) config: Option<KeyConfig>,
    /// The limits that apply to it.
    pub(crate) limits: KeyConfig,
    pub(crate) state: KeyState,
    /// The earliest time at which the key may admit a group that it holds back, without any event.
    pub(crate) opens_at: Option<Timestamp>,
    /// True if it has a row of its own.
    pub(crate) is_stored: bool,
    /// True if it may hold groups back.
    pub(crate) keeps_back: bool,
}

/// The look-ups that can find something. A transaction reads it once, so that keys without limits cost one look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUse {
    pub(crate) configs: bool,
    pub(crate) pauses: bool,
    pub(crate) kept_back: bool,
}

impl InUse {
    pub(crate) const ALL: Self = Self { configs: true, pauses: true, kept_back: true };

    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut find = connection.prepare_cached(include_str!("sql/limits_in_use.sql"))?;
        find.query_row([], |row| {
            Ok(Self { configs: row.get(0)?, pauses: row.get(1)?, kept_back: row.get(2)? })
        })
    }
}

/// Looks a limit key up.
pub(crate) fn find(connection: &Connection, key: &str, in_use: InUse) -> rusqlite::Result<KeyRow> {
    let mut find = connection.prepare_cached(include_str!("sql/find_key.sql"))?;
    let mut row = find.query_row([key], read_key).optional()?.unwrap_or_default();
    if let Some(queue) = queue_of_key(key) {
        row.limits = limits_of_queue(connection, queue)?.unwrap_or_default();
        return Ok(row);
    }
    if in_use.configs {
        let mut find = connection.prepare_cached("SELECT config FROM key_configs WHERE key = ?1")?;
        let own = find.query_row([key], |row| Ok(Columns::new(row).parsed::<KeyConfig>())).optional()?;
        // Limits that this release cannot read are none.
        row.config = own.map(Option::unwrap_or_default);
        row.limits = match row.config {
            Some(own) => own,
            None => limits_of_prefix(connection, key)?,
        };
    }
    if in_use.pauses {
        let mut find = connection.prepare_cached("SELECT until FROM pauses WHERE limit_key = ?1")?;
        row.state.closed_until = find.query_row([key], |row| row.get(0).map(Timestamp)).optional()?;
    }
    if in_use.kept_back {
        row.keeps_back =
            connection.prepare_cached("SELECT 1 FROM key_groups WHERE closed_by = ?1")?.exists([key])?;
    }
    Ok(row)
}

/// The limits of a queue that has slots or a rate.
pub(crate) fn limits_of_queue(connection: &Connection, queue: &str) -> rusqlite::Result<Option<KeyConfig>> {
    let mut find = connection.prepare_cached(include_str!("sql/limits_of_queue.sql"))?;
    let config = find.query_row([queue], |row| Ok(Columns::new(row).parsed::<QueueConfig>())).optional()?;
    // Limits that this release cannot read are none.
    Ok(config.flatten().filter(QueueConfig::is_limited).map(|config| config.limits()))
}

fn read_key(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    let mut columns = Columns::new(row);
    let state = KeyState {
        used: unsigned(columns.next()),
        rate_free_at: columns.next(),
        rate: columns.parsed(),
        closed_until: None,
    };
    let opens_at = columns.next::<Option<i64>>().map(Timestamp);
    Ok(KeyRow { state, opens_at, is_stored: true, ..KeyRow::default() })
}

/// The limits of the longest configured prefix of a key.
fn limits_of_prefix(connection: &Connection, key: &str) -> rusqlite::Result<KeyConfig> {
    let mut find = connection.prepare_cached(include_str!("sql/prefix_at_or_before.sql"))?;
    let mut up_to = key;
    loop {
        // The last prefix in order up to the key is the longest one of it, or else shares a part with it: no prefix of the key
        // that is longer than that part can be configured.
        let found = find.query_row([up_to], |row| {
            let mut columns = Columns::new(row);
            Ok((columns.next::<String>(), columns.parsed::<KeyConfig>()))
        });
        let Some((prefix, config)) = found.optional()? else { return Ok(KeyConfig::default()) };
        if key.starts_with(&prefix) {
            return Ok(config.unwrap_or_default());
        }
        let shared = prefix.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
        // Names are ASCII, so every length is between two characters.
        let Some(shared) = key.get(..shared) else { return Ok(KeyConfig::default()) };
        up_to = shared;
    }
}

/// The first text in order behind all that begin with a prefix; `None` behind the empty one.
pub(crate) fn end_of_prefix(prefix: &str) -> Option<String> {
    // Names are ASCII, so the next character after the last is one.
    let last = prefix.chars().last()?;
    let next = char::from_u32(u32::from(last) + 1)?;
    Some(format!("{}{next}", &prefix[..prefix.len() - last.len_utf8()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart_into_keys_and_preference() {
        for (text, keys, preference) in [
            ("", &[][..], ""),
            ("a,b", &["a", "b"], ""),
            (";!gpu=x;zone=eu", &[], ";!gpu=x;zone=eu"),
            ("a;gpu=x", &["a"], ";gpu=x"),
        ] {
            assert_eq!(each_key(text).collect::<Vec<_>>(), keys, "{text}");
            assert_eq!(preference_in(text), preference);
            assert_eq!(lane_kind("send", text), format!("send{preference}"));
            assert_eq!(keys_in(&lane_kind("send", text)), "send");
        }
    }

    #[test]
    fn ranks_of_jobs_with_keys_are_behind_all_others_in_the_same_order() {
        let ranks = [i64::MIN, -1, 0, 1_767_225_600_000, 1 << 61, i64::MAX];
        let stored = ranks.map(|rank| stored_rank(State::Available, Some("a"), rank));
        assert!(stored.is_sorted() && stored.iter().all(|rank| *rank >= FIRST_KEYED), "{stored:?}");
        for rank in &ranks[1..4] {
            assert_eq!(natural_rank(stored_rank(State::Available, Some("a"), *rank)), *rank);
            assert_eq!(natural_rank(*rank), *rank);
            assert_eq!(stored_rank(State::Scheduled, Some("a"), *rank), *rank, "until it is available");
            assert_eq!(stored_rank(State::Available, None, *rank), *rank);
        }
    }
}
