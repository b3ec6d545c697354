use std::collections::BTreeMap;

use longhaul::{Longhaul, Schedule};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::put::{Prepared, ScheduleRequest};
use crate::config::{HttpConfig, UnknownKinds};
use crate::faults::Faults;
use crate::problem::Problem;
use crate::routes::openapi;
use crate::state::Api;
use crate::strict;

/// A file of schedules by name, each with the fields of `PUT /schedules/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    schedules: BTreeMap<String, Box<RawValue>>,
}

/// Reads the schedules of a file, which was made JSON of: `{"schedules": {"nightly": {…}}}`, each with the fields of
/// `PUT /schedules/{name}` but `paused`, which is for people. A kind may be one that no worker has told of yet.
///
/// # Errors
/// All that is wrong with it, a line for each field.
pub fn schedules_of_file(longhaul: &Longhaul, json: &str) -> Result<Vec<Schedule>, String> {
    let File { schedules } = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let config = HttpConfig { unknown_kinds: UnknownKinds::Accept, ..HttpConfig::default() };
    let api = Api::new(longhaul.clone(), config, openapi::empty());
    let mut wrong = Vec::new();
    let mut kept = Vec::new();
    for (name, text) in schedules {
        let request = match strict::read::<ScheduleRequest>(text.get().as_bytes()) {
            Ok(request) => request,
            Err((path, error)) => {
                let path = if path == "." { String::new() } else { format!(".{path}") };
                wrong.push(format!("schedules.{name}{path}: {}", strict::words(&error)));
                continue;
            }
        };
        let mut faults = Faults::default();
        let prepared = request.prepare(name.clone(), &api, &mut faults);
        if let Err(Problem { errors, .. }) = faults.into_result() {
            wrong.extend(
                errors.iter().map(|error| format!("schedules.{name}.{}: {}", error.field, error.message)),
            );
        }
        match prepared {
            Some(Prepared { paused: Some(_), .. }) => {
                wrong.push(format!("schedules.{name}.paused: is not for a file; pause it with `longhaul schedules pause {name}`"));
            }
            Some(Prepared { schedule, .. }) => kept.push(schedule),
            None => {}
        }
    }
    if wrong.is_empty() { Ok(kept) } else { Err(wrong.join("\n")) }
}
