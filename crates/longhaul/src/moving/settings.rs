use std::collections::HashSet;

use super::{Exported, ExportedKey, ExportedQueue, Imported};
use crate::clock::Timestamp;
use crate::model::{KeyFilter, QueueConfig};
use crate::store::{MAX_KEYS, Result, Store};

/// The settings of queues and limit keys, which come before all else.
///
/// # Errors
/// A fault of the store.
pub async fn export_settings(store: &dyn Store) -> Result<Vec<Exported>> {
    let mut settings = Vec::new();
    for queue in store.queues().await? {
        if queue.paused || queue.config != QueueConfig::default() {
            let (queue, config, paused) = (queue.name, queue.config, queue.paused);
            settings.push(Exported::Queue(ExportedQueue { queue, config, paused }));
        }
    }
    let mut filter = KeyFilter { limit: MAX_KEYS, ..KeyFilter::default() };
    loop {
        let keys = store.keys(&filter).await?;
        filter.after = keys.last().map(|key| key.key.clone());
        let is_last = keys.len() < MAX_KEYS;
        for key in keys {
            if key.config.is_some() || key.closed_until.is_some() {
                let (config, closed_until) = (key.config, key.closed_until);
                settings.push(Exported::Key(ExportedKey { key: key.key, config, closed_until }));
            }
        }
        if is_last {
            return Ok(settings);
        }
    }
}

/// Imports the settings among records, at the time `now` on the store's clock; `None` stands for every other record. What was
/// set in the store stays.
///
/// # Errors
/// A fault of the store.
pub async fn import_settings(
    store: &dyn Store,
    records: &[Exported],
    now: Timestamp,
) -> Result<Vec<Option<Imported>>> {
    let has_queues = records.iter().any(|record| matches!(record, Exported::Queue(_)));
    let queues = if has_queues { store.queues().await? } else { Vec::new() };
    let mut imported = Vec::with_capacity(records.len());
    // Of two records of one name the first counts.
    let (mut seen_queues, mut seen_keys) = (HashSet::new(), HashSet::new());
    for record in records {
        imported.push(match record {
            Exported::Queue(queue) if !seen_queues.insert(&queue.queue) => Some(Imported::Present),
            Exported::Key(key) if !seen_keys.insert(&key.key) => Some(Imported::Present),
            Exported::Queue(queue) => {
                let present = queues.iter().find(|other| other.name == queue.queue);
                let is_set = |config: &QueueConfig| *config != QueueConfig::default();
                let unset = QueueConfig::default();
                if present.is_some_and(|other| other.paused || is_set(&other.config)) {
                    Some(Imported::Present)
                } else if is_set(&queue.config)
                    && !store.update_queue(&queue.queue, &unset, &queue.config).await?
                {
                    // Somebody has set it since it was looked at.
                    Some(Imported::Present)
                } else {
                    if queue.paused {
                        store.pause_queue(&queue.queue).await?;
                    }
                    Some(Imported::Created)
                }
            }
            Exported::Key(key) => Some(import_key(store, key, now).await?),
            _ => None,
        });
    }
    Ok(imported)
}

async fn import_key(store: &dyn Store, key: &ExportedKey, now: Timestamp) -> Result<Imported> {
    let filter = KeyFilter { names: vec![key.key.clone()], limit: 1, ..KeyFilter::default() };
    let present = store.keys(&filter).await?.pop();
    if present.is_some_and(|present| present.config.is_some() || present.closed_until.is_some()) {
        return Ok(Imported::Present);
    }
    if key.config.is_some() {
        store.set_key(&key.key, key.config.as_ref()).await?;
    }
    // One that is over need not begin.
    if let Some(until) = key.closed_until.filter(|until| *until > now) {
        store.pause_key(&key.key, until.since(now)).await?;
    }
    Ok(Imported::Created)
}
