use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use service_support::{Cause, ProviderError, SHOULD_RETRY, Tokens, Waiting, without_mark};
use utoipa::ToSchema;

use crate::app::App;
use crate::external_http::{GENERATOR, TOKENS};
use crate::keywords::Keywords;

/// Finds ten keywords for a topic
///
/// It asks for no token, because the service that it stands for asks for none: whoever dispatches to it sends a topic and
/// nothing else.
#[utoipa::path(
    post,
    path = "/api/v1/llm/query",
    operation_id = "queryKeywords",
    security(()),
    request_body = Topic,
    responses(
        (status = 200, description = "The keywords", body = Answer, headers(
            ("Generator" = Option<String>, description = "What made them: a model, or `outline`"),
            ("Tokens" = Option<u64>, description = "The tokens that the model has taken for them"),
        )),
        (status = 400, description = "The request cannot be used", body = Refusal),
        (status = 413, description = "The request is too large", body = Refusal),
        (status = 429, description = "The model is over its limit", body = Refusal),
        (status = 500, description = "The model failed", body = Refusal),
    ),
)]
pub(crate) async fn query(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let keywords = match read(&headers, body) {
        Ok(keywords) => keywords,
        Err((status, reason)) => return refuse(status, reason),
    };
    let (composer, tokens) = (&app.providers.composer, Tokens::default());
    let mut response = match keywords.compose(composer.as_ref(), &tokens).await {
        Ok(keywords) => {
            let mut response = Json(Answer { response: keywords }).into_response();
            if let Ok(name) = HeaderValue::from_str(composer.generator()) {
                response.headers_mut().insert(GENERATOR, name);
            }
            response
        }
        Err(error) => failed(&error),
    };
    if composer.limit_key().is_some() {
        response.headers_mut().insert(TOKENS, HeaderValue::from(tokens.taken()));
    }
    response
}

/// A topic, as the document describes it.
#[derive(ToSchema)]
#[schema(as = KeywordsRequest)]
#[expect(dead_code, reason = "it describes")]
struct Topic {
    #[schema(example = "React Development")]
    topic: String,
    #[schema(example = json!(["useState", "useEffect"]))]
    sub_topics: Vec<String>,
}

/// The keywords of a topic.
#[derive(Serialize, ToSchema)]
#[schema(as = Keywords)]
struct Answer {
    /// Ten.
    response: Vec<String>,
}

/// A refusal, in the form of the service that this one stands for.
#[derive(Serialize, ToSchema)]
#[schema(as = KeywordsError)]
struct Refusal<'a> {
    /// The reason, for people.
    error: &'a str,
}

/// A limit of the model's is passed on, so that whoever asked waits as long, and so is that asking again is in vain; the log
/// has the rest.
fn failed(error: &ProviderError) -> Response {
    tracing::warn!("failed to answer a query: {error}");
    let is_limit = error.cause == Cause::Status(429);
    let status = if is_limit { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::INTERNAL_SERVER_ERROR };
    let mut response = refuse(status, &error.to_string());
    if !error.is_retryable() {
        response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Waiting::For(wait) | Waiting::TooLong(wait) = error.waiting {
        response.headers_mut().insert(RETRY_AFTER, seconds(wait));
    }
    response
}

fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs().max(1))
}

fn read(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Keywords, (StatusCode, &'static str)> {
    let bad = |reason| (StatusCode::BAD_REQUEST, reason);
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => (StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large"),
        status => (status, "Request body cannot be read"),
    })?;
    let body: Option<Value> = serde_json::from_slice(without_mark(&body)).ok();
    let body = body.filter(|_| is_json(headers)).ok_or_else(|| bad("Request must be JSON"))?;
    if !body.is_object() {
        return Err(bad("Request body must be a JSON object"));
    }
    // No keyword can hold a NUL, so a name of nothing else is no name.
    let text = |value: &Value| value.as_str().map(|text| text.replace('\0', ""));
    let topic = text(&body["topic"]).filter(|topic| !topic.trim().is_empty());
    // A list of anything but texts is no list of sub-topics.
    let sub_topics = body["sub_topics"].as_array();
    let sub_topics = sub_topics.and_then(|list| list.iter().map(text).collect::<Option<Vec<_>>>());
    match (topic, sub_topics) {
        (Some(topic), Some(sub_topics)) => Ok(Keywords { topic, sub_topics }),
        _ => Err(bad("Request body must contain 'topic' (string) and 'sub_topics' (list)")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, Json(Refusal { error: reason })).into_response()
}
