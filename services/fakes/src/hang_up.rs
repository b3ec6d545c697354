use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures::StreamExt;

use crate::Desk;

/// Notes on a desk that the client of a request went away before its answer was complete.
pub(crate) struct HangUp(Option<(Arc<Desk>, String)>);

impl HangUp {
    pub(crate) fn watch(desk: &Arc<Desk>, path: &str) -> Self {
        Self(Some((Arc::clone(desk), path.to_owned())))
    }

    fn done(&mut self) {
        self.0 = None;
    }

    /// Watches over the answer's body, too. An answer that was to be broken off is a hang-up of ours.
    pub(crate) fn over(self, answer: Response) -> Response {
        let (parts, body) = answer.into_parts();
        let mut watch = self;
        let body = body.into_data_stream().map(Some).chain(futures::stream::once(async { None }));
        let body = body.filter_map(move |piece| {
            if piece.as_ref().is_none_or(Result::is_err) {
                watch.done();
            }
            std::future::ready(piece)
        });
        Response::from_parts(parts, Body::from_stream(body))
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Some((desk, path)) = self.0.take() {
            desk.hung_up.lock().push(path);
            desk.arrived.notify_waiters();
        }
    }
}
