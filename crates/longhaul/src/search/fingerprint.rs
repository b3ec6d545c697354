use std::fmt::Write;

/// Names the failures of one kind whose messages differ only in numbers, ids and quoted words: 16 hexadecimal digits, the same
/// on every machine and in every release.
#[must_use]
pub fn fingerprint(kind: &str, message: &str) -> String {
    // FNV-1a: short, and the same for ever, which the hashes of the standard library do not promise.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in kind.bytes().chain([0]).chain(shape(message).into_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut text = String::with_capacity(16);
    // Writing to a string does not fail.
    let _ = write!(text, "{hash:016x}");
    text
}

/// The message with `#` for each number or id and `"…"` for each quoted text; of a long message, what differs late does not
/// count.
#[must_use]
pub fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len().min(MAX_SHAPE_BYTES));
    let mut rest = message;
    while let Some(first) = rest.chars().next().filter(|_| shape.len() < MAX_SHAPE_BYTES) {
        let length = if let Some(length) = quoted(rest, shape.chars().next_back()) {
            shape.push_str("\"…\"");
            length
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            push_word(&mut shape, &rest[..length]);
            length
        } else {
            // Runs of white space count as one.
            match first.is_whitespace() {
                true if shape.ends_with(' ') => {}
                true => shape.push(' '),
                false => shape.push(first),
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    // A list of numbers is one number: `1, 2, 3` and `1, 2`.
    while shape.contains("#, #") {
        shape = shape.replace("#, #", "#");
    }
    shape.truncate(shape.trim_end().len());
    shape
}

const MAX_SHAPE_BYTES: usize = 512;

/// A letter, a digit, or what holds parts of an id together.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@')
}

/// A word with a digit is a number or an id, as far as it does not merely end a sentence; of `id-7f` and `1.5s.` the full stop
/// stays.
fn push_word(shape: &mut String, word: &str) {
    let trimmed = word.trim_end_matches(['.', '-']);
    if trimmed.contains(|c: char| c.is_numeric()) || is_hexadecimal(trimmed) {
        shape.push('#');
        shape.push_str(&word[trimmed.len()..]);
    } else if trimmed.contains('@') {
        shape.push_str("#@#");
    } else {
        shape.push_str(word);
    }
}

/// True for what looks like a part of a random id though no digit happens to be in it.
fn is_hexadecimal(word: &str) -> bool {
    word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// The length of the quoted text that the message begins with, its quotation marks included. A mark after a letter is an
/// apostrophe.
fn quoted(text: &str, before: Option<char>) -> Option<usize> {
    let open = text.chars().next()?;
    let close = match open {
        '"' | '`' => open,
        '\'' if !before.is_some_and(char::is_alphanumeric) => open,
        '‘' => '’',
        '“' | '„' => '”',
        '«' => '»',
        _ => return None,
    };
    let inner = &text[open.len_utf8()..];
    let mut ends = inner.char_indices().filter(|(_, c)| *c == close);
    // Within single marks an apostrophe does not close: `'it's'`.
    let is_end = |at: usize| close != '\'' || !inner[at + 1..].starts_with(char::is_alphanumeric);
    let (end, _) = ends.find(|(at, _)| is_end(*at))?;
    Some(open.len_utf8() + end + close.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_ids_and_quoted_words_have_one_shape() {
        let alike = [
            ("timeout after 30 s", "timeout after 1500 s"),
            ("no user 7f3a-22", "no user 99b-41"),
            ("no file \"a b.pdf\"", "no file \"c.pdf\""),
            ("no file 'it's here.pdf' there", "no file 'c.pdf' there"),
            ("failed at 10.5%.", "failed at 7%."),
            ("job 0198c0de-7a41-7000-8000-000000000001 is gone", "job deadbeef-dead is gone"),
            ("refused by 10.0.0.1:5432", "refused by 192.168.7.2:6432"),
            ("«eins» fehlt", "«zwei drei» fehlt"),
            ("mail to ann@example.org bounced", "mail to bob@example.com bounced"),
            ("rows 1, 2, 3 are bad", "rows 4, 5 are bad"),
            ("a  b\n3", "a b 4"),
        ];
        for (one, other) in alike {
            assert_eq!(fingerprint("k", one), fingerprint("k", other), "{} / {}", shape(one), shape(other));
        }
        let unlike = [
            ("connection refused", "connection reset"),
            ("can't open it", "can't close it"),
            ("no user 7", "no group 7"),
        ];
        for (one, other) in unlike {
            assert_ne!(shape(one), shape(other));
        }
        assert_ne!(fingerprint("a", "no"), fingerprint("b", "no"), "each kind has its own");
        assert_eq!(fingerprint("k", "no"), "ead55ed56b2bfb6d", "it never changes");
    }
}
