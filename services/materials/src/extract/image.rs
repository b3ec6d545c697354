use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::{ExtractError, FileKind, Limits};

/// Refuses a picture by the size that its header tells, before anything unpacks it: a few kilobytes can hold a
/// picture of four thousand million pixels.
pub(super) fn check(path: &Path, kind: FileKind, limits: &Limits) -> Result<(), ExtractError> {
    let file = File::open(path).map_err(ExtractError::io("open the document"))?;
    let size = match size(kind, &mut BufReader::new(file)) {
        Ok(size) => size,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => return Err(ExtractError::io("read the document")(error)),
    };
    match size {
        Some((width, height)) if width > 0 && height > 0 => {
            let within = u64::from(width) * u64::from(height) <= limits.image_pixels;
            within.then_some(()).ok_or(ExtractError::ImageTooLarge { limit: limits.image_pixels })
        }
        _ => Err(ExtractError::unreadable(kind, "its header tells no size")),
    }
}

/// Width and height in pixels; `None` where the header is not that of such a picture.
fn size(kind: FileKind, source: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    match kind {
        FileKind::Png => png(source),
        FileKind::Gif => gif(source),
        FileKind::Jpeg => jpeg(source),
        FileKind::Webp => webp(source),
        FileKind::Pdf | FileKind::Docx | FileKind::Pptx | FileKind::Text | FileKind::Markdown => Ok(None),
    }
}

fn png(source: &mut impl Read) -> io::Result<Option<(u32, u32)>> {
    let head: [u8; 24] = take(source)?;
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Ok((head[12..16] == *b"IHDR").then(|| (number(16), number(20))))
}

fn gif(source: &mut impl Read) -> io::Result<Option<(u32, u32)>> {
    let head: [u8; 10] = take(source)?;
    let number = |at: usize| u32::from(u16::from_le_bytes([head[at], head[at + 1]]));
    Ok(Some((number(6), number(8))))
}

/// The size stands in the first frame header, after segments (a camera's notes, a colour profile) that tell
/// their own lengths.
fn jpeg(source: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    let [0xFF, 0xD8] = take(source)? else { return Ok(None) };
    loop {
        let [0xFF, mut marker] = take(source)? else { return Ok(None) };
        // Any number of fill bytes may stand before a marker.
        while marker == 0xFF {
            [marker] = take(source)?;
        }
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let [_, _, _, h1, h2, w1, w2] = take(source)?;
                return Ok(Some((u16::from_be_bytes([w1, w2]).into(), u16::from_be_bytes([h1, h2]).into())));
            }
            // The picture's data begins, or the file ends: no frame header came.
            0xDA | 0xD9 => return Ok(None),
            0x01 | 0xD0..=0xD7 => {}
            _ => {
                let length = u16::from_be_bytes(take(source)?);
                let Some(rest) = length.checked_sub(2) else { return Ok(None) };
                source.seek(SeekFrom::Current(rest.into()))?;
            }
        }
    }
}

fn webp(source: &mut impl Read) -> io::Result<Option<(u32, u32)>> {
    let head: [u8; 30] = take(source)?;
    let short = |at: usize| u32::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let long = |at: usize| short(at) | u32::from(head[at + 2]) << 16;
    Ok(match &head[12..16] {
        b"VP8 " if head[23..26] == [0x9D, 0x01, 0x2A] => Some((short(26) & 0x3FFF, short(28) & 0x3FFF)),
        b"VP8L" if head[20] == 0x2F => {
            let bits = short(21) | short(23) << 16;
            Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        }
        b"VP8X" => Some((long(24) + 1, long(27) + 1)),
        _ => None,
    })
}

fn take<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn sized(kind: FileKind, bytes: &[u8]) -> Option<(u32, u32)> {
        size(kind, &mut Cursor::new(bytes)).ok().flatten()
    }

    #[test]
    fn sizes_are_read_from_headers() {
        let png = b"\x89PNG\r\n\x1A\n\x00\x00\x00\x0DIHDR\x00\x00\x01\x00\x00\x00\x00\x80";
        assert_eq!(sized(FileKind::Png, png), Some((256, 128)));
        assert_eq!(sized(FileKind::Gif, b"GIF89a\x2C\x01\xC8\x00"), Some((300, 200)));
        let jpeg = b"\xFF\xD8\xFF\xE1\x00\x04\xFF\xC0\xFF\xFF\xC2\x00\x11\x08\x00\x64\x00\xC8\x03";
        assert_eq!(sized(FileKind::Jpeg, jpeg), Some((200, 100)));
        let lossy = b"RIFF....WEBPVP8 \x00\x00\x00\x00...\x9D\x01\x2A\x40\x01\xF0\x00";
        assert_eq!(sized(FileKind::Webp, lossy), Some((320, 240)));
        let lossless = b"RIFF....WEBPVP8L\x00\x00\x00\x00\x2F\x3F\xC1\x3B\x00.....";
        assert_eq!(sized(FileKind::Webp, lossless), Some((320, 240)));
        let extended = b"RIFF....WEBPVP8X\x0A\x00\x00\x00\x00\x00\x00\x00\x3F\x01\x00\xEF\x00\x00";
        assert_eq!(sized(FileKind::Webp, extended), Some((320, 240)));
    }

    #[test]
    fn headers_that_are_cut_or_run_in_circles_tell_no_size() {
        assert_eq!(sized(FileKind::Png, b"\x89PNG"), None);
        assert_eq!(sized(FileKind::Jpeg, b"\xFF\xD8\xFF\xE1\x00\x00\xFF\xE1"), None);
        assert_eq!(sized(FileKind::Jpeg, b"\xFF\xD8\xFF\xDA\x00\x02"), None);
        assert_eq!(sized(FileKind::Webp, &[b"RIFF....WEBPANIM", &[0; 20][..]].concat()), None);
    }

    #[test]
    fn a_picture_that_would_unpack_to_too_much_is_refused_by_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.png");
        std::fs::write(&path, b"\x89PNG\r\n\x1A\n\x00\x00\x00\x0DIHDR\x00\x00\xFF\xFF\x00\x00\xFF\xFF")
            .unwrap();
        let refused = check(&path, FileKind::Png, &Limits::default()).unwrap_err();
        assert_eq!(refused.to_string(), "Image exceeds 100 megapixels");
        assert!(refused.is_final());
        std::fs::write(&path, b"\x89PNG").unwrap();
        let broken = check(&path, FileKind::Png, &Limits::default()).unwrap_err();
        assert_eq!(broken.to_string(), "Image cannot be read");
    }
}
