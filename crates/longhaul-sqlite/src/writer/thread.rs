use std::panic::{AssertUnwindSafe, catch_unwind};

use longhaul::Result;

use super::parked::Woken;
use super::queue::Taken;
use super::session::{Session, Writer};
use crate::error::panicked;

/// So many panics without a transaction between them end the writer.
const PANICS: u32 = 3;

impl Writer {
    /// Runs until the store is dropped.
    pub(crate) fn run(self) {
        let _abandon = AbandonOnDrop(&self);
        // A panic of the writer's own code fails the calls of one transaction. After repeated panics the thread ends,
        // and all calls fail at once.
        let mut panics = 0;
        loop {
            let mut transactions = 0;
            match catch_unwind(AssertUnwindSafe(|| self.serve(&mut transactions))) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => return tracing::error!("the writer has ended: {error}"),
                Err(panic) => tracing::error!("{}", panicked("write", &*panic)),
            }
            panics = if transactions == 0 { panics + 1 } else { 1 };
            if panics == PANICS {
                return tracing::error!("the writer has ended: it panicked {PANICS} times in a row");
            }
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                return tracing::error!("the writer has ended: failed to roll back: {error}");
            }
        }
    }

    fn serve(&self, transactions: &mut u64) -> Result<()> {
        let mut session = Session::new(self)?;
        let mut version = self.data_version();
        loop {
            let patience = session.patience();
            if self.queue.take(&mut session.waiting, patience) == Taken::Closed {
                return Ok(());
            }
            session.forget_withdrawn();
            let mut woken = Woken::Affected;
            if session.waiting.is_empty() && !session.is_quiet() {
                let seen = self.data_version();
                if seen != version {
                    version = seen;
                    woken = Woken::All;
                    self.signals.send_all();
                }
            }
            if session.turn(woken) {
                *transactions += 1;
            }
        }
    }

    /// A number that changes when another connection has committed.
    fn data_version(&self) -> i64 {
        let read = self.connection.prepare_cached("PRAGMA data_version");
        read.and_then(|mut read| read.query_row([], |row| row.get(0))).unwrap_or(0)
    }
}

/// Answers everybody when the thread ends, however it ends.
struct AbandonOnDrop<'a>(&'a Writer);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.queue.abandon();
        if let Some(syncer) = &self.0.syncer {
            syncer.close();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use std::sync::Arc;
    use std::thread::JoinHandle;

    use longhaul::{Changes, Clock, Error, Signals};
    use tempfile::TempDir;
    use tokio::sync::oneshot;

    use super::*;
    use crate::lock::Role;
    use crate::volume::Volume;
    use crate::writer::command::{Call, Class, Command, Task};
    use crate::writer::queue::CommandQueue;
    use crate::writer::write_tx::WriteTx;

    fn start() -> (Arc<CommandQueue>, JoinHandle<()>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let connection = crate::open::writing(&path).unwrap();
        crate::open::migrate(&connection).unwrap();
        let queue = Arc::new(CommandQueue::new());
        let writer = Writer {
            connection,
            queue: Arc::clone(&queue),
            signals: Arc::new(Signals::default()),
            changes: Arc::new(Changes::default()),
            clock: Clock::system(),
            volume: Arc::new(Volume::open(&path, crate::open::LOG_PAGES).unwrap()),
            role: Arc::new(Role::of(&path).unwrap()),
            syncer: None,
        };
        (queue, std::thread::spawn(move || writer.run()), folder)
    }

    /// A call whose answer panics, outside of all that is caught for calls.
    struct Bad(#[allow(dead_code, reason = "its end is heard")] oneshot::Sender<()>);

    impl Call for Bad {
        fn class(&self) -> Class {
            Class::Growth
        }

        fn run(&mut self, _: &mut WriteTx<'_>) -> Result<()> {
            Ok(())
        }

        fn answer(self: Box<Self>, _: Result<(), &Error>) {
            panic!("in the writer itself");
        }
    }

    fn push_bad(queue: &CommandQueue) {
        let (end, ended) = oneshot::channel();
        assert!(queue.push_now(Command::Call(Box::new(Bad(end)))).is_ok());
        assert!(ended.blocking_recv().is_err());
    }

    fn probe() -> (Command, oneshot::Receiver<Result<()>>) {
        let (probe, answer) = Task::new(Class::Growth, |tx: &mut WriteTx<'_>| tx.probe());
        (Command::Call(Box::new(probe)), answer)
    }

    #[test]
    fn a_panic_of_the_writer_itself_costs_one_transaction() {
        let (queue, thread, _folder) = start();
        for _ in 0..2 * PANICS {
            push_bad(&queue);
            let (probe, answer) = probe();
            assert!(queue.push_now(probe).is_ok());
            answer.blocking_recv().unwrap().unwrap();
        }
        queue.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_writer_that_panics_again_and_again_ends_and_answers_everybody() {
        let (queue, thread, _folder) = start();
        for _ in 0..PANICS {
            push_bad(&queue);
        }
        // Whatever is asked now is answered: refused, or taken and let go.
        let (waiting, answer) = probe();
        drop(queue.push_now(waiting));
        assert!(answer.blocking_recv().is_err());
        thread.join().unwrap();
        assert!(queue.is_closed() && queue.push_now(probe().0).is_err());
    }
}
