//! Panics of an application's code, turned into messages: one job's panic must not end what serves all jobs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;

/// Runs an application's code; a panic in it is the error.
pub(crate) fn contain<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    // State that the code has left half changed is dropped here, so that it is never seen.
    catch_unwind(AssertUnwindSafe(code)).map_err(message)
}

/// Runs an application's future to its end; a panic in it is the error. Panics when a future that has not ended is dropped
/// are the caller's to [`contain`].
pub(crate) async fn contain_future<T>(future: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(message)
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    // The payload is the application's, and its drop may panic, too. That second payload is forgotten: its own drop could
    // go on like this for ever.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    match text {
        Some(text) => format!("panicked: {text}"),
        None => "panicked with a value that is no text".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Bomb);
        }
    }

    #[test]
    fn the_text_of_a_panic_is_kept_and_a_payload_that_panics_when_dropped_is_contained() {
        assert_eq!(contain(|| panic!("a {}", "text")), Err::<(), _>("panicked: a text".into()));
        assert_eq!(contain(|| panic!("words")), Err::<(), _>("panicked: words".into()));
        let unknown = Err::<(), _>("panicked with a value that is no text".to_owned());
        assert_eq!(contain(|| std::panic::panic_any(1)), unknown);
        assert_eq!(contain(|| std::panic::panic_any(Bomb)), unknown);
    }
}
