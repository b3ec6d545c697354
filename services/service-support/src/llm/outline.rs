use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::{Composer, Draft, TextStream};
use crate::provider::ProviderError;

/// Stands in for a model: gives each draft's own [outline](Draft::outline), word by word.
#[derive(Clone, Copy, Debug)]
pub struct Outline;

#[async_trait]
impl Composer for Outline {
    fn generator(&self) -> &str {
        "outline"
    }

    async fn write(&self, draft: &dyn Draft) -> Result<TextStream, ProviderError> {
        let text = draft.outline();
        let words: Vec<_> = text.split_inclusive(' ').map(|word| Ok(word.to_owned())).collect();
        Ok(stream::iter(words).boxed())
    }
}
