//! A `multipart/form-data` body that is never held in memory.
//!
//! The parser gathers what stands before the first part, the heads of parts, and all that has arrived when it is asked
//! for more. None of that has a bound of its own, so its body has one here.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::multipart::{self, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::CONTENT_DISPOSITION;
use futures::{Stream, StreamExt};
use tokio::sync::Mutex;

use crate::disposition;

/// A form that comes in.
#[derive(Debug)]
pub struct Form {
    parts: Multipart,
    body: Shared,
    unread: Arc<AtomicUsize>,
}

/// A part of a form.
#[derive(Debug)]
pub struct FormField<'a> {
    part: multipart::Field<'a>,
    unread: Arc<AtomicUsize>,
}

/// The most bytes that the parser is given before it comes on: long enough for any head of a part.
const UNREAD_BYTES: usize = 64 * 1024;
/// The most bytes that it is given at a time.
const PIECE_BYTES: usize = 64 * 1024;

impl Form {
    /// Reads a request as a form.
    ///
    /// # Errors
    /// Fails where the request does not say that it is one.
    pub async fn open(request: Request) -> Result<Self, MultipartRejection> {
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
        let parts = Multipart::from_request(request, &()).await?;
        Ok(Self { parts, body, unread })
    }

    /// The next part.
    ///
    /// # Errors
    /// Fails where the form is broken or cut off, or has too much before the part's content.
    pub async fn next_field(&mut self) -> Result<Option<FormField<'_>>, MultipartError> {
        let part = self.parts.next_field().await?;
        self.unread.store(0, Ordering::Relaxed);
        Ok(part.map(|part| FormField { part, unread: Arc::clone(&self.unread) }))
    }

    /// The rest of the body.
    pub fn into_body(self) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static {
        self.body
    }
}

impl FormField<'_> {
    /// The part's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.part.name()
    }

    /// The file's name, where the part is a file.
    #[must_use]
    pub fn file_name(&self) -> Option<Cow<'_, str>> {
        let unusual = || {
            let disposition = self.part.headers().get(CONTENT_DISPOSITION)?;
            disposition::file_name(disposition.as_bytes()).map(Cow::Owned)
        };
        self.part.file_name().map(Cow::Borrowed).or_else(unusual)
    }

    /// The type that the client names.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.part.content_type()
    }

    /// The next bytes of the content.
    ///
    /// # Errors
    /// Fails where the form is broken or cut off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        let bytes = self.part.chunk().await?;
        self.unread.store(0, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// The body of a request, which the parser has and whoever refuses the form goes on with. Never asked by both at a time.
#[derive(Clone, Debug)]
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

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;

    use super::*;

    /// The bytes that are taken of a body without end before its form is refused.
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

    #[tokio::test]
    async fn the_content_of_a_part_may_be_long() {
        let body = [
            "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
            &"a".repeat(1 << 20),
            "\r\n--B--\r\n",
        ];
        let pieces = body.map(|piece| Ok::<_, std::convert::Infallible>(Bytes::from(piece.to_owned())));
        let request = Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=B");
        let request = request.body(Body::from_stream(futures::stream::iter(pieces))).unwrap();
        let mut form = Form::open(request).await.unwrap();
        let mut field = form.next_field().await.unwrap().unwrap();
        let mut length = 0;
        while let Some(bytes) = field.chunk().await.unwrap() {
            length += bytes.len();
        }
        assert_eq!((field.name(), length), (Some("file"), 1 << 20));
        drop(field);
        assert!(form.next_field().await.unwrap().is_none());
    }
}
