use std::collections::{BTreeMap, VecDeque};

use longhaul::lifecycle::limits::next_turn;
use longhaul::{Cost, Timestamp};

use crate::limits::keys::Keys;

/// The place of a job among all of a queue: in a fair queue the turn and the joined keys come first, elsewhere 0 and ''.
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
}

/// A group that was open, with its first jobs.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) kind: String,
    pub(super) version: i64,
    /// Joined, as the tables have them.
    pub(super) limit_key: String,
    pub(super) keys: Vec<String>,
    pub(super) turn: u64,
    pub(super) turn_key: String,
    /// Where the table has it, at the time that it was read.
    pub(super) stored: (i64, i64),
    pub(super) jobs: VecDeque<Head>,
    pub(super) rest: Rest,
    pub(super) closed_by: Option<String>,
    /// The place of a closed group of the same keys, whose first job goes before those that stand behind it.
    pub(super) behind: Option<(i64, i64)>,
    /// Set where that one keeps it back, and nothing else.
    pub(super) is_kept_back: bool,
}

/// The jobs of a group behind those that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    None,
    /// There may be more, which stand here at the earliest.
    From(i64, i64),
}

impl Group {
    /// Where it stands, but for the turn; `None` where no job is left.
    pub(super) fn front(&self) -> Option<(i64, i64)> {
        match (self.jobs.front(), self.rest) {
            (Some(job), _) => Some((job.rank, job.seq)),
            (None, Rest::From(rank, seq)) => Some((rank, seq)),
            (None, Rest::None) => None,
        }
    }

    fn is_open(&self) -> bool {
        self.closed_by.is_none() && !self.is_kept_back
    }

    fn place(&self) -> Option<Place> {
        let (rank, seq) = self.front().filter(|_| self.is_open())?;
        Some(Place { turn: self.turn, turn_key: self.turn_key.clone(), rank, seq })
    }

    fn is_before(&self, other: &Place) -> bool {
        let front = self.front().filter(|_| self.is_open());
        front.is_some_and(|(rank, seq)| {
            (self.turn, self.turn_key.as_str(), rank, seq)
                < (other.turn, other.turn_key.as_str(), other.rank, other.seq)
        })
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

/// A bound up to which it is known what stands where.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) place: Place,
    /// The key behind whose gate there are more groups, and the cost that it has to admit for them; `None` for a bound of
    /// open groups.
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

/// The jobs of a queue among which is chosen, and what is known of them.
pub(super) struct Choice {
    pub(super) groups: Vec<Group>,
    /// Jobs without keys, by rank.
    pub(super) plain: VecDeque<Head>,
    /// `None` where the queue is not fair.
    pub(super) turns: Option<Turns>,
    pub(super) bounds: Vec<Bound>,
    pub(super) keys: Keys,
    pub(super) now: Timestamp,
    pub(super) chosen: Vec<Chosen>,
    pub(super) closings: Vec<Closing>,
}

/// The end of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No job more is wanted, or there is none.
    Over,
    /// What comes next is not known yet.
    Unknown,
}

impl Choice {
    /// Chooses, again and again, the first job that all its keys admit, until there are as many as are wanted.
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
            match group {
                Some((number, group)) if plain.is_none_or(|plain| group < plain) => {
                    if !self.try_group(number) {
                        return End::Unknown;
                    }
                }
                _ => self.take_plain(),
            }
        }
        End::Over
    }

    fn first_group(&self) -> Option<(usize, Place)> {
        let mut first: Option<(usize, Place)> = None;
        for (number, group) in self.groups.iter().enumerate() {
            match &first {
                Some((_, place)) if !group.is_before(place) => {}
                _ => first = group.place().map(|place| (number, place)).or(first),
            }
        }
        first
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

    fn take_plain(&mut self) {
        let Some(job) = self.plain.pop_front() else { return };
        if let Some(turns) = &mut self.turns {
            let next = next_turn(turns.plain, turns.latest, &job.cost, &longhaul::KeyConfig::default());
            turns.latest = turns.latest.max(turns.plain);
            turns.plain = next;
            turns.unwritten.insert(String::new(), next);
        }
        self.chosen.push(Chosen { seq: job.seq, rank: job.rank, cost: job.cost, group: None });
    }

    /// Takes a group's first job, or closes the group. False where its first job is not known.
    fn try_group(&mut self, number: usize) -> bool {
        let group = &mut self.groups[number];
        let Some(job) = group.jobs.front().copied() else { return false };
        if let Some((key, closed)) = self.keys.closed(&group.keys, &job.cost, self.now) {
            self.closings.push(Closing {
                key: key.clone(),
                kind: group.kind.clone(),
                version: group.version,
                until: closed.until(),
                cost: job.cost,
            });
            group.closed_by = Some(key.clone());
            let (limit_key, place) = (group.limit_key.clone(), (job.rank, job.seq));
            for other in self.groups.iter_mut().filter(|other| other.limit_key == limit_key) {
                other.behind = Some(other.behind.map_or(place, |behind| behind.min(place)));
            }
            return true;
        }
        if group.behind.is_some_and(|behind| behind < (job.rank, job.seq)) {
            group.is_kept_back = true;
            return true;
        }
        group.jobs.pop_front();
        self.keys.take(&group.keys, &job.cost, self.now);
        self.chosen.push(Chosen { seq: job.seq, rank: job.rank, cost: job.cost, group: Some(number) });
        if let Some(turns) = &mut self.turns {
            let config = group.keys.first().map(|key| self.keys.config(key)).unwrap_or_default();
            let (turn, limit_key) = (group.turn, group.limit_key.clone());
            let next = next_turn(turn, turns.latest, &job.cost, &config);
            turns.latest = turns.latest.max(turn);
            for other in self.groups.iter_mut().filter(|other| other.limit_key == limit_key) {
                other.turn = next;
            }
            turns.unwritten.insert(limit_key, next);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use longhaul::KeyConfig;
    use longhaul::lifecycle::limits::{KeyState, TURN};

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn job(rank: i64, slots: u32) -> Head {
        Head { rank, seq: rank, cost: Cost { slots, rate: 1 } }
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
            now: NOW,
            chosen: Vec::new(),
            closings: Vec::new(),
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
