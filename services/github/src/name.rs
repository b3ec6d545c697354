use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A user's name on GitHub: 1 to 39 letters, digits and hyphens, with a letter or a digit at both ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// A text that is no user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "Invalid GitHub username: must be 1 to 39 letters, digits or hyphens, and begin and end with a letter or a digit"
)]
pub struct InvalidUsername;

/// The longest name that GitHub gives.
const MAX_CHARS: usize = 39;

impl Username {
    /// The name as the caller wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case: to GitHub `Octocat` and `octocat` are the same.
    #[must_use]
    pub fn login(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl TryFrom<String> for Username {
    type Error = InvalidUsername;

    fn try_from(name: String) -> Result<Self, InvalidUsername> {
        let bytes = name.as_bytes();
        let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let fits = bytes.len() <= MAX_CHARS
            && ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if fits { Ok(Self(name)) } else { Err(InvalidUsername) }
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_github_gives() {
        let is_name = |text: &str| Username::try_from(text.to_owned()).is_ok();
        for name in ["a", "octocat", "Octo-Cat", "a--b", "7", &"x".repeat(39)] {
            assert!(is_name(name), "{name}");
        }
        for text in
            ["", "-a", "a-", "-", "a b", "a_b", "a/b", "..", "a.b", "ä", "a\n", "a%20b", &"x".repeat(40)]
        {
            assert!(!is_name(text), "{text:?}");
        }
    }
}
