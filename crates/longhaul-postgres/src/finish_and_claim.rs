use std::collections::{BTreeMap, HashSet};

use longhaul::{
    Change, Changes, Claim, Claimed, EventBody, Finish, JobId, Json, KeptChange, Lease, Outcome, Result,
    State, Timestamp,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::claim::deadline_in;
use crate::connection::Connection;
use crate::error::fault;
use crate::limits::rank_of;
use crate::row::{Unreadable, json, json_text, parsed, policy, rows_at_most, signed, small, unsigned};
use crate::server_clock::Now;

pub(crate) const FINISH_AND_CLAIM: &str = include_str!("sql/finish_and_claim.sql");
pub(crate) const FINISH_AND_CLAIM_KEYED: &str = include_str!("sql/finish_and_claim_keyed.sql");

/// Which jobs the statement can end and claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// Those without limit keys.
    Plain,
    /// Those of keys without limits, too, for which it does more.
    Keyed,
}

/// The result of the statement, which is committed.
pub(crate) struct Done {
    pub(crate) ended: Ended,
    pub(crate) claimed: Vec<Claimed>,
    /// Claimed jobs that cannot be read, with the reason.
    pub(crate) unreadable: Vec<(Lease, String)>,
    /// Those of them that have limit keys.
    pub(crate) claimed_keyed: usize,
    /// True where it was all there is to do. If not, nothing was claimed.
    pub(crate) is_all: bool,
    /// True where nothing was claimed because there was no job.
    pub(crate) is_empty: bool,
    /// The changes, if there is an observer.
    pub(crate) noted: Vec<KeptChange>,
}

/// Runs that have ended.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) runs: HashSet<Lease>,
    /// True where some of them had limit keys, of which they have given slots back.
    pub(crate) has_keys: bool,
    /// Queues with limits of which they have given slots back.
    pub(crate) limited_queues: HashSet<String>,
}

/// True where all runs have completed and have nothing but their outputs.
pub(crate) fn is_simple(finishes: &[Finish]) -> bool {
    // Of two ends of one run the first counts, so those are looked at in order.
    let runs: HashSet<&Lease> = finishes.iter().map(|finish| &finish.lease).collect();
    !finishes.is_empty()
        && runs.len() == finishes.len()
        && finishes.iter().all(|finish| simple_output(finish).is_some())
}

/// The output of a run that has completed and has nothing else to keep.
pub(crate) fn simple_output(finish: &Finish) -> Option<&Json> {
    match &finish.outcome {
        Outcome::Completed { output }
            if finish.entries.is_empty() && finish.follow_ups.is_empty() && finish.cost.is_none() =>
        {
            Some(output)
        }
        _ => None,
    }
}

/// Ends simple runs and claims, in one statement.
pub(crate) async fn run(
    connection: &Connection,
    finishes: &[Finish],
    claim: Option<&Claim>,
    jobs: Jobs,
    now: Now,
    claim_number: i64,
    observers: &Changes,
) -> Result<Done> {
    let mut runs: Vec<(&Lease, &Json)> =
        finishes.iter().filter_map(|finish| Some((&finish.lease, simple_output(finish)?))).collect();
    // Rows are always taken in one order, so that no two transactions wait for each other.
    runs.sort_unstable_by_key(|(lease, _)| (lease.id.as_str(), lease.token));
    let ids: Vec<&str> = runs.iter().map(|(lease, _)| lease.id.as_str()).collect();
    let tokens: Vec<i64> = runs.iter().map(|(lease, _)| signed(lease.token)).collect();
    let outputs: Vec<&str> = runs.iter().map(|(_, output)| output.as_str()).collect();
    let Sources { queues, kinds, versions, slots } = claim.map(sources).unwrap_or_default();
    let worker = claim.map_or("", |claim| &claim.worker.id);
    let until = claim.map_or(now.earliest, |claim| now.plus(claim.lease_for));
    let reset = Json::new(&EventBody::Reset)?;
    let values: [&(dyn ToSql + Sync); 12] = [
        &ids,
        &tokens,
        &outputs,
        &queues,
        &kinds,
        &versions,
        &slots,
        &now.earliest.0,
        &worker,
        &until.0,
        &reset.as_str(),
        &claim_number,
    ];
    let sql = match jobs {
        Jobs::Plain => FINISH_AND_CLAIM,
        Jobs::Keyed => FINISH_AND_CLAIM_KEYED,
    };
    let rows = connection.rows(sql, &values).await.map_err(fault("finish and claim"))?;
    let mut done = Done {
        ended: Ended::default(),
        claimed: Vec::new(),
        claimed_keyed: 0,
        unreadable: Vec::new(),
        is_all: true,
        is_empty: false,
        noted: Vec::new(),
    };
    let is_observed = observers.is_observed();
    let mut claimed: Vec<((i64, i64), Claimed)> = Vec::new();
    for row in &rows {
        let Some(id) = row.get::<_, Option<&str>>(0) else {
            done.is_all = false;
            done.is_empty = row.get::<_, Option<i64>>(1).is_some();
            continue;
        };
        let lease = Lease { id: JobId::from_store(id.to_owned()), token: unsigned(row.get(1)) };
        let version: Option<i64> = row.get(3);
        if is_observed {
            let states = match version {
                None => (State::Running, State::Completed),
                Some(_) => (State::Available, State::Running),
            };
            done.noted.push(KeptChange::from(&change(row, &lease.id, states, now.earliest)));
        }
        match version {
            None => {
                done.ended.has_keys |= row.get::<_, Option<i64>>(7).is_some();
                if row.get::<_, Option<i64>>(8).is_some() {
                    done.ended.limited_queues.insert(row.get(4));
                }
                done.ended.runs.insert(lease);
            }
            Some(version) => {
                let place: i64 = row.get(13);
                let rank = rank_of(place);
                done.claimed_keyed += usize::from(rank != place);
                match read_claimed(row, lease.clone(), version, now.earliest) {
                    Ok(job) => claimed.push(((rank, row.get(14)), job)),
                    Err(unreadable) => done.unreadable.push((lease, unreadable.to_string())),
                }
            }
        }
    }
    claimed.sort_unstable_by_key(|(place, _)| *place);
    done.claimed = claimed.into_iter().map(|(_, claimed)| claimed).collect();
    Ok(done)
}

/// The sources of a claim, column by column: each kind of each queue, with its newest version.
#[derive(Default)]
struct Sources<'c> {
    queues: Vec<&'c str>,
    kinds: Vec<&'c str>,
    versions: Vec<i64>,
    slots: Vec<i64>,
}

fn sources(claim: &Claim) -> Sources<'_> {
    let mut sources = Sources::default();
    for queue in claim.queues.iter().filter(|queue| queue.slots > 0) {
        for known in &claim.kinds {
            sources.queues.push(&queue.queue);
            sources.kinds.push(&known.kind);
            sources.versions.push(i64::from(known.version));
            sources.slots.push(rows_at_most(queue.slots));
        }
    }
    sources
}

/// The change of state in a row.
fn change<'r>(row: &'r Row, id: &'r JobId, (from, to): (State, State), at: Timestamp) -> Change<'r> {
    Change {
        id,
        kind: row.get(2),
        queue: row.get(4),
        from: Some(from),
        to: Some(to),
        attempt: small(row.get(6)),
        at,
        since: row.get::<_, Option<i64>>(16).map(Timestamp),
        error: None,
    }
}

fn read_claimed(row: &Row, lease: Lease, version: i64, now: Timestamp) -> Result<Claimed, Unreadable> {
    let mut steps = BTreeMap::new();
    let mut words = row.get::<_, Option<Vec<String>>>(12).unwrap_or_default().into_iter();
    while let (Some(name), Some(output)) = (words.next(), words.next()) {
        steps.insert(name, json_text(output, "steps")?);
    }
    Ok(Claimed {
        lease,
        kind: row.get(2),
        version: small(version),
        queue: row.get(4),
        args: json(row, 5, "args")?,
        attempt: small(row.get(6)),
        max_attempts: small(row.get(7)),
        policy: policy(row, [8, 9, 15])?,
        created_at: Timestamp(row.get(10)),
        deadline_in: deadline_in(row, 17, now),
        labels: parsed(row, 11, "labels")?.unwrap_or_default(),
        steps,
    })
}
