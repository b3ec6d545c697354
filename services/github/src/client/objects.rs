//! The fields of GitHub's objects that are read, under GitHub's names: the rest of a reply is dropped before anything
//! is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lenient::{List, MAX_COUNT, count, or_default, text, texts};

/// `GET /users/{user}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
    #[serde(default, deserialize_with = "count")]
    pub(crate) id: u64,
    /// `User`, `Organization` or `Bot`.
    #[serde(rename = "type", default, deserialize_with = "text")]
    pub(crate) kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) avatar_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) html_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) company: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) blog: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) location: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) email: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) bio: Option<String>,
    #[serde(default, deserialize_with = "count")]
    pub(crate) public_repos: u64,
    #[serde(default, deserialize_with = "count")]
    pub(crate) followers: u64,
    #[serde(default, deserialize_with = "count")]
    pub(crate) following: u64,
    #[serde(default, deserialize_with = "text")]
    pub(crate) created_at: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) updated_at: Option<String>,
}

/// One of `GET /users/{user}/repos`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Repo {
    pub(crate) name: String,
    pub(crate) full_name: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) html_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) description: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) fork: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) private: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) archived: bool,
    #[serde(default, deserialize_with = "text")]
    pub(crate) language: Option<String>,
    #[serde(default, deserialize_with = "count")]
    pub(crate) stargazers_count: u64,
    #[serde(default, deserialize_with = "count")]
    pub(crate) forks_count: u64,
    #[serde(default, deserialize_with = "count")]
    pub(crate) open_issues_count: u64,
    /// In kilobytes; 0 is a repository without a commit.
    #[serde(default, deserialize_with = "count")]
    pub(crate) size: u64,
    #[serde(default, deserialize_with = "texts")]
    pub(crate) topics: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) license: Option<License>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) default_branch: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) created_at: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) updated_at: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) pushed_at: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct License {
    #[serde(default, deserialize_with = "text")]
    pub(crate) spdx_id: Option<String>,
}

/// One of `GET /users/{user}/starred`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Starred {
    pub(crate) full_name: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) language: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(crate) topics: Vec<String>,
}

/// One of `GET /users/{user}/orgs`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Organization {
    pub(crate) login: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) description: Option<String>,
}

/// `GET /repos/{owner}/{repo}/languages`: bytes by language.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Languages(pub(crate) BTreeMap<String, u64>);

impl<'de> Deserialize<'de> for Languages {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let told = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
        let bytes = |bytes: serde_json::Value| bytes.as_u64().map(|bytes| bytes.min(MAX_COUNT));
        Ok(Self(told.into_iter().filter_map(|(language, told)| Some((language, bytes(told)?))).collect()))
    }
}

/// `GET /search/commits`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FoundCommits {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) items: List<CommitItem>,
}

/// One of `GET /repos/{owner}/{repo}/commits`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitItem {
    pub(crate) sha: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) html_url: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) commit: CommitText,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) parents: List<Parent>,
    /// Told by a search alone.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<Repo>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitText {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) message: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) author: Option<Signature>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Signature {
    /// RFC 3339.
    #[serde(default, deserialize_with = "text")]
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
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) stats: Stats,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) files: List<ChangedFile>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stats {
    #[serde(default, deserialize_with = "count")]
    pub(crate) additions: u64,
    #[serde(default, deserialize_with = "count")]
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
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "count")]
    pub(crate) size: u64,
}

/// `GET /repos/{owner}/{repo}/contents/{path}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileContent {
    /// `base64`, or `none` for a file that is too large to be sent.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) encoding: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) content: String,
}
