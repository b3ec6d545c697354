//! Access, as far as stores know of it: the tokens of an application's callers, and the log of what people have changed. Both are
//! kept as samples, as the secrets of webhooks are, so that every store keeps them in the same way and no call is added to the
//! contract. Who is let in, and what is logged, is decided in `longhaul-http`.
//!
//! | file | what |
//! |---|---|
//! | `tokens` | tokens with scopes: their names, rights and digests |
//! | `audit` | the audit log |
//! | `answered` | what was answered to requests that may come again |

mod answered;
mod audit;
mod tokens;

pub use self::answered::{Answered, AnsweredRequests};
pub use self::audit::{AUDIT_KEPT_FOR, Audit, AuditEntry, AuditPage};
pub use self::tokens::{MAX_TOKENS, SERIES as TOKEN_SERIES, Token, TokenRate, Tokens};
pub use crate::collection::Added;

/// True for a series that only an administrator may write to: of tokens, of the secrets of webhooks, of the audit log, and of the
/// answers to requests. A worker that wrote to one could give itself rights, sign what others believe, hide what it did, or have others
/// told what never was.
#[must_use]
pub fn is_for_admins(series: &str) -> bool {
    series == TOKEN_SERIES
        || series == crate::webhook::SECRET_SERIES
        || series.starts_with(audit::PREFIX)
        || series.starts_with(answered::PREFIX)
}

/// The label of a job with the id of the token that it was enqueued with. Routes set it, refuse it in requests, and
/// show it as the job's `created_by`.
pub const CREATED_BY: &str = "longhaul.created_by";
