use std::collections::{HashMap, HashSet};

use longhaul::{JobId, JobRecord, Lookup, MAX_POSITION, Payloads, Result, State, Timestamp};

use super::{Reader, Reads};
use crate::row::{RowFacts, job_columns, job_record, signed, unsigned};

/// Looks jobs up by id.
pub(crate) async fn get(reads: &Reads, ids: &[JobId], now: Timestamp) -> Result<Vec<Lookup>> {
    let mut reader = Reader::of(reads, "look a job up").await?;
    let words: Vec<&str> = ids.iter().map(JobId::as_str).collect();
    let columns = job_columns(Payloads::Whole);
    let sql = format!("SELECT {columns} FROM jobs WHERE id = ANY ($1::text[])");
    let mut found: HashMap<JobId, JobRecord> = HashMap::new();
    for row in reader.rows(&sql, &[&words]).await? {
        let (mut record, facts) = job_record(&row);
        if record.state == State::Available {
            record.position = Some(position(&mut reader, &record, &facts).await?);
        }
        found.insert(record.id.clone(), record);
    }
    let keys: Vec<&str> = found.values().filter_map(|job| Some(job.unique.as_ref()?.key.as_str())).collect();
    if !keys.is_empty() {
        let sql = include_str!("../sql/holders_of_unique_keys.sql");
        let rows = reader.rows(sql, &[&keys, &now.0]).await?;
        let holders: HashMap<&str, JobId> =
            rows.iter().map(|row| (row.get(0), JobId::from_store(row.get(1)))).collect();
        for unique in found.values_mut().filter_map(|job| job.unique.as_mut()) {
            unique.holder = holders.get(unique.key.as_str()).cloned();
        }
    }
    let mut gone = HashSet::new();
    if ids.iter().any(|id| !found.contains_key(id)) {
        let rows = reader.rows(include_str!("../sql/gone.sql"), &[&words, &now.0]).await?;
        gone.extend(rows.iter().map(|row| JobId::from_store(row.get(0))));
    }
    let answer = |id: &JobId| match found.get(id) {
        Some(record) => Lookup::Found(Box::new(record.clone())),
        None if gone.contains(id) => Lookup::Gone,
        None => Lookup::Unknown,
    };
    Ok(ids.iter().map(answer).collect())
}

/// The number of available jobs of the queue that would be claimed before this one, and one; at most [`MAX_POSITION`].
async fn position(reader: &mut Reader<'_>, record: &JobRecord, facts: &RowFacts) -> Result<u64> {
    // The index orders a queue's jobs within each kind and version. `next` steps from one of these to the following one
    // without reading the jobs between, so the cost is bounded however long the queue is.
    let (next, ahead) = (include_str!("../sql/next_claim_source.sql"), include_str!("../sql/jobs_ahead.sql"));
    let (mut kind, mut version) = (String::new(), 0_i64);
    let mut position = 1;
    while let Some(source) = reader.rows(next, &[&record.queue, &kind, &version]).await?.first() {
        (kind, version) = (source.get(0), source.get(1));
        let left = MAX_POSITION - position;
        if left == 0 {
            break;
        }
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&record.queue, &kind, &version, &facts.rank, &facts.seq, &signed(left)];
        let rows = reader.rows(ahead, &values).await?;
        position += rows.first().map_or(0, |row| unsigned(row.get(0)));
    }
    Ok(position)
}
