use axum::Json;
use axum::extract::{RawQuery, State};
use longhaul::KeyPause;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::faults::Faults;
use crate::problem::{Code, Problem};
use crate::query;
use crate::state::Api;
use crate::time::Rfc3339;

/// The route of limit keys.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(keys))
}

/// Limit keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyList)]
pub(crate) struct KeysBody {
    /// Those that are paused, by when their pauses end; at most 1,000.
    keys: Vec<KeyBody>,
    /// The cursor of the next page; null after the last.
    #[schema(required)]
    next: Option<String>,
}

/// A limit key. What it does not know is null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyBody {
    /// The key.
    #[schema(example = "provider:openai")]
    key: String,
    /// Its jobs that wait.
    #[schema(required)]
    waiting: Option<u64>,
    /// Its jobs that run.
    #[schema(required)]
    running: Option<u64>,
    /// The most that run at once.
    #[schema(required)]
    slots: Option<u64>,
    /// Starts in a time.
    #[schema(value_type = Option<serde_json::Value>, required)]
    rate: Option<serde_json::Value>,
    /// Its share of turns.
    #[schema(required)]
    weight: Option<f64>,
    /// The end of its pause: until then none of its jobs is claimed.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    closed_until: Option<Rfc3339>,
}

/// Lists limit keys
///
/// Those that a rate limited run has paused.
#[utoipa::path(
    get,
    path = "/keys",
    operation_id = "listKeys",
    tag = "queues",
    params(("prefix" = Option<String>, Query, description = "Whose names begin so")),
    responses((status = 200, description = "The keys", body = KeysBody)),
)]
async fn keys(
    State(api): State<Api>,
    _: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<KeysBody>, Problem> {
    let mut faults = Faults::default();
    let mut prefix = String::new();
    for (name, value) in query::pairs(query.as_deref()) {
        match &*name {
            "prefix" => prefix = value.into_owned(),
            other => faults.add(Code::Invalid, other, "is not a parameter; use prefix"),
        }
    }
    faults.into_result()?;
    let pauses = api.longhaul.store().pauses().await?;
    let keys = pauses.into_iter().filter(|pause| pause.key.starts_with(&prefix)).map(KeyBody::from).collect();
    Ok(Json(KeysBody { keys, next: None }))
}

impl From<KeyPause> for KeyBody {
    fn from(pause: KeyPause) -> Self {
        Self {
            key: pause.key,
            waiting: None,
            running: None,
            slots: None,
            rate: None,
            weight: None,
            closed_until: Some(Rfc3339(pause.until)),
        }
    }
}
