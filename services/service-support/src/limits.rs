use longhaul::{MAX_UNITS, NewJob};

/// The limit key of an outside system: `provider:openai`. Jobs of all services that ask the system carry it.
#[must_use]
pub fn provider_key(name: &str) -> String {
    format!("provider:{name}")
}

/// The job under the limit key of the outside system that it asks, at `units` of the key's rate; as it is where it asks none.
#[must_use]
pub fn limited(mut job: NewJob, key: Option<&str>, units: u64) -> NewJob {
    if let Some(key) = key {
        job.limit_keys.push(key.to_owned());
        job.policy.cost.rate = rate_units(units);
    }
    job
}

/// Units of a rate within the bounds of a cost.
#[must_use]
pub fn rate_units(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(MAX_UNITS).clamp(1, MAX_UNITS)
}
