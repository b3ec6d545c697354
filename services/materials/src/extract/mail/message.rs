use std::fmt::Write as _;

use super::super::html::{self, Html};
use super::super::tidy::letters;
use super::super::{ExtractError, FileKind, Limits, PageText, Warning, WarningCode, kind};
use super::head::{self, Head};
use super::transfer;

/// A mail whose words are read.
pub(super) struct Message {
    pub(super) text: String,
    /// Its files and those of the mails within it, in their order.
    pub(super) attachments: Vec<Attachment>,
    /// The names of what was not looked at.
    pub(super) left_out: Vec<String>,
    pub(super) warnings: Vec<Warning>,
}

pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Mails within mails are read so deep.
const MAX_MAILS: usize = 4;
/// Parts within the parts of one mail are.
const MAX_DEPTH: usize = 20;

/// Reads a mail or a saved page. Reading it again finds the same attachments in the same order.
///
/// The parts are told apart here and not by the library, which reads mails within mails as deep as they go: a megabyte of them
/// would take more stack than there is.
pub(super) fn read(source: &[u8], kind: FileKind, limits: &Limits) -> Result<Message, ExtractError> {
    let message =
        Message { text: String::new(), attachments: Vec::new(), left_out: Vec::new(), warnings: Vec::new() };
    let mut reader = Reader { kind, limits, message, parts: 0, pictures: 0 };
    let text = reader.mail(source, 1)?;
    let mut message = Message { text, ..reader.message };
    message.warnings.extend(html::left_out(reader.pictures));
    Ok(message)
}

struct Reader<'a> {
    kind: FileKind,
    limits: &'a Limits,
    message: Message,
    /// Parts so far.
    parts: usize,
    /// Pictures of pages that were left out.
    pictures: usize,
}

/// Where a part stands.
#[derive(Clone, Copy)]
struct Place {
    /// Mails around it.
    mails: usize,
    /// Parts around it in its mail.
    depth: usize,
    around: Around,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// One of several forms of the same.
    Alternative,
    /// Mails, unless they say otherwise.
    Digest,
    Other,
}

/// The words of a part.
#[derive(Default)]
struct Body {
    text: String,
    form: Form,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    Plain,
    Page,
    #[default]
    Other,
}

impl Reader<'_> {
    /// The fields that people look at, and the words.
    fn mail(&mut self, source: &[u8], mails: usize) -> Result<String, ExtractError> {
        let (head, body) = head::split(source);
        let before = self.message.attachments.len();
        let body = self.part(&head, body, Place { mails, depth: 0, around: Around::Other })?;
        if self.kind == FileKind::Mht {
            return Ok(body.text);
        }
        let mut text = head.shown();
        let names = self.message.attachments[before..].iter().map(|attachment| attachment.name.as_str());
        let names = names.collect::<Vec<_>>().join(", ");
        if !names.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "Attachments: {names}");
        }
        text.push('\n');
        text.push_str(&body.text);
        Ok(text)
    }

    fn part(&mut self, head: &Head, body: &[u8], place: Place) -> Result<Body, ExtractError> {
        self.parts += 1;
        if self.parts > self.limits.entries {
            return Err(self.limits.too_large());
        }
        let untold = if place.around == Around::Digest { ("message", "rfc822") } else { ("text", "plain") };
        let (family, media) = head.media().unwrap_or_else(|| (untold.0.to_owned(), untold.1.to_owned()));
        match (family.as_str(), media.as_str()) {
            ("multipart", media) => self.parts_of(head, media, body, place),
            ("message", "rfc822" | "global" | "news") => {
                let source = transfer::decoded(body, head.transfer());
                self.within(head, &source, place)
            }
            ("message", _) => Ok(self.words(head, "plain", body)),
            ("text", media) if self.is_shown(head, media, place) => Ok(self.words(head, media, body)),
            (_, "pgp-signature" | "pgp-keys" | "pkcs7-signature" | "x-pkcs7-signature") => {
                Ok(Body::default())
            }
            (family, media) => self.attachment(head, family, media, body, place),
        }
    }

    /// True for a text that is part of the mail itself. Forms of the same text have names in some programs' mails.
    fn is_shown(&self, head: &Head, media: &str, place: Place) -> bool {
        let is_page = media == "html" && self.kind == FileKind::Mht;
        let is_file = head.is_attachment() || place.around != Around::Alternative && head.name().is_some();
        let is_words =
            matches!(media, "" | "plain" | "html" | "enriched" | "richtext" | "calendar" | "rfc822-headers");
        is_page || is_words && !is_file
    }

    fn words(&mut self, head: &Head, media: &str, body: &[u8]) -> Body {
        let bytes = transfer::decoded(body, head.transfer());
        let Some(PageText { text, warnings }) = transfer::text(&bytes, head.charset()) else {
            let message = "a part of the mail that is to be text is none".to_owned();
            self.message.warnings.push(Warning::new(WarningCode::PartUnreadable, message));
            return Body::default();
        };
        if !matches!(media, "html" | "enriched" | "richtext") {
            self.message.warnings.extend(warnings);
            let form = if matches!(media, "" | "plain") { Form::Plain } else { Form::Other };
            return Body { text, form };
        }
        // A page that names its character set itself knows better than a guess.
        let page = match head.charset() {
            None if !bytes.trim_ascii().is_empty() => html::read(&bytes).ok(),
            _ => None,
        };
        let page = page.unwrap_or_else(|| Html { warnings, ..html::shown(&text) });
        self.pictures += page.brought();
        self.message.warnings.extend(page.warnings);
        Body { text: page.text, form: Form::Page }
    }

    fn parts_of(
        &mut self,
        head: &Head,
        media: &str,
        body: &[u8],
        place: Place,
    ) -> Result<Body, ExtractError> {
        if media == "encrypted" {
            self.message.left_out.push("encrypted part".to_owned());
            return Ok(Body::default());
        }
        if place.depth >= MAX_DEPTH {
            self.message.left_out.push(format!("parts nested deeper than {MAX_DEPTH}"));
            return Ok(Body::default());
        }
        let Some(Cut { before, parts, behind }) = cut(body, head.boundary()) else {
            // Without a line between its parts it is one text.
            return Ok(self.words(head, "plain", body));
        };
        if parts.len() > self.limits.entries {
            return Err(self.limits.too_large());
        }
        let around = match media {
            "alternative" => Around::Alternative,
            "digest" => Around::Digest,
            _ => Around::Other,
        };
        let place = Place { depth: place.depth + 1, around, ..place };
        let mut parts: Vec<(Head, &[u8])> = parts.into_iter().map(head::split).collect();
        let start = head.start();
        let root = parts.iter().position(|(part, _)| start.is_some() && part.id() == start);
        if let Some(at) = root {
            parts[..=at].rotate_right(1);
        }
        let mut bodies = Vec::with_capacity(parts.len() + 1);
        for (head, body) in parts {
            bodies.push(self.part(&head, body, place)?);
        }
        if around == Around::Alternative {
            bodies = chosen(bodies).into_iter().collect();
        }
        for beside in [before, behind] {
            if let Some(PageText { text, .. }) = transfer::text(beside, None) {
                bodies.push(Body { text, form: Form::Plain });
            }
        }
        Ok(joined(bodies))
    }

    /// A mail within a mail.
    fn within(&mut self, head: &Head, source: &[u8], place: Place) -> Result<Body, ExtractError> {
        if place.mails >= MAX_MAILS {
            self.message.left_out.push(head.name().unwrap_or_else(|| "mail".to_owned()));
            return Ok(Body::default());
        }
        Ok(Body { text: self.mail(source, place.mails + 1)?, form: Form::Other })
    }

    fn attachment(
        &mut self,
        head: &Head,
        family: &str,
        media: &str,
        body: &[u8],
        place: Place,
    ) -> Result<Body, ExtractError> {
        // The files of a saved page are its looks.
        if self.kind == FileKind::Mht {
            self.pictures += usize::from(family == "image");
            return Ok(Body::default());
        }
        let name = head.name().unwrap_or_else(|| format!("part-{}.{media}", self.parts));
        let bytes = transfer::decoded(body, head.transfer());
        if kind::is_mail(&bytes, &name) {
            return self.within(head, &bytes, place);
        }
        self.message.attachments.push(Attachment { name, bytes: bytes.into_owned() });
        Ok(Body::default())
    }
}

/// Of several forms of the same text the plain one, unless it is a notice that there is another.
fn chosen(bodies: Vec<Body>) -> Option<Body> {
    let said = |body: &Body| letters(&body.text);
    let best = |form: Form| {
        let of_form = bodies.iter().enumerate().filter(|(_, body)| body.form == form && said(body) > 0);
        of_form.max_by_key(|(_, body)| said(body)).map(|(at, body)| (at, said(body)))
    };
    let at = match (best(Form::Plain), best(Form::Page)) {
        (Some((_, plain)), Some((at, page))) if plain * 5 < page => Some(at),
        (Some((at, _)), _) | (None, Some((at, _))) => Some(at),
        (None, None) => best(Form::Other).map(|(at, _)| at),
    };
    bodies.into_iter().nth(at?)
}

fn joined(bodies: Vec<Body>) -> Body {
    let mut joined = Body::default();
    for body in bodies.into_iter().filter(|body| !body.text.trim().is_empty()) {
        if joined.text.is_empty() {
            joined = body;
        } else {
            joined.text.push_str("\n\n");
            joined.text.push_str(&body.text);
        }
    }
    joined
}

/// A body that lines of a boundary cut into parts.
struct Cut<'b> {
    before: &'b [u8],
    parts: Vec<&'b [u8]>,
    behind: &'b [u8],
}

/// Cuts a body at the lines of its boundary; `None` where there are none. Where the boundary is not told, or another one
/// stands in the body, the first line that looks like one is it.
fn cut<'b>(body: &'b [u8], boundary: Option<&str>) -> Option<Cut<'b>> {
    let told = boundary.and_then(|boundary| between(body, boundary.as_bytes()));
    // Mail programs write a notice for those that do not know parts.
    let told = told.map(|cut| Cut { before: &[], ..cut });
    told.or_else(|| {
        let lines = || body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let begins_part = |line: &[u8]| {
            line.is_empty() || line.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"content-"))
        };
        let may_be = |line: &[u8]| {
            line.starts_with(b"--") && !line.contains(&b' ') && line.iter().any(u8::is_ascii_alphanumeric)
        };
        let mut pairs = lines().zip(lines().skip(1));
        let (line, _) = pairs.find(|(line, next)| may_be(line) && begins_part(next))?;
        between(body, &line[2..])
    })
}

/// The same by a boundary that is known. A part without an end goes to the end of the body.
fn between<'b>(body: &'b [u8], boundary: &[u8]) -> Option<Cut<'b>> {
    let mut parts = Vec::new();
    // The end of what stands before, the begin of the part that is open, and that of what stands behind.
    let (mut before, mut open, mut behind) = (None, None, None);
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let next = at + line.len();
        let rest = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary));
        let mark = rest.map(<[u8]>::trim_ascii_end).filter(|rest| rest.is_empty() || *rest == b"--");
        if let Some(mark) = mark {
            before.get_or_insert(at);
            if let Some(from) = open.take() {
                parts.push(without_line_end(&body[from..at]));
            }
            (open, behind) = if mark.is_empty() { (Some(next), None) } else { (None, Some(next)) };
        }
        at = next;
    }
    if let Some(from) = open {
        parts.push(&body[from..]);
    }
    let behind = behind.map_or(&[][..], |from| &body[from..]);
    (!parts.is_empty()).then(|| Cut { before: &body[..before.unwrap_or_default()], parts, behind })
}

/// The end of the line before a boundary belongs to the boundary.
fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(source: &str) -> Message {
        read(source.as_bytes(), FileKind::Eml, &Limits::default()).unwrap()
    }

    fn alternative(plain: &str, page: &str) -> String {
        let head = "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\nfor old programs\n";
        format!("{head}--b\n\n{plain}\n--b\nContent-Type: text/html\n\n{page}\n--b--\n")
    }

    #[test]
    fn of_several_forms_of_a_text_one_is_read() {
        assert_eq!(mail(&alternative("OTTER", "<p>OTTER</p>")).text, "Subject: x\n\nOTTER");
        assert_eq!(mail(&alternative("  ", "<p>a <b>BADGER</b></p>")).text, "Subject: x\n\na BADGER");
        let letter = "<p>Dear Ada, the leaf is green in summer, and BADGER is the word.</p>";
        assert!(mail(&alternative("No HTML", letter)).text.ends_with("BADGER is the word."));
        assert_eq!(mail(&alternative("one", "")).text, "Subject: x\n\none");
    }

    #[test]
    fn an_attachment_within_a_form_that_is_not_read_is_kept() {
        let page = "<p>OTTER</p>\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/html\n\n<p>OTTER</p>\n\
                    --c\nContent-Type: text/csv; name=a.csv\n\na;b\n--c--\n";
        let read = mail(&alternative("OTTER", page));
        assert_eq!(read.text, "Subject: x\nAttachments: a.csv\n\nOTTER");
        assert_eq!(
            (read.attachments[0].name.as_str(), read.attachments[0].bytes.as_slice()),
            ("a.csv", &b"a;b"[..])
        );
    }

    #[test]
    fn parts_without_their_boundary_lose_no_word() {
        let head = "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed";
        let parts = "--b-1\n\nOTTER\n--b-1\nContent-Transfer-Encoding: quoted-printable\n\nB=C3=A4r";
        for boundary in ["; boundary=b-1", "; boundary=other", ""] {
            let read = mail(&format!("{head}{boundary}\n\n{parts}"));
            assert_eq!(read.text, "Subject: x\n\nOTTER\n\nBär", "{boundary}");
        }
        assert_eq!(mail(&format!("{head}; boundary=b\n\nOTTER\n")).text, "Subject: x\n\nOTTER\n");
        let more = mail(&format!("{head}; boundary=b-1\n\n{parts}\n--b-1--\nLYNX\n"));
        assert_eq!(more.text, "Subject: x\n\nOTTER\n\nBär\n\nLYNX\n");
    }

    #[test]
    fn mails_within_mails_are_read_so_deep_and_no_deeper() {
        let mut source = "Subject: the last\n\nVOLE".to_owned();
        for depth in (1..=6).rev() {
            source = format!("Subject: number {depth}\nContent-Type: message/rfc822\n\n{source}");
        }
        let read = mail(&source);
        assert!(read.text.contains("number 4") && !read.text.contains("number 5"), "{}", read.text);
        assert_eq!(read.left_out, ["mail"]);
        let endless = "Content-Type: message/rfc822\n\n".repeat(100_000);
        assert_eq!(mail(&endless).left_out, ["mail"]);
        let mut nested = String::new();
        for depth in 0..1_000 {
            nested.push_str(&format!("Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n"));
        }
        assert_eq!(mail(&nested).left_out, ["parts nested deeper than 20"]);
    }

    #[test]
    fn a_mail_of_more_parts_than_a_zip_may_have_is_refused() {
        let source = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(10_001));
        let refused = read(source.as_bytes(), FileKind::Eml, &Limits::default());
        assert!(matches!(refused, Err(ExtractError::TooLarge { .. })));
    }

    #[test]
    fn of_a_saved_page_its_pages_are_read_and_its_looks_are_not() {
        let source = "From: <Saved by Blink>\nSubject: A leaf\nMIME-Version: 1.0\nContent-Type: multipart/related;\n\
                      \ttype=\"text/html\"; start=\"<root@x>\"; boundary=\"b\"\n\n--b\nContent-Type: text/css\n\np { x: y }\n\
                      --b\nContent-Type: text/html; charset=utf-8\nContent-ID: <frame@x>\n\n<p>LYNX</p>\n\
                      --b\nContent-Type: text/html; charset=windows-1252\nContent-ID: <root@x>\n\
                      Content-Transfer-Encoding: quoted-printable\n\n<title>Caf=E9</title><p>a long line=\n of OTTER</p>\n\
                      --b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n--b--\n";
        let read = read(source.as_bytes(), FileKind::Mht, &Limits::default()).unwrap();
        assert_eq!(read.text, "Café\n\na long line of OTTER\n\nLYNX");
        assert_eq!((read.attachments.len(), read.warnings[0].code), (0, WarningCode::PictureUnreadable));
    }
}
