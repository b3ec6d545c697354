use std::sync::LazyLock;

/// The words that begin like keys.
static PREFIXES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    include_str!("secret_prefixes.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect()
});

/// The shortest word that counts as a key: `sk-` alone is none.
const MIN_KEY: usize = 8;
/// Names whose value, after `=` or `:`, is a secret.
const NAMES: [&str; 7] = ["key", "api_key", "apikey", "token", "access_token", "secret", "password"];

/// A text of an outside system for people: without keys, and without addresses, which say how the machines behind the
/// server are called. `hidden` are words to be left out that only the caller knows.
pub(crate) fn for_people(text: &str, hidden: &[String]) -> String {
    by_words(text, hidden, |word| if is_address(word) { Some("(an address)".into()) } else { None })
}

/// The same for the log, which keeps addresses, without the user and the query.
pub(crate) fn for_log(text: &str, hidden: &[String]) -> String {
    by_words(text, hidden, |word| word.contains("://").then(|| plain_url(word)))
}

fn by_words(text: &str, hidden: &[String], address: impl Fn(&str) -> Option<String>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut after_name = false;
    for piece in text.split_inclusive(|c: char| c.is_whitespace() || "\"'`<>()[]{},;|".contains(c)) {
        let word = piece.trim_end_matches(|c: char| c.is_whitespace() || "\"'`<>()[]{},;|.!?".contains(c));
        let rest = &piece[word.len()..];
        if word.is_empty() {
            shown.push_str(piece);
            continue;
        }
        let (name, value) = word.split_once('=').unwrap_or(("", word));
        let lower = word.trim_end_matches(':').to_ascii_lowercase();
        if let Some(address) = address(word) {
            shown.push_str(&address);
        } else if after_name || is_key(value) || is_secret_name(name) {
            let name = word.strip_suffix(value).filter(|name| !name.is_empty()).unwrap_or_default();
            shown.push_str(name);
            shown.push_str("(a key)");
        } else {
            shown.push_str(word);
        }
        shown.push_str(rest);
        after_name =
            lower == "bearer" || word.ends_with(':') && is_secret_name(&lower) && is_secret_like(text, word);
    }
    for word in hidden.iter().filter(|word| !word.is_empty()) {
        shown = shown.replace(word.as_str(), "(hidden)");
    }
    shown
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|secret| {
        name == *secret || name.ends_with(&format!("_{secret}")) || name.ends_with(&format!("-{secret}"))
    })
}

/// True where a long word without spaces follows a name, which no sentence has: `token: abcdefgh…`.
fn is_secret_like(text: &str, name: &str) -> bool {
    let next = text.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or_default();
    next.len() >= 16 && next.chars().any(|c| c.is_ascii_digit())
}

fn is_key(word: &str) -> bool {
    word.len() >= MIN_KEY && PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

/// A URL, an IPv4 or IPv6 address, `localhost`, or a name with a port.
fn is_address(word: &str) -> bool {
    if word.contains("://") {
        return true;
    }
    let word = word.trim_end_matches([':', '/']);
    let (host, port) = match word.rsplit_once(':') {
        Some((host, port)) => (host, port.split('/').next().unwrap_or_default()),
        None => (word.split('/').next().unwrap_or_default(), ""),
    };
    let has_port = (2..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = host.contains('.') && host.chars().any(|c| c.is_ascii_alphabetic()) && !host.contains('/');
    host.parse::<std::net::Ipv4Addr>().is_ok()
        || word.parse::<std::net::Ipv6Addr>().is_ok_and(|ip| word.len() > 2 && !ip.is_unspecified())
        || host.eq_ignore_ascii_case("localhost")
        || has_port && is_name
}

/// The URL without its user, its query and its fragment.
fn plain_url(word: &str) -> String {
    let (before, rest) = word.split_once("://").unwrap_or(("", word));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) =
        rest.split_once('/').map_or((rest, String::new()), |(a, path)| (a, format!("/{path}")));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{before}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_neither_keys_nor_addresses() {
        for (text, expected) in [
            ("Incorrect API key provided: sk-abc***xyz.", "Incorrect API key provided: (a key)."),
            ("bad token 'ghp_0123456789abcdef'", "bad token '(a key)'"),
            ("Authorization: Bearer abc", "Authorization: Bearer (a key)"),
            (
                "error for url (http://u:p@10.0.0.5:11434/v1/chat?key=x): refused",
                "error for url ((an address)): refused",
            ),
            ("dial tcp 10.0.0.5:11434: connection refused", "dial tcp (an address) connection refused"),
            ("cannot reach ollama.internal:11434", "cannot reach (an address)"),
            ("localhost refused, [fe80::1] too", "(an address) refused, [(an address)] too"),
            ("api_key=abc123 is wrong", "api_key=(a key) is wrong"),
            ("token: 0123456789abcdef0123", "token: (a key)"),
            ("the word S3CRET", "the word (hidden)"),
        ] {
            assert_eq!(for_people(text, &["S3CRET".into()]), expected);
        }
        for kept in [
            "model 'llama3.2:latest' not found, try pulling it first",
            "maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "unexpected token: the list ends, see 3.5 and e.g. this",
            "expected value at line 1 column 14",
        ] {
            assert_eq!(for_people(kept, &[]), kept);
        }
    }

    #[test]
    fn the_log_keeps_addresses_without_their_secrets() {
        let text = "error for url (http://u:p@10.0.0.5:11434/v1/chat?key=x#y): sk-0123456789";
        assert_eq!(for_log(text, &[]), "error for url (http://10.0.0.5:11434/v1/chat): (a key)");
    }
}
