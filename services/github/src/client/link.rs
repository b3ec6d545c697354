/// The address of the next page, by a `Link` header (RFC 8288): `<https://…&page=2>; rel="next", <…>; rel="last"`.
pub(crate) fn next(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.split_once(';')?;
        let target = target.trim().strip_prefix('<')?.strip_suffix('>')?;
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=')?;
            let relations = value.trim().trim_matches('"');
            (name.trim() == "rel" && relations.split(' ').any(|relation| relation == "next")).then_some(())
        };
        parameters.split(';').find_map(is_next).map(|()| target)
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
}
