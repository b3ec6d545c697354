//! A job as the scripts keep it: its fields, which they read and change, and its data, which they carry.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::clock::millis;
use longhaul::lifecycle::unique::Hold;
use longhaul::{
    Backoff, CancelReason, Children, Cost, Deadline, Dependency, Edge, JobId, JobRecord, Json, NewJob,
    OnClash, OnFailure, Policy, Start, State, Timestamp, Unique, UniqueKey, WaitsFor, joined_keys,
    split_keys, split_prefer,
};
use serde::Serialize;

use crate::pack::{Packer, Unpacker};

/// Lua counts in 53 bits: no duration of ours is longer than this one, some 140,000 years.
const LONGEST: i64 = 1 << 52;

/// A number of milliseconds that Lua can count with.
pub(crate) fn bounded(duration: Duration) -> i64 {
    millis(duration).min(LONGEST)
}

/// The fields of a job, in the order of `layout.lua`.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) state: State,
    pub(crate) queue: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) version: u32,
    pub(crate) priority: i32,
    pub(crate) max_crashes: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) crashes: u32,
    pub(crate) interruptions: u32,
    pub(crate) worker: Option<&'a str>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) is_to_stop: bool,
    pub(crate) last_event: u64,
    pub(crate) state_event: u64,
    pub(crate) state_at: Timestamp,
    pub(crate) output: Option<&'a str>,
    pub(crate) children: Option<Children>,
    /// All limit keys, with commas.
    pub(crate) limit_keys: Option<&'a str>,
    pub(crate) parent: Option<&'a str>,
    /// True if a batch counts it, or did.
    pub(crate) is_counted: bool,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) deadline: Option<Timestamp>,
    /// The reason of its cancellation or of the request to stop.
    pub(crate) cancel_reason: Option<CancelReason>,
    /// The event that a blocked job waits for.
    pub(crate) waits_for: Option<WaitsFor>,
    /// True if that wait times out at `run_at`.
    pub(crate) wakes: bool,
    /// Its unique key.
    pub(crate) unique: Option<&'a str>,
}

/// The number of a wait in `layout.lua`.
pub(crate) fn number_of_wait(on: &WaitsFor) -> i64 {
    match on {
        WaitsFor::Dependencies => 1,
        WaitsFor::Children => 2,
        WaitsFor::Signal(_) => 3,
        WaitsFor::Person => 4,
    }
}

fn wait_of(number: u8, signal: &str) -> WaitsFor {
    match number {
        1 => WaitsFor::Dependencies,
        3 => WaitsFor::Signal(signal.to_owned()),
        4 => WaitsFor::Person,
        _ => WaitsFor::Children,
    }
}

/// Packs a job that is to be created, in the order of `new.lua`.
pub(crate) fn pack_new(id: &JobId, may_exist: MayExist, job: &NewJob) -> [Vec<u8>; 5] {
    let (keys, cost) = (joined_keys(&job.limit_keys, job.prefer.as_ref()), job.policy.cost);
    let mut source = format!("{}|{}|{}", job.queue, job.kind, job.version);
    if keys.is_some() || cost != Cost::default() {
        let cost =
            if cost == Cost::default() { String::new() } else { format!("{},{}", cost.slots, cost.rate) };
        source.push_str(&format!("|{}|{cost}", keys.as_deref().unwrap_or("")));
    }
    [
        id.as_str().as_bytes().to_vec(),
        source.into_bytes(),
        pack_start(may_exist, job),
        pack_fixed(job, keys.as_deref().unwrap_or("")),
        Data::pack(job),
    ]
}

/// Packs what `enqueue_simple.lua` reads of a job but its id: that which neighbours may have in common, and its data.
pub(crate) fn pack_simple(job: &NewJob) -> (Vec<u8>, Vec<u8>) {
    let keys = joined_keys(&job.limit_keys, job.prefer.as_ref()).unwrap_or_default();
    let lane = format!("{}|{}|{}", job.queue, job.kind, job.version);
    let fixed = pack_fixed(job, &keys);
    let mut packed = pack_start(MayExist::No, job);
    // The flags are of no use there.
    packed.pop();
    packed.extend_from_slice(&job.policy.cost.slots.to_be_bytes());
    packed.extend_from_slice(&job.policy.cost.rate.to_be_bytes());
    for word in [job.queue.as_bytes(), lane.as_bytes(), keys.as_bytes(), &fixed] {
        packed.extend_from_slice(&u32::try_from(word.len()).unwrap_or(u32::MAX).to_be_bytes());
        packed.extend_from_slice(word);
    }
    (packed, Data::pack(job))
}

/// Says if a job of that id may be there already, or its id was drawn just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayExist {
    Yes,
    No,
}

fn pack_start(may_exist: MayExist, job: &NewJob) -> Vec<u8> {
    let (delay, at) = match job.start {
        Start::Now | Start::AfterChildren => (0, 0),
        Start::After(delay) => (bounded(delay), 0),
        Start::At(at) => (0, at.0.clamp(0, LONGEST)),
    };
    let unique = job.unique.as_ref();
    // A debounced job waits for its delay.
    let (delay, at) = match unique.map(|unique| unique.on_clash) {
        Some(OnClash::Debounce { delay, edge: Edge::Trailing, .. }) => (bounded(delay), 0),
        _ => (delay, at),
    };
    let mut start = Vec::with_capacity(64);
    start.extend_from_slice(&delay.to_be_bytes());
    start.extend_from_slice(&at.to_be_bytes());
    start.extend_from_slice(&job.priority.to_be_bytes());
    let may_exist = u8::from(may_exist == MayExist::Yes);
    let depends = u8::from(!job.depends_on.is_empty());
    start.push(may_exist + 2 * u8::from(job.start == Start::AfterChildren) + 4 * depends);
    let idempotency = job.idempotency.as_ref();
    let has_keys = unique.is_some() || idempotency.is_some() || job.parent.is_some();
    if has_keys || has_tail(job) || !job.steps.is_empty() {
        let mut keys = Packer::new();
        keys.list(8);
        keys.text_or_none(idempotency.map(|promise| promise.key.as_str()));
        keys.text_or_none(idempotency.map(|promise| promise.fingerprint.as_str()));
        keys.int_or_none(idempotency.map(|promise| bounded(promise.keep_for)));
        keys.text_or_none(unique.map(|unique| unique.key.as_str()));
        keys.int_or_none(unique.map(|unique| number_of(unique.on_clash)));
        keys.text_or_none(job.parent.as_ref().map(JobId::as_str));
        if has_tail(job) {
            pack_more(&mut keys, job);
        } else {
            keys.none();
        }
        if job.steps.is_empty() {
            keys.none();
        } else {
            keys.list(2 * job.steps.len());
            for (name, output) in &job.steps {
                keys.text(name).text(output.as_str());
            }
        }
        start.extend_from_slice(&keys.done());
    }
    start
}

/// The number of a clash in `clashing.lua`.
fn number_of(on_clash: OnClash) -> i64 {
    match on_clash {
        OnClash::Join => 0,
        OnClash::Refresh => 1,
        OnClash::Reject => 2,
        OnClash::Replace => 3,
        OnClash::Debounce { edge: Edge::Trailing, .. } => 4,
        OnClash::Debounce { edge: Edge::Leading, .. } => 5,
        OnClash::Throttle => 6,
        OnClash::Supersede => 7,
        OnClash::Follow => 8,
    }
}

/// True for a job that is kept with a tail: see `layout.lua`.
pub(crate) fn has_tail(job: &NewJob) -> bool {
    let is_rare = |unique: &Unique| {
        let may_wait =
            matches!(unique.on_clash, OnClash::Debounce { .. } | OnClash::Throttle | OnClash::Follow);
        unique.states.is_some() || may_wait
    };
    job.expires_in.is_some()
        || job.deadline.is_some()
        || !job.depends_on.is_empty()
        || job.unique.as_ref().is_some_and(is_rare)
}

/// Packs what few jobs have, in the order of `clashing.lua`.
fn pack_more(packed: &mut Packer, job: &NewJob) {
    let unique = job.unique.as_ref();
    let on_clash = unique.map_or(OnClash::Join, |unique| unique.on_clash);
    let hold = unique.map(|unique| Hold::of(unique, Timestamp(0))).unwrap_or_default();
    let bits = |states: &[State]| states.iter().fold(0, |bits, state| bits | 1 << (*state as i64));
    packed.list(8);
    packed.int_or_none(unique.and_then(|unique| unique.states.as_deref()).map(bits));
    let (delay, max_delay) = match on_clash {
        OnClash::Debounce { delay, max_delay, .. } => (Some(delay), max_delay),
        _ => (None, None),
    };
    packed.int_or_none(delay.map(bounded)).int_or_none(max_delay.map(bounded));
    packed.int_or_none(hold.until.map(|until| until.0)).int(bits(&hold.ends));
    packed.int_or_none(job.expires_in.map(bounded));
    match job.deadline {
        Some(Deadline::In(time)) => packed.int(bounded(time)).none(),
        Some(Deadline::At(at)) => packed.none().int(at.0.clamp(0, LONGEST)),
        None => packed.none().none(),
    };
}

/// The period of a job without one that has a tail.
pub(crate) const TAILED: i64 = -2;

/// Packs the fields that do not change, between the batch and the time of creation.
fn pack_fixed(job: &NewJob, limit_keys: &str) -> Vec<u8> {
    let unique = job.unique.as_ref();
    let mut fixed = Vec::with_capacity(96);
    let mut put = |bytes: &[u8]| fixed.extend_from_slice(bytes);
    put(&job.version.to_be_bytes());
    put(&job.priority.to_be_bytes());
    put(&job.max_crashes.to_be_bytes());
    let period = unique.and_then(|unique| Hold::of(unique, Timestamp(0)).period);
    let none = if has_tail(job) { TAILED } else { -1 };
    put(&period.map_or(none, bounded).to_be_bytes());
    let parent = job.parent.as_ref().map_or("", JobId::as_str);
    let key = unique.map_or("", |unique| unique.key.as_str());
    for word in [&job.queue, &job.kind, key, limit_keys, parent] {
        let length = u16::try_from(word.len()).unwrap_or(u16::MAX);
        put(&length.to_be_bytes());
        put(&word.as_bytes()[..usize::from(length)]);
    }
    fixed
}

impl<'a> Fields<'a> {
    /// `None` where there is something that no script writes.
    pub(crate) fn unpack(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let some_time = |number: i64| Some(Timestamp(number)).filter(|_| number != 0);
        let state = *State::ALL.get(usize::from(rest.byte()?))?;
        let run_at = Timestamp(rest.long()?);
        let (attempt, crashes, interruptions) = (rest.int()?, rest.int()?, rest.int()?);
        let _token = rest.long()?;
        let (started_at, finished_at) = (some_time(rest.long()?), some_time(rest.long()?));
        let _lease_until = rest.long()?;
        let is_to_stop = rest.long()? != 0;
        let (last_event, state_event) = (rest.int()?.into(), rest.int()?.into());
        let state_at = Timestamp(rest.long()?);
        let (_log, _steps, _errors, _progress) = (rest.byte()?, rest.int()?, rest.byte()?, rest.byte()?);
        let has_short_output = rest.byte()? == 1;
        let worker = rest.word()?;
        let length = usize::try_from(rest.int()?).ok()?;
        let output = std::str::from_utf8(rest.take(length)?).ok()?;
        let children = match rest.short()? {
            0 => None,
            _ => Some(Children {
                total: rest.int()?.into(),
                completed: rest.int()?.into(),
                failed: rest.int()?.into(),
                cancelled: rest.int()?.into(),
            }),
        };
        let (_seq, batch) = (rest.long()?, rest.long()?);
        let (version, priority, max_crashes) = (rest.int()?, rest.int()? as i32, rest.int()?);
        let _period = rest.long()?;
        let (queue, kind, unique) = (rest.word()?, rest.word()?, rest.word()?);
        let (limit_keys, parent) = (rest.word()?, rest.word()?);
        let created_at = Timestamp(rest.long()?);
        // The cost stands before the tail.
        let _cost = rest.take(8);
        let (mut expires_at, mut deadline, mut reason) = (None, None, 0);
        if !rest.0.is_empty() {
            (expires_at, deadline) = (some_time(rest.long()?), some_time(rest.long()?));
            let _held_until = rest.long()?;
            reason = rest.byte()?;
            let _ends = rest.byte()?;
        }
        let (mut waits_for, mut wakes) = (wait_of(0, ""), false);
        if !rest.0.is_empty() {
            let (number, wakes_at_run_at) = (rest.byte()?, rest.byte()?);
            let (_awaited, _depends, _left) = (rest.byte()?, rest.byte()?, rest.short()?);
            (waits_for, wakes) = (wait_of(number, rest.word()?), wakes_at_run_at == 1);
            let _behind = rest.word()?;
        }
        // `asked` is the default and not stored.
        let reason =
            CancelReason::ALL.get(usize::from(reason).saturating_sub(1)).copied().unwrap_or_default();
        let is_cancelled = state == State::Cancelled || state == State::Running && is_to_stop;
        let some = |word: &'a str| Some(word).filter(|word| !word.is_empty());
        Some(Self {
            state,
            queue,
            kind,
            version,
            priority,
            max_crashes,
            created_at,
            run_at,
            attempt,
            crashes,
            interruptions,
            worker: some(worker),
            started_at,
            finished_at,
            is_to_stop,
            last_event,
            state_event,
            state_at,
            output: Some(output).filter(|_| has_short_output),
            children,
            limit_keys: some(limit_keys),
            parent: some(parent),
            is_counted: batch != 0,
            expires_at,
            deadline,
            cancel_reason: is_cancelled.then_some(reason),
            waits_for: (state == State::Blocked).then_some(waits_for),
            wakes: state == State::Blocked && wakes,
            unique: some(unique),
        })
    }
}

/// The token among packed fields, which can be read where the rest cannot.
pub(crate) fn token_of(fields: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(fields.get(21..29)?.try_into().ok()?))
}

/// The part of packed fields that is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn int(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn word(&mut self) -> Option<&'a str> {
        let length = self.short()?;
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// The part of a job that never changes and that no script looks at.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) args: Json,
    pub(crate) max_attempts: u32,
    pub(crate) policy: Policy,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) depends_on: Vec<Dependency>,
    pub(crate) forked_from: Option<JobId>,
}

impl Data {
    /// A list of args, attempts, timeout, backoff and labels; then the policy where there is any, all of it: the previous
    /// release reads timeout and backoff, and passes over what follows; and last, where there are any, the dependencies, as
    /// `layout.lua` says, and the job that it is a fork of.
    pub(crate) fn pack(job: &NewJob) -> Vec<u8> {
        // A follower is given a dependency by the script.
        let follows = job.unique.as_ref().is_some_and(|unique| unique.on_clash == OnClash::Follow);
        let is_related = follows || !job.depends_on.is_empty() || job.forked_from.is_some();
        let policy = Some(job.policy).filter(|policy| is_related || *policy != Policy::default());
        let mut data = Packer::new();
        data.list(5 + usize::from(policy.is_some()) + 2 * usize::from(is_related));
        data.text(job.args.as_str()).int(job.max_attempts.into());
        data.int_or_none(job.policy.timeout.map(millis));
        data.text_or_none(job.policy.backoff.as_ref().map(json_of).as_deref());
        data.text_or_none((!job.labels.is_empty()).then(|| json_of(&job.labels)).as_deref());
        if let Some(policy) = policy {
            data.text(&json_of(&policy));
        }
        if is_related {
            data.list(2 * job.depends_on.len());
            for Dependency { id, on_failure } in &job.depends_on {
                data.text(id.as_str()).int((*on_failure == OnFailure::Run).into());
            }
            data.text_or_none(job.forked_from.as_ref().map(JobId::as_str));
        }
        data.done()
    }

    /// Reads what can be read, and names the first field that cannot.
    pub(crate) fn unpack(bytes: &[u8]) -> (Self, Option<&'static str>) {
        let mut rest = Unpacker(bytes);
        let length = rest.list().unwrap_or(0);
        let mut damaged = None;
        let mut or_damaged = |field| damaged = damaged.or(Some(field));
        // A list of jobs leaves large args out.
        let args = match rest.text_or_none() {
            Some(None) => Some(Json::null()),
            text => text.flatten().and_then(|text| Json::parse(text.to_owned()).ok()),
        };
        if args.is_none() {
            or_damaged("args");
        }
        let max_attempts = rest.int();
        if max_attempts.is_none() {
            or_damaged("max_attempts");
        }
        let timeout = rest.int_or_none().flatten().and_then(|ms| u64::try_from(ms).ok());
        let backoff = rest.text_or_none().flatten().map(serde_json::from_str::<Backoff>);
        let labels = rest.text_or_none().flatten().map(serde_json::from_str).transpose();
        if labels.is_err() {
            or_damaged("labels");
        }
        let policy = if length > 5 {
            rest.text_or_none().flatten().and_then(|text| serde_json::from_str(text).ok())
        } else {
            let timeout = timeout.map(Duration::from_millis);
            #[allow(
                clippy::needless_update,
                reason = "a field that is added later stands in the policy alone"
            )]
            backoff.transpose().ok().map(|backoff| Policy { timeout, backoff, ..Policy::default() })
        };
        if policy.is_none() {
            or_damaged("policy");
        }
        let mut related = (Vec::new(), None);
        if length > 6 {
            match Self::unpack_related(&mut rest) {
                Some(found) => related = found,
                None => or_damaged("depends_on"),
            }
        }
        let data = Self {
            args: args.unwrap_or_else(Json::null),
            max_attempts: count(max_attempts.unwrap_or(0)),
            policy: policy.unwrap_or_default(),
            labels: labels.ok().flatten().unwrap_or_default(),
            depends_on: related.0,
            forked_from: related.1,
        };
        (data, damaged)
    }

    fn unpack_related(rest: &mut Unpacker<'_>) -> Option<(Vec<Dependency>, Option<JobId>)> {
        let id = |text: &str| JobId::from_store(text.to_owned());
        let mut depends_on = Vec::new();
        for _ in 0..rest.list()? / 2 {
            let id = id(rest.text_or_none()??);
            let on_failure = if rest.int()? == 1 { OnFailure::Run } else { OnFailure::Cancel };
            depends_on.push(Dependency { id, on_failure });
        }
        Some((depends_on, rest.text_or_none()?.map(id)))
    }
}

/// The JSON of something that has one.
pub(crate) fn json_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

/// The record that fields and data make with what is kept beside them.
pub(crate) fn record(id: JobId, fields: &Fields<'_>, data: Data, beside: Beside) -> JobRecord {
    let output = match (fields.state, fields.output) {
        (State::Completed, Some(short)) => Json::parse(short.to_owned()).ok(),
        (State::Completed, None) => beside.output,
        _ => None,
    };
    JobRecord {
        id,
        kind: fields.kind.to_owned(),
        version: fields.version,
        queue: fields.queue.to_owned(),
        args: data.args,
        state: fields.state,
        priority: fields.priority,
        attempt: fields.attempt,
        max_attempts: data.max_attempts,
        crashes: fields.crashes,
        max_crashes: fields.max_crashes,
        interruptions: fields.interruptions,
        policy: data.policy,
        progress: beside.progress,
        output,
        errors: beside.errors,
        cancel_requested: fields.is_to_stop,
        cancel_reason: fields.cancel_reason,
        worker: fields.worker.map(str::to_owned),
        position: None,
        created_at: fields.created_at,
        run_at: fields.run_at,
        started_at: fields.started_at,
        finished_at: fields.finished_at,
        expires_at: fields.expires_at,
        deadline: fields.deadline,
        last_event: fields.last_event,
        limit_keys: split_keys(fields.limit_keys),
        prefer: split_prefer(fields.limit_keys),
        parent: fields.parent.map(|parent| JobId::from_store(parent.to_owned())),
        children: fields.children,
        labels: data.labels,
        args_bytes: None,
        output_bytes: None,
        depends_on: data.depends_on,
        waits_for: fields.waits_for.clone(),
        wakes_at: fields.wakes.then_some(fields.run_at),
        forked_from: data.forked_from,
        unique: fields.unique.map(UniqueKey::new),
    }
}

/// The parts of a job that are kept beside its fields and data.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) progress: Option<longhaul::Progress>,
    pub(crate) output: Option<Json>,
    pub(crate) errors: Vec<longhaul::AttemptError>,
}
