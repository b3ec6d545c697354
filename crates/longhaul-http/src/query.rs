//! The query of a URL: parameters by name, several of one name allowed where they make sense.

use std::borrow::Cow;

/// The parameters in their order.
pub(crate) fn pairs(query: Option<&str>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
}

/// The first parameter of this name.
pub(crate) fn value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    pairs(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The same query with `name` set to `value` and nowhere else.
pub(crate) fn with(query: Option<&str>, name: &str, value: &str) -> String {
    let mut changed = form_urlencoded::Serializer::new(String::new());
    changed.extend_pairs(pairs(query).filter(|(key, _)| key != name)).append_pair(name, value);
    changed.finish()
}

/// Reads a whole number within bounds, or says what it must be.
pub(crate) fn number<T>(text: &str, bounds: std::ops::RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", bounds.start(), bounds.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_query_keeps_all_else() {
        let next = with(Some("label=a%3Ab&cursor=old&label=c:d&q=%26"), "cursor", "n=w");
        assert_eq!(next, "label=a%3Ab&label=c%3Ad&q=%26&cursor=n%3Dw");
    }
}
