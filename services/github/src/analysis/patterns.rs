use jiff::civil::Weekday;

use super::dates::Days;
use super::{Commit, CommitPatterns, tenths};
use crate::client::objects::Repo;

/// See [`CommitPatterns`].
pub(super) fn patterns(commits: &[(&Repo, &Commit)], days: &Days) -> CommitPatterns {
    let mut patterns = CommitPatterns { by_hour: vec![0; 24], ..CommitPatterns::default() };
    for moment in &days.moments {
        *patterns.by_weekday.entry(name(moment.weekday()).to_owned()).or_default() += 1;
        if let Some(count) =
            usize::try_from(moment.hour()).ok().and_then(|hour| patterns.by_hour.get_mut(hour))
        {
            *count += 1;
        }
    }
    let week = Weekday::Monday.cycle_forward().take(7).map(name);
    let by_day = week.map(|day| (patterns.by_weekday.get(day).copied().unwrap_or_default(), day));
    patterns.most_active_weekday = first_most(by_day).map(str::to_owned);
    patterns.most_active_hour =
        first_most((0_u8..).zip(&patterns.by_hour).map(|(hour, count)| (*count, hour)));
    patterns.active_days = days.active.len();
    patterns.longest_streak_days = days.longest_streak();
    let weeks = (days.span() as f64 / 7.0).max(1.0);
    patterns.commits_per_week = tenths(days.moments.len() as f64 / weeks);
    let subjects: usize = commits.iter().map(|(_, commit)| commit.subject().chars().count()).sum();
    patterns.average_subject_length = tenths(subjects as f64 / commits.len().max(1) as f64);
    patterns.first_commit_at = days.moments.first().map(|at| at.timestamp().to_string());
    patterns.last_commit_at = days.moments.last().map(|at| at.timestamp().to_string());
    patterns
}

/// The first with the highest count that is not 0.
fn first_most<T>(counted: impl Iterator<Item = (usize, T)>) -> Option<T> {
    let best = counted.fold(None, |best: Option<(usize, T)>, (count, value)| match best {
        Some((most, _)) if most >= count => best,
        _ => Some((count, value)),
    });
    best.filter(|(count, _)| *count > 0).map(|(_, value)| value)
}

fn name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_by_day_and_hour() {
        let repo = Repo::default();
        let commit =
            |date: &str| Commit { message: "four".into(), date: Some(date.into()), ..Commit::default() };
        // Two Wednesdays and a Thursday.
        let commits =
            [commit("2025-01-01T09:10:00Z"), commit("2025-01-08T09:20:00Z"), commit("2025-01-02T23:00:00Z")];
        let commits: Vec<_> = commits.iter().map(|commit| (&repo, commit)).collect();
        let patterns = patterns(&commits, &Days::of(&commits));
        assert_eq!(patterns.most_active_weekday.as_deref(), Some("Wednesday"));
        assert_eq!((patterns.most_active_hour, patterns.by_hour[9], patterns.by_hour[23]), (Some(9), 2, 1));
        assert_eq!((patterns.active_days, patterns.longest_streak_days), (3, 2));
        assert_eq!((patterns.commits_per_week, patterns.average_subject_length), (2.6, 4.0));
        assert_eq!(patterns.first_commit_at.as_deref(), Some("2025-01-01T09:10:00Z"));
        let none = super::patterns(&[], &Days::default());
        assert_eq!((none.most_active_hour, none.commits_per_week), (None, 0.0));
    }
}
