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

/// Words of a subject that tell its area, each as the beginning of a word; the first that fits counts. Security comes
/// first, because a fix of a hole is more than a fix.
const WORDS: [(&str, Area); 44] = [
    ("security", Area::Security),
    ("cve-", Area::Security),
    ("vulnerab", Area::Security),
    ("sanitiz", Area::Security),
    ("xss", Area::Security),
    ("fix", Area::BugFixing),
    ("bug", Area::BugFixing),
    ("correct", Area::BugFixing),
    ("repair", Area::BugFixing),
    ("resolve", Area::BugFixing),
    ("crash", Area::BugFixing),
    ("regression", Area::BugFixing),
    ("performance", Area::Performance),
    ("optimi", Area::Performance),
    ("speed", Area::Performance),
    ("faster", Area::Performance),
    ("cache", Area::Performance),
    ("test", Area::Testing),
    ("coverage", Area::Testing),
    ("spec", Area::Testing),
    ("doc", Area::Documentation),
    ("readme", Area::Documentation),
    ("changelog", Area::Documentation),
    ("comment", Area::Documentation),
    ("typo", Area::Documentation),
    ("refactor", Area::Refactoring),
    ("rename", Area::Refactoring),
    ("simplif", Area::Refactoring),
    ("clean", Area::Refactoring),
    ("extract", Area::Refactoring),
    ("move", Area::Refactoring),
    ("ci", Area::Delivery),
    ("deploy", Area::Delivery),
    ("docker", Area::Delivery),
    ("release", Area::Delivery),
    ("build", Area::Delivery),
    ("pipeline", Area::Delivery),
    ("add", Area::FeatureDevelopment),
    ("implement", Area::FeatureDevelopment),
    ("introduce", Area::FeatureDevelopment),
    ("support", Area::FeatureDevelopment),
    ("allow", Area::FeatureDevelopment),
    ("create", Area::FeatureDevelopment),
    ("feature", Area::FeatureDevelopment),
];
/// Beginnings that are too short to be one: these must be the whole word.
const WHOLE: [&str; 3] = ["ci", "add", "spec"];

impl Area {
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

fn by_words(subject: &str) -> Area {
    let subject = subject.to_ascii_lowercase();
    let words: Vec<&str> = subject.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
    let says = |beginning: &str| {
        words.iter().any(|word| {
            let fits = word.starts_with(beginning);
            // `adds` and `added` are `add`; `address` is not.
            fits && (!WHOLE.contains(&beginning) || word.len() <= beginning.len() + 2)
        })
    };
    WORDS.iter().find(|(beginning, _)| says(beginning)).map_or(Area::Maintenance, |(_, area)| *area)
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
}
