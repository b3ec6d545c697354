//! The pace that clients must keep, in sending and in reading: who stops half-way must not hold what others could use.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use longhaul::clock::Stopwatch;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connections::Connection;

/// The longest pause in a request's body, and in the reading of an answer.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// The bytes a second that a body must come at on the average, after the first [`PAUSE`].
const SLOWEST: u64 = 4 * 1024;

/// A request's body, which must keep the pace.
pub(super) struct Arriving<B> {
    body: B,
    connection: Arc<Connection>,
    began: Stopwatch,
    received: u64,
    pause: Duration,
    deadline: Pin<Box<Sleep>>,
    too_slow: Arc<AtomicBool>,
}

impl<B: Body> Arriving<B> {
    /// `pause` is the longest between two pieces; `too_slow` is set if it does not keep the pace.
    pub(super) fn new(
        body: B,
        connection: Arc<Connection>,
        pause: Duration,
        too_slow: Arc<AtomicBool>,
    ) -> Self {
        if body.is_end_stream() {
            connection.is_busy();
        }
        let deadline = Box::pin(sleep(pause));
        Self { body, connection, began: Stopwatch::start(), received: 0, pause, deadline, too_slow }
    }

    fn note(&mut self, bytes: usize) {
        self.received += bytes as u64;
        let by_pace = self.pause + Duration::from_secs(self.received / SLOWEST);
        self.deadline.as_mut().set(sleep(by_pace.saturating_sub(self.began.elapsed()).min(self.pause)));
        self.connection.is_waiting();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Arriving<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.deadline.as_mut().poll(cx));
            this.too_slow.store(true, Ordering::Relaxed);
            let error = io::Error::new(io::ErrorKind::TimedOut, "the body came too slowly");
            return Poll::Ready(Some(Err(error.into())));
        };
        if let Some(Ok(frame)) = &frame {
            this.note(frame.data_ref().map_or(0, Bytes::len));
        }
        if frame.is_none() || this.body.is_end_stream() {
            this.connection.is_busy();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: once it is done, it is the client's turn.
pub(super) struct Leaving<B> {
    pub(super) body: B,
    pub(super) connection: Arc<Connection>,
}

impl<B: Body + Unpin> Body for Leaving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Leaving<B> {
    fn drop(&mut self) {
        self.connection.is_waiting();
    }
}

/// A stream of bytes whose reader must take something of what is written within a [`PAUSE`].
pub(super) struct Paced<S> {
    stream: S,
    pause: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pause: Duration) -> Self {
        Self { stream, pause, stalled: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.pause)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body as AnyBody;
    use futures::{StreamExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::serve::connections::Connections;

    /// The bytes that come of a body within the pause, and whether it was too slow.
    async fn arriving(body: AnyBody, pause: Duration) -> (usize, bool) {
        let connection = Connections::new(8).place().await;
        let too_slow = Arc::new(AtomicBool::new(false));
        let body = Arriving::new(body, Arc::clone(&connection.0), pause, Arc::clone(&too_slow));
        let mut pieces = AnyBody::new(body).into_data_stream();
        let mut length = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            length += piece.len();
        }
        (length, too_slow.load(Ordering::Relaxed))
    }

    fn pieces(count: usize) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::iter((0..count).map(|_| Ok(Bytes::from_static(&[b'a'; 1024]))))
    }

    #[tokio::test]
    async fn a_body_that_stops_is_cut_off_after_the_pause() {
        let stops = AnyBody::from_stream(pieces(3).chain(stream::pending()));
        assert_eq!(arriving(stops, Duration::ZERO).await, (3 * 1024, true));
        let never_begins = AnyBody::from_stream(stream::pending::<io::Result<Bytes>>());
        assert_eq!(arriving(never_begins, Duration::ZERO).await, (0, true));
        assert_eq!(arriving(AnyBody::from_stream(pieces(100)), PAUSE).await, (100 * 1024, false));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_is_cut_off_after_the_timeout() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = Paced::new(ours, Duration::ZERO);
        let error = ours.write_all(&[b'a'; 64]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut read = [0; 16];
        theirs.read_exact(&mut read).await.expect("what was written");
        ours.write_all(&[b'b'; 16]).await.expect("there is room again");
    }
}
