//! The flags for what follows from the end of a job.

use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// The fate of a job whose attempts are used up, and who is told how it ends.
#[derive(Debug, ClapArgs)]
pub(crate) struct EndArgs {
    /// Its fate when its last attempt fails: pause waits for a person to retry or cancel it [default: that of its
    /// kind]
    #[arg(long, value_name = "FATE", value_parser = ["fail", "pause"])]
    on_exhausted: Option<String>,
    /// The URL that is told how it ends
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// The ends that are told, separated by commas: completed, failed, cancelled [default: all of them]
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', requires = "webhook",
          value_parser = ["completed", "failed", "cancelled"])]
    webhook_events: Vec<String>,
}

impl EndArgs {
    /// The fields of the request.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Option<Value>)> {
        let webhook = self.webhook.as_ref().map(|url| match self.webhook_events.as_slice() {
            [] => json!(url),
            events => json!({"url": url, "events": events}),
        });
        vec![("on_exhausted", self.on_exhausted.as_ref().map(|fate| json!(fate))), ("webhook", webhook)]
    }
}
