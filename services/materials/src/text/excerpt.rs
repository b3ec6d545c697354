use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::terms::tokens;

/// The passage of a chunk that best shows why it answers a query: at most `max` characters, on one line, with
/// `…` where it was cut. It holds as many different terms of the query as fit; of equals the first. It begins
/// with a sentence where one begins near enough.
#[must_use]
pub fn excerpt(chunk: &str, query_terms: &[String], max: usize) -> String {
    let line = chunk.split_whitespace().collect::<Vec<_>>().join(" ");
    // The byte at which each character begins, so that places can be counted in characters and cut in bytes.
    let begins: Vec<usize> = line.char_indices().map(|(at, _)| at).chain([line.len()]).collect();
    let length = begins.len() - 1;
    if length <= max {
        return line;
    }
    // Two characters are kept for the dots.
    let room = max.saturating_sub(2);
    let matched = best_window(&matches(&line, &begins, query_terms), room);
    let start = start(&line, &begins, &matched, room);
    let end = end(&line, &begins, start, matched.end, room);
    let before = if start > 0 { "…" } else { "" };
    let after = if end < length { "…" } else { "" };
    let passage = line[begins[start]..begins[end]].trim();
    let cut = format!("{before}{passage}{after}");
    cut.chars().take(max).collect()
}

struct Match {
    /// In characters.
    place: Range<usize>,
    term: String,
}

fn matches(line: &str, begins: &[usize], query_terms: &[String]) -> Vec<Match> {
    let wanted: HashSet<&str> = query_terms.iter().map(String::as_str).collect();
    let place = |byte: usize| begins.partition_point(|begin| *begin < byte);
    let found = tokens(line).tokens.into_iter().filter(|token| wanted.contains(token.term.as_str()));
    found.map(|token| Match { place: place(token.start)..place(token.end), term: token.term }).collect()
}

/// From the first to the last match of the window of `room` characters that holds the most different terms, then
/// the most matches. Empty at the beginning where nothing matches.
fn best_window(matches: &[Match], room: usize) -> Range<usize> {
    let mut best = (0, 0, 0..0);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut first = 0;
    for (last, entered) in matches.iter().enumerate() {
        *counts.entry(&entered.term).or_default() += 1;
        while first < last && entered.place.end - matches[first].place.start > room {
            if let Some(count) = counts.get_mut(matches[first].term.as_str()) {
                *count -= 1;
            }
            first += 1;
        }
        let different = counts.values().filter(|count| **count > 0).count();
        let all = last + 1 - first;
        if (different, all) > (best.0, best.1) {
            best = (different, all, matches[first].place.start..entered.place.end);
        }
    }
    best.2
}

/// The start of the passage: some room goes to the words before the first match.
fn start(line: &str, begins: &[usize], matched: &Range<usize>, room: usize) -> usize {
    let spare = room.saturating_sub(matched.len());
    let from = |before: usize| matched.start.saturating_sub(before);
    let (far, near) = (from(spare * 2 / 3), from(spare / 3));
    if far == 0 {
        return 0;
    }
    let lead = |place: usize| &line[begins[place]..begins[matched.start]];
    // A sentence begins two bytes after the mark that ends the one before it: `3.5` has no space between.
    let marks = lead(far).match_indices(['.', '!', '?']).map(|(at, _)| begins[far] + at + 2);
    let mut sentences = marks.filter(|byte| line[byte - 1..].starts_with(' '));
    if let Some(byte) = sentences.find(|byte| *byte <= begins[matched.start]) {
        return begins.partition_point(|begin| *begin < byte);
    }
    match lead(near).find(' ') {
        Some(at) => begins.partition_point(|begin| *begin <= begins[near] + at),
        None => near,
    }
}

/// The end of the passage: the last word that fits, but not before the last match.
fn end(line: &str, begins: &[usize], start: usize, matched_end: usize, room: usize) -> usize {
    let length = begins.len() - 1;
    let far = (start + room).min(length);
    if far == length || line[begins[far]..].starts_with(' ') {
        return far;
    }
    let tail_from = matched_end.clamp(start, far);
    match line[begins[tail_from]..begins[far]].rfind(' ') {
        Some(at) => begins.partition_point(|begin| *begin < begins[tail_from] + at),
        None => far,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(query: &str) -> Vec<String> {
        super::super::query(query, super::super::Languages(1)).concat()
    }

    const LECTURE: &str = include_str!("../../samples/scanned.txt");

    #[test]
    fn a_short_chunk_is_shown_whole() {
        assert_eq!(excerpt(" one\n\ntwo ", &terms("two"), 500), "one two");
    }

    #[test]
    fn the_passage_holds_the_terms_of_the_query() {
        let shown = excerpt(LECTURE, &terms("ATP synthase turbine"), 200);
        assert!(shown.contains("tiny turbine, ATP synthase"), "{shown}");
        assert!(shown.chars().count() <= 200 && shown.starts_with('…') && shown.ends_with('…'), "{shown}");
        let shown = excerpt(LECTURE, &terms("rubisco slow"), 250);
        assert!(shown.contains("Rubisco is slow"), "{shown}");
        // It begins with a sentence.
        assert!(shown.trim_start_matches('…').starts_with(char::is_uppercase), "{shown}");
    }

    #[test]
    fn nothing_found_shows_the_beginning_and_no_half_words() {
        let shown = excerpt(LECTURE, &terms("quantum"), 60);
        assert_eq!(shown, "Photosynthesis Lecture 4: how a leaf turns light into…");
    }

    #[test]
    fn texts_without_spaces_are_shown_around_the_match() {
        let text = format!("{}光合作用{}", "植物利用阳光。".repeat(100), "制造糖".repeat(100));
        let shown = excerpt(&text, &terms("光合作用"), 100);
        assert!(shown.contains("光合作用"), "{shown}");
        assert!(shown.chars().count() <= 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_never_is_longer_than_asked_for_and_shows_a_match(
            words in prop::collection::vec("[a-zé光.]{1,12}", 1..200),
            wanted in any::<prop::sample::Index>(),
            max in 40_usize..600,
        ) {
            let text = words.join(" ");
            let query = terms(wanted.get::<String>(&words));
            let shown = excerpt(&text, &query, max);
            prop_assert!(shown.chars().count() <= max);
            // The places come from the whole text: a passage alone may be taken for another language, where the word
            // is too common to be a term.
            let found = tokens(&text).tokens.into_iter().filter(|token| query.contains(&token.term));
            let found: Vec<&str> = found.map(|token| &text[token.start..token.end]).collect();
            prop_assert!(found.is_empty() || found.iter().any(|word| shown.contains(word)), "{shown:?} {query:?}");
        }
    }
}
