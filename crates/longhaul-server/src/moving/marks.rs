//! How far imports into a store of jobs have come. (A database of rows has a table for its own.)

use std::time::Duration;

use longhaul::{Json, Sample, Store, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Result;

/// The series of samples in which a store remembers its imports, by the ids of the exports.
const MARKS: &str = "imports";
/// The time for which an import is remembered.
const MARKED_FOR: Duration = Duration::from_secs(400 * 86_400);

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The lines that are there.
    pub(super) lines: u64,
    /// True once all are.
    pub(super) whole: bool,
}

pub(super) async fn find_mark(store: &dyn Store, id: &str) -> Result<Option<Mark>> {
    let marks = store.samples(MARKS, Timestamp(0)).await?;
    let found = marks.iter().find(|mark| mark.source == id);
    Ok(found.and_then(|mark| mark.body.to().ok()))
}

pub(super) async fn put_mark(store: &dyn Store, id: &str, mark: Mark) -> Result<()> {
    let (series, source, keep_for) = (MARKS.to_owned(), id.to_owned(), MARKED_FOR);
    let sample = Sample { series, at: Timestamp(0), source, keep_for, body: Json::new(&mark)? };
    Ok(store.put_samples(&[sample]).await?)
}
