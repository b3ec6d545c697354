//! Answers without a language model: sentences of the sources, quoted.

use std::collections::{HashMap, HashSet};

use crate::question::{Question, Source};
use crate::text::{self, Language, Languages, sentences};

/// The most sentences that an answer quotes.
const MAX_QUOTES: usize = 5;
/// The longest quotation, in characters.
const MAX_QUOTE_CHARS: usize = 400;
/// The weight of a word that was said before, beside one of the question.
const BEFORE: f64 = 0.4;
/// A shorter sentence is a heading or a scrap.
const MIN_WORDS: usize = 5;

/// The sentences that hold most of the question's words.
pub(crate) fn answer(question: &Question) -> String {
    if question.sources.is_empty() {
        return "Nothing in this course's materials matches the question.".into();
    }
    let quotes = best_quotes(question);
    if quotes.is_empty() {
        return format!(
            "No sentence of the materials speaks of this in the question's words. The closest passages are in: {}.",
            names(&question.sources).join(", ")
        );
    }
    let mut text = String::from("The materials say (quoted; no language model is configured):\n");
    for quote in quotes {
        let place = place(&question.sources[quote.source]);
        text.push_str(&format!("\n- {} [{}: {place}]", shortened(quote.text), quote.source + 1));
    }
    text
}

/// The sentences that hold most of what each source speaks of most.
pub(crate) fn summary(question: &Question) -> String {
    if question.sources.is_empty() {
        return "There is no text to summarise: this course has no material that has been read.".into();
    }
    let each = if question.sources.len() == 1 { MAX_QUOTES } else { 2 };
    let mut text =
        String::from("In the materials' own sentences (quoted; no language model is configured):\n");
    for (number, source) in (1..).zip(&question.sources) {
        for sentence in telling(source, each) {
            text.push_str(&format!("\n- {} [{number}: {}]", shortened(sentence), place(source)));
        }
    }
    text
}

fn place(source: &Source) -> String {
    match source.page {
        Some(page) => format!("{}, page {page}", source.name),
        None => source.name.clone(),
    }
}

fn names(sources: &[Source]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for source in sources {
        if !names.contains(&source.name.as_str()) {
            names.push(&source.name);
        }
    }
    names
}

/// A sentence and how well it fits.
struct Quote<'a> {
    source: usize,
    position: usize,
    text: &'a str,
    score: f64,
}

/// A sentence and the words that are asked for which it holds.
struct Candidate<'a> {
    quote: Quote<'a>,
    held: Vec<usize>,
}

fn best_quotes(question: &Question) -> Vec<Quote<'_>> {
    let languages = question.sources.iter().fold(Languages::default(), |mut all, source| {
        all.insert(language(&source.text));
        all
    });
    let mut words: Vec<(Vec<String>, f64)> =
        text::query(&question.text, languages).into_iter().map(|forms| (forms, 1.0)).collect();
    for forms in text::query(&question.before, languages) {
        if words.iter().all(|(known, _)| *known != forms) {
            words.push((forms, BEFORE));
        }
    }
    let candidates = candidates(&question.sources, &words);
    let all = candidates.len() as f64;
    let rarity: Vec<f64> = (0..words.len())
        .map(|word| candidates.iter().filter(|candidate| candidate.held.contains(&word)).count() as f64)
        .map(|holding| (1.0 + all / holding.max(1.0)).ln())
        .collect();
    let scored = candidates.into_iter().map(|Candidate { quote, held }| {
        let score = held.iter().map(|word| words[*word].1 * rarity[*word]).sum();
        Quote { score, ..quote }
    });
    let mut quotes: Vec<Quote<'_>> = scored.filter(|quote| quote.score > 0.0).collect();
    // Of sentences that fit equally well, the better source's and then the earlier one is first.
    quotes.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then(a.source.cmp(&b.source)).then(a.position.cmp(&b.position))
    });
    // A sentence with far less of the question than the best one is about something else.
    let enough = quotes.first().map_or(0.0, |best| best.score / 2.0);
    quotes.retain(|quote| quote.score >= enough);
    quotes.truncate(MAX_QUOTES);
    quotes.sort_by_key(|quote| (quote.source, quote.position));
    quotes
}

fn candidates<'a>(sources: &'a [Source], words: &[(Vec<String>, f64)]) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    let mut seen = HashSet::new();
    for (source, passage) in sources.iter().enumerate() {
        let language = language(&passage.text);
        for (position, text) in sentences(&passage.text).enumerate() {
            // Chunks overlap, so the same sentence may come with two sources.
            if !seen.insert(text) {
                continue;
            }
            let terms: HashSet<String> = terms(text, language).collect();
            let holds = |(_, (forms, _)): &(usize, &(Vec<String>, f64))| {
                forms.iter().any(|form| terms.contains(form))
            };
            let held = words.iter().enumerate().filter(holds).map(|(word, _)| word).collect();
            candidates.push(Candidate { quote: Quote { source, position, text, score: 0.0 }, held });
        }
    }
    candidates
}

fn terms(text: &str, language: Language) -> impl Iterator<Item = String> {
    text::tokens_in(text, language).into_iter().map(|token| token.term)
}

fn language(text: &str) -> Language {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    Language::of(words.iter().map(String::as_str))
}

/// The sentences that a text turns around, in their order: those whose words it uses again and again.
fn telling(source: &Source, count: usize) -> Vec<&str> {
    let language = language(&source.text);
    let all: Vec<&str> = sentences(&source.text).collect();
    let split: Vec<HashSet<String>> =
        all.iter().map(|sentence| terms(sentence, language).collect()).collect();
    let mut holding: HashMap<&str, f64> = HashMap::new();
    for term in split.iter().flatten() {
        *holding.entry(term).or_default() += 1.0;
    }
    let weight = |terms: &HashSet<String>| -> f64 {
        let sum: f64 =
            terms.iter().map(|term| (holding.get(term.as_str()).copied().unwrap_or_default()).ln()).sum();
        // The root keeps the longest sentence from being the best one by its length alone.
        sum / (terms.len() as f64).sqrt().max(1.0)
    };
    let mut scored: Vec<(usize, f64)> = split
        .iter()
        .enumerate()
        .filter(|(at, _)| {
            all.len() <= count
                || all[*at].split_whitespace().count() >= MIN_WORDS
                || language_unspaced(all[*at])
        })
        .map(|(at, terms)| (at, weight(terms)))
        .collect();
    // The beginning of a text says what it is about.
    if let Some(first) = scored.first_mut() {
        first.1 = f64::INFINITY;
    }
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored.truncate(count);
    scored.sort_by_key(|(at, _)| *at);
    scored.into_iter().map(|(at, _)| all[at]).collect()
}

fn language_unspaced(sentence: &str) -> bool {
    !sentence.contains(' ') && sentence.chars().count() > 2 * MIN_WORDS
}

/// On one line and not longer than a quotation may be.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_QUOTE_CHARS {
        return line;
    }
    let mut cut: String = line.chars().take(MAX_QUOTE_CHARS - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.into(), page: None, text: text.into() }
    }

    fn asked(text: &str, sources: Vec<Source>) -> String {
        answer(&Question { text: text.into(), sources, ..Question::default() })
    }

    #[test]
    fn the_best_sentences_are_quoted_with_their_source_and_page() {
        let sources = vec![
            Source {
                page: Some(4),
                ..source(
                    "plants.pdf",
                    "Leaves are green. Chlorophyll absorbs red light. Roots take up water.",
                )
            },
            source("light.pdf", "Red light has a long wave. Chlorophyll in leaves absorbs it."),
        ];
        let text = asked("Which light does chlorophyll absorb?", sources);
        assert!(text.contains("- Chlorophyll absorbs red light. [1: plants.pdf, page 4]"), "{text}");
        assert!(!text.contains("Roots"), "{text}");
        assert!(text.contains("no language model"), "{text}");
    }

    #[test]
    fn other_forms_of_the_words_and_other_languages_are_quoted_too() {
        let text = asked(
            "How does a cell divide?",
            vec![source("a", "The sea is deep. Dividing cells need energy.")],
        );
        assert!(text.contains("Dividing cells need energy."), "{text}");
        let german = source("b", "Das Meer ist tief und kalt. Die Pflanzen nutzen das Licht der Sonne.");
        let text = asked("Was nutzt eine Pflanze?", vec![german]);
        assert!(text.contains("Die Pflanzen nutzen") && !text.contains("Meer"), "{text}");
    }

    #[test]
    fn a_question_that_leans_on_what_was_said_is_answered_with_it() {
        let sources = vec![source(
            "git",
            "Tags name a commit. A squash makes one commit of many. Undo it with a reset.",
        )];
        let question = Question {
            text: "And how do I undo it?".into(),
            before: "What does squash do?".into(),
            sources,
            ..Question::default()
        };
        let text = answer(&question);
        assert!(text.contains("Undo it with a reset.") && !text.contains("Tags"), "{text}");
    }

    #[test]
    fn a_sentence_that_two_chunks_share_is_quoted_once() {
        let sources =
            vec![source("a.pdf", "Cells divide."), source("a.pdf", "Cells divide. Then they grow.")];
        assert_eq!(asked("How do cells divide?", sources).matches("Cells divide.").count(), 1);
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert!(asked("What is osmosis?", Vec::new()).starts_with("Nothing"));
        let text = asked("What is osmosis?", vec![source("a.pdf", "Cells divide.")]);
        assert!(text.contains("closest passages are in: a.pdf"), "{text}");
    }

    #[test]
    fn a_summary_quotes_what_a_text_turns_around() {
        let text = "Mitosis is how body cells divide. In prophase the chromosomes of the cell condense. Ada wrote this. \
                    In anaphase the chromosomes of a dividing cell move apart. Lunch is at noon on most days here. \
                    After mitosis two cells hold the same chromosomes.";
        let question = Question { sources: vec![source("cells.txt", text)], ..Question::default() };
        let short = telling(&question.sources[0], 3);
        assert_eq!(short.len(), 3);
        assert_eq!(short[0], "Mitosis is how body cells divide.");
        assert!(
            short.iter().all(|sentence| !sentence.contains("Lunch") && !sentence.contains("Ada")),
            "{short:?}"
        );
        assert!(summary(&question).contains("[1: cells.txt]"));
        assert!(summary(&Question::default()).starts_with("There is no text"));
    }
}
