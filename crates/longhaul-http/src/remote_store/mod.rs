//! A store over HTTP, for workers that have no database credentials.
//!
//! | file | what |
//! |---|---|
//! | `mod` | the store's operations |
//! | `call` | one request, sent again where its answer was lost |
//! | `pieces` | batches that are too large for one request |

mod call;
mod pieces;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::{
    Acted, Action, Changes, Claim, Claimed, EnqueueStatus, Enqueued, Error, Event, Finish, FinishAndClaim,
    JobFilter, JobId, JobPage, JobRecord, Json, KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus,
    Lookup, NewJob, Page, Payloads, QueueConfig, QueueInfo, Record, Result, Sample, Signalled, State,
    StepRecord, Store, Swept, Timestamp, WaitTokens, WorkerInfo, admit,
};

use self::call::{Caller, Failed, Reached, Wire};
use self::pieces::{finish_pieces, record_pieces};
use crate::auth::LONGEST_SIGNAL_TOKEN;
use crate::wire::{
    AbandonAnswer, AbandonBody, ActAnswer, ActBody, ClaimAnswer, ClaimBody, ClaimedBody, DependantsAnswer,
    DependantsBody, EnqueueAnswer, EnqueueBody, EventsAnswer, EventsBody, FinishesBody, GetAnswer, GetBody,
    HeartbeatBody, Item, KeyNameBody, KeysAnswer, KeysBody, LanesAnswer, ListBody, MAX_ITEMS, NewJobBody,
    NothingBody, PauseKeyBody, PutSamplesBody, QueueNameBody, QueuesAnswer, RecordsBody, SamplesAnswer,
    SamplesBody, Seconds, SetKeyBody, SetQueueBody, SignalAnswer, SignalBody, SignalTokenAnswer,
    SignalTokenBody, StatusesAnswer, StepsAnswer, StepsBody, SweepBody, TurnAnswer, TurnBody,
    UpdateQueueBody, UpdatedQueueAnswer, WorkerBody, WorkersAnswer,
};

/// The jobs of a Longhaul server, over HTTP. Cheap to clone.
///
/// Needs the server's address and a token (the worker's or the administrator's), and no database. A request whose
/// answer was lost is sent again a few times within about a second, under an idempotency key; then the call fails as
/// unavailable, and its caller waits and tries again, as with any store that is unreachable.
///
/// The memory of keys goes with its server process. Where a server dies between doing something and answering,
/// entries that were recorded are written a second time, jobs that were claimed wait for their leases to end, and a run
/// that was to run again (a retry, a snooze) is told that its lease is `Lost`, though its finish was accepted (once, as
/// ever).
///
/// A run that ends with more than 16 MiB to be told fails for good, and says so: no request could carry it.
#[derive(Clone)]
pub struct RemoteStore {
    caller: Arc<Caller>,
}

impl RemoteStore {
    /// A store at the address of a server: `https://jobs.example.com`, or with the path under which its API is mounted
    /// where that is not `/api`. Connects to nothing yet, so a worker may start before its server.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `url` is none of `http` or `https`, [`Error::Store`] where the machine's TLS set-up
    /// cannot be used.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self> {
        Ok(Self { caller: Arc::new(Caller::new(url, token)?) })
    }

    /// The same, and checks that a server answers and accepts the token.
    ///
    /// # Errors
    /// As for [`new`](Self::new); a store's fault if no server answers, or it refuses.
    pub async fn connect(url: &str, token: Option<&str>) -> Result<Self> {
        let store = Self::new(url, token)?;
        store.get(&[]).await?;
        Ok(store)
    }

    /// The address of the server's API.
    #[must_use]
    pub fn url(&self) -> &str {
        self.caller.base()
    }
}

impl RemoteStore {
    async fn send_records(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        let mut statuses = vec![LeaseStatus::Held; records.len()];
        for piece in record_pieces(records)? {
            let key = Some(JobId::random().to_string());
            let wire = Wire { route: "record", operation: "record", key, ..Wire::default() };
            let (places, records): (Vec<usize>, Vec<Item<Record>>) =
                piece.into_iter().map(|(place, record)| (place, Item::Read(record))).unzip();
            let answer: StatusesAnswer = self.caller.call(&wire, &RecordsBody { records }).await?;
            for (place, status) in places.iter().zip(checked(answer.statuses, places.len(), "record")?) {
                // The last piece of a record knows best.
                statuses[*place] = status;
            }
        }
        Ok(statuses)
    }
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStore").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// A claim in flight. If its caller goes away before the answer, or the answer does not come, the server is asked on
/// drop to release the jobs that it may have claimed.
struct Open {
    caller: Arc<Caller>,
    key: String,
    is_answered: Answered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    No,
    Yes,
}

impl Open {
    fn new(caller: &Arc<Caller>) -> Self {
        Self { caller: Arc::clone(caller), key: JobId::random().to_string(), is_answered: Answered::No }
    }

    /// The answer to it. Only one that did not come leaves something to be given back.
    fn heard<T>(mut self, answer: std::result::Result<T, Failed>) -> Result<T> {
        if answer.as_ref().map_or_else(|failed| failed.reached == Reached::No, |_| true) {
            self.is_answered = Answered::Yes;
        }
        Ok(answer?)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Without a runtime nothing can be sent; the leases will end.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_answered == Answered::Yes {
            return;
        }
        let (caller, key) = (Arc::clone(&self.caller), std::mem::take(&mut self.key));
        runtime.spawn(async move {
            let wire = Wire { route: "abandon", operation: "give back a claim", ..Wire::default() };
            let told: Result<AbandonAnswer, Failed> = caller.call(&wire, &AbandonBody { key }).await;
            if let Err(Failed { error, .. }) = told {
                tracing::debug!("{error}; should the claim have taken jobs, their leases will end");
            }
        });
    }
}

#[async_trait]
impl Store for RemoteStore {
    /// The server's own store is migrated by the server; this makes sure that it answers.
    async fn migrate(&self) -> Result<()> {
        self.get(&[]).await.map(drop)
    }

    async fn ready(&self) -> Result<()> {
        let wire = Wire { route: "ready", operation: "see whether the store is ready", ..Wire::default() };
        match self.caller.call(&wire, &NothingBody {}).await {
            Ok(NothingBody {}) => Ok(()),
            // A server of the previous release has no such route.
            Err(Failed { error: Error::Store { .. }, .. }) => self.get(&[]).await.map(drop),
            Err(failed) => Err(failed.error),
        }
    }

    async fn enqueue(&self, mut jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        admit::jobs(&jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        // Ids that are unique: if a job with such an id is a duplicate, this request has created it, and only the
        // answer was lost.
        let own: Vec<Option<JobId>> = jobs
            .iter_mut()
            .map(|job| {
                let own = job.id.is_none().then(JobId::random);
                job.id = job.id.take().or_else(|| own.clone());
                own
            })
            .collect();
        let body = EnqueueBody { jobs: jobs.iter().map(NewJobBody::from).collect() };
        let wire = Wire { route: "enqueue", operation: "enqueue", ..Wire::default() };
        let EnqueueAnswer { mut enqueued } = self.caller.call(&wire, &body).await?;
        for (enqueued, own) in enqueued.iter_mut().zip(own) {
            if enqueued.status == EnqueueStatus::Duplicate && own.is_some_and(|own| own == enqueued.id) {
                enqueued.status = EnqueueStatus::Created;
            }
        }
        Ok(enqueued)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let mut body = ClaimBody::from(&admit::claim(claim));
        loop {
            let open = Open::new(&self.caller);
            let wire =
                Wire { route: "claim", operation: "claim", key: Some(open.key.clone()), wait: body.wait.0 };
            let answer: ClaimAnswer = open.heard(self.caller.call(&wire, &body).await)?;
            if !answer.claimed.is_empty() || answer.wait_left.0.is_zero() {
                return Ok(answer.claimed.into_iter().map(ClaimedBody::into).collect());
            }
            body.wait = answer.wait_left;
        }
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        let body = HeartbeatBody {
            worker: WorkerBody::from(&admit::worker(worker.clone())),
            leases: leases.to_vec(),
            lease_for: Seconds(lease_for),
        };
        let wire = Wire { route: "heartbeat", operation: "send a heartbeat", ..Wire::default() };
        let answer: StatusesAnswer = self.caller.call(&wire, &body).await?;
        checked(answer.statuses, leases.len(), "send a heartbeat")
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        admit::record_with(self, records, |records| self.send_records(records)).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        let finishes = admit::finishes(finishes);
        let mut statuses = Vec::with_capacity(finishes.len());
        for finishes in finish_pieces(&finishes)? {
            let key = Some(JobId::random().to_string());
            let wire = Wire { route: "finish", operation: "finish", key, ..Wire::default() };
            let count = finishes.len();
            let answer: StatusesAnswer = self.caller.call(&wire, &FinishesBody { finishes }).await?;
            statuses.extend(checked(answer.statuses, count, "finish")?);
        }
        Ok(statuses)
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let (finishes, claim) = (admit::finishes(finishes), admit::claim(claim));
        let mut pieces = finish_pieces(&finishes)?;
        let last = pieces.pop().unwrap_or_default();
        let mut finished = Vec::with_capacity(finishes.len());
        if !pieces.is_empty() {
            let before = finishes.len() - last.len();
            finished = self.finish(finishes[..before].to_vec()).await?;
        }
        let open = Open::new(&self.caller);
        let wire =
            Wire { route: "turn", operation: "take a turn", key: Some(open.key.clone()), ..Wire::default() };
        let count = last.len();
        let body =
            TurnBody { finishes: last, claim: ClaimBody::from(&Claim { wait: Duration::ZERO, ..claim }) };
        let answer: TurnAnswer = open.heard(self.caller.call(&wire, &body).await)?;
        finished.extend(checked(answer.statuses, count, "take a turn")?);
        Ok(FinishAndClaim { finished, claimed: answer.claimed.into_iter().map(ClaimedBody::into).collect() })
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        let wire = Wire { route: "sweep", operation: "sweep", ..Wire::default() };
        Ok(self.caller.call(&wire, &SweepBody { limit }).await?)
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        let mut jobs = Vec::with_capacity(ids.len());
        let wire = Wire { route: "get", operation: "look jobs up", ..Wire::default() };
        // An empty request is sent too, because it tests whether the server answers.
        let mut left = ids;
        loop {
            let (some, rest) = left.split_at(left.len().min(MAX_ITEMS));
            let answer: GetAnswer = self.caller.call(&wire, &GetBody { ids: some.to_vec() }).await?;
            jobs.extend(checked(answer.jobs, some.len(), wire.operation)?.into_iter().map(looked_up));
            left = rest;
            if left.is_empty() {
                return Ok(jobs);
            }
        }
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        let wire = Wire { route: "list", operation: "list jobs", ..Wire::default() };
        admit::filter(filter)?;
        let payloads = page.payloads;
        let mut page: JobPage = self.caller.call(&wire, &ListBody { filter: filter.clone(), page }).await?;
        page.jobs = page.jobs.into_iter().map(with_output).collect();
        if payloads == Payloads::Short {
            // A server of the previous release sends them whole.
            page.jobs.iter_mut().for_each(JobRecord::shorten);
        }
        Ok(page)
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let mut body = EventsBody { id: id.clone(), after, limit, wait: Seconds(wait) };
        loop {
            let wire =
                Wire { route: "events", operation: "read events", wait: body.wait.0, ..Wire::default() };
            let answer: EventsAnswer = self.caller.call(&wire, &body).await?;
            let is_cut_off =
                answer.events.as_ref().is_some_and(Vec::is_empty) && !answer.wait_left.0.is_zero();
            if !is_cut_off {
                return Ok(answer.events);
            }
            body.wait = answer.wait_left;
        }
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        admit::filter(filter)?;
        admit::action(&action)?;
        let mut acted = Acted::default();
        loop {
            let some = limit.saturating_sub(acted.done as usize).min(MAX_ITEMS);
            let key = Some(JobId::random().to_string());
            let wire = Wire { route: "act", operation: "act on jobs", key, ..Wire::default() };
            let body = ActBody { filter: filter.clone(), action: action.clone(), limit: some };
            let ActAnswer { count, acted: more } = self.caller.call(&wire, &body).await?;
            // A server of the previous release answers the count only.
            let guess = Acted { matched: count, done: count, complete: count < some as u64 };
            let Acted { matched, done, complete } = more.unwrap_or(guess);
            acted = Acted { matched: acted.matched + matched, done: acted.done + done, complete };
            if complete || done == 0 || acted.done >= limit as u64 {
                return Ok(acted);
            }
        }
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let wire = Wire { route: "queues", operation: "list queues", ..Wire::default() };
        let answer: QueuesAnswer = self.caller.call(&wire, &NothingBody {}).await?;
        Ok(answer.queues)
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        let wire = Wire { route: "set-queue", operation: "configure a queue", ..Wire::default() };
        let body = SetQueueBody { queue: queue.to_owned(), config: config.clone() };
        let NothingBody {} = self.caller.call(&wire, &body).await?;
        Ok(())
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        admit::queue_config(queue, config)?;
        let wire = Wire { route: "update-queue", operation: "configure a queue", ..Wire::default() };
        let body =
            UpdateQueueBody { queue: queue.to_owned(), before: before.clone(), config: config.clone() };
        match self.caller.call(&wire, &body).await {
            Ok(UpdatedQueueAnswer { updated }) => Ok(updated),
            // A server of the previous release has no such route. It can be told to set it, whatever it is then.
            Err(Failed { error: Error::Store { .. }, .. }) => {
                let present = self.queues().await?.into_iter().find(|present| present.name == queue);
                let is_as_read = present.map(|present| present.config).unwrap_or_default() == *before;
                if is_as_read {
                    self.set_queue(queue, config).await?;
                }
                Ok(is_as_read)
            }
            Err(failed) => Err(failed.error),
        }
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        admit::queue(queue)?;
        let wire = Wire { route: "pause-queue", operation: "pause a queue", ..Wire::default() };
        let NothingBody {} = self.caller.call(&wire, &QueueNameBody { queue: queue.to_owned() }).await?;
        Ok(())
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        // No queue of another name is ever paused.
        if admit::queue(queue).is_err() {
            return Ok(());
        }
        let wire = Wire { route: "resume-queue", operation: "resume a queue", ..Wire::default() };
        let NothingBody {} = self.caller.call(&wire, &QueueNameBody { queue: queue.to_owned() }).await?;
        Ok(())
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        let wire = Wire { route: "lanes", operation: "list lanes", ..Wire::default() };
        let answer: LanesAnswer = self.caller.call(&wire, &NothingBody {}).await?;
        Ok(answer.lanes)
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        admit::key(key, config)?;
        let wire = Wire { route: "set-key", operation: "configure a limit key", ..Wire::default() };
        let body = SetKeyBody { key: key.to_owned(), config: config.copied() };
        let NothingBody {} = self.caller.call(&wire, &body).await?;
        Ok(())
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        admit::paused_key(key)?;
        let wire = Wire { route: "pause-key", operation: "pause a limit key", ..Wire::default() };
        let body = PauseKeyBody { key: key.to_owned(), pause: Seconds(pause) };
        let NothingBody {} = self.caller.call(&wire, &body).await?;
        Ok(())
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        // No key of another name is ever paused.
        if admit::paused_key(key).is_err() {
            return Ok(());
        }
        let wire = Wire { route: "resume-key", operation: "resume a limit key", ..Wire::default() };
        let NothingBody {} = self.caller.call(&wire, &KeyNameBody { key: key.to_owned() }).await?;
        Ok(())
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        admit::key_filter(filter)?;
        let wire = Wire { route: "keys", operation: "list limit keys", ..Wire::default() };
        let answer: KeysAnswer = self.caller.call(&wire, &KeysBody { filter: filter.clone() }).await?;
        Ok(answer.keys)
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        let wire = Wire { route: "steps", operation: "list steps", ..Wire::default() };
        let answer: StepsAnswer = self.caller.call(&wire, &StepsBody { id: id.clone() }).await?;
        Ok(answer.steps)
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        admit::signal(name, value)?;
        let key = Some(JobId::random().to_string());
        let wire = Wire { route: "signal", operation: "signal", key, ..Wire::default() };
        let body = SignalBody { id: id.clone(), name: name.to_owned(), value: value.clone() };
        let answer: SignalAnswer = self.caller.call(&wire, &body).await?;
        Ok(answer.signalled)
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        let wire = Wire { route: "dependants", operation: "list dependants", ..Wire::default() };
        let answer: DependantsAnswer =
            self.caller.call(&wire, &DependantsBody { id: id.clone(), limit }).await?;
        Ok(answer.dependants)
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        admit::samples(samples)?;
        let wire = Wire { route: "put-samples", operation: "keep samples", ..Wire::default() };
        let NothingBody {} = self.caller.call(&wire, &PutSamplesBody { samples: samples.to_vec() }).await?;
        Ok(())
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        let wire = Wire { route: "samples", operation: "read samples", ..Wire::default() };
        let body = SamplesBody { series: series.to_owned(), from };
        let answer: SamplesAnswer = self.caller.call(&wire, &body).await?;
        Ok(answer.samples)
    }

    /// The server's store makes the changes, and its process counts them.
    fn changes(&self) -> Option<&Changes> {
        None
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let wire = Wire { route: "workers", operation: "list workers", ..Wire::default() };
        let answer: WorkersAnswer = self.caller.call(&wire, &NothingBody {}).await?;
        Ok(answer.workers)
    }
}

/// The server signs them, because it is the one that takes them.
#[async_trait]
impl WaitTokens for RemoteStore {
    async fn token(&self, job: &JobId, _created_at: Timestamp, name: &str) -> Result<String> {
        let wire = Wire { route: "signal-token", operation: "make a signal's token", ..Wire::default() };
        let longest = Some(LONGEST_SIGNAL_TOKEN.as_secs_f64());
        let body = SignalTokenBody { id: job.clone(), name: name.to_owned(), expires_in: longest };
        let answer: SignalTokenAnswer = self.caller.call(&wire, &body).await?;
        Ok(answer.token)
    }
}

fn looked_up(lookup: Lookup) -> Lookup {
    match lookup {
        Lookup::Found(job) => Lookup::Found(Box::new(with_output(*job))),
        Lookup::Gone | Lookup::Unknown => lookup,
    }
}

/// Every completed job has an output. If that is `null`, JSON does not distinguish it from none.
fn with_output(mut job: JobRecord) -> JobRecord {
    if job.state == State::Completed && job.output.is_none() && job.output_bytes.is_none() {
        job.output = Some(Json::null());
    }
    job
}

/// The answer, where it says something of each item that was asked about.
fn checked<T>(answer: Vec<T>, asked: usize, operation: &'static str) -> Result<Vec<T>> {
    if answer.len() == asked {
        return Ok(answer);
    }
    let source = format!("the server answered {} times for {asked} items", answer.len()).into();
    Err(Error::Store { store: call::STORE, operation, source })
}
