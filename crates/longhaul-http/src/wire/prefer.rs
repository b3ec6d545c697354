use std::collections::BTreeMap;

use longhaul::{Prefer, Strength};

/// The workers that a job prefers, of the two fields that tell it.
///
/// # Errors
/// [`longhaul::Error::Invalid`] where it is to be hard and there is nothing to prefer.
pub(crate) fn prefer(
    labels: Option<BTreeMap<String, String>>,
    is_hard: Option<bool>,
) -> longhaul::Result<Option<Prefer>> {
    let strength = if is_hard == Some(true) { Strength::Hard } else { Strength::Soft };
    match (labels, strength) {
        (Some(labels), strength) => Ok(Some(Prefer { labels, strength })),
        (None, Strength::Soft) => Ok(None),
        (None, Strength::Hard) => Err(longhaul::Error::Invalid {
            field: "prefer_hard".into(),
            reason: "must go with prefer, the labels of the workers that may run it".into(),
        }),
    }
}

/// True where no other worker may run a job that prefers some.
pub(crate) fn is_hard(prefer: Option<&Prefer>) -> bool {
    prefer.is_some_and(|prefer| prefer.strength == Strength::Hard)
}
