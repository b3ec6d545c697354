use std::collections::BTreeMap;

use longhaul::{Context, Job, JobError, JobResult, NewJob};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_support::{Commit, Write};

use super::QUEUE;
use crate::app::{App, Sessions};
use crate::external_http::{Answered, Query};
use crate::model::{Session, Skill, job_id, name_for_log};

/// Sends a session's topic to the service of keywords, and writes what comes back into the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The session's id.
    pub session_id: String,
}

/// The result of a dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatched {
    /// The session's new `metadata`.
    pub metadata: Vec<Value>,
    /// The writer: a model's name, or `outline`; `None` if the service does not say.
    pub generator: Option<String>,
}

impl Job for Dispatch {
    const KIND: &'static str = "sessions.dispatch";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 5;

    type State = Sessions;
    type Output = Dispatched;

    /// Whoever is told to wait by the service makes all dispatches wait.
    fn limit_key(&self) -> Option<String> {
        Some("llm-query".to_owned())
    }

    async fn run(self, cx: Context<Sessions>) -> JobResult<Dispatched> {
        let app = cx.state().app();
        tracing::info!(target: "SessionsService", "Starting background process execution");
        let query = app.query_of(&self.session_id).await?;
        tracing::info!(target: "SessionsService", "Executing background process to Python API");
        // A step: an answer that was paid for is not asked for again because of a crash before it was written.
        let answered: Answered =
            cx.step("query", async || Ok(app.external_http.send_session(&query).await?)).await?;
        app.keep_metadata(&self.session_id, &answered).await?;
        tracing::info!(target: "SessionsService", "Background process initiated successfully");
        Ok(Dispatched { metadata: answered.response, generator: answered.generator })
    }
}

/// The job of a session.
pub(crate) fn dispatch_job(session_id: &str) -> longhaul::Result<NewJob> {
    let labels = BTreeMap::from([("session".to_owned(), session_id.to_owned())]);
    let job = Dispatch { session_id: session_id.to_owned() };
    Ok(NewJob { id: Some(job_id(session_id)), labels, ..NewJob::of(&job)? })
}

impl App {
    /// The query of a session: its skill must be there, and be its host's.
    async fn query_of(&self, session_id: &str) -> JobResult<Query> {
        let session = self.session_row(session_id).await?.ok_or_else(deleted)?;
        let Some(skill_id) = session.to_dispatch() else {
            return Err(JobError::cancel("the session no longer has a skill and keywords"));
        };
        tracing::info!(target: "SessionsService", "Fetching skill data for ID: {skill_id}");
        let Some(skill) = self.skill(skill_id).await? else {
            return Err(refused(&format!("Skill not found: {skill_id}")));
        };
        let Skill { name, category, user_id, .. } = skill;
        if user_id != session.host_id {
            return Err(refused(&format!("Skill {skill_id} does not belong to the session's creator")));
        }
        tracing::info!(
            target: "SessionsService",
            "Skill found: {} (Category: {})",
            name_for_log(&name),
            name_for_log(&category)
        );
        Ok(Query { topic: name, sub_topics: session.focus_keywords })
    }

    /// Writes an answer into its session. Doing so again changes nothing; a session that was deleted meanwhile stays
    /// deleted.
    async fn keep_metadata(&self, session_id: &str, answered: &Answered) -> JobResult<()> {
        let metadata = Value::from(answered.response.clone()).to_string();
        // By the session's primary key.
        let keep = Write::guarded(
            "UPDATE sessions SET metadata = $2, generator = $3, updated_at = $4 WHERE id = $1",
            vec![
                session_id.into(),
                metadata.into(),
                answered.generator.clone().into(),
                self.clock.now().into(),
            ],
        );
        match self.db.commit(vec![keep], vec![]).await? {
            Commit::Done(_) => Ok(()),
            Commit::Refused { .. } => Err(deleted()),
        }
    }

    /// A skill, whoever's it is, by its primary key.
    async fn skill(&self, id: &str) -> Result<Option<Skill>, service_support::DbError> {
        let sql = format!("SELECT {} FROM skills WHERE id = $1", Skill::COLUMNS);
        self.db.read(sql, vec![id.into()]).await?.first().map(Skill::from_row).transpose()
    }

    /// A session's row, by its primary key.
    pub(crate) async fn session_row(&self, id: &str) -> Result<Option<Session>, service_support::DbError> {
        let sql = format!("SELECT {} FROM sessions s WHERE s.id = $1", Session::COLUMNS);
        self.db.read(sql, vec![id.into()]).await?.first().map(Session::from_row).transpose()
    }
}

fn deleted() -> JobError {
    JobError::cancel("the session was deleted")
}

/// No retry could mend it.
fn refused(reason: &str) -> JobError {
    tracing::error!(target: "SessionsService", "{reason}");
    JobError::fatal(reason)
}
