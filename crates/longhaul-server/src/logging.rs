//! Logs go to standard error: for people on a terminal, as one JSON object a line otherwise.

mod run_fields;

use std::io::{self, IsTerminal, Write};

use serde_json::Value;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use self::run_fields::WithRun;
use crate::Result;
use crate::traces::Traces;

/// The filter of the log if `LONGHAUL_LOG` is not set.
const DEFAULT_FILTER: &str = "info";
/// The longest line, with its end. What users send gets into lines, and must not fill disks.
const LONGEST_LINE: usize = 8 * 1024;
/// The longest value of a field, in a line of JSON that would be too long.
const LONGEST_VALUE: usize = 1024;

/// Starts to log. `LONGHAUL_LOG` filters (`warn`, or `info,longhaul=debug`), `LONGHAUL_LOG_FORMAT` is `text` or
/// `json`. Answers the traces that are exported beside the log.
pub(crate) fn start() -> Result<Option<Traces>> {
    let filter = std::env::var("LONGHAUL_LOG").unwrap_or_else(|_| DEFAULT_FILTER.into());
    let filter = EnvFilter::try_new(&filter)
        .map_err(|e| format!("LONGHAUL_LOG={filter} is no filter ({e}); try info, or info,longhaul=debug"))?;
    let format = format()?;
    let traces = Traces::start()?;
    match &traces {
        // One filter for all is the cheapest.
        None => tracing_subscriber::registry().with(lines(format)).with(filter).init(),
        // A log of warnings alone must not keep spans from being traced.
        Some(traces) => {
            let ours = Targets::new().with_targets(TRACED.map(|target| (target, LevelFilter::INFO)));
            let spans = tracing_opentelemetry::layer()
                .with_tracer(traces.tracer.clone())
                .with_location(false)
                .with_threads(false)
                .with_filter(ours);
            tracing_subscriber::registry().with(lines(format).with_filter(filter)).with(spans).init();
        }
    }
    Ok(traces)
}

/// The crates whose spans are exported, by the begin of their names. Those of the exporter's own calls would follow themselves.
const TRACED: [&str; 7] =
    ["longhaul", "service_support", "sessions", "github", "lessons", "curriculum", "materials"];

/// Writes the log, line by line.
fn lines<S>(format: Format) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let is_terminal = io::stderr().is_terminal();
    match format {
        Format::Text => {
            let colours = if is_terminal { Colours::Kept } else { Colours::None };
            let writer = move || Lines(io::stderr(), Form::Text(colours));
            fmt::layer().with_ansi(is_terminal).with_writer(writer).boxed()
        }
        Format::Json => {
            let json = fmt::format().json().flatten_event(true);
            let log = fmt::layer().fmt_fields(JsonFields::new()).event_format(WithRun(json));
            log.with_writer(|| Lines(io::stderr(), Form::Json)).boxed()
        }
    }
}

enum Format {
    Text,
    Json,
}

fn format() -> Result<Format> {
    match std::env::var("LONGHAUL_LOG_FORMAT").as_deref() {
        Ok("text") => Ok(Format::Text),
        Ok("json") => Ok(Format::Json),
        Ok(other) => Err(format!("LONGHAUL_LOG_FORMAT={other} is no format: use text or json").into()),
        Err(_) if io::stderr().is_terminal() => Ok(Format::Text),
        Err(_) => Ok(Format::Json),
    }
}

/// Writes whole lines, each cut to a length and with nothing in it that could pass for another line.
struct Lines<W>(W, Form);

#[derive(Clone, Copy)]
enum Form {
    Text(Colours),
    Json,
}

/// The escape sequences that the formatter writes for a terminal; it escapes those of others by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Kept,
    None,
}

impl<W: Write> Write for Lines<W> {
    /// The formatter writes an event at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let tamed = match self.1 {
            Form::Text(colours) => cut(escaped(text, colours), LONGEST_LINE - 1),
            // The formatter has escaped what needs it.
            Form::Json if text.len() < LONGEST_LINE => text.to_owned(),
            Form::Json => shortened(text),
        };
        self.0.write_all(format!("{tamed}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escaped(text: &str, colours: Colours) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        let is_kept = c == '\t' || (c == '\u{1b}' && colours == Colours::Kept);
        let breaks = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if breaks && !is_kept { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

fn cut(mut text: String, longest: usize) -> String {
    longhaul::admit::clean(&mut text, longest);
    text
}

/// The same object with its longer values cut; where it has too many, only those that every line has.
fn shortened(text: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
        return cut(text.to_owned(), LONGEST_LINE - 1);
    };
    for value in fields.values_mut() {
        let longer = match value {
            Value::String(text) => Some(std::mem::take(text)),
            Value::Object(_) | Value::Array(_) => Some(value.to_string()),
            _ => None,
        };
        if let Some(text) = longer {
            *value = cut(text, LONGEST_VALUE).into();
        }
    }
    let line = Value::Object(fields.clone()).to_string();
    if line.len() < LONGEST_LINE {
        return line;
    }
    fields.retain(|name, _| {
        matches!(name.as_str(), "timestamp" | "level" | "target" | "message" | "job" | "attempt" | "trace_id")
    });
    cut(Value::Object(fields).to_string(), LONGEST_LINE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form, line: &str) -> String {
        let mut into = Vec::new();
        Lines(&mut into, form).write_all(line.as_bytes()).expect("memory takes it");
        String::from_utf8(into).expect("it is text")
    }

    #[test]
    fn a_line_is_cut_at_a_character_and_marked() {
        for filler in ["a", "é", "😀"] {
            for start in ["", "1", "12", "123"] {
                let line = format!("{start}{}\n", filler.repeat(10_000));
                let cut = written(Form::Text(Colours::None), &line);
                assert!(cut.len() <= LONGEST_LINE && cut.ends_with("…\n"), "{} bytes", cut.len());
            }
        }
        assert_eq!(written(Form::Text(Colours::None), "short\n"), "short\n");
    }

    #[test]
    fn nothing_in_a_line_passes_for_another_line() {
        let forged = "asked by a\nERROR all is lost\r\u{2028}\u{1b}[2J\u{85}\n";
        let line = written(Form::Text(Colours::None), forged);
        assert_eq!(line, "asked by a\\nERROR all is lost\\r\\u{2028}\\u{1b}[2J\\u{85}\n");
        assert!(written(Form::Text(Colours::Kept), "\u{1b}[31mERROR\n").contains('\u{1b}'));
    }

    #[test]
    fn a_long_line_of_json_stays_json() {
        let long = "x\n".repeat(20_000);
        let one = serde_json::json!({ "level": "INFO", "message": long, "n": 1, "spans": [{ "a": long }] });
        let read = |line: String| -> Value { serde_json::from_str(&line).expect("it is JSON") };
        let line = written(Form::Json, &format!("{one}\n"));
        assert!(line.len() <= LONGEST_LINE);
        let line = read(line);
        assert_eq!((&line["level"], &line["n"]), (&"INFO".into(), &1.into()));
        assert!(line["message"].as_str().expect("it is text").ends_with('…'));
        let mut many: serde_json::Map<String, Value> =
            (0..100).map(|n| (format!("field{n}"), long.clone().into())).collect();
        many.insert("message".into(), "hello".into());
        let line = written(Form::Json, &format!("{}\n", Value::Object(many)));
        assert!(line.len() <= LONGEST_LINE);
        assert_eq!(read(line)["message"], "hello");
    }
}
