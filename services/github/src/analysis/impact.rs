use super::areas::Area;
use super::conventional::{Conventional, has_breaking_footer};
use super::{Commit, HighImpactCommit, ImpactAnalysis, ImpactDistribution, tenths};
use crate::client::objects::Repo;

/// From here on a commit's impact is high.
const HIGH: f64 = 7.0;
/// From here on it is moderate.
const MODERATE: f64 = 4.0;
/// High-impact commits that are listed.
const LISTED: usize = 5;

/// See [`ImpactAnalysis`].
pub(super) fn analysis(commits: &[(&Repo, &Commit)]) -> ImpactAnalysis {
    let mut scored: Vec<_> =
        commits.iter().map(|(repo, commit)| (score(repo, commit), *repo, *commit)).collect();
    let count = |fits: &dyn Fn(f64) -> bool| scored.iter().filter(|(score, _, _)| fits(*score)).count();
    let distribution = ImpactDistribution {
        high: count(&|score| score >= HIGH),
        moderate: count(&|score| (MODERATE..HIGH).contains(&score)),
        low: count(&|score| score < MODERATE),
    };
    let sum: f64 = scored.iter().map(|(score, _, _)| score).sum();
    let average_impact_score = tenths(sum / scored.len().max(1) as f64);
    scored.retain(|(score, _, _)| *score >= HIGH);
    // Equal scores stay in the order in which they came, so that the same evidence gives the same list.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.truncate(LISTED);
    let high_impact_commits = scored.into_iter().map(|(impact_score, repo, commit)| HighImpactCommit {
        sha: commit.sha.clone(),
        repository: repo.full_name.clone(),
        message: commit.subject().chars().take(200).collect(),
        impact_score,
        lines_changed: commit.size.map(|size| size.additions + size.deletions),
        date: commit.date.clone(),
        html_url: commit.html_url.clone(),
    });
    ImpactAnalysis { distribution, average_impact_score, high_impact_commits: high_impact_commits.collect() }
}

/// 1 to 10, to one decimal; how it is made stands at [`ImpactAnalysis`].
fn score(repo: &Repo, commit: &Commit) -> f64 {
    if commit.is_merge {
        return 1.0;
    }
    let area = match Area::of(commit) {
        Area::Security => 6.0,
        Area::FeatureDevelopment | Area::Performance => 5.0,
        Area::BugFixing | Area::Refactoring => 4.0,
        Area::Testing | Area::Delivery => 3.0,
        Area::Documentation => 2.0,
        Area::Maintenance => 1.5,
    };
    let conventional = Conventional::parse(commit);
    let is_breaking = conventional.map_or_else(|| has_breaking_footer(commit), |c| c.is_breaking);
    let breaking = if is_breaking { 2.0 } else { 0.0 };
    let lines = commit.size.map_or(0, |size| size.additions + size.deletions);
    let size = ((lines as f64 + 1.0).log2() / 2.0).min(3.0);
    let reach = ((repo.stargazers_count as f64 + 1.0).log10() / 2.0).min(1.5);
    tenths((area + breaking + size + reach).clamp(1.0, 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Size;

    fn commit(message: &str, additions: u64) -> Commit {
        let size = (additions > 0).then_some(Size { additions, deletions: 0, files: 1 });
        Commit { message: message.into(), size, ..Commit::default() }
    }

    #[test]
    fn a_score_is_the_sum_of_its_parts() {
        let unknown = Repo::default();
        let known = Repo { stargazers_count: 999, ..Repo::default() };
        assert_eq!(score(&unknown, &commit("docs: x", 0)), 2.0);
        assert_eq!(score(&unknown, &commit("feat: x", 15)), 7.0);
        assert_eq!(score(&known, &commit("feat: x", 15)), 8.5);
        assert_eq!(score(&known, &commit("feat!: x", 1_000_000)), 10.0);
        assert_eq!(score(&known, &Commit { is_merge: true, ..commit("Merge security", 500) }), 1.0);
    }

    #[test]
    fn commits_are_counted_and_the_highest_listed() {
        let repo = Repo::default();
        let commits =
            [commit("docs: x", 0), commit("feat: a", 15), commit("feat: b", 63), commit("fix: c", 0)];
        let commits: Vec<_> = commits.iter().map(|commit| (&repo, commit)).collect();
        let analysis = analysis(&commits);
        assert_eq!(analysis.distribution, ImpactDistribution { high: 2, moderate: 1, low: 1 });
        assert_eq!(analysis.average_impact_score, 5.3);
        let listed: Vec<_> =
            analysis.high_impact_commits.iter().map(|c| (c.message.as_str(), c.impact_score)).collect();
        assert_eq!(listed, [("feat: b", 8.0), ("feat: a", 7.0)]);
        assert_eq!(super::analysis(&[]).average_impact_score, 0.0);
    }
}
