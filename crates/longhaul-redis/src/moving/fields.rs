use longhaul::lifecycle::unique::Hold;
use longhaul::moving::ExportedJob;
use longhaul::{CancelReason, Cost, JobId, Json, NewJob, StepRecord, WaitsFor, joined_keys};

use crate::act::number_of;
use crate::fields::{Data, TAILED, bounded, json_of, number_of_wait};
use crate::pack::Packer;

/// The longest output that is kept among the fields, as `layout.lua` has it.
const SHORT_OUTPUT: usize = 512;

/// Packs a job as `import_jobs.lua` is given it.
pub(super) fn pack(exported: &ExportedJob) -> Vec<u8> {
    let job = &exported.job;
    let mut packed = Packer::new();
    packed.list(11).text(job.id.as_str()).bytes(&fields(exported)).bytes(&data(exported));
    pack_beside(&mut packed, exported);
    packed.list(job.errors.len());
    for error in &job.errors {
        packed.text(&json_of(error));
    }
    let outputs: Vec<(&str, &Json)> =
        exported.steps.iter().filter_map(|step| Some((step.name.as_str(), step.output.as_ref()?))).collect();
    packed.list(2 * outputs.len());
    for (name, output) in &outputs {
        packed.text(name).text(output.as_str());
    }
    packed.list(4 * exported.log.len());
    for event in &exported.log {
        packed.text(&event.seq.to_string()).text(&event.at.0.to_string());
        packed.text(&event.attempt.to_string()).text(&json_of(&event.body));
    }
    packed.int_or_none(exported.holds.map(|holding| holding.until.map_or(0, |until| until.0)));
    yes_or_none(&mut packed, exported.counted);
    packed.list(3 * exported.dependencies.len());
    for dependency in &exported.dependencies {
        let named = job.depends_on.iter().find(|named| named.id == dependency.id);
        let any_end = named.is_some_and(|named| named.on_failure == longhaul::OnFailure::Run);
        packed.text(dependency.id.as_str()).text(if any_end { "1" } else { "0" });
        yes_or_none(&mut packed, dependency.settled);
    }
    packed.int_or_none(exported.cancel.map(|reason| number_of(reason) as i64));
    packed.done()
}

fn yes_or_none(packed: &mut Packer, is_so: bool) {
    if is_so {
        packed.yes();
    } else {
        packed.none();
    }
}

/// The hash beside a job: progress, a long output, the bounds of its log, and the times of its steps.
fn pack_beside(packed: &mut Packer, exported: &ExportedJob) {
    let job = &exported.job;
    let mut pairs: Vec<(String, String)> = Vec::new();
    pairs.extend(job.progress.as_ref().map(|progress| ("progress".to_owned(), json_of(progress))));
    let output = job.output.as_ref().map(Json::as_str).filter(|output| output.len() > SHORT_OUTPUT);
    pairs.extend(output.map(|output| ("output".to_owned(), output.to_owned())));
    if !exported.log.is_empty() || exported.log_gap > 0 {
        let bytes: usize = exported.log.iter().map(|event| json_of(&event.body).len()).sum();
        pairs.push(("log".to_owned(), bytes.to_string()));
    }
    if exported.log_gap > 0 {
        pairs.push(("cut".to_owned(), exported.log_gap.to_string()));
    }
    for (number, step) in (1..).zip(&exported.steps) {
        pairs.extend(times_of_step(number, step));
    }
    packed.list(2 * pairs.len());
    for (field, value) in &pairs {
        packed.text(field).text(value);
    }
}

/// The times of a step; `None` where a release that kept none has written it.
fn times_of_step(number: u32, step: &StepRecord) -> Option<(String, String)> {
    let (attempt, ended) = (step.attempt, step.finished_at?);
    let took = step.started_at.map_or(0, |began| bounded(ended.since(began)));
    Some((format!("step|{}", step.name), format!("{number}|{attempt}|{}|{took}", ended.0)))
}

/// The data of a job.
fn data(exported: &ExportedJob) -> Vec<u8> {
    let job = &exported.job;
    Data::pack(&NewJob {
        max_attempts: job.max_attempts,
        policy: job.policy,
        labels: job.labels.clone(),
        depends_on: job.depends_on.clone(),
        forked_from: job.forked_from.clone(),
        ..NewJob::new(String::new(), job.args.clone())
    })
}

/// The fields of a job, in the order of `layout.lua`. Its seq and its batch are put in where it is written.
fn fields(exported: &ExportedJob) -> Vec<u8> {
    let job = &exported.job;
    let mut packed = Fields(Vec::with_capacity(256));
    let time = |at: Option<longhaul::Timestamp>| at.map_or(0, |at| at.0);
    packed.byte(job.state as u8).long(job.run_at.0);
    packed.int(job.attempt).int(job.crashes).int(job.interruptions).long(0);
    packed.long(time(job.started_at)).long(time(job.finished_at)).long(0).long(0);
    packed.int(small(job.last_event)).int(small(exported.state_event)).long(exported.state_at.0);
    let log = match (exported.log.is_empty(), exported.log_event()) {
        // A log that has lost all of its entries tells of that.
        (true, _) if exported.log_gap == 0 => 0,
        (_, 0) => 1,
        _ => 2,
    };
    let outputs = exported.steps.iter().filter(|step| step.output.is_some()).count();
    packed.byte(log).int(small(outputs as u64));
    packed.byte(u8::try_from(job.errors.len()).unwrap_or(u8::MAX)).byte(job.progress.is_some().into());
    let output = job.output.as_ref().map(Json::as_str);
    let short = output.filter(|output| output.len() <= SHORT_OUTPUT).unwrap_or("");
    packed.byte(if output.is_none() {
        0
    } else if short.is_empty() {
        2
    } else {
        1
    });
    packed.word(job.worker.as_deref().unwrap_or(""));
    packed.int(small(short.len() as u64)).bytes(short.as_bytes());
    match &job.children {
        None => packed.short(0),
        Some(children) => {
            packed.short(16);
            let counts = [children.total, children.completed, children.failed, children.cancelled];
            counts.into_iter().fold(&mut packed, |packed, count| packed.int(small(count)))
        }
    };
    let has_tail = Tail::of(exported);
    let key = job.unique.as_ref().map_or("", |unique| unique.key.as_str());
    let plain = Hold::default();
    let hold = if key.is_empty() { &plain } else { &exported.hold };
    let none = if has_tail == Tail::None { -1 } else { TAILED };
    packed.long(0).long(0).int(job.version).int(job.priority as u32).int(job.max_crashes);
    packed.long(hold.period.map_or(none, bounded));
    let keys = joined_keys(&job.limit_keys, job.prefer.as_ref());
    packed.word(&job.queue).word(&job.kind).word(key).word(keys.as_deref().unwrap_or(""));
    packed.word(job.parent.as_ref().map_or("", JobId::as_str)).long(job.created_at.0);
    let cost = job.policy.cost;
    if cost != Cost::default() || has_tail != Tail::None {
        packed.int(cost.slots).int(cost.rate);
    }
    if has_tail != Tail::None {
        packed.long(time(job.expires_at)).long(time(job.deadline)).long(time(hold.until));
        let ends = hold.ends.iter().fold(0, |bits, state| bits | 1_u8 << (*state as u8));
        packed.byte(job.cancel_reason.map_or(0, |reason| number_of(reason) as u8)).byte(ends);
    }
    if has_tail == Tail::Whole {
        let (waits_for, signal) = match &job.waits_for {
            None => (0, ""),
            Some(WaitsFor::Signal(name)) => (number_of_wait(&WaitsFor::Signal(String::new())), name.as_str()),
            Some(other) => (number_of_wait(other), ""),
        };
        packed.byte(waits_for as u8).byte(job.wakes_at.is_some().into()).byte(0);
        packed.byte((!job.depends_on.is_empty()).into()).short(0).word(signal);
        packed.word(hold.behind.as_ref().map_or("", JobId::as_str));
    }
    packed.0
}

/// The parts of a tail in a job's fields: see `layout.lua`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    None,
    Ends,
    Whole,
}

impl Tail {
    fn of(exported: &ExportedJob) -> Self {
        let (job, hold) = (&exported.job, &exported.hold);
        let is_plain_wait = job.waits_for.is_none()
            || job.waits_for == Some(WaitsFor::Children)
                && job.started_at.is_none()
                && job.wakes_at.is_none();
        if !is_plain_wait || !job.depends_on.is_empty() || hold.behind.is_some() {
            return Tail::Whole;
        }
        let is_asked = job.cancel_reason.is_none_or(|reason| reason == CancelReason::Asked);
        let has_times = job.expires_at.is_some() || job.deadline.is_some();
        let is_plain_hold = hold.until.is_none() && hold.ends.is_empty();
        if is_asked && !has_times && is_plain_hold { Tail::None } else { Tail::Ends }
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Writes fields one after the other.
struct Fields(Vec<u8>);

impl Fields {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn byte(&mut self, number: u8) -> &mut Self {
        self.bytes(&[number])
    }

    fn short(&mut self, number: u16) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn int(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn long(&mut self, number: i64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn word(&mut self, word: &str) -> &mut Self {
        let length = u16::try_from(word.len()).unwrap_or(u16::MAX);
        self.short(length).bytes(&word.as_bytes()[..usize::from(length)])
    }
}
