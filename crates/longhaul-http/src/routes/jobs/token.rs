use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::found;
use crate::auth::{Caller, expiry};
use crate::extract::OptionalJson;
use crate::faults::Faults;
use crate::faults::duration;
use crate::path::JobPath;
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::time::Rfc3339;

/// The validity of a read token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReadTokenRequest)]
pub(crate) struct TokenRequest {
    /// In seconds, 1 to 86,400; an hour unless given.
    #[schema(minimum = 1.0, maximum = 86_400.0)]
    expires_in: Option<f64>,
}

/// A token that reads one job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReadToken)]
pub(crate) struct TokenBody {
    /// To be sent as a bearer token, or as `?token=`.
    token: String,
    /// The end of its validity.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Rfc3339,
}

const DEFAULT_EXPIRES_IN: f64 = 3_600.0;
const SHORTEST: f64 = 1.0;
const LONGEST: f64 = 86_400.0;

/// Makes a token that lets a browser follow this job
///
/// It reads the job and its events and nothing else.
#[utoipa::path(
    post,
    path = "/jobs/{id}/token",
    operation_id = "createReadToken",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    request_body(content = Option<TokenRequest>),
    responses(
        (status = 201, description = "The token", body = TokenBody),
        (status = 404, description = "No job of this id is known, or the server gives out no read tokens"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn sign(
    State(api): State<Api>,
    caller: Caller,
    JobPath(id): JobPath,
    OptionalJson(request): OptionalJson<TokenRequest>,
) -> Result<(StatusCode, Json<TokenBody>), Problem> {
    let Some(tokens) = &api.auth.read_tokens else {
        return Err(Problem::new(Code::ReadTokensOff, "this server gives out no read tokens"));
    };
    let mut faults = Faults::default();
    let expires_in = request.expires_in.unwrap_or(DEFAULT_EXPIRES_IN);
    if !(SHORTEST..=LONGEST).contains(&expires_in) {
        faults.add(Code::Invalid, "expires_in", format!("must be from {SHORTEST} to {LONGEST} seconds"));
    }
    let expires_in = duration("expires_in", expires_in, &mut faults).unwrap_or_default();
    faults.into_result()?;
    let job = found(api.longhaul.get(&id).await?)?;
    caller.check_read(&job)?;
    let expires_at = expiry(api.config.clock.now(), expires_in);
    let token = tokens.sign(&job, expires_at);
    let token = token.map_err(|error| Problem::internal(format!("failed to sign a read token: {error}")))?;
    Ok((StatusCode::CREATED, Json(TokenBody { token, expires_at: Rfc3339(expires_at) })))
}
