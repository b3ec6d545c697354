use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::Commit;
use crate::client::objects::Repo;

/// The days of commits, in UTC.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Days {
    /// Each commit's moment; those without a readable date are left out.
    pub(super) moments: Vec<Zoned>,
    /// Days with a commit.
    pub(super) active: BTreeSet<Date>,
}

impl Days {
    pub(super) fn of(commits: &[(&Repo, &Commit)]) -> Self {
        let dates = commits.iter().filter_map(|(_, commit)| commit.date.as_deref());
        let moments = dates.filter_map(|date| date.parse::<Timestamp>().ok());
        let mut moments: Vec<Zoned> = moments.map(|at| at.to_zoned(TimeZone::UTC)).collect();
        moments.sort();
        Self { active: moments.iter().map(Zoned::date).collect(), moments }
    }

    /// The most days in a row with a commit.
    pub(super) fn longest_streak(&self) -> usize {
        let (mut longest, mut streak, mut last) = (0, 0, None::<Date>);
        for day in &self.active {
            let follows = last.and_then(|last| last.checked_add(1.day()).ok()) == Some(*day);
            streak = if follows { streak + 1 } else { 1 };
            longest = longest.max(streak);
            last = Some(*day);
        }
        longest
    }

    /// Days from the first commit to the last, both included.
    pub(super) fn span(&self) -> usize {
        let (Some(first), Some(last)) = (self.active.first(), self.active.last()) else { return 0 };
        let days = last.duration_since(*first).as_hours() / 24 + 1;
        usize::try_from(days).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaks_and_spans_count_days() {
        let repo = Repo::default();
        let dates = [
            "2025-02-28T23:59:59Z",
            "2025-03-01T00:00:00Z",
            "2025-03-01T12:00:00+02:00",
            "2025-03-05T08:00:00Z",
            "?",
        ];
        let commits: Vec<Commit> =
            dates.iter().map(|date| Commit { date: Some((*date).into()), ..Commit::default() }).collect();
        let commits: Vec<_> = commits.iter().map(|commit| (&repo, commit)).collect();
        let days = Days::of(&commits);
        assert_eq!((days.moments.len(), days.active.len()), (4, 3));
        assert_eq!((days.longest_streak(), days.span()), (2, 6));
        assert_eq!((Days::default().longest_streak(), Days::default().span()), (0, 0));
    }
}
