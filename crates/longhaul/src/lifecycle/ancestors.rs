use crate::model::{JobId, NewJob};

/// The most ancestors of a new job that are looked at: its parent, its parent's parent, and so on.
pub const ANCESTORS_LOOKED_AT: usize = 100;

/// The nearest ancestor of a new job that `is_meant`, of the first [`ANCESTORS_LOOKED_AT`]. No job may wait for an unfinished one, be
/// it as one that [depends](super::Standing::of) on it or as one that [follows](super::unique::Clash::Follow) it: the ancestor may wait
/// for its children, and both would wait for ever. `parent_of` tells the parent of a job that is there, and is not called for a job
/// without a parent.
///
/// # Errors
/// Those of `parent_of`.
pub fn nearest_ancestor<E>(
    job: &NewJob,
    is_meant: impl Fn(&JobId) -> bool,
    mut parent_of: impl FnMut(&JobId) -> Result<Option<JobId>, E>,
) -> Result<Option<JobId>, E> {
    let mut ancestor = job.parent.clone();
    for place in 1..=ANCESTORS_LOOKED_AT {
        match ancestor {
            None => return Ok(None),
            Some(id) if is_meant(&id) => return Ok(Some(id)),
            Some(id) if place < ANCESTORS_LOOKED_AT => ancestor = parent_of(&id)?,
            Some(_) => break,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::Json;

    #[test]
    fn an_ancestor_is_found_up_to_the_hundredth_and_a_circle_of_parents_ends() {
        let id = |name: &str| JobId::from_store(name.to_owned());
        let child = NewJob { parent: Some(id("a1")), ..NewJob::new("k", Json::null()) };
        let line = |of: &JobId| -> Result<_, Infallible> {
            let number: u32 = of.as_str()[1..].parse().unwrap_or_default();
            Ok((number < 200).then(|| id(&format!("a{}", number + 1))))
        };
        for (name, is_found) in
            [("a1", true), ("a2", true), ("a100", true), ("a101", false), ("a200", false), ("b", false)]
        {
            let found = nearest_ancestor(&child, |other| *other == id(name), line);
            assert_eq!(found, Ok(is_found.then(|| id(name))), "{name}");
        }
        let meant = [id("a7"), id("a3")];
        assert_eq!(nearest_ancestor(&child, |other| meant.contains(other), line), Ok(Some(id("a3"))));
        let circle = |of: &JobId| Ok::<_, Infallible>(Some(of.clone()));
        assert_eq!(nearest_ancestor(&child, |other| *other == id("b"), circle), Ok(None));
        let alone = NewJob { parent: None, ..child };
        let never = |_: &JobId| -> Result<Option<JobId>, &str> { Err("asked") };
        assert_eq!(nearest_ancestor(&alone, |_| true, never), Ok(None));
    }
}
