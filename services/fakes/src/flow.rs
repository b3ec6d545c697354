use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The pace of a model's words: at once, as a person reads, or only when they are let go.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    gate: Mutex<Gate>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Gate {
    held: Held,
    pause: Duration,
}

#[derive(Debug, Default)]
enum Held {
    #[default]
    No,
    /// All but this many pieces more.
    Beyond(usize),
}

impl Flow {
    /// Returns when the next piece may go out.
    pub(crate) async fn pass(&self) {
        let pause = self.gate.lock().pause;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Listening before looking: a release in between is not missed.
            changed.as_mut().enable();
            match &mut self.gate.lock().held {
                Held::No => return,
                Held::Beyond(0) => {}
                Held::Beyond(more) => {
                    *more -= 1;
                    return;
                }
            }
            changed.await;
        }
    }

    pub(crate) fn hold(&self) {
        self.gate.lock().held = Held::Beyond(0);
    }

    pub(crate) fn release(&self, pieces: usize) {
        if let Held::Beyond(more) = &mut self.gate.lock().held {
            *more += pieces;
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn release_all(&self) {
        self.gate.lock().held = Held::No;
        self.changed.notify_waiters();
    }

    pub(crate) fn set_pause(&self, pause: Duration) {
        self.gate.lock().pause = pause;
    }
}
