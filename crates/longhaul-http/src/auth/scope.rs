//! Scopes of tokens: their syntax, and the operations that they admit.

use std::fmt;
use std::str::FromStr;

use super::roles::{Need, Role};

/// One right of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Enqueues jobs of these kinds, in these queues where some are named.
    Enqueue { kind: Pattern, queue: Option<Pattern> },
    /// Reads the jobs that were enqueued with the token.
    ReadOwn,
    /// Works for these queues, as a remote worker.
    Worker(Pattern),
    /// Does what the role does.
    Role(Role),
}

/// A name, or the names that begin with what stands before `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    beginning: String,
    is_prefix: bool,
}

/// All rights of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<Scope>);

/// The longest name of a kind or a queue.
const LONGEST: usize = 128;

impl Pattern {
    pub(crate) fn fits(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.beginning) } else { name == self.beginning }
    }
}

impl FromStr for Pattern {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (beginning, is_prefix) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        let is_name = beginning.len() <= LONGEST && beginning.bytes().all(is_name_byte);
        if !is_name || (beginning.is_empty() && !is_prefix) {
            return Err(());
        }
        Ok(Self { beginning: beginning.to_owned(), is_prefix })
    }
}

const WORDS: &str = "must be enqueue:KIND, enqueue:KIND@QUEUE, read:own, worker:QUEUE, viewer, operator or admin; KIND and QUEUE may \
     end in *";

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |()| WORDS.to_owned();
        if let Some(what) = text.strip_prefix("enqueue:") {
            let (kind, queue) = match what.split_once('@') {
                Some((kind, queue)) => (kind, Some(queue.parse().map_err(wrong)?)),
                None => (what, None),
            };
            return Ok(Self::Enqueue { kind: kind.parse().map_err(wrong)?, queue });
        }
        if let Some(queue) = text.strip_prefix("worker:") {
            return queue.parse().map(Self::Worker).map_err(wrong);
        }
        if text == "read:own" {
            return Ok(Self::ReadOwn);
        }
        text.parse().map(Self::Role).map_err(|_| WORDS.to_owned())
    }
}

impl Scopes {
    /// Those that these words say. A word that says nothing to this release gives no right.
    pub(crate) fn of(words: &[String]) -> Self {
        Self(words.iter().filter_map(|word| word.parse().ok()).collect())
    }

    /// The greatest role among them.
    pub(crate) fn role(&self) -> Option<Role> {
        let role = |scope: &Scope| if let Scope::Role(role) = scope { Some(*role) } else { None };
        self.0.iter().filter_map(role).max()
    }

    /// True where they let their bearer enqueue such a job.
    pub(crate) fn enqueues(&self, kind: &str, queue: &str) -> bool {
        self.0.iter().any(|scope| match scope {
            Scope::Enqueue { kind: kinds, queue: queues } => {
                kinds.fits(kind) && queues.as_ref().is_none_or(|queues| queues.fits(queue))
            }
            _ => false,
        })
    }

    /// True where they let their bearer work for this queue.
    pub(crate) fn works_for(&self, queue: &str) -> bool {
        self.0.iter().any(|scope| matches!(scope, Scope::Worker(queues) if queues.fits(queue)))
    }

    /// True where they open a route, beside what their role opens. What of it they may do, its handler has to ask.
    pub(super) fn open(&self, need: Need) -> bool {
        match need {
            Need::Known => true,
            Need::Enqueue => self.0.iter().any(|scope| matches!(scope, Scope::Enqueue { .. })),
            Need::ReadJob | Need::ReadJobs | Need::ShareJob => self.0.contains(&Scope::ReadOwn),
            Need::Lease => self.0.iter().any(|scope| matches!(scope, Scope::Worker(_))),
            Need::Nothing | Need::Role(_) | Need::Worker => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.beginning)?;
        if self.is_prefix { f.write_str("*") } else { Ok(()) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Enqueue { kind, queue: None } => write!(f, "enqueue:{kind}"),
            Scope::Enqueue { kind, queue: Some(queue) } => write!(f, "enqueue:{kind}@{queue}"),
            Scope::ReadOwn => f.write_str("read:own"),
            Scope::Worker(queue) => write!(f, "worker:{queue}"),
            Scope::Role(role) => write!(f, "{role}"),
        }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            write!(f, "{}{scope}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(words: &[&str]) -> Scopes {
        Scopes::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_scope_is_read_and_written_in_the_same_words() {
        for word in [
            "enqueue:mail.send",
            "enqueue:*",
            "enqueue:mail.*@bulk-*",
            "read:own",
            "worker:gpu",
            "viewer",
            "admin",
        ] {
            assert_eq!(word.parse::<Scope>().unwrap().to_string(), word);
        }
        let long = format!("worker:{}", "q".repeat(LONGEST + 1));
        for word in [
            "",
            "enqueue:",
            "enqueue",
            "enqueue:a b",
            "enqueue:a@",
            "enqueue:@q",
            "worker:",
            "read:all",
            "root",
            long.as_str(),
        ] {
            assert!(word.parse::<Scope>().is_err(), "{word}");
        }
    }

    #[test]
    fn scopes_admit_what_they_name_and_nothing_else() {
        let scopes = scopes(&["enqueue:mail", "enqueue:report.*@bulk", "worker:gpu-*"]);
        for (kind, queue, may) in [
            ("mail", "any", true),
            ("mailer", "any", false),
            ("report.daily", "bulk", true),
            ("report.daily", "default", false),
            ("other", "bulk", false),
        ] {
            assert_eq!(scopes.enqueues(kind, queue), may, "{kind} {queue}");
        }
        assert!(scopes.works_for("gpu-1") && !scopes.works_for("gpu") && !scopes.works_for("bulk"));
        assert!(scopes.open(Need::Enqueue) && scopes.open(Need::Lease) && scopes.open(Need::Known));
        for need in [Need::ReadJob, Need::ReadJobs, Need::Worker, Need::Nothing, Need::Role(Role::Viewer)] {
            assert!(!scopes.open(need), "{need:?}");
        }
        assert_eq!(scopes.role(), None);
        assert_eq!(self::scopes(&["viewer", "operator", "read:own"]).role(), Some(Role::Operator));
    }
}
