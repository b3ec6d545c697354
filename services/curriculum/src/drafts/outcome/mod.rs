//! The parts of a learning outcome, in its usual phrasings: `By the end of this module, students will be able to explain and
//! apply Ohm's law` is about Ohm's law, at the level of applying it. The words are data: `outcomes.json`.

mod finite;
mod words;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use serde::Deserialize;
use service_support::Language;

use crate::model::Bloom;
use finite::infinitives;
use words::{Word, english_forms, without_codes, without_number, words};

static GRAMMARS: LazyLock<HashMap<String, Grammar>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("outcomes.json"))
        .expect("the words of outcomes are a grammar for each language")
});

/// The words that outcomes of a language are made of; the lists are words with spaces between them.
#[derive(Debug, Deserialize)]
struct Grammar {
    /// True where the verb comes after what it is about.
    #[serde(default)]
    verbs_last: bool,
    /// The people who learn.
    subjects: String,
    /// Words that begin a clause of time before them.
    times: String,
    modals: String,
    /// Words between them and the verb that say nothing.
    fillers: Vec<String>,
    joins: String,
    /// Words that look like forms of verbs and are mostly names of things.
    #[serde(default)]
    things_in_ing: String,
    /// Words that only a noun comes after, so that a verb stands before them.
    determiners: String,
    /// Verbs that are no names of things, so that they need no determiner after `and`.
    #[serde(default)]
    only_verbs: String,
    /// Words after the object that say how.
    #[serde(default)]
    adverbs: String,
    /// Verbs of several words, with their levels.
    phrases: Vec<(String, Bloom)>,
    verbs: HashMap<Bloom, String>,
}

/// An outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    /// The highest level that one of its verbs speaks of, where it has one.
    pub(super) level: Option<Bloom>,
    /// The things that the verbs are about, as they can stand in a sentence.
    pub(super) object: String,
}

/// Clauses of time that are longer are none.
const MAX_TIME_WORDS: usize = 25;
/// Words before the learners: the, each, successful.
const MAX_BEFORE_SUBJECT: usize = 6;
/// Words after the verb, where it comes last: `erklären zu können`.
const MAX_AFTER_VERB: usize = 6;
/// Objects that are longer lose what is said about how and what for.
const LONG_OBJECT_CHARS: usize = 60;
/// Words that begin what is said about how and what for.
const MANNERS: [&str; 12] = [
    " in order to ",
    " so that ",
    " such as ",
    " including ",
    " by ",
    " using ",
    " through ",
    " based on ",
    " in the context of ",
    ", ",
    " which ",
    " damit ",
];
/// Small words between a verb and its object.
const PREPOSITIONS: [&str; 10] =
    ["on", "upon", "for", "about", "with", "between", "against", "among", "entre", "sobre"];

/// Reads an outcome.
pub(super) fn parse(statement: &str, language: Language) -> Parsed {
    let text = without_number(without_codes(statement)).trim_end_matches(['.', ';', ',', ':', '।', ' ']);
    // `Identify nouns; classify verbs` is about both.
    if let Some((first, rest)) = text.split_once(';') {
        let (first, rest) = (parse(first, language), parse(rest, language));
        if first.level.is_some() && rest.level.is_some() {
            let object = format!("{}, {}", first.object, rest.object);
            return Parsed { level: first.level.max(rest.level), object };
        }
    }
    let Some(grammar) = GRAMMARS.get(language.code()) else {
        return Parsed { level: None, object: text.to_owned() };
    };
    let reader = Reader { grammar, language, text, words: words(text, language) };
    let parsed = if grammar.verbs_last { reader.verbs_last() } else { reader.verbs_first() };
    let object = parsed.object.trim().trim_end_matches([',', ';', ':', '.']).trim();
    let object = if object.chars().any(char::is_alphanumeric) { object } else { text };
    Parsed { level: parsed.level, object: shorter(object).to_owned() }
}

struct Reader<'a> {
    grammar: &'a Grammar,
    language: Language,
    text: &'a str,
    words: Vec<Word>,
}

impl Reader<'_> {
    fn verbs_first(&self) -> Parsed {
        let (mut at, has_subject) = self.opening();
        let begin = at;
        let mut level = None;
        let mut may_be_verb = true;
        while at < self.words.len() {
            // After one verb, another form of one is a verb, too.
            let has_subject = has_subject || level.is_some();
            if let Some((found, count)) = self.verb(at, has_subject).filter(|_| may_be_verb) {
                level = level.max(Some(found));
                at += count;
                // Another verb comes after a comma or a word that joins.
                may_be_verb = self.words[at - 1].closes;
            } else if self.is_adverb(at) && self.verb(at + 1, has_subject).is_some() {
                at += 1;
            } else if level.is_some()
                && self.is(&self.grammar.joins, at)
                && self.leads_to_verb(at + 1, has_subject)
            {
                at += 1;
                may_be_verb = true;
            } else {
                break;
            }
        }
        if level.is_some()
            && at + 1 < self.words.len()
            && PREPOSITIONS.contains(&self.words[at].plain.as_str())
        {
            at += 1;
        }
        let (end, more) = self.second_clause(at, has_subject && self.language != Language::En);
        let object =
            if at < self.words.len() { self.text_of(at..end) } else { self.text_of(begin..self.words.len()) };
        Parsed { level: level.max(more.filter(|_| level.is_some())), object }
    }

    fn verbs_last(&self) -> Parsed {
        let (at, has_subject) = self.opening();
        if let Some(parsed) = self.verb_second(at, has_subject) {
            return parsed;
        }
        let last =
            (at..self.words.len()).rev().take(MAX_AFTER_VERB + 1).find(|place| self.level(*place).is_some());
        let Some(last) = last else {
            return Parsed { level: None, object: self.text_of(at..self.words.len()) };
        };
        let (mut first, mut level) = (last, self.level(last));
        // `erklären, deuten und anwenden`, `die Ursachen erklären und deren Folgen bewerten`.
        for place in (at..last).rev() {
            match self.level(place) {
                // `प्रयोग की रचना`: a verb that nothing joins to the next is a thing.
                Some(found)
                    if self.words[place].closes
                        || place + 1 == first
                        || self.is(&self.grammar.joins, place + 1) =>
                {
                    level = level.max(Some(found));
                    first = place;
                }
                _ if self.is(&self.grammar.joins, place) && place + 1 == first => {}
                _ if first - place > MAX_AFTER_VERB => break,
                _ => {}
            }
        }
        let small = ["zu", "का", "की", "के", "को", "में", "से"];
        let mut end = first;
        while end > at && small.contains(&self.words[end - 1].plain.as_str()) {
            end -= 1;
        }
        Parsed {
            level,
            object: if end > at { self.text_of(at..end) } else { self.text_of(at..self.words.len()) },
        }
    }

    /// `Die SuS wenden den Satz an`, `Am Ende analysieren die Lernenden Diagramme`, `Ich kann erklären, wie …`.
    fn verb_second(&self, at: usize, has_subject: bool) -> Option<Parsed> {
        if self.language != Language::De || at >= self.words.len() {
            return None;
        }
        if self.words[at].closes && self.level(at).is_some() && self.level(at + 1).is_none() {
            return (at + 1 < self.words.len())
                .then(|| Parsed { level: self.level(at), object: self.text_of(at + 1..self.words.len()) });
        }
        let subject =
            at.checked_sub(1).filter(|place| has_subject && self.is(&self.grammar.subjects, *place))?;
        let mut begin = at;
        while self.is(&self.grammar.joins, begin) && self.is(&self.grammar.subjects, begin + 1) {
            begin += 2;
        }
        let mut end = self.words.len();
        while end > begin + 1 && self.is(&self.grammar.adverbs, end - 1) {
            end -= 1;
        }
        let prefix = &self.words[end - 1].plain;
        let finite = |place: usize| {
            let forms = infinitives(&self.words.get(place)?.plain, self.language);
            let apart = forms.iter().find_map(|form| self.level_of(&format!("{prefix}{form}")));
            let whole = || forms.iter().find_map(|form| self.level_of(form)).map(|level| (level, end));
            apart.map(|level| (level, end - 1)).or_else(whole)
        };
        let before = subject
            .checked_sub(1 + usize::from(subject > 0 && self.is(&self.grammar.determiners, subject - 1)));
        let after = || finite(begin).map(|(level, end)| (level, begin + 1..end));
        let found = before.and_then(finite).map(|(level, end)| (level, begin..end)).or_else(after);
        let (level, mut place) = found?;
        while place.len() > 1 && self.is(&self.grammar.adverbs, place.end - 1) {
            place.end -= 1;
        }
        (!place.is_empty()).then(|| Parsed { level: Some(level), object: self.text_of(place) })
    }

    /// The place after the words that say nothing, and whether learners are among them.
    fn opening(&self) -> (usize, bool) {
        let mut at = self.after_time();
        let mut has_subject = false;
        if self.verb(at, false).is_none() || self.grammar.verbs_last {
            let near = at..self.words.len().min(at + MAX_BEFORE_SUBJECT);
            let is_subject = |place: &usize| self.is(&self.grammar.subjects, *place);
            let leads = |place: &usize| {
                self.is(&self.grammar.modals, place + 1)
                    || self.filler(place + 1) > 0
                    || self.leads_to_verb(place + 1, true)
            };
            let subject = near.clone().find(|place| is_subject(place) && leads(place));
            // `Graduates of this programme will …`: what stands between begins with a small word.
            let apart = |place: &usize| {
                let small = ["of", "in", "from", "on", "who", "at", "enrolled", "completing", "taking"];
                let between = place + 1..self.words.len().min(place + 1 + MAX_BEFORE_SUBJECT);
                let is_small =
                    self.words.get(place + 1).is_some_and(|word| small.contains(&word.plain.as_str()));
                between.clone().find(|at| is_small && self.is(&self.grammar.modals, *at)).map(|at| at - 1)
            };
            let subject = subject.or_else(|| near.clone().filter(is_subject).find_map(|place| apart(&place)));
            // Where the verb comes last, anything may come after the learners.
            let any = || {
                near.filter(|_| self.grammar.verbs_last)
                    .find(|place| is_subject(place) && place + 1 < self.words.len())
            };
            let subject = subject.or_else(any);
            if let Some(subject) = subject {
                at = subject + 1;
                has_subject = true;
            }
        }
        loop {
            let skipped = match () {
                () if self.phrase(at).is_some() => 0,
                () if self.is(&self.grammar.modals, at) || self.is_number(at) => 1,
                () if self.filler(at) > 0 => self.filler(at),
                () if self.is_adverb(at) && self.leads_to_verb(at + 1, has_subject) => 1,
                () => 0,
            };
            // What nothing comes after is no opening.
            if skipped == 0 || at + skipped >= self.words.len() {
                return (at, has_subject);
            }
            at += skipped;
        }
    }

    /// The place after a clause of time, which ends with a comma or where the learners come.
    fn after_time(&self) -> usize {
        if !self.is(&self.grammar.times, 0) {
            return 0;
        }
        let begins = |place: usize| {
            let near = place..self.words.len().min(place + MAX_BEFORE_SUBJECT);
            self.is(&self.grammar.modals, place)
                || self.filler(place) > 0
                || self.leads_to_verb(place, true)
                || near.clone().any(|place| self.is(&self.grammar.subjects, place))
        };
        let most = self.words.len().min(MAX_TIME_WORDS);
        let comma = (0..most).find(|place| self.words[*place].closes && begins(place + 1));
        if let Some(comma) = comma {
            return comma + 1;
        }
        let learners = (1..most).find(|place| {
            let modal = |place: usize| self.is(&self.grammar.modals, place);
            let beside = modal(place + 1) || modal(place - 1) || (*place > 1 && modal(place - 2));
            self.is(&self.grammar.subjects, *place) && (beside || self.grammar.verbs_last)
        });
        learners.unwrap_or(0)
    }

    /// The end of the first clause, and the level of the others: `… and justify the choices` is about something else.
    fn second_clause(&self, from: usize, has_subject: bool) -> (usize, Option<Bloom>) {
        let (mut end, mut level) = (self.words.len(), None);
        for place in from + 1..self.words.len() {
            let after_join = self.is(&self.grammar.joins, place - 1);
            let after_comma = self.words[place - 1].closes;
            let is_besides = self.count_of("as well as", place).is_some();
            let verb = if is_besides {
                (place + 3..place + 5).find_map(|at| self.verb(at, false))
            } else {
                self.verb(place, has_subject)
            };
            if is_besides {
                end = end.min(place);
            }
            let Some((found, count)) = verb.filter(|_| after_join || after_comma || is_besides) else {
                continue;
            };
            let is_last = place + 1 >= self.words.len() || self.words[place].closes;
            let goes_on = after_comma && !is_last && !self.is(&self.grammar.joins, place + 1);
            let is_only_verb = after_join
                && place > from + 1
                && !is_last
                && self.level(place - 2).is_none()
                && self.is(&self.grammar.only_verbs, place);
            if is_besides
                || count > 1
                || goes_on
                || is_only_verb
                || self.is(&self.grammar.determiners, place + 1)
            {
                end = end.min(place - usize::from(after_join));
                level = level.max(Some(found));
            }
        }
        (end.max(from), level)
    }

    fn leads_to_verb(&self, at: usize, has_subject: bool) -> bool {
        self.verb(at, has_subject).is_some()
            || (self.is_adverb(at) && self.verb(at + 1, has_subject).is_some())
    }

    /// The level of the verb at a place, and the number of its words. `Order of operations` begins with none.
    fn verb(&self, at: usize, has_subject: bool) -> Option<(Bloom, usize)> {
        if let Some(phrase) = self.phrase(at) {
            return Some(phrase);
        }
        let word = self.words.get(at)?;
        if self.words.get(at + 1).is_some_and(|next| next.plain == "of") {
            return None;
        }
        let mut forms = vec![word.plain.clone()];
        if has_subject && self.language != Language::De {
            forms.extend(infinitives(&word.plain, self.language));
        }
        if self.language == Language::En {
            // `Recognises and names shapes`: both are verbs or none is.
            let second = self.words.get(at + 2).filter(|_| self.is(&self.grammar.joins, at + 1));
            let is_second =
                |word: &Word| english_forms(&word.plain).iter().any(|form| self.level_of(form).is_some());
            let is_followed = self.is(&self.grammar.determiners, at + 1) || second.is_some_and(is_second);
            let is_thing = self.is(&self.grammar.things_in_ing, at) && !is_followed;
            if has_subject
                || is_followed
                || (word.plain.ends_with("ing") && !is_thing && at + 1 < self.words.len())
            {
                forms.extend(english_forms(&word.plain));
            }
        }
        forms.iter().find_map(|form| self.level_of(form)).map(|level| (level, 1))
    }

    fn phrase(&self, at: usize) -> Option<(Bloom, usize)> {
        let fitting = self.grammar.phrases.iter().filter_map(|(phrase, level)| {
            let count = self.count_of(phrase, at)?;
            Some((*level, count))
        });
        fitting.max_by_key(|(_, count)| *count)
    }

    fn filler(&self, at: usize) -> usize {
        let fitting = self.grammar.fillers.iter().filter_map(|filler| {
            let count = self.count_of(filler, at)?;
            // A preposition is one only before a verb.
            (filler.chars().count() > 2
                || filler == "to"
                || filler == "be"
                || self.leads_to_verb(at + count, true))
            .then_some(count)
        });
        fitting.max().unwrap_or(0)
    }

    /// The number of words of a phrase, if it stands at a place.
    fn count_of(&self, phrase: &str, at: usize) -> Option<usize> {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        let there = self.words.get(at..at + wanted.len())?;
        there.iter().zip(&wanted).all(|(word, wanted)| word.plain == *wanted).then_some(wanted.len())
    }

    fn level(&self, at: usize) -> Option<Bloom> {
        let plain = &self.words.get(at)?.plain;
        // `anzuwenden`, `darzustellen`.
        self.level_of(plain).or_else(|| self.level_of(&plain.replacen("zu", "", 1)))
    }

    fn level_of(&self, verb: &str) -> Option<Bloom> {
        let has = |verbs: &String| verbs.split(' ').any(|known| known == verb);
        self.grammar.verbs.iter().filter(|(_, verbs)| has(verbs)).map(|(level, _)| *level).max()
    }

    fn is_adverb(&self, at: usize) -> bool {
        let plain = self.words.get(at).map(|word| word.plain.as_str()).unwrap_or_default();
        match self.language {
            Language::En => plain.ends_with("ly"),
            Language::Es => plain.ends_with("mente"),
            Language::Fr => plain.ends_with("ment"),
            Language::De | Language::Hi => false,
        }
    }

    /// True for the number of an item: `Students will: 1) …`.
    fn is_number(&self, at: usize) -> bool {
        self.words.get(at).is_some_and(|word| {
            let text = &self.text[word.place.clone()];
            text.ends_with([')', '.']) && word.plain.chars().count() <= 2 && !word.plain.is_empty()
        })
    }

    fn is(&self, list: &str, at: usize) -> bool {
        self.words.get(at).is_some_and(|word| list.split(' ').any(|known| known == word.plain))
    }

    fn text_of(&self, range: Range<usize>) -> String {
        match (self.words.get(range.start), range.end.checked_sub(1).and_then(|last| self.words.get(last))) {
            (Some(first), Some(last)) if first.place.start < last.place.end => {
                self.text[first.place.start..last.place.end].to_owned()
            }
            _ => String::new(),
        }
    }
}

/// A long object without what is said about how and what for.
fn shorter(object: &str) -> &str {
    if object.chars().count() <= LONG_OBJECT_CHARS {
        return object;
    }
    let cut = MANNERS
        .iter()
        .filter_map(|manner| object.find(manner))
        .filter(|at| *at >= LONG_OBJECT_CHARS / 4)
        .min();
    cut.map_or(object, |at| object[..at].trim())
}

#[cfg(test)]
mod tests;
