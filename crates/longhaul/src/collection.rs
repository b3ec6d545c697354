use std::time::Duration;

use crate::access::Answered;
use crate::clock::Timestamp;
use crate::model::Sample;
use crate::store::{Result, Store};

/// Keeps a sample until it is deleted: a thousand years.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// A few things that a store keeps as the samples of a series, each by its source: the secrets of webhooks, tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection<'s> {
    pub(crate) store: &'s dyn Store,
    pub(crate) series: &'static str,
    /// The most members.
    pub(crate) most: usize,
}

/// The result of adding to a bounded collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was added.
    Yes,
    /// It was not: the collection is full.
    TooMany,
}

impl Collection<'_> {
    /// All of them, oldest first.
    pub(crate) async fn list(&self) -> Result<Vec<Sample>> {
        self.store.samples(self.series, Timestamp(0)).await
    }

    /// Adds a sample unless the collection is full, and in the same commit the answer to the request that adds it.
    pub(crate) async fn add(&self, sample: Sample, answered: Option<&Answered>) -> Result<Added> {
        if self.list().await?.len() >= self.most {
            return Ok(Added::TooMany);
        }
        let mut samples = vec![sample.clone()];
        samples.extend(answered.map(Answered::sample).transpose()?);
        self.store.put_samples(&samples).await?;
        // Others may have added some concurrently: of too many, the newest are removed.
        if self.list().await?.iter().take(self.most).any(|kept| kept.source == sample.source) {
            return Ok(Added::Yes);
        }
        let forgotten = samples.into_iter().map(|sample| Sample { keep_for: Duration::ZERO, ..sample });
        self.store.put_samples(&forgotten.collect::<Vec<_>>()).await?;
        Ok(Added::TooMany)
    }

    /// Forgets one, and answers the one that it was.
    pub(crate) async fn delete(&self, source: &str) -> Result<Option<Sample>> {
        let Some(sample) = self.list().await?.into_iter().find(|sample| sample.source == source) else {
            return Ok(None);
        };
        self.forget(sample.clone()).await?;
        Ok(Some(sample))
    }

    async fn forget(&self, sample: Sample) -> Result<()> {
        self.store.put_samples(&[Sample { keep_for: Duration::ZERO, ..sample }]).await
    }
}
