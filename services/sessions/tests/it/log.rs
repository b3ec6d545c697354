use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The log of the service from now on, at info and above. All that a test does runs on its own thread, so tests do not
/// hear each other.
pub(crate) struct Log;

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The original document's targets.
const TARGETS: [&str; 3] = ["SessionsController", "SessionsService", "ExternalHttpService"];

/// Listens for the whole process, and must do so before anything is logged: a line that was first met with nobody
/// listening can be taken for one that nobody ever wants.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Lines);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

impl Log {
    pub(crate) fn listen() -> Self {
        install();
        LINES.set(Some(Vec::new()));
        Self
    }

    /// `[target] message`, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        LINES.with_borrow(|lines| lines.clone().unwrap_or_default())
    }
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if !TARGETS.contains(&target) || *event.metadata().level() > Level::INFO {
            return;
        }
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let mut line = format!("[{target}] ");
            event.record(&mut Message(&mut line));
            lines.push(line);
        });
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
