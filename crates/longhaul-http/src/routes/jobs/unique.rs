use std::collections::BTreeMap;

use longhaul::{Json, OnClash, Unique};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::canonical;
use crate::faults::Faults;
use crate::faults::duration;
use crate::problem::Code;

/// The jobs that count as one. Without `key` and `fields`, those of the same kind with the same args.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Unique)]
pub(crate) struct UniqueRequest {
    /// Jobs of this kind with this key.
    key: Option<String>,
    /// Jobs of this kind whose args have the same values in these fields, each of which must be there.
    fields: Option<Vec<String>>,
    /// Holds the key for so many seconds after the job has completed, which makes it a cache of results.
    period: Option<f64>,
    /// The treatment of the second job: it joins the first.
    #[serde(default)]
    on_clash: Clash,
}

/// The treatment of a job whose unique key is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnClash)]
enum Clash {
    /// It is not created; the job that holds the key is answered instead.
    #[default]
    Join,
    /// The same while the job that holds the key has not ended; one that has ended, and holds the key for its
    /// period, gives it up to this one.
    Refresh,
    /// Not supported yet.
    Reject,
    /// Not supported yet.
    Replace,
    /// Not supported yet.
    Debounce,
    /// Not supported yet.
    Throttle,
}

impl UniqueRequest {
    /// The key that is asked for; nothing where something is wrong with it, which is then among the faults.
    pub(crate) fn prepare(self, kind: &str, args: &Json, faults: &mut Faults) -> Option<Unique> {
        let before = faults.count();
        let on_clash = match self.on_clash {
            Clash::Join => OnClash::Join,
            Clash::Refresh => OnClash::Refresh,
            Clash::Reject | Clash::Replace | Clash::Debounce | Clash::Throttle => {
                faults.add(
                    Code::NotSupported,
                    "unique.on_clash",
                    "is not supported yet; only 'join' and 'refresh' are",
                );
                OnClash::Join
            }
        };
        let period = self.period.and_then(|period| duration("unique.period", period, faults));
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
        let unique = Unique { key: key?, period, on_clash };
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
