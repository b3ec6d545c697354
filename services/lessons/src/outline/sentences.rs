use service_support::Language;

/// The sentences of an encyclopedia's prose, in order. A sentence ends at `.`, `!` or `?` (and the quotation marks or
/// brackets after it) before white space and the beginning of another sentence, at the full stops of other scripts, and at
/// the end of a line.
pub(super) fn of(text: &str, language: Language) -> Vec<&str> {
    text.lines().flat_map(|line| of_line(line, language)).collect()
}

fn of_line(line: &str, language: Language) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut begin = 0;
    for (at, character) in line.char_indices() {
        if matches!(character, '।' | '॥' | '。' | '！' | '？') {
            let end = at + character.len_utf8();
            sentences.push(line[begin..end].trim());
            begin = end;
            continue;
        }
        if !matches!(character, '.' | '!' | '?') {
            continue;
        }
        let after = &line[at + character.len_utf8()..];
        let closing = after.len() - after.trim_start_matches(['"', '”', '’', '\'', '»', '“', ')', ']']).len();
        let (end, rest) = (at + character.len_utf8() + closing, &after[closing..]);
        let is_end = rest.starts_with(char::is_whitespace) && begins_sentence(rest);
        if is_end && !abbreviates(&line[begin..at], language) {
            sentences.push(line[begin..end].trim());
            begin = end;
        }
    }
    sentences.push(line[begin..].trim());
    sentences.retain(|sentence| sentence.chars().any(char::is_alphanumeric));
    sentences
}

fn begins_sentence(rest: &str) -> bool {
    let first =
        rest.trim_start().trim_start_matches(['"', '“', '‘', '\'', '„', '«', '(', '[']).chars().next();
    // Letters of scripts without case begin a sentence as well as capitals do.
    first.is_some_and(|first| !first.is_lowercase())
}

/// True if the text ends in an abbreviation, an initial, or a number that a language writes with a stop: `am 7. Mai`.
fn abbreviates(text: &str, language: Language) -> bool {
    let word =
        text.rsplit(char::is_whitespace).next().unwrap_or_default().trim_start_matches(['(', '[', '"', '“']);
    let letters = word.chars().count();
    let is_initial = letters == 1 && word.chars().all(char::is_alphabetic);
    let is_ordinal = language == Language::De && letters <= 2 && word.chars().all(|c| c.is_ascii_digit());
    is_initial || (is_ordinal && letters > 0) || language.is_abbreviation(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_people_end_them() {
        let text = "Verbs (e.g. run) tell of actions. J. K. Rowling said \"Run!\" Then at 3.5 V it stopped. U.S. English \
                    differs vs. British. Why?\nA new line. and it goes on";
        assert_eq!(
            of(text, Language::En),
            [
                "Verbs (e.g. run) tell of actions.",
                "J. K. Rowling said \"Run!\"",
                "Then at 3.5 V it stopped.",
                "U.S. English differs vs. British.",
                "Why?",
                "A new line. and it goes on",
            ]
        );
        assert!(of(" \n… \n", Language::En).is_empty());
        let german = "Goethe wurde am 28. August 1749 geboren. Er schrieb z. B. den Faust. „Es irrt der Mensch.“ Ende.";
        assert_eq!(of(german, Language::De).len(), 4);
        let hindi = "संज्ञा किसी का नाम है। इसके पाँच भेद हैं। व्यक्तिवाचक पहला है";
        assert_eq!(of(hindi, Language::Hi).len(), 3);
    }
}
