use super::{Commit, ConventionalAnalysis, ConventionalStats, percent, tenths};
use crate::client::objects::Repo;

/// The types of Conventional Commits, with those of the Angular convention that everybody uses.
const TYPES: [&str; 11] =
    ["build", "chore", "ci", "docs", "feat", "fix", "perf", "refactor", "revert", "style", "test"];

/// A message of the form `type(scope)!: description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conventional<'a> {
    /// One of [`TYPES`].
    pub(super) kind: &'static str,
    pub(super) scope: Option<&'a str>,
    pub(super) description: &'a str,
    pub(super) is_breaking: bool,
}

impl<'a> Conventional<'a> {
    pub(super) fn parse(commit: &'a Commit) -> Option<Self> {
        // The colon has a space after it; without one it is a word like any other (`http://…`, `fix:typo`).
        let (head, description) = commit.subject().split_once(": ")?;
        let (head, is_marked) = head.strip_suffix('!').map_or((head, false), |head| (head, true));
        let (kind, scope) = match head.split_once('(') {
            Some((kind, scope)) => (kind, Some(scope.strip_suffix(')')?.trim())),
            None => (head, None),
        };
        let kind = TYPES.into_iter().find(|known| kind.eq_ignore_ascii_case(known))?;
        let description = description.trim();
        (!description.is_empty()).then_some(Self {
            kind,
            scope: scope.filter(|scope| !scope.is_empty()),
            description,
            is_breaking: is_marked || has_breaking_footer(commit),
        })
    }
}

/// True if a message announces a breaking change in its body.
pub(super) fn has_breaking_footer(commit: &Commit) -> bool {
    let is_footer = |line: &str| line.starts_with("BREAKING CHANGE:") || line.starts_with("BREAKING-CHANGE:");
    commit.message.lines().skip(1).any(is_footer)
}

/// See [`ConventionalAnalysis`].
pub(super) fn analysis(commits: &[(&Repo, &Commit)]) -> ConventionalAnalysis {
    let mut stats = ConventionalStats::default();
    let (mut well_cut, mut explained) = (0, 0);
    for (_, commit) in commits.iter().filter(|(_, commit)| !commit.is_merge) {
        let conventional = Conventional::parse(commit);
        stats.total += 1;
        if let Some(conventional) = conventional {
            stats.conventional += 1;
            stats.with_scope += usize::from(conventional.scope.is_some());
            *stats.types.entry(conventional.kind.to_owned()).or_default() += 1;
        }
        let is_breaking = conventional.map_or_else(|| has_breaking_footer(commit), |c| c.is_breaking);
        stats.breaking_changes += usize::from(is_breaking);
        well_cut += usize::from((10..=72).contains(&commit.subject().chars().count()));
        explained += usize::from(commit.has_body() || conventional.is_some_and(|c| c.scope.is_some()));
    }
    stats.percentage = percent(stats.conventional, stats.total);
    let part = |count: usize| count as f64 / stats.total.max(1) as f64;
    let quality_score = 60.0 * part(stats.conventional) + 20.0 * part(well_cut) + 20.0 * part(explained);
    ConventionalAnalysis { stats, quality_score: tenths(quality_score) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(message: &str) -> Commit {
        Commit { message: message.into(), ..Commit::default() }
    }

    #[test]
    fn messages_are_conventional_by_their_form() {
        let parsed = |message: &str| {
            let commit = commit(message);
            Conventional::parse(&commit).map(|c| (c.kind, c.scope.map(str::to_owned), c.is_breaking))
        };
        assert_eq!(parsed("feat: add login"), Some(("feat", None, false)));
        assert_eq!(parsed("Fix(parser): end of input"), Some(("fix", Some("parser".into()), false)));
        assert_eq!(parsed("refactor(api)!: drop v1"), Some(("refactor", Some("api".into()), true)));
        assert_eq!(parsed("chore: x\n\nBREAKING CHANGE: gone"), Some(("chore", None, true)));
        assert_eq!(parsed("fix!: x\r\n\r\nBREAKING-CHANGE: gone\r\n"), Some(("fix", None, true)));
        for message in [
            "Add login",
            "feat:",
            "feat: ",
            "feat:x",
            "feat : x",
            "feature: x",
            "prefix: x",
            "latest: x",
            "feat(x: y",
            "feat (x): y",
            "✨ feat: x",
            "Revert \"feat: x\"",
            "Merge: x",
            "",
            "http://a: b",
        ] {
            assert_eq!(parsed(message), None, "{message}");
        }
    }

    #[test]
    fn the_score_is_made_as_documented() {
        let repo = Repo::default();
        let commits = [
            commit("feat(api): add a way to log in"),
            commit("fixed"),
            Commit { is_merge: true, ..commit("Merge branch 'x'") },
        ];
        let commits: Vec<_> = commits.iter().map(|commit| (&repo, commit)).collect();
        let analysis = analysis(&commits);
        assert_eq!((analysis.stats.total, analysis.stats.conventional, analysis.stats.with_scope), (2, 1, 1));
        assert_eq!((analysis.stats.percentage, analysis.quality_score), (50.0, 50.0));
        let nothing = super::analysis(&[]);
        assert_eq!((nothing.stats.percentage, nothing.quality_score), (0.0, 0.0));
    }
}
