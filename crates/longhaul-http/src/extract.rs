//! Extractors whose every refusal is a problem.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::problem::{Code, FieldError, Problem};
use crate::strict::Strict;
use crate::wire::MAX_WORKER_BODY_BYTES;

/// The most bytes that a request's body may have.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The most levels of arrays and objects in a request's body.
const MAX_DEPTH: usize = 64;
/// The same for remote workers. What a job returns is read as text, so that no depth of it costs any stack.
const MAX_WORKER_DEPTH: usize = 1_024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body, with the bytes that it was read from.
#[derive(Debug)]
pub(crate) struct JsonBody<T> {
    pub(crate) value: T,
    pub(crate) bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        let bytes = read(request, MAX_BODY_BYTES).await?;
        Ok(Self { value: parse(&bytes, MAX_DEPTH)?, bytes })
    }
}

/// The body of a remote worker's request, which may be larger and deeper than others: it carries what jobs return.
#[derive(Debug)]
pub(crate) struct WorkerJson<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for WorkerJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        parse(&read(request, MAX_WORKER_BODY_BYTES).await?, MAX_WORKER_DEPTH).map(Self)
    }
}

/// A JSON body, or no body at all for the defaults.
#[derive(Debug)]
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read(request, MAX_BODY_BYTES).await?;
        // Many clients name a type even where they send nothing.
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(not_json());
        }
        parse::<Option<T>>(&bytes, MAX_DEPTH).map(|value| Self(value.unwrap_or_default()))
    }
}

fn not_json() -> Problem {
    let detail = "the body must be JSON in UTF-8, with the header 'content-type: application/json'";
    Problem::new(Code::UnsupportedMediaType, detail)
}

/// True for `application/json` and `application/*+json` without a charset other than UTF-8, which JSON always is
/// (RFC 8259, 8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let Some((kind, subkind)) = essence.trim().split_once('/') else { return false };
    let charset =
        parameters.split(';').filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
    kind.eq_ignore_ascii_case("application")
        && (subkind.eq_ignore_ascii_case("json") || subkind.to_ascii_lowercase().ends_with("+json"))
        && charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge, format!("the body must be at most {limit} bytes"));
    let told =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(without_mark(body.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Code::IncompleteBody, "the body ended before it was whole")),
        Err(_) => {
            let detail = format!("the body must arrive within {} s", BODY_TIMEOUT.as_secs());
            Err(Problem::new(Code::BodyTimeout, detail))
        }
    }
}

/// Leaves out the byte order mark that some Windows tools write before UTF-8 (RFC 8259, 8.1 allows to ignore it).
fn without_mark(bytes: Bytes) -> Bytes {
    if bytes.starts_with(b"\xef\xbb\xbf") { bytes.slice(3..) } else { bytes }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], depth: usize) -> Result<T, Problem> {
    if is_deeper_than(bytes, depth) {
        let detail = format!("the body must have at most {depth} levels of arrays and objects");
        return Err(Problem::new(Code::TooDeep, detail));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Strict(&mut json)).and_then(|value| json.end().map(|()| value));
    value.map_err(|_| match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => field_problem::<T>(bytes),
        Err(error) => Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}")),
    })
}

/// Reads the body a second time to say which field is wrong: tracking the path costs time that a good body
/// need not pay.
fn field_problem<T: DeserializeOwned>(bytes: &[u8]) -> Problem {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let (field, text) = match serde_path_to_error::deserialize::<_, T>(Strict(&mut json)) {
        Err(error) => (error.path().to_string(), error.inner().to_string()),
        Ok(_) => (".".into(), "is not what it must be".into()),
    };
    let field = if field == "." { "body".into() } else { field };
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
    Problem::fields(Code::Invalid, vec![FieldError { field, message }])
}

/// Whether arrays and objects are nested deeper than `limit`. Looks at brackets outside of strings only, so
/// that it is right for JSON and harmless for anything else.
fn is_deeper_than(bytes: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert!(!is_deeper_than(br#"{"a":["[[[[\"[["]}"#, 2));
        assert!(is_deeper_than(b"[[[]]]", 2));
        assert!(!is_deeper_than(b"[[],[],[]]", 2));
    }
}
