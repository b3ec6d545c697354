//! Webhooks: notification of a URL about the end of a job, by another job.
//!
//! A job with a webhook is enqueued together with its *delivery*, a job of kind [`KIND`] that depends on it and starts
//! after any end of it. So every end is reported, by whichever call or sweep it came, and neither job exists without
//! the other. The delivery reads the ended job and posts it, by the code of `longhaul-webhooks`. Stores have no code
//! for webhooks: [`admit`](crate::admit) adds the deliveries to the jobs that a store is given.

mod again;
mod secrets;
mod told;

pub use crate::collection::Added;
pub use again::{act, next_end, next_id};
pub(crate) use secrets::SERIES as SECRET_SERIES;
pub use secrets::{MAX_SECRETS, Secret, Secrets};
pub use told::{Composed, MESSAGE_STEP, Redelivered, Told, redeliver, status_in, told, unwanted};

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::model::{
    Action, CancelReason, Dependency, EnqueueStatus, Enqueued, JobFilter, JobId, JobRecord, Json, NewJob,
    Policy, State, check_name,
};
use crate::store::{Error, Result, Store};

/// The kind of deliveries.
pub const KIND: &str = "longhaul.webhook";
/// The queue of deliveries.
pub const QUEUE: &str = "longhaul.webhooks";
/// The attempts of a delivery: with [`BACKOFF`], within about 19 hours.
pub const MAX_ATTEMPTS: u32 = 10;
/// The waits between the attempts of a delivery.
pub const BACKOFF: Backoff =
    Backoff { base: Duration::from_secs(5), factor: 4.0, max: Duration::from_secs(6 * 3600), jitter: 0.2 };
/// The most bytes of a webhook's URL.
pub const MAX_URL_BYTES: usize = 2_048;

/// The prefix of the limit keys of deliveries; the receiver's host follows.
pub const LIMIT_KEY_PREFIX: &str = "webhook:";

/// The timeout of a delivery's attempt. Its requests have shorter timeouts of their own.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The most characters of a job's id in the ids of its deliveries.
const NAMED: usize = 100;

/// A URL that is notified of a job's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// An `http` or `https` URL without a user or password.
    pub url: String,
    /// The ends that it is notified of.
    #[serde(default = "WebhookEvent::all")]
    pub events: Vec<WebhookEvent>,
}

/// An end of a job that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    /// It has completed.
    Completed,
    /// It has failed for good.
    Failed,
    /// It was cancelled, has expired, or was given up for another reason.
    Cancelled,
}

impl WebhookEvent {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::Completed, Self::Failed, Self::Cancelled]
    }

    /// The event of a job that has ended in `state`.
    #[must_use]
    pub const fn of(state: State) -> Option<Self> {
        match state {
            State::Completed => Some(Self::Completed),
            State::Failed => Some(Self::Failed),
            State::Cancelled => Some(Self::Cancelled),
            State::Blocked | State::Scheduled | State::Available | State::Running => None,
        }
    }

    /// The `type` of its message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "job.completed",
            Self::Failed => "job.failed",
            Self::Cancelled => "job.cancelled",
        }
    }
}

impl fmt::Display for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Webhook {
    /// Reports every end of a job to `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), events: WebhookEvent::all() }
    }

    /// Checks the URL, as far as that is possible before its host is resolved, and that there are events.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        let invalid = |field: &str, reason: String| Err(Error::Invalid { field: field.into(), reason });
        if self.url.len() > MAX_URL_BYTES {
            return invalid("webhook.url", format!("must be at most {MAX_URL_BYTES} bytes"));
        }
        if let Err(reason) = check_url(&self.url) {
            return invalid("webhook.url", reason.into());
        }
        if self.events.is_empty() {
            return invalid("webhook.events", "must hold completed, failed or cancelled".into());
        }
        Ok(())
    }
}

/// Checks the form of a URL, without a look-up of its host.
fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("must begin with https:// or http://") };
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not hold spaces or control characters");
    }
    let authority = authority(rest);
    if authority.contains('@') {
        return Err("must not hold a user or password: receivers know the sender by its signature");
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err("must name a host");
    }
    Ok(())
}

/// The args of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The job whose end it reports.
    pub job: JobId,
    /// The receiver.
    pub url: String,
    /// The ends that are reported.
    #[serde(default = "WebhookEvent::all")]
    pub events: Vec<WebhookEvent>,
    /// The message of an earlier delivery that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Set for a delivery before a retry of the job: it reports the next end, unless another delivery reports an end
    /// after this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// The message to a receiver: the same in each attempt and each repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The `webhook-id`: one for each end of a job, by which a receiver detects duplicates.
    pub id: String,
    /// The event.
    pub event: WebhookEvent,
    /// The body.
    pub body: Json,
}

impl Delivery {
    /// The first delivery of a job's webhook.
    #[must_use]
    pub fn new(job: JobId, webhook: Webhook) -> Self {
        Self { job, url: webhook.url, events: webhook.events, message: None, after: None }
    }

    /// The job that does it, known by a `suffix` among the deliveries of its job.
    ///
    /// # Errors
    /// None for args that have a JSON form, as these have.
    pub fn job(&self, suffix: &str) -> Result<NewJob> {
        Ok(NewJob {
            id: Some(id(&self.job, suffix)),
            queue: QUEUE.into(),
            max_attempts: MAX_ATTEMPTS,
            policy: Policy { timeout: Some(TIMEOUT), backoff: Some(BACKOFF), ..Policy::default() },
            limit_keys: limit_key(&self.url).into_iter().collect(),
            // No job, but what stores find the deliveries of a job by.
            parent: Some(parent(&self.job)),
            ..NewJob::new(KIND, Json::new(self)?)
        })
    }

    /// The same, waiting for the end of its job.
    ///
    /// # Errors
    /// As for [`job`](Self::job).
    pub fn after_end(&self, suffix: &str) -> Result<NewJob> {
        Ok(NewJob { depends_on: vec![Dependency::on_any_end(self.job.clone())], ..self.job(suffix)? })
    }
}

/// The limit key of deliveries to the host of a URL, so that a slow receiver can be kept from taking all slots.
fn limit_key(url: &str) -> Option<String> {
    let authority = authority(url.split_once("://")?.1);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let key = format!("{LIMIT_KEY_PREFIX}{}", host.to_ascii_lowercase());
    check_name("limit_keys", &key).is_ok().then_some(key)
}

/// The host and port of a URL without its scheme.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#', '\\']).next().unwrap_or_default()
}

/// The id of a delivery: that of the first one has no suffix.
fn id(job: &JobId, suffix: &str) -> JobId {
    JobId::from_store(format!("webhook:{}{suffix}", short(job)))
}

/// The id of a job's first delivery.
#[must_use]
pub fn first_id(job: &JobId) -> JobId {
    id(job, "")
}

/// The name that all deliveries of a job have as their parent.
#[must_use]
pub fn parent(job: &JobId) -> JobId {
    JobId::from_store(format!("webhooks:{}", short(job)))
}

/// A job's id, or what is known by for one that is too long: ids have 128 characters, and these have more around them.
fn short(job: &JobId) -> String {
    let id = job.as_str();
    if id.len() <= NAMED {
        return id.to_owned();
    }
    // FNV-1a: two ids that begin alike and meet here would have to be made for it.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{}.{hash:016x}", &id[..id.floor_char_boundary(NAMED - 17)])
}

/// Jobs that are to be enqueued in one call, and behind them the deliveries of their webhooks.
pub(crate) fn with_deliveries(mut jobs: Vec<NewJob>) -> Result<Vec<NewJob>> {
    let mut deliveries = Vec::new();
    for job in &mut jobs {
        if let Some(webhook) = job.webhook.take() {
            let id = job.id.get_or_insert_with(JobId::random).clone();
            let mut delivery = Delivery::new(id, webhook).after_end("")?;
            delivery.policy.traceparent = job.policy.traceparent;
            deliveries.push(delivery);
        }
    }
    jobs.append(&mut deliveries);
    Ok(jobs)
}

/// Removes the deliveries of jobs that were not created, of duplicates for example. A delivery that is left over,
/// because the process died before this call, finds no job to report and ends by itself.
///
/// # Errors
/// A store's fault.
pub(crate) async fn forget_unused(
    store: &dyn Store,
    answers: impl Iterator<Item = (&JobId, &Enqueued)>,
) -> Result<()> {
    // A full queue has refused the job of its own id; a duplicate of its own id has a delivery that is in use.
    let is_refused = |(asked, enqueued): &(&JobId, &Enqueued)| {
        !enqueued.is_created() && (**asked != enqueued.id || enqueued.status == EnqueueStatus::Full)
    };
    let asked: Vec<JobId> = answers.filter(is_refused).map(|(asked, _)| asked.clone()).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let ids = unused(store, &asked).await?;
    if ids.is_empty() {
        return Ok(());
    }
    let most = ids.len();
    let filter = JobFilter { ids, kinds: vec![KIND.into()], ..JobFilter::default() };
    let cancel = Action::Cancel { grace: Duration::ZERO, reason: CancelReason::Parent };
    store.act(&filter, cancel, most).await?;
    store.act(&filter, Action::Delete, most).await.map(drop)
}

/// The first deliveries of jobs that were asked for and not created, unless the job is there and the delivery its own: an idempotency key
/// is looked for before an id, so that a request which repeats the key of one job may name another one that exists.
async fn unused(store: &dyn Store, asked: &[JobId]) -> Result<Vec<JobId>> {
    let ids: Vec<JobId> = asked.iter().map(first_id).collect();
    let (deliveries, jobs) = (store.get(&ids).await?, store.get(asked).await?);
    let found = deliveries.into_iter().zip(jobs).zip(asked);
    let unused = found.filter_map(|((delivery, job), asked)| {
        let delivery = delivery.found()?;
        // One that came with a request which another job stands for waits for that one.
        let is_own = delivery.depends_on.iter().any(|dependency| dependency.id == *asked);
        (!is_own || job.found().is_none()).then_some(delivery.id)
    });
    Ok(unused.collect())
}

/// Enqueues deliveries of new jobs that have the ids of removed ones, where the first delivery of the removed one is there still: so the
/// one that came with the new job was a duplicate of it.
///
/// # Errors
/// A store's fault.
pub(crate) async fn tell_anew(store: &dyn Store, created: Vec<(JobId, Webhook)>) -> Result<()> {
    let ids: Vec<JobId> = created.iter().map(|(id, _)| first_id(id)).collect();
    let deliveries = if ids.is_empty() { Vec::new() } else { store.get(&ids).await? };
    // One that waits is the job's own: the removed job has ended.
    let is_old = |delivery: &JobRecord| delivery.state != State::Blocked;
    let old = deliveries.into_iter().zip(created).filter_map(|(delivery, (id, webhook))| {
        let delivery = delivery.found().filter(is_old)?;
        Some((id, (delivery.created_at, webhook)))
    });
    let (ids, old): (Vec<JobId>, Vec<(Timestamp, Webhook)>) = old.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let jobs = store.get(&ids).await?.into_iter().zip(old);
    let anew = jobs.filter_map(|(job, (created_at, webhook))| {
        let job = job.found().filter(|job| created_at < job.created_at)?;
        let delivery = Delivery::new(job.id, webhook).after_end(&format!(".anew{}", job.created_at.0));
        let policy = |policy| Policy { traceparent: job.policy.traceparent, ..policy };
        Some(delivery.map(|delivery| NewJob { policy: policy(delivery.policy), ..delivery }))
    });
    store.enqueue(anew.collect::<Result<_>>()?).await.map(drop)
}

/// The deliveries of a job, oldest first; at most `limit`.
///
/// # Errors
/// A store's fault.
pub async fn deliveries(store: &dyn Store, job: &JobId, limit: usize) -> Result<Vec<JobRecord>> {
    let filter = JobFilter { parents: vec![parent(job)], kinds: vec![KIND.into()], ..JobFilter::default() };
    let page = crate::Page { limit, ..crate::Page::default() };
    let mut jobs = store.list(&filter, page).await?.jobs;
    jobs.reverse();
    Ok(jobs)
}

/// A moment as messages write it: RFC 3339 with milliseconds, in UTC.
#[must_use]
pub fn rfc3339(moment: Timestamp) -> impl fmt::Display {
    // A moment past the year 9999 has no form in RFC 3339; it is shown as the last one that has.
    let moment = jiff::Timestamp::from_millisecond(moment.0).unwrap_or(jiff::Timestamp::MAX);
    fmt::from_fn(move |f| write!(f, "{moment:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_posted_to_is_refused_with_what_to_write() {
        for url in ["https://example.com", "http://example.com:8080/a?b=c@d", "https://[2001:db8::1]/x"] {
            assert!(Webhook::new(url).validate().is_ok(), "{url}");
        }
        for url in [
            "ftp://example.com",
            "example.com",
            "https://",
            "https://:80",
            "https://user@example.com",
            "https://user:secret@example.com/",
            "https://example.com\\@evil.example",
            "https://exa mple.com",
            "https://example.com/\n",
        ] {
            let refused = Webhook::new(url).validate();
            let is_fine = url == "https://example.com\\@evil.example";
            assert_eq!(refused.is_ok(), is_fine, "{url}: {refused:?}");
        }
        let none = Webhook { events: vec![], ..Webhook::new("https://example.com") };
        assert!(none.validate().is_err());
        let long = Webhook::new(format!("https://example.com/{}", "x".repeat(MAX_URL_BYTES)));
        assert!(long.validate().is_err());
    }

    #[test]
    fn deliveries_stand_behind_the_jobs_of_a_call_and_wait_for_their_end() {
        let job = |webhook: Option<Webhook>| NewJob { webhook, ..NewJob::new("k", Json::null()) };
        let jobs = with_deliveries(vec![job(Some(Webhook::new("https://example.com"))), job(None)]).unwrap();
        assert_eq!(jobs.len(), 3);
        assert!(jobs.iter().all(|job| job.webhook.is_none() && job.validate().is_ok()));
        let id = jobs[0].id.clone().unwrap();
        assert!(jobs[1].id.is_none());
        assert_eq!(jobs[2].id, Some(first_id(&id)));
        assert_eq!(jobs[2].depends_on, [Dependency::on_any_end(id)]);
        assert_eq!(jobs[2].limit_keys, ["webhook:example.com"]);
    }

    #[test]
    fn deliveries_share_the_limit_key_of_their_host() {
        for (url, key) in [
            ("https://Example.com:8443/a:b", Some("webhook:example.com")),
            ("http://[2001:db8::1]:80/", Some("webhook:2001:db8::1")),
            ("https://bücher.example", None),
        ] {
            assert_eq!(limit_key(url).as_deref(), key, "{url}");
        }
    }

    #[test]
    fn the_longest_ids_have_deliveries_of_their_own() {
        let long = |last: &str| JobId::new(format!("{}{last}", "x".repeat(127))).unwrap();
        let (one, two) = (Delivery::new(long("a"), Webhook::new("http://a")), long("b"));
        let job = one.after_end(".12345678901").unwrap();
        assert!(job.validate().is_ok(), "{:?}", job.validate());
        assert_ne!(first_id(&one.job), first_id(&two));
        assert_ne!(parent(&one.job), parent(&two));
        assert!(first_id(&one.job).as_str().len() < 128);
    }
}
