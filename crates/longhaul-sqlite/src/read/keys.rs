use std::collections::BTreeSet;

use longhaul::lifecycle::limits;
use longhaul::{Cost, KeyConfig, KeyFilter, KeyInfo, MAX_KEYS, MAX_POSITION, Result, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::fault;
use crate::limit_key::{self, InUse, keys_in, preference_in};
use crate::row::{Columns, signed, unsigned};

/// The limit keys that fit a filter, by name, with what holds for them now.
pub(crate) fn keys(connection: &Connection, filter: &KeyFilter, now: Timestamp) -> Result<Vec<KeyInfo>> {
    // One transaction, so that all values of a key are of one moment.
    let transaction = connection.unchecked_transaction().map_err(fault("list limit keys"))?;
    let names = names(&transaction, filter, now).map_err(fault("list limit keys"))?;
    let keys: rusqlite::Result<Vec<KeyInfo>> =
        names.iter().map(|name| key(&transaction, name, &filter.cost, now)).collect();
    let keys = keys.map_err(fault("list limit keys"))?;
    transaction.finish().map_err(fault("list limit keys"))?;
    Ok(keys)
}

fn names(connection: &Connection, filter: &KeyFilter, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    let limit = filter.limit.clamp(1, MAX_KEYS);
    let mut names: BTreeSet<String> = if !filter.names.is_empty() {
        filter.names.iter().cloned().collect()
    } else if let Some(queue) = &filter.queue {
        waiting(connection, filter, limit, Some(queue))?
    } else {
        let mut names = waiting(connection, filter, limit, None)?;
        let sql = include_str!("../sql/keys_of_note.sql");
        let mut find = connection.prepare_cached(sql)?;
        for name in find.query_map(params![from(filter), now.0, signed(limit as u64)], |row| row.get(0))? {
            names.insert(name?);
        }
        names
    };
    let is_behind = |name: &str| filter.after.as_deref().is_none_or(|after| name > after);
    names.retain(|name| name.starts_with(&filter.prefix) && is_behind(name));
    if let Some(queue) = filter.queue.as_ref().filter(|_| !filter.names.is_empty()) {
        let mut of_queue = BTreeSet::new();
        for name in names {
            if waits_in(connection, &name, queue)? {
                of_queue.insert(name);
            }
        }
        names = of_queue;
    }
    Ok(names.into_iter().take(limit).collect())
}

/// The first text that a name may be: the prefix, or what follows the name after which the page begins.
fn from(filter: &KeyFilter) -> String {
    filter.after.as_deref().map(behind).unwrap_or_default().max(filter.prefix.clone())
}

/// The first text behind a name: no name has a character as low as this.
fn behind(name: &str) -> String {
    format!("{name}\u{1}")
}

/// Keys of which jobs wait, one step in the index after the other, however many groups a key has.
fn waiting(
    connection: &Connection,
    filter: &KeyFilter,
    limit: usize,
    queue: Option<&String>,
) -> rusqlite::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut next = connection.prepare_cached(include_str!("../sql/next_waiting_key.sql"))?;
    let mut at = from(filter);
    while names.len() < limit
        && let Some(name) = next.query_row([&at], |row| row.get::<_, Option<String>>(0))?
        && name.starts_with(&filter.prefix)
    {
        at = behind(&name);
        let fits = match queue {
            Some(queue) => waits_in(connection, &name, queue)?,
            None => true,
        };
        if fits {
            names.insert(name);
        }
    }
    Ok(names)
}

fn waits_in(connection: &Connection, key: &str, queue: &str) -> rusqlite::Result<bool> {
    let sql = format!("SELECT 1 FROM ({}) WHERE queue = ?2", include_str!("../sql/groups_of_key.sql"));
    connection.prepare_cached(&sql)?.exists([key, queue])
}

fn key(connection: &Connection, name: &str, cost: &Cost, now: Timestamp) -> rusqlite::Result<KeyInfo> {
    let none = KeyInfo {
        key: name.to_owned(),
        config: None,
        limits: KeyConfig::default(),
        waiting: 0,
        used: 0,
        closed_until: None,
        rate_free_at: None,
    };
    if name.ends_with('*') {
        let find = "SELECT config FROM key_configs WHERE key = ?1";
        let mut find = connection.prepare_cached(find)?;
        let config: Option<KeyConfig> =
            find.query_row([name], |row| Ok(Columns::new(row).parsed())).optional()?.flatten();
        return Ok(KeyInfo { config, limits: config.unwrap_or_default(), ..none });
    }
    let row = limit_key::find(connection, name, InUse::ALL)?;
    Ok(KeyInfo {
        config: row.config,
        limits: row.limits,
        waiting: count_waiting(connection, name)?,
        used: row.state.used,
        closed_until: row.state.closed_until.filter(|until| *until > now),
        rate_free_at: limits::rate_admits_at(&row.limits, &row.state, cost.rate, now),
        ..none
    })
}

/// The available jobs of a key, counted up to a bound: a group has one at least, so that few of many groups are looked at.
fn count_waiting(connection: &Connection, key: &str) -> rusqlite::Result<u64> {
    let most = signed(MAX_POSITION);
    let mut groups = connection.prepare_cached(include_str!("../sql/groups_of_key.sql"))?;
    let mut count = connection.prepare_cached(include_str!("../sql/count_group.sql"))?;
    let mut rows = groups.query([key])?;
    let mut waiting = 0_i64;
    while waiting < most
        && let Some(row) = rows.next()?
    {
        let mut columns = Columns::new(row);
        let (keys, queue): (String, String) = (columns.next(), columns.next());
        let (kind, version): (String, u32) = (columns.next(), columns.next());
        let text = format!("{keys}{}", preference_in(&kind));
        let values = params![text, queue, keys_in(&kind), version, most - waiting];
        waiting += count.query_row(values, |row| row.get::<_, i64>(0))?;
    }
    Ok(unsigned(waiting))
}
