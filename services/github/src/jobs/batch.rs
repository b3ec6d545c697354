use std::collections::HashMap;

use longhaul::{Context, Job, JobId, JobResult, NewJob, State};
use serde::{Deserialize, Serialize};
use service_support::in_turn;

use super::{BATCH_QUEUE, Member, MemberOutcome};
use crate::app::Github;
use crate::failure;
use crate::name::Username;

/// Closes a batch: starts once, when each of its [members](Member) has ended, and says how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The users in each spelling that was asked for, each once.
    pub usernames: Vec<Username>,
    /// True if fresh results will not do.
    pub force_refresh: bool,
}

/// The result of a batch. The results of its names lie in the service's own table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchOutcome {
    /// One for each name, in their order.
    pub members: Vec<MemberResult>,
}

/// The result of one name of a batch: a task with a result, or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberResult {
    /// The name as it was given.
    pub username: String,
    /// The task that made the result.
    pub task_id: Option<String>,
    /// The reason why there is none.
    pub error: Option<String>,
}

impl Job for Batch {
    const KIND: &'static str = "github.batch";
    const QUEUE: &'static str = BATCH_QUEUE;

    type State = Github;
    type Output = BatchOutcome;

    async fn run(self, cx: Context<Github>) -> JobResult<BatchOutcome> {
        let ids: Vec<JobId> = (1..=self.usernames.len()).map(|number| member_id(cx.id(), number)).collect();
        let members = cx.longhaul().store().get(&ids).await?;
        let members = self.usernames.iter().zip(members).map(|(username, member)| {
            let member = member.found();
            let outcome = member.as_ref().filter(|member| member.state == State::Completed);
            let outcome = outcome.and_then(|member| member.output.as_ref()?.to::<MemberOutcome>().ok());
            let error = match (&outcome, &member) {
                (Some(_), _) => None,
                (None, Some(member)) => Some(failure::reason(member)),
                (None, None) => Some("the analysis was deleted".to_owned()),
            };
            MemberResult { username: username.to_string(), task_id: outcome.map(|o| o.task_id), error }
        });
        let outcome = BatchOutcome { members: members.collect() };
        cx.state().app().release_reservation(cx.id()).await;
        Ok(outcome)
    }
}

impl Batch {
    /// The batch under `id`, and all of its members, in the turns of `key`.
    pub(crate) fn jobs(&self, id: &JobId, key: &str) -> Result<Vec<NewJob>, longhaul::Error> {
        let closing = in_turn(NewJob { id: Some(id.clone()), ..NewJob::of(self)? }, key.to_owned());
        let mut first = HashMap::new();
        let member = |(number, username): (usize, &Username)| {
            let first = *first.entry(username.login()).or_insert(number);
            let member = Member {
                username: username.clone(),
                force_refresh: self.force_refresh,
                same_as: (first != number).then(|| member_id(id, first)),
            };
            let labels = [("username".to_owned(), username.login())].into();
            let member = NewJob { id: Some(member_id(id, number)), labels, ..NewJob::of(&member)? };
            Ok(in_turn(member, key.to_owned()))
        };
        let members = (1..).zip(&self.usernames).map(member).collect::<Result<Vec<_>, longhaul::Error>>()?;
        Ok(NewJob::batch(closing, members))
    }
}

/// The id of the batch of a member, or of a batch itself.
pub(crate) fn batch_of(job: &str) -> &str {
    job.rsplit_once('.').map_or(job, |(batch, _)| batch)
}

/// The id of a batch's member, counted from 1.
fn member_id(batch: &JobId, number: usize) -> JobId {
    // The batch's id is ours and short.
    JobId::from_store(format!("{batch}.{number}"))
}
