use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// What the service logs from now on, at info and above. All that a test does runs on its own thread, so tests do not
/// hear each other.
pub(crate) struct Log {
    lines: Lines,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

/// The seed's targets.
const TARGETS: [&str; 3] = ["SessionsController", "SessionsService", "ExternalHttpService"];

impl Log {
    pub(crate) fn listen() -> Self {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        Self { lines, _listening: tracing::subscriber::set_default(subscriber) }
    }

    /// `[target] message`, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.0.lock().unwrap().clone()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if TARGETS.contains(&target) && *event.metadata().level() <= Level::INFO {
            let mut line = format!("[{target}] ");
            event.record(&mut Message(&mut line));
            self.0.lock().unwrap().push(line);
        }
    }
}

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").unwrap();
        }
    }
}
