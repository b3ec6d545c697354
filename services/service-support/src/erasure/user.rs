use sha2::{Digest, Sha256};
use thiserror::Error;

/// The reason why a text is no user's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UserIdError {
    /// It has nothing in it.
    #[error("a user's id must not be empty")]
    Empty,
    /// Longer than any token that a server would read.
    #[error("a user's id must be at most {MAX_BYTES} bytes")]
    TooLong,
    /// No table holds it.
    #[error("a user's id must not hold a NUL character")]
    Nul,
}

/// The most bytes of an id: a header with a longer token is refused before it is read.
const MAX_BYTES: usize = 64 * 1024;
/// The label of a job that says whose it is.
const LABEL: &str = "user";
/// The longest id that a label holds as it is: a job's labels have a bound.
const MAX_LABEL_BYTES: usize = 1024;

pub(super) fn check(user: &str) -> Result<(), UserIdError> {
    match user {
        "" => Err(UserIdError::Empty),
        user if user.len() > MAX_BYTES => Err(UserIdError::TooLong),
        user if user.contains('\0') => Err(UserIdError::Nul),
        _ => Ok(()),
    }
}

/// The label that says whose a job is, by which it is found when the user is erased. Of an id that a label does not hold it is a
/// digest.
#[must_use]
pub fn user_label(user: &str) -> (String, String) {
    if user.len() <= MAX_LABEL_BYTES && !user.contains('\0') {
        return (LABEL.into(), user.into());
    }
    let digest = Sha256::digest(user.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    (LABEL.into(), format!("sha256-{hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_a_label_of_his_own_that_a_job_can_carry() {
        let ids =
            ["ada", "ada%", "a_a", "o'hara \"x\"", "ü", "u\u{308}", " ada", &"x".repeat(60_000), "a\0b"];
        let labels: Vec<(String, String)> = ids.iter().map(|id| user_label(id)).collect();
        for (number, (name, value)) in labels.iter().enumerate() {
            assert!(name == "user" && value.len() <= MAX_LABEL_BYTES && !value.contains('\0'), "{value}");
            assert!(labels.iter().skip(number + 1).all(|(_, other)| other != value), "{value}");
        }
    }

    #[test]
    fn what_no_user_can_be_called_is_refused() {
        assert_eq!(check(""), Err(UserIdError::Empty));
        assert_eq!(check("a\0b"), Err(UserIdError::Nul));
        assert_eq!(check(&"x".repeat(MAX_BYTES + 1)), Err(UserIdError::TooLong));
        assert_eq!(check(&"x".repeat(MAX_BYTES)), Ok(()));
    }
}
