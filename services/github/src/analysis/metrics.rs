use super::dates::Days;
use super::{Commit, ContributorMetrics, Evidence, TopRepository, percent, tenths};
use crate::client::objects::Repo;

/// Repositories that are listed.
const LISTED: usize = 5;

/// The repositories with the most of the commits, the most starred of equal ones first.
pub(super) fn top_repositories(evidence: &Evidence) -> Vec<TopRepository> {
    let total = evidence.commits().count();
    let mut top: Vec<_> = evidence.by_repository().filter(|(_, commits)| !commits.is_empty()).collect();
    top.sort_by_key(|(repo, commits)| std::cmp::Reverse((commits.len(), repo.stargazers_count)));
    top.truncate(LISTED);
    top.into_iter()
        .map(|(repo, commits)| TopRepository {
            repository: repo.full_name.clone(),
            commits: commits.len(),
            percentage: percent(commits.len(), total),
            stars: repo.stargazers_count,
            language: repo.language.clone(),
        })
        .collect()
}

/// See [`ContributorMetrics`].
pub(super) fn contributor(
    evidence: &Evidence,
    commits: &[(&Repo, &Commit)],
    days: &Days,
) -> ContributorMetrics {
    let mut repositories: Vec<&str> = commits.iter().map(|(repo, _)| repo.full_name.as_str()).collect();
    repositories.sort_unstable();
    repositories.dedup();
    let merge_commits = commits.iter().filter(|(_, commit)| commit.is_merge).count();
    let sizes: Vec<_> = commits.iter().filter_map(|(_, commit)| commit.size).collect();
    let sum = |part: fn(&super::Size) -> u64| sizes.iter().map(part).sum::<u64>();
    let (lines_added, lines_deleted) = (sum(|size| size.additions), sum(|size| size.deletions));
    let per = |amount: f64, of: usize| tenths(amount / of.max(1) as f64);
    ContributorMetrics {
        repositories_contributed_to: repositories.len(),
        commits_authored: commits.len() - merge_commits,
        merge_commits,
        commits_in_other_repositories: evidence.elsewhere.iter().map(|known| known.commits.len()).sum(),
        commits_measured: sizes.len(),
        lines_added,
        lines_deleted,
        files_changed: sum(|size| size.files),
        average_lines_per_commit: per((lines_added + lines_deleted) as f64, sizes.len()),
        commits_per_active_day: per(days.moments.len() as f64, days.active.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Contribution, Examined, Size};

    #[test]
    fn sums_are_over_what_was_measured() {
        let examined = |name: &str, stars: u64, commits: Vec<Commit>| Examined {
            repo: Repo { full_name: name.into(), stargazers_count: stars, ..Repo::default() },
            commits,
            ..Examined::default()
        };
        let measured = |additions, deletions| Commit {
            size: Some(Size { additions, deletions, files: 2 }),
            date: Some("2025-01-01T00:00:00Z".into()),
            ..Commit::default()
        };
        let merge = Commit { is_merge: true, date: Some("2025-01-02T00:00:00Z".into()), ..Commit::default() };
        let evidence = Evidence {
            examined: vec![
                examined("a/few", 100, vec![measured(10, 5)]),
                examined("a/none", 900, vec![]),
                examined("a/more", 1, vec![measured(20, 0), merge, Commit::default()]),
            ],
            elsewhere: vec![Contribution {
                repo: Repo { full_name: "b/other".into(), ..Repo::default() },
                commits: vec![Commit::default()],
            }],
            ..Evidence::default()
        };
        let top = top_repositories(&evidence);
        let top: Vec<_> =
            top.iter().map(|top| (top.repository.as_str(), top.commits, top.percentage)).collect();
        assert_eq!(top, [("a/more", 3, 60.0), ("a/few", 1, 20.0), ("b/other", 1, 20.0)]);
        let commits: Vec<_> = evidence.commits().collect();
        let metrics = contributor(&evidence, &commits, &Days::of(&commits));
        assert_eq!(
            metrics,
            ContributorMetrics {
                repositories_contributed_to: 3,
                commits_authored: 4,
                merge_commits: 1,
                commits_in_other_repositories: 1,
                commits_measured: 2,
                lines_added: 30,
                lines_deleted: 5,
                files_changed: 4,
                average_lines_per_commit: 17.5,
                commits_per_active_day: 1.5,
            }
        );
    }
}
