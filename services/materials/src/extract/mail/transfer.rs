use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;

use super::super::encoding::Encoding;
use super::super::{FileKind, PageText, plain};

/// The bytes of a body without the encoding that it was sent in. What that encoding has no place for is passed over: a
/// body that is cut short or damaged costs its damaged bytes only.
pub(super) fn decoded<'a>(body: &'a [u8], encoding: Option<&str>) -> Cow<'a, [u8]> {
    match encoding.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "base64" => Cow::Owned(base64(body)),
        "quoted-printable" => Cow::Owned(quoted_printable(body)),
        _ => Cow::Borrowed(body),
    }
}

/// The text of a part in the character set that it names, unless its bytes say another; `None` where it is no text.
pub(super) fn text(bytes: &[u8], charset: Option<&str>) -> Option<PageText> {
    if bytes.trim_ascii().is_empty() {
        return Some(PageText::default());
    }
    let label = charset.unwrap_or_default().trim().to_ascii_lowercase();
    // The name is that of programs that do not look, where the bytes are over ASCII.
    let is_told = !matches!(label.as_str(), "" | "us-ascii" | "ascii");
    let is_utf8 = !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok();
    if is_told && !is_utf8 {
        if label.contains("utf-7")
            && let Some(decode) = charset_decoder(label.as_bytes())
        {
            return Some(PageText::from(decode(bytes)));
        }
        // UTF-8 that is none, and UTF-16, are told by their bytes.
        let known = encoding_rs::Encoding::for_label(label.as_bytes());
        let known = known.filter(|known| known.output_encoding() == *known && *known != encoding_rs::UTF_8);
        if let Some(known) = known {
            return Some(plain::decoded(Encoding::Known(known), bytes));
        }
    }
    plain::whole(bytes, FileKind::Eml).ok()
}

/// Lines with a space in them are none of base64: lists of mails write their footers behind it.
fn base64(source: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(source.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    let lines = source.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    for byte in lines.filter(|line| !line.contains(&b' ')).flatten() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    decoded
}

/// A sign of equality that begins no code stands for itself, as its writer meant it.
fn quoted_printable(source: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.iter().position(|byte| *byte == b'=') {
        decoded.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let code = rest.get(..2).filter(|code| code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            decoded.push(byte);
            rest = &rest[2..];
            continue;
        }
        // The end of a line that is none of the text's, behind which some gateways leave spaces.
        let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match rest.get(spaces) {
            Some(b'\n') => rest = &rest[spaces + 1..],
            None => rest = &[],
            Some(_) => decoded.push(b'='),
        }
    }
    decoded.extend_from_slice(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(body: &str, encoding: &str) -> String {
        String::from_utf8_lossy(&decoded(body.as_bytes(), Some(encoding))).into_owned()
    }

    #[test]
    fn bodies_are_decoded_and_damage_costs_no_more_than_itself() {
        assert_eq!(plain("R3LDvMOf\r\nZQ==\r\n", "BASE64"), "Grüße");
        assert_eq!(plain("R3LDvMOf\r\nZ", "base64"), "Grüß", "cut short");
        assert_eq!(plain("R3LDv!MOf\nZQ==\n____\nA list of mails\n", "base64"), "Grüße");
        assert_eq!(
            plain("Gr=C3=BC=\r\n=C3=9Fe =\n\n1 + 1 = 2, a=b\n", "quoted-printable"),
            "Grüße \n1 + 1 = 2, a=b\n"
        );
        assert_eq!(plain("one=", "Quoted-Printable"), "one");
        assert_eq!(plain("as=20it is", "8bit"), "as=20it is");
    }

    #[test]
    fn the_character_set_is_the_one_that_is_named_unless_the_bytes_say_another() {
        let read = |bytes: &[u8], charset| text(bytes, charset).unwrap().text;
        for charset in ["iso-8859-1", "no-such-set", "us-ascii", "utf-8", ""] {
            assert_eq!(read(b"caf\xE9 cr\xE8me", Some(charset)), "café crème", "{charset}");
            assert_eq!(read("café crème".as_bytes(), Some(charset)), "café crème", "{charset}");
        }
        assert_eq!(read(b"caf\xE9 cr\xE8me", None), "café crème");
        assert_eq!(read(b"+ZYeB9FH6ckh5Pg-, 1980.", Some("utf-7")), "文致出版社, 1980.");
        assert_eq!(read(b"\x1B$B8w9g@.\x1B(B", Some("iso-2022-jp")), "光合成");
        let (koi, _, _) = encoding_rs::KOI8_R.encode("Фотосинтез");
        assert_eq!(read(&koi, Some("koi8-r")), "Фотосинтез");
        assert_eq!(read(b" \r\n", Some("utf-8")), "");
    }
}
