//! What two or more services share: configuration, bearer tokens, a database beside the jobs, and the outside
//! systems (a language model, embeddings, OCR) over their real protocols.
//!
//! A service uses it like this: [`Config::from_env`] once, [`Auth::open`] and [`Outside::connect`] from it, and a
//! [`Db`] on the store that holds the jobs, so that a row and the job that works on it are one commit.

mod ai_brain;
mod auth;
mod config;
mod db;
mod embedding;
mod iso8601;
mod llm;
mod object_id;
mod outside;
mod provider;

pub use ai_brain::{AiBrain, Picture};
pub use auth::{Auth, AuthError, Claims, Role, User};
pub use config::{
    AiBrainConfig, AuthConfig, Config, ConfigError, EmbeddingConfig, GithubConfig, JsonMode, LlmConfig,
    PythonApiConfig,
};
pub use db::{Commit, Committed, Db, DbError, FromValue, Migration, Row, Value, Write, placeholders};
pub use embedding::{Embedder, OpenAiEmbedder};
pub use iso8601::iso8601;
pub use llm::{
    ChatClient, ChatRequest, Composer, Draft, JsonSchema, Message, MessageRole, Outline, Question, Source,
    TextStream,
};
pub use object_id::ObjectIds;
pub use outside::Outside;
pub use provider::{Cause, Provider, ProviderError, Reply, Waiting};
