use std::collections::BTreeMap;

use super::{Examined, LanguageShare};

/// Bytes of a line of code, as most code has them: what GitHub tells is bytes.
const BYTES_PER_LINE: u64 = 40;

/// Sums the bytes of each language over the repositories, the largest first.
pub(super) fn languages(examined: &[Examined]) -> Vec<LanguageShare> {
    let mut sums: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
    for (language, bytes) in examined.iter().flat_map(|examined| &examined.languages) {
        let sum = sums.entry(language).or_default();
        *sum = (sum.0.saturating_add(*bytes), sum.1 + 1);
    }
    let total: u64 = sums.values().map(|(bytes, _)| bytes).sum();
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    sums.into_iter()
        .map(|(language, (bytes, repository_count))| LanguageShare {
            language: language.to_owned(),
            repository_count,
            percentage: (bytes as f64 / total.max(1) as f64 * 10_000.0).round() / 100.0,
            lines_of_code: bytes / BYTES_PER_LINE,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined(languages: &[(&str, u64)]) -> Examined {
        let languages = languages.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        Examined { languages, ..Examined::default() }
    }

    #[test]
    fn bytes_are_summed_over_repositories() {
        let shares = languages(&[examined(&[("Rust", 3_000), ("Shell", 40)]), examined(&[("Rust", 960)])]);
        let share = |language: &str, repository_count, percentage, lines_of_code| LanguageShare {
            language: language.into(),
            repository_count,
            percentage,
            lines_of_code,
        };
        assert_eq!(shares, [share("Rust", 2, 99.0, 99), share("Shell", 1, 1.0, 1)]);
        assert_eq!(languages(&[]), []);
        assert_eq!(languages(&[examined(&[("Rust", 0)])])[0].percentage, 0.0);
    }
}
