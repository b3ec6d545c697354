//! Figures from GitHub's data about a user: pure functions, from `Evidence` to `Profile`. Each figure's doc
//! comment says how it is made.

mod areas;
mod catalog;
mod conventional;
mod dates;
mod evidence;
mod excellence;
mod impact;
mod languages;
mod manifest;
mod metrics;
mod patterns;
mod profile;
mod skills;
mod soft_skills;

pub(crate) use evidence::{Commit, Contribution, Dependency, Evidence, Examined, Size};
pub(crate) use manifest::{Manifest, dependencies, is_manifest};
pub use profile::*;

use crate::client::objects::Repo;

/// Repositories that a profile shows.
pub(crate) const SHOWN_REPOSITORIES: usize = 10;

/// The whole analysis; `analyzed_at` is when it was made, in the service's form of times.
pub(crate) fn analyze(evidence: &Evidence, analyzed_at: String) -> Profile {
    let languages = languages::languages(&evidence.examined);
    let commits: Vec<(&Repo, &Commit)> = evidence.commits().collect();
    let days = dates::Days::of(&commits);
    Profile {
        user_data: user_data(evidence),
        repositories: repositories(evidence),
        skills: skills::skills(evidence, &languages, &commits, &days),
        languages,
        commit_analysis: CommitAnalysis {
            total_commits_analyzed: commits.len(),
            conventional_commit_analysis: conventional::analysis(&commits),
            impact_analysis: impact::analysis(&commits),
            excellence_areas: excellence::areas(&commits),
            tools_and_features: excellence::tools_and_features(&commits),
            commit_patterns: patterns::patterns(&commits, &days),
            top_repositories: metrics::top_repositories(evidence),
            contributor_metrics: metrics::contributor(evidence, &commits, &days),
        },
        coverage: evidence.coverage.clone(),
        analyzed_at,
        analysis_context_type: "profile".to_owned(),
    }
}

fn user_data(evidence: &Evidence) -> UserData {
    let user = &evidence.user;
    let own = || evidence.repositories.iter().filter(|repo| !repo.fork);
    UserData {
        login: user.login.clone(),
        id: user.id,
        kind: user.kind.clone(),
        name: user.name.clone(),
        company: user.company.clone(),
        blog: user.blog.clone().filter(|blog| !blog.is_empty()),
        location: user.location.clone(),
        email: user.email.clone(),
        bio: user.bio.clone(),
        avatar_url: user.avatar_url.clone(),
        html_url: user.html_url.clone(),
        public_repos: user.public_repos,
        followers: user.followers,
        following: user.following,
        total_stars: own().map(|repo| repo.stargazers_count).sum(),
        total_forks: own().map(|repo| repo.forks_count).sum(),
        organizations: evidence.organizations.iter().map(|org| org.login.clone()).collect(),
        starred_topics: starred_topics(evidence),
        created_at: user.created_at.clone(),
        updated_at: user.updated_at.clone(),
    }
}

/// The ten topics that most of the user's newest hundred stars have in common, the most frequent first.
fn starred_topics(evidence: &Evidence) -> Vec<String> {
    let topics = evidence.starred.iter().flat_map(|starred| starred.topics.iter().map(String::as_str));
    most_frequent(topics, 10).into_iter().map(|(topic, _)| topic.to_owned()).collect()
}

/// The shown repositories: the examined ones first, in their order, then others of the user's own by stars.
fn repositories(evidence: &Evidence) -> Vec<Repository> {
    let examined = evidence.examined.iter().map(|examined| (&examined.repo, Some(&examined.languages)));
    let is_examined =
        |repo: &&Repo| evidence.examined.iter().any(|known| known.repo.full_name == repo.full_name);
    let mut others: Vec<&Repo> = evidence.repositories.iter().filter(|repo| !is_examined(repo)).collect();
    others.sort_by_key(|repo| (repo.fork, std::cmp::Reverse(repo.stargazers_count)));
    let all = examined.chain(others.into_iter().map(|repo| (repo, None)));
    all.take(SHOWN_REPOSITORIES)
        .map(|(repo, languages)| Repository {
            name: repo.name.clone(),
            full_name: repo.full_name.clone(),
            description: repo.description.clone(),
            html_url: repo.html_url.clone(),
            language: repo.language.clone(),
            languages: languages.cloned().unwrap_or_default(),
            stars: repo.stargazers_count,
            forks: repo.forks_count,
            open_issues: repo.open_issues_count,
            size_kb: repo.size,
            topics: repo.topics.clone(),
            license: repo.license.as_ref().and_then(|license| license.spdx_id.clone()),
            is_fork: repo.fork,
            is_archived: repo.archived,
            created_at: repo.created_at.clone(),
            updated_at: repo.updated_at.clone(),
            pushed_at: repo.pushed_at.clone(),
        })
        .collect()
}

/// The most frequent of `words` with their counts; of equally frequent ones, the first by the alphabet.
fn most_frequent<'a>(words: impl Iterator<Item = &'a str>, limit: usize) -> Vec<(&'a str, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for word in words {
        *counts.entry(word).or_insert(0_usize) += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(limit);
    counts
}

/// `part` of `whole` in percent, to one decimal; 0 of nothing.
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { tenths(part as f64 / whole as f64 * 100.0) }
}

/// A number to one decimal.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
