//! The OpenAPI document, made of the handlers' own annotations: a route is mounted and documented by the same
//! call, so that neither exists without the other.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::Server;
use utoipa::openapi::{
    Components, Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::extract::Mount;
use crate::jobs;
use crate::problem::{FieldError, ProblemBody};
use crate::queues;
use crate::{worker, workers};

/// Every route with its documentation.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    let mut router = OpenApiRouter::with_openapi(empty())
        .routes(routes!(document))
        .merge(jobs::routes())
        .merge(queues::routes())
        .merge(workers::routes())
        .merge(worker::routes());
    complete(router.get_openapi_mut());
    router
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenApi",
    tag = "about",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
async fn document(State(api): State<Arc<Api>>, mount: Mount) -> Json<OpenApi> {
    let mut document = api.document.0.clone();
    let base = if mount.base().is_empty() { "/" } else { mount.base() };
    document.servers = Some(vec![Server::new(base)]);
    Json(document)
}

const DESCRIPTION: &str = "Durable background jobs. Every answer that is not what was asked for is \
    `application/problem+json` (RFC 9457) with a stable `code`. Bodies are at most 1 MiB and 64 levels deep; \
    durations are in seconds, times in RFC 3339.";

fn empty() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build();
    let info = InfoBuilder::new()
        .title("Longhaul")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license));
    OpenApiBuilder::new().info(info).build()
}

/// Adds what is the same for every operation: the problem, and the bearer token.
fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    for (name, schema) in
        [(ProblemBody::name(), ProblemBody::schema()), (FieldError::name(), FieldError::schema())]
    {
        components.schemas.insert(name.into_owned(), schema);
    }
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    // Either of the two: on an open server no token is needed.
    document.security = Some(vec![
        SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []),
        SecurityRequirement::default(),
    ]);
    for operation in operations(document) {
        let any = ResponseBuilder::new().description("Any other problem").build();
        operation.responses.responses.insert("default".into(), RefOr::T(any));
        for (status, response) in &mut operation.responses.responses {
            let is_problem = status.starts_with(['4', '5']) || status == "default";
            if let RefOr::T(response) = response
                && is_problem
            {
                let problem = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
                response.content.insert("application/problem+json".into(), RefOr::T(problem));
            }
        }
    }
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
            .into_iter()
            .filter_map(Option::as_mut)
    })
}
