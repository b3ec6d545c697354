use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use super::grey::Turn;
use super::{ExtractError, FileKind, Limits, Warning, WarningCode};

/// Refuses a picture by the size that its header tells, before anything unpacks it: a few kilobytes can hold a
/// picture of four thousand million pixels. Says what of it will not be read.
pub(super) fn check(path: &Path, kind: FileKind, limits: &Limits) -> Result<Vec<Warning>, ExtractError> {
    let file = File::open(path).map_err(ExtractError::io("open the document"))?;
    let mut source = BufReader::new(file);
    size_within(kind, &mut source, limits)?
        .ok_or_else(|| ExtractError::unreadable(kind, "its header tells no size"))?;
    let frames = frames(kind, &mut source).unwrap_or(1);
    let message = || format!("only the first of {frames} pictures of the animation was read");
    Ok((frames > 1).then(|| Warning::new(WarningCode::FramesLeftOut, message())).into_iter().collect())
}

/// The size of a picture in memory; `None` if its header has none.
pub(super) fn size_in(
    kind: FileKind,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Option<(u32, u32)>, ExtractError> {
    size_within(kind, &mut Cursor::new(bytes), limits)
}

/// The size of a picture, unless it is too large.
pub(super) fn size_within(
    kind: FileKind,
    source: &mut (impl Read + Seek),
    limits: &Limits,
) -> Result<Option<(u32, u32)>, ExtractError> {
    let size = match size(kind, source) {
        Ok(size) => size,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => return Err(ExtractError::io("read the document")(error)),
    };
    let size = size.filter(|(width, height)| *width > 0 && *height > 0);
    let within = |(width, height)| u64::from(width) * u64::from(height) <= limits.image_pixels;
    match size {
        Some(size) if !within(size) => Err(ExtractError::ImageTooLarge { limit: limits.image_pixels }),
        size => Ok(size),
    }
}

/// The turn that a camera wrote beside a picture: it stores what its sensor saw, and how it was held.
pub(super) fn turn(kind: FileKind, source: &mut (impl Read + Seek)) -> Turn {
    let orientation = match exif(kind, source) {
        Ok(Some(exif)) => orientation(&exif),
        _ => None,
    };
    Turn::from_exif(orientation.unwrap_or(1))
}

/// Width and height in pixels; `None` where the header is not that of such a picture.
fn size(kind: FileKind, source: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    source.rewind()?;
    match kind {
        FileKind::Png => png(source),
        FileKind::Gif => gif(source),
        FileKind::Jpeg => jpeg(source),
        FileKind::Webp => webp(source),
        _ => Ok(None),
    }
}

fn png(source: &mut impl Read) -> io::Result<Option<(u32, u32)>> {
    let head: [u8; 24] = take(source)?;
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Ok((head[12..16] == *b"IHDR").then(|| (number(16), number(20))))
}

/// The larger of the screen and the first picture on it, which may reach beyond.
fn gif(source: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    let screen = gif_screen(source)?;
    let first = match gif_next(source) {
        Ok(Some(first)) => first,
        _ => (0, 0),
    };
    Ok(Some((screen.0.max(first.0), screen.1.max(first.1))))
}

fn gif_screen(source: &mut (impl Read + Seek)) -> io::Result<(u32, u32)> {
    let head: [u8; 13] = take(source)?;
    skip_colours(head[10], source)?;
    Ok((le16(&head[6..]), le16(&head[8..])))
}

/// Goes to the next picture of a GIF and returns its size; its data is still to be skipped.
fn gif_next(source: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    loop {
        match take(source)? {
            [0x2C] => {
                let head: [u8; 9] = take(source)?;
                skip_colours(head[8], source)?;
                return Ok(Some((le16(&head[4..]), le16(&head[6..]))));
            }
            [0x21] => {
                let [_label] = take(source)?;
                skip_blocks(source)?;
            }
            _ => return Ok(None),
        }
    }
}

fn skip_colours(flags: u8, source: &mut impl Seek) -> io::Result<()> {
    let colours = if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    source.seek(SeekFrom::Current(colours)).map(drop)
}

fn skip_blocks(source: &mut (impl Read + Seek)) -> io::Result<()> {
    loop {
        match take(source)? {
            [0] => return Ok(()),
            [length] => source.seek(SeekFrom::Current(length.into()))?,
        };
    }
}

/// The number of pictures of an animation, 1 for one that stands still.
fn frames(kind: FileKind, source: &mut (impl Read + Seek)) -> io::Result<usize> {
    source.rewind()?;
    match kind {
        FileKind::Gif => {
            gif_screen(source)?;
            let mut frames = 0;
            while let Ok(Some(_)) = gif_next(source) {
                frames += 1;
                let [_code_size] = take(source)?;
                skip_blocks(source)?;
            }
            Ok(frames)
        }
        FileKind::Webp => {
            let mut frames = 0;
            chunks(source, 12, &mut |name, _, _| {
                frames += usize::from(name == *b"ANMF");
                Ok(Search::GoOn)
            })?;
            Ok(frames)
        }
        FileKind::Png => {
            let mut frames = 1;
            png_chunks(source, &mut |name, data| {
                if name == *b"acTL" && data.len() >= 4 {
                    frames = usize::try_from(be32(data)).unwrap_or(1);
                }
            })?;
            Ok(frames)
        }
        _ => Ok(1),
    }
}

type Visit<'a, S> = dyn FnMut([u8; 4], &mut S, u64) -> io::Result<Search> + 'a;

enum Search {
    GoOn,
    Done,
}

/// Shows the chunks of a RIFF file from `start` on: name, place and length of the data.
fn chunks<S: Read + Seek>(source: &mut S, start: u64, visit: &mut Visit<'_, S>) -> io::Result<()> {
    let mut at = start;
    loop {
        source.seek(SeekFrom::Start(at))?;
        let Ok(head) = take::<8>(source) else { return Ok(()) };
        let length = u64::from(le32(&head[4..]));
        let name = [head[0], head[1], head[2], head[3]];
        if matches!(visit(name, source, length)?, Search::Done) {
            return Ok(());
        }
        at += 8 + length + (length & 1);
    }
}

/// Shows the small chunks of a PNG.
fn png_chunks(source: &mut (impl Read + Seek), visit: &mut dyn FnMut([u8; 4], &[u8])) -> io::Result<()> {
    source.seek(SeekFrom::Start(8))?;
    while let Ok(head) = take::<8>(source) {
        let length = be32(&head);
        if length <= MAX_EXIF_BYTES {
            let mut data = Vec::new();
            source.by_ref().take(length.into()).read_to_end(&mut data)?;
            visit([head[4], head[5], head[6], head[7]], &data);
        } else {
            source.seek(SeekFrom::Current(length.into()))?;
        }
        source.seek(SeekFrom::Current(4))?;
    }
    Ok(())
}

const MAX_EXIF_BYTES: u32 = 64 * 1024;

/// The camera's notes beside a picture.
fn exif(kind: FileKind, source: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let mut found = None;
    match kind {
        FileKind::Jpeg => {
            source.seek(SeekFrom::Start(2))?;
            loop {
                let [0xFF, marker] = take(source)? else { return Ok(None) };
                if matches!(marker, 0xDA | 0xD9 | 0xFF) {
                    return Ok(None);
                }
                let length = u16::from_be_bytes(take(source)?).saturating_sub(2);
                let mut data = vec![0; length.into()];
                source.read_exact(&mut data)?;
                if marker == 0xE1 && data.starts_with(b"Exif\0") {
                    return Ok(Some(data.split_off(6.min(data.len()))));
                }
            }
        }
        FileKind::Png => png_chunks(source, &mut |name, data| {
            if name == *b"eXIf" {
                found = Some(data.to_vec());
            }
        })?,
        FileKind::Webp => chunks(source, 12, &mut |name, source, length| {
            if name != *b"EXIF" || length > MAX_EXIF_BYTES.into() {
                return Ok(Search::GoOn);
            }
            let mut data = Vec::new();
            source.by_ref().take(length).read_to_end(&mut data)?;
            let bare = data.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec);
            found = Some(bare.unwrap_or(data));
            Ok(Search::Done)
        })?,
        _ => {}
    }
    Ok(found)
}

/// Tag 274 of the first directory of a TIFF, which is the form of EXIF.
fn orientation(exif: &[u8]) -> Option<u16> {
    let is_little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = [*exif.get(at)?, *exif.get(at + 1)?];
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let (a, b) = (u32::from(short(at)?), u32::from(short(at + 2)?));
        Some(if is_little { a | b << 16 } else { a << 16 | b })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(directory)?);
    let mut entries = (0..entries).map(|entry| directory + 2 + 12 * entry);
    let entry = entries.find(|entry| short(*entry) == Some(274))?;
    short(entry + 8)
}

/// The first picture of an animated WebP as a WebP of its own; `None` for one that stands still.
pub(super) fn first_frame(webp: &[u8]) -> Option<Vec<u8>> {
    let mut source = Cursor::new(webp);
    let mut frame = None;
    chunks(&mut source, 12, &mut |name, source, length| {
        if name != *b"ANMF" {
            return Ok(Search::GoOn);
        }
        let mut data = Vec::new();
        source.by_ref().take(length).read_to_end(&mut data)?;
        frame = Some(data);
        Ok(Search::Done)
    })
    .ok()?;
    let frame = frame.filter(|frame| frame.len() > 16)?;
    let mut body = b"WEBP".to_vec();
    if frame[16..].starts_with(b"ALPH") {
        // Transparency stands only beside a header that announces it.
        body.extend_from_slice(b"VP8X\x0A\0\0\0\x10\0\0\0");
        body.extend_from_slice(&frame[6..12]);
    }
    body.extend_from_slice(&frame[16..]);
    let length = u32::try_from(body.len()).ok()?;
    Some([&b"RIFF"[..], &length.to_le_bytes(), &body].concat())
}

fn le16(bytes: &[u8]) -> u32 {
    u32::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The size stands in the first frame header, after segments (a camera's notes, a colour profile) that begin with their
/// lengths.
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
    use super::*;

    fn sized(kind: FileKind, bytes: &[u8]) -> Option<(u32, u32)> {
        size(kind, &mut Cursor::new(bytes)).ok().flatten()
    }

    #[test]
    fn sizes_are_read_from_headers() {
        let png = b"\x89PNG\r\n\x1A\n\x00\x00\x00\x0DIHDR\x00\x00\x01\x00\x00\x00\x00\x80";
        assert_eq!(sized(FileKind::Png, png), Some((256, 128)));
        assert_eq!(sized(FileKind::Gif, b"GIF89a\x2C\x01\xC8\x00\0\0\0"), Some((300, 200)));
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
    fn a_picture_of_a_gif_that_is_larger_than_its_screen_counts() {
        let gif = b"GIF89a\x0A\0\x0A\0\0\0\0\x21\xF9\x02ab\0,\0\0\0\0\x40\x9C\x40\x9C\0";
        assert_eq!(sized(FileKind::Gif, gif), Some((40_000, 40_000)));
    }

    #[test]
    fn the_turn_of_a_picture_is_read_in_both_orders_and_from_every_format() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        for exif in [&little[..], &big[..]] {
            assert_eq!(orientation(exif), Some(6));
            let length = u8::try_from(exif.len()).unwrap();
            let jpeg = [&[0xFF, 0xD8, 0xFF, 0xE1, 0, length + 8][..], b"Exif\0\0", exif].concat();
            let png = [&b"\x89PNG\r\n\x1A\n\0\0\0"[..], &[length], b"eXIf", exif, b"crc!"].concat();
            let webp = [&b"RIFF....WEBPEXIF"[..], &[length, 0, 0, 0], exif].concat();
            for (kind, bytes) in [(FileKind::Jpeg, jpeg), (FileKind::Png, png), (FileKind::Webp, webp)] {
                assert_eq!(turn(kind, &mut Cursor::new(bytes)), Turn::Right, "{kind:?}");
            }
        }
        assert_eq!(orientation(b"II*\0\xFF\xFF\xFF\xFF"), None);
        assert_eq!(turn(FileKind::Jpeg, &mut Cursor::new(b"\xFF\xD8\xFF\xDA")), Turn::None);
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
