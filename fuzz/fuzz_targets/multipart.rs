//! Forms with files. The first byte says into pieces of which size the network has cut it.
#![no_main]

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::{StreamExt, stream};
use libfuzzer_sys::fuzz_target;
use service_support::Form;

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, form)) = bytes.split_first() else { return };
    let pieces: Vec<_> = form
        .chunks(usize::from(size) + 1)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    longhaul_fuzz::block_on(async {
        let request = Request::post("/").header("content-type", "multipart/form-data; boundary=b");
        let request = request.body(Body::from_stream(stream::iter(pieces))).expect("a request");
        let Ok(mut form) = Form::open(request).await else { return };
        while let Ok(Some(mut field)) = form.next_field().await {
            let _ = (
                field.name().map(str::len),
                field.file_name().map(|name| name.len()),
                field.content_type().map(str::len),
            );
            while let Ok(Some(_)) = field.chunk().await {}
        }
        let mut rest = form.into_body();
        while let Some(Ok(_)) = rest.next().await {}
    });
});
