//! The texts that a composer is asked for: which lessons a module has, and each lesson's plan.

mod lesson;
mod outcome;
mod outline;
mod plan;
#[cfg(test)]
mod reading;
mod topics;

pub(crate) use lesson::LessonDraft;
pub(crate) use plan::{LESSON_TOKENS, Plan, PlanDraft, PlannedLesson, planned_again, tokens_of};

use std::time::Duration;

use futures::StreamExt;
use longhaul::clock::Stopwatch;
use longhaul::{Context, JobError, JobResult};
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_support::{Asking, Composer, Draft, ProviderError, Tokens};

use crate::app::Curriculum;

/// A piece of what is being written, as those see it who follow the job.
#[derive(Clone, Debug, Serialize)]
struct Chunk<'a> {
    /// The lesson's number; 0 is the module's list of lessons.
    lesson: u32,
    text: &'a str,
}

/// Pieces that come sooner than this after one another are put together: each chunk is a row.
const CHUNK_EVERY: Duration = Duration::from_millis(100);
/// The most bytes that are put together.
const CHUNK_BYTES: usize = 4 * 1024;

/// Has a draft written out, passing on what is written as it comes, and reads it as what it is to be; once more where it
/// cannot be used. A cancel ends the model's call.
pub(crate) async fn write<T: DeserializeOwned, U>(
    cx: &Context<Curriculum>,
    lesson: u32,
    draft: &dyn Draft,
    tokens: &Tokens,
    accept: impl Fn(T) -> Result<U, String>,
) -> JobResult<U> {
    let composer = cx.state().app().providers.composer.as_ref();
    let mut asking = Asking::new(draft).counting(tokens);
    loop {
        let text = stream(cx, composer, lesson, &asking).await?;
        let read = asking.read(composer, &text, |value| {
            serde_json::from_value(value).map_err(|e| e.to_string()).and_then(&accept)
        });
        if let Some(accepted) = read.map_err(|error| about(lesson, error))? {
            return Ok(accepted);
        }
        // Readers see where the second reply begins.
        cx.emit(Chunk { lesson, text: "\n" }).await?;
    }
}

async fn stream(
    cx: &Context<Curriculum>,
    composer: &dyn Composer,
    lesson: u32,
    draft: &dyn Draft,
) -> JobResult<String> {
    let opened = tokio::select! {
        biased;
        () = cx.cancelled() => return Err(JobError::cancel("cancelled on request")),
        opened = composer.write(draft) => opened,
    };
    let mut pieces = opened?;
    let (mut text, mut told) = (String::new(), 0);
    let mut since = Stopwatch::start();
    loop {
        let wait = CHUNK_EVERY.saturating_sub(since.elapsed());
        let next = async {
            if told < text.len() {
                tokio::time::timeout(wait, pieces.next()).await
            } else {
                Ok(pieces.next().await)
            }
        };
        // The stream is dropped with this, which ends the call.
        let next = tokio::select! {
            biased;
            () = cx.cancelled() => return Err(JobError::cancel("cancelled on request")),
            next = next => next,
        };
        let ended = match next {
            Err(_) => false,
            Ok(None) => true,
            Ok(Some(piece)) => {
                if told == text.len() {
                    since = Stopwatch::start();
                }
                text.push_str(&piece?);
                if text.len() - told < CHUNK_BYTES && since.elapsed() < CHUNK_EVERY {
                    continue;
                }
                false
            }
        };
        // A server may send all of its reply at once, and a chunk takes no text of any length.
        while told < text.len() {
            let end = text.floor_char_boundary(told + CHUNK_BYTES);
            cx.emit(Chunk { lesson, text: &text[told..end] }).await?;
            told = end;
        }
        if ended {
            return Ok(text);
        }
    }
}

/// The error of a text that cannot be used, with its name.
fn about(lesson: u32, error: ProviderError) -> JobError {
    let what = match lesson {
        0 => "the list of lessons".to_owned(),
        number => format!("the plan of lesson {number}"),
    };
    let error = JobError::from(error);
    JobError { message: format!("{what}: {}", error.message), ..error }
}
