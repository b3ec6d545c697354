use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The result of an analysis, as the original document has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// The user.
    pub user_data: UserData,
    /// At most ten; those that were looked into first.
    pub repositories: Vec<Repository>,
    /// By bytes, the largest first.
    pub languages: Vec<LanguageShare>,
    /// The user's skills.
    pub skills: Skills,
    /// The user's way of working.
    pub commit_analysis: CommitAnalysis,
    /// The part of what there is that was read.
    pub coverage: Coverage,
    /// The time at which this was made.
    pub analyzed_at: String,
    /// Always `profile`.
    pub analysis_context_type: String,
}

/// The part of a profile that was read. Analyses are bounded, and GitHub does not answer everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// The repositories that were read, forks too.
    pub repositories_read: usize,
    /// Of how many: where not all were read, the number that GitHub tells.
    pub repositories_total: usize,
    /// Those whose languages, commits and files were looked at, at most ten.
    pub repositories_examined: usize,
    /// The newest stars, at most a hundred.
    pub stars_read: usize,
    /// Notes of what was left out and what could not be read.
    pub notes: Vec<String>,
}

/// GitHub's own data of a user, and sums over the user's own repositories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "GitHub's own fields, under GitHub's names")]
pub struct UserData {
    pub login: String,
    pub id: u64,
    /// `User`, `Organization` or `Bot`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub name: Option<String>,
    pub company: Option<String>,
    pub blog: Option<String>,
    pub location: Option<String>,
    pub email: Option<String>,
    pub bio: Option<String>,
    pub avatar_url: Option<String>,
    pub html_url: Option<String>,
    pub public_repos: u64,
    pub followers: u64,
    pub following: u64,
    /// Stars of all repositories that are no forks.
    pub total_stars: u64,
    /// Forks of all repositories that are no forks themselves.
    pub total_forks: u64,
    /// The public organizations that the user belongs to.
    pub organizations: Vec<String>,
    /// The ten topics that the user's newest hundred stars have most often.
    pub starred_topics: Vec<String>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "GitHub's own fields")]
pub struct Repository {
    pub name: String,
    pub full_name: String,
    pub description: Option<String>,
    pub html_url: Option<String>,
    /// The language that GitHub calls the main one.
    pub language: Option<String>,
    /// Bytes by language; empty where the repository was not looked into.
    pub languages: BTreeMap<String, u64>,
    pub stars: u64,
    pub forks: u64,
    pub open_issues: u64,
    pub size_kb: u64,
    pub topics: Vec<String>,
    /// The license's SPDX id.
    pub license: Option<String>,
    pub is_fork: bool,
    pub is_archived: bool,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub pushed_at: Option<String>,
}

/// A language over all repositories that were looked into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LanguageShare {
    /// Its name, as GitHub writes it.
    pub language: String,
    /// In how many of them it occurs.
    pub repository_count: usize,
    /// Its part of all bytes, to two decimals.
    pub percentage: f64,
    /// Bytes / 40: GitHub tells bytes only, and a line of code has about forty.
    pub lines_of_code: u64,
}

/// The skills of a user, as far as the code shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Skills {
    /// Languages with at least 1 % of the bytes, the largest first, then the main languages of other own repositories.
    pub technical_skills: Vec<String>,
    /// Frameworks and libraries that manifests or topics name.
    pub frameworks: Vec<String>,
    /// Tools that files at the root, manifests or topics name.
    pub tools: Vec<String>,
    /// Fields that topics, frameworks and languages point to, those with the most evidence first.
    pub domains: Vec<String>,
    /// Every package that the manifests name, by the alphabet, at most 200.
    pub dependencies_found: Vec<String>,
    /// The signs in commits and repositories of how the user works; each has a rule of its own.
    pub soft_skills: Vec<String>,
}

/// The way in which a user works, by at most 150 commits of at most ten repositories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommitAnalysis {
    /// The number of commits that the rest is made from.
    pub total_commits_analyzed: usize,
    /// The form of the messages.
    pub conventional_commit_analysis: ConventionalAnalysis,
    /// The weight of the commits.
    pub impact_analysis: ImpactAnalysis,
    /// The areas of the commits.
    pub excellence_areas: ExcellenceAreas,
    /// The tools and features that the messages name.
    pub tools_and_features: ToolsAndFeatures,
    /// The times of the commits.
    pub commit_patterns: CommitPatterns,
    /// At most five, those with the most commits first.
    pub top_repositories: Vec<TopRepository>,
    /// Sums.
    pub contributor_metrics: ContributorMetrics,
}

/// The share of messages that keep to Conventional Commits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConventionalAnalysis {
    /// Counts.
    pub stats: ConventionalStats,
    /// 0 to 100: 60 for the part of messages that are conventional, 20 for the part whose subject has 10 to 72
    /// characters, 20 for the part with a body or a scope. Merges do not count.
    pub quality_score: f64,
}

/// Counts of messages. Merges do not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConventionalStats {
    /// All of them.
    pub total: usize,
    /// Those of the form `type(scope)!: description`.
    pub conventional: usize,
    /// Conventional ones in percent.
    pub percentage: f64,
    /// Conventional ones with a scope.
    pub with_scope: usize,
    /// Those that announce a breaking change, by `!` or a footer.
    pub breaking_changes: usize,
    /// Conventional ones by type.
    pub types: BTreeMap<String, usize>,
}

/// The weight of commits, each scored from 1 to 10.
///
/// The score is what its area is worth (security 6, features and performance 5, fixes and refactoring 4, tests and
/// delivery 3, documentation 2, the rest 1.5), 2 more for a breaking change, up to 3 more for its size where that was
/// measured (half the binary logarithm of the lines changed), and up to 1.5 more for the repository's reach (half the
/// decimal logarithm of its stars). A merge is worth 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImpactAnalysis {
    /// The number of commits by score.
    pub distribution: ImpactDistribution,
    /// The mean score, to one decimal; 0 where there is no commit.
    pub average_impact_score: f64,
    /// At most five commits that score 7 or more, the highest first.
    pub high_impact_commits: Vec<HighImpactCommit>,
}

/// Commits by score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImpactDistribution {
    /// 7 or more.
    pub high: usize,
    /// 4 or more, less than 7.
    pub moderate: usize,
    /// Less than 4.
    pub low: usize,
}

/// A commit that matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HighImpactCommit {
    /// Its hash.
    pub sha: String,
    /// The repository's full name.
    pub repository: String,
    /// The first line of its message.
    pub message: String,
    /// 7 to 10.
    pub impact_score: f64,
    /// Lines added and deleted, where the commit was looked at singly.
    pub lines_changed: Option<u64>,
    /// When.
    pub date: Option<String>,
    /// The address of its page.
    pub html_url: Option<String>,
}

/// The areas that commits are about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExcellenceAreas {
    /// Commits by area; areas without any are left out. A conventional type decides, else the subject's words.
    pub patterns: BTreeMap<String, AreaShare>,
    /// The area with the most commits, maintenance aside; `None` where there is none.
    pub primary_strength: Option<String>,
}

/// An area's part of the commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AreaShare {
    /// Its commits.
    pub count: usize,
    /// In percent of those that are no merges.
    pub percentage: f64,
}

/// The tools and features that messages name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolsAndFeatures {
    /// Tools and frameworks by how many messages name them, at most ten.
    pub tools: BTreeMap<String, usize>,
    /// The features of the newest feature commits, at most ten.
    pub features: Vec<String>,
}

/// The times of commits, in UTC: GitHub does not tell the author's time zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommitPatterns {
    /// Commits by day of the week.
    pub by_weekday: BTreeMap<String, usize>,
    /// Commits by hour, from 0 to 23; 24 numbers.
    pub by_hour: Vec<usize>,
    /// The day with the most.
    pub most_active_weekday: Option<String>,
    /// The hour with the most.
    pub most_active_hour: Option<u8>,
    /// Days with a commit.
    pub active_days: usize,
    /// The most days in a row with a commit.
    pub longest_streak_days: usize,
    /// Commits over the weeks from the first to the last, both included, to one decimal.
    pub commits_per_week: f64,
    /// The mean length of subjects in characters.
    pub average_subject_length: f64,
    /// The oldest of them.
    pub first_commit_at: Option<String>,
    /// The newest of them.
    pub last_commit_at: Option<String>,
}

/// A repository by the user's commits to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopRepository {
    /// Its full name.
    pub repository: String,
    /// Commits of the user's that were looked at.
    pub commits: usize,
    /// In percent of all that were looked at.
    pub percentage: f64,
    /// Its stars.
    pub stars: u64,
    /// Its main language.
    pub language: Option<String>,
}

/// Sums over the commits that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContributorMetrics {
    /// Repositories with at least one of them.
    pub repositories_contributed_to: usize,
    /// Those that are no merges.
    pub commits_authored: usize,
    /// Merges.
    pub merge_commits: usize,
    /// Those in repositories of others, by GitHub's search; at most 50.
    pub commits_in_other_repositories: usize,
    /// Those that were looked at singly: the next three are theirs alone.
    pub commits_measured: usize,
    /// Lines added.
    pub lines_added: u64,
    /// Lines deleted.
    pub lines_deleted: u64,
    /// Files changed.
    pub files_changed: u64,
    /// Lines added and deleted per measured commit, to one decimal.
    pub average_lines_per_commit: f64,
    /// Commits per day with a commit, to one decimal.
    pub commits_per_active_day: f64,
}
