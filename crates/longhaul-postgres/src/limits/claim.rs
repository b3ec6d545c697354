use std::collections::{HashMap, HashSet, VecDeque};

use longhaul::lifecycle::prefer::{self, Fits};
use longhaul::{Claim, Claimed, Cost, Policy, QueueSlots, Result, Timestamp, split_keys, split_prefer};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::claim::{Groups, Next, read_next};
use crate::limits::ahead::{Ahead, Firsts, firsts, look_ahead};
use crate::limits::choice::{Bound, Choice, Chosen, Closing, End, Group, Head, Place, Rest, Turns};
use crate::limits::gates::Gate;
use crate::limits::keys::limits_of_queue;
use crate::limits::{BEHIND_OTHERS, Lock, count, key_state, rank_of};
use crate::row::{rows_at_most, signed};
use crate::write_tx::WriteTx;

/// Open groups that are read at once: beyond the jobs that are wanted, and at most.
const GROUPS_MORE: usize = 8;
const GROUPS_AT_ONCE: usize = 200;
/// The most groups that one claim closes, and the most rounds that it takes: the writer looks again in its next transaction.
const CLOSED_AT_ONCE: usize = 300;
const ROUNDS: usize = 64;
/// Groups that are looked at together where those that come first have no jobs.
const EMPTY_AT_ONCE: usize = 2_000;

/// A claim of one queue, as its statements want it.
pub(super) struct Wanted<'c> {
    pub(super) claim: &'c Claim,
    pub(super) queue: &'c str,
    pub(super) slots: usize,
    pub(super) kinds: Vec<&'c str>,
    pub(super) versions: Vec<i64>,
    /// Jobs that another transaction holds.
    held: HashSet<i64>,
    /// Joined keys of groups that closed ones of the same keys keep back.
    pub(super) kept_back: Vec<String>,
    /// The worker's labels, each as `label=value`.
    pub(super) labels: Vec<String>,
    /// The key that stands for the queue, where it has limits.
    queue_key: Option<String>,
    /// Groups whose first job has not waited long enough for the workers that it prefers: kind, version and joined keys.
    pub(super) early: Vec<String>,
}

impl<'c> Wanted<'c> {
    pub(super) fn new(queue: &'c QueueSlots, claim: &'c Claim) -> Self {
        let known = claim.kinds.iter().map(|known| (known.kind.as_str(), i64::from(known.version)));
        let (kinds, versions) = known.unzip();
        let labels = claim.worker.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        Self {
            claim,
            queue: &queue.queue,
            slots: queue.slots,
            kinds,
            versions,
            held: HashSet::new(),
            kept_back: Vec::new(),
            labels,
            queue_key: None,
            early: Vec::new(),
        }
    }
}

/// The state that is passed from one round of a choice to the next.
struct Known {
    turns: Option<Turns>,
    /// The rows that were read ahead.
    firsts: Option<Firsts>,
}

/// Groups that are closed, and the gates that have opened.
struct Closings<'c> {
    gates: &'c mut [Gate],
    closings: &'c [Closing],
}

impl WriteTx<'_> {
    /// Claims jobs of a queue with limit keys and without; those without alone, while another transaction has the lock.
    pub(crate) async fn claim_with_groups(
        &mut self,
        queue: &QueueSlots,
        claim: &Claim,
        claimed: &mut Vec<Claimed>,
    ) -> Result<()> {
        let mut wanted = Wanted::new(queue, claim);
        if self.limits.lock == Lock::Untried {
            let looked = look_ahead(self.reader(), claim, std::slice::from_ref(queue)).await?;
            self.limits.is_outdated = false;
            self.note_looked(looked).await?;
        }
        if !self.fold_limits().await? {
            self.effects.unfinished.kept_out.insert(queue.queue.clone());
            let plain = self.next_jobs(&queue.queue, queue.slots, claim, Groups::PassedOver).await?;
            return self.hand_over(&queue.queue, plain.unwrap_or_default(), claimed).await;
        }
        if self.limits.is_partial {
            self.effects.unfinished.stopped_early.insert(queue.queue.clone());
        }
        let Ahead { facts, due, firsts, .. } = self.begins_with(&wanted).await?;
        let Some(facts) = facts.first().filter(|facts| !facts.get::<_, bool>(0)) else { return Ok(()) };
        let mut turns = facts.get::<_, Option<i64>>(1).map(|latest| Turns {
            latest: count(latest),
            plain: count(facts.get(2)),
            ..Turns::default()
        });
        wanted.queue_key = facts.get::<_, Option<&str>>(8).map(|config| {
            let key: String = facts.get(3);
            self.limits.keys.note_queue(&key, limits_of_queue(config), key_state(facts, 3));
            key
        });
        due.iter().for_each(|row| self.limits.keys.note(row, 0));
        let mut gates: Vec<Gate> = due.iter().map(Gate::read).collect();
        // What is behind gates that have opened stands before it.
        let mut firsts = Some(firsts).filter(|_| gates.is_empty());
        let (mut closed, mut free) = (0, queue.slots);
        // When it is to be looked again though nothing is done.
        let mut alarm = None;
        for round in 1.. {
            let known = Known { turns: turns.take(), firsts: firsts.take() };
            let (choice, end) = self.choose(&wanted, &mut gates, free, known).await?;
            let Choice { groups, chosen, closings, opens_at, .. } = choice;
            turns = choice.turns;
            alarm = alarm
                .into_iter()
                .chain(opens_at)
                .chain(groups.iter().filter_map(|group| group.fits_from(self.now)))
                .min();
            let closing = Closings { gates: &mut gates, closings: &closings };
            let taken = self.take_chosen(&mut wanted, &chosen, &groups, turns.as_mut(), closing).await?;
            let is_short = taken.len() < chosen.len();
            let kept_back = groups.iter().filter(|group| group.is_kept_back);
            wanted.kept_back.extend(kept_back.map(|group| group.limit_key.clone()));
            let early = groups.iter().filter(|group| group.fits_from(self.now).is_some());
            wanted
                .early
                .extend(early.map(|group| format!("{}={}={}", group.kind, group.version, group.limit_key)));
            if groups.len() == groups_at_most(free) && groups.iter().all(|group| group.front().is_none()) {
                self.close_empty_groups(wanted.queue).await?;
            }
            free -= taken.len().min(free);
            closed += closings.len();
            self.hand_over(wanted.queue, taken, claimed).await?;
            if free == 0 || (end == End::Over && !is_short) {
                break;
            }
            if closed >= CLOSED_AT_ONCE || round >= ROUNDS {
                self.effects.unfinished.stopped_early.insert(queue.queue.clone());
                break;
            }
        }
        if let Some(at) = alarm.filter(|_| free > 0) {
            let sql = include_str!("../sql/set_alarm.sql");
            self.rows("claim", sql, &[&wanted.queue, &at.0, &self.now.0]).await?;
        }
        self.settle_gates(wanted.queue, &gates).await
    }

    /// Reads the groups and jobs that come first, and chooses among them.
    async fn choose(
        &mut self,
        wanted: &Wanted<'_>,
        gates: &mut [Gate],
        free: usize,
        Known { turns, firsts: read }: Known,
    ) -> Result<(Choice, End)> {
        let Firsts { groups, plain } = match read {
            Some(read) => read,
            None => {
                self.open_groups(wanted.queue, gates, free).await?;
                firsts(self.reader(), wanted, free).await?
            }
        };
        let most = groups_at_most(free);
        let (keys, groups): (Vec<Row>, Vec<Row>) =
            groups.into_iter().partition(|row| row.get::<_, Option<&str>>(0).is_none());
        // The keys of all groups come with them, and those of prefixes came with the lock.
        keys.iter().for_each(|row| self.limits.keys.note(row, 2));
        let groups = read_groups(&groups, free, wanted);
        let mut bounds: Vec<Bound> = gates.iter().filter_map(Gate::bound).collect();
        if groups.len() == most {
            bounds.extend(groups.last().map(|last| Bound { place: last.stored_place(), gate: None }));
        }
        let mut choice = Choice {
            groups,
            plain: plain
                .iter()
                .map(|row| head(row, [0, 1, 2], Fits::Always))
                .filter(|job| !wanted.held.contains(&job.seq))
                .collect(),
            turns,
            bounds,
            keys: std::mem::take(&mut self.limits.keys),
            queue_key: wanted.queue_key.clone(),
            now: self.now,
            chosen: Vec::new(),
            closings: Vec::new(),
            opens_at: None,
        };
        let end = choice.choose(free);
        self.limits.keys = std::mem::take(&mut choice.keys);
        Ok((choice, end))
    }

    /// Claims the jobs that were chosen, in their order, and writes what that changes. Jobs that another transaction holds
    /// stay, and are looked at again by the next claim.
    async fn take_chosen(
        &mut self,
        wanted: &mut Wanted<'_>,
        chosen: &[Chosen],
        groups: &[Group],
        turns: Option<&mut Turns>,
        Closings { gates, closings }: Closings<'_>,
    ) -> Result<Vec<Next>> {
        let seqs: Vec<i64> = chosen.iter().map(|job| job.seq).collect();
        let rates = self.limits.keys.take_rates();
        let until = self.time.plus(wanted.claim.lease_for).0;
        let worker = wanted.claim.worker.id.as_str();
        let is_limited = wanted.queue_key.is_some().then_some(true);
        let values: [&(dyn ToSql + Sync); 6] =
            [&seqs, &self.now.0, &worker, &until, &self.claim_number, &is_limited];
        // Sent together, and done in this order.
        let (rows, (), (), (), ()) = futures::try_join!(
            self.rows("claim", include_str!("../sql/claim_chosen_jobs.sql"), &values),
            self.move_groups(wanted.queue, groups),
            self.write_rates(&rates),
            self.write_turns(wanted.queue, turns),
            self.close_groups(wanted.queue, gates, closings),
        )?;
        let mut taken: HashMap<i64, Next> =
            rows.iter().map(|row| read_next(row, self.now)).map(|next| (next.seq, next)).collect();
        let mut in_order = Vec::with_capacity(taken.len());
        for job in chosen {
            if let Some(next) = taken.remove(&job.seq) {
                in_order.push(next);
                continue;
            }
            self.limits.keys.give_back(wanted.queue_key.as_slice(), &job.cost);
            wanted.held.insert(job.seq);
            if let Some(group) = job.group.and_then(|number| groups.get(number)) {
                self.limits.keys.give_back(&group.keys, &job.cost);
                let place = job.rank + BEHIND_OTHERS;
                let sql = include_str!("../sql/note_arrival.sql");
                let values: [&(dyn ToSql + Sync); 6] =
                    [&wanted.queue, &group.limit_key, &group.kind, &group.version, &place, &job.seq];
                self.rows("claim", sql, &values).await?;
            }
        }
        Ok(in_order)
    }

    /// Writes where groups stand now.
    async fn move_groups(&self, queue: &str, groups: &[Group]) -> Result<()> {
        let (mut kinds, mut versions, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ranks, mut seqs, mut closed_by) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            let front = group.front();
            if front == Some(group.stored) && group.closed_by.is_none() {
                continue;
            }
            kinds.push(group.kind.as_str());
            versions.push(group.version);
            keys.push(group.limit_key.as_str());
            ranks.push(front.map_or(i64::MAX, |(rank, _)| rank + BEHIND_OTHERS));
            seqs.push(front.map_or(i64::MAX, |(_, seq)| seq));
            closed_by.push(if front.is_none() { Some("") } else { group.closed_by.as_deref() });
        }
        if kinds.is_empty() {
            return Ok(());
        }
        let values: [&(dyn ToSql + Sync); 7] = [&queue, &kinds, &versions, &keys, &ranks, &seqs, &closed_by];
        self.rows("move groups", include_str!("../sql/move_groups.sql"), &values).await.map(drop)
    }

    /// Closes groups whose jobs were claimed by a statement that looks at no groups.
    async fn close_empty_groups(&self, queue: &str) -> Result<()> {
        let (sql, most) = (include_str!("../sql/close_empty_groups.sql"), rows_at_most(EMPTY_AT_ONCE));
        self.rows("move groups", sql, &[&queue, &most]).await.map(drop)
    }

    pub(super) async fn write_rates(&self, rates: &[(String, Option<String>, i64)]) -> Result<()> {
        if rates.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = rates.iter().map(|(key, ..)| key.as_str()).collect();
        let texts: Vec<Option<&str>> = rates.iter().map(|(_, rate, _)| rate.as_deref()).collect();
        let free_at: Vec<i64> = rates.iter().map(|(.., free_at)| *free_at).collect();
        let sql = include_str!("../sql/set_rates.sql");
        self.rows("take of a rate", sql, &[&keys, &texts, &free_at]).await.map(drop)
    }

    async fn write_turns(&self, queue: &str, turns: Option<&mut Turns>) -> Result<()> {
        let Some(turns) = turns.filter(|turns| !turns.unwritten.is_empty()) else { return Ok(()) };
        let unwritten = std::mem::take(&mut turns.unwritten);
        let keys: Vec<&str> = unwritten.keys().map(String::as_str).collect();
        let next: Vec<i64> = unwritten.values().map(|turn| signed(*turn)).collect();
        let sql = include_str!("../sql/take_turns.sql");
        let latest = signed(turns.latest);
        self.rows("take turns", sql, &[&queue, &keys, &next, &latest]).await.map(drop)
    }
}

/// Reads the rows of next_groups.sql, each of which is a job, or a group without any.
fn read_groups(rows: &[Row], free: usize, wanted: &Wanted<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut preference = None;
    for row in rows {
        let name = (row.get::<_, &str>(0), row.get::<_, i64>(1), row.get::<_, &str>(2));
        let is_next = groups
            .last()
            .is_none_or(|last| (last.kind.as_str(), last.version, last.limit_key.as_str()) != name);
        if is_next {
            preference = split_prefer(Some(name.2));
            groups.push(Group {
                kind: name.0.to_owned(),
                version: name.1,
                limit_key: name.2.to_owned(),
                keys: split_keys(Some(name.2)),
                turn: count(row.get(3)),
                turn_key: row.get(4),
                stored: (rank_of(row.get(5)), row.get(6)),
                jobs: VecDeque::new(),
                rest: Rest::None,
                closed_by: None,
                behind: row.get::<_, Option<i64>>(10).map(|rank| (rank_of(rank), row.get(11))),
                is_kept_back: false,
            });
        }
        if let Some(group) = groups.last_mut().filter(|_| row.get::<_, Option<i64>>(8).is_some()) {
            let fits = prefer::fits(preference.as_ref(), &wanted.claim.worker.labels, Timestamp(row.get(12)));
            group.jobs.push_back(head(row, [8, 9, 7], fits));
        }
    }
    let most = jobs_of_each(free, groups.len());
    for group in &mut groups {
        if let Some(last) = group.jobs.back().filter(|_| group.jobs.len() == most) {
            group.rest = Rest::From(last.rank, last.seq + 1);
        }
        group.jobs.retain(|job| !wanted.held.contains(&job.seq));
    }
    groups
}

/// The groups that next_groups.sql reads.
pub(super) fn groups_at_most(free: usize) -> usize {
    (free + GROUPS_MORE).min(GROUPS_AT_ONCE)
}

/// The jobs that next_groups.sql reads of each group.
fn jobs_of_each(free: usize, groups: usize) -> usize {
    1 + (2 * free / groups.max(1)).max(free.min(3))
}

/// Reads a job's number, place and policy from these columns.
fn head(row: &Row, [seq, rank, policy]: [usize; 3], fits: Fits) -> Head {
    let policy = row.get::<_, Option<&str>>(policy);
    // One that cannot be read is found out when the job is claimed.
    let cost = policy.and_then(|text| serde_json::from_str::<Policy>(text).ok());
    Head {
        seq: row.get(seq),
        rank: rank_of(row.get(rank)),
        cost: cost.map_or(Cost::default(), |policy| policy.cost),
        fits,
    }
}

impl Group {
    fn stored_place(&self) -> Place {
        let (rank, seq) = self.stored;
        Place { turn: self.turn, turn_key: self.turn_key.clone(), rank, seq }
    }
}
