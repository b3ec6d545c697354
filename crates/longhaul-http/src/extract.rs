//! Extractors whose every refusal is a problem.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use longhaul::{JsonBreach, JsonRule, MAX_JSON_DEPTH, check_json_within};
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};

use crate::problem::{Code, FieldError, Problem};
use crate::strict;
use crate::wire::MAX_WORKER_BODY_BYTES;

/// The most bytes that a request's body may have.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The levels of a body around JSON that is kept: a list, and a request in it. What is kept is checked by itself.
const AROUND: usize = 2;
/// The longest that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body of at most `MOST` bytes, with the bytes that it was read from.
#[derive(Debug)]
pub(crate) struct JsonBody<T, const MOST: usize = MAX_BODY_BYTES> {
    pub(crate) value: T,
    pub(crate) bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync, const MOST: usize> FromRequest<S> for JsonBody<T, MOST> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        let bytes = read(request, MOST).await?;
        Ok(Self { value: parse(&bytes)?, bytes })
    }
}

/// The body of a remote worker's request. It may be larger than others, and what jobs return is not checked here: a run
/// whose result cannot be kept ends with that reason, and the other runs of the request go on.
#[derive(Debug)]
pub(crate) struct WorkerJson<T>(pub(crate) T, pub(crate) BodyDigest);

/// The digest of a body.
pub(crate) type BodyDigest = [u8; 32];

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for WorkerJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        let bytes = read(request, MAX_WORKER_BODY_BYTES).await?;
        let digest = Sha256::digest(&bytes).into();
        strict::read(&bytes)
            .map(|value| Self(value, digest))
            .map_err(|fault| grammar(&bytes).err().unwrap_or_else(|| field_problem(fault)))
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
        parse::<Option<T>>(&bytes).map(|value| Self(value.unwrap_or_default()))
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
    if let Some(coding) = request.headers().get(CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Problem::encoded(&String::from_utf8_lossy(coding.as_bytes())));
    }
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

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let read = strict::read(bytes);
    if read.is_err() {
        grammar(bytes)?;
    }
    // What is JSON is UTF-8.
    if let Err(breach) = check_json_within(&String::from_utf8_lossy(bytes), MAX_JSON_DEPTH + AROUND) {
        return Err(breached(breach));
    }
    read.map_err(field_problem)
}

fn grammar(bytes: &[u8]) -> Result<(), Problem> {
    let fault = match (serde_json::from_slice::<IgnoredAny>(bytes), std::str::from_utf8(bytes)) {
        (_, Err(_)) if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") => {
            "it begins with the byte order mark of UTF-16; send UTF-8".to_owned()
        }
        (_, Err(_)) => "it is not UTF-8".to_owned(),
        (Err(error), Ok(_)) => error.to_string(),
        (Ok(_), Ok(_)) => return Ok(()),
    };
    Err(Problem::new(Code::MalformedJson, format!("the body is not JSON: {fault}")))
}

fn breached(JsonBreach { rule, place }: JsonBreach) -> Problem {
    let field = match place.trim_matches('.') {
        "" => "body".to_owned(),
        place => place.to_owned(),
    };
    let code = if rule == JsonRule::Depth { Code::TooDeep } else { Code::Invalid };
    Problem::fields(code, vec![FieldError { field, message: rule.to_string() }])
}

fn field_problem((path, error): (String, serde_json::Error)) -> Problem {
    let field = if path == "." { "body".into() } else { path };
    Problem::fields(Code::Invalid, vec![FieldError { field, message: strict::words(&error) }])
}
