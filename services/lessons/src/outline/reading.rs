//! Lessons of all kinds of topics, held to the rules that every text keeps. `cargo test -p lessons reading -- --nocapture` prints
//! them to be read.

use service_support::Language;

use super::compose;
use crate::draft::LessonDraft;
use crate::model::Content;
use crate::wikipedia::{RelatedArticle, WikipediaInfo};

/// An article's title and its beginning.
type Beginning = Option<(&'static str, &'static str)>;

/// Subject, topic, and an article, where there is one.
const TOPICS: [(&str, &str, Beginning); 22] = [
    (
        "biology",
        "photosynthesis",
        Some((
            "Photosynthesis",
            "Photosynthesis is a system of biological processes by which photopigment-bearing autotrophic organisms, such as \
             most plants, algae and cyanobacteria, convert light energy—typically from sunlight—into the chemical energy \
             necessary to fuel their metabolism. The term photosynthesis usually refers to oxygenic photosynthesis, a process \
             that releases oxygen as a byproduct of water splitting. Photosynthetic organisms store the converted chemical \
             energy within the bonds of intracellular organic compounds, typically carbohydrates like sugars.",
        )),
    ),
    (
        "history",
        "the French revolution",
        Some((
            "French Revolution",
            "The French Revolution was a period of political and societal change in France that began with the Estates \
             General of 1789 and ended with the Coup of 18 Brumaire on 9 November 1799. Many of the revolution's ideas are \
             considered fundamental principles of liberal democracy, and its values remain central to modern French \
             political discourse. It was caused by a combination of social, political, and economic factors which the \
             existing regime proved unable to manage.",
        )),
    ),
    (
        "literature",
        "rabindranath tagore",
        Some((
            "Rabindranath Tagore",
            "Rabindranath Tagore (Bengali: রবীন্দ্রনাথ ঠাকুর; 7 May 1861 – 7 August 1941) was a Bengali polymath of the Bengal \
             Renaissance period. He reshaped Bengali literature and music as well as Indian art with Contextual Modernism in \
             the late 19th and early 20th centuries. In 1913, Tagore became the first non-European to win a Nobel Prize in \
             any category.",
        )),
    ),
    (
        "computer science",
        "recursion",
        Some((
            "Recursion (computer science)",
            "In computer science, recursion is a method of solving a computational problem where the solution depends on \
             solutions to smaller instances of the same problem. Recursion solves such recursive problems by using functions \
             that call themselves from within their own code.",
        )),
    ),
    (
        "math",
        "pi",
        Some((
            "Pi",
            "The number π is a mathematical constant, approximately equal to 3.14159, that is the ratio of a circle's \
             circumference to its diameter.",
        )),
    ),
    ("Grade 7", "Fractions", None),
    ("geography", "the Himalayas", None),
    ("physics", "Isaac Newton", None),
    ("economics", "inflation", None),
    ("chemistry", "acids and bases", None),
    ("english", "the passive voice", None),
    ("Sanskrit", "sandhi", None),
    ("cooking", "sourdough", None),
    ("computing", "an algorithm", None),
    ("music", "AC/DC", None),
    ("health", "NATO", None),
    (
        "Biologie",
        "Photosynthese",
        Some((
            "Photosynthese",
            "Die Photosynthese ist ein physiologischer Prozess zur Erzeugung von energiereichen Biomolekülen aus \
             energieärmeren Stoffen mithilfe von Lichtenergie. Sie wird von Pflanzen, Algen und einigen Bakterien betrieben. \
             Dabei wird Lichtenergie mithilfe von lichtabsorbierenden Farbstoffen in chemische Energie umgewandelt.",
        )),
    ),
    ("Geschichte", "Johann Wolfgang von Goethe", None),
    ("Historia", "la Revolución francesa", None),
    ("Mathématiques", "les fractions", None),
    (
        "हिन्दी",
        "संज्ञा",
        Some((
            "संज्ञा",
            "संज्ञा उस विकारी शब्द को कहते हैं, जिससे किसी विशेष वस्तु, भाव और जीव के नाम का बोध हो। संज्ञा के पाँच भेद होते हैं। \
             व्यक्तिवाचक संज्ञा से किसी एक व्यक्ति या स्थान के नाम का पता चलता है।",
        )),
    ),
    ("विज्ञान", "प्रकाश संश्लेषण", None),
];

fn draft(subject: &str, topic: &str, article: Beginning) -> LessonDraft {
    let wikipedia = article.map(|(title, summary)| WikipediaInfo {
        title: Some(title.into()),
        summary: Some(summary.into()),
        url: Some("https://en.wikipedia.org/wiki/X".into()),
        related_articles: vec![RelatedArticle { title: "Another".into(), ..RelatedArticle::default() }],
        ..WikipediaInfo::default()
    });
    let language = Language::of(&[(2, subject), (1, topic)]);
    LessonDraft { subject: subject.into(), topic: topic.into(), language, wikipedia }
}

fn texts(content: &Content) -> [&str; 5] {
    let Content { title, translation, explanation, activity, question, .. } = content;
    [title, translation, explanation, activity, question]
}

#[test]
fn every_lesson_keeps_the_rules_of_prose() {
    for (subject, topic, article) in TOPICS {
        let content = compose(&draft(subject, topic, article));
        let shown = texts(&content);
        println!("=== {subject} / {topic}\n{}\n", shown.join("\n--\n"));
        for text in shown {
            for wrong in ["  ", "{", "}", " ,", " .", "()", "( ", " )", "..", ",,", "the The", "the the"] {
                assert!(!text.contains(wrong), "{subject}/{topic}: '{wrong}' in: {text}");
            }
            for line in text.lines() {
                assert_eq!(line.trim(), line, "{topic}");
            }
        }
        let [title, translation, explanation, activity, question] = shown;
        assert!(!title.is_empty() && !title.ends_with('.'), "{title}");
        assert!(translation.ends_with(')'), "{translation}");
        let ends = ['.', '?', '!', ':', '”', '“', '»', '।'];
        for line in
            [explanation, activity, question].iter().flat_map(|text| text.lines()).filter(|l| !l.is_empty())
        {
            assert!(line.ends_with(ends), "{subject}/{topic}: does not end: {line}");
        }
    }
}

#[test]
fn no_text_makes_a_topic_agree_with_a_verb_or_an_article() {
    let guide = super::guide(Language::En);
    for (name, text) in guide.iter() {
        for word in [
            "is", "are", "was", "were", "has", "have", "does", "do", "come", "comes", "matter", "means",
            "works",
        ] {
            assert!(!text.contains(&format!("{{topic}} {word} ")), "{name}: {word}");
        }
        for article in ["a", "an", "A", "An", "the", "The"] {
            let before = format!("{article} {{topic}}");
            let stands =
                text.match_indices(&before).any(|(at, _)| at == 0 || text[..at].ends_with([' ', '\n']));
            assert!(!stands, "{name}: {article}");
        }
    }
    // The others put it in quotation marks.
    for language in Language::ALL.into_iter().skip(1) {
        for (name, text) in super::guide(language).iter().filter(|(name, _)| *name != "title") {
            for (at, _) in text.match_indices("{topic}") {
                let before = text[..at].trim_end_matches([' ', '\u{a0}']);
                assert!(before.ends_with(['„', '«', '“']), "{language} {name}: …{}", &text[at..]);
            }
        }
    }
}
