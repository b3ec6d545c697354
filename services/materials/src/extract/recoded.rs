use std::io::{self, Read};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// XML of any encoding as UTF-8: by its mark, by its first bytes, or by what its declaration says.
pub(super) struct Utf8<R> {
    pub(super) source: R,
    /// `None` for a source that is UTF-8 as it comes.
    decoder: Option<Decoder>,
    /// What is ready to be read, and how much of it was.
    ready: Vec<u8>,
    given: usize,
    is_begun: bool,
    is_over: bool,
}

/// The first bytes, which hold the whole of a declaration.
const HEAD_BYTES: usize = 256;
/// Bytes that are decoded at a time.
const PIECE_BYTES: usize = 8 * 1024;

impl<R: Read> Utf8<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, decoder: None, ready: Vec::new(), given: 0, is_begun: false, is_over: false }
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut head = vec![0; HEAD_BYTES];
        let mut length = 0;
        while length < HEAD_BYTES {
            match self.source.read(&mut head[length..])? {
                0 => break,
                more => length += more,
            }
        }
        head.truncate(length);
        self.is_begun = true;
        match encoding(&head) {
            Some(encoding) => {
                self.decoder = Some(encoding.new_decoder_with_bom_removal());
                self.decode(&head);
            }
            None => self.ready = head,
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) {
        let Some(decoder) = &mut self.decoder else { return };
        // There is always room for all of it.
        let room = decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(4 * bytes.len() + 16);
        let mut text = String::with_capacity(room);
        let _ = decoder.decode_to_string(bytes, &mut text, self.is_over);
        (self.ready, self.given) = (text.into_bytes(), 0);
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_begun {
            self.begin()?;
        }
        let mut piece = [0; PIECE_BYTES];
        while self.given == self.ready.len() {
            if self.decoder.is_none() {
                return self.source.read(buffer);
            }
            if self.is_over {
                return Ok(0);
            }
            let length = self.source.read(&mut piece)?;
            self.is_over = length == 0;
            self.decode(&piece[..length]);
        }
        let length = buffer.len().min(self.ready.len() - self.given);
        buffer[..length].copy_from_slice(&self.ready[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

/// The encoding that a document begins in; `None` for UTF-8, and for one that tells none.
fn encoding(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0xFF, 0xFE, ..] | [b'<', 0, ..] => return Some(UTF_16LE),
        [0xFE, 0xFF, ..] | [0, b'<', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let rest = head.strip_prefix(b"<?xml")?;
    let end = rest.windows(2).position(|end| end == b"?>")?;
    let (_, told) = std::str::from_utf8(&rest[..end]).ok()?.split_once("encoding")?;
    let told = told.trim_start().strip_prefix('=')?.trim_start();
    let label = told.trim_start_matches(['"', '\'']).split(['"', '\'']).next()?;
    let found = Encoding::for_label(label.as_bytes())?;
    // What could be read so far is in no encoding of two bytes, whatever it says.
    (found != UTF_8 && found.output_encoding() == found).then_some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A source that gives a few bytes at a time.
    pub(in super::super) struct Drops<'a>(pub(in super::super) &'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.0.len()).min(3);
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn read(bytes: &[u8]) -> String {
        let mut text = String::new();
        Utf8::new(Drops(bytes)).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn documents_are_utf8_whatever_they_were_saved_in() {
        let said =
            format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>{}</a>", "光合成 Grüße 😀 ".repeat(900));
        let marked = format!("\u{FEFF}{said}");
        for text in [&said, &marked] {
            let wide = |to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
            assert_eq!(read(&wide(u16::to_le_bytes)), said);
            assert_eq!(read(&wide(u16::to_be_bytes)), said);
        }
        assert_eq!(read(said.as_bytes()), said, "it says UTF-16, and is read as it is");
    }

    #[test]
    fn the_declaration_tells_an_old_encoding() {
        for label in ["ISO-8859-1", "windows-1252", "latin1"] {
            let text = format!("<?xml version='1.0' encoding='{label}'?><a>{}</a>", "Käse, ".repeat(2_000));
            let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(&text);
            assert_eq!(read(&bytes), text);
        }
        for text in ["<?xml version=\"1.0\" encoding=\"utf-8\"?><a>é</a>", "<a>é</a>", "", "<?xml"] {
            assert_eq!(read(text.as_bytes()), text);
        }
    }
}
