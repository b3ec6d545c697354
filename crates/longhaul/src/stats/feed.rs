use tokio::sync::broadcast;

use super::item::FeedNews;
use super::shared::Watch;

/// The changes of a store's jobs from a point in time on, made by any process.
#[derive(Debug)]
pub struct Feed {
    pub(super) news: broadcast::Receiver<FeedNews>,
    pub(super) _watch: Watch,
}

impl Feed {
    /// Waits for the next change or gap; `None` once the recorder has ended.
    pub async fn next(&mut self) -> Option<FeedNews> {
        match self.news.recv().await {
            Ok(news) => Some(news),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(FeedNews::Gap),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
