use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::encoding::{self, Encoding};
use super::tidy::{PART_BYTES, tidy};
use super::{ExtractError, FileKind, PageText, PlannedPage, Warning, WarningCode};

/// Cuts a text file into parts between lines, so that no more than one is ever held in memory.
pub(super) fn inspect(path: &Path, kind: FileKind) -> Result<Vec<PlannedPage>, ExtractError> {
    let mut file = File::open(path).map_err(ExtractError::io("open the document"))?;
    let parts = cut(&mut file).map_err(ExtractError::io("read the document"))?;
    let (encoding, parts) = parts.ok_or_else(|| ExtractError::unreadable(kind, "it is no text"))?;
    Ok(parts.into_iter().map(|bytes| PlannedPage::Part(Part { bytes, encoding })).collect())
}

/// A part of a text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    bytes: Range<u64>,
    encoding: Encoding,
}

/// Reads one part.
pub(super) fn part(path: &Path, part: &Part) -> Result<PageText, ExtractError> {
    let length = usize::try_from(part.bytes.end - part.bytes.start).unwrap_or_default();
    let mut bytes = vec![0; length];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(part.bytes.start))?;
        file.read_exact(&mut bytes)
    });
    read.map_err(ExtractError::io("read the document"))?;
    let decoded = part.encoding.decode(&bytes);
    let warnings = odd_bytes(decoded.odd).into_iter().collect();
    Ok(PageText { text: tidy(&decoded.text), warnings })
}

/// Reads a file of text whole.
pub(super) fn whole(bytes: &[u8], kind: FileKind) -> Result<PageText, ExtractError> {
    let found = encoding::detect(&mut &*bytes).map_err(ExtractError::io("read the document"))?;
    let found = found.ok_or_else(|| ExtractError::unreadable(kind, "it is no text"))?;
    Ok(decoded(found, &bytes[found.mark(bytes)..]))
}

/// The text that bytes stand for in an encoding.
pub(super) fn decoded(encoding: Encoding, bytes: &[u8]) -> PageText {
    let decoded = encoding.decode(bytes);
    PageText { text: decoded.text, warnings: odd_bytes(decoded.odd).into_iter().collect() }
}

fn odd_bytes(count: usize) -> Option<Warning> {
    let message = match count {
        0 => return None,
        1 => "1 character that is no part of a text was left out".to_owned(),
        count => format!("{count} characters that are no part of a text were left out"),
    };
    Some(Warning { page: None, code: WarningCode::OddCharacters, message })
}

fn cut(file: &mut File) -> io::Result<Option<(Encoding, Vec<Range<u64>>)>> {
    let Some(encoding) = encoding::detect(file)? else { return Ok(None) };
    file.rewind()?;
    let mut head = [0; 4];
    let head_length = file.read(&mut head)?;
    let start = encoding.mark(&head[..head_length]) as u64;
    file.seek(SeekFrom::Start(start))?;
    let unit = encoding.unit();
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let (mut at, mut from) = (start, start);
    let mut parts = Vec::new();
    let mut bytes = [0; 4];
    while reader.read_exact(&mut bytes[..unit]).is_ok() {
        // Only the ends of lines of one byte, or of a unit of which one byte is that and the others are zero.
        let is_end = bytes[..unit].iter().filter(|byte| **byte == b'\n').count() == 1
            && bytes[..unit].iter().all(|byte| matches!(byte, 0 | b'\n'));
        // In an old encoding the begin of a character looks like the middle of another, so that only lines end there.
        let is_long = at - from >= 2 * PART_BYTES as u64;
        let may_cut = match encoding {
            Encoding::Known(_) => encoding.is_utf8() && bytes[0] & 0xC0 != 0x80,
            Encoding::Utf16(_) => !bytes[..2].iter().any(|byte| matches!(byte, 0xDC..=0xDF)),
            Encoding::Utf32(_) => true,
            Encoding::Dos(_) => false,
        };
        if is_long && may_cut {
            parts.push(from..at);
            from = at;
        }
        at += unit as u64;
        if is_end && at - from >= PART_BYTES as u64 {
            parts.push(from..at);
            from = at;
        }
    }
    if at > from || parts.is_empty() {
        parts.push(from..at);
    }
    Ok(Some((encoding, parts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<PageText> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        let parts = inspect(&path, FileKind::Text).unwrap();
        let read = parts.iter().map(|page| match page {
            PlannedPage::Part(one) => part(&path, one).unwrap(),
            page => panic!("{page:?}"),
        });
        read.collect()
    }

    #[test]
    fn a_long_text_is_read_in_parts_that_hold_every_line() {
        let text: String = (0..20_000).map(|n| format!("Zeile {n} über Licht\n")).collect();
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [text.as_bytes(), &utf16] {
            let parts: Vec<String> = read(bytes).into_iter().map(|part| part.text).collect();
            assert!(parts.len() > 5 && parts.iter().all(|part| part.len() < 2 * PART_BYTES));
            assert_eq!(parts.join("\n"), text.trim_end());
        }
    }

    #[test]
    fn a_text_without_lines_is_cut_between_characters() {
        let text = "光合作用".repeat(40_000);
        let parts: Vec<String> = read(text.as_bytes()).into_iter().map(|part| part.text).collect();
        assert!(parts.len() > 2);
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn what_was_left_out_is_told() {
        let parts = read(b"Good\x00 text\n");
        assert_eq!(parts[0].text, "Good text");
        assert_eq!(parts[0].warnings[0].code, WarningCode::OddCharacters);
    }
}
