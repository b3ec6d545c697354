//! The fields of GitHub's objects that are read, under GitHub's names: the rest of a reply is dropped before anything
//! is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /users/{user}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) avatar_url: Option<String>,
    #[serde(default)]
    pub(crate) html_url: Option<String>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) company: Option<String>,
    #[serde(default)]
    pub(crate) blog: Option<String>,
    #[serde(default)]
    pub(crate) location: Option<String>,
    #[serde(default)]
    pub(crate) email: Option<String>,
    #[serde(default)]
    pub(crate) bio: Option<String>,
    #[serde(default)]
    pub(crate) public_repos: u64,
    #[serde(default)]
    pub(crate) followers: u64,
    #[serde(default)]
    pub(crate) following: u64,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) updated_at: Option<String>,
}

/// One of `GET /users/{user}/repos`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Repo {
    pub(crate) name: String,
    pub(crate) full_name: String,
    #[serde(default)]
    pub(crate) html_url: Option<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) fork: bool,
    #[serde(default)]
    pub(crate) archived: bool,
    #[serde(default)]
    pub(crate) language: Option<String>,
    #[serde(default)]
    pub(crate) stargazers_count: u64,
    #[serde(default)]
    pub(crate) forks_count: u64,
    #[serde(default)]
    pub(crate) open_issues_count: u64,
    /// In kilobytes; 0 is a repository without a commit.
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) topics: Vec<String>,
    #[serde(default)]
    pub(crate) license: Option<License>,
    #[serde(default)]
    pub(crate) default_branch: Option<String>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) updated_at: Option<String>,
    #[serde(default)]
    pub(crate) pushed_at: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct License {
    #[serde(default)]
    pub(crate) spdx_id: Option<String>,
}

/// One of `GET /users/{user}/starred`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Starred {
    pub(crate) full_name: String,
    #[serde(default)]
    pub(crate) language: Option<String>,
    #[serde(default)]
    pub(crate) topics: Vec<String>,
}

/// One of `GET /users/{user}/orgs`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Organization {
    pub(crate) login: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
}

/// `GET /repos/{owner}/{repo}/languages`: bytes by language.
pub(crate) type Languages = BTreeMap<String, u64>;

/// One of `GET /repos/{owner}/{repo}/commits`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitItem {
    pub(crate) sha: String,
    #[serde(default)]
    pub(crate) html_url: Option<String>,
    pub(crate) commit: CommitText,
    #[serde(default)]
    pub(crate) parents: Vec<Parent>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitText {
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) author: Option<Signature>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Signature {
    /// RFC 3339.
    #[serde(default)]
    pub(crate) date: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parent {
    pub(crate) sha: String,
}

/// `GET /repos/{owner}/{repo}/commits/{sha}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitDetail {
    pub(crate) sha: String,
    #[serde(default)]
    pub(crate) stats: Stats,
    #[serde(default)]
    pub(crate) files: Vec<ChangedFile>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stats {
    #[serde(default)]
    pub(crate) additions: u64,
    #[serde(default)]
    pub(crate) deletions: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangedFile {
    pub(crate) filename: String,
}

/// One of `GET /repos/{owner}/{repo}/contents/`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// `file`, `dir`, `symlink` or `submodule`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) size: u64,
}

/// `GET /repos/{owner}/{repo}/contents/{path}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileContent {
    /// `base64`, or `none` for a file that is too large to be sent.
    #[serde(default)]
    pub(crate) encoding: String,
    #[serde(default)]
    pub(crate) content: String,
}
