//! The OpenAPI document, made of the handlers' own annotations.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::Server;
use utoipa::openapi::{
    Components, Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::{Need, SESSION_COOKIE, need};
use crate::nearest::Near;
use crate::path::Mount;
use crate::problem::{FieldError, ProblemBody};
use crate::state::Document;

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenApi",
    tag = "about",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
pub(super) async fn answer(State(document): State<Arc<Document>>, mount: Mount) -> Response {
    let mut document = match &*document {
        Document::OfApplication(json) => {
            return ([(CONTENT_TYPE, "application/json")], json.to_string()).into_response();
        }
        Document::Own(document) => (**document).clone(),
    };
    let base = if mount.base().is_empty() { "/" } else { mount.base() };
    document.servers = Some(vec![Server::new(base)]);
    Json(document).into_response()
}

/// The OpenAPI document of an application that nests [`router`](crate::router) at `mount` (`/api`, say), has
/// [`health_router`](crate::health_router) at its root, and routes of its own, which `others` describe. All paths of the
/// answer are from the application's root, and so must those of `others` be; `base_path` is the path of the root to the
/// outside, empty where no proxy adds one. An operation of `others` that names no security is open to whoever may use the
/// jobs.
#[must_use]
pub fn document(base_path: &str, mount: &str, others: Vec<OpenApi>) -> OpenApi {
    let (_, jobs) = super::all().split_for_parts();
    let mut document = jobs;
    let own = std::mem::take(&mut document.paths.paths);
    document.paths.paths = own.into_iter().map(|(path, item)| (format!("{mount}{path}"), item)).collect();
    let (_, mut health) = super::health::documented().split_for_parts();
    add_problems(&mut health);
    document.merge(health);
    others.into_iter().for_each(|other| document.merge(other));
    for item in document.paths.paths.values_mut() {
        item.servers.iter_mut().flatten().for_each(|server| server.url.insert_str(0, base_path));
    }
    document.servers = Some(vec![Server::new(if base_path.is_empty() { "/" } else { base_path })]);
    document
}

const DESCRIPTION: &str = "Durable background jobs. Every answer that is not what was asked for is \
    `application/problem+json` (RFC 9457) with a stable `code`. Bodies are at most 1 MiB and 64 levels deep; \
    durations are in seconds, times in RFC 3339.";

pub(super) fn empty() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build();
    let info = InfoBuilder::new()
        .title("Longhaul")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license));
    OpenApiBuilder::new().info(info).build()
}

/// Adds what is the same for every operation: the problem, and the bearer token.
pub(super) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    for (name, schema) in [
        (ProblemBody::name(), ProblemBody::schema()),
        (FieldError::name(), FieldError::schema()),
        (Near::name(), Near::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let cookie =
        ApiKeyValue::with_description(SESSION_COOKIE, "The dashboard's session, by `POST /admin/login`");
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for (path, item) in &mut document.paths.paths {
        let methods = [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("PATCH", &mut item.patch),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in methods {
            let (Some(operation), need) = (operation, need(method, path)) else { continue };
            if need != Need::Nothing {
                // On an open server no token is needed.
                let scopes = [need.role().as_str()];
                operation.security = Some(vec![
                    SecurityRequirement::new("bearer", scopes),
                    SecurityRequirement::new("cookie", scopes),
                    SecurityRequirement::default(),
                ]);
            }
        }
    }
    add_problems(document);
}

fn add_problems(document: &mut OpenApi) {
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
