use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::vec;

use longhaul::lifecycle::prefer::{self, Fits};
use longhaul::{Claim, Claimed, Cost, Result, SupportedKind, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::claim::{Candidate, MOVED_AT_ONCE, read_candidate};
use super::groups::{Group, Source, read_group};
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::limit_key::{each_key, keys_in, natural_rank, preference_in};

/// A claim of one queue in which jobs of limit keys wait, or which is fair: takes, again and again, the first by place among the
/// plain jobs and the groups whose keys admit their first job.
pub(super) struct Merge<'m, 'c> {
    tx: &'m mut WriteTx<'c>,
    claim: &'m Claim,
    queue: &'m str,
    is_fair: bool,
    /// The first job of each source.
    next: BTreeMap<Place, Next>,
    plain: vec::IntoIter<Candidate>,
    lanes: Vec<Lane>,
    /// The groups that were read by their places, so that none is read twice.
    read: HashSet<i64>,
    /// The turns of keys that have taken one.
    turns: HashMap<String, i64>,
    /// Keys whose first job, of the kinds that the worker knows, is not admitted.
    blocked: HashSet<String>,
    /// Jobs and groups that were moved out of the way.
    moved: usize,
    /// True once the queue has not admitted the next job, so that it is done with.
    is_closed: bool,
}

/// The order of claims. In a queue that is not fair, turn and tie are the same of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    turn: i64,
    tie: String,
    rank: i64,
    seq: i64,
}

enum Next {
    Plain(Box<Candidate>),
    Group(Box<Member>),
}

/// A group in a claim.
struct Member {
    group: Group,
    /// Its next jobs, as far as they were read.
    jobs: VecDeque<Candidate>,
    /// Place and cost of the first whose time is over: it is left to a sweep, and keeps no other back.
    passed_over: Option<(i64, i64, Cost)>,
    /// Rank, as the rows have it, and number of the last that was read.
    last: (i64, i64),
    /// True where it has no others.
    has_all: bool,
    /// True where the group's row is to be written.
    has_changed: bool,
    /// The number of jobs that are read next.
    batch: usize,
}

/// The open groups of a kind, with what its jobs prefer, and version, read some at a time.
struct Lane {
    kind: String,
    version: u32,
    /// The last group that was read; `None` where there is no other.
    last: Option<(i64, Place)>,
}

/// The most groups that are read at once.
const GROUPS_AT_ONCE: usize = 100;
/// The most jobs of a group that are read at once.
const JOBS_AT_ONCE: usize = 64;

impl<'m, 'c> Merge<'m, 'c> {
    pub(super) fn new(
        tx: &'m mut WriteTx<'c>,
        claim: &'m Claim,
        queue: &'m str,
        plain: Vec<Candidate>,
    ) -> Self {
        Self {
            tx,
            claim,
            queue,
            is_fair: false,
            next: BTreeMap::new(),
            plain: plain.into_iter(),
            lanes: Vec::new(),
            read: HashSet::new(),
            turns: HashMap::new(),
            blocked: HashSet::new(),
            moved: 0,
            is_closed: false,
        }
    }

    /// Takes at most `free` jobs. A claim that meets very many groups which are kept back stops, and the writer looks again in
    /// its next transaction.
    pub(super) fn run(mut self, mut free: usize, claimed: &mut Vec<Claimed>) -> Result<()> {
        let wanted = free;
        self.begin(wanted).map_err(fault("look for groups"))?;
        while free > 0
            && !self.is_closed
            && let Some((place, next)) = self.next.pop_first()
        {
            match next {
                Next::Plain(candidate) => {
                    if let Some(job) = self.take_plain(candidate, place).map_err(fault("claim"))? {
                        claimed.push(job);
                        free -= 1;
                    }
                }
                Next::Group(member) => {
                    self.read_behind(member.group.id, wanted).map_err(fault("look for groups"))?;
                    if let Some(job) = self.take_of_group(member)? {
                        claimed.push(job);
                        free -= 1;
                    }
                    if self.moved >= MOVED_AT_ONCE {
                        self.tx.notes.stopped_early = true;
                        break;
                    }
                }
            }
        }
        self.write().map_err(fault("note what waits"))
    }

    fn begin(&mut self, wanted: usize) -> rusqlite::Result<()> {
        self.is_fair = self.tx.fair_queue(self.queue)?.is_some();
        self.push_plain()?;
        let claim = self.claim;
        for supported in &claim.kinds {
            self.begin_kind(supported, &supported.kind, wanted)?;
            // Behind the semicolon stands what the jobs of a lane prefer.
            let mut at = format!("{};", supported.kind);
            let behind = format!("{}<", supported.kind);
            let mut next =
                self.tx.connection.prepare_cached(include_str!("../sql/next_kind_of_groups.sql"))?;
            while let Some(kind) =
                next.query_row([self.queue, &at, &behind], |row| row.get::<_, String>(0)).optional()?
            {
                if self.may_fit(&kind) {
                    self.begin_kind(supported, &kind, wanted)?;
                }
                at = kind;
            }
        }
        Ok(())
    }

    /// Reads the first groups of a kind, with what its jobs prefer.
    fn begin_kind(&mut self, supported: &SupportedKind, kind: &str, wanted: usize) -> rusqlite::Result<()> {
        let mut version =
            if supported.version == 1 { Some(1) } else { self.next_version(kind, 0, supported.version)? };
        while let Some(present) = version {
            let last = Some((0, Place { turn: i64::MIN, rank: i64::MIN, ..Place::default() }));
            self.lanes.push(Lane { kind: kind.to_owned(), version: present, last });
            self.read_groups(self.lanes.len() - 1, wanted)?;
            version = match present {
                present if present < supported.version => {
                    self.next_version(kind, present, supported.version)?
                }
                _ => None,
            };
        }
        Ok(())
    }

    fn next_version(&self, kind: &str, above: u32, up_to: u32) -> rusqlite::Result<Option<u32>> {
        self.tx
            .connection
            .prepare_cached(include_str!("../sql/next_version_of_groups.sql"))?
            .query_row(params![self.queue, kind, above, up_to], |row| row.get(0))
            .optional()
    }

    fn push_plain(&mut self) -> rusqlite::Result<()> {
        let Some(candidate) = self.plain.next() else { return Ok(()) };
        let turn = self.tx.fair_queue(self.queue)?.map_or(0, |fair| fair.plain_turn);
        let place = Place { turn, tie: String::new(), rank: candidate.rank, seq: candidate.seq };
        self.next.insert(place, Next::Plain(Box::new(candidate)));
        Ok(())
    }

    fn push(&mut self, member: Box<Member>) {
        self.next.insert(self.place_of(&member.group), Next::Group(member));
    }

    fn place_of(&self, group: &Group) -> Place {
        let tie = if self.is_fair { group.keys.clone() } else { String::new() };
        Place { turn: group.turn, tie, rank: group.rank, seq: group.seq }
    }

    /// Reads the groups of a lane behind those that were read.
    fn read_groups(&mut self, lane: usize, wanted: usize) -> rusqlite::Result<()> {
        let limit = (wanted + 1).min(GROUPS_AT_ONCE);
        let kept_back = self.tx.limits_in_use()?.kept_back;
        let Lane { kind, version, last } = &self.lanes[lane];
        let Some((_, Place { turn, tie, rank, seq })) = last else { return Ok(()) };
        let values = params![self.queue, kind, version, turn, tie, rank, seq, limit as i64, kept_back];
        let found: Vec<Group> = self
            .tx
            .connection
            .prepare_cached(include_str!("../sql/groups_of_lane.sql"))?
            .query_map(values, read_group)?
            .collect::<rusqlite::Result<_>>()?;
        let is_last = found.len() < limit;
        self.lanes[lane].last =
            found.last().filter(|_| !is_last).map(|group| (group.id, self.place_of(group)));
        for group in found {
            if self.read.insert(group.id) {
                self.push(Member::new(group));
            }
        }
        Ok(())
    }

    /// Reads on in the lane of which a group was the last that was read.
    fn read_behind(&mut self, group: i64, wanted: usize) -> rusqlite::Result<()> {
        let is_last = |lane: &Lane| lane.last.as_ref().is_some_and(|(id, _)| *id == group);
        match self.lanes.iter().position(is_last) {
            Some(lane) => self.read_groups(lane, wanted),
            None => Ok(()),
        }
    }

    /// Takes the next plain job; `None` where its queue does not admit it, or it is not the next after all.
    fn take_plain(
        &mut self,
        mut candidate: Box<Candidate>,
        mut place: Place,
    ) -> rusqlite::Result<Option<Claimed>> {
        // Jobs without keys that prefer something take the same turns.
        if let Some(turn) = self.turns.get("").copied().filter(|turn| *turn != place.turn) {
            place.turn = turn;
            self.next.insert(place, Next::Plain(candidate));
            return Ok(None);
        }
        self.tx.release_candidate(&mut candidate)?;
        let cost = candidate.claimed.policy.cost;
        if !self.tx.queue_admits(self.queue, &cost)? {
            self.is_closed = true;
            return Ok(None);
        }
        if self.is_fair {
            let turn = self.tx.next_turn(self.queue, None, place.turn, &cost)?;
            self.note_turn("", turn, 0)?;
        }
        let claimed = self.tx.claim_one(*candidate, self.claim)?;
        self.push_plain()?;
        Ok(Some(claimed))
    }

    /// Takes the first job of a group; `None` where there is none, or it is not admitted, or not the next after all.
    fn take_of_group(&mut self, mut member: Box<Member>) -> Result<Option<Claimed>> {
        let read = fault("look for available jobs");
        if !self.is_next(&mut member).map_err(&read)? {
            return Ok(None);
        }
        let Some(first) = member.jobs.front() else { return Ok(None) };
        if let Fits::From(at) = self.fits(&member.group.lane.kind, first.run_at)
            && at > self.tx.now
        {
            // It waits for the workers that it prefers, and keeps no other back.
            self.tx.look_again_at(self.queue, at);
            if member.has_changed {
                self.write_member(&member.group).map_err(&read)?;
            }
            self.replace(&member.group).map_err(read)?;
            return Ok(None);
        }
        if let Some(reason) = first.unreadable.clone() {
            let (seq, id) = (first.seq, first.claimed.lease.id.clone());
            self.tx.fail_unreadable(seq, &id, &reason)?;
            self.moved += 1;
            // Its group's row is up to date, and is read anew where it is still there.
            let found = self.find(member.group.id).map_err(read)?;
            found.into_iter().for_each(|group| self.push(Member::new(group)));
            return Ok(None);
        }
        if let Some(first) = member.jobs.front_mut() {
            self.tx.release_candidate(first).map_err(fault("give slots back"))?;
        }
        self.admit_and_take(member).map_err(fault("claim"))
    }

    /// Holds a group against its first job; where that is another than was thought, the group is put where it belongs.
    fn is_next(&mut self, member: &mut Box<Member>) -> rusqlite::Result<bool> {
        let turn = self.turns.get(&member.group.keys).copied().unwrap_or(member.group.turn);
        if member.jobs.is_empty() {
            self.read_jobs(member)?;
        }
        let group = &mut member.group;
        let Some(first) = member.jobs.front() else {
            let group = group.clone();
            if member.passed_over.is_none() {
                self.tx.remove_group(group.id, self.queue, &group.keys, turn)?;
            }
            self.replace(&group)?;
            return Ok(false);
        };
        let (place, cost) = ((first.rank, first.seq), first.claimed.policy.cost);
        if (group.rank, group.seq, group.cost, group.turn) == (place.0, place.1, cost, turn) {
            return Ok(true);
        }
        (group.rank, group.seq) = place;
        (group.cost, group.turn, member.has_changed) = (cost, turn, true);
        let moved = std::mem::replace(member, Member::new(member.group.clone()));
        self.push(moved);
        Ok(false)
    }

    fn admit_and_take(&mut self, mut member: Box<Member>) -> rusqlite::Result<Option<Claimed>> {
        if let Some(first) = self.kept_back_before(&member.group)? {
            match self.tx.closed(&first.keys, &first.cost)? {
                Some(_) => drop(self.blocked.insert(first.keys)),
                None => {
                    // What holds between transactions forbids it; it is the next all the same.
                    let open = "UPDATE key_groups SET closed_by = NULL WHERE id = ?1";
                    self.tx.connection.prepare_cached(open)?.execute([first.id])?;
                    self.push(Member::new(first));
                    self.push(member);
                    return Ok(None);
                }
            }
        }
        let is_blocked = self.blocked.contains(&member.group.keys);
        let closed = self.tx.closed(&member.group.keys, &member.group.cost)?;
        if let Some((key, closed)) = closed {
            let Group { id, turn, rank, seq, cost, .. } = member.group;
            self.tx.place(id, turn, rank, seq, &cost, Some(&key))?;
            self.tx.keep_back(&key, closed)?;
            self.blocked.insert(member.group.keys.clone());
            self.moved += 1;
            self.replace(&member.group)?;
            return Ok(None);
        }
        if is_blocked {
            // A worker that does not know the kind of the job before may take it.
            if member.has_changed {
                self.write_member(&member.group)?;
            }
            self.replace(&member.group)?;
            return Ok(None);
        }
        if !self.tx.queue_admits(self.queue, &member.group.cost)? {
            self.is_closed = true;
            self.push(member);
            return Ok(None);
        }
        let Some(job) = member.jobs.pop_front() else { return Ok(None) };
        self.tx.take(&member.group.keys, &member.group.cost)?;
        if self.is_fair {
            self.take_turn(&mut member.group)?;
        }
        let job = self.tx.claim_one(job, self.claim)?;
        self.go_on(member)?;
        Ok(Some(job))
    }

    /// Puts a group of which a job was taken where its next job is.
    fn go_on(&mut self, mut member: Box<Member>) -> rusqlite::Result<()> {
        if member.jobs.is_empty() {
            self.read_jobs(&mut member)?;
        }
        let group = member.group.clone();
        match member.jobs.front() {
            Some(next) => {
                (member.group.rank, member.group.seq) = (next.rank, next.seq);
                (member.group.cost, member.has_changed) = (next.claimed.policy.cost, true);
                self.push(member);
            }
            None => match member.passed_over {
                Some((rank, seq, cost)) => self.tx.place(group.id, group.turn, rank, seq, &cost, None)?,
                None => self.tx.remove_group(group.id, self.queue, &group.keys, group.turn)?,
            },
        }
        self.replace(&group)
    }

    /// Reads the next jobs of a group: twice as many each time, so that few are read for nothing where many groups wait.
    fn read_jobs(&mut self, member: &mut Member) -> rusqlite::Result<()> {
        while member.jobs.is_empty() && !member.has_all {
            let Group { lane, .. } = &member.group;
            let (rank, seq) = member.last;
            let (text, kind) = (member.group.text(), keys_in(&lane.kind));
            let values = params![text, self.queue, kind, lane.version, rank, seq, member.batch as i64];
            let mut rows = self.tx.statements.jobs_of_group.query(values)?;
            let mut read = 0;
            while let Some(row) = rows.next()? {
                read += 1;
                let mut candidate = read_candidate(row)?;
                member.last = (candidate.rank, candidate.seq);
                candidate.rank = natural_rank(candidate.rank);
                if candidate.is_over(self.tx.now) {
                    let place = (candidate.rank, candidate.seq, candidate.claimed.policy.cost);
                    member.passed_over.get_or_insert(place);
                } else {
                    member.jobs.push_back(candidate);
                }
            }
            member.has_all = read < member.batch;
            member.batch = (2 * member.batch).min(JOBS_AT_ONCE);
        }
        Ok(())
    }

    /// The first group of the same keys that is kept back, where its first job goes before that of the open one: then the keys
    /// keep both back, because their jobs go in order.
    fn kept_back_before(&self, group: &Group) -> rusqlite::Result<Option<Group>> {
        if !group.has_kept_back || self.blocked.contains(&group.keys) {
            return Ok(None);
        }
        let mut find = self.tx.connection.prepare_cached(include_str!("../sql/groups_kept_back.sql"))?;
        let found: Vec<Group> =
            find.query_map(params![group.keys, self.queue], read_group)?.collect::<rusqlite::Result<_>>()?;
        let mut before = Vec::new();
        for other in found {
            if (other.rank, other.seq) < (group.rank, group.seq)
                && self.knows(&other.lane)
                && self.fits_now(&other)?
            {
                before.push(other);
            }
        }
        Ok(before.into_iter().min_by_key(|other| (other.rank, other.seq)))
    }

    fn knows(&self, lane: &Source) -> bool {
        let (kinds, kind) = (&self.claim.kinds, keys_in(&lane.kind));
        lane.queue == self.queue
            && kinds.iter().any(|known| known.kind == kind && lane.version <= known.version)
            && self.may_fit(&lane.kind)
    }

    /// True where the worker may ever claim a job of a lane.
    fn may_fit(&self, kind: &str) -> bool {
        self.fits(kind, self.tx.now) != Fits::Never
    }

    /// The time from which the worker may claim a job of a lane that has been due since `run_at`.
    fn fits(&self, kind: &str, run_at: Timestamp) -> Fits {
        let prefer = preference_in(kind).strip_prefix(';').and_then(|text| text.parse().ok());
        prefer::fits(prefer.as_ref(), &self.claim.worker.labels, run_at)
    }

    /// True where the worker may claim the first job of a group now, but for limits.
    fn fits_now(&self, group: &Group) -> rusqlite::Result<bool> {
        if preference_in(&group.lane.kind).is_empty() {
            return Ok(true);
        }
        let find = "SELECT run_at FROM jobs WHERE seq = ?1";
        let run_at =
            self.tx.connection.prepare_cached(find)?.query_row([group.seq], |row| row.get(0)).optional()?;
        let fits = |run_at| self.fits(&group.lane.kind, Timestamp(run_at)).at(self.tx.now);
        Ok(run_at.is_none_or(fits))
    }

    /// The next turn of a group's keys, which is that of all groups of these keys in the queue.
    fn take_turn(&mut self, group: &mut Group) -> rusqlite::Result<()> {
        group.turn = self.tx.next_turn(self.queue, Some(&group.keys), group.turn, &group.cost)?;
        self.note_turn(&group.keys, group.turn, group.id)
    }

    /// Gives all groups of the same keys their turn, but for one that is written anyway.
    fn note_turn(&mut self, keys: &str, turn: i64, but: i64) -> rusqlite::Result<()> {
        self.turns.insert(keys.to_owned(), turn);
        if self.tx.has_groups {
            let others = "UPDATE key_groups SET turn = ?3
                 WHERE several = (instr(?1, ',') > 0) AND limit_key = ?1 AND queue = ?2 AND id <> ?4";
            self.tx.connection.prepare_cached(others)?.execute(params![keys, self.queue, turn, but])?;
        }
        Ok(())
    }

    /// Opens what the keys of a group keep back behind it, now that it is not where it was.
    fn replace(&mut self, group: &Group) -> rusqlite::Result<()> {
        for key in each_key(&group.keys) {
            if !self.tx.key(key)?.keeps_back {
                continue;
            }
            // A turn moves the groups of other lanes, too.
            let lane = (!self.is_fair).then_some(&group.lane);
            for opened in self.tx.open_groups(key, lane)? {
                if self.knows(&opened.lane) {
                    self.read.insert(opened.id);
                    self.push(Member::new(opened));
                }
            }
        }
        Ok(())
    }

    fn find(&self, id: i64) -> rusqlite::Result<Option<Group>> {
        let sql = "SELECT id, queue, kind, version, limit_key, turn, rank, seq, slots, units, 1 FROM key_groups WHERE id = ?1";
        self.tx.connection.prepare_cached(sql)?.query_row([id], read_group).optional()
    }

    /// Writes the places of the groups of which jobs were taken.
    fn write(&self) -> rusqlite::Result<()> {
        self.next.values().try_for_each(|next| match next {
            Next::Group(member) if member.has_changed => self.write_member(&member.group),
            _ => Ok(()),
        })
    }

    fn write_member(&self, group: &Group) -> rusqlite::Result<()> {
        self.tx.place(group.id, group.turn, group.rank, group.seq, &group.cost, None)
    }
}

/// One job, and one more for the position of the group without it.
const FIRST_BATCH: usize = 2;

impl Member {
    fn new(group: Group) -> Box<Self> {
        Box::new(Self {
            group,
            jobs: VecDeque::new(),
            passed_over: None,
            last: (i64::MIN, 0),
            has_all: false,
            has_changed: false,
            batch: FIRST_BATCH,
        })
    }
}
