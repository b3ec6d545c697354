use std::io::{self, Read};

use chardetng::EncodingDetector;

use super::dos::{self, Dos, Older};

/// The encoding of a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf16(Order),
    Utf32(Order),
    /// UTF-8, and all that browsers know.
    Known(&'static encoding_rs::Encoding),
    Dos(Dos),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// A text and the number of bytes and characters that are no part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) text: String,
    pub(super) odd: usize,
}

/// Finds the encoding of a whole file; `None` where it is no text. It looks at every byte: a file that begins in ASCII
/// may have its first `é` after a megabyte, and a program may hide behind a page of text.
pub(super) fn detect(source: &mut impl Read) -> io::Result<Option<Encoding>> {
    let mut survey = Survey::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            return Ok(survey.verdict());
        }
        survey.add(&buffer[..length]);
    }
}

/// True if the first bytes of a file may be those of a text.
pub(super) fn may_be_text(head: &[u8]) -> bool {
    let mut survey = Survey::default();
    survey.add(head);
    survey.verdict().is_some()
}

impl Encoding {
    /// The bytes of the mark that a file of this encoding begins with, if it has one.
    pub(super) fn mark(self, head: &[u8]) -> usize {
        match by_mark(head) {
            Some((encoding, length)) if encoding == self => length,
            _ => 0,
        }
    }

    /// The bytes of a unit: between units a text may be cut.
    pub(super) fn unit(self) -> usize {
        match self {
            Self::Known(_) | Self::Dos(_) => 1,
            Self::Utf16(_) => 2,
            Self::Utf32(_) => 4,
        }
    }

    pub(super) fn is_utf8(self) -> bool {
        self == Self::Known(encoding_rs::UTF_8)
    }

    /// A text without what is none.
    pub(super) fn decode(self, bytes: &[u8]) -> Decoded {
        let mut text = self.characters(bytes);
        if self == Self::Known(encoding_rs::WINDOWS_1252) {
            text = without_lone_bytes(&text);
        }
        let mut decoded = without_odd_characters(&text);
        decoded.odd += bytes.len() % self.unit();
        decoded
    }

    /// Every character that the bytes stand for.
    pub(super) fn characters(self, bytes: &[u8]) -> String {
        match self {
            Self::Known(encoding) if encoding == encoding_rs::UTF_8 => utf8(bytes),
            Self::Known(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            Self::Dos(table) => table.decode(bytes),
            Self::Utf16(order) => {
                let units = bytes.chunks_exact(2).map(|unit| match order {
                    Order::Little => u16::from_le_bytes([unit[0], unit[1]]),
                    Order::Big => u16::from_be_bytes([unit[0], unit[1]]),
                });
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            Self::Utf32(order) => {
                let units = bytes.chunks_exact(4).map(|unit| match order {
                    Order::Little => u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]),
                    Order::Big => u32::from_be_bytes([unit[0], unit[1], unit[2], unit[3]]),
                });
                units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
        }
    }
}

/// Facts that are gathered of every byte.
#[derive(Default)]
struct Survey {
    head: Vec<u8>,
    length: usize,
    /// Control bytes that no text is laid out with.
    controls: usize,
    /// Zeros, by their place within four bytes.
    zeros: [usize; 4],
    /// Bytes over ASCII.
    high: usize,
    /// Sequences of bytes that are no UTF-8, and those that are and are no ASCII.
    broken: usize,
    multibyte: usize,
    /// The end of the last bytes where a character of UTF-8 is not whole.
    open: Vec<u8>,
    has_escape: bool,
    /// Words that are no ASCII.
    words: Vec<u8>,
    detector: Option<EncodingDetector>,
}

/// As many first bytes as a judgement by characters looks at.
const HEAD_BYTES: usize = 64 * 1024;

impl Survey {
    fn add(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        for (at, byte) in (self.length..).zip(bytes) {
            if is_odd(*byte) {
                self.controls += 1;
                self.zeros[at % 4] += usize::from(*byte == 0);
            }
            self.has_escape |= *byte == 0x1B;
            self.high += usize::from(!byte.is_ascii());
        }
        self.length += bytes.len();
        // The detector is slow, and ASCII is no evidence for it unless escapes switch between sets.
        if self.detector.is_some() || self.has_escape || !bytes.is_ascii() {
            self.detector.get_or_insert_with(EncodingDetector::new).feed(bytes, false);
        }
        let words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_ascii());
        for word in words {
            if self.words.len() >= HEAD_BYTES {
                break;
            }
            self.words.extend_from_slice(word);
            self.words.push(b' ');
        }
        let mut rest = std::mem::take(&mut self.open);
        rest.extend_from_slice(bytes);
        let mut rest = rest.as_slice();
        loop {
            let (valid, error) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, None),
                Err(error) => {
                    let valid = std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default();
                    (valid, Some(error))
                }
            };
            self.multibyte += valid.chars().filter(|c| !c.is_ascii()).count();
            match error.map(|error| (error.valid_up_to(), error.error_len())) {
                None => return,
                Some((end, None)) => {
                    self.open = rest[end..].to_vec();
                    return;
                }
                Some((end, Some(length))) => {
                    self.broken += 1;
                    rest = &rest[end + length..];
                }
            }
        }
    }

    /// True for records of machines: hardly a byte is over ASCII or zero, as nearly half are of most wide texts, and few are
    /// controls, as half are of the others.
    fn is_narrow(&self, zeros: usize) -> bool {
        (self.high + zeros) * 10 <= self.length && self.controls * 10 <= self.length
    }

    fn verdict(mut self) -> Option<Encoding> {
        if self.length == 0 {
            return None;
        }
        if let Some((encoding, length)) = by_mark(&self.head) {
            // A mark is two bytes that any file may begin with: what follows must be text.
            return is_mostly_text(encoding, &self.head[length..]).then_some(encoding);
        }
        let zeros: usize = self.zeros.iter().sum();
        let is_text = self.controls <= 1 + self.length / 100;
        if zeros * 10 > self.length || !is_text && !self.is_narrow(zeros) {
            // Logs and tables of old programs are filled up with zeros, and are text apart from that.
            let is_padded = zeros * 2 <= self.length && (self.controls - zeros) * 200 <= self.length;
            match self.wide() {
                None if is_padded => {}
                wide => return wide,
            }
        }
        let utf8 = Encoding::Known(encoding_rs::UTF_8);
        if self.has_escape || self.broken > self.multibyte {
            let detector = self.detector.as_mut()?;
            detector.feed(b"", true);
            let guess = detector.guess(None, false);
            let is_guess = self.broken > 0 || guess == encoding_rs::ISO_2022_JP;
            if self.broken > 0 && is_latin(guess) {
                match dos::of_western_words(&self.words, guess) {
                    Some(Older::Macintosh) => return Some(Encoding::Known(encoding_rs::MACINTOSH)),
                    Some(Older::Dos(table)) => return Some(Encoding::Dos(table)),
                    None => {}
                }
            }
            return Some(if is_guess { Encoding::Known(guess) } else { utf8 });
        }
        Some(utf8)
    }

    /// UTF-16 or UTF-32 without a mark: every second byte (of four, three) of most scripts is the same few values.
    fn wide(&self) -> Option<Encoding> {
        use Order::{Big, Little};
        let forms =
            [Encoding::Utf32(Little), Encoding::Utf32(Big), Encoding::Utf16(Little), Encoding::Utf16(Big)];
        // The wrong order of bytes makes rare signs of most, and of a few letters other signs: those that computers have
        // most of (spaces, ends of lines, Latin letters) decide.
        let plain = |form: &Encoding| {
            let whole = &self.head[..self.head.len() - self.head.len() % form.unit()];
            form.decode(whole).text.chars().filter(char::is_ascii).count()
        };
        forms.into_iter().rev().filter(|form| is_mostly_text(*form, &self.head)).max_by_key(plain)
    }
}

/// Answers that a detector gives to Latin letters.
fn is_latin(guess: &'static encoding_rs::Encoding) -> bool {
    use encoding_rs::{ISO_8859_2, WINDOWS_1250, WINDOWS_1252, WINDOWS_1254, WINDOWS_1257, WINDOWS_1258};
    [ISO_8859_2, WINDOWS_1250, WINDOWS_1252, WINDOWS_1254, WINDOWS_1257, WINDOWS_1258].contains(&guess)
}

fn by_mark(head: &[u8]) -> Option<(Encoding, usize)> {
    use Order::{Big, Little};
    match head {
        [0xEF, 0xBB, 0xBF, ..] => Some((Encoding::Known(encoding_rs::UTF_8), 3)),
        [0xFF, 0xFE, 0, 0, ..] => Some((Encoding::Utf32(Little), 4)),
        [0, 0, 0xFE, 0xFF, ..] => Some((Encoding::Utf32(Big), 4)),
        [0xFF, 0xFE, ..] => Some((Encoding::Utf16(Little), 2)),
        [0xFE, 0xFF, ..] => Some((Encoding::Utf16(Big), 2)),
        _ => None,
    }
}

/// True if nearly all of the characters are those that texts are written in.
fn is_mostly_text(encoding: Encoding, bytes: &[u8]) -> bool {
    let whole = &bytes[..bytes.len() - bytes.len() % encoding.unit()];
    let text = match encoding {
        // Bytes that are not UTF-8 are judged by their number, not by their place.
        Encoding::Known(_) | Encoding::Dos(_) => {
            return bytes.iter().filter(|byte| is_odd(**byte)).count() <= 1 + bytes.len() / 100;
        }
        encoding => encoding.decode(whole),
    };
    let common = text.text.chars().filter(|c| is_common(*c)).count();
    common > 0 && common * 20 >= (text.text.chars().count() + text.odd) * 19
}

fn is_common(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{A0}'..='\u{24F}' | '\u{300}'..='\u{6FF}' | '\u{900}'..='\u{E7F}'
        | '\u{10A0}'..='\u{10FF}' | '\u{1E00}'..='\u{1FFF}' | '\u{2010}'..='\u{2027}' | '\u{20AC}' | '\u{3000}'..='\u{30FF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{FF00}'..='\u{FFEF}' | '\u{1F300}'..='\u{1FAFF}')
}

/// Control bytes other than those that texts are laid out with, parted with, coloured with (ESC), struck over with
/// (backspace), or that DOS ended them with.
fn is_odd(byte: u8) -> bool {
    let is_layout = matches!(byte, b'\t' | b'\n' | b'\r' | 0x0B | b'\x0C' | 0x08 | 0x1A | 0x1B);
    byte.is_ascii_control() && !is_layout && !is_separator(byte.into())
}

/// What parts the fields of a record: the separators of ASCII, and the begin of a heading, which tables of Hive and
/// messages of FIX use in their place.
fn is_separator(c: char) -> bool {
    matches!(c, '\x01' | '\x1C'..='\x1F')
}

/// Leaves out control characters, the escape sequences of terminals, and what no byte sequence stood for. A backspace
/// takes back the character before it, as a printer struck it over.
fn without_odd_characters(text: &str) -> Decoded {
    let mut decoded = Decoded { text: String::with_capacity(text.len()), odd: 0 };
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\t' | '\n' | '\r' | '\x0C' | '\u{85}' => decoded.text.push(c),
            // The break of a line within a paragraph, and the end of a record.
            '\x0B' | '\x1E' => decoded.text.push('\n'),
            c if is_separator(c) => decoded.text.push('\t'),
            '\x08' if decoded.text.chars().next_back().is_some_and(|c| !c.is_control()) => {
                decoded.text.pop();
                decoded.odd += 1;
            }
            '\x1B' => {
                decoded.odd += 1;
                if characters.next_if_eq(&'[').is_some() {
                    while characters.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                    characters.next_if(|c| matches!(c, '@'..='~'));
                } else if characters.next_if_eq(&']').is_some() {
                    while characters.next_if(|c| !c.is_control()).is_some() {}
                }
            }
            c if c.is_control() || c == char::REPLACEMENT_CHARACTER || is_noncharacter(c) => decoded.odd += 1,
            c => decoded.text.push(c),
        }
    }
    decoded
}

/// UTF-8 into which words of windows-1252 were copied: a byte between two of ASCII that is a letter or a quotation mark there
/// is one, if it stands at a letter.
fn utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        at += chunk.valid().len();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).unwrap_or(&b' ');
        let sides = bytes.get(at + 1).map(|after| [before, after]);
        let is_word = sides.is_some_and(|sides| {
            sides.iter().all(|byte| byte.is_ascii()) && sides.iter().any(|byte| byte.is_ascii_alphabetic())
        });
        match chunk.invalid() {
            [] => {}
            // The last two are what broken files are full of.
            [byte] if is_word && *byte < 0xFE => {
                text.push_str(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(&[*byte]).0);
            }
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
        at += chunk.invalid().len();
    }
    text
}

/// The last bytes of a table of letters that every byte has a place in are those that broken files are full of. As
/// letters they never stand alone.
fn without_lone_bytes(text: &str) -> String {
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    let mut kept = String::with_capacity(text.len());
    while let Some(c) = characters.next() {
        let is_alone = !before.is_alphabetic() && !characters.peek().is_some_and(|c| c.is_alphabetic());
        kept.push(if matches!(c, 'ÿ' | 'þ') && is_alone { char::REPLACEMENT_CHARACTER } else { c });
        before = c;
    }
    kept
}

fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c) & 0xFFFF, 0xFFFE | 0xFFFF) || matches!(c, '\u{FDD0}'..='\u{FDEF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<Decoded> {
        let encoding = detect(&mut &bytes[..]).unwrap()?;
        Some(encoding.decode(&bytes[encoding.mark(bytes)..]))
    }

    fn text(bytes: &[u8]) -> String {
        decoded(bytes).unwrap().text
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn marks_tell_the_encoding_and_are_no_text() {
        let said = "Café — it’s 😀";
        assert_eq!(text(&["\u{FEFF}", said].concat().into_bytes()), said);
        assert_eq!(text(&utf16(&["\u{FEFF}", said].concat(), u16::to_le_bytes)), said);
        assert_eq!(text(&utf16(&["\u{FEFF}", said].concat(), u16::to_be_bytes)), said);
        let wide = |to: fn(u32) -> [u8; 4]| {
            ["\u{FEFF}", said].concat().chars().flat_map(|c| to(c.into())).collect::<Vec<u8>>()
        };
        assert_eq!(text(&wide(u32::to_le_bytes)), said);
        assert_eq!(text(&wide(u32::to_be_bytes)), said);
        assert_eq!(decoded(b"\xFF\xFE\x01\x00\x02\x00\x00\x00"), None);
    }

    #[test]
    fn wide_text_without_a_mark_is_known_by_its_characters() {
        for said in ["Plain words, café.\n", "光合作用是植物的过程。\n叶绿体", "Фотосинтез идёт\n", "a"]
        {
            assert_eq!(text(&utf16(said, u16::to_le_bytes)), said);
            assert_eq!(text(&utf16(said, u16::to_be_bytes)), said);
        }
    }

    #[test]
    fn words_of_another_encoding_in_a_text_of_utf8_are_read() {
        let mixed = [&"Grüße, 光合成 — größer\n".repeat(2).into_bytes(), &b"K\xE4se, \x93so\x94 na\xEFf"[..]]
            .concat();
        let read = decoded(&mixed).unwrap();
        assert_eq!((read.text.lines().last(), read.odd), (Some("Käse, “so” naïf"), 0));
        let broken = "größer \u{5149}".as_bytes();
        for (cut, odd) in [(&broken[..broken.len() - 1], 1), (&b"gr\xC3\xB6\xC3\x9Fer caf\xC3"[..], 1)] {
            assert_eq!(decoded(cut).unwrap().odd, odd);
        }
        assert_eq!(decoded("größe\n".as_bytes()).unwrap().odd, 0);
    }

    #[test]
    fn what_parts_lines_and_fields_is_no_sign_of_another_encoding() {
        let message = b"8=FIX.4.2\x019=178\x0135=8\x0149=PHLX\n".repeat(20);
        assert_eq!(text(&message), "8=FIX.4.2\t9=178\t35=8\t49=PHLX\n".repeat(20));
        assert_eq!(decoded(&message).unwrap().odd, 0);
        assert_eq!(text(b"one\x0Btwo\x1Fthree\x1Efour"), "one\ntwo\tthree\nfour");
        assert_eq!(text("Käse\x01Öl\x01".repeat(9).as_bytes()), "Käse\tÖl\t".repeat(9));
        // Controls of a printer, one in twenty bytes.
        assert_eq!(
            text(&b"\x0Ebold words here\x0F, plain\n".repeat(9)),
            "bold words here, plain\n".repeat(9)
        );
    }

    #[test]
    fn old_encodings_are_guessed_from_the_whole_text() {
        for (encoding, said) in [
            (encoding_rs::WINDOWS_1252, "Café crème — it’s late. Grüße aus Köln."),
            (encoding_rs::SHIFT_JIS, "光合成は植物のはたらきです。葉の中で糖を作ります。"),
            (encoding_rs::EUC_JP, "光合成は植物のはたらきです。葉の中で糖を作ります。"),
            (encoding_rs::GBK, "光合作用是植物利用阳光制造葡萄糖的过程。叶绿体在细胞里。"),
            (encoding_rs::BIG5, "光合作用是植物利用陽光製造葡萄糖的過程。葉綠體在細胞裡。"),
            (encoding_rs::EUC_KR, "광합성은 식물이 햇빛으로 포도당을 만드는 과정입니다."),
            (encoding_rs::KOI8_R, "Фотосинтез идёт в листьях растений при свете солнца."),
            (encoding_rs::WINDOWS_1251, "Фотосинтез идёт в листьях растений при свете солнца."),
            (encoding_rs::ISO_2022_JP, "光合成は植物のはたらきです。"),
        ] {
            let (bytes, _, _) = encoding.encode(said);
            assert_eq!(text(&bytes), said, "{}", encoding.name());
        }
        let late = ["Plain ASCII line.\n".repeat(9_000).as_bytes(), b"Caf\xE9\n"].concat();
        assert!(text(&late).ends_with("Café\n"));
    }

    #[test]
    fn odd_bytes_are_left_out_and_counted() {
        for (bytes, said, odd) in [
            (&b"Good text\x00 then words.\n"[..], "Good text then words.\n", 1),
            (b"Old text\r\n\x1A", "Old text\r\n", 1),
            (b"\x1B[31mred\x1B[0m log\n", "red log\n", 2),
            ("one\u{85}two".as_bytes(), "one\u{85}two", 0),
            (b"ADA   \0\0\0\0GRACE \0\0\0\0", "ADA   GRACE ", 8),
            ("é good \u{FFFF}".as_bytes(), "é good ", 1),
            (b"Good text. \xFF More.\n", "Good text.  More.\n", 1),
            (b"N\x08NA\x08AME", "NAME", 2),
        ] {
            let found = decoded(bytes).unwrap();
            assert_eq!((found.text.as_str(), found.odd), (said, odd));
        }
        let mixed = ["éü good text. ".as_bytes(), b"\xFF more"].concat();
        assert_eq!(decoded(&mixed), Some(Decoded { text: "éü good text.  more".to_owned(), odd: 1 }));
    }

    #[test]
    fn programs_and_packed_data_are_no_text() {
        let noise: Vec<u8> = (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(decoded(&noise), None);
        assert_eq!(decoded(&["#!/bin/sh\necho hello\n".repeat(100).as_bytes(), &noise].concat()), None);
        assert_eq!(decoded(b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), None);
        assert_eq!(decoded(b""), None);
    }
}
