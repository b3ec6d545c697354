use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use longhaul::{Backoff, Context, Job, JobError, JobId, JobResult, LogLevel, NewJob};
use serde::{Deserialize, Serialize};
use service_support::{Asking, Composer, Draft, Language, Settling, Tokens, in_turn, limited};

use super::QUEUE;
use crate::app::{App, Lessons};
use crate::draft::LessonDraft;
use crate::knowledge::NewLesson;
use crate::model::{Content, LessonRequest};
use crate::wikipedia::WikipediaInfo;

/// Makes a lesson: asks Wikipedia, lets the lesson be written, and saves it as a new version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generate {
    /// The subject.
    pub subject: String,
    /// The topic within the subject.
    pub topic: String,
    /// The user who asked.
    pub user_id: String,
    /// True if Wikipedia is asked.
    pub include_wikipedia: bool,
    /// The language of the lesson, as its code; where it is not told, what the subject and the topic are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

/// The result of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// Its subject.
    pub subject: String,
    /// Its topic.
    pub topic: String,
    /// The version that it was saved as.
    pub version: String,
    /// Its title.
    pub title: String,
    /// The writer: a model's name, or `outline`.
    pub generator: String,
}

/// The written text, its content and its writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Written {
    /// As it came, piece after piece.
    text: String,
    content: Content,
    generator: String,
}

/// Tokens that a lesson has, about.
const LESSON_TOKENS: u64 = 1_200;
/// Tokens of Wikipedia's summary.
const SUMMARY_TOKENS: u64 = 300;
/// The most bytes of words that are passed on together.
const CHUNK_BYTES: usize = 4 * 1024;

/// The job of a new task.
pub(crate) fn generate_job(app: &App, id: &JobId, request: LessonRequest) -> longhaul::Result<NewJob> {
    let LessonRequest { subject, topic, user_id, include_wikipedia, language } = request;
    let labels = [("subject", &subject), ("topic", &topic), ("user", &user_id)];
    let labels: BTreeMap<String, String> =
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let turn = app.turns.key(&user_id);
    let job = Generate { subject, topic, user_id, include_wikipedia, language };
    let new = NewJob { id: Some(id.clone()), labels, ..NewJob::of(&job)? };
    Ok(in_turn(limited(new, app.providers.composer.limit_key(), job.tokens()), turn))
}

impl Job for Generate {
    const KIND: &'static str = "lessons.generate";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 3;

    type State = Lessons;
    type Output = Generated;

    fn backoff() -> Backoff {
        Backoff { base: Duration::from_secs(2), factor: 2.0, ..Backoff::default() }
    }

    async fn run(self, cx: Context<Lessons>) -> JobResult<Generated> {
        let settling = Settling::new(&cx);
        if self.subject.trim().is_empty() || self.topic.trim().is_empty() {
            return Err(JobError::fatal("subject and topic are required"));
        }
        let app = cx.state().app();
        let wikipedia = if self.include_wikipedia {
            cx.progress(5, "asking Wikipedia");
            Some(cx.step("wikipedia", || self.ask_wikipedia(&cx)).await?)
        } else {
            None
        };
        cx.progress(20, "writing the lesson");
        let draft = self.draft(wikipedia);
        let mut is_new = false;
        let noted = &mut is_new;
        let written = cx
            .step("text", || {
                *noted = true;
                app.write(&cx, &draft, &settling.tokens)
            })
            .await?;
        if !is_new {
            // It was written by an earlier run, whose pieces readers dropped when this one began.
            pass_on(&cx, &written.text).await?;
        }
        if cx.is_cancelled() {
            return Err(cancelled());
        }
        cx.progress(95, "saving the lesson");
        let version = self.save(&cx, &draft, &written).await?;
        cx.progress(100, format!("saved as version {version}"));
        let Written { content, generator, .. } = written;
        Ok(Generated { subject: self.subject, topic: self.topic, version, title: content.title, generator })
    }
}

impl Generate {
    fn draft(&self, wikipedia: Option<WikipediaInfo>) -> LessonDraft {
        LessonDraft {
            subject: self.subject.trim().to_owned(),
            topic: self.topic.trim().to_owned(),
            language: self.language(),
            wikipedia,
        }
    }

    /// The tokens that it is likely to take. The length of Wikipedia's answer is not known yet.
    fn tokens(&self) -> u64 {
        let summary = if self.include_wikipedia { SUMMARY_TOKENS } else { 0 };
        self.draft(None).request().tokens() + summary + LESSON_TOKENS
    }

    /// The language is taken from the subject before the topic, which is often a name.
    fn language(&self) -> Language {
        self.language.unwrap_or_else(|| Language::of(&[(2, &self.subject), (1, &self.topic)]))
    }

    /// Asks Wikipedia. A failure is a note on the lesson; the whole of it is in the job's log.
    async fn ask_wikipedia(&self, cx: &Context<Lessons>) -> JobResult<WikipediaInfo> {
        let looking = cx.state().app().wikipedia.look_up(&self.subject, &self.topic, self.language());
        let (info, error) = tokio::select! {
            biased;
            () = cx.cancelled() => return Err(cancelled()),
            found = looking => found,
        };
        if let Some(error) = error {
            tracing::warn!(task = %cx.id(), "a lesson does without Wikipedia: {error}");
            cx.log(LogLevel::Warn, error.to_string());
        }
        Ok(info)
    }

    async fn save(&self, cx: &Context<Lessons>, draft: &LessonDraft, written: &Written) -> JobResult<String> {
        let app = cx.state().app();
        let task = app.longhaul.get(cx.id()).await?.found();
        let lesson = NewLesson {
            task_id: cx.id().as_str(),
            subject: self.subject.trim(),
            topic: self.topic.trim(),
            user_id: &self.user_id,
            content: &written.content,
            wikipedia_info: serde_json::to_string(&draft.wikipedia)?,
            generator: &written.generator,
            // A deleted job has no task, so the lesson is kept without the time that it took.
            requested_at: task.map_or_else(|| app.clock.now(), |task| task.created_at),
        };
        let version = app.save(&lesson).await?;
        Ok(version.ok_or_else(|| JobError::cancel("the lesson's user was erased"))?.to_string())
    }
}

impl App {
    /// Lets the lesson be written, and once more where what was written cannot be used. A cancel ends the model's call.
    async fn write(&self, cx: &Context<Lessons>, draft: &LessonDraft, tokens: &Tokens) -> JobResult<Written> {
        let composer = self.providers.composer.as_ref();
        let mut asking = Asking::new(draft).counting(tokens);
        loop {
            let text = tokio::select! {
                biased;
                () = cx.cancelled() => return Err(cancelled()),
                text = stream(cx, composer, &asking) => text?,
            };
            let content = asking.read(composer, &text, |written| Content::read(&written))?;
            if let Some(content) = content {
                return Ok(Written { text, content, generator: composer.generator().to_owned() });
            }
            cx.progress(20, "asking once more: the first reply cannot be used");
            // Readers see where the second reply begins.
            cx.emit("\n").await?;
        }
    }
}

/// Passes every piece on to the followers of the job.
async fn stream(cx: &Context<Lessons>, composer: &dyn Composer, draft: &dyn Draft) -> JobResult<String> {
    let mut pieces = composer.write(draft).await?;
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        pass_on(cx, &piece).await?;
        text.push_str(&piece);
    }
    Ok(text)
}

/// Passes words on, in parts: a server may send all of its reply at once, and a chunk takes no text of any length.
async fn pass_on(cx: &Context<Lessons>, words: &str) -> JobResult<()> {
    let mut rest = words;
    while !rest.is_empty() {
        let (part, others) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
        cx.emit(part).await?;
        rest = others;
    }
    Ok(())
}

fn cancelled() -> JobError {
    JobError::cancel("Lesson generation was cancelled")
}
