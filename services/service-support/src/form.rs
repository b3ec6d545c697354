//! Multipart forms whose parts stream through, with a bound on what is held of each.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::{self, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use futures::Stream;

/// The most bytes that may come before a part's content: what stands before the first part, or what is left of the part
/// before, and the part's headers. A parser holds them until they are whole.
const MAX_BETWEEN: usize = 64 * 1024;

/// A multipart form, part by part.
#[derive(Debug)]
pub struct Form {
    parts: Multipart,
    left: Arc<AtomicUsize>,
}

/// A part of a form.
#[derive(Debug)]
pub struct FormField<'a> {
    field: multipart::Field<'a>,
    left: Arc<AtomicUsize>,
}

impl Form {
    /// Reads a request as a form.
    ///
    /// # Errors
    /// Fails where the request does not say that it is one.
    pub async fn open(request: Request) -> Result<Self, MultipartRejection> {
        let left = Arc::new(AtomicUsize::new(MAX_BETWEEN));
        let request = request.map(|body| {
            let left = Arc::clone(&left);
            Body::from_stream(Counted { body: body.into_data_stream(), left, has_yielded: false })
        });
        Ok(Self { parts: Multipart::from_request(request, &()).await?, left })
    }

    /// The next part; what was not read of the one before is left out, up to the bound.
    ///
    /// # Errors
    /// Fails where the form is broken or cut off, or has too much between the contents of two parts.
    pub async fn next_field(&mut self) -> Result<Option<FormField<'_>>, MultipartError> {
        self.left.store(MAX_BETWEEN, Ordering::Relaxed);
        let left = Arc::clone(&self.left);
        Ok(self.parts.next_field().await?.map(|field| FormField { field, left }))
    }
}

impl FormField<'_> {
    /// The part's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.field.name()
    }

    /// The file's name, where the part is a file.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// The type that the client names.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.field.content_type()
    }

    /// The next bytes of the content.
    ///
    /// # Errors
    /// Fails where the form is broken or cut off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        self.left.store(MAX_BETWEEN, Ordering::Relaxed);
        self.field.chunk().await
    }
}

/// A body that fails when more is drawn from it than is left.
struct Counted {
    body: BodyDataStream,
    left: Arc<AtomicUsize>,
    has_yielded: bool,
}

impl Stream for Counted {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        // The parser draws all that is ready before it looks at any of it: it is given one piece at a time.
        if std::mem::take(&mut this.has_yielded) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = this.left.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Some(Err(io::Error::other("a part's headers are too long").into())));
        }
        let next = std::task::ready!(Pin::new(&mut this.body).poll_next(cx));
        if let Some(Ok(bytes)) = &next {
            this.has_yielded = true;
            this.left.store(left.saturating_sub(bytes.len()), Ordering::Relaxed);
        }
        Poll::Ready(next.map(|bytes| bytes.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    /// A form that begins with `start` and goes on with 1 MiB of `filler`, in pieces; the number of pieces drawn.
    async fn drawn(start: &'static str, filler: &'static str) -> (bool, usize) {
        let drawn = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&drawn);
        let piece = Bytes::from(filler.repeat(16 * 1024 / filler.len()));
        let pieces = std::iter::once(Bytes::from(start)).chain(std::iter::repeat_n(piece, 64));
        let body = stream::iter(pieces.map(Ok::<_, io::Error>)).inspect(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let request = Request::builder().header("content-type", "multipart/form-data; boundary=B");
        let mut form = Form::open(request.body(Body::from_stream(body)).unwrap()).await.unwrap();
        let mut is_ok = true;
        loop {
            match form.next_field().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    is_ok = false;
                    break;
                }
            }
        }
        (is_ok, drawn.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_is_held_between_the_contents_of_parts_is_bounded() {
        let header = "--B\r\nContent-Disposition: form-data; name=\"x\"\r\nX-A: ";
        let name = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"";
        let unread = "--B\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n";
        for start in ["", header, name, unread] {
            let (is_ok, drawn) = drawn(start, "a").await;
            assert!(!is_ok && drawn <= 6, "{start:?}: {drawn} pieces of 16 KiB were drawn");
        }
    }

    #[tokio::test]
    async fn the_content_of_a_part_may_be_long() {
        let body = [
            "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
            &"a".repeat(1 << 20),
            "\r\n--B--\r\n",
        ];
        let body = stream::iter(body.map(|piece| Ok::<_, io::Error>(Bytes::from(piece.to_owned()))));
        let request = Request::builder().header("content-type", "multipart/form-data; boundary=B");
        let mut form = Form::open(request.body(Body::from_stream(body)).unwrap()).await.unwrap();
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
