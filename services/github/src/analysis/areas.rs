use std::sync::LazyLock;

use super::Commit;
use super::conventional::Conventional;

/// The area that a commit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Area {
    FeatureDevelopment,
    BugFixing,
    Performance,
    Security,
    Refactoring,
    Testing,
    Documentation,
    Delivery,
    Maintenance,
}

/// The words of each area, in the order in which areas are tried.
static WORDS: LazyLock<Vec<(Area, Vec<&'static str>)>> = LazyLock::new(|| {
    let lines = include_str!("data/areas.txt").lines().filter(|line| !line.starts_with('#'));
    let area = |line: &'static str| {
        let (name, words) = line.split_once(": ")?;
        Some((Area::ALL.into_iter().find(|area| area.name() == name)?, words.split(", ").collect()))
    };
    lines.filter_map(area).collect()
});

impl Area {
    const ALL: [Area; 9] = [
        Area::FeatureDevelopment,
        Area::BugFixing,
        Area::Performance,
        Area::Security,
        Area::Refactoring,
        Area::Testing,
        Area::Documentation,
        Area::Delivery,
        Area::Maintenance,
    ];

    /// The area of a commit, by its conventional type or else by its subject's words.
    pub(super) fn of(commit: &Commit) -> Self {
        let by_words = || by_words(commit.subject());
        match Conventional::parse(commit).map(|conventional| conventional.kind) {
            Some("feat") => Area::FeatureDevelopment,
            // A fix of a hole is still security, and so on, where the words say so.
            Some("fix") => {
                if by_words() == Area::Security {
                    Area::Security
                } else {
                    Area::BugFixing
                }
            }
            Some("perf") => Area::Performance,
            Some("refactor" | "style") => Area::Refactoring,
            Some("test") => Area::Testing,
            Some("docs") => Area::Documentation,
            Some("build" | "ci") => Area::Delivery,
            Some(_) => Area::Maintenance,
            None => by_words(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Area::FeatureDevelopment => "feature_development",
            Area::BugFixing => "bug_fixing",
            Area::Performance => "performance",
            Area::Security => "security",
            Area::Refactoring => "refactoring",
            Area::Testing => "testing",
            Area::Documentation => "documentation",
            Area::Delivery => "delivery",
            Area::Maintenance => "maintenance",
        }
    }
}

/// The area that the words of a subject tell. Taking something back, as Git words it, is none of what is taken back.
fn by_words(subject: &str) -> Area {
    if subject.starts_with("Revert \"") || subject.starts_with("Reapply \"") {
        return Area::Maintenance;
    }
    let subject = subject.to_lowercase();
    let words: Vec<&str> =
        subject.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let spaced = format!(" {} ", words.join(" "));
    let says = |entry: &str| match entry.chars().next() {
        Some(first) if !first.is_alphanumeric() => subject.starts_with(entry),
        // Chinese and Japanese are written without spaces.
        Some('\u{3040}'..='\u{9fff}') => subject.contains(entry),
        _ => spaced.contains(&format!(" {entry} ")),
    };
    let found = WORDS.iter().find(|(_, entries)| entries.iter().any(|entry| says(entry)));
    found.map_or(Area::Maintenance, |(area, _)| *area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_and_else_the_words() {
        let area = |message: &str| Area::of(&Commit { message: message.into(), ..Commit::default() });
        assert_eq!(area("feat: fix nothing"), Area::FeatureDevelopment);
        assert_eq!(area("fix(auth): vulnerability in tokens"), Area::Security);
        assert_eq!(area("fix: wrong sum"), Area::BugFixing);
        assert_eq!(area("chore: bump versions"), Area::Maintenance);
        assert_eq!(area("Added a login page"), Area::FeatureDevelopment);
        assert_eq!(area("Address review"), Area::Maintenance);
        assert_eq!(area("Update README"), Area::Documentation);
        assert_eq!(area("Special case"), Area::Maintenance);
        assert_eq!(area("wip"), Area::Maintenance);
        assert_eq!(area(""), Area::Maintenance);
    }

    #[test]
    fn words_count_whole_and_never_as_a_part_of_another() {
        let area = |message: &str| Area::of(&Commit { message: message.into(), ..Commit::default() });
        for message in [
            "Prefix all keys",
            "latest changes",
            "Contest results page",
            "Maintain the list",
            "Address the city council",
            "Addressed review comments",
            "Special offers",
            "Movie titles",
            "Debugger settings",
            "Rebuilding trust",
            "Typography of headings",
            "Optimistic locking",
            "Revert \"fix: crash on empty input\"",
            "Revert \"feat: add x\"",
            "Merge branch 'main' into dev",
            "Cancel in-flight requests when the tab closes",
            "Bump version to 1.2.0",
            "🎉 Initial commit",
            "Update dependencies",
            ".",
        ] {
            assert_eq!(area(message), Area::Maintenance, "{message}");
        }
        for (message, expected) in [
            ("docker: use slim image", Area::Delivery),
            ("Dockerfile for the worker", Area::Delivery),
            ("[skip ci] release", Area::Delivery),
            ("doc: how to install", Area::Documentation),
            ("Fixed typo", Area::BugFixing),
            ("Fix CVE-2024-1234 in the XML parser", Area::Security),
            ("Shared fixtures", Area::Testing),
            ("moved stuff", Area::Refactoring),
            ("Corrige le bug d'affichage", Area::BugFixing),
            ("Ajout de la page d’accueil", Area::FeatureDevelopment),
            ("🐛 修复了登录问题", Area::BugFixing),
            ("修复了登录问题", Area::BugFixing),
            ("✨ Dark mode", Area::FeatureDevelopment),
            ("♻️ One type for both", Area::Refactoring),
            (":memo: Guide", Area::Documentation),
        ] {
            assert_eq!(area(message), expected, "{message}");
        }
    }

    #[test]
    fn every_area_has_its_words() {
        assert_eq!(WORDS.len(), Area::ALL.len());
        assert!(WORDS.iter().all(|(_, words)| words.iter().all(|word| *word == word.to_lowercase())));
    }
}
