//! The sources of an answer: passages that fit the question and what it leans on, attachments whole where they fit, and
//! the beginnings of documents where these are asked about as such.

use std::collections::HashSet;
use std::sync::LazyLock;

use service_support::{DbError, Message, MessageRole, Texts};

use crate::app::App;
use crate::question::{Aim, Question, Source};
use crate::search::{EXCERPT_CHARS, Passage, Query, Wanted};
use crate::text::{self, Language};

/// A question with the conversation and the texts that came with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    pub(crate) message: String,
    pub(crate) history: Vec<Message>,
    /// The ids of attached materials, all of the course.
    pub(crate) materials: Vec<String>,
    /// Attached texts, each with its name.
    pub(crate) texts: Vec<(String, String)>,
}

/// A source and what is shown of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) source: Source,
    /// `None` for a text that came with the question.
    pub(crate) material_id: Option<String>,
    pub(crate) excerpt: String,
    pub(crate) score: f64,
}

/// Passages that an answer is made from.
const PASSAGES: usize = 5;
/// Characters of all sources together: what small models read and still answer.
const BUDGET: usize = 24_000;
/// Documents of a course that are looked at together, the newest ones.
const DOCUMENTS: usize = 8;
/// Characters of the conversation that a question may lean on.
const BEFORE_CHARS: usize = 600;
/// Chunks that are read at a time.
const CHUNKS: u32 = 16;

impl App {
    /// Finds the sources of an answer. They all are of materials that are there and of their newest text.
    pub(crate) async fn find_sources(
        &self,
        course_id: &str,
        asking: &Asking,
    ) -> Result<(Question, Vec<Found>), DbError> {
        let aim = aim(asking);
        let before = if aim == Aim::Answer { leaning_on(asking) } else { String::new() };
        let attached = asking.texts.len() + asking.materials.len();
        let mut found: Vec<Found> = Vec::new();
        for (name, content) in &asking.texts {
            found.push(whole(name, None, content, BUDGET / attached.max(1), &asking.message));
        }
        let mut long = Vec::new();
        let materials = match (aim, attached) {
            (Aim::Summary, 0) => self.newest(course_id).await?,
            _ => asking.materials.clone(),
        };
        let share = BUDGET / (asking.texts.len() + materials.len()).max(1);
        for id in &materials {
            let Some((name, text)) = self.beginning(id, share).await? else { continue };
            let is_whole = text.chars().count() <= share;
            if is_whole || aim == Aim::Summary {
                found.push(whole(&name, Some(id), &text, share, &asking.message));
            } else {
                long.push(id.clone());
            }
        }
        if aim == Aim::Answer && (asking.materials.is_empty() || !long.is_empty()) {
            let query = Query { text: &asking.message, before: &before };
            let searched = self.search(course_id, &long, query, Wanted::Passages(PASSAGES)).await?;
            found.extend(searched.passages.into_iter().filter(|passage| passage.answers).map(Found::from));
        }
        let sources = found.iter().map(|found| found.source.clone()).collect();
        let (text, history) = (asking.message.clone(), asking.history.clone());
        Ok((Question { text, aim, before, history, sources }, found))
    }

    /// The materials of a course that have been read, the newest first.
    async fn newest(&self, course_id: &str) -> Result<Vec<String>, DbError> {
        let sql = "SELECT id FROM materials WHERE course_id = $1 AND indexed_run IS NOT NULL AND chunks > 0 \
                   ORDER BY created_at DESC, id LIMIT $2";
        let rows = self.db.read(sql, vec![course_id.into(), DOCUMENTS.into()]).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// A material's name and its text from the beginning, a little more than `most` characters of it; `None` where it
    /// is gone or has no text.
    async fn beginning(&self, material_id: &str, most: usize) -> Result<Option<(String, String)>, DbError> {
        let sql = "SELECT name, indexed_run, chunks FROM materials WHERE id = $1 AND indexed_run IS NOT NULL";
        let rows = self.db.read(sql, vec![material_id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (name, run, chunks): (String, u32, u32) =
            (row.get("name")?, row.get("indexed_run")?, row.get("chunks")?);
        let mut text = String::new();
        for first in (0..chunks).step_by(CHUNKS as usize) {
            if text.chars().count() > most {
                break;
            }
            for (_, chunk) in self.chunk_texts(material_id, run, first, CHUNKS).await? {
                append(&mut text, &chunk);
            }
        }
        Ok((!text.is_empty()).then_some((name, text)))
    }

    /// Those of some materials that are still there.
    pub(crate) async fn still_there(&self, ids: &[String]) -> Result<HashSet<String>, DbError> {
        let mut known = HashSet::new();
        for ids in ids.chunks(500) {
            let sql = format!(
                "SELECT id FROM materials WHERE id IN ({})",
                service_support::placeholders(1, ids.len())
            );
            for row in self.db.read(sql, ids.iter().map(|id| id.as_str().into()).collect()).await? {
                known.insert(row.get("id")?);
            }
        }
        Ok(known)
    }
}

/// A document, from its beginning as far as there is room, and the part of it to show.
fn whole(name: &str, material_id: Option<&String>, content: &str, most: usize, message: &str) -> Found {
    let text: String = content.chars().take(most).collect();
    let words: Vec<String> = text::query(message, text::Languages(1)).concat();
    let excerpt = text::excerpt(&text, &words, EXCERPT_CHARS);
    let source = Source { name: name.to_owned(), page: None, text };
    Found { source, material_id: material_id.cloned(), excerpt, score: 1.0 }
}

impl From<Passage> for Found {
    fn from(passage: Passage) -> Self {
        Self {
            source: Source { name: passage.name, page: passage.page, text: passage.text },
            material_id: Some(passage.material_id),
            excerpt: passage.excerpt,
            score: passage.score,
        }
    }
}

/// Adds the next chunk, without what it repeats of the one before it.
fn append(text: &mut String, chunk: &str) {
    let longest = chunk.len().min(2_000);
    let ends = (1..=longest).rev().filter(|end| chunk.is_char_boundary(*end));
    let repeated = ends.map(|end| &chunk[..end]).find(|start| text.ends_with(*start)).map_or(0, str::len);
    if repeated == 0 && !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&chunk[repeated..]);
}

/// The words by which people ask for a document as a whole, or for what was said before.
struct Vocabulary {
    summary: HashSet<&'static str>,
    about: HashSet<&'static str>,
    object: HashSet<&'static str>,
    filler: HashSet<&'static str>,
    points: HashSet<&'static str>,
    reference: HashSet<&'static str>,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let texts = Texts::read(include_str!("chat_words.txt"));
    let words = |name: &str| texts.get(name).split_whitespace().collect();
    Vocabulary {
        summary: words("summary"),
        about: words("about"),
        object: words("object"),
        filler: words("filler"),
        points: words("points"),
        reference: words("reference"),
    }
});

fn words(message: &str) -> Vec<String> {
    let split = message.split(|c: char| !c.is_alphanumeric());
    split.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// A summary is asked for where nothing but that is asked: no word names something to look for.
fn aim(asking: &Asking) -> Aim {
    let known = &*VOCABULARY;
    let words = words(&asking.message);
    let says = |set: &HashSet<&'static str>| words.iter().any(|word| set.contains(word.as_str()));
    let names_nothing = words.iter().map(String::as_str).all(|word| {
        known.summary.contains(word)
            || known.about.contains(word)
            || known.object.contains(word)
            || known.filler.contains(word)
            || known.points.contains(word)
            || Language::any_has_common(word)
    });
    let is_attached = !asking.texts.is_empty() || !asking.materials.is_empty();
    // In a conversation, "what is it about" is about what was talked of.
    let asks_about = says(&known.about) && (is_attached || asking.history.is_empty());
    let asks_for_points = is_attached && says(&known.points);
    // Scripts without spaces give one long word.
    let is_unspaced = known
        .summary
        .iter()
        .any(|word| !word.is_ascii() && asking.message.contains(*word) && words.len() < 3);
    if (names_nothing && (says(&known.summary) || asks_about || asks_for_points)) || is_unspaced {
        Aim::Summary
    } else {
        Aim::Answer
    }
}

/// The latest words of a conversation, where the question says too little without them: it points back, or names at most
/// one thing.
fn leaning_on(asking: &Asking) -> String {
    let known = &*VOCABULARY;
    let words = words(&asking.message);
    let points_back = words.iter().any(|word| known.reference.contains(word.as_str()));
    let named = words
        .iter()
        .map(String::as_str)
        .filter(|word| !Language::any_has_common(word) && !known.filler.contains(word));
    if !points_back && named.count() > 1 {
        return String::new();
    }
    let mut before = String::new();
    let asked = asking.history.iter().rev().filter(|turn| turn.role == MessageRole::User).take(2);
    let answered = asking.history.iter().rev().filter(|turn| turn.role == MessageRole::Assistant).take(1);
    for turn in asked.chain(answered) {
        before.push_str(&turn.content);
        before.push('\n');
    }
    before.chars().take(BEFORE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(message: &str, history: &[&str], materials: usize) -> Asking {
        let turn = |text: &&str| Message { role: MessageRole::User, content: (*text).to_owned() };
        Asking {
            message: message.into(),
            history: history.iter().map(turn).collect(),
            materials: vec!["id".into(); materials],
            texts: Vec::new(),
        }
    }

    #[test]
    fn a_summary_is_asked_for_in_many_words() {
        for message in [
            "Summarize this document",
            "What is it about?",
            "what is this about",
            "Give me the main points.",
            "tl;dr summary please",
            "Résume ce document",
            "Fasse das Dokument zusammen",
            "Worum geht es?",
            "De qué trata este documento?",
            "Can you give me an overview of the course?",
            "总结这个文件",
        ] {
            assert_eq!(aim(&asking(message, &[], 1)), Aim::Summary, "{message}");
        }
        for message in [
            "What about mitosis?",
            "Summarise photosynthesis",
            "How do I undo it?",
            "Who wrote this?",
            "hello",
        ] {
            assert_eq!(aim(&asking(message, &[], 1)), Aim::Answer, "{message}");
        }
        assert_eq!(aim(&asking("What is it about?", &["What is mitosis?"], 0)), Aim::Answer);
    }

    #[test]
    fn a_question_leans_on_the_conversation_where_it_says_too_little_itself() {
        let history = ["What does git subtree --squash do?"];
        for message in ["And how do I undo it?", "Why?", "Give an example", "Which one is faster and safer?"]
        {
            assert!(leaning_on(&asking(message, &history, 0)).contains("squash"), "{message}");
        }
        for message in ["Who is the president of France?", "How do plants absorb light?"] {
            assert_eq!(leaning_on(&asking(message, &history, 0)), "", "{message}");
        }
        assert_eq!(leaning_on(&asking("Why?", &[], 0)), "");
    }

    #[test]
    fn chunks_that_overlap_make_their_text_again() {
        let sentences: Vec<String> =
            (0..300).map(|n| format!("Sentence number {n} says something of its own.")).collect();
        let text = sentences.join(" ");
        let mut joined = String::new();
        for chunk in text::chunks(&text) {
            append(&mut joined, &chunk);
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&joined), words(&text));
    }
}
