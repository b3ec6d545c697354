use longhaul::{Webhook, WebhookEvent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is told how a job ends: a URL, or one with the ends that it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "must be a URL, or an object with url and events: [completed, failed, cancelled]"
)]
#[schema(as = Webhook)]
pub(crate) enum WebhookBody {
    /// Told every end.
    Url(String),
    /// Told some of them.
    Events(WebhookOptions),
}

/// A URL, and the ends that it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookOptions)]
pub(crate) struct WebhookOptions {
    /// An `http` or `https` URL without a user or password.
    #[schema(example = "https://example.com/hooks/jobs")]
    url: String,
    /// The ends that are told; all of them unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    events: Option<Vec<WebhookEvent>>,
}

impl WebhookBody {
    /// The webhook; whoever enqueues it checks it.
    pub(crate) fn into_webhook(self) -> Webhook {
        match self {
            Self::Url(url) => Webhook::new(url),
            Self::Events(WebhookOptions { url, events }) => {
                Webhook { url, events: events.unwrap_or_else(WebhookEvent::all) }
            }
        }
    }
}

impl From<&Webhook> for WebhookBody {
    fn from(webhook: &Webhook) -> Self {
        Self::Events(WebhookOptions { url: webhook.url.clone(), events: Some(webhook.events.clone()) })
    }
}
