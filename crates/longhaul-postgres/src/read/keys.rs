use std::collections::{BTreeMap, BTreeSet};

use longhaul::lifecycle::limits::{limits_of, rate_admits_at};
use longhaul::{Cost, KeyConfig, KeyFilter, KeyInfo, MAX_KEYS, MAX_POSITION, Result, Timestamp};
use tokio_postgres::Row;

use super::{Reader, Reads};
use crate::limits::{key_config, key_state};
use crate::row::{rows_at_most, signed, unsigned};

/// Limit keys, by name.
pub(crate) async fn keys(reads: &Reads, filter: &KeyFilter, now: Timestamp) -> Result<Vec<KeyInfo>> {
    let mut reader = Reader::of(reads, "list keys").await?;
    let limit = filter.limit.clamp(1, MAX_KEYS);
    let prefixes = prefixes(&mut reader).await?;
    let (mut keys, mut after) = (Vec::new(), filter.after.clone());
    // Names that nothing is left of are passed over.
    while keys.len() < limit {
        let names = names(&mut reader, filter, after.as_deref(), limit, now).await?;
        let is_last = names.len() < limit;
        let rows = reader
            .rows(include_str!("../sql/key_infos.sql"), &[&names, &signed(MAX_POSITION), &filter.queue])
            .await?;
        after = names.into_iter().next_back().or(after);
        let infos = rows
            .iter()
            .filter(|row| row.get::<_, bool>(7))
            .map(|row| info(row, &prefixes, &filter.cost, now));
        keys.extend(infos.filter(|key| !filter.names.is_empty() || is_listed(key)));
        if is_last {
            break;
        }
    }
    keys.truncate(limit);
    Ok(keys)
}

/// At most `limit` names after `after` of keys that may have something to list.
async fn names(
    reader: &mut Reader<'_>,
    filter: &KeyFilter,
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<String>> {
    if !filter.names.is_empty() {
        let asked: BTreeSet<&String> = filter
            .names
            .iter()
            .filter(|name| {
                name.starts_with(&filter.prefix) && after.is_none_or(|after| name.as_str() > after)
            })
            .collect();
        return Ok(asked.into_iter().take(limit).cloned().collect());
    }
    let most = rows_at_most(limit);
    let rows = match &filter.queue {
        Some(queue) => {
            let sql = include_str!("../sql/key_names_of_queue.sql");
            reader.rows(sql, &[&filter.prefix, &after, queue, &most]).await?
        }
        None => {
            let sql = include_str!("../sql/key_names.sql");
            reader.rows(sql, &[&filter.prefix, &after, &now.0, &most]).await?
        }
    };
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn prefixes(reader: &mut Reader<'_>) -> Result<BTreeMap<String, KeyConfig>> {
    let rows = reader.rows(include_str!("../sql/prefix_configs.sql"), &[]).await?;
    Ok(rows.iter().filter_map(|row| Some((row.get(0), key_config(row.get(1))?))).collect())
}

/// True for a key to list though it was not asked for by name: a limit, a pause or a use applies to it.
fn is_listed(key: &KeyInfo) -> bool {
    key.config.is_some() || key.closed_until.is_some() || key.waiting > 0 || key.used > 0
}

/// Reads a row of key_infos.sql.
fn info(row: &Row, prefixes: &BTreeMap<String, KeyConfig>, cost: &Cost, now: Timestamp) -> KeyInfo {
    let key: String = row.get(0);
    let config = row.get::<_, Option<&str>>(5).and_then(key_config);
    if key.ends_with('*') {
        let limits = config.unwrap_or_default();
        let (closed_until, rate_free_at) = (None, None);
        return KeyInfo { key, config, limits, waiting: 0, used: 0, closed_until, rate_free_at };
    }
    let (limits, state) = (config.unwrap_or_else(|| limits_of(&key, prefixes)), key_state(row, 0));
    KeyInfo {
        key,
        config,
        limits,
        waiting: unsigned(row.get(6)),
        used: state.used,
        closed_until: state.closed_until.filter(|until| *until > now),
        rate_free_at: rate_admits_at(&limits, &state, cost.rate, now),
    }
}
