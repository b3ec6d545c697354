use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Coverage;
use crate::client::objects::{Organization, Repo, Starred, User};

/// GitHub's data about a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) user: User,
    /// All that were read, forks too.
    pub(crate) repositories: Vec<Repo>,
    /// The newest hundred stars.
    pub(crate) starred: Vec<Starred>,
    pub(crate) organizations: Vec<Organization>,
    /// Those of the user's own that were looked into, at most ten.
    pub(crate) examined: Vec<Examined>,
    /// The user's newest commits in repositories of others.
    pub(crate) elsewhere: Vec<Contribution>,
    pub(crate) coverage: Coverage,
}

/// A repository of somebody else's that the user wrote to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contribution {
    /// Of a search: it has no stars and no language.
    pub(crate) repo: Repo,
    pub(crate) commits: Vec<Commit>,
}

/// A repository that was looked into.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Examined {
    pub(crate) repo: Repo,
    pub(crate) languages: BTreeMap<String, u64>,
    /// The user's newest commits.
    pub(crate) commits: Vec<Commit>,
    /// The names of what lies at its root.
    pub(crate) files: Vec<String>,
    /// The dependencies that its manifests name.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A commit of the user's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) html_url: Option<String>,
    pub(crate) message: String,
    /// RFC 3339.
    pub(crate) date: Option<String>,
    pub(crate) is_merge: bool,
    /// `None` where the commit was not looked at singly.
    pub(crate) size: Option<Size>,
}

/// The size of a commit's change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    /// At most 300 are told.
    pub(crate) files: u64,
}

/// A package that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Dependency {
    /// In lower case.
    pub(crate) name: String,
    /// The registry that the name is of: `npm`, `pypi`, `cargo`, `go`, `gem`, `composer` or `maven`.
    pub(crate) registry: String,
}

impl Evidence {
    /// Every commit with its repository.
    pub(crate) fn commits(&self) -> impl Iterator<Item = (&Repo, &Commit)> {
        self.by_repository().flat_map(|(repo, commits)| commits.iter().map(move |commit| (repo, commit)))
    }

    /// The commits of each repository, the user's own first.
    pub(crate) fn by_repository(&self) -> impl Iterator<Item = (&Repo, &[Commit])> {
        let own = self.examined.iter().map(|examined| (&examined.repo, examined.commits.as_slice()));
        own.chain(self.elsewhere.iter().map(|known| (&known.repo, known.commits.as_slice())))
    }

    pub(crate) fn is_organization(&self) -> bool {
        self.user.kind.as_deref() == Some("Organization")
    }
}

impl Commit {
    /// The first line of the message.
    pub(crate) fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default().trim()
    }

    /// True if there is more than the first line.
    pub(crate) fn has_body(&self) -> bool {
        self.message.lines().skip(1).any(|line| !line.trim().is_empty())
    }
}
