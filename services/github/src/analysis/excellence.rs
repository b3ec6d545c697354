use std::collections::BTreeMap;

use super::areas::Area;
use super::catalog;
use super::conventional::Conventional;
use super::{AreaShare, Commit, ExcellenceAreas, ToolsAndFeatures, most_frequent, percent};
use crate::client::objects::Repo;

/// See [`ExcellenceAreas`].
pub(super) fn areas(commits: &[(&Repo, &Commit)]) -> ExcellenceAreas {
    let mut counts: BTreeMap<Area, usize> = BTreeMap::new();
    let authored = || commits.iter().filter(|(_, commit)| !commit.is_merge);
    for (_, commit) in authored() {
        *counts.entry(Area::of(commit)).or_default() += 1;
    }
    let total = authored().count();
    // The first of equally frequent ones: areas are ordered by what they say of a developer.
    let strongest = counts.iter().filter(|(area, _)| **area != Area::Maintenance);
    let strongest = strongest.fold(None, |best: Option<(Area, usize)>, (area, count)| match best {
        Some((_, most)) if most >= *count => best,
        _ => Some((*area, *count)),
    });
    let share = |count| AreaShare { count, percentage: percent(count, total) };
    ExcellenceAreas {
        patterns: counts.iter().map(|(area, count)| (area.name().to_owned(), share(*count))).collect(),
        primary_strength: strongest.map(|(area, _)| area.name().to_owned()),
    }
}

/// Tools and features that are listed.
const LISTED: usize = 10;

/// See [`ToolsAndFeatures`].
pub(super) fn tools_and_features(commits: &[(&Repo, &Commit)]) -> ToolsAndFeatures {
    let named: Vec<Vec<&str>> = commits.iter().map(|(_, commit)| named(commit)).collect();
    let tools = most_frequent(named.iter().flatten().copied(), LISTED);
    let features = commits.iter().filter(|(_, commit)| !commit.is_merge);
    let mut features: Vec<&Commit> = features
        .filter(|(_, commit)| Area::of(commit) == Area::FeatureDevelopment)
        .map(|(_, commit)| *commit)
        .collect();
    // RFC 3339 in UTC sorts as text.
    features.sort_by(|a, b| b.date.cmp(&a.date));
    let description = |commit: &Commit| {
        let text = Conventional::parse(commit).map_or_else(|| commit.subject(), |c| c.description);
        text.chars().take(120).collect()
    };
    ToolsAndFeatures {
        tools: tools.into_iter().map(|(tool, count)| (tool.to_owned(), count)).collect(),
        features: features.into_iter().take(LISTED).map(description).collect(),
    }
}

/// The frameworks and tools that a message names, each once.
fn named(commit: &Commit) -> Vec<&'static str> {
    let message = commit.message.to_lowercase();
    let words = message.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.' | '+' | '#'));
    let mut named: Vec<_> = words.filter_map(|word| catalog::word(word.trim_matches('.'))).collect();
    named.sort_unstable();
    named.dedup();
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_tools_and_features_come_from_messages() {
        let repo = Repo::default();
        let commit = |message: &str, date: &str| Commit {
            message: message.into(),
            date: Some(date.into()),
            ..Commit::default()
        };
        let commits = [
            commit("feat: add a Docker image", "2025-01-01T00:00:00Z"),
            commit("feat(web): React front page", "2025-03-01T00:00:00Z"),
            commit("chore: bump docker", "2025-02-01T00:00:00Z"),
            commit("chore: x", "2025-02-01T00:00:00Z"),
            commit("chore: y", "2025-02-01T00:00:00Z"),
            Commit { is_merge: true, ..commit("Merge pull request", "2025-02-01T00:00:00Z") },
        ];
        let commits: Vec<_> = commits.iter().map(|commit| (&repo, commit)).collect();
        let areas = areas(&commits);
        assert_eq!(areas.primary_strength.as_deref(), Some("feature_development"));
        assert_eq!(areas.patterns["feature_development"], AreaShare { count: 2, percentage: 40.0 });
        assert_eq!(areas.patterns["maintenance"].count, 3);
        let found = tools_and_features(&commits);
        assert_eq!(found.tools, BTreeMap::from([("Docker".into(), 2), ("React".into(), 1)]));
        assert_eq!(found.features, ["React front page", "add a Docker image"]);
        assert_eq!(super::areas(&[]).primary_strength, None);
    }
}
