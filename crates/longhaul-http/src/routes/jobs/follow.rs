//! Following one job's events, whatever carries them to the reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use longhaul::stats::OneMore;
use longhaul::{JobId, Lookup};
use tokio_util::sync::CancellationToken;

use super::read::{found, readable};
use crate::auth::Reader;
use crate::problem::{Code, FieldError, Problem};
use crate::query;
use crate::state::Api;
use crate::state::feed::{Feed, Taken};
use crate::state::line::Line;

/// The most events that are held in memory for a reader.
const PAGE: usize = 100;
/// The bytes of events that are held in memory for a reader, beyond the first event. A reader may be slow, and there may
/// be many.
const PAGE_BYTES: usize = 256 * 1024;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Reads one job's log for one reader: what came before it from the store, then what all readers of the job are told.
pub(crate) struct Follower {
    api: Api,
    id: JobId,
    /// The number of the last event that was handed out.
    after: u64,
    page: VecDeque<Arc<Line>>,
    /// Joined once the reader has caught up with the store.
    feed: Option<Arc<Feed>>,
    ended: Option<Ending>,
    _counted: OneMore,
}

/// The reason why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The job has ended, and the reader has heard of it.
    Ended,
    /// The job was removed.
    Gone,
    /// The server stops: the reader is to come back, to it or to another one.
    Stopping,
    /// The store cannot be read: the same, later.
    StoreAway,
}

/// A reader's last event, compared with the job's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// More may come.
    Open,
    /// The job has ended and all of its events were seen.
    SeenWhole,
    /// There is no such job any more.
    Gone,
    /// No event of the job has a number as high.
    Ahead,
}

impl Follower {
    /// Looks the job up, and begins after the last event that its reader has seen. Where that is none of this job's, or is not
    /// to be read, a `reset` and the whole log follow.
    ///
    /// # Errors
    /// 403 where the reader's token is for an earlier job of the id, 404 or 410 where there is none, 503 without a store.
    pub(crate) async fn start(api: Api, reader: Reader, seen: Option<u64>) -> Result<Self, Problem> {
        if reader.is_bound() {
            readable(&api, &reader).await?;
        }
        let page = VecDeque::new();
        let after = seen.unwrap_or(0);
        let counted = api.recorder().counters().readers.one_more();
        let mut follower =
            Self { api, id: reader.id, after, page, feed: None, ended: None, _counted: counted };
        if !follower.read_store().await? {
            // The log does not tell a job that is gone from one that never was.
            found(follower.api.longhaul.get(&follower.id).await?)?;
            return Err(Problem::new(Code::JobGone, "the job was pruned or deleted"));
        }
        let mut is_restart = seen.is_none();
        if follower.page.is_empty() {
            match follower.standing().await? {
                Standing::Open => {}
                Standing::SeenWhole => follower.ended = Some(Ending::Ended),
                Standing::Gone => follower.ended = Some(Ending::Gone),
                Standing::Ahead => {
                    follower.after = 0;
                    is_restart = true;
                }
            }
        }
        if is_restart {
            let restart = follower.restart();
            follower.page.push_front(restart);
        }
        Ok(follower)
    }

    /// The reason why nothing comes, or will come any more; none while something may.
    pub(crate) fn ended(&self) -> Option<Ending> {
        self.ended.filter(|_| self.page.is_empty())
    }

    /// The next event, or the reason why there is none. A reader that comes back with the last number it has seen goes on
    /// where it was. May be dropped and called again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Arc<Line>, Ending> {
        let stopping = self.api.config.stopping.clone();
        loop {
            if let Some(line) = self.page.pop_front() {
                self.after = self.after.max(line.seq);
                if line.is_end {
                    self.ended = Some(Ending::Ended);
                }
                return Ok(line);
            }
            if let Some(ending) = self.ended {
                return Err(ending);
            }
            let Some(more) = unless(&stopping, self.more()).await else {
                self.ended = Some(Ending::Stopping);
                continue;
            };
            if let Err(error) = more {
                tracing::warn!(job = %self.id, "failed to follow a job's events; its reader must come back: {error}");
                self.ended = Some(Ending::StoreAway);
            }
        }
    }

    /// Waits for a page, or for the end.
    async fn more(&mut self) -> longhaul::Result<()> {
        loop {
            if let Some(feed) = &self.feed {
                match feed.after(self.after).await {
                    Taken::Lines(lines) => {
                        self.note_lag(&lines);
                        self.page = lines;
                        return Ok(());
                    }
                    // Too slow for what the feed keeps, or the feed has ended, of which the store knows why.
                    Taken::Nothing => self.feed = None,
                }
            }
            if !self.read_store().await? {
                self.ended = Some(Ending::Gone);
                return Ok(());
            }
            if !self.page.is_empty() {
                return Ok(());
            }
            self.ended = match self.standing().await? {
                Standing::Open => None,
                Standing::SeenWhole => Some(Ending::Ended),
                Standing::Gone => Some(Ending::Gone),
                // It was made anew and has a log of its own.
                Standing::Ahead => {
                    self.after = 0;
                    self.page.push_back(self.restart());
                    return Ok(());
                }
            };
            if self.ended.is_some() {
                return Ok(());
            }
            self.feed = Some(self.api.feeds.join(&self.api.longhaul, &self.id, self.after));
        }
    }

    fn note_lag(&self, lines: &VecDeque<Arc<Line>>) {
        let now = self.api.config.clock.now();
        let mut lag = self.api.recorder().counters().lag.lock();
        lines.iter().for_each(|line| lag.add(now.since(line.at)));
    }

    /// Tells a reader whose last event is unknown here to drop what it has: the whole log follows.
    fn restart(&self) -> Arc<Line> {
        Arc::new(Line::restart(self.api.config.clock.now()))
    }

    /// Reads a page of what is there, and keeps as much of it as may be held for a reader. False where there is no such job.
    async fn read_store(&mut self) -> longhaul::Result<bool> {
        let page = self.api.longhaul.events(&self.id, self.after, PAGE, Duration::ZERO).await?;
        let Some(page) = page else { return Ok(false) };
        let mut bytes = 0;
        for event in &page {
            if bytes >= PAGE_BYTES {
                break;
            }
            let line = Line::new(event);
            bytes += line.bytes();
            self.page.push_back(Arc::new(line));
        }
        Ok(true)
    }

    async fn standing(&self) -> longhaul::Result<Standing> {
        Ok(match self.api.longhaul.get(&self.id).await? {
            Lookup::Found(job) if job.last_event < self.after => Standing::Ahead,
            Lookup::Found(job) if !job.state.is_finished() || job.last_event > self.after => Standing::Open,
            Lookup::Found(_) => Standing::SeenWhole,
            Lookup::Gone | Lookup::Unknown => Standing::Gone,
        })
    }
}

async fn unless<T>(stopping: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stopping.cancelled() => None,
        done = work => Some(done),
    }
}

/// The number of the last event that the reader has seen; none where what it sent is no number.
///
/// # Errors
/// 422 where `after` is no number.
pub(crate) fn seen(headers: &HeaderMap, query: Option<&str>) -> Result<Option<u64>, Problem> {
    // A browser that reconnects repeats the URL of its first request, so what the header says is newer.
    if let Some(seen) = headers.get(LAST_EVENT_ID) {
        // An error would end an EventSource for good, and whoever wrote it cannot mend the id of a proxy or of another job.
        let seen = seen.to_str().unwrap_or("none").trim();
        return Ok(if seen.is_empty() { Some(0) } else { seen.parse().ok() });
    }
    match query::value(query, "after") {
        None => Ok(Some(0)),
        Some(after) => query::number(&after, 0..=u64::MAX).map(Some).map_err(|message| {
            let error = FieldError { field: "after".into(), message };
            Problem::fields(Code::Invalid, vec![error])
        }),
    }
}
