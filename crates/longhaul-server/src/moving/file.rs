//! The file: lines of JSON, each with its `type`. The first is the header, the last the footer.

use std::collections::BTreeMap;

use longhaul::moving::Exported;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service_support::TableRow;
use sha2::{Digest, Sha256};

use crate::stores::Part;

/// The newest version of the format, with rows of services' tables. A file of a higher one is refused.
pub(super) const FORMAT: u32 = 2;
/// The version of a file without such rows, which the releases before them can read.
pub(super) const FORMAT_OF_JOBS: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The version of the format.
    pub(super) format: u32,
    /// The export's own name, by which an import knows it again.
    pub(super) id: String,
    /// The release that has written it.
    pub(super) version: String,
    /// The kind of store.
    pub(super) store: String,
    /// When it began.
    pub(super) at: String,
    /// What the file has, in this order.
    #[serde(default = "only_jobs")]
    pub(super) parts: Vec<Part>,
}

/// What a file has that does not say so.
fn only_jobs() -> Vec<Part> {
    vec![Part::Jobs]
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footer {
    /// The number of lines of each type.
    pub(super) counts: BTreeMap<String, u64>,
    /// The SHA-256 of all lines before it.
    pub(super) sha256: String,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    Header(Header),
    Row(TableRow),
    Record(Exported),
    Footer(Footer),
}

const HEADER: &str = "export";
const FOOTER: &str = "end";
const ROW: &str = "row";

/// The type of a record's line.
fn type_of(record: &Exported) -> &'static str {
    match record {
        Exported::Queue(_) => "queue",
        Exported::Key(_) => "key",
        Exported::Job(_) => "job",
        Exported::IdempotencyKey(_) => "idempotency_key",
        Exported::Removed(_) => "removed",
        Exported::Sample(_) => "sample",
    }
}

impl Line {
    /// Its type.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Line::Header(_) => HEADER,
            Line::Row(_) => ROW,
            Line::Record(record) => type_of(record),
            Line::Footer(_) => FOOTER,
        }
    }

    /// The line as text, with its end.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        match self {
            Line::Header(header) => typed(HEADER, header),
            Line::Footer(footer) => typed(FOOTER, footer),
            Line::Row(row) => typed(ROW, row),
            Line::Record(record) => record_text(record),
        }
    }

    /// Reads a line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Typed {
            r#type: String,
        }
        let name = parsed::<Typed>(text)?.r#type;
        Ok(match name.as_str() {
            HEADER => Line::Header(parsed(text)?),
            FOOTER => Line::Footer(parsed(text)?),
            ROW => Line::Row(parsed(text)?),
            "queue" => Line::Record(Exported::Queue(parsed(text)?)),
            "key" => Line::Record(Exported::Key(parsed(text)?)),
            "job" => Line::Record(Exported::Job(parsed(text)?)),
            "idempotency_key" => Line::Record(Exported::IdempotencyKey(parsed(text)?)),
            "removed" => Line::Record(Exported::Removed(parsed(text)?)),
            "sample" => Line::Record(Exported::Sample(parsed(text)?)),
            other => return Err(format!("it is of a type that this release does not know, '{other}'")),
        })
    }
}

/// A record as the text of its line.
fn record_text(record: &Exported) -> serde_json::Result<String> {
    let name = type_of(record);
    match record {
        Exported::Queue(queue) => typed(name, queue),
        Exported::Key(key) => typed(name, key),
        Exported::Job(job) => typed(name, job),
        Exported::IdempotencyKey(key) => typed(name, key),
        Exported::Removed(removal) => typed(name, removal),
        Exported::Sample(sample) => typed(name, sample),
    }
}

/// An object with its type before its fields. JSON that a job carries is handed on as it came, which no tagged enum can do.
fn typed(name: &str, value: &impl Serialize) -> serde_json::Result<String> {
    let fields = serde_json::to_string(value)?;
    Ok(format!("{{\"type\":\"{name}\",{}\n", &fields[1..]))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The digest and the counts of the lines so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    digest: Sha256,
    counts: BTreeMap<String, u64>,
}

impl Sum {
    /// Adds the header's line.
    pub(super) fn begin(&mut self, text: &str) {
        self.digest.update(text.as_bytes());
    }

    /// Adds the line of a record or a row, by its type.
    pub(super) fn add(&mut self, text: &str, name: &str) {
        self.digest.update(text.as_bytes());
        *self.counts.entry(name.to_owned()).or_default() += 1;
    }

    /// The number of records and rows.
    pub(super) fn records(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The footer of these lines.
    pub(super) fn footer(&self) -> Footer {
        let digest = self.digest.clone().finalize();
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Footer { counts: self.counts.clone(), sha256 }
    }

    /// The counts, for people.
    pub(super) fn spoken(&self) -> String {
        let many =
            |(name, count): (&String, &u64)| format!("{count} {name}{}", if *count == 1 { "" } else { "s" });
        let parts: Vec<String> = self.counts.iter().map(many).collect();
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ").replace('_', " ") }
    }
}

#[cfg(test)]
mod tests {
    use longhaul::Timestamp;
    use longhaul::moving::{ExportedKey, ExportedRemoval};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Header {
            format: FORMAT,
            id: "x".into(),
            version: "0.1.0".into(),
            store: "sqlite".into(),
            at: "2026-11-29T00:00:00Z".into(),
            parts: vec![Part::Services, Part::Jobs],
        };
        let row = TableRow { table: "t".into(), values: vec![("a".into(), 7_i64.into())] };
        let removal =
            ExportedRemoval { id: serde_json::from_str("\"gone\"").expect("an id"), until: Timestamp(7) };
        let key = ExportedKey { key: "k*".into(), config: None, closed_until: Some(Timestamp(9)) };
        let lines = [
            Line::Header(header),
            Line::Row(row),
            Line::Record(Exported::Key(key)),
            Line::Record(Exported::Removed(removal)),
            Line::Footer(Sum::default().footer()),
        ];
        for line in &lines {
            let text = line.text().expect("a text");
            assert!(text.starts_with("{\"type\":\"") && text.ends_with("}\n"), "{text}");
            assert_eq!(Line::parse(&text).as_ref(), Ok(line), "{text}");
        }
    }

    #[test]
    fn a_job_s_json_is_handed_on_as_it_came() {
        let text = r#"{"type":"job","job":{"id":"a","kind":"k","version":1,"queue":"q","args":{"n": 1.50, "n":2},"state":"available",
            "priority":0,"attempt":0,"max_attempts":3,"crashes":0,"max_crashes":5,"interruptions":0,"progress":null,"output":null,
            "errors":[],"cancel_requested":false,"worker":null,"position":null,"created_at":1,"run_at":1,"started_at":null,
            "finished_at":null,"last_event":1,"parent":null,"children":null,"labels":{}},"state_event":1,"state_at":1}"#;
        let line = Line::parse(text).expect("a job");
        assert!(line.text().expect("a text").contains(r#""args":{"n": 1.50, "n":2}"#));
    }

    #[test]
    fn a_header_that_does_not_say_what_follows_is_one_of_jobs() {
        let text = r#"{"type":"export","format":1,"id":"x","version":"0.1.0","store":"redis","at":"2026-11-29T00:00:00Z"}"#;
        let Ok(Line::Header(header)) = Line::parse(text) else { panic!("no header") };
        assert_eq!(header.parts, [Part::Jobs]);
    }

    #[test]
    fn a_line_of_a_later_release_is_refused_by_its_type() {
        let refused = Line::parse(r#"{"type":"robot"}"#);
        assert_eq!(refused, Err("it is of a type that this release does not know, 'robot'".into()));
        assert!(Line::parse("{\"type\":\"job\"").is_err());
    }
}
