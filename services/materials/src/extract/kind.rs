use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use super::{encoding, package};

/// The kinds of file that a course takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `application/pdf`
    Pdf,
    /// Word, Office Open XML; templates and documents with macros too.
    Docx,
    /// PowerPoint, Office Open XML.
    Pptx,
    /// Excel, Office Open XML.
    Xlsx,
    /// A text of OpenDocument.
    Odt,
    /// Slides of OpenDocument.
    Odp,
    /// Sheets of OpenDocument.
    Ods,
    /// A text of OpenDocument in one file of XML.
    Fodt,
    /// Slides of OpenDocument in one file of XML.
    Fodp,
    /// Sheets of OpenDocument in one file of XML.
    Fods,
    /// Rich Text Format.
    Rtf,
    /// A book: a zip of web pages.
    Epub,
    /// A web page.
    Html,
    /// A mail with its attachments.
    Eml,
    /// A web page in one file with all that it shows.
    Mht,
    /// Values between commas, semicolons or tabs, in a file named `.csv` or `.tsv`.
    Csv,
    /// Plain text in any encoding.
    Text,
    /// Plain text in a file named `.md` or `.markdown`.
    Markdown,
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/gif`; of an animation the first picture counts.
    Gif,
    /// `image/webp`; of an animation the first picture counts.
    Webp,
}

/// As many first bytes of a file as [`may_be_taken`] makes use of.
pub const SNIFF_BYTES: usize = 8 * 1024;

/// The accepted kinds, for the error about any other.
pub const TAKEN: &str = "PDF, Word (docx), PowerPoint (pptx), Excel (xlsx), OpenDocument (odt, odp, ods, fodt, fodp, \
    fods), RTF, EPUB, HTML, mail (eml), web archives (mht), CSV, text, Markdown, JPEG, PNG, GIF and WebP";

/// Readers of PDF look for its header in so many bytes: mail gateways and web servers leave theirs before it.
const PDF_HEADER_BYTES: usize = 1024;

/// False if the first bytes of a file ([`SNIFF_BYTES`], or all that it has) show that [`sniff_file`] will not take it.
#[must_use]
pub fn may_be_taken(first_bytes: &[u8]) -> bool {
    let head = first_bytes.get(..SNIFF_BYTES).unwrap_or(first_bytes);
    match by_signature(head) {
        Signature::Refused => false,
        Signature::Zip | Signature::Kind(_) => true,
        Signature::Unknown => may_be_pdf(head) || encoding::may_be_text(head),
    }
}

/// The kind of the file at `path`, by its bytes; `None` if it is not taken. The name decides only what bytes cannot:
/// whether a text is Markdown or a table. It reads the disk, so call it where blocking is allowed.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn sniff_file(path: &Path, file_name: &str) -> io::Result<Option<FileKind>> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    file.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    match by_signature(&head) {
        Signature::Refused => return Ok(None),
        Signature::Kind(kind) => return Ok(Some(kind)),
        Signature::Zip => return package::kind_of(path),
        Signature::Unknown => {}
    }
    file.rewind()?;
    // A text that speaks of `%PDF-1.7` has no objects.
    if may_be_pdf(&head) && package::count(&mut file, b"endobj", 1)? > 0 {
        return Ok(Some(FileKind::Pdf));
    }
    file.rewind()?;
    let encoding = encoding::detect(&mut file)?;
    Ok(encoding.map(|encoding| kind_of_text(&encoding.decode(&head[encoding.mark(&head)..]).text, file_name)))
}

/// The kind of a picture, by its first bytes. Whole signatures only: nothing may pass for a picture that is not
/// surely one.
pub(super) fn picture(head: &[u8]) -> Option<FileKind> {
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some(FileKind::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(FileKind::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(FileKind::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(FileKind::Webp),
        _ => None,
    }
}

impl FileKind {
    const ALL: [Self; 22] = [
        Self::Pdf,
        Self::Docx,
        Self::Pptx,
        Self::Xlsx,
        Self::Odt,
        Self::Odp,
        Self::Ods,
        Self::Fodt,
        Self::Fodp,
        Self::Fods,
        Self::Rtf,
        Self::Epub,
        Self::Html,
        Self::Eml,
        Self::Mht,
        Self::Csv,
        Self::Text,
        Self::Markdown,
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::Webp,
    ];

    /// The media type.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Pptx => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Odt => "application/vnd.oasis.opendocument.text",
            Self::Odp => "application/vnd.oasis.opendocument.presentation",
            Self::Ods => "application/vnd.oasis.opendocument.spreadsheet",
            Self::Fodt => "application/vnd.oasis.opendocument.text-flat-xml",
            Self::Fodp => "application/vnd.oasis.opendocument.presentation-flat-xml",
            Self::Fods => "application/vnd.oasis.opendocument.spreadsheet-flat-xml",
            Self::Rtf => "application/rtf",
            Self::Epub => "application/epub+zip",
            Self::Html => "text/html",
            Self::Eml => "message/rfc822",
            Self::Mht => "application/x-mimearchive",
            Self::Csv => "text/csv",
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
        Self::ALL.into_iter().find(|kind| kind.mime() == mime)
    }

    /// True for pictures, which only OCR can read.
    #[must_use]
    pub fn is_image(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::Webp)
    }

    /// False for kinds of which only the text is read.
    #[must_use]
    pub fn may_hold_pictures(self) -> bool {
        !matches!(
            self,
            Self::Html
                | Self::Mht
                | Self::Csv
                | Self::Text
                | Self::Markdown
                | Self::Fodt
                | Self::Fodp
                | Self::Fods
        )
    }

    /// True for kinds whose pages or slides people count. The others are read in parts of some length.
    #[must_use]
    pub fn has_pages(self) -> bool {
        matches!(self, Self::Pdf | Self::Pptx | Self::Odp | Self::Fodp)
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Pdf => "PDF",
            kind if kind.is_image() => "Image",
            _ => "Document",
        }
    }
}

enum Signature {
    Kind(FileKind),
    /// Its table of contents, at its end, says what it is.
    Zip,
    /// Surely something else.
    Refused,
    Unknown,
}

fn by_signature(head: &[u8]) -> Signature {
    /// Old Office files (and Office files with a password), TIFF, big TIFF, programs, packed files, PostScript, sounds
    /// and films: none is text, though a short one may look like it.
    const REFUSED: [&[u8]; 17] = [
        b"\xD0\xCF\x11\xE0",
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"MM\0+",
        b"\x7fELF",
        b"MZ",
        b"\x1F\x8B",
        b"BZh",
        b"7z\xBC\xAF",
        b"Rar!",
        b"\xFD7zXZ",
        b"%!PS-Adobe",
        b"8BPS",
        b"ID3",
        b"OggS",
        b"SQLite format 3\0",
    ];
    let unmarked = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    if let Some(kind) = picture(head) {
        Signature::Kind(kind)
    } else if unmarked.starts_with(b"%PDF-") {
        Signature::Kind(FileKind::Pdf)
    } else if unmarked.starts_with(b"{\\rtf") {
        Signature::Kind(FileKind::Rtf)
    } else if head.starts_with(b"PK\x03\x04") {
        Signature::Zip
    } else if head.get(4..8) == Some(b"ftyp") || is_binary_signature(head, &REFUSED) {
        Signature::Refused
    } else {
        Signature::Unknown
    }
}

/// Signatures of letters alone may begin a text (`MZ`, `BZh`): those need a byte behind them that no text has.
fn is_binary_signature(head: &[u8], signatures: &[&[u8]]) -> bool {
    let found = signatures.iter().find(|signature| head.starts_with(signature));
    found.is_some_and(|found| {
        !found.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
            || found.len() > 6
            || head.iter().take(64).any(|byte| !byte.is_ascii_graphic() && !byte.is_ascii_whitespace())
    })
}

fn may_be_pdf(head: &[u8]) -> bool {
    let head = &head[..head.len().min(PDF_HEADER_BYTES + 6)];
    head.windows(6).any(|window| window.starts_with(b"%PDF-") && window[5].is_ascii_digit())
}

fn kind_of_text(head: &str, file_name: &str) -> FileKind {
    let start: String = head.trim_start().chars().take(1024).collect::<String>().to_ascii_lowercase();
    let is_page = start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || (start.starts_with("<?xml") || start.starts_with("<!--")) && start.contains("<html");
    let extension = extension(file_name);
    if is_page {
        return FileKind::Html;
    }
    if let Some(kind) = mail(head, &extension).or_else(|| flat(head, &extension)) {
        return kind;
    }
    match extension.as_str() {
        "html" | "htm" | "xhtml" => FileKind::Html,
        "md" | "markdown" => FileKind::Markdown,
        "csv" | "tsv" => FileKind::Csv,
        _ => FileKind::Text,
    }
}

/// True for a file that is a mail, by its first bytes.
pub(super) fn is_mail(bytes: &[u8], file_name: &str) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(SNIFF_BYTES)]);
    mail(&head, &extension(file_name)).is_some()
}

/// The kind of a text that begins with the fields of a mail. Under another name than that of a mail, those must be there
/// that no writer types and every mail program writes: a text may begin with `From: ada`.
fn mail(head: &str, extension: &str) -> Option<FileKind> {
    let fields = fields(head, extension);
    let has = |name: &str| fields.iter().any(|(found, _)| found == name);
    let begins = |name: &str, value: &str| {
        fields
            .iter()
            .any(|(found, said)| found == name && said.trim_start().to_ascii_lowercase().starts_with(value))
    };
    let is_archive = has("mime-version") && begins("content-type", "multipart/related");
    match extension {
        "mht" | "mhtml" if has("content-type") => Some(FileKind::Mht),
        _ if is_archive && (has("snapshot-content-location") || begins("from", "<saved by")) => {
            Some(FileKind::Mht)
        }
        "eml" => MAIL_FIELDS.iter().any(|name| has(name)).then_some(FileKind::Eml),
        _ => {
            let is_sent = has("message-id") || has("received") || has("mime-version");
            (has("from") && has("date") && is_sent).then_some(FileKind::Eml)
        }
    }
}

/// The kind of a document of OpenDocument in one file: by the type that its first element names, else by the file's name.
fn flat(head: &str, extension: &str) -> Option<FileKind> {
    let start = head.find("<office:document").filter(|_| head.trim_start().starts_with('<'))?;
    let media = head[start..].split_once("office:mimetype=").map_or("", |(_, said)| said);
    let media = media.trim_start_matches(['"', '\'']);
    let flats = [
        (FileKind::Odt, FileKind::Fodt, "fodt"),
        (FileKind::Odp, FileKind::Fodp, "fodp"),
        (FileKind::Ods, FileKind::Fods, "fods"),
    ];
    let is_it = |zipped: FileKind, name: &str| {
        if media.is_empty() { extension == name } else { media.starts_with(zipped.mime()) }
    };
    flats.into_iter().find(|(zipped, _, name)| is_it(*zipped, name)).map(|(_, flat, _)| flat)
}

/// Fields of which a mail has one at least.
const MAIL_FIELDS: [&str; 9] = [
    "from",
    "to",
    "subject",
    "date",
    "received",
    "message-id",
    "return-path",
    "mime-version",
    "content-type",
];

/// The fields that a text begins with, names in lower case, and the first line of what each says.
fn fields<'t>(head: &'t str, extension: &str) -> Vec<(String, &'t str)> {
    let mut fields = Vec::new();
    for (at, line) in head.lines().enumerate() {
        let is_folded = line.starts_with([' ', '\t']) && !fields.is_empty();
        // The line that a mailbox puts before each mail: a file of another name may hold many.
        let is_mark = at == 0 && extension == "eml" && line.starts_with("From ");
        if is_folded || is_mark {
            continue;
        }
        let Some((name, said)) = line.split_once(':') else { break };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            break;
        }
        fields.push((name.to_ascii_lowercase(), said));
    }
    fields
}

fn extension(file_name: &str) -> String {
    let extension = file_name.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniff(bytes: &[u8], name: &str) -> Option<FileKind> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        let kind = sniff_file(&path, name).unwrap();
        assert!(kind.is_none() || may_be_taken(bytes), "{name}: refused at its head");
        kind
    }

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
    fn a_pdf_is_known_wherever_its_header_begins_and_by_its_objects() {
        let body = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n";
        let after = |before: usize| [&vec![b'x'; before], &body[..]].concat();
        assert_eq!(sniff(&after(1024), "a"), Some(FileKind::Pdf));
        assert_eq!(sniff(&[b"HTTP/1.1 200 OK\r\n\0\x01\r\n", &body[..]].concat(), "a"), Some(FileKind::Pdf));
        assert_eq!(
            sniff(b"From ada\n\nA file begins with %PDF-1.7, they say.", "a.txt"),
            Some(FileKind::Text)
        );
        assert_eq!(sniff(&after(4000), "a.txt"), Some(FileKind::Text));
    }

    #[test]
    fn texts_are_told_apart_by_how_they_begin_and_by_their_names() {
        assert_eq!(sniff("Übung, \ttabs\r\n".as_bytes(), "a.exe"), Some(FileKind::Text));
        assert_eq!(sniff(b"# Title", "a.MD"), Some(FileKind::Markdown));
        assert_eq!(sniff(b"a;b\n1;2\n", "a.csv"), Some(FileKind::Csv));
        assert_eq!(sniff(b"caf\xE9 in Latin-1", "a.txt"), Some(FileKind::Text));
        assert_eq!(sniff(b"bell \x07", "a.txt"), Some(FileKind::Text));
        assert_eq!(sniff(b"\xFF\xFEh\x00i\x00", "a.txt"), Some(FileKind::Text));
        assert_eq!(sniff(b"\xFF\xFE<\x00h\x00t\x00m\x00l\x00>\x00", "a.txt"), Some(FileKind::Html));
        assert_eq!(sniff(b"\n<!DOCTYPE html><p>x", "a.txt"), Some(FileKind::Html));
        assert_eq!(sniff(b"MZ is how programs of Windows begin.", "a.txt"), Some(FileKind::Text));
        assert_eq!(sniff(b"{\\rtf1\\ansi x}", "a.doc"), Some(FileKind::Rtf));
        let flat = |media: &str| {
            format!("<?xml version=\"1.0\"?><office:document xmlns:office=\"o\"{media}><office:body/>")
        };
        let sheet = flat(" office:mimetype=\"application/vnd.oasis.opendocument.spreadsheet\"");
        assert_eq!(sniff(sheet.as_bytes(), "a.xml"), Some(FileKind::Fods));
        assert_eq!(sniff(flat("").as_bytes(), "a.fodt"), Some(FileKind::Fodt));
        assert_eq!(sniff(flat("").as_bytes(), "a.xml"), Some(FileKind::Text));
        assert_eq!(sniff(b"see <office:document office:mimetype=", "a.fodt"), Some(FileKind::Text));
        assert_eq!(sniff(b"\xFF\xFE\x01\x00\x00\x00", "a.txt"), None);
    }

    #[test]
    fn mails_and_saved_pages_are_told_from_texts_that_begin_like_them() {
        let mail = b"From: ada@example.com\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\nHello";
        for name in ["a.eml", "a.txt", "download"] {
            assert_eq!(sniff(mail, name), Some(FileKind::Eml), "{name}");
        }
        assert_eq!(sniff(b"From ada Mon Nov 30\nSubject: x\n\nHello", "a.eml"), Some(FileKind::Eml));
        assert_eq!(sniff(b"Subject: caf\xE9 cr\xE8me\n\nHello", "a.eml"), Some(FileKind::Eml));
        for text in [
            &b"From: x"[..],
            b"From: ada\nTo: bob\nDate: today\nSubject: a letter\n\nHello",
            b"From 1f2e3d Mon Sep 17 00:00:00 2001\nFrom: ada <a@b.c>\nDate: x\nMIME-Version: 1.0\n\ndiff",
            b"Dear Ada,\nFrom: x\nDate: y\nMessage-ID: z\n",
        ] {
            assert_eq!(sniff(text, "a.txt"), Some(FileKind::Text));
        }
        assert_eq!(sniff(b"Just a note without fields.", "a.eml"), Some(FileKind::Text));
        let saved = b"From: <Saved by Blink>\nSnapshot-Content-Location: https://example.com/\nSubject: x\nDate: y\n\
            MIME-Version: 1.0\nContent-Type: multipart/related;\n\ttype=\"text/html\";\n\tboundary=\"b\"\n\n--b\n";
        for name in ["a.mhtml", "a.mht", "a"] {
            assert_eq!(sniff(saved, name), Some(FileKind::Mht), "{name}");
        }
        let word = b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=\"b\"\n\n--b\n";
        assert_eq!(sniff(word, "report.mht"), Some(FileKind::Mht));
        assert_eq!(sniff(b"Notes about mht", "a.mht"), Some(FileKind::Text));
    }

    #[test]
    fn what_only_other_programs_read_is_refused_at_its_first_bytes() {
        for head in [
            &b"II*\0\x08\0\0\0"[..],
            b"MM\0*\0\0\0\x08",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
            b"\x1F\x8B\x08\0",
        ] {
            assert!(!may_be_taken(head));
        }
    }

    #[test]
    fn a_kind_is_found_again_by_its_media_type() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::from_mime(kind.mime()), Some(kind));
        }
        assert_eq!(FileKind::from_mime("application/zip"), None);
    }
}
