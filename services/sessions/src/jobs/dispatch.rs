use std::collections::BTreeMap;

use longhaul::{Context, Job, JobError, JobResult, NewJob};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_support::{Commit, Settling, Tokens, Write, in_turn, limited, provider_key, user_label};

use super::QUEUE;
use crate::app::{App, Sessions};
use crate::external_http::{Answered, Call, PYTHON_API, Query, Use};
use crate::keywords::Keywords;
use crate::model::{Session, Skill, job_id, name_for_log};

/// Sends a session's topic to the service of keywords, and writes what comes back into the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The session's id.
    pub session_id: String,
    /// The number of the dispatch, from 0: a change of skill or keywords makes a new one.
    #[serde(default, skip_serializing_if = "is_first")]
    pub dispatch: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_first(dispatch: &u32) -> bool {
    *dispatch == 0
}

/// A query and its answer, as a step keeps them.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    query: Query,
    answered: Answered,
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

    async fn run(self, cx: Context<Sessions>) -> JobResult<Dispatched> {
        let settling = Settling::new(&cx);
        let app = cx.state().app();
        tracing::info!(target: "SessionsService", "Starting background process execution");
        let session = self.session(app).await?;
        let skill_id = session.teach_skill_id.as_deref().unwrap_or_default();
        tracing::info!(target: "SessionsService", "Fetching skill data for ID: {skill_id}");
        let (query, category) = query_of(app, &session).await?;
        tracing::info!(
            target: "SessionsService",
            "Skill found: {} (Category: {})",
            name_for_log(&query.topic),
            name_for_log(&category)
        );
        tracing::info!(target: "SessionsService", "Executing background process to Python API");
        let answered = ask(&cx, &query, &settling.tokens).await?;
        // The session may have been changed or deleted during the call.
        if query_of(app, &self.session(app).await?).await?.0 != query {
            return Err(refused("The skill was changed while the session was dispatched"));
        }
        self.keep(app, &answered).await?;
        tracing::info!(target: "SessionsService", "Background process initiated successfully");
        Ok(Dispatched { metadata: answered.response, generator: answered.generator })
    }
}

/// The query of a session, and the category of its skill, which must be there and be its host's.
async fn query_of(app: &App, session: &Session) -> JobResult<(Query, String)> {
    let skill_id = session.teach_skill_id.as_deref().unwrap_or_default();
    let Some(skill) = app.skill(skill_id).await? else {
        return Err(refused(&format!("Skill not found: {skill_id}")));
    };
    let Skill { name, category, user_id, .. } = skill;
    if user_id != session.host_id {
        return Err(refused(&format!("Skill {skill_id} does not belong to the session's creator")));
    }
    Ok((Query { topic: name, sub_topics: session.focus_keywords.clone() }, category))
}

/// Asks in a step: an answer that was paid for is not asked for again because of a crash before it was written. One that an
/// earlier run was given to another query is no answer to this one, which has a step of its own.
async fn ask(cx: &Context<Sessions>, query: &Query, taken: &Tokens) -> JobResult<Answered> {
    let app = cx.state().app();
    for number in 1_u32.. {
        let send = async || {
            let answered = tokio::select! {
                biased;
                () = cx.cancelled() => return Err(JobError::cancel("cancelled on request")),
                answered = app.external_http.send_session(query, Call::new(taken, app.takes(&query.sub_topics))) => answered?,
            };
            Ok(Asked { query: query.clone(), answered })
        };
        let asked = cx.step(&format!("query {number}"), send).await?;
        if asked.query == *query {
            return Ok(asked.answered);
        }
    }
    Err(JobError::fatal("failed to find a step for the query"))
}

/// The job of a session's dispatch.
pub(crate) fn dispatch_job(app: &App, session: &Session) -> longhaul::Result<NewJob> {
    let Session { id, dispatch, .. } = session;
    let labels = BTreeMap::from([("session".to_owned(), id.clone()), user_label(&session.host_id)]);
    let job = Dispatch { session_id: id.clone(), dispatch: *dispatch };
    let new = NewJob { id: Some(job_id(id, *dispatch)), labels, ..NewJob::of(&job)? };
    // A rate limit of the provider pauses all calls to it.
    let service = provider_key(PYTHON_API);
    let key = app.model_behind().unwrap_or(&service);
    let new = limited(new, Some(key), app.takes(&session.focus_keywords).units());
    Ok(in_turn(new, app.turns.key(&session.host_id)))
}

impl Dispatch {
    /// The session, where this is the dispatch of it that counts.
    async fn session(&self, app: &App) -> JobResult<Session> {
        let session = app.session_row(&self.session_id).await?.ok_or_else(deleted)?;
        if session.to_dispatch().is_none() {
            return Err(JobError::cancel("the session no longer has a skill and keywords"));
        }
        if session.dispatch == self.dispatch { Ok(session) } else { Err(superseded()) }
    }

    /// Writes an answer into the session. Doing so again changes nothing; a session that was deleted meanwhile stays
    /// deleted, and one that is dispatched anew waits for the newer answer.
    async fn keep(&self, app: &App, answered: &Answered) -> JobResult<()> {
        let metadata = Value::from(answered.response.clone()).to_string();
        // By the session's primary key.
        let keep = Write::guarded(
            "UPDATE sessions SET metadata = $2, generator = $3, updated_at = $4, revision = revision + 1 \
             WHERE id = $1 AND dispatch = $5",
            vec![
                self.session_id.as_str().into(),
                metadata.into(),
                answered.generator.clone().into(),
                app.clock.now().into(),
                self.dispatch.into(),
            ],
        );
        match app.db.commit(vec![keep], vec![]).await? {
            Commit::Done(_) => Ok(()),
            Commit::Refused { .. } => match app.session_row(&self.session_id).await? {
                Some(_) => Err(superseded()),
                None => Err(deleted()),
            },
        }
    }
}

impl App {
    /// The limit key of the model that answers a dispatch, where this very server asks it.
    fn model_behind(&self) -> Option<&str> {
        self.providers.composer.limit_key().filter(|_| self.external_http.is_own())
    }

    /// The units that a dispatch of these keywords takes, as estimated before.
    fn takes(&self, keywords: &[String]) -> Use {
        match self.model_behind() {
            // The model sees the skill's name, which is short, beside the keywords.
            Some(_) => Use::Tokens(Keywords::tokens(keywords)),
            None => Use::Call,
        }
    }

    /// A skill of any user, by its primary key.
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

fn superseded() -> JobError {
    JobError::cancel("the session was dispatched anew")
}

fn deleted() -> JobError {
    JobError::cancel("the session was deleted")
}

/// No retry could mend it.
fn refused(reason: &str) -> JobError {
    tracing::error!(target: "SessionsService", "{reason}");
    JobError::fatal(reason)
}
