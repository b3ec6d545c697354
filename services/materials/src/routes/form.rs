//! A `multipart/form-data` body that is never held in memory.
//!
//! The parser gathers what stands before the first part, the heads of parts, and all that has arrived when it is asked
//! for more. None of that has a bound of its own, so its body has one here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::multipart::{self, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use futures::{Stream, StreamExt};
use tokio::sync::Mutex;

use crate::error::Error;

/// A form that comes in.
pub(super) struct Form {
    parts: Multipart,
    body: Shared,
    unread: Arc<AtomicUsize>,
}

/// A part of a form.
pub(super) struct Field<'a> {
    part: multipart::Field<'a>,
    unread: Arc<AtomicUsize>,
}

/// The most bytes that the parser is given before it comes on: long enough for any head of a part.
const UNREAD_BYTES: usize = 64 * 1024;
/// The most bytes that it is given at a time.
const PIECE_BYTES: usize = 64 * 1024;

impl Form {
    pub(super) async fn open(request: Request) -> Result<Self, Error> {
        let (head, body) = request.into_parts();
        let body = Shared(Arc::new(Mutex::new(body.into_data_stream())));
        let unread = Arc::new(AtomicUsize::new(0));
        let pieces = Pieces {
            body: body.clone(),
            rest: Bytes::new(),
            gave: Gave::Nothing,
            unread: Arc::clone(&unread),
        };
        let request = Request::from_parts(head, Body::from_stream(pieces));
        let parts = Multipart::from_request(request, &()).await;
        let parts =
            parts.map_err(|_| Error::bad_request("Request must be multipart/form-data with a file"))?;
        Ok(Self { parts, body, unread })
    }

    pub(super) async fn next_field(&mut self) -> Result<Option<Field<'_>>, Error> {
        let part = self.parts.next_field().await.map_err(broken)?;
        self.unread.store(0, Ordering::Relaxed);
        Ok(part.map(|part| Field { part, unread: Arc::clone(&self.unread) }))
    }

    /// What is left of the body.
    pub(super) fn into_body(self) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static {
        self.body
    }
}

impl Field<'_> {
    pub(super) fn name(&self) -> Option<&str> {
        self.part.name()
    }

    pub(super) fn file_name(&self) -> Option<&str> {
        self.part.file_name()
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.part.content_type()
    }

    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let bytes = self.part.chunk().await.map_err(broken)?;
        self.unread.store(0, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// The body of a request, which the parser has and whoever refuses the form goes on with. Never asked by both at a time.
#[derive(Clone)]
struct Shared(Arc<Mutex<axum::body::BodyDataStream>>);

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.try_lock() {
            Ok(mut body) => body.poll_next_unpin(cx),
            Err(_) => Poll::Ready(None),
        }
    }
}

/// The body as the parser sees it: in small pieces, one at a time, and no more once it gathers too many.
struct Pieces {
    body: Shared,
    /// The part of a piece that is yet to be given.
    rest: Bytes,
    gave: Gave,
    /// The bytes that were given since the parser last came on.
    unread: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gave {
    Nothing,
    Piece,
}

impl Stream for Pieces {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.gave == Gave::Piece {
            // The parser asks for as long as it is given something. A pause makes it look at what it has.
            self.gave = Gave::Nothing;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.unread.load(Ordering::Relaxed) > UNREAD_BYTES {
            return Poll::Ready(Some(Err(axum::Error::new("a form's part has too long a head"))));
        }
        if self.rest.is_empty() {
            match self.body.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.rest = bytes,
                other => return other,
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        self.unread.fetch_add(length, Ordering::Relaxed);
        self.gave = Gave::Piece;
        Poll::Ready(Some(Ok(piece)))
    }
}

fn broken(error: MultipartError) -> Error {
    tracing::debug!("an upload broke off: {error}");
    Error::bad_request("Upload was cut off or is not valid multipart/form-data")
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;

    use super::*;

    /// How many bytes are taken of a body without end before its form is refused.
    async fn taken_of(begin: &'static [u8], piece: &'static [u8]) -> usize {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let pieces = futures::stream::once(async move { begin }).chain(futures::stream::repeat(piece));
        let pieces = pieces.map(move |piece| {
            count.fetch_add(piece.len(), Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(Bytes::from_static(piece))
        });
        let request = Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=B");
        let mut form = Form::open(request.body(Body::from_stream(pieces)).unwrap()).await.ok().unwrap();
        assert!(form.next_field().await.is_err());
        taken.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn what_the_parser_gathers_is_bounded() {
        const PIECE: &[u8] = &[b'a'; 16 * 1024];
        for begin in [
            b"".as_slice(),
            b"--B\r\nContent-Disposition: form-data; name=\"x\"\r\nX-A: ",
            b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
        ] {
            let taken = taken_of(begin, PIECE).await;
            assert!(taken <= UNREAD_BYTES + 2 * PIECE.len(), "{taken}");
        }
    }
}
