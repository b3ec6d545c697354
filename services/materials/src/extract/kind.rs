use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{package, plain};

/// The kinds of file that a course takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `application/pdf`
    Pdf,
    /// Word, Office Open XML.
    Docx,
    /// PowerPoint, Office Open XML.
    Pptx,
    /// Plain text: UTF-8, or UTF-16 with a byte order mark.
    Text,
    /// Plain text in a file named `.md` or `.markdown`.
    Markdown,
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/gif`; of an animation the first picture counts.
    Gif,
    /// `image/webp`, not animated.
    Webp,
}

/// As many first bytes of a file as [`sniff`] makes use of.
pub const SNIFF_BYTES: usize = 8 * 1024;

/// The kind of a file, by its first bytes ([`SNIFF_BYTES`], or all that it has); `None` if it is not taken. The
/// name decides only what bytes cannot: whether a text is Markdown and, until all of it is there for
/// [`sniff_file`], which of the Office formats a zip is.
#[must_use]
pub fn sniff(first_bytes: &[u8], file_name: &str) -> Option<FileKind> {
    let head = first_bytes.get(..SNIFF_BYTES).unwrap_or(first_bytes);
    if head.starts_with(b"PK\x03\x04") {
        return office_by_head(head, &extension(file_name));
    }
    by_magic(head).or_else(|| text(head, file_name))
}

/// The kind of the file at `path`: [`sniff`], the table of contents of a zip, and the rest of a text. It reads the
/// disk, so call it where blocking is allowed.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn sniff_file(path: &Path, file_name: &str) -> io::Result<Option<FileKind>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    File::open(path)?.take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    let kind = sniff(&head, file_name);
    match kind {
        Some(FileKind::Docx | FileKind::Pptx) => package::kind_of(path),
        Some(FileKind::Text | FileKind::Markdown) if !plain::is_text(path)? => Ok(None),
        kind => Ok(kind),
    }
}

impl FileKind {
    /// The media type.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Pptx => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            Self::Text => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// The kind whose [`mime`](Self::mime) this is.
    #[must_use]
    pub fn from_mime(mime: &str) -> Option<Self> {
        use FileKind::{Docx, Gif, Jpeg, Markdown, Pdf, Png, Pptx, Text, Webp};
        [Pdf, Docx, Pptx, Text, Markdown, Jpeg, Png, Gif, Webp].into_iter().find(|kind| kind.mime() == mime)
    }

    /// True for pictures, which only OCR can read.
    #[must_use]
    pub fn is_image(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::Webp)
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Pdf => "PDF",
            Self::Docx | Self::Pptx | Self::Text | Self::Markdown => "Document",
            Self::Jpeg | Self::Png | Self::Gif | Self::Webp => "Image",
        }
    }
}

/// Whole signatures only: tesseract takes a file whose format it does not know for a list of other files to
/// read, so nothing may pass for a picture that is not surely one.
fn by_magic(head: &[u8]) -> Option<FileKind> {
    // Mail gateways and old web servers leave blank lines or a byte order mark before a PDF.
    let unmarked = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    if unmarked.trim_ascii_start().starts_with(b"%PDF-") {
        return Some(FileKind::Pdf);
    }
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some(FileKind::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(FileKind::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(FileKind::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(FileKind::Webp),
        _ => None,
    }
}

fn text(head: &[u8], file_name: &str) -> Option<FileKind> {
    if !plain::looks_like_text(head) {
        return None;
    }
    let is_markdown = matches!(extension(file_name).as_str(), "md" | "markdown");
    Some(if is_markdown { FileKind::Markdown } else { FileKind::Text })
}

fn office_by_head(head: &[u8], extension: &str) -> Option<FileKind> {
    let names: Vec<&[u8]> = names_in_head(head);
    let has = |folder: &[u8]| names.iter().any(|name| name.starts_with(folder));
    if has(b"word/") {
        return Some(FileKind::Docx);
    }
    if has(b"ppt/") {
        return Some(FileKind::Pptx);
    }
    // A package whose main folder comes later still begins with the parts that every package has.
    let is_package = has(b"[Content_Types].xml") || has(b"_rels/") || has(b"docProps/") || has(b"customXml/");
    match extension {
        "docx" if is_package => Some(FileKind::Docx),
        "pptx" if is_package => Some(FileKind::Pptx),
        _ => None,
    }
}

/// The names of the files whose headers lie in the first bytes of a zip.
fn names_in_head(head: &[u8]) -> Vec<&[u8]> {
    let headers = head.windows(4).enumerate().filter(|(_, window)| *window == b"PK\x03\x04");
    let name = |(at, _)| {
        let length = head.get(at + 26..at + 28)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        head.get(at + 30..at + 30 + length)
    };
    headers.filter_map(name).collect()
}

fn extension(file_name: &str) -> String {
    let extension = file_name.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_and_names_do_not() {
        assert_eq!(sniff(b"MZ\x90\x00\x03\x00\x00\x00", "report.pdf"), None);
        assert_eq!(sniff(b"\x7fELF\x02\x01\x01\x00", "notes.txt"), None);
        assert_eq!(sniff(b"%PDF-1.7\n", "holiday.jpg"), Some(FileKind::Pdf));
        assert_eq!(sniff(b"\xEF\xBB\xBF\r\n%PDF-1.4\n", "a"), Some(FileKind::Pdf));
        assert_eq!(sniff(b"MZ %PDF-1.4\n\x00", "a.pdf"), None);
        assert_eq!(sniff(b"\xFF\xD8\xFF\xE0\x00\x10JFIF", "a.png"), Some(FileKind::Jpeg));
        assert_eq!(sniff(b"\x89PNG\r\n\x1A\n\x00\x00", "a"), Some(FileKind::Png));
        assert_eq!(sniff(b"GIF89a\x01\x00", "a"), Some(FileKind::Gif));
        assert_eq!(sniff(b"RIFF\x10\x00\x00\x00WEBPVP8 ", "a"), Some(FileKind::Webp));
        assert_eq!(sniff(b"RIFF\x10\x00\x00\x00WAVEfmt ", "a.webp"), None);
        assert_eq!(sniff(b"", "a.txt"), None);
    }

    #[test]
    fn text_is_what_has_no_control_bytes_in_a_known_encoding() {
        assert_eq!(sniff("Übung, \ttabs\r\n".as_bytes(), "a.exe"), Some(FileKind::Text));
        assert_eq!(sniff(b"# Title", "a.MD"), Some(FileKind::Markdown));
        assert_eq!(sniff(b"bell \x07", "a.txt"), None);
        assert_eq!(sniff(b"caf\xE9 in Latin-1", "a.txt"), None);
        assert_eq!(sniff(b"\xFF\xFEh\x00i\x00", "a.txt"), Some(FileKind::Text));
        assert_eq!(sniff(b"\xFE\xFF\x00h\x00i", "a.md"), Some(FileKind::Markdown));
        assert_eq!(sniff(b"\xFF\xFE\x01\x00\x00\x00", "a.txt"), None);
        // The first bytes may end within a character.
        let head = "é".repeat(SNIFF_BYTES);
        assert_eq!(sniff(&head.as_bytes()[..SNIFF_BYTES - 1], "a.txt"), Some(FileKind::Text));
    }

    #[test]
    fn a_zip_is_taken_only_for_what_its_entries_say() {
        let entry = |name: &str| {
            let mut header = b"PK\x03\x04".to_vec();
            header.extend([0; 22]);
            header.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            header.extend([0; 2]);
            header.extend(name.as_bytes());
            header
        };
        let package = entry("[Content_Types].xml");
        assert_eq!(sniff(&package, "a.docx"), Some(FileKind::Docx));
        assert_eq!(sniff(&package, "a.pptx"), Some(FileKind::Pptx));
        assert_eq!(sniff(&package, "a.xlsx"), None);
        assert_eq!(sniff(&[package, entry("ppt/presentation.xml")].concat(), "a.docx"), Some(FileKind::Pptx));
        assert_eq!(sniff(&entry("META-INF/MANIFEST.MF"), "a.docx"), None);
        assert_eq!(sniff(b"PK\x03\x04", "a.docx"), None);
    }

    #[test]
    fn a_kind_is_found_again_by_its_media_type() {
        for kind in [FileKind::Pdf, FileKind::Docx, FileKind::Markdown, FileKind::Webp] {
            assert_eq!(FileKind::from_mime(kind.mime()), Some(kind));
        }
        assert_eq!(FileKind::from_mime("application/zip"), None);
    }
}
