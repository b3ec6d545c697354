/// The address of the next page, by a `Link` header (RFC 8288): `<https://…&page=2>; rel="next", <…>; rel="last"`.
pub(crate) fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    // Addresses and titles may hold commas and semicolons of their own.
    while let Some((_, link)) = rest.split_once('<') {
        let (target, after) = link.split_once('>')?;
        let end = unquoted(after, ',').unwrap_or(after.len());
        if is_next(&after[..end]) {
            return Some(target.trim());
        }
        rest = &after[end..];
    }
    None
}

/// True for parameters of which one is `rel` and names the next page.
fn is_next(parameters: &str) -> bool {
    let mut rest = parameters;
    while let Some(start) = unquoted(rest, ';') {
        rest = &rest[start + 1..];
        let parameter = &rest[..unquoted(rest, ';').unwrap_or(rest.len())];
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            // The first one counts.
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            return relations.any(|relation| relation.eq_ignore_ascii_case("next"));
        }
    }
    false
}

/// The place of a separator that stands in no quotation.
fn unquoted(text: &str, separator: char) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.char_indices().find_map(|(at, c)| {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == separator && !is_quoted => return Some(at),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_next_page_is_found_wherever_it_stands() {
        let header = r#"<https://api.github.com/user/1/repos?page=1>; rel="prev", <https://api.github.com/user/1/repos?page=3>; rel="next", <https://api.github.com/user/1/repos?page=9>; rel="last""#;
        assert_eq!(next(header), Some("https://api.github.com/user/1/repos?page=3"));
        assert_eq!(next("<https://a/?page=2>; title=\"x\"; rel=next"), Some("https://a/?page=2"));
        assert_eq!(next(r#"<https://a/?page=1>; rel="first""#), None);
        assert_eq!(next("nonsense"), None);
        assert_eq!(next(""), None);
    }

    #[test]
    fn separators_within_addresses_and_quotations_separate_nothing() {
        let of_two = r#"<https://a/?ids=1,2;3&page=2>; title="b, c; rel=prev \", <x>"; REL="last Next", <https://a/>; rel=last"#;
        assert_eq!(next(of_two), Some("https://a/?ids=1,2;3&page=2"));
        assert_eq!(
            next(r#"<https://a/1>; title="next"; rel="prev", <https://a/3>;rel=NEXT"#),
            Some("https://a/3")
        );
        assert_eq!(next(r#"<https://a/1>; rel=prev; rel=next"#), None, "the first relation counts");
        for odd in
            ["<", "<a", "<a>", "<a>;", "<a>; rel", "<a>; rel=", r#"<a>; title="<b>; rel=next"#, "<é>;é=é,é"]
        {
            assert_eq!(next(odd), None, "{odd}");
        }
    }
}
