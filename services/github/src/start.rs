//! The start of an analysis: joined to one that runs, served from one that is fresh, or enqueued anew.

use axum::http::StatusCode;
use longhaul::{Enqueued, Full, JobId, JobRecord, Lookup, NewJob, OnClash, State, Unique};
use serde::Serialize;
use service_support::{Commit, DbError, Once, Write, enqueue_all, in_turn, limited};

use crate::app::App;
use crate::collect::calls_of;
use crate::jobs::{Analyze, LIMIT_KEY};
use crate::name::Username;

/// The wish of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Any result that is fresh.
    Fresh,
    /// A result that begins no earlier than the call, or one that is being made.
    Refreshed,
}

/// On whose behalf an analysis begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker<'a> {
    /// A caller, whose task it is and counts against.
    Caller(&'a str),
    /// A batch, whose caller it was counted against.
    Batch(&'a JobId),
}

/// The result of a start.
#[derive(Clone, Debug)]
pub(crate) enum Begun {
    /// This task makes the result.
    Running(JobId),
    /// This task has made it.
    Done(Box<JobRecord>),
}

/// The reason why nothing began.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The caller has as many tasks in flight as one may have.
    TooMany,
    /// As many jobs wait as may.
    Crowded(Full),
    /// The store is away: there can be no task now.
    Away,
    /// Ours.
    Fault(longhaul::Error),
}

/// A reservation without a task is void after this many times as long as a start is waited for.
const TAKING: u32 = 5;
/// The priority of analyses of batches, where an operator has them take no turns: those that a caller waits for go first, for ten
/// minutes.
const BATCH_PRIORITY: i32 = -10;
/// Names of one second are tried so often, before a random one is taken.
const NUMBERED: u32 = 8;

impl Begun {
    pub(crate) fn task(&self) -> &JobId {
        match self {
            Begun::Running(id) => id,
            Begun::Done(record) => &record.id,
        }
    }
}

impl App {
    /// Begins an analysis. A start that is given up may
    /// still take effect, which costs an analysis without a reader and does no harm.
    pub(crate) async fn begin(
        &self,
        username: &Username,
        wish: Wish,
        asker: Asker<'_>,
    ) -> Result<Begun, StartError> {
        match tokio::time::timeout(self.config.store_timeout, self.begin_patiently(username, wish, asker))
            .await
        {
            Ok(begun) => begun,
            Err(_) => {
                tracing::error!("failed to begin an analysis: the store does not answer");
                Err(StartError::Away)
            }
        }
    }

    async fn begin_patiently(
        &self,
        username: &Username,
        wish: Wish,
        asker: Asker<'_>,
    ) -> Result<Begun, StartError> {
        if let Some(begun) = self.standing(username, wish).await? {
            return Ok(begun);
        }
        let mut number = 0;
        loop {
            number += 1;
            let id = self.task_id(username, number)?;
            let (caller, priority, task) = match asker {
                Asker::Caller(caller) => (Some(caller), 0, &id),
                Asker::Batch(batch) => (None, BATCH_PRIORITY, batch),
            };
            let job = in_turn(self.analyze_job(&id, username, wish)?, self.turns.key(task.as_str()));
            let job = NewJob { priority, ..job };
            let kept = (&Once::default(), &());
            let enqueued = self.enqueue_reserved(&id, Some(username), caller, vec![job], kept).await?;
            let Some(enqueued) = enqueued.into_iter().next() else { return Err(StartError::Away) };
            if enqueued.is_created() {
                return Ok(Begun::Running(enqueued.id));
            }
            // Another call was first. Where it took the very same id, the reservation is its own.
            if enqueued.id != id {
                self.forget_reservation(&id).await;
            }
            match self.longhaul.get(&enqueued.id).await?.found() {
                Some(record) if !record.state.is_finished() => return Ok(Begun::Running(record.id)),
                Some(record) if record.state == State::Completed && wish == Wish::Fresh => {
                    return Ok(Begun::Done(Box::new(record)));
                }
                // A task of this second's has ended, and is not what is wanted: the next one needs another id.
                _ => {}
            }
        }
    }

    /// The analysis that stands already, by the notes of who asked for what: found without a write. The unique key
    /// decides where the notes are behind.
    async fn standing(&self, username: &Username, wish: Wish) -> Result<Option<Begun>, StartError> {
        let sql = "SELECT task_id FROM github_tasks WHERE login = $1 ORDER BY created_at DESC, task_id DESC LIMIT 1";
        let rows = self.db.read(sql, vec![username.login().into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let id = JobId::from_store(row.get("task_id")?);
        let Some(record) = self.longhaul.get(&id).await?.found() else { return Ok(None) };
        Ok(match record.finished_at {
            None => Some(Begun::Running(record.id)),
            Some(at) => {
                let is_fresh =
                    record.state == State::Completed && at.plus(self.config.cache_ttl) > self.clock.now();
                (is_fresh && wish == Wish::Fresh).then(|| Begun::Done(Box::new(record)))
            }
        })
    }

    /// `github_profile_{username}_{unix seconds}`; the second of one second has a number after it.
    pub(crate) fn task_id(&self, username: &Username, number: u32) -> Result<JobId, longhaul::Error> {
        let base = format!("github_profile_{username}_{}", self.clock.now().0.div_euclid(1_000));
        match number {
            1 => JobId::new(base),
            2..=NUMBERED => JobId::new(format!("{base}_{number}")),
            _ => JobId::new(format!("{base}_{:08x}", rand::random::<u32>())),
        }
    }

    fn analyze_job(&self, id: &JobId, username: &Username, wish: Wish) -> Result<NewJob, longhaul::Error> {
        let job = Analyze { username: username.clone(), requested_at: Some(self.clock.now()) };
        let unique = Unique {
            period: Some(self.config.cache_ttl),
            on_clash: match wish {
                Wish::Fresh => OnClash::Join,
                Wish::Refreshed => OnClash::Refresh,
            },
            ..Unique::new(format!("github.analyze:{}", username.login()))
        };
        let labels = [("username".to_owned(), username.login())].into();
        let new = NewJob { id: Some(id.clone()), unique: Some(unique), labels, ..NewJob::of(&job)? };
        Ok(limited(new, Some(LIMIT_KEY), calls_of(&self.client)))
    }

    /// Notes a task, counts it against its caller's limit, and enqueues its jobs; none of it where the limit is reached. `kept` is the
    /// answer to a request that may be repeated.
    pub(crate) async fn enqueue_reserved(
        &self,
        task: &JobId,
        about: Option<&Username>,
        caller: Option<&str>,
        jobs: Vec<NewJob>,
        kept: (&Once, &impl Serialize),
    ) -> Result<Vec<Enqueued>, StartError> {
        let reservation = self.reservation(task, about, caller);
        if let Some(enqueued) = self.try_enqueue(task, reservation.clone(), jobs.clone(), kept).await? {
            return Ok(enqueued);
        }
        // Tasks that ended without releasing their reservation (a crash, a cancel) may stand in the way.
        if let Some(caller) = caller
            && self.reap_reservations(caller).await? > 0
            && let Some(enqueued) = self.try_enqueue(task, reservation, jobs, kept).await?
        {
            return Ok(enqueued);
        }
        Err(StartError::TooMany)
    }

    /// `None` where the limit is reached.
    async fn try_enqueue(
        &self,
        task: &JobId,
        reservation: Write,
        jobs: Vec<NewJob>,
        (once, answer): (&Once, &impl Serialize),
    ) -> Result<Option<Vec<Enqueued>>, StartError> {
        if self.db.holds_jobs() {
            let answer = (StatusCode::OK, answer);
            return Ok(match once.commit(&self.db, answer, vec![reservation], jobs).await? {
                Commit::Done(committed) => Some(committed.enqueued),
                Commit::Refused { .. } => None,
            });
        }
        // By way of the outbox a jobs' store that is away would go unnoticed; here there is something to do instead.
        match self.db.commit(vec![reservation], vec![]).await? {
            Commit::Refused { .. } => Ok(None),
            Commit::Done(_) => match enqueue_all(&self.longhaul, jobs).await {
                Err(error @ DbError::Crowded(_)) => {
                    self.forget_reservation(task).await;
                    Err(error.into())
                }
                enqueued => Ok(Some(enqueued?)),
            },
        }
    }

    /// The write that makes a reservation, and is refused at the limit. The count and the note are one statement, so that
    /// no two calls take the last one. Uses `github_tasks_by_caller`.
    fn reservation(&self, task: &JobId, about: Option<&Username>, caller: Option<&str>) -> Write {
        Write::guarded(
            "INSERT INTO github_tasks (task_id, login, caller, created_at) \
             SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT) \
             WHERE $3 IS NULL OR (SELECT count(*) FROM \
             (SELECT 1 FROM github_tasks WHERE caller = $3 LIMIT $5) AS taken) < $5 \
             ON CONFLICT (task_id) DO UPDATE SET created_at = github_tasks.created_at",
            vec![
                task.as_str().into(),
                about.map(Username::login).into(),
                caller.into(),
                self.clock.now().into(),
                self.config.tasks_per_user.into(),
            ],
        )
    }

    /// Releases the reservations of a caller's tasks that have ended; the answer is their number.
    async fn reap_reservations(&self, caller: &str) -> Result<usize, StartError> {
        let sql = "SELECT task_id, created_at FROM github_tasks WHERE caller = $1";
        let rows = self.db.read(sql, vec![caller.into()]).await?;
        let mut ids = Vec::with_capacity(rows.len());
        let mut settled = Vec::with_capacity(rows.len());
        for row in &rows {
            ids.push(JobId::from_store(row.get("task_id")?));
            settled.push(
                row.get::<longhaul::Timestamp>("created_at")?.plus(self.config.store_timeout * TAKING)
                    <= self.clock.now(),
            );
        }
        let jobs = self.longhaul.store().get(&ids).await?;
        let has_ended = |(job, is_settled): (&Lookup, &bool)| match job {
            Lookup::Found(record) => record.state.is_finished(),
            Lookup::Gone | Lookup::Unknown => *is_settled,
        };
        let ended: Vec<bool> = jobs.iter().zip(&settled).map(has_ended).collect();
        let writes: Vec<Write> =
            ids.iter().zip(ended).filter(|(_, ended)| *ended).map(|(id, _)| Self::release(id)).collect();
        let count = writes.len();
        if count > 0 {
            self.db.commit(writes, vec![]).await?;
        }
        Ok(count)
    }

    /// The write that releases a task's reservation.
    pub(crate) fn release(task: &JobId) -> Write {
        Write::new("UPDATE github_tasks SET caller = NULL WHERE task_id = $1", vec![task.as_str().into()])
    }

    /// Releases the reservation of a task that has ended badly. Should that fail, it is reaped when it is needed.
    pub(crate) async fn release_reservation(&self, task: &JobId) {
        if let Err(error) = self.db.commit(vec![Self::release(task)], vec![]).await {
            tracing::warn!(task = task.as_str(), "failed to release a task's reservation: {error}");
        }
    }

    /// Forgets a note whose task was never made.
    async fn forget_reservation(&self, task: &JobId) {
        let forget = Write::new("DELETE FROM github_tasks WHERE task_id = $1", vec![task.as_str().into()]);
        if let Err(error) = self.db.commit(vec![forget], vec![]).await {
            tracing::warn!(task = task.as_str(), "failed to forget a task that was not made: {error}");
        }
    }
}

impl From<longhaul::Error> for StartError {
    fn from(error: longhaul::Error) -> Self {
        if let longhaul::Error::Invalid { .. } = error {
            return StartError::Fault(error);
        }
        tracing::error!("failed to begin an analysis: {error}");
        StartError::Away
    }
}

/// A statement that fails does so because of the disk: which one it is does not depend on the caller.
impl From<DbError> for StartError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Store(error) => error.into(),
            DbError::Crowded(full) => StartError::Crowded(full),
            error => {
                tracing::error!("failed to begin an analysis: {error}");
                StartError::Away
            }
        }
    }
}
