//! SIGTERM and SIGINT: the first one asks for an orderly end, the second one ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Result;

/// Listens from now on. The token is cancelled by the first signal.
pub(crate) fn listen() -> Result<CancellationToken> {
    let listen = |kind| signal(kind).map_err(|e| format!("failed to listen for signals: {e}"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            let name = next(&mut terminate, &mut interrupt).await.0;
            tracing::info!("got {name}: draining; once more ends at once");
            stop.cancel();
            let (name, number) = next(&mut terminate, &mut interrupt).await;
            tracing::warn!("got {name} again: ending at once; running jobs will be taken over");
            // The status that a shell reports of a process that a signal ended.
            std::process::exit(128 + number);
        }
    });
    Ok(stop)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
        _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
    }
}
