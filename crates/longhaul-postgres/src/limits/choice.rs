use std::collections::{BTreeMap, VecDeque};

use longhaul::lifecycle::limits::next_turn;
use longhaul::lifecycle::prefer::Fits;
use longhaul::{Cost, KeyConfig, Timestamp};

use crate::limits::keys::Keys;

/// The position of a job in its queue: in a fair queue by turn and keys first; elsewhere these are 0 and ''.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) turn: u64,
    pub(super) turn_key: String,
    pub(super) rank: i64,
    pub(super) seq: i64,
}

/// A job that may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) rank: i64,
    pub(super) seq: i64,
    pub(super) cost: Cost,
    /// The time from which the worker may claim it.
    pub(super) fits: Fits,
}

/// A group that was open, with its first jobs.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) kind: String,
    pub(super) version: i64,
    /// The joined keys, as in the tables, with the preference of its jobs.
    pub(super) limit_key: String,
    pub(super) keys: Vec<String>,
    pub(super) turn: u64,
    pub(super) turn_key: String,
    /// Its position in the table when it was read.
    pub(super) stored: (i64, i64),
    pub(super) jobs: VecDeque<Head>,
    pub(super) rest: Rest,
    pub(super) closed_by: Option<String>,
    /// The position of a closed group of the same keys, whose first job goes before later jobs of this group.
    pub(super) behind: Option<(i64, i64)>,
    /// True if only that closed group keeps it back.
    pub(super) is_kept_back: bool,
}

/// The jobs of a group after those that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    None,
    /// There may be more, from this position on.
    From(i64, i64),
}

impl Group {
    /// Its joined keys, without the preference of its jobs: groups of the same text have the same keys.
    fn joined(&self) -> &str {
        self.limit_key.split(';').next().unwrap_or_default()
    }

    /// Its position, without the turn; `None` if no job is left.
    pub(super) fn front(&self) -> Option<(i64, i64)> {
        match (self.jobs.front(), self.rest) {
            (Some(job), _) => Some((job.rank, job.seq)),
            (None, Rest::From(rank, seq)) => Some((rank, seq)),
            (None, Rest::None) => None,
        }
    }

    /// The time from which the worker may claim its first job; `None` if it may now, or never.
    pub(super) fn fits_from(&self, now: Timestamp) -> Option<Timestamp> {
        match self.jobs.front()?.fits {
            Fits::From(from) if from > now => Some(from),
            _ => None,
        }
    }

    /// Its position among the open groups that fit the worker: turn, keys, rank and number. Groups without keys take
    /// the turns of jobs without any.
    fn place(&self, turns: Option<&Turns>, now: Timestamp) -> Option<(u64, &str, i64, i64)> {
        let fits = self.jobs.front().is_none_or(|job| job.fits.at(now));
        let (rank, seq) = self.front().filter(|_| fits && self.closed_by.is_none() && !self.is_kept_back)?;
        let turn = turns.filter(|_| self.keys.is_empty()).map_or(self.turn, |turns| turns.plain);
        Some((turn, self.turn_key.as_str(), rank, seq))
    }
}

/// The turns of a fair queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// The latest turn that was taken.
    pub(super) latest: u64,
    /// The next turn of the jobs without keys.
    pub(super) plain: u64,
    /// Next turns that are not written yet, by joined keys.
    pub(super) unwritten: BTreeMap<String, u64>,
}

/// A position up to which all jobs are known.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) place: Place,
    /// The key whose gate has more groups behind it, and the cost that the key must admit for them; `None` for a bound
    /// of open groups.
    pub(super) gate: Option<(String, Cost)>,
}

/// A job that is to be claimed.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) seq: i64,
    pub(super) rank: i64,
    pub(super) cost: Cost,
    /// The number of its group; `None` for a job without keys.
    pub(super) group: Option<usize>,
}

/// A group that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) key: String,
    pub(super) kind: String,
    pub(super) version: i64,
    pub(super) until: Option<Timestamp>,
    pub(super) cost: Cost,
}

/// The jobs of a queue to choose from, with their keys and turns.
pub(super) struct Choice {
    pub(super) groups: Vec<Group>,
    /// Jobs without keys, by rank.
    pub(super) plain: VecDeque<Head>,
    /// `None` where the queue is not fair.
    pub(super) turns: Option<Turns>,
    pub(super) bounds: Vec<Bound>,
    pub(super) keys: Keys,
    /// The key that stands for the queue, if it has limits. If they do not admit the next job, neither it nor a later
    /// one is claimed.
    pub(super) queue_key: Option<String>,
    pub(super) now: Timestamp,
    pub(super) chosen: Vec<Chosen>,
    pub(super) closings: Vec<Closing>,
    /// The time at which the limits of the queue admit the next job, if they do not now.
    pub(super) opens_at: Option<Timestamp>,
}

/// The result of trying the next job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    /// It is taken, or its group is closed: go on with another.
    Done,
    /// The next job is not known.
    Unknown,
    /// The queue is full.
    Full,
}

/// The end of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Enough jobs are chosen, or there is none left.
    Over,
    /// The next job is not known yet.
    Unknown,
}

impl Choice {
    /// Chooses the first job that all its keys admit, until there are as many as are wanted.
    pub(super) fn choose(&mut self, wanted: usize) -> End {
        while self.chosen.len() < wanted {
            let group = self.first_group();
            let plain = self.plain_place();
            let place = match (&group, &plain) {
                (None, None) => return if self.is_bounded(None) { End::Unknown } else { End::Over },
                (Some((_, group)), Some(plain)) => group.min(plain),
                (Some((_, place)), None) | (None, Some(place)) => place,
            };
            if self.is_bounded(Some(place)) {
                return End::Unknown;
            }
            let tried = match group {
                Some((number, group)) if plain.is_none_or(|plain| group < plain) => self.try_group(number),
                _ => self.try_plain(),
            };
            match tried {
                Tried::Done => {}
                Tried::Unknown => return End::Unknown,
                Tried::Full => return End::Over,
            }
        }
        End::Over
    }

    /// True where the queue admits no job of this cost.
    fn is_full(&mut self, cost: &Cost) -> bool {
        let closed = self.keys.closed(self.queue_key.as_slice(), cost, self.now);
        self.opens_at = closed.and_then(|(_, closed)| closed.until());
        closed.is_some()
    }

    /// Takes a job, whose keys and queue admit it, and the turn of its keys.
    fn take(&mut self, job: Head, group: Option<usize>) {
        let keys = group.map(|number| self.groups[number].keys.clone()).unwrap_or_default();
        self.keys.take(&keys, &job.cost, self.now);
        self.keys.take(self.queue_key.as_slice(), &job.cost, self.now);
        self.chosen.push(Chosen { seq: job.seq, rank: job.rank, cost: job.cost, group });
        let Some(turns) = &mut self.turns else { return };
        let (turn, joined, config) =
            match group.map(|number| &self.groups[number]).filter(|_| !keys.is_empty()) {
                Some(group) => (group.turn, group.joined().to_owned(), self.keys.config(&keys[0])),
                None => (turns.plain, String::new(), KeyConfig::default()),
            };
        let next = next_turn(turn, turns.latest, &job.cost, &config);
        turns.latest = turns.latest.max(turn);
        if keys.is_empty() {
            turns.plain = next;
        }
        for other in self.groups.iter_mut().filter(|other| other.joined() == joined) {
            other.turn = next;
        }
        turns.unwritten.insert(joined, next);
    }

    fn first_group(&self) -> Option<(usize, Place)> {
        let groups = self.groups.iter().enumerate();
        let places =
            groups.filter_map(|(number, group)| Some((group.place(self.turns.as_ref(), self.now)?, number)));
        let ((turn, turn_key, rank, seq), number) = places.min()?;
        Some((number, Place { turn, turn_key: turn_key.to_owned(), rank, seq }))
    }

    fn plain_place(&self) -> Option<Place> {
        let job = self.plain.front()?;
        let turn = self.turns.as_ref().map_or(0, |turns| turns.plain);
        Some(Place { turn, turn_key: String::new(), rank: job.rank, seq: job.seq })
    }

    /// True where something that is not known may come before a place; without one, where there may be anything.
    fn is_bounded(&self, place: Option<&Place>) -> bool {
        self.bounds.iter().any(|bound| {
            place.is_none_or(|place| *place > bound.place)
                && bound.gate.as_ref().is_none_or(|(key, cost)| self.keys.admits(key, cost, self.now, 1) > 0)
        })
    }

    fn try_plain(&mut self) -> Tried {
        let Some(job) = self.plain.front().copied() else { return Tried::Unknown };
        if self.is_full(&job.cost) {
            return Tried::Full;
        }
        self.plain.pop_front();
        self.take(job, None);
        Tried::Done
    }

    /// Takes a group's first job, or closes the group.
    fn try_group(&mut self, number: usize) -> Tried {
        let group = &mut self.groups[number];
        let Some(job) = group.jobs.front().copied() else { return Tried::Unknown };
        if let Some((key, closed)) = self.keys.closed(&group.keys, &job.cost, self.now) {
            self.closings.push(Closing {
                key: key.clone(),
                kind: group.kind.clone(),
                version: group.version,
                until: closed.until(),
                cost: job.cost,
            });
            group.closed_by = Some(key.clone());
            let (joined, place) = (group.joined().to_owned(), (job.rank, job.seq));
            for other in self.groups.iter_mut().filter(|other| other.joined() == joined) {
                other.behind = Some(other.behind.map_or(place, |behind| behind.min(place)));
            }
            return Tried::Done;
        }
        if group.behind.is_some_and(|behind| behind < (job.rank, job.seq)) {
            group.is_kept_back = true;
            return Tried::Done;
        }
        if self.is_full(&job.cost) {
            return Tried::Full;
        }
        self.groups[number].jobs.pop_front();
        self.take(job, Some(number));
        Tried::Done
    }
}

#[cfg(test)]
mod tests {
    use longhaul::KeyConfig;
    use longhaul::lifecycle::limits::{KeyState, TURN};

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn job(rank: i64, slots: u32) -> Head {
        Head { rank, seq: rank, cost: Cost { slots, rate: 1 }, fits: Fits::Always }
    }

    fn group(kind: &str, key: &str, jobs: &[Head]) -> Group {
        Group {
            kind: kind.into(),
            version: 1,
            limit_key: key.into(),
            keys: vec![key.into()],
            turn: 0,
            turn_key: String::new(),
            stored: jobs.first().map(|job| (job.rank, job.seq)).unwrap(),
            jobs: jobs.iter().copied().collect(),
            rest: Rest::None,
            closed_by: None,
            behind: None,
            is_kept_back: false,
        }
    }

    /// A choice where the key `full` has so many free slots.
    fn choice(groups: Vec<Group>, plain: &[i64], free: u32) -> Choice {
        let config = KeyConfig { slots: Some(10), ..KeyConfig::default() };
        let state = KeyState { used: u64::from(10 - free), ..KeyState::default() };
        Choice {
            groups,
            plain: plain.iter().map(|rank| job(*rank, 1)).collect(),
            turns: None,
            bounds: Vec::new(),
            keys: Keys::with("full", config, state),
            queue_key: None,
            now: NOW,
            chosen: Vec::new(),
            closings: Vec::new(),
            opens_at: None,
        }
    }

    fn place(rank: i64) -> Place {
        Place { turn: 0, turn_key: String::new(), rank, seq: rank }
    }

    fn ranks(choice: &Choice) -> Vec<i64> {
        choice.chosen.iter().map(|job| job.rank).collect()
    }

    #[test]
    fn jobs_are_chosen_by_rank_with_keys_and_without_and_a_closed_group_keeps_no_other_back() {
        let groups = vec![
            group("k", "full", &[job(1, 1), job(4, 1), job(6, 1)]),
            group("k", "free", &[job(3, 1), job(7, 1)]),
        ];
        let mut choice = choice(groups, &[2, 5, 8], 2);
        assert_eq!(choice.choose(99), End::Over);
        assert_eq!(ranks(&choice), [1, 2, 3, 4, 5, 7, 8]);
        let cost = Cost { slots: 1, rate: 1 };
        let closing = Closing { key: "full".into(), kind: "k".into(), version: 1, until: None, cost };
        assert_eq!(choice.closings, [closing]);
        assert_eq!((choice.groups[0].front(), choice.groups[1].front()), (Some((6, 6)), None));
    }

    #[test]
    fn nothing_is_chosen_behind_what_is_not_known() {
        let mut more = group("k", "free", &[job(1, 1)]);
        more.rest = Rest::From(1, 2);
        let mut unread = choice(vec![more], &[9], 0);
        assert_eq!((unread.choose(99), ranks(&unread)), (End::Unknown, vec![1]));

        let gate = Some(("full".to_owned(), Cost::default()));
        for (free, gate, end, chosen) in [
            (1, None, End::Unknown, vec![1]),
            (1, gate.clone(), End::Unknown, vec![1]),
            (0, gate, End::Over, vec![1, 9]),
        ] {
            let mut bounded = choice(Vec::new(), &[1, 9], free);
            bounded.bounds = vec![Bound { place: place(5), gate }];
            assert_eq!((bounded.choose(99), ranks(&bounded)), (end, chosen), "{free} free");
        }
    }

    #[test]
    fn a_job_stays_behind_one_of_the_same_keys_that_costs_more_than_is_free() {
        let groups = vec![group("large", "full", &[job(1, 2)]), group("small", "full", &[job(2, 1)])];
        let mut both = choice(groups, &[3], 1);
        assert_eq!((both.choose(99), ranks(&both)), (End::Over, vec![3]));
        assert!(both.groups[1].is_kept_back && both.groups[1].closed_by.is_none());
        // To a worker that does not know the first, it is the first.
        let mut one = choice(vec![group("small", "full", &[job(2, 1)])], &[3], 1);
        assert_eq!((one.choose(99), ranks(&one)), (End::Over, vec![2, 3]));
    }

    #[test]
    fn the_next_job_of_a_full_queue_keeps_all_behind_it_back_and_takes_nothing_of_its_keys() {
        let mut choice = choice(vec![group("k", "full", &[job(1, 1), job(3, 2)])], &[2, 4], 9);
        choice.queue_key = Some("=q".into());
        let limits = KeyConfig { slots: Some(3), ..KeyConfig::default() };
        choice.keys.note_queue("=q", limits, KeyState::default());
        assert_eq!((choice.choose(99), ranks(&choice)), (End::Over, vec![1, 2]));
        assert_eq!(choice.keys.admits("full", &Cost::default(), NOW, 99), 8);
        assert!(choice.closings.is_empty());
    }

    #[test]
    fn a_group_that_prefers_others_is_passed_over_until_it_fits() {
        let prefers = |from: Timestamp| Group {
            keys: Vec::new(),
            jobs: [Head { fits: Fits::From(from), ..job(1, 1) }, job(3, 1)].into(),
            ..group("k", ";gpu=a100", &[job(1, 1)])
        };
        let mut early = choice(vec![prefers(Timestamp(NOW.0 + 1))], &[2, 4], 1);
        assert_eq!((early.choose(99), ranks(&early)), (End::Over, vec![2, 4]));
        assert_eq!(early.groups[0].fits_from(NOW), Some(Timestamp(NOW.0 + 1)));
        let mut late = choice(vec![prefers(NOW)], &[2, 4], 1);
        assert_eq!((late.choose(99), ranks(&late)), (End::Over, vec![1, 2, 3, 4]));
    }

    #[test]
    fn keys_and_jobs_without_keys_take_turns_in_a_fair_queue() {
        let fair = |key: &str, ranks: [i64; 3]| Group {
            turn_key: key.into(),
            ..group("k", key, &ranks.map(|rank| job(rank, 1)))
        };
        let mut choice = choice(vec![fair("a", [1, 2, 3]), fair("b", [7, 8, 9])], &[4, 5], 0);
        choice.turns = Some(Turns::default());
        assert_eq!((choice.choose(7), ranks(&choice)), (End::Over, vec![4, 1, 7, 5, 2, 8, 3]));
        let turns = choice.turns.unwrap();
        assert_eq!((turns.latest, turns.plain), (2 * TURN, 2 * TURN));
        assert_eq!(turns.unwritten.get("a"), Some(&(3 * TURN)));
    }
}
