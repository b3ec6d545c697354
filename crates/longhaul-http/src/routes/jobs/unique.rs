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

/// The jobs that count as one. Without `key` and `fields`, those of the same kind with the same args: white space and the
/// order of members do not count, and numbers count as they are written (`1` and `1.0` are two).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Unique)]
pub(crate) struct UniqueRequest {
    /// Jobs of this kind with this key.
    key: Option<String>,
    /// Jobs of this kind whose args have the same values in these fields, each of which must be there.
    #[serde(alias = "on")]
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
        let key = match (self.key, self.fields) {
            (Some(key), None) => Some(format!("{kind}:{key}")),
            (None, Some(fields)) => {
                digest_of_fields(&fields, args, faults).map(|digest| format!("{kind}:{digest}"))
            }
            (None, None) => digest_of_all(args, faults).map(|digest| format!("{kind}:{digest}")),
            (Some(_), Some(_)) => {
                faults.add(Code::Invalid, "unique.fields", "must not be given together with unique.key");
                None
            }
        };
        let unique = Unique { key: key?, period, states: self.states, on_clash: on_clash? };
        (faults.count() == before).then_some(unique)
    }
}

fn digest_of_fields(fields: &[String], args: &Json, faults: &mut Faults) -> Option<String> {
    let Ok(values) = args.to::<BTreeMap<String, Box<RawValue>>>() else {
        faults.add(Code::Invalid, "unique.fields", "can only be given where args are an object");
        return None;
    };
    // Sorted, so that the order in which a caller names them makes no other key.
    let mut fields: Vec<&String> = fields.iter().collect();
    fields.sort_unstable();
    fields.dedup();
    let mut digest = Sha256::new();
    for field in fields {
        let Some(value) = values.get(field) else {
            // Taking it for null would make one job of all jobs of the kind, after a mere typing error.
            faults.add(Code::Invalid, "unique.fields", format!("names '{field}', which args do not have"));
            return None;
        };
        digest.update(format!("{}:{field}", field.len()));
        add(&mut digest, value, faults)?;
    }
    Some(canonical::hex(&digest.finalize()))
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
