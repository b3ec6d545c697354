/// Ends of words after which a full stop ends no sentence.
const ABBREVIATIONS: [&str; 18] = [
    "e.g", "i.e", "etc", "cf", "vs", "no", "fig", "approx", "ca", "c", "dr", "mr", "mrs", "st", "prof",
    "u.s", "u.k", "lit",
];

/// The sentences of an encyclopedia's prose, in order. A sentence ends at `.`, `!` or `?` (and the quotation marks or
/// brackets after it) before white space and the beginning of another sentence, and at the end of a line.
pub(super) fn of(text: &str) -> Vec<&str> {
    text.lines().flat_map(of_line).collect()
}

fn of_line(line: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut begin = 0;
    for (at, character) in line.char_indices() {
        if !matches!(character, '.' | '!' | '?') {
            continue;
        }
        let after = &line[at + character.len_utf8()..];
        let closing = after.len() - after.trim_start_matches(['"', '”', '’', '\'', ')', ']']).len();
        let (end, rest) = (at + character.len_utf8() + closing, &after[closing..]);
        if rest.starts_with(char::is_whitespace) && begins_sentence(rest) && !abbreviates(&line[begin..at]) {
            sentences.push(line[begin..end].trim());
            begin = end;
        }
    }
    sentences.push(line[begin..].trim());
    sentences.retain(|sentence| sentence.chars().any(char::is_alphanumeric));
    sentences
}

fn begins_sentence(rest: &str) -> bool {
    let first = rest.trim_start().trim_start_matches(['"', '“', '‘', '\'', '(', '[']).chars().next();
    // Letters of scripts without case begin a sentence as well as capitals do.
    first.is_some_and(|first| !first.is_lowercase())
}

/// Whether the text ends in an abbreviation or an initial.
fn abbreviates(text: &str) -> bool {
    let word =
        text.rsplit(char::is_whitespace).next().unwrap_or_default().trim_start_matches(['(', '[', '"', '“']);
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    is_initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_people_end_them() {
        let text = "Verbs (e.g. run) tell of actions. J. K. Rowling said \"Run!\" Then at 3.5 V it stopped. U.S. English \
                    differs vs. British. Why?\nA new line. and it goes on";
        assert_eq!(
            of(text),
            [
                "Verbs (e.g. run) tell of actions.",
                "J. K. Rowling said \"Run!\"",
                "Then at 3.5 V it stopped.",
                "U.S. English differs vs. British.",
                "Why?",
                "A new line. and it goes on",
            ]
        );
        assert!(of(" \n… \n").is_empty());
    }
}
