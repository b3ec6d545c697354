use std::borrow::Cow;
use std::collections::BTreeMap;

use longhaul::{Edge, Json, State, Unique};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::canonical;
use crate::faults::Faults;
use crate::faults::duration;
use crate::problem::Code;
use crate::wire::{ClashWord, on_clash};

/// The jobs that count as one. Without `key` and `on`, those of the same kind with the same args: white space and the
/// order of members do not count, and numbers count as they are written (`1` and `1.0` are two).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Unique)]
pub(crate) struct UniqueRequest {
    /// Jobs of this kind with this key.
    key: Option<String>,
    /// Jobs of this kind whose args have the same values at these paths (`order.id`), each of which must be there.
    on: Option<Vec<String>>,
    /// Another name of `on`.
    fields: Option<Vec<String>>,
    /// Holds the key for so many seconds after the job has completed, which makes it a cache of results. A throttled job holds
    /// it for so many seconds from its creation.
    period: Option<f64>,
    /// The states in which another job that holds the key keeps it from this one; all but `failed` and `cancelled` unless given.
    states: Option<Vec<State>>,
    /// The treatment of the second job: it joins the first.
    #[serde(default)]
    on_clash: ClashWord,
    /// The seconds without another that end a succession; `debounce` needs it.
    delay: Option<f64>,
    /// The most seconds that a succession may last, for `debounce`.
    max_delay: Option<f64>,
    /// The job of a succession that runs, for `debounce`: the last, unless given.
    edge: Option<Edge>,
}

impl UniqueRequest {
    /// The key that is asked for; nothing where something is wrong with it, which is then among the faults.
    pub(crate) fn prepare(self, kind: &str, args: &Json, faults: &mut Faults) -> Option<Unique> {
        let before = faults.count();
        let mut seconds = |field, time: Option<f64>| time.and_then(|time| duration(field, time, faults));
        let period = seconds("unique.period", self.period);
        let (delay, max_delay) =
            (seconds("unique.delay", self.delay), seconds("unique.max_delay", self.max_delay));
        let on_clash = on_clash(self.on_clash, delay, max_delay, self.edge)
            .map_err(|(field, reason)| faults.add(Code::Invalid, &format!("unique.{field}"), reason))
            .ok();
        // A key begins with its kind, so that two kinds never share one by accident.
        let on = match (self.on, self.fields) {
            (Some(_), Some(_)) => {
                faults.add(Code::Invalid, "unique.fields", "must not be given together with unique.on");
                None
            }
            (on, fields) => on.map(|on| ("unique.on", on)).or(fields.map(|on| ("unique.fields", on))),
        };
        let key = match (self.key, on) {
            (Some(key), None) => Some(format!("{kind}:{key}")),
            (None, Some((field, on))) => {
                digest_of_paths(field, &on, args, faults).map(|digest| format!("{kind}:{digest}"))
            }
            (None, None) => digest_of_all(args, faults).map(|digest| format!("{kind}:{digest}")),
            (Some(_), Some((field, _))) => {
                faults.add(Code::Invalid, field, "must not be given together with unique.key");
                None
            }
        };
        let unique = Unique { key: key?, period, states: self.states, on_clash: on_clash? };
        (faults.count() == before).then_some(unique)
    }
}

fn digest_of_paths(field: &str, paths: &[String], args: &Json, faults: &mut Faults) -> Option<String> {
    if !args.as_str().starts_with('{') {
        faults.add(Code::Invalid, field, "can only be given where args are an object");
        return None;
    }
    let args: &RawValue = serde_json::from_str(args.as_str())
        .map_err(|error| faults.add(Code::Invalid, "args", error.to_string()))
        .ok()?;
    if paths.is_empty() {
        // The digest of nothing would be that of all jobs of the kind, and all but the first would be lost.
        let message = "must name at least one path; leave it out where all of the args count";
        faults.add(Code::Invalid, field, message);
        return None;
    }
    // Sorted, so that the order in which a caller names them makes no other key.
    let mut paths: Vec<&String> = paths.iter().collect();
    paths.sort_unstable();
    paths.dedup();
    let mut digest = Sha256::new();
    for path in paths {
        let Some(value) = at(args, path) else {
            // Taking it for null would make one job of all jobs of the kind, after a mere typing error.
            faults.add(Code::Invalid, field, format!("names '{path}', which args do not have"));
            return None;
        };
        digest.update(format!("{}:{path}", path.len()));
        add(&mut digest, value, faults)?;
    }
    Some(canonical::hex(&digest.finalize()))
}

/// The value at a path: members with dots between them. A member whose own name has a dot goes before what the dot divides.
fn at<'j>(value: &'j RawValue, path: &str) -> Option<&'j RawValue> {
    let members: BTreeMap<Cow<'j, str>, &'j RawValue> = serde_json::from_str(value.get()).ok()?;
    if let Some(member) = members.get(path) {
        return Some(member);
    }
    let dots = path.match_indices('.').map(|(dot, _)| dot);
    dots.into_iter().find_map(|dot| at(members.get(&path[..dot])?, &path[dot + 1..]))
}

fn digest_of_all(args: &Json, faults: &mut Faults) -> Option<String> {
    let mut digest = Sha256::new();
    let whole = match serde_json::from_str::<&RawValue>(args.as_str()) {
        Ok(whole) => whole,
        Err(error) => {
            faults.add(Code::Invalid, "args", error.to_string());
            return None;
        }
    };
    add(&mut digest, whole, faults)?;
    Some(canonical::hex(&digest.finalize()))
}

fn add(digest: &mut Sha256, value: &RawValue, faults: &mut Faults) -> Option<()> {
    canonical::update(digest, value)
        .map_err(|error| faults.add(Code::Invalid, "args", error.to_string()))
        .ok()
}
