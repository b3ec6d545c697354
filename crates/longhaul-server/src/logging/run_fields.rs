use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Lines of JSON in which those of a run begin with its job, its attempt and its trace, beside the time and the message: a search
/// for one need not look into spans.
pub(super) struct WithRun(pub(super) Format<Json>);

/// The fields of a run's span, as they were formatted.
#[derive(Deserialize)]
struct RunFields<'s> {
    #[serde(borrow)]
    job: Option<&'s RawValue>,
    #[serde(borrow)]
    attempt: Option<&'s RawValue>,
    #[serde(borrow)]
    trace_id: Option<&'s RawValue>,
}

/// The span that the engine puts each run into.
const RUN: &str = "run";

impl<S> FormatEvent<S, JsonFields> for WithRun
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let run = cx.event_scope().and_then(|mut spans| spans.find(|span| span.name() == RUN));
        let Some(run) = run else { return self.0.format_event(cx, writer, event) };
        let mut line = String::new();
        self.0.format_event(cx, Writer::new(&mut line), event)?;
        let extensions = run.extensions();
        let fields = extensions.get::<FormattedFields<JsonFields>>();
        let fields = fields.and_then(|fields| serde_json::from_str::<RunFields<'_>>(&fields.fields).ok());
        let (Some(fields), Some(rest)) = (fields, line.strip_prefix('{')) else {
            return writer.write_str(&line);
        };
        writer.write_char('{')?;
        for (name, value) in [("job", fields.job), ("attempt", fields.attempt), ("trace_id", fields.trace_id)]
        {
            // What the line says itself stands.
            let is_said = event.metadata().fields().field(name).is_some();
            if let Some(value) = value.filter(|_| !is_said) {
                write!(writer, "\"{name}\":{},", value.get())?;
            }
        }
        writer.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::field::Empty;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("it is whole").write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(said: impl FnOnce()) -> Vec<Value> {
        let log = Log::default();
        let writer = log.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(WithRun(tracing_subscriber::fmt::format().json().flatten_event(true)))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), said);
        let lines = String::from_utf8(log.0.lock().expect("it is whole").clone()).expect("UTF-8");
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn each_line_of_a_run_tells_its_job_its_attempt_and_its_trace() {
        let lines = logged(|| {
            tracing::info!("before");
            let run = tracing::info_span!("run", job = "a\"b", kind = "mail", attempt = 2, trace_id = Empty);
            run.record("trace_id", "0af7651916cd43dd8448eb211c80319c");
            let _run = run.entered();
            tracing::info!(size = 1, "begun");
            let _step = tracing::info_span!("step", step = "charge").entered();
            tracing::warn!(job = "another", "deeper");
        });
        assert_eq!(lines[0].get("job"), None);
        let of = |line: &Value| (line["job"].clone(), line["attempt"].clone(), line["trace_id"].clone());
        let trace: Value = "0af7651916cd43dd8448eb211c80319c".into();
        assert_eq!(of(&lines[1]), ("a\"b".into(), 2.into(), trace.clone()));
        assert_eq!((&lines[1]["message"], &lines[1]["size"]), (&"begun".into(), &1.into()));
        assert_eq!(of(&lines[2]), ("another".into(), 2.into(), trace), "what a line says itself stands");
    }

    #[test]
    fn a_run_without_a_trace_tells_none() {
        let lines = logged(|| {
            let _run = tracing::info_span!("run", job = "a", attempt = 1, trace_id = Empty).entered();
            tracing::info!("begun");
        });
        assert_eq!((&lines[0]["job"], lines[0].get("trace_id")), (&"a".into(), None));
    }
}
