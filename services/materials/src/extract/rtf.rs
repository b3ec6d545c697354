use std::collections::HashMap;

use super::dos::Dos;
use super::encoding::Encoding;
use super::formula::raise;
use super::tidy::tidy;
use super::{PageText, Warning, WarningCode};

/// The text of a Rich Text Format file: what is printed, with notes, headers and footers. Its pictures are told: they are
/// not read.
pub(super) fn read(bytes: &[u8]) -> PageText {
    let mut reader = Reader::default();
    reader.read(bytes);
    reader.flush();
    let told =
        |count| Warning::new(WarningCode::PictureUnreadable, format!("pictures were left out: {count}"));
    let warnings = (reader.pictures > 0).then(|| told(reader.pictures)).into_iter().collect();
    PageText { text: tidy(&reader.text), warnings }
}

/// Groups that hold no text of the document.
const DESTINATIONS: [&str; 25] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "themedata",
    "colorschememapping",
    "latentstyles",
    "datastore",
    "generator",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "xmlnstbl",
    "filetbl",
    "revtbl",
    "fldinst",
    "bkmkstart",
    "bkmkend",
    "nonshppict",
    "objdata",
    "mmathPr",
    "pgptbl",
    // The properties of a shape, and its form for older readers.
    "sp",
    "shprslt",
];

/// Groups that repeat, for other readers, what stands beside them, and the bullets of lists.
const REPETITIONS: [&str; 4] = ["nonshppict", "shprslt", "mmathPict", "listpicture"];

#[derive(Clone, Copy)]
struct Group {
    is_skipped: bool,
    is_hidden: bool,
    is_raised: bool,
    is_font_table: bool,
    is_repetition: bool,
    font: u32,
    /// True before the older of two forms of a text.
    is_older_next: bool,
    /// Bytes that stand for the character of `\u`, for readers that know no Unicode.
    fallback: usize,
}

#[derive(Default)]
struct Reader {
    text: String,
    groups: Vec<Group>,
    /// Bytes of an old encoding that wait for the rest of their character.
    bytes: Vec<u8>,
    encoding: Option<Encoding>,
    fonts: HashMap<u32, Encoding>,
    /// The font that the table of fonts is at.
    defined: u32,
    to_skip: usize,
    /// The first half of a pair of UTF-16.
    high: Option<u16>,
    is_ignorable: bool,
    pictures: usize,
    /// Where the text begins that stands above the line.
    raised: Option<usize>,
}

impl Reader {
    fn read(&mut self, source: &[u8]) {
        let mut rest = source;
        while let [first, more @ ..] = rest {
            rest = more;
            match first {
                b'{' => {
                    self.flush();
                    let mut inner = self.group();
                    inner.is_skipped |= inner.is_older_next;
                    inner.is_older_next = false;
                    self.set(|group| group.is_older_next = false);
                    self.groups.push(inner);
                }
                b'}' => {
                    self.flush();
                    self.groups.pop();
                    self.mark_raised();
                }
                b'\\' => rest = self.control(more),
                b'\r' | b'\n' => {}
                byte => self.byte(*byte),
            }
        }
    }

    fn group(&self) -> Group {
        self.groups.last().copied().unwrap_or(Group {
            is_skipped: false,
            is_hidden: false,
            is_raised: false,
            is_font_table: false,
            is_repetition: false,
            font: 0,
            is_older_next: false,
            fallback: 1,
        })
    }

    fn control<'s>(&mut self, source: &'s [u8]) -> &'s [u8] {
        let Some((&first, more)) = source.split_first() else { return source };
        if !first.is_ascii_alphabetic() {
            return self.symbol(first, more);
        }
        let letters = source.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, mut rest) = source.split_at(letters);
        let signed = usize::from(rest.first() == Some(&b'-'));
        let digits = rest[signed..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = if digits > 0 { signed + digits } else { 0 };
        let value = std::str::from_utf8(&rest[..length]).ok().and_then(|text| text.parse::<i64>().ok());
        rest = &rest[length..];
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let word = std::str::from_utf8(word).unwrap_or_default();
        if word == "bin" {
            let length = usize::try_from(value.unwrap_or(0)).unwrap_or(0).min(rest.len());
            return &rest[length..];
        }
        self.word(word, value);
        self.is_ignorable = false;
        rest
    }

    fn symbol<'s>(&mut self, first: u8, more: &'s [u8]) -> &'s [u8] {
        match first {
            b'\'' => {
                let code = more.get(..2).and_then(|code| std::str::from_utf8(code).ok());
                if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                    self.byte(byte);
                }
                return more.get(2..).unwrap_or_default();
            }
            // An extension: a reader that does not know the word after it skips the group.
            b'*' => {
                self.is_ignorable = true;
                return more;
            }
            b'~' => self.push(" "),
            b'-' => self.push("\u{AD}"),
            b'_' => self.push("-"),
            b'\r' | b'\n' => self.push("\n\n"),
            b'\\' | b'{' | b'}' => self.byte(first),
            _ => {}
        }
        more
    }

    fn word(&mut self, word: &str, value: Option<i64>) {
        let is_ignored = self.is_ignorable
            && !matches!(word, "shptxt" | "shpinst" | "do" | "moMath" | "annotation" | "footnote" | "ud");
        self.pictures += usize::from(word == "pict" && !self.group().is_repetition);
        if REPETITIONS.contains(&word) {
            self.set(|group| group.is_repetition = true);
        }
        if let Some(group) = self.groups.last_mut()
            && (is_ignored || DESTINATIONS.contains(&word))
            && !group.is_font_table
        {
            group.is_skipped = true;
            group.is_font_table = word == "fonttbl";
        }
        let number = value.and_then(|value| u32::try_from(value).ok());
        let is_on = value != Some(0);
        match word {
            "par" | "sect" | "page" | "row" => self.push(if word == "row" { "\n" } else { "\n\n" }),
            "line" => self.push("\n"),
            "tab" | "cell" | "nestcell" => self.push("\t"),
            "emdash" => self.push("—"),
            "endash" => self.push("–"),
            "lquote" => self.push("‘"),
            "rquote" => self.push("’"),
            "ldblquote" => self.push("“"),
            "rdblquote" => self.push("”"),
            "bullet" => self.push("•"),
            "emspace" | "enspace" => self.push(" "),
            "footnote" | "annotation" | "header" | "footer" | "headerf" | "footerf" | "shptxt"
            | "dptxbxtext" => {
                self.push("\n\n");
            }
            "ansicpg" => self.encoding = number.and_then(code_page),
            "mac" => self.encoding = code_page(10000),
            "pc" => self.encoding = code_page(437),
            "pca" => self.encoding = code_page(850),
            // A text in two forms, of which the second is in Unicode.
            "upr" => self.set(|group| group.is_older_next = true),
            "deff" => self.set(|group| group.font = number.unwrap_or(0)),
            "fcharset" => {
                if let Some(encoding) = number.and_then(charset) {
                    self.fonts.insert(self.defined, encoding);
                }
            }
            "f" => {
                self.flush();
                let font = number.unwrap_or(0);
                match self.groups.last_mut() {
                    Some(group) if group.is_font_table => self.defined = font,
                    Some(group) => group.font = font,
                    None => {}
                }
            }
            "uc" => self.set(|group| group.fallback = usize::try_from(number.unwrap_or(1)).unwrap_or(1)),
            "u" => self.unicode(value.unwrap_or(0)),
            "v" | "deleted" => {
                self.flush();
                self.set(|group| group.is_hidden = is_on);
            }
            "super" | "up" => self.set_raised(is_on),
            "sub" | "nosupersub" | "dn" => self.set_raised(false),
            "plain" => {
                self.set(|group| group.is_hidden = false);
                self.set_raised(false);
            }
            _ => {}
        }
    }

    fn set(&mut self, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.last_mut() {
            change(group);
        }
    }

    fn set_raised(&mut self, is_raised: bool) {
        self.flush();
        self.set(|group| group.is_raised = is_raised);
        self.mark_raised();
    }

    fn mark_raised(&mut self) {
        match self.raised {
            None if self.group().is_raised => self.raised = Some(self.text.len()),
            Some(start) if !self.group().is_raised => {
                raise(&mut self.text, start);
                self.raised = None;
            }
            _ => {}
        }
    }

    fn unicode(&mut self, value: i64) {
        self.flush();
        // Written as a signed number of sixteen bits.
        let unit = u16::try_from(value.rem_euclid(65_536)).unwrap_or_default();
        let found = match self.high.take() {
            Some(high) => char::decode_utf16([high, unit]).next(),
            None if (0xD800..0xDC00).contains(&unit) => {
                self.high = Some(unit);
                None
            }
            None => char::decode_utf16([unit]).next(),
        };
        if let Some(Ok(c)) = found {
            self.push(c.encode_utf8(&mut [0; 4]));
        }
        self.to_skip = self.group().fallback;
    }

    fn byte(&mut self, byte: u8) {
        if self.to_skip > 0 {
            self.to_skip -= 1;
        } else if self.is_shown() {
            self.bytes.push(byte);
        }
    }

    fn push(&mut self, text: &str) {
        self.flush();
        self.to_skip = 0;
        if self.is_shown() {
            self.text.push_str(text);
        }
    }

    fn is_shown(&self) -> bool {
        let group = self.group();
        !group.is_skipped && !group.is_hidden
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let of_font = self.fonts.get(&self.group().font).copied();
            let encoding = of_font.or(self.encoding).unwrap_or(Encoding::Known(encoding_rs::WINDOWS_1252));
            self.text.push_str(&encoding.characters(&self.bytes));
            self.bytes.clear();
        }
    }
}

fn code_page(number: u32) -> Option<Encoding> {
    if let Some(table) = Dos::of_number(number) {
        return Some(Encoding::Dos(table));
    }
    let label = match number {
        65001 => "utf-8".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10000 => "macintosh".to_owned(),
        866 => "ibm866".to_owned(),
        number => format!("windows-{number}"),
    };
    encoding_rs::Encoding::for_label(label.as_bytes()).map(Encoding::Known)
}

fn charset(number: u32) -> Option<Encoding> {
    code_page(match number {
        0 => 1252,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        77 => 10000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &[u8]) -> String {
        read(file).text
    }

    #[test]
    fn text_boxes_are_read_once_and_without_the_properties_of_their_shapes() {
        let file = br"{\rtf1 a\par{\shp{\*\shpinst\shpleft1{\sp{\sn shapeType}{\sv 202}}{\shptxt \pard boxed\par}}{\shprslt{\*\do
\dptxbx{\dptxbxtext \pard boxed\par}}}}{\*\do\dobxpage\dptxbx{\dptxbxtext older\par}}{\mmath{\*\moMath{\mr E=mc}}}}";
        assert_eq!(text(file), "a\n\nboxed\n\nolder\n\nE=mc");
    }

    #[test]
    fn what_stands_above_the_line_is_no_part_of_the_number_before_it() {
        let file = br"{\rtf1 10{\super 6} m\super 2\nosupersub , H{\sub 2}O, s\up6 -1\up0 , 1{\super st}\par {\super 1}note}";
        assert_eq!(text(file), "10^6 m^2, H2O, s^-1, 1st\n\n1note");
    }

    #[test]
    fn pictures_that_are_not_read_are_told_once_each() {
        let file = br"{\rtf1 a{\*\shppict{\pict\pngblip 89}}{\nonshppict{\pict\wmetafile8 01}}{\*\listpicture{\pict 01}}{\pict 02}{\mmathPict{\pict 03}}}";
        let read = read(file);
        assert_eq!((read.text.as_str(), read.warnings.len()), ("a", 1));
        assert_eq!(read.warnings[0].message, "pictures were left out: 2");
        assert!(super::read(br"{\rtf1 a}").warnings.is_empty());
    }

    #[test]
    fn what_is_printed_is_read_and_what_is_not_is_left_out() {
        let file = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Times;}}{\colortbl;\red0;}
{\info{\author Nobody}}{\*\generator Word;}\pard One {\b b}old caf\'e9 \u8212?dash\par
{\v gone}{\deleted gone too}two\tab x\line y{\f1\'d4\'ee\'f2\'ee}\par {\field{\*\fldinst PAGE}{\fldrslt 7}}
{\pict\wmetafile8 0102}{\footnote A note.}\{braces\}\trowd a\cell b\cell\row end}";
        assert_eq!(text(file), "One bold café —dash\n\ntwo\tx\nyФото\n\n7\n\nA note.{braces}a\tb\nend");
    }

    #[test]
    fn pairs_fallbacks_and_broken_ends_are_read_as_they_are_meant() {
        assert_eq!(text(br"{\rtf1\uc2 x\u-10179??\u-8704??y}"), "x\u{1F600}y");
        assert_eq!(text(br"{\rtf1\ansicpg932 \'8c\'f5\'8d\'87}"), "光合");
        assert_eq!(text(br"{\rtf1 cut \b"), "cut");
        assert_eq!(text(br"{\rtf1 a\bin3 }}}b}"), "ab");
        assert_eq!(text(b"}}}{"), "");
    }

    #[test]
    fn bytes_are_of_their_fonts_set_or_of_the_files_code_page() {
        let fonts = br"{\rtf1\ansi\ansicpg1251\deff0{\fonttbl{\f0\fcharset204 Arial;}{\f1\fcharset0 Arial;}}\'c4\'e0 \f1 na\'efve}";
        assert_eq!(text(fonts), "Да naïve");
        assert_eq!(text(br"{\rtf1\pc caf\'82 \'81ber \'9b}"), "café über ¢");
        assert_eq!(text(br"{\rtf1\pca caf\'82 \'81ber \'9b}"), "café über ø");
        assert_eq!(text(br"{\rtf1\mac caf\'8e}"), "café");
    }

    #[test]
    fn of_two_forms_the_one_in_unicode_is_read_and_of_an_object_its_result() {
        assert_eq!(text(br"{\rtf1 a {\upr{OLD}{\*\ud{new \u8212?}}} b}"), "a new — b");
        assert_eq!(
            text(br"{\rtf1 a {\object\objemb{\*\objclass Sheet}{\*\objdata 0102}{\result {\pard seen}}} b}"),
            "a seen b"
        );
    }
}
