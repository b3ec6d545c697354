//! Code that two or more services share: the [`Service`] trait, the environment, bearer tokens, a database beside the
//! jobs, the form of errors, and the outside systems (a language model, embeddings, OCR) over their real protocols.
//!
//! A server makes [`Deps`] once and opens each service with them. A [`Db`] on the store that holds the jobs makes a row
//! and the job that works on it one commit.

mod ai_brain;
mod auth;
mod body;
mod config;
mod db;
mod described;
mod disposition;
mod embedding;
mod env;
mod erasure;
mod error;
mod form;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod iso8601;
mod language;
mod limits;
mod llm;
mod object_id;
mod once;
mod provider;
mod providers;
mod proxies;
mod service;
mod texts;
mod turns;

pub use ai_brain::{AiBrain, Picture};
pub use auth::{Auth, AuthError, Claims, KeySet, KeySource, Role, User};
pub use body::without_mark;
pub use config::{AiBrainConfig, AuthConfig, Config, EmbeddingConfig, EmbeddingSource, JsonMode, LlmConfig};
pub use db::{
    Belongs, Commit, Committed, Db, DbError, FromValue, Migration, MoveError, Older, Row, RowExport,
    RowImport, RowJob, RowsWritten, STAMP, Schema, Table, TableRow, TableSort, Tables, Value, WaitingJob,
    Write, enqueue_all, placeholders,
};
pub use described::{Callers, Described};
pub use embedding::{Embedder, Likeness, LocalEmbedder, OpenAiEmbedder};
pub use env::{ConfigError, Env, refused};
pub use erasure::{Candidate, Deed, EraseError, Erased, Erasure, Rows, Stays, UserIdError, user_label};
pub use error::{ErrorShape, ServiceError};
pub use form::{Form, FormField};
pub use iso8601::iso8601;
pub use language::Language;
pub use limits::{Settling, limited, provider_key};
pub use llm::{
    Asking, ChatClient, ChatRequest, Composer, Draft, JsonSchema, Message, MessageRole, Outline, TextStream,
    Tokens,
};
pub use object_id::ObjectIds;
pub use once::{FileDigest, Once, Repeats};
pub use provider::{Cause, Provider, ProviderError, Reply, SHOULD_RETRY, Waiting, retry_after, sent_at};
pub use providers::Providers;
pub use proxies::TrustedProxies;
pub use service::{Deps, Load, OpenError, Queue, Service};
pub use texts::{Texts, Translated, filled};
pub use turns::{Turns, in_turn};
