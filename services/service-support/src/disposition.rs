use std::borrow::Cow;

/// The name of a file in a `Content-Disposition`, in the forms that parsers of forms leave out: `filename*=UTF-8''%C3%A9`
/// (RFC 8187), which some clients send for names beyond ASCII though RFC 7578 forbids it, and a name in Latin-1.
pub(crate) fn file_name(disposition: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(disposition) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(latin_1(disposition)),
    };
    let mut plain = None;
    for (name, value) in parameters(&text) {
        match name.to_ascii_lowercase().as_str() {
            "filename*" => {
                if let Some(name) = extended(&value) {
                    return Some(name);
                }
            }
            "filename" => plain = Some(value),
            _ => {}
        }
    }
    plain
}

/// The parameters behind the first semicolon, their values without quotation marks.
fn parameters(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = text.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.rsplit(';').next().unwrap_or_default().trim();
        let after = after.trim_start();
        let Some(quoted) = after.strip_prefix('"') else {
            let (value, more) = after.split_once(';').unwrap_or((after, ""));
            found.push((name, value.trim().to_owned()));
            rest = more;
            continue;
        };
        let (mut value, mut end, mut is_escaped) = (String::new(), quoted.len(), false);
        for (at, c) in quoted.char_indices() {
            match c {
                '"' if !is_escaped => {
                    end = at + 1;
                    break;
                }
                '\\' if !is_escaped && quoted[at + 1..].starts_with(['"', '\\']) => {
                    is_escaped = true;
                    continue;
                }
                c => value.push(c),
            }
            is_escaped = false;
        }
        found.push((name, value));
        rest = &quoted[end..];
    }
    found
}

fn extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (encoding, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let code = std::str::from_utf8(more.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        rest = &more[2..];
    }
    match encoding.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(latin_1(&bytes)),
        _ => None,
    }
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_name_is_read_in_every_form() {
        for (disposition, name) in [
            (&b"form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac%20a.txt"[..], Some("\u{20AC} a.txt")),
            (b"form-data; filename*=utf-8'de'%C3%BCb.txt; name=\"file\"", Some("üb.txt")),
            (b"form-data; filename=\"b.txt\"; FileName*=ISO-8859-1''%FCb.txt", Some("üb.txt")),
            (b"form-data; name=\"a;b=c\"; filename=\"\xFCb;\\\"x.txt\"", Some("üb;\"x.txt")),
            (b"form-data; filename=a.txt; filename*=UTF-8''%ff", Some("a.txt")),
            (b"form-data; filename*=UTF-8''%e", None),
            (b"form-data; filename*=UTF-8''%\xC3\xA9\xC3\xA9", None),
            (b"form-data; filename*=UTF-16''a", None),
            (b"form-data; name=\"file\"", None),
            (b"form-data; filename=\"open", Some("open")),
            (b"", None),
        ] {
            assert_eq!(
                file_name(disposition).as_deref(),
                name,
                "{:?}",
                disposition.escape_ascii().to_string()
            );
        }
    }
}
