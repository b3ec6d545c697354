use serde::{Deserialize, Serialize};

use crate::client::objects::{Languages, Organization, Repo, Starred, User};

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
}

/// A repository that was looked into.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Examined {
    pub(crate) repo: Repo,
    pub(crate) languages: Languages,
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
}

impl Evidence {
    /// Every commit with its repository.
    pub(crate) fn commits(&self) -> impl Iterator<Item = (&Repo, &Commit)> {
        self.examined
            .iter()
            .flat_map(|examined| examined.commits.iter().map(|commit| (&examined.repo, commit)))
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
