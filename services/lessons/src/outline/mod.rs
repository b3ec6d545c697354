//! A lesson without a model: Wikipedia's own sentences, put in order for a learner, with a traditional verse, something to
//! do and something to ask that are made of their terms. Without Wikipedia it is a guide to finding out. It is the same
//! for the same request and the same article, it quotes and does not write, and it says so.

mod field;
mod guide;
mod name;
#[cfg(test)]
mod reading;
mod sentences;
mod terms;
mod verses;

pub(crate) use guide::guide;
pub(crate) use verses::verse;

use service_support::Language;

use crate::draft::LessonDraft;
use crate::model::Content;
use crate::wikipedia::WikipediaInfo;
use field::Field;

/// An article's summary.
#[derive(Clone, Copy, Debug)]
struct Article<'a> {
    title: &'a str,
    summary: &'a str,
    url: &'a str,
}

/// Sentences that are quoted at most.
const MAX_SENTENCES: usize = 8;
/// Those of them that open the explanation.
const OPENING: usize = 2;

/// The lesson of a draft.
pub(crate) fn compose(draft: &LessonDraft) -> Content {
    let LessonDraft { subject, topic, wikipedia, language } = draft;
    let verse = verse(subject, topic);
    let article = wikipedia.as_ref().and_then(Article::of);
    let spelt = name::spelt(topic, article.map(|article| article.summary));
    let within = name::within(&spelt, article.map(|article| article.summary), *language);
    let parts = match article {
        Some(article) => from_article(draft, &within, article),
        None => guide::to_finding_out(draft, &within),
    };
    Content {
        title: name::title(&spelt, subject, *language),
        shloka: verse.text.to_owned(),
        translation: verse.translated(*language),
        explanation: parts.explanation,
        activity: parts.activity,
        question: parts.question,
    }
}

/// The parts of a lesson that differ with and without an article.
struct Body {
    explanation: String,
    activity: String,
    question: String,
}

impl<'a> Article<'a> {
    fn of(info: &'a WikipediaInfo) -> Option<Self> {
        Some(Self {
            title: info.title.as_deref()?,
            summary: info.summary.as_deref()?,
            url: info.url.as_deref().unwrap_or_default(),
        })
    }
}

fn from_article(draft: &LessonDraft, topic: &str, article: Article<'_>) -> Body {
    let LessonDraft { subject, wikipedia, language, .. } = draft;
    let texts = guide(*language);
    let quoted: Vec<&str> =
        sentences::of(article.summary, *language).into_iter().take(MAX_SENTENCES).collect();
    let terms = terms::of(&quoted, &[subject, topic, &draft.topic, article.title], *language);
    let (opening, rest) = quoted.split_at(quoted.len().min(OPENING));

    let mut paragraphs = vec![opening.join(" ")];
    if !rest.is_empty() {
        let points: Vec<String> = rest.iter().map(|sentence| format!("- {sentence}")).collect();
        paragraphs.push(texts.fill("article.details", &[("points", &points.join("\n"))]));
    }
    if !terms.is_empty() {
        paragraphs.push(texts.fill("article.terms", &[("words", &terms.join(", ")), ("topic", topic)]));
    }
    let related = wikipedia.iter().flat_map(|info| &info.related_articles);
    let related: Vec<&str> = related.map(|article| article.title.as_str()).collect();
    if !related.is_empty() {
        paragraphs.push(texts.fill("article.related", &[("titles", &related.join("; "))]));
    }
    let address = if article.url.is_empty() { String::new() } else { format!(", {}", article.url) };
    let values = [("topic", topic), ("title", article.title), ("address", &address)];
    paragraphs.push(texts.fill("article.source", &values));
    Body {
        explanation: paragraphs.join("\n\n"),
        activity: activity(draft, topic, &terms),
        question: question(*language, topic, &quoted, &terms),
    }
}

fn activity(draft: &LessonDraft, topic: &str, terms: &[String]) -> String {
    let LessonDraft { subject, language, .. } = draft;
    let [first, .., last] = terms else {
        return guide::activity(*language, Field::of_questions(subject, topic), topic);
    };
    let values = [("topic", topic), ("words", &terms.join(", ")), ("first", first), ("last", last)];
    let name = format!("article.activity.{}", chosen(3, &[subject, &draft.topic]));
    guide(*language).fill(&name, &values)
}

fn question(language: Language, topic: &str, quoted: &[&str], terms: &[String]) -> String {
    let texts = guide(language);
    let [first, .., last] = terms else { return texts.fill("article.unknown", &[("topic", topic)]) };
    // A gap in the first sentence would only ask for the definition.
    let with_gap = terms.iter().find_map(|term| {
        let sentence = quoted.iter().skip(1).find(|sentence| terms::stands_in(term, sentence))?;
        Some((term, terms::with_gap(term, sentence)))
    });
    match with_gap {
        Some((missing, sentence)) => {
            let other = if missing == first { last } else { first };
            texts.fill("article.gap", &[("topic", topic), ("sentence", &sentence), ("other", other)])
        }
        None => texts.fill("article.connection", &[("topic", topic), ("first", first), ("last", last)]),
    }
}

/// One of `count`, always the same for the same names, whatever their case.
fn chosen(count: usize, names: &[&str]) -> usize {
    // FNV-1a, because it is the same on every machine and in every version.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in names {
        for byte in name.to_lowercase().bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // Names that differ in their last letter differ in few of its bits; these spread them over all.
    hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from(hash >> 33).unwrap_or(0) % count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wikipedia::RelatedArticle;

    fn draft(article: Option<&str>) -> LessonDraft {
        let related =
            RelatedArticle { title: "Chloroplast".into(), url: String::new(), excerpt: String::new() };
        let info = article.map(|summary| WikipediaInfo {
            title: Some("Photosynthesis".into()),
            summary: Some(summary.into()),
            url: Some("https://en.wikipedia.org/wiki/Photosynthesis".into()),
            related_articles: vec![related],
            ..WikipediaInfo::default()
        });
        LessonDraft {
            subject: "biology".into(),
            topic: "photosynthesis".into(),
            language: Language::En,
            wikipedia: info,
        }
    }

    const SUMMARY: &str = "Photosynthesis turns light into chemical energy. Plants, algae and some bacteria do it. \
        The pigment chlorophyll absorbs the light. Water is split, which sets oxygen free. With the energy gained, \
        carbon dioxide is built into sugars such as glucose.";

    #[test]
    fn a_lesson_quotes_the_article_and_says_so() {
        let content = compose(&draft(Some(SUMMARY)));
        assert_eq!(content.title, "Photosynthesis in Biology");
        for sentence in sentences::of(SUMMARY, Language::En) {
            assert!(content.explanation.contains(sentence), "{sentence}");
        }
        assert!(content.explanation.contains("To read on: Chloroplast."));
        assert!(content.explanation.contains("CC BY-SA 4.0, https://en.wikipedia.org/wiki/Photosynthesis"));
        assert!(content.explanation.contains("without a language model"));
        assert!(content.activity.contains("chlorophyll"), "{}", content.activity);
        assert!(content.question.contains("_____"), "{}", content.question);
        assert_eq!(content, compose(&draft(Some(SUMMARY))), "the same request is the same lesson");
    }

    #[test]
    fn a_lesson_without_an_article_claims_no_facts() {
        let content = compose(&draft(None));
        assert!(content.explanation.contains("no article"), "{}", content.explanation);
        for text in [&content.shloka, &content.activity, &content.question] {
            assert!(!text.trim().is_empty());
        }
        let short = compose(&draft(Some("It is.")));
        assert!(short.explanation.starts_with("It is.") && !short.activity.is_empty());
    }

    #[test]
    fn a_choice_is_spread_and_does_not_change() {
        let picks: Vec<usize> = (0..60).map(|n| chosen(3, &["math", &format!("topic {n}")])).collect();
        assert!((0..3).all(|pick| picks.iter().filter(|p| **p == pick).count() > 10), "{picks:?}");
        assert_eq!(chosen(1_000, &["English", "Verbs"]), chosen(1_000, &["english", "verbs"]));
        assert_ne!(chosen(1_000, &["ab", "c"]), chosen(1_000, &["a", "bc"]));
    }
}
