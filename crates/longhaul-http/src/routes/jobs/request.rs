use std::borrow::Cow;
use std::collections::BTreeMap;

use longhaul::access::CREATED_BY;
use longhaul::{
    Cost, DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, Deadline, Dependency, Error, JobId, Json, KindInfo, NewJob,
    OnExhausted, Start, default_max_crashes,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::unique::UniqueRequest;
use crate::config::UnknownKinds;
use crate::faults::{Faults, duration};
use crate::problem::Code;
use crate::state::Api;
use crate::time::parse;
use crate::wire::{self, DeadlineBody, DependencyRequest, WebhookBody};

/// A job to be enqueued. What is left out is as the kind has it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewJob)]
pub(crate) struct JobRequest {
    /// The job type that runs it.
    #[schema(example = "welcome")]
    kind: String,
    /// The input of the job type; at most 256 KiB.
    #[schema(value_type = serde_json::Value, required = true)]
    args: Json,
    /// The queue that it waits in.
    queue: Option<String>,
    /// Its id: 1–128 characters of `A–Z a–z 0–9 . _ : -`. An id that exists creates nothing.
    id: Option<String>,
    /// Keeps a second job of the same key from being created.
    unique: Option<UniqueRequest>,
    /// The earliest time of its first run, in RFC 3339. Not together with `delay`.
    #[schema(format = DateTime)]
    run_at: Option<String>,
    /// The delay before it may first run, in seconds: 0 to ten years.
    #[schema(minimum = 0.0, maximum = 315_360_000.0)]
    delay: Option<f64>,
    /// −100 to 100, higher first.
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i32>,
    /// Attempts in all, 1 to 1000.
    #[schema(minimum = 1, maximum = 1000)]
    max_attempts: Option<u32>,
    /// The longest that one attempt may take, in seconds: more than 0, at most ten years.
    #[schema(exclusive_minimum = 0.0, maximum = 315_360_000.0)]
    timeout: Option<f64>,
    /// The longest that it may wait for its first start, in seconds; then it is cancelled, with `cancel_reason` `expired`.
    #[schema(exclusive_minimum = 0.0, maximum = 315_360_000.0)]
    expires_in: Option<f64>,
    /// When it must have ended, with all its attempts; then it is cancelled, with `cancel_reason` `deadline`.
    #[schema(value_type = Option<DeadlineBody>)]
    deadline: Option<DeadlineBody>,
    /// The names of limits that it shares with others, at most 4: `provider:openai`, say, and `tenant:42`, each 1–128 characters of
    /// `A–Z a–z 0–9 . _ : -`. All of them must admit a run (see `PUT /keys/{key}`). The first is the one that a run which comes to
    /// its limit pauses, and whose weight counts in a fair queue.
    limit_keys: Option<Vec<String>>,
    /// One limit key, in place of `limit_keys`.
    key: Option<String>,
    /// The labels of the workers that it prefers, 1 to 4 (`{"gpu": "a100"}`): names and values of 1–128 characters of
    /// `A–Z a–z 0–9 . _ : -`. Another worker is given it once it has been due for a second.
    prefer: Option<BTreeMap<String, String>>,
    /// True where no other worker is given it, however long it waits.
    prefer_hard: Option<bool>,
    /// The units of its limit keys' limits, and of its queue's, that a run takes.
    cost: Option<CostRequest>,
    /// The job that it belongs to; where that one waits for its children, this one is waited for too.
    parent: Option<String>,
    /// The jobs that must end before it may run, at most 1,000: ids, or `{id, on_failure}` where their failure is to be no more
    /// than an end. Each is there already, or stands before this one in the same call. One that has ended counts at once. None is an
    /// ancestor (`parent`, the parent of that, and so on) that has not ended: it may wait for its children.
    depends_on: Option<Vec<DependencyRequest>>,
    /// Its fate when its last attempt fails: as its kind has it, unless given.
    on_exhausted: Option<OnExhausted>,
    /// Names and values to find it by; at most 8 KiB in all.
    labels: Option<BTreeMap<String, String>>,
    /// Cancels the job when the caller goes away while `Prefer: wait` holds its answer. Only with that header,
    /// and only for a job that this request created.
    cancel_on_disconnect: Option<bool>,
    /// What is told how it ends: a URL, or `{url, events}`. Of a job that stands for it, that one's own webhook is told.
    webhook: Option<WebhookBody>,
}

/// The units of its limit keys' limits, and of its queue's, that a run takes: 1 of each unless given.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CostRequest)]
struct CostRequest {
    /// Slots that are taken while it runs.
    #[schema(minimum = 1, maximum = 1_000_000)]
    slots: Option<u32>,
    /// Units of the rate that its start takes.
    #[schema(minimum = 0, maximum = 1_000_000)]
    rate: Option<u32>,
}

/// A request that was found good.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) job: NewJob,
    pub(crate) on_disconnect: OnDisconnect,
}

/// The fate of a job whose waiting caller goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDisconnect {
    KeepJob,
    CancelJob,
}

impl JobRequest {
    /// The args that are asked for.
    pub(crate) fn args(&self) -> &Json {
        &self.args
    }

    /// The job that is asked for, with its kind's defaults; nothing where something is wrong with it, which is
    /// then among the faults.
    pub(crate) fn prepare(self, api: &Api, faults: &mut Faults) -> Option<Prepared> {
        let before = faults.count();
        let info = self.known_kind(api, faults);
        let start = self.start(faults);
        let timeout = self.timeout.and_then(|timeout| duration("timeout", timeout, faults));
        let expires_in = self.expires_in.and_then(|time| duration("expires_in", time, faults));
        let version =
            info.as_ref().map(|info| info.version).or_else(|| self.remote_version(api)).unwrap_or(1);
        let id = self.id.and_then(|id| faults.check(JobId::new(id)));
        let parent = self.parent.and_then(|given| super::filter::id("parent", given, faults));
        let kind: Cow<'static, str> = match &info {
            Some(info) => info.kind.into(),
            None => self.kind.into(),
        };
        let depends_on = self.depends_on.into_iter().flatten().enumerate();
        let depends_on =
            depends_on.filter_map(|(place, DependencyRequest(on))| faults.check(on.into_dependency(place)));
        let depends_on: Vec<Dependency> = depends_on.collect();
        let unique = self.unique.and_then(|unique| unique.prepare(&kind, &self.args, faults));
        let default_queue = info.as_ref().map_or(DEFAULT_QUEUE, |info| info.queue);
        let default_attempts = info.as_ref().map_or(DEFAULT_MAX_ATTEMPTS, |info| info.max_attempts);
        let has_key = self.key.is_some();
        let limit_keys = match (self.limit_keys, self.key) {
            (Some(limit_keys), Some(key)) if !limit_keys.contains(&key) => {
                faults.add(Code::Invalid, "key", "must be one of limit_keys, where both are given");
                limit_keys
            }
            (limit_keys, key) => limit_keys.unwrap_or_else(|| key.into_iter().collect()),
        };
        let prefer = faults.check(wire::prefer(self.prefer, self.prefer_hard)).flatten();
        let cost = self.cost.unwrap_or_default();
        let cost = Cost { slots: cost.slots.unwrap_or(1), rate: cost.rate.unwrap_or(1) };
        let job = NewJob {
            id,
            kind,
            version,
            queue: self.queue.map_or(default_queue.into(), Cow::Owned),
            args: self.args,
            priority: self.priority.unwrap_or(0),
            start,
            max_attempts: self.max_attempts.unwrap_or(default_attempts),
            max_crashes: default_max_crashes(),
            policy: longhaul::Policy {
                timeout: timeout.or(info.as_ref().and_then(|info| info.timeout)),
                cost,
                on_exhausted: self
                    .on_exhausted
                    .or(info.as_ref().map(|info| info.on_exhausted))
                    .unwrap_or_default(),
                traceparent: longhaul::trace::current(),
                ..longhaul::Policy::default()
            },
            limit_keys,
            prefer,
            unique,
            expires_in: expires_in.or(info.as_ref().and_then(|info| info.expires_in)),
            deadline: self
                .deadline
                .map(|deadline| deadline.0)
                .or(info.as_ref().and_then(|info| info.deadline).map(Deadline::In)),
            idempotency: None,
            parent,
            labels: self.labels.unwrap_or_default(),
            depends_on,
            steps: Vec::new(),
            forked_from: None,
            webhook: self.webhook.map(WebhookBody::into_webhook),
        };
        if job.labels.contains_key(CREATED_BY) {
            let message =
                format!("must not have {CREATED_BY}, which the server sets for jobs of tokens with scopes");
            faults.add(Code::Invalid, "labels", message);
        }
        for check in job.checks() {
            faults.check(check.map_err(|error| match error {
                // In the words of the request.
                Error::Invalid { field, reason } if has_key && field == "limit_keys[0]" => {
                    Error::Invalid { field: "key".into(), reason }
                }
                other => other,
            }));
        }
        let on_disconnect = match self.cancel_on_disconnect {
            Some(true) => OnDisconnect::CancelJob,
            Some(false) | None => OnDisconnect::KeepJob,
        };
        (faults.count() == before).then_some(Prepared { job, on_disconnect })
    }

    fn known_kind(&self, api: &Api, faults: &mut Faults) -> Option<KindInfo> {
        let info = api.longhaul.kind(&self.kind);
        let is_remote = || self.remote_version(api).is_some();
        if info.is_none() && api.config.unknown_kinds == UnknownKinds::Refuse && !is_remote() {
            let mut known: Vec<String> = api.longhaul.kinds().iter().map(|info| info.kind.into()).collect();
            known.extend(api.remote_kinds.names(api.config.clock.now()));
            known.sort_unstable();
            known.dedup();
            let message = match known.as_slice() {
                [] => "is not known here; no kind is".to_owned(),
                known => format!("is not known here; the kinds are {}", known.join(", ")),
            };
            faults.add(Code::UnknownKind, "kind", message);
        }
        info
    }

    /// The version of args that remote workers of the kind read, where there are any.
    fn remote_version(&self, api: &Api) -> Option<u32> {
        api.remote_kinds.version(&self.kind, api.config.clock.now())
    }

    fn start(&self, faults: &mut Faults) -> Start {
        match (&self.run_at, self.delay) {
            (None, None) => Start::Now,
            (None, Some(delay)) => duration("delay", delay, faults).map_or(Start::Now, Start::After),
            (Some(moment), None) => match parse(moment) {
                Some(moment) => Start::At(moment),
                None => {
                    faults.add(Code::Invalid, "run_at", "must be a time in RFC 3339: 2026-01-01T00:00:00Z");
                    Start::Now
                }
            },
            (Some(_), Some(_)) => {
                faults.add(Code::Invalid, "delay", "must not be given together with run_at");
                Start::Now
            }
        }
    }
}
