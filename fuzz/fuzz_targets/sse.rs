//! The events that a provider streams, cut into pieces anywhere: the same events come of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, stream)) = bytes.split_first() else { return };
    longhaul_fuzz::block_on(async {
        let whole = service_support::fuzzing::events(stream, usize::MAX).await;
        let pieces = service_support::fuzzing::events(stream, usize::from(size) + 1).await;
        // Where the bytes are no text, how many events come before the end depends on the pieces.
        if std::str::from_utf8(stream).is_ok() {
            assert_eq!(whole, pieces);
        }
    });
});
