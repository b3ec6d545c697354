use std::fmt::Write as _;

use mail_parser::{
    Addr, ContentType, Header, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders,
};

use super::super::{FileKind, plain};

/// The fields that a mail, or a part of one, begins with.
pub(super) struct Head(Option<Message<'static>>);

/// The most bytes of fields that are looked at.
const MAX_BYTES: usize = 1 << 20;
/// The most characters of a name.
const MAX_NAME: usize = 200;

/// Parts a mail, or a part of one, into its fields and its body. The first line that can be no field begins the body, too:
/// some programs forget the empty line.
pub(super) fn split(source: &[u8]) -> (Head, &[u8]) {
    let mut end = 0;
    for line in source.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return (Head::read(&source[..end]), &source[end + line.len()..]);
        }
        let is_folded = end > 0 && matches!(line[0], b' ' | b'\t');
        // The line that a mailbox puts before each mail.
        let is_mark = end == 0 && line.starts_with(b"From ");
        if !(is_folded || is_mark || is_field(line)) {
            break;
        }
        end += line.len();
    }
    (Head::read(&source[..end]), &source[end..])
}

fn is_field(line: &[u8]) -> bool {
    let name = line.iter().position(|byte| *byte == b':').map(|at| line[..at].trim_ascii_end());
    name.is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
}

impl Head {
    fn read(fields: &[u8]) -> Self {
        let fields = &fields[..fields.len().min(MAX_BYTES)];
        let fields = match std::str::from_utf8(fields) {
            Ok(fields) => without_seams(fields),
            // Fields are ASCII by the standard, and in the character set of the writer's computer by old programs.
            Err(_) => {
                let decoded = plain::whole(fields, FileKind::Eml).map(|page| without_seams(&page.text));
                decoded.unwrap_or_else(|_| String::from_utf8_lossy(fields).into_owned())
            }
        };
        let source = fields + "\n\n";
        Self(MessageParser::default().parse_headers(source.as_bytes()).map(Message::into_owned))
    }

    /// The family and the rest of the media type, in lower case; `None` where it is not told.
    pub(super) fn media(&self) -> Option<(String, String)> {
        let media = self.content()?;
        let rest = media.subtype().unwrap_or_default();
        Some((media.ctype().trim().to_ascii_lowercase(), rest.trim().to_ascii_lowercase()))
    }

    pub(super) fn charset(&self) -> Option<&str> {
        self.content()?.attribute("charset")
    }

    pub(super) fn boundary(&self) -> Option<&str> {
        self.content()?.attribute("boundary").map(str::trim_end).filter(|boundary| !boundary.is_empty())
    }

    /// The id of the part of a page that is the page itself.
    pub(super) fn start(&self) -> Option<&str> {
        self.content()?.attribute("start").map(without_angles)
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.part()?.content_id().map(without_angles)
    }

    /// The encoding in which the body was sent.
    pub(super) fn transfer(&self) -> Option<&str> {
        self.part()?.content_transfer_encoding()
    }

    pub(super) fn is_attachment(&self) -> bool {
        let disposition = self.part().and_then(|part| part.content_disposition());
        disposition.is_some_and(ContentType::is_attachment)
    }

    /// The name of the part's file.
    pub(super) fn name(&self) -> Option<String> {
        let name = self.part()?.attachment_name()?;
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
        let name: String = name.join(" ").chars().take(MAX_NAME).collect();
        Some(name).filter(|name| !name.is_empty())
    }

    /// The fields that people look at, a line for each.
    pub(super) fn shown(&self) -> String {
        let fields = [
            ("Subject", HeaderName::Subject),
            ("From", HeaderName::From),
            ("To", HeaderName::To),
            ("Cc", HeaderName::Cc),
            ("Date", HeaderName::Date),
        ];
        let mut shown = String::new();
        let Some(message) = &self.0 else { return shown };
        for (name, field) in fields {
            let found = message.headers().iter().filter(|header| header.name == field);
            let values: Vec<String> = found.map(|header| self.value(header)).collect();
            let value = values.join(", ");
            if !value.trim().is_empty() {
                // Writing to a string cannot fail.
                let _ = writeln!(shown, "{name}: {}", value.trim());
            }
        }
        shown
    }

    fn value(&self, header: &Header<'_>) -> String {
        let told = match &header.value {
            HeaderValue::Text(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            HeaderValue::Address(addresses) => addresses.iter().map(address).collect::<Vec<_>>().join(", "),
            HeaderValue::DateTime(date) if date.is_valid() => {
                let sign = if date.tz_before_gmt { '-' } else { '+' };
                format!(
                    "{:04}-{:02}-{:02} {:02}:{:02} {sign}{:02}:{:02}",
                    date.year, date.month, date.day, date.hour, date.minute, date.tz_hour, date.tz_minute
                )
            }
            _ => String::new(),
        };
        if told.is_empty() { self.raw(header) } else { told }
    }

    /// A field as it stands, where it is not as the standard wants it.
    fn raw(&self, header: &Header<'_>) -> String {
        let place = header.offset_start as usize..header.offset_end as usize;
        let raw = self.0.as_ref().and_then(|message| message.raw_message.get(place)).unwrap_or_default();
        String::from_utf8_lossy(raw).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn part(&self) -> Option<&MessagePart<'static>> {
        self.0.as_ref().map(Message::root_part)
    }

    fn content(&self) -> Option<&ContentType<'_>> {
        self.part()?.content_type()
    }
}

/// The fields with each run of encoded words (RFC 2047) as one word: some programs cut a text between the bytes of a character.
fn without_seams(fields: &str) -> String {
    let mut joined = String::with_capacity(fields.len());
    // The begin of the encoded word that the text so far ends with, if another one may go on with it.
    let mut open: Option<String> = None;
    let mut rest = fields;
    while let Some(at) = rest.find("=?") {
        let (between, word) = rest.split_at(at);
        let Some((begin, text, behind)) = encoded_word(word) else {
            joined.push_str(between);
            joined.push_str("=?");
            (open, rest) = (None, &word[2..]);
            continue;
        };
        let told = begin.to_ascii_lowercase();
        if open.as_ref() == Some(&told) && between.trim().is_empty() {
            joined.truncate(joined.len() - "?=".len());
        } else {
            joined.push_str(between);
            joined.push_str(begin);
        }
        joined.push_str(text);
        joined.push_str("?=");
        // Base64 that is filled up is over.
        let may_go_on = told.ends_with("?q?") || !text.ends_with('=');
        (open, rest) = (may_go_on.then_some(told), behind);
    }
    joined.push_str(rest);
    joined
}

/// The begin of an encoded word, as `=?utf-8?q?`, its text, and what stands behind it.
fn encoded_word(word: &str) -> Option<(&str, &str, &str)> {
    let charset = 2 + word.get(2..)?.find('?')?;
    let begin = word.get(..charset + 3)?;
    let is_word =
        matches!(&begin[charset + 1..], "q?" | "Q?" | "b?" | "B?") && !begin.contains(char::is_whitespace);
    let (text, behind) = word[begin.len()..].split_once("?=").filter(|_| is_word)?;
    (!text.contains('\n')).then_some((begin, text, behind))
}

fn address(address: &Addr<'_>) -> String {
    match (address.name(), address.address()) {
        (Some(name), Some(place)) => format!("{name} <{place}>"),
        (name, place) => name.or(place).unwrap_or_default().to_owned(),
    }
}

fn without_angles(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &[u8]) -> String {
        split(source).0.shown()
    }

    #[test]
    fn fields_are_decoded_and_shown_as_people_read_them() {
        let mail = "Received: from a\r\n\tby b; Mon, 30 Nov 2026 10:00:00 +0000\r\n\
                    From: =?iso-8859-1?Q?K=E4the?= <kaethe@example.com>\r\n\
                    To: \"Lovelace, Ada\" <ada@example.com>,\r\n bob@example.com\r\n\
                    Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n =?UTF-8?Q?_aus_K=C3=B6ln?=\r\n\
                    Date: Mon, 30 Nov 2026 10:05:00 -0130\r\n\r\nbody";
        let told = "Subject: Grüße aus Köln\nFrom: Käthe <kaethe@example.com>\n\
                    To: Lovelace, Ada <ada@example.com>, bob@example.com\nDate: 2026-11-30 10:05 -01:30\n";
        assert_eq!(shown(mail.as_bytes()), told);
        assert_eq!(split(mail.as_bytes()).1, b"body");
    }

    #[test]
    fn encoded_words_that_were_cut_within_a_character_are_whole() {
        for subject in [
            "=?utf-8?B?R3LD?=\r\n =?UTF-8?B?vMOfZQ==?=",
            "=?utf-8?Q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?=",
            "=?utf-8?Q?Gr=C3=BC?= =?iso-8859-1?Q?=DFe?=",
        ] {
            assert_eq!(shown(format!("Subject: {subject}\n\n").as_bytes()), "Subject: Grüße\n", "{subject}");
        }
        let two = "Subject: =?utf-8?B?b25l?= two =?utf-8?B?dGhyZWU=?= =?utf-8?B?Zm91cg==?= =? =?x?\n\n";
        assert_eq!(shown(two.as_bytes()), "Subject: one two threefour =? =?x?\n");
    }

    #[test]
    fn fields_that_break_the_standard_are_shown_as_they_stand() {
        assert_eq!(shown(b"Subject: Caf\xE9 cr\xE8me\n\nx"), "Subject: Café crème\n");
        assert_eq!(shown("Subject: Café\n\nx".as_bytes()), "Subject: Café\n");
        assert_eq!(
            shown(b"Date: last Tuesday\nTo: undisclosed-recipients:;\n\n"),
            "To: undisclosed-recipients:;\nDate: last Tuesday\n"
        );
    }

    #[test]
    fn the_body_begins_where_the_fields_end() {
        let body = |source: &'static str| std::str::from_utf8(split(source.as_bytes()).1).unwrap();
        assert_eq!(body("A: b\n c\n\nbody\n"), "body\n");
        assert_eq!(body("\nNote: a body without fields\n"), "Note: a body without fields\n");
        assert_eq!(body("Subject: x\nDear Ada,\n\nyours"), "Dear Ada,\n\nyours");
        assert_eq!(body("From ada Mon Nov 30 10:00:00 2026\nSubject: x\n\nbody"), "body");
        assert_eq!(body("Subject: x"), "");
    }

    #[test]
    fn names_of_files_are_decoded_and_lead_nowhere() {
        let name = |field: &str| split(format!("{field}\n\n").as_bytes()).0.name();
        let plain = "Content-Disposition: attachment; filename=\"C:\\\\files\\\\a b.pdf\"";
        assert_eq!(name(plain).as_deref(), Some("a b.pdf"));
        let continued =
            "Content-Disposition: attachment;\n filename*0*=utf-8''Gr%C3%BC;\n filename*1*=%C3%9Fe.pdf";
        assert_eq!(name(continued).as_deref(), Some("Grüße.pdf"));
        assert_eq!(
            name("Content-Type: image/png; name=\"=?utf-8?Q?f=C3=BCr.png?=\"").as_deref(),
            Some("für.png")
        );
        assert_eq!(name("Content-Type: text/plain"), None);
    }
}
