use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::ExtractError;

/// Reads a text file whole; the caller has looked at its length. Bytes that are no characters after all become
/// replacement characters: losing one word is better than losing the file.
pub(super) fn read(path: &Path) -> Result<String, ExtractError> {
    let bytes = std::fs::read(path).map_err(ExtractError::io("read the document"))?;
    Ok(tidy(&decode(&bytes)))
}

/// True if the first bytes of a file are text in UTF-8, or in UTF-16 with a byte order mark, without control
/// characters. They may end within a character.
pub(super) fn looks_like_text(head: &[u8]) -> bool {
    let text = if is_utf16(head) {
        // A lone surrogate at the very end is half of a pair that was cut.
        decode(head).trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
    } else {
        let whole = match std::str::from_utf8(head) {
            Ok(_) => head,
            Err(error) if error.error_len().is_none() => &head[..error.valid_up_to()],
            Err(_) => return false,
        };
        String::from_utf8_lossy(whole).into_owned()
    };
    let may_be_in_text = |c: char| !c.is_control() || SPACES.iter().any(|space| char::from(*space) == c);
    !text.is_empty() && text.chars().all(|c| may_be_in_text(c) && c != char::REPLACEMENT_CHARACTER)
}

/// True if a file that begins like text goes on like it: a program may hide behind a page of text. Of UTF-16 only
/// the beginning counts.
pub(super) fn is_text(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    let (mut kept, mut is_first) = (0, true);
    loop {
        let length = file.read(&mut buffer[kept..])?;
        if length == 0 {
            return Ok(kept == 0);
        }
        let filled = kept + length;
        if is_first && is_utf16(&buffer[..filled]) {
            return Ok(true);
        }
        is_first = false;
        let valid = match std::str::from_utf8(&buffer[..filled]) {
            Ok(_) => filled,
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Ok(false),
        };
        if !buffer[..valid].iter().all(|byte| !byte.is_ascii_control() || SPACES.contains(byte)) {
            return Ok(false);
        }
        // A character may lie across two reads.
        kept = filled - valid;
        buffer.copy_within(valid..filled, 0);
    }
}

/// The control characters that texts are laid out with.
const SPACES: [u8; 4] = *b"\t\n\r\x0C";

/// Makes text of one form, whatever wrote it: lines end in `\n`, at most one of them is empty in a row, none ends
/// in spaces, and nothing is left that cannot be seen (control characters, soft hyphens, zero-width spaces).
pub(super) fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty_lines = 0;
    // A form feed parts pages, so it ends a line as well.
    let lines =
        text.split(['\n', '\x0C']).flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
    for line in lines {
        let length = tidied.len();
        tidied.extend(line.chars().filter_map(visible));
        tidied.truncate(length + tidied[length..].trim_end().len());
        if tidied.len() == length {
            empty_lines += 1;
            if empty_lines > 1 || tidied.is_empty() {
                continue;
            }
        } else {
            empty_lines = 0;
        }
        tidied.push('\n');
    }
    tidied.truncate(tidied.trim_end().len());
    tidied
}

/// Joins words that a typesetter broke at the end of a line (`photo-` / `synthesis`), or a search for them would
/// find nothing. Only before a lower-case letter: `Hardy-` / `Weinberg` keeps its hyphen and loses its line break.
pub(super) fn join_broken_words(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let before = joined.strip_suffix("-\n").and_then(|kept| kept.chars().next_back());
        let after = line.chars().next();
        match (before, after) {
            (Some(before), Some(after)) if before.is_alphabetic() && after.is_alphabetic() => {
                let hyphen = usize::from(!after.is_lowercase());
                joined.truncate(joined.len() - 2 + hyphen);
            }
            _ => {}
        }
        joined.push_str(line);
    }
    joined
}

/// The number of letters and digits in a text. Signs that a font without a character map stands for lie in Unicode's
/// private areas and are none.
pub(super) fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

fn visible(c: char) -> Option<char> {
    match c {
        '\t' => Some('\t'),
        '\u{A0}' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{AD}' | '\u{200B}' | '\u{FEFF}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..])
}

fn decode(bytes: &[u8]) -> String {
    let units = |from: fn([u8; 2]) -> u16| {
        let pairs = bytes[2..].chunks_exact(2).map(move |pair| from([pair[0], pair[1]]));
        char::decode_utf16(pairs).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xFF, 0xFE, ..] => units(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => units(u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_of_any_origin_has_one_form() {
        assert_eq!(
            tidy("\u{FEFF}\r\none  \r\n\r\n\r\n\r\ntwo\rthree\u{AD}s\x0C\x00four\n\n"),
            "one\n\ntwo\nthrees\nfour"
        );
        assert_eq!(tidy("  indented\u{A0}code\n"), "  indented code");
        assert_eq!(tidy(" \n\t\n"), "");
    }

    #[test]
    fn text_must_go_on_as_text_to_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let check = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            is_text(&path).unwrap()
        };
        let long = "x".to_owned() + &"é\n".repeat(100_000);
        assert!(check(long.as_bytes()));
        assert!(!check(&[long.as_bytes(), b"\0"].concat()));
        assert!(!check(&[long.as_bytes(), b"\xE9 Latin-1"].concat()));
        assert!(!check(&long.as_bytes()[..long.len() - 2]));
        assert!(check(b"\xFF\xFEh\x00i\x00"));
    }

    #[test]
    fn utf16_is_read_in_both_orders() {
        assert_eq!(decode(b"\xFF\xFEh\x00\xE9\x00"), "hé");
        assert_eq!(decode(b"\xFE\xFF\x00h\xD8\x3D\xDE\x00"), "h😀");
        assert_eq!(decode(b"\xFF\xFEh"), "");
    }

    #[test]
    fn broken_words_are_joined_and_names_keep_their_hyphen() {
        assert_eq!(
            join_broken_words("photo-\nsynthesis of the Hardy-\nWeinberg law"),
            "photosynthesis of the Hardy-Weinberg law"
        );
        assert_eq!(join_broken_words("pages 3-\n4, a dash -\nhere"), "pages 3-\n4, a dash -\nhere");
    }

    proptest! {
        #[test]
        fn tidying_twice_changes_nothing_more(text in "[a-z \r\n\t\x0C\u{AD}é-]{0,60}") {
            let once = tidy(&text);
            prop_assert_eq!(&tidy(&once), &once);
            prop_assert!(!once.contains("\n\n\n"));
        }
    }
}
