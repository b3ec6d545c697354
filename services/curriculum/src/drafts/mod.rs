//! The texts that a composer is asked for: which lessons a module has, and each lesson's plan.

mod lesson;
mod outcome;
mod outline;
mod plan;
#[cfg(test)]
mod reading;
mod topics;

pub(crate) use lesson::LessonDraft;
pub(crate) use plan::{Plan, PlanDraft, PlannedLesson, planned_again};

use std::time::Duration;

use futures::StreamExt;
use longhaul::clock::Stopwatch;
use longhaul::{Context, JobError, JobResult};
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_support::{Composer, Draft};

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

/// Has a draft written out, passing on what is written as it comes, and reads it as what it is to be.
pub(crate) async fn write<T: DeserializeOwned>(
    cx: &Context<Curriculum>,
    lesson: u32,
    draft: &dyn Draft,
) -> JobResult<T> {
    let composer = &cx.state().app().providers.composer;
    let text = stream(cx, composer.as_ref(), lesson, draft).await?;
    let value = composer.read_json(&text)?;
    serde_json::from_value(value).map_err(|e| unusable(composer.as_ref(), lesson, e))
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
        if told < text.len() {
            cx.emit(Chunk { lesson, text: &text[told..] }).await?;
            told = text.len();
        }
        if ended {
            return Ok(text);
        }
    }
}

/// The error of a text that is JSON of another form: a failure of its writer, like any other.
pub(crate) fn unusable(composer: &dyn Composer, lesson: u32, reason: impl std::fmt::Display) -> JobError {
    let what = match lesson {
        0 => "the list of lessons".to_owned(),
        number => format!("the plan of lesson {number}"),
    };
    JobError::retry(format!("{what} by {} cannot be used: {reason}", composer.generator()))
}
