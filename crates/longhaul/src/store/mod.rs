//! The [`Store`] trait: what the engine asks of a database.
//!
//! A store applies, it does not decide: backoff, retry or fail arrive inside an [`Outcome`](crate::Outcome).
//! It owns the clock. Whatever answers `Ok` is durable to the degree that the store's own page names.
//!
//! The sentences in the methods' lists are the contract. Each is the name of a test in
//! `longhaul-conformance`, which holds that the two agree.

mod changes;
mod distribution;
mod error;
mod operations;
mod signals;

pub use changes::{Changes, Observer};
pub use distribution::Distribution;
pub use error::{Error, Result};
pub(crate) use operations::Operation;
pub use operations::{OperationTimes, Operations};
pub use signals::{Listener, Signals};

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::model::{
    Acted, Action, Claim, Claimed, Enqueued, Event, Finish, FinishAndClaim, JobFilter, JobId, JobPage, Json,
    KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Lookup, NewJob, Page, QueueConfig, QueueInfo,
    Record, Sample, Signalled, StepRecord, Swept, WorkerInfo,
};
use crate::moving::{Export, Exported, Imported};

/// A database of jobs. Small, dyn-safe and batch-first: single-item forms are on [`Longhaul`](crate::Longhaul).
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Creates or updates what the store needs to work.
    ///
    /// - Migrating twice changes nothing.
    async fn migrate(&self) -> Result<()>;

    /// Answers at once whether the store takes writes now: an outage where it is away or full, or where whatever writes in
    /// this process has died.
    ///
    /// - A store that takes writes is ready.
    async fn ready(&self) -> Result<()> {
        self.get(&[]).await.map(drop)
    }

    /// Creates jobs: all of the call or none, but for those whose unique key or whose place among the waiting jobs refuses
    /// them, which concerns them alone. Answers one [`Enqueued`] for each, in order; each sees those before it.
    ///
    /// First its id and its idempotency key are looked for, and what becomes of it where its unique key is held. Where it is
    /// then to be created and to wait, the [bounds on waiting jobs](QueueConfig::max_waiting) of its queue and its limit keys
    /// are looked at: those who refuse it go first, because then nothing else happens. Last it takes its unique key. The
    /// [`lifecycle`](crate::lifecycle) has these rules as functions.
    ///
    /// - A new job is available at once.
    /// - A new job has the fields it was given.
    /// - A delayed job is scheduled until its time.
    /// - A start in the past means at once.
    /// - An id that exists creates nothing.
    /// - The same id twice in one call is one job.
    /// - A held unique key joins the job that holds it.
    /// - The same unique key twice in one call is one job.
    /// - A unique key is free once its job has failed.
    /// - A unique key is free once its job was cancelled.
    /// - A unique key is free once its job completed without a period.
    /// - A unique key with a period outlives completion by the period.
    /// - A refresh joins an unfinished holder.
    /// - A refresh takes the key from a finished holder.
    /// - A newcomer takes the key of a holder in a state that it does not name.
    /// - A job whose key was given to another frees nothing when it ends.
    /// - A job whose key was given to another does not take it back when it ends.
    /// - A holder that has ended in a state that it names keeps its key.
    /// - A reject creates nothing and tells the holder.
    /// - A refused job leaves its idempotency key free.
    /// - A replace gives a waiting holder its args and its time.
    /// - A replace by another version is claimed whatever limits and preference its holder has.
    /// - A replace comes too late for a holder that runs.
    /// - A debounced job waits until none has come for its delay.
    /// - A debounced job waits no longer than its longest delay.
    /// - A debounce moves no job that was started or is due.
    /// - A debounce at its leading edge runs the first at once and joins the others.
    /// - A throttle joins for its period whatever becomes of its job.
    /// - A supersede cancels a waiting holder and takes its key.
    /// - A supersede asks a running holder to stop.
    /// - A supersede takes the key from a finished holder.
    /// - A follow waits behind a running holder as the only one.
    /// - A follow replaces a waiting holder and takes the key from a finished one.
    /// - A follower that ends first gives the key back to the job that it follows.
    /// - A follow behind a holder that is an ancestor is rejected.
    /// - A full queue refuses a job and the others of the call are created.
    /// - A full queue that drops the oldest cancels it for the new job.
    /// - A full queue that drops the newest cancels the new job at once.
    /// - A limit key bounds its waiting jobs in all queues.
    /// - A clash that creates nothing is not refused by a full queue.
    /// - A job that waits for its children passes a full queue.
    /// - A job that waits for its children is blocked.
    /// - A job that waits for children and has none is available at once.
    /// - A child that joins later is waited for too.
    /// - A child of a job that has begun and not ended is counted.
    /// - A child of a job that has not begun or has ended is not counted.
    /// - A job that depends on others is blocked until all have ended.
    /// - A dependency that has ended counts at once.
    /// - A job whose dependency has failed already is created and cancelled.
    /// - A job may depend on one that stands before it in the call.
    /// - A dependency on a job of the call that was not created is one on the job that stands for it.
    /// - A job that comes to depend on an unfinished ancestor is created and cancelled.
    /// - Of several dependencies on one job one that cancels holds.
    /// - A job that depends on one that is not there is refused with its call.
    /// - A job that depends on an unfinished ancestor is refused with its call.
    /// - A job that exists already is not asked for its dependencies.
    /// - A dependant starts no sooner than its own time.
    /// - A closing job with dependencies waits for both.
    /// - A new job may bring steps that are done already.
    /// - A job with a webhook is created with its delivery.
    /// - A delivery is freed by any end of its job.
    /// - A webhook of a job that is not created leaves the call standing.
    /// - A repeated idempotency key answers the first job.
    /// - An idempotency key used for another request creates nothing.
    /// - An idempotency key is forgotten after its time.
    /// - An idempotency key outlives its job.
    /// - An empty enqueue does nothing.
    /// - A job that cannot be kept is refused with its field.
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>>;

    /// Gives jobs to a worker under a lease. Due scheduled jobs are promoted first.
    ///
    /// Of each queue, one after the other, the claim takes the next job again and again. Those come into question that the worker
    /// knows, whose time is not over, and, where they [prefer](crate::Prefer) other workers, that
    /// [fit](crate::lifecycle::prefer::fits) this one now. Of one kind, version and preference, only the first does; of one set of
    /// limit keys, only the first of these. A key that is paused or [closed](crate::lifecycle::limits::closed) keeps back that one,
    /// and so all of its set. Of what is left, the next is the first by place, or in a [fair](QueueConfig::fair) queue by turn. Where
    /// the queue's own [slots or rate](QueueConfig::slots) do not admit it, the queue is done with, because whatever comes behind
    /// would make it wait for ever. So the order of evaluation is: the queue's pause, the pause of a key; then slots before rates, of
    /// each first the queue's and then the key's, in which a job waits as long as any of them refuses it.
    ///
    /// - A claimed job is running and belongs to the worker.
    /// - A claim takes no more than the slots of each queue.
    /// - A claim takes only the queues it names.
    /// - A claim takes only the kinds it names.
    /// - A claim takes no version above the one it knows.
    /// - A version far above all that exist takes them all.
    /// - A kind or queue that a claim names twice counts once.
    /// - Jobs of one priority are claimed in the order they were enqueued.
    /// - A scheduled job takes its turn from when it falls due.
    /// - Higher priority goes first.
    /// - A low priority is overtaken for a bounded time only.
    /// - A due scheduled job is claimed without a sweep.
    /// - A wait that is over is claimed without a sweep.
    /// - A job that is not due is not claimed.
    /// - Two claims never take the same job.
    /// - Each claim raises the token.
    /// - A claim brings the outputs of the steps that are done.
    /// - A second attempt resets a log that has entries.
    /// - A job of a paused limit key is not claimed.
    /// - Jobs of other keys are claimed past those of a paused one.
    /// - Jobs of a paused key keep their order.
    /// - Very many jobs of a paused key keep no other back.
    /// - Very many keys that are paused keep no other back.
    /// - A job whose time is over keeps no other of its limit keys back.
    /// - A waiting claim answers when a pause ends.
    /// - No more jobs of a key run than it has slots.
    /// - A job takes as many slots of its keys as it costs.
    /// - A job that costs more than all slots runs alone.
    /// - All keys of a job must admit it.
    /// - A key that keeps a job back takes nothing of the others.
    /// - Jobs of a full key keep their order and no other back.
    /// - A rate admits a burst and then its share.
    /// - A rate counts what jobs cost.
    /// - A waiting claim answers when a rate admits the next job.
    /// - A waiting claim answers when a job goes that kept back others of its limit key.
    /// - No more jobs of a queue run than it has slots.
    /// - A job takes as many slots of its queue as it costs.
    /// - A job that costs more than all slots of its queue runs alone.
    /// - The next job of a full queue keeps those behind it back.
    /// - A job that its key keeps back keeps no other of a limited queue back.
    /// - A queue that keeps a job back takes nothing of its keys.
    /// - A full queue keeps no other queue back.
    /// - The rate of a queue admits a burst and then its share.
    /// - The rate of a queue counts what jobs cost.
    /// - A waiting claim answers when the rate of its queue admits the next job.
    /// - A waiting claim answers when a job goes that kept back others of its limited queue.
    /// - A limited queue that is fair takes turns as any other does.
    /// - A fair queue takes turns between its keys.
    /// - A fair queue gives turns by weight.
    /// - Jobs without keys take turns as one key does.
    /// - A key that comes late to a fair queue has no turns to catch up with.
    /// - A claim takes no job of a paused queue.
    /// - A claim of several queues passes over a paused one.
    /// - A waiting claim answers when its queue is resumed.
    /// - A waiting claim answers when a job arrives.
    /// - A waiting claim answers when a scheduled job falls due.
    /// - A waiting claim answers when a wait is over.
    /// - A waiting claim answers with nothing after its wait.
    /// - A dropped claim takes nothing.
    /// - A worker that has all the labels claims a job that prefers them at once.
    /// - A worker without the labels claims a job once it has been due for a second.
    /// - A job that prefers labels hard is claimed by workers alone that have them.
    /// - A job that prefers others keeps no other back.
    /// - A job that prefers others is next once its second is over.
    /// - A job that was given back has waited already for those that it prefers.
    /// - Jobs that prefer the same keep their order.
    /// - Jobs with a preference take the turns of their keys.
    /// - Jobs with a preference and limit keys keep to their limits.
    /// - Very many jobs that prefer others keep no other back.
    /// - A waiting claim answers when a job comes that prefers its worker.
    /// - A waiting claim of a worker without the labels answers when the second is over.
    /// - A job past its expiry or its deadline is not claimed.
    /// - A claim tells the time that is left until the deadline.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>>;

    /// Reports that a worker lives, and extends its leases.
    ///
    /// - A heartbeat extends the lease.
    /// - A heartbeat with an old token is lost.
    /// - A heartbeat tells of a requested cancel.
    /// - A heartbeat makes the worker known.
    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>>;

    /// Adds entries to running jobs, each run's only if its lease is current.
    ///
    /// - Recorded entries are read back in order.
    /// - The last progress is the job's progress.
    /// - A record with an old token changes nothing.
    /// - The first output of a step stays.
    /// - A step writes no event.
    /// - A record tells of a requested cancel.
    /// - An entry that cannot be kept ends its own run as failed.
    /// - A long log line is cut and marked.
    /// - A log beyond its bound loses its oldest entries and tells of the gap.
    /// - A log of large entries is bounded by their bytes.
    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>>;

    /// Ends runs: outcome, log, follow-up jobs and keys in one transaction, each run's only if its lease is
    /// current.
    ///
    /// - A completed job keeps its output.
    /// - A retry waits for its delay and keeps its error.
    /// - A failed job keeps its error.
    /// - A cancelled outcome ends the job.
    /// - A snooze costs no attempt.
    /// - A rate limited run costs no attempt.
    /// - A rate limited run pauses its first limit key.
    /// - A longer pause is not shortened by a shorter one.
    /// - A rate limited run without a key waits alone.
    /// - A rate limited run of a lost lease pauses nothing.
    /// - A release costs no attempt and counts as an interruption.
    /// - A released job is available at once.
    /// - A released job keeps its place.
    /// - A finish with an old token changes nothing.
    /// - A finish has its effect once.
    /// - A finish repeated with the token that ended the job is held.
    /// - A finish repeated after a run that did not end the job is lost.
    /// - A repeated finish is lost once the job was retried or deleted.
    /// - An output that cannot be kept fails its own job.
    /// - A follow up that cannot be kept fails its own job.
    /// - A long error is cut and marked.
    /// - A job made anew under an old id does not know the old leases.
    /// - Follow ups are created with the completion.
    /// - Follow ups of a lost finish are not created.
    /// - Follow ups of a retry are not created.
    /// - A follow up whose id exists leaves the completion standing.
    /// - A follow up with a webhook brings its delivery.
    /// - The last dependency to end frees its dependants.
    /// - A dependency that fails or is cancelled cancels its dependants and theirs.
    /// - A dependant that runs after any end is freed by a failure.
    /// - Very many dependants are settled in portions.
    /// - Very many dependants are cancelled in portions.
    /// - A dependant counts the end that it waited for though its job has ended anew.
    /// - A follow up may depend on the job that it follows.
    /// - A follow up that depends on a job that is not there is created and cancelled.
    /// - A run that waits for its children gives its slot back and costs no attempt.
    /// - A run that waits for children and has none unfinished goes on at once.
    /// - The last child to end lets a waiting run go on.
    /// - A child that ends before its parent waits is not waited for.
    /// - A wait for children ends after its timeout.
    /// - A run that waits for a signal gives its slot back and costs no attempt.
    /// - A wait for a signal that has come goes on at once.
    /// - A wait for a signal ends after its timeout.
    /// - A wait of a job asked to cancel ends it as cancelled.
    /// - A job that waits for a person keeps its attempts and its error.
    /// - The last child to end frees its parent.
    /// - A failed child frees its parent all the same.
    /// - A parent is freed once.
    /// - A follow up of a child joins the batch before the child is counted.
    /// - The entries of a finish come before its outcome.
    /// - A retry, snooze, rate limit or release of a job asked to cancel ends it as cancelled.
    /// - A completion of a job asked to cancel stands.
    /// - Each finish of a batch stands alone.
    /// - The last twenty errors are kept.
    /// - A slot is given back when its run ends, however it ends.
    /// - A slot is given back once.
    /// - A waiting claim answers when a slot of its key is given back.
    /// - A slot of a queue is given back when its run ends, however it ends.
    /// - A waiting claim answers when a slot of its queue is given back.
    /// - A run that settles its cost moves the rates of its keys by the difference.
    /// - A run that settles its cost moves the rate of its queue by the difference.
    /// - A run that goes on after its rates are free again settles its cost whatever was swept.
    /// - A run that settles nothing moves no rate.
    /// - A run that was cut off at its deadline says so.
    /// - Follow ups and jobs that wait again pass a full queue.
    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>>;

    /// A finish and a claim in one round trip, which is the hot path of a busy worker. The claim sees what
    /// the finishes set free.
    ///
    /// - A turn finishes and then claims.
    /// - A turn does not wait.
    /// - A turn claims what its finishes make due.
    async fn finish_and_claim(&self, finishes: Vec<Finish>, mut claim: Claim) -> Result<FinishAndClaim> {
        // The finishes want their answer now.
        claim.wait = Duration::ZERO;
        let finished = self.finish(finishes).await?;
        let claimed = self.claim(claim).await?;
        Ok(FinishAndClaim { finished, claimed })
    }

    /// Maintenance, safe on every node at once and bounded: at most about `limit` jobs of each sort.
    ///
    /// - A sweep promotes what is due.
    /// - A sweep lets waits that are over go on.
    /// - A sweep rescues jobs whose lease has expired.
    /// - A rescue costs no attempt and counts as a crash.
    /// - A rescued job keeps its place.
    /// - A job that crashed too often fails as poison.
    /// - A rescued job asked to cancel is cancelled.
    /// - A sweep fences off a cancelled job after its grace.
    /// - A poisoned child is counted.
    /// - A rescue gives a slot back.
    /// - A sweep cancels a job that was not started before its expiry.
    /// - A job that was started does not expire.
    /// - A sweep cancels a waiting job at its deadline.
    /// - A sweep asks a running job to stop at its deadline.
    /// - A sweep prunes by age.
    /// - A sweep prunes by count.
    /// - A sweep keeps a job whose unique key is held.
    /// - A sweep keeps a job while one that depends on it has not ended.
    /// - A sweep keeps a child while its parent has not ended.
    /// - A sweep does no more than its limit.
    /// - A sweep with nothing to do says so.
    async fn sweep(&self, limit: usize) -> Result<Swept>;

    /// Looks jobs up. Answers one for each id, in order.
    ///
    /// - An unknown id is unknown.
    /// - A pruned job is gone for a day and then unknown.
    /// - A position counts the available jobs ahead.
    /// - A job tells its unique key and the job that holds it.
    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>>;

    /// Lists jobs, newest first, by keyset: pages neither overlap nor skip while jobs come and go.
    ///
    /// - A list is newest first.
    /// - Pages follow each other without gap or overlap.
    /// - A filter leaves only what fits.
    /// - A filter that no store can be asked for is refused.
    /// - Every term of a filter must be true.
    /// - A page tells how many jobs it looked at.
    /// - A short list leaves large payloads out and tells their sizes.
    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage>;

    /// Reads a job's log after event number `after`, at most `limit` entries, with its present state among
    /// them; `None` where there is no such job. While there is nothing new and the job has not ended, holds
    /// the answer open for `wait`.
    ///
    /// - A job that emits nothing has only its state to tell.
    /// - Events after a number leave out what was seen.
    /// - Events are read in pieces without loss.
    /// - A completed job ends its log with output and state.
    /// - A waiting reader hears of a new event.
    /// - A waiting reader hears of a change of state.
    /// - A child that ends tells the readers of its parent.
    /// - A waiting reader hears that a job is asked to stop.
    /// - A reader of a finished job does not wait.
    /// - Events of an unknown job are none.
    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>>;

    /// Does something to at most `limit` jobs that fit `filter`, and says how many it did it to. Jobs that
    /// the action does not apply to (a retry of an unfinished one) are left alone and not counted.
    ///
    /// - Cancelling a waiting job ends it at once.
    /// - Cancelling a running job asks it to stop.
    /// - A job that was asked to stop already is left alone unless its grace becomes shorter.
    /// - Cancelling a finished job does nothing.
    /// - A cancelled job says why.
    /// - Retrying a finished job makes it available with all its attempts.
    /// - Retrying keeps the steps of a failed job.
    /// - Retrying a completed job forgets its steps.
    /// - Retrying an unfinished job does nothing.
    /// - Retrying a job whose unique key another holds does nothing.
    /// - Retrying forgets the times of a job and why it was cancelled.
    /// - Deleting removes a finished job and frees its key.
    /// - Deleting an unfinished job does nothing.
    /// - A cancelled child is counted.
    /// - A child retried by hand is waited for again.
    /// - Deleting a child does not change the count.
    /// - An action stops at its limit.
    /// - An action tells how many jobs fit and how many it changed.
    /// - An action checks its filter where it writes.
    /// - An action leaves alone what comes to fit while it acts.
    /// - An action keeps to the terms of its filter.
    /// - A dependency counts once though it is retried by hand.
    /// - A dependant retried by hand does not wait again.
    /// - Deleting a dependency changes nothing.
    /// - A job made anew under an old id does not know the old dependencies.
    /// - A child that is deleted or retried by hand keeps no waiting run back.
    /// - Retrying a parent by hand keeps the counts of its children.
    /// - Retrying a job that waits for a person starts it anew.
    /// - Cancelling a job that waits for a person ends it.
    /// - Cancelling a blocked job ends its wait.
    /// - Retrying from a step forgets it and those after it.
    /// - Retrying from a step that is not there does nothing.
    /// - Retrying a completed job from a step does nothing.
    /// - Retrying with args replaces them and forgets the steps.
    /// - Retrying with args that cannot be kept is refused.
    /// - A new priority moves a waiting job to its place.
    /// - A new priority counts for a running job once it waits again.
    /// - A new priority is told to the readers of the job.
    /// - A finished job keeps its priority.
    /// - A job that has the priority already is left alone.
    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted>;

    /// The queues, with counts that are kept and not counted.
    ///
    /// - Counts follow every transition.
    async fn queues(&self) -> Result<Vec<QueueInfo>>;

    /// Sets a queue's configuration, which is all of it. What runs goes on, and counts: the slots that a queue is given count those
    /// of its jobs that run already. A rate begins at rest, unless it is the one that the queue has.
    ///
    /// - A queue keeps its configuration.
    /// - Limits of a queue that are set count what runs already.
    /// - Limits of a queue that are raised or taken away let waiting jobs go.
    /// - A queue tells what is taken of its limits.
    /// - Limits of a queue that are set again as they are forget nothing.
    /// - A queue that no job can be in is not configured.
    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()>;

    /// Sets a queue's configuration where it is still `before`, the one that the caller has read and changed a part of; answers whether
    /// it was. Where it was not, another caller has set it meanwhile, and nothing is done: [`Longhaul::change_queue`] reads it again.
    ///
    /// - A configuration is updated only where it is still the one that was read.
    ///
    /// [`Longhaul::change_queue`]: crate::Longhaul::change_queue
    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool>;

    /// Keeps a queue's jobs from being claimed, however many they are, until it is resumed. Nothing else is kept from
    /// happening to them, and those that run go on.
    ///
    /// - Jobs of a paused queue keep their states and their order.
    /// - A job that runs while its queue is paused goes on.
    /// - A paused queue is listed though no job is in it.
    /// - A configuration leaves a pause as it is.
    /// - A queue that no job can be in is not paused.
    async fn pause_queue(&self, queue: &str) -> Result<()>;

    /// Gives a queue's jobs to claims again.
    ///
    /// - Resuming a queue that is not paused changes nothing.
    async fn resume_queue(&self, queue: &str) -> Result<()>;

    /// The claim sources that are not empty, by queue, kind and version; at most [`MAX_LANES`].
    ///
    /// - Lanes tell the kinds and versions that wait in each queue.
    /// - A lane counts no more than a thousand jobs.
    async fn lanes(&self) -> Result<Vec<Lane>>;

    /// Sets the limits of a limit key, or of a prefix where the name ends in `*`; `None` takes them away. What runs goes on.
    ///
    /// - A key has its own limits or those of its longest prefix.
    /// - Limits that are raised or taken away let waiting jobs go.
    /// - Limits that are set count what runs already.
    /// - A key that no job can have is not configured.
    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()>;

    /// Keeps jobs of a limit key from being claimed for this long, at most until [`Timestamp::MAX`]; a longer pause stays.
    ///
    /// - Jobs of a paused key stay available.
    /// - A key that no job can have is not paused.
    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()>;

    /// Ends the pause of a limit key.
    ///
    /// - A waiting claim answers when its key is resumed.
    /// - Resuming a key that is not paused changes nothing.
    async fn resume_key(&self, key: &str) -> Result<()>;

    /// The limit keys that have limits of their own, are paused, or of which jobs wait or run, by name. Of others that were
    /// asked for by name, what holds for them. A store may list a key for some minutes after its last job has ended.
    ///
    /// - Keys tell their limits, what waits and what runs.
    /// - A pause of a limit key is listed until it ends.
    /// - Keys are listed by name and page by page.
    /// - Keys of a queue are those of which jobs wait in it.
    /// - A filter of limit keys that no store can be asked for is refused.
    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>>;

    /// The steps of a job that are done, in the order in which they were recorded; `None` where there is no such job.
    ///
    /// - Steps tell their attempts and times in the order in which they were done.
    /// - A completed job keeps the times of its steps without their outputs.
    /// - Steps of an unknown job are none.
    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>>;

    /// Gives a job a signal, which is kept among its steps as [`SIGNAL_PREFIX`](crate::SIGNAL_PREFIX) and its name, with the output
    /// `{"value": …}`, done in the attempt that the job has come to.
    ///
    /// - A signal lets the job that waits for it go on.
    /// - A signal of another name keeps the wait.
    /// - The first signal of a name wins.
    /// - An early signal is kept.
    /// - A signal is listed among the steps of its job.
    /// - A signal to a job that has ended changes nothing.
    /// - A signal to an unknown job says so.
    /// - A signal that cannot be kept is refused.
    /// - A waiting claim answers when a signal comes.
    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled>;

    /// The jobs that were enqueued to depend on a job, by the order in which they were; at most `limit`. Those that were removed
    /// are not among them; of a job that was removed a store need not know any.
    ///
    /// - Dependants are told in the order in which they were enqueued.
    /// - An unknown job has no dependants.
    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>>;

    /// Keeps samples; one of the same series, moment and source takes the place of the earlier one.
    ///
    /// - A sample is read back in its series.
    /// - A later sample of the same moment and source takes the place of the earlier one.
    /// - A sample is forgotten after its time.
    /// - A sample that cannot be kept is refused.
    ///
    /// The [API tokens and the audit log](crate::access) are stored as samples, too.
    ///
    /// - A token is kept with its scopes until it is deleted.
    /// - A token that expires is forgotten after that.
    /// - A store keeps a bounded number of tokens.
    /// - A job tells the token that it was enqueued with and is found by it.
    /// - The audit log is read newest first and page by page.
    /// - An entry of the audit log takes the place of an earlier one of its moment and id.
    /// - An entry of the audit log is forgotten after its time.
    async fn put_samples(&self, samples: &[Sample]) -> Result<()>;

    /// The samples of a series from a moment on, by moment and source; at most [`MAX_SAMPLES`], the oldest of them.
    ///
    /// - Samples come by moment and source from the moment asked for.
    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>>;

    /// Those who want to know of each change of state that is made through this store, in this process; `None` where another
    /// process makes them.
    ///
    /// - Every change of state is told once.
    /// - A change tells when the wait or the run before it began.
    /// - A failed attempt is told with its message.
    fn changes(&self) -> Option<&Changes>;

    /// The times of its calls, where they are [measured](crate::stats::Metered).
    fn operations(&self) -> Option<&Operations> {
        None
    }

    /// The workers that have called within the last minute.
    ///
    /// - A silent worker is forgotten after a minute.
    async fn workers(&self) -> Result<Vec<WorkerInfo>>;

    /// Begins to read all that is kept: [`moving`](crate::moving) says in which order, and what is left behind. Nothing is changed. A
    /// store that has no snapshots has writers wait until the read has ended or is dropped, and the read fails where they did not. A
    /// store in front of another one refuses this, and an import: the other one is moved.
    ///
    /// - An export shows the store as it was when it began or fails.
    /// - An export of an empty store has no records.
    /// - An export has settings before jobs and jobs in the order in which they were enqueued.
    async fn export(&self) -> Result<Box<dyn Export>> {
        Err(not_moved("export"))
    }

    /// Writes records that a store has [exported](Self::export) as they are, all of the call or none, and answers what became of each,
    /// in order. No lease comes over: a running job is [given back](crate::moving::admit), so that its worker's finish means nothing
    /// here. A parent that is imported counts its unfinished children before they come; any other child joins the job that has its
    /// parent's id, as a new one would.
    ///
    /// - What was exported and imported is as it was.
    /// - Importing twice adds nothing.
    /// - A record that a call has twice is created once.
    /// - A record that is there already stays as it is.
    /// - A job that was removed is not imported again.
    /// - A running job is imported as one that was given back.
    /// - A running job that was asked to stop is cancelled when it is imported.
    /// - Imported jobs are claimed in their order and run to their ends.
    /// - An imported job keeps to the limits of its keys and its queue.
    /// - An imported dependant counts the end of a job that has ended since.
    /// - A dependency that is not there counts as ended for an imported job.
    /// - An imported child joins a parent that was not imported with it.
    /// - An import that is begun anew counts each child once.
    /// - An imported child of a job that counts no new one is not counted.
    /// - An imported child that had ended is waited for where it is retried by hand.
    /// - A unique key that another job holds stays with that one.
    /// - A record that cannot be kept is refused and nothing of its call is written.
    async fn import(&self, records: Vec<Exported>) -> Result<Vec<Imported>> {
        match records.is_empty() {
            true => Ok(Vec::new()),
            false => Err(not_moved("import")),
        }
    }
}

/// The refusal of a store that is a view of another one, which is moved itself.
fn not_moved(operation: &'static str) -> Error {
    let source =
        "jobs are moved between the stores themselves: name the store, and not a server in front of it";
    Error::Store { store: "remote", operation, source: source.into() }
}

/// The most entries that a job's log keeps. Stores may drop up to a tenth more at once, so that dropping is not paid for
/// with every entry.
pub const KEPT_EVENTS: usize = 10_000;
/// The most bytes of entries, as JSON, that a job's log keeps.
pub const KEPT_EVENT_BYTES: usize = 16 * 1024 * 1024;
/// The most errors of a job that are kept.
pub const KEPT_ERRORS: usize = 20;
/// The time that a pruned or deleted job is remembered as gone.
pub const GONE_FOR: Duration = Duration::from_secs(24 * 3600);
/// The time for which retention skips a job that others depend on which have not ended (they may read its output, or report its
/// end), and a child whose parent has not ended (which may read its output, and would create it again where it enqueues its
/// children once more after a crash). After that a sweep checks again.
pub const AWAITED_FOR: Duration = Duration::from_secs(60);
/// The number of dependants that retention checks of one job, the oldest first.
pub const DEPENDANTS_LOOKED_AT: usize = 100;
/// The time that a running job has to stop once it was superseded or its deadline has passed.
pub const STOP_GRACE: Duration = Duration::from_secs(30);
/// The time that a silent worker is listed.
pub const WORKER_SEEN_FOR: Duration = Duration::from_secs(60);
/// The head start that one step of priority is worth.
pub const PRIORITY_STEP: Duration = Duration::from_secs(60);
/// The time for which a job that [prefers](crate::Prefer) other workers softly is kept from a worker, from when it falls due.
pub const PREFER_FOR: Duration = Duration::from_secs(1);
/// The furthest that a job's position is counted.
pub const MAX_POSITION: u64 = 1_000;
/// The most lanes that are listed.
pub const MAX_LANES: usize = 1_000;
/// The most limit keys that are listed at once.
pub const MAX_KEYS: usize = 1_000;
/// About how many dependants of a job that ends are settled in the transaction that ends it, and at a time by the claims, finishes
/// and sweeps after that.
pub const DEPENDANTS_AT_ONCE: usize = 1_000;
/// The most samples that are read at once.
pub const MAX_SAMPLES: usize = 10_000;
