use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul::{EnqueueStatus, Enqueued, Full};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Role;
use crate::nearest::Near;

/// An answer that is not what was asked for, in the form of RFC 9457.
///
/// It travels through the response's extensions and is written by the frame around the router, which knows
/// the request's id.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    /// The operations that are served under paths like that of the request.
    pub(crate) nearest: Vec<Near>,
    /// The role that the caller lacks.
    pub(crate) needs: Option<Role>,
    /// A header of the answer: where what stands in the way is found, or when to ask again.
    pub(crate) header: Option<Box<(HeaderName, HeaderValue)>>,
    /// The cause, for the log only.
    pub(crate) cause: Option<String>,
}

/// The stable name of a problem. Clients branch on it, so a name that has been released does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    MalformedJson,
    IncompleteBody,
    InvalidPath,
    InvalidHeader,
    Unauthorized,
    InvalidToken,
    Forbidden,
    CrossSite,
    NoSuchRoute,
    NoSuchJob,
    NoSuchQueue,
    NoSuchSchedule,
    NoSuchStep,
    NoSuchToken,
    NoSuchDelivery,
    NoSuchSecret,
    ReadTokensOff,
    MethodNotAllowed,
    BodyTimeout,
    NotFinished,
    Ended,
    StepsForgotten,
    UniqueKeyHeld,
    Duplicate,
    NothingToDeliver,
    TooManySecrets,
    TooManyTokens,
    QueueFull,
    IdempotencyKeyInUse,
    JobGone,
    AnswerGone,
    BodyTooLarge,
    UnsupportedMediaType,
    TooDeep,
    Invalid,
    UnknownKind,
    IdempotencyKeyReused,
    Internal,
    Unavailable,
    StoreFull,
    StoreBroken,
    TooManyLogins,
    RateLimited,
    UpgradeRequired,
}

impl Code {
    /// The name and the status that it comes with.
    pub(crate) const fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Code::MalformedJson => ("malformed_json", StatusCode::BAD_REQUEST),
            Code::IncompleteBody => ("incomplete_body", StatusCode::BAD_REQUEST),
            Code::InvalidPath => ("invalid_path", StatusCode::BAD_REQUEST),
            Code::InvalidHeader => ("invalid_header", StatusCode::BAD_REQUEST),
            Code::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Code::InvalidToken => ("invalid_token", StatusCode::UNAUTHORIZED),
            Code::Forbidden => ("forbidden", StatusCode::FORBIDDEN),
            Code::CrossSite => ("cross_site", StatusCode::FORBIDDEN),
            Code::NoSuchRoute => ("no_such_route", StatusCode::NOT_FOUND),
            Code::NoSuchJob => ("no_such_job", StatusCode::NOT_FOUND),
            Code::NoSuchQueue => ("no_such_queue", StatusCode::NOT_FOUND),
            Code::NoSuchSchedule => ("no_such_schedule", StatusCode::NOT_FOUND),
            Code::NoSuchStep => ("no_such_step", StatusCode::NOT_FOUND),
            Code::NoSuchToken => ("no_such_token", StatusCode::NOT_FOUND),
            Code::NoSuchDelivery => ("no_such_delivery", StatusCode::NOT_FOUND),
            Code::NoSuchSecret => ("no_such_secret", StatusCode::NOT_FOUND),
            Code::ReadTokensOff => ("read_tokens_off", StatusCode::NOT_FOUND),
            Code::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Code::BodyTimeout => ("body_timeout", StatusCode::REQUEST_TIMEOUT),
            Code::NotFinished => ("not_finished", StatusCode::CONFLICT),
            Code::Ended => ("ended", StatusCode::CONFLICT),
            Code::StepsForgotten => ("steps_forgotten", StatusCode::CONFLICT),
            Code::UniqueKeyHeld => ("unique_key_held", StatusCode::CONFLICT),
            Code::Duplicate => ("duplicate", StatusCode::CONFLICT),
            Code::NothingToDeliver => ("nothing_to_deliver", StatusCode::CONFLICT),
            Code::TooManySecrets => ("too_many_secrets", StatusCode::CONFLICT),
            Code::TooManyTokens => ("too_many_tokens", StatusCode::CONFLICT),
            Code::QueueFull => ("queue_full", StatusCode::TOO_MANY_REQUESTS),
            Code::IdempotencyKeyInUse => ("idempotency_key_in_use", StatusCode::CONFLICT),
            Code::JobGone => ("job_gone", StatusCode::GONE),
            Code::AnswerGone => ("answer_gone", StatusCode::GONE),
            Code::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Code::UnsupportedMediaType => ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Code::TooDeep => ("too_deep", StatusCode::UNPROCESSABLE_ENTITY),
            Code::Invalid => ("invalid", StatusCode::UNPROCESSABLE_ENTITY),
            Code::UnknownKind => ("unknown_kind", StatusCode::UNPROCESSABLE_ENTITY),
            Code::IdempotencyKeyReused => ("idempotency_key_reused", StatusCode::UNPROCESSABLE_ENTITY),
            Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
            Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Code::StoreFull => ("store_full", StatusCode::SERVICE_UNAVAILABLE),
            Code::StoreBroken => ("store_broken", StatusCode::SERVICE_UNAVAILABLE),
            Code::UpgradeRequired => ("upgrade_required", StatusCode::UPGRADE_REQUIRED),
            Code::TooManyLogins => ("too_many_logins", StatusCode::TOO_MANY_REQUESTS),
            Code::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
        }
    }
}

/// One field of a request that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field, with dots between levels and brackets around indices: `[3].unique.key`.
    #[schema(example = "max_attempts")]
    pub(crate) field: String,
    /// The rule that it breaks.
    #[schema(example = "must be from 1 to 1000")]
    pub(crate) message: String,
}

/// The body of every answer that is not what was asked for (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Always `about:blank`: the status says the sort of problem, `code` the problem.
    #[schema(example = "about:blank")]
    r#type: &'a str,
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    title: &'a str,
    /// The status.
    #[schema(example = 422)]
    status: u16,
    /// The fault of this request, for people. For a 5xx it says nothing of the cause.
    detail: &'a str,
    /// A stable name, for programs.
    #[schema(example = "invalid")]
    code: &'a str,
    /// The fields that are not as they must be.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    /// The operations that are served under paths like that of the request, the likest first, where nothing is served under it.
    #[serde(skip_serializing_if = "<[Near]>::is_empty")]
    nearest: &'a [Near],
    /// With a 403: the role that is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<Role>,
    /// Finds the request in the server's log; also in the header `x-request-id`.
    request_id: &'a str,
}

/// The `Retry-After` of an unavailable store, in seconds: random, so that callers do not all come back to a restarted
/// store at once.
const UNAVAILABLE_RETRY_AFTER: RangeInclusive<u64> = 2..=6;
/// About the time until the first request with an idempotency key has been answered, in seconds.
const IN_USE_RETRY_AFTER: &str = "1";

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            nearest: Vec::new(),
            needs: None,
            header: None,
            cause: None,
        }
    }

    /// A job whose unique key another holds, which is found at `location`.
    pub(crate) fn duplicate(holder: &str, location: &str) -> Self {
        let detail = format!("job {holder} holds the unique key; nothing was created");
        let header = HeaderValue::from_str(location).ok().map(|location| Box::new((LOCATION, location)));
        Self { header, ..Self::new(Code::Duplicate, detail) }
    }

    /// The same of a job that was to follow the holder.
    pub(crate) fn not_to_be_followed(holder: &str, location: &str) -> Self {
        let detail = format!(
            "job {holder} holds the unique key and cannot be followed: it is an ancestor, which may wait for this job, or it waits and is of \
             another kind; nothing was created"
        );
        Self { detail, ..Self::duplicate(holder, location) }
    }

    /// A body in a coding, of which none is taken.
    pub(crate) fn encoded(coding: &str) -> Self {
        let detail = format!("the body must be sent as it is, without 'content-encoding: {coding}'");
        // RFC 9110, 15.5.16: it tells that from a wrong content type.
        let header = Some(Box::new((ACCEPT_ENCODING, HeaderValue::from_static("identity"))));
        Self { header, ..Self::new(Code::UnsupportedMediaType, detail) }
    }

    /// A job that another caller's stands for, which is not shown.
    pub(crate) fn standing_for(enqueued: &Enqueued) -> Self {
        let done = match enqueued.status {
            EnqueueStatus::Replaced => "and has taken on what was asked for",
            _ => "and nothing was created",
        };
        let detail =
            format!("job {}, which was not enqueued with this token, stands for it, {done}", enqueued.id);
        Self::new(Code::Duplicate, detail)
    }

    /// A job that found no room among those that wait.
    pub(crate) fn full(full: &Full, retry_after: u64) -> Self {
        let detail = match full {
            Full::Queue(queue) => format!("as many jobs wait in queue {queue} as may; nothing was created"),
            Full::Key(key) => format!("as many jobs of limit key {key} wait as may; nothing was created"),
        };
        let header = Some(Box::new((RETRY_AFTER, retry_after.into())));
        Self { header, ..Self::new(Code::QueueFull, detail) }
    }

    /// A request with fields that are not as they must be.
    pub(crate) fn fields(code: Code, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [error] => format!("{}: {}", error.field, error.message),
            errors => format!("{} fields are not as they must be", errors.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// A fault of the server, whose cause is written to the log only.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let detail = "the server failed to answer; its log has the cause under this request_id";
        Self { cause: Some(cause.into()), ..Self::new(Code::Internal, detail) }
    }

    /// A token that has made as many requests as it may, for so many seconds.
    pub(crate) fn too_many(retry_after: u64) -> Self {
        let detail = format!("the token has made as many requests as it may; go on in {retry_after} s");
        let header = Some(Box::new((RETRY_AFTER, retry_after.into())));
        Self { header, ..Self::new(Code::RateLimited, detail) }
    }

    /// A caller whose role is not enough.
    pub(crate) fn too_little(needed: Role, has: Option<Role>) -> Self {
        let detail = match has {
            Some(has) => format!(
                "this needs the role {needed}, and the token's is {has}; use one of 'longhaul token --role {needed}'"
            ),
            None => format!(
                "this needs the role {needed}, and the token's scopes neither name a role nor open it; use one of 'longhaul token \
                 --role {needed}', or make one with the scope with 'longhaul tokens create'"
            ),
        };
        Self { needs: Some(needed), ..Self::new(Code::Forbidden, detail) }
    }

    /// Writes the answer. Headers that the response already has are kept (`Allow`, say).
    pub(crate) fn render(&self, request_id: &str, response: &mut Response) {
        let (code, status) = self.code.parts();
        let body = ProblemBody {
            errors: &self.errors,
            nearest: &self.nearest,
            needs: self.needs,
            ..ProblemBody::new(status, code, &self.detail, request_id)
        };
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(body.to_vec());
    }
}

impl<'a> ProblemBody<'a> {
    /// A problem that is told by its code and its words alone.
    pub(crate) fn new(status: StatusCode, code: &'a str, detail: &'a str, request_id: &'a str) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            code,
            errors: &[],
            nearest: &[],
            needs: None,
            request_id,
        }
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        // Strings and numbers always have a JSON form; an empty body is the worst that could come of it.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The type of a problem's body.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.parts().1.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some((name, value)) = self.header.as_deref() {
            headers.insert(name.clone(), value.clone());
        }
        match self.code {
            Code::Unauthorized => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Code::InvalidToken => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
            }
            Code::Unavailable | Code::StoreFull | Code::StoreBroken => {
                headers.insert(RETRY_AFTER, rand::random_range(UNAVAILABLE_RETRY_AFTER).into())
            }
            // RFC 9110, 15.5.22.
            Code::UpgradeRequired => headers.insert(UPGRADE, HeaderValue::from_static("websocket")),
            Code::IdempotencyKeyInUse => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(IN_USE_RETRY_AFTER))
            }
            Code::Forbidden => self.needs.and_then(|role| {
                // RFC 6750, 3.1.
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{role}\"");
                headers.insert(WWW_AUTHENTICATE, HeaderValue::try_from(challenge).ok()?)
            }),
            _ => None,
        };
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<longhaul::Error> for Problem {
    fn from(error: longhaul::Error) -> Self {
        match error {
            longhaul::Error::Invalid { field, reason } => {
                Problem::fields(Code::Invalid, vec![FieldError { field, message: reason }])
            }
            error => {
                let (code, detail) = match &error {
                    longhaul::Error::Unavailable { .. } => (
                        Code::Unavailable,
                        "the job store cannot be reached at the moment; whether the request had any effect is not known",
                    ),
                    longhaul::Error::Full { .. } => (
                        Code::StoreFull,
                        "the job store has no room left; nothing was kept. Free space on its disk, or give it more; it \
                         goes on by itself",
                    ),
                    longhaul::Error::Broken { .. } => (
                        Code::StoreBroken,
                        "the job store cannot be written to; nothing was kept. See whether its folder is there and \
                         writable, and start the server again if it was replaced",
                    ),
                    _ => return Problem::internal(error.to_string()),
                };
                Self { cause: Some(error.to_string()), ..Self::new(code, detail) }
            }
        }
    }
}
