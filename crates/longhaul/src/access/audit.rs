use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::{Json, Sample};
use crate::store::{MAX_SAMPLES, Result, Store};

/// The time for which an entry is kept.
pub const AUDIT_KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);

/// All series of the log begin with it.
pub(super) const PREFIX: &str = "longhaul.audit";
/// The series that tells the hours in which something was logged, so that a reader asks for no other ones.
const HOURS: &str = "longhaul.audit-hours";
/// The milliseconds of an hour.
const HOUR: i64 = 3_600_000;

/// One thing that somebody has changed, or was refused to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Tells it from others of the same moment.
    pub id: String,
    /// When it was done, or first tried.
    pub at: Timestamp,
    /// Who did it: a name of a person or of a token, or where nobody says who they are, how they came in.
    pub who: String,
    /// The role that they had, where they had one.
    pub role: Option<String>,
    /// The id of the token that they came in with, where it is one of [`Tokens`](super::Tokens).
    pub token: Option<String>,
    /// What was done, as `queue.pause`.
    pub action: String,
    /// What it was done to: a name or an id, or the filter of many.
    pub object: String,
    /// How many jobs it was done to, where it was done to many. Of what was refused, how often it was tried, at least.
    pub count: Option<u64>,
    /// The code of the problem that it was refused with; `None` where it was done.
    pub refused: Option<String>,
    /// The id of the request.
    pub request_id: String,
}

/// What is kept of an entry beside its id and its time.
#[derive(Serialize, Deserialize)]
struct Kept {
    who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    action: String,
    object: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    request_id: String,
}

/// Part of the log, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// The audit log of a store: who did what to what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'s>(&'s dyn Store);

impl<'s> Audit<'s> {
    /// That of `store`.
    #[must_use]
    pub fn of(store: &'s dyn Store) -> Self {
        Self(store)
    }

    /// Keeps an entry for [`AUDIT_KEPT_FOR`]. One of the same moment and id takes the place of the earlier one.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn note(&self, entry: AuditEntry) -> Result<()> {
        let AuditEntry { id, at, who, role, token, action, object, count, refused, request_id } = entry;
        let body = Json::new(&Kept { who, role, token, action, object, count, refused, request_id })?;
        let hour = at.0.div_euclid(HOUR);
        let keep_for = AUDIT_KEPT_FOR;
        let entry = Sample { series: series(hour), at, source: id, keep_for, body };
        let known_for = AUDIT_KEPT_FOR + Duration::from_millis(HOUR.unsigned_abs());
        let hour = Sample {
            series: HOURS.into(),
            at: Timestamp(hour * HOUR),
            source: "hour".into(),
            keep_for: known_for,
            body: Json::null(),
        };
        self.0.put_samples(&[hour, entry]).await
    }

    /// At most `limit` entries before `cursor`, which is the [`next`](AuditPage::next) of an earlier page; the newest without one, or
    /// with one that is none.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn page(&self, cursor: Option<&str>, limit: usize) -> Result<AuditPage> {
        let before = cursor.and_then(Place::read);
        let hours = self.all(HOURS).await?;
        let mut hours: Vec<i64> = hours.iter().map(|hour| hour.at.0.div_euclid(HOUR)).collect();
        hours.reverse();
        let mut page = AuditPage::default();
        for hour in hours {
            if before.as_ref().is_some_and(|place| hour > place.at.div_euclid(HOUR)) {
                continue;
            }
            let entries = self.all(&series(hour)).await?;
            for entry in entries.into_iter().rev().filter_map(read) {
                let place = Place { at: entry.at.0, id: entry.id.clone() };
                if before.as_ref().is_some_and(|before| place >= *before) {
                    continue;
                }
                // There is another one, so there is another page.
                if page.entries.len() == limit {
                    let last = page.entries.last();
                    page.next = last.map(|last| Place { at: last.at.0, id: last.id.clone() }.text());
                    return Ok(page);
                }
                page.entries.push(entry);
            }
        }
        Ok(page)
    }

    /// All samples of a series, by moment and source.
    async fn all(&self, series: &str) -> Result<Vec<Sample>> {
        let mut all = self.0.samples(series, Timestamp(0)).await?;
        let mut read = all.len();
        while read >= MAX_SAMPLES {
            let Some(last) = all.last().map(|last| (last.at, last.source.clone())) else { break };
            let more = self.0.samples(series, last.0).await?;
            read = more.len();
            let new: Vec<Sample> =
                more.into_iter().filter(|sample| (sample.at, &sample.source) > (last.0, &last.1)).collect();
            if new.is_empty() {
                break;
            }
            all.extend(new);
        }
        Ok(all)
    }
}

fn series(hour: i64) -> String {
    format!("{PREFIX}.{hour}")
}

fn read(Sample { at, source, body, .. }: Sample) -> Option<AuditEntry> {
    let Kept { who, role, token, action, object, count, refused, request_id } = body.to().ok()?;
    Some(AuditEntry { id: source, at, who, role, token, action, object, count, refused, request_id })
}

/// An entry's place in the log.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: i64,
    id: String,
}

impl Place {
    fn text(&self) -> String {
        format!("{}.{}", self.at, self.id)
    }

    fn read(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self { at: at.parse().ok()?, id: id.to_owned() })
    }
}
