//! All routes under one roof.

use axum::Router;
use longhaul_http::{Access, Described, HttpConfig, Secret, UnknownKinds, Verifier};
use service_support::{Auth, Deps, Role};
use tokio_util::sync::CancellationToken;

use super::access::{self, Admin};
use super::cors::Origins;
use super::dashboard;
use super::guard::{Guard, Reach};
use crate::Result;
use crate::services::Services;

/// The jobs' API under `/api`, health at the root, and the services' routes.
pub(super) fn app(
    services: &Services,
    admin: Admin,
    unknown_kinds: UnknownKinds,
    stopping: CancellationToken,
) -> Result<Router> {
    let is_open = admin == Admin::Open;
    let document = longhaul_http::document("", "/api", services.documents());
    let config = HttpConfig {
        access: match admin {
            Admin::Open => Access::Open,
            Admin::Token(token) => Access::Bearer {
                token: Secret(token.into_bytes()),
                verifier: Some(admins_of(services.deps.auth.clone())),
            },
        },
        unknown_kinds,
        worker_token: access::worker_token()?.map(|token| Secret(token.into_bytes())),
        read_token_secret: Some(Secret(services.secret()?)),
        health: services.details(),
        stopping,
        document: Some(Described(document.into())),
        ..HttpConfig::default()
    };
    let longhaul = services.deps.longhaul.clone();
    let jobs = longhaul_http::router(longhaul.clone(), config.clone());
    let origins = Origins::from_env(&services.deps.env)?;
    let guard = listens_locally(&services.deps)
        .then(|| Guard { proxies: services.deps.config.trusted_proxies.clone(), origins: origins.clone() });
    let guarded = |routes, reach| match &guard {
        Some(guard) => guard.around(routes, reach),
        None => routes,
    };
    let reach = if is_open { Reach::OpenAdmin } else { Reach::Services };
    let admin = guarded(origins.around(Router::new().nest("/api", jobs)), reach);
    let others =
        longhaul_http::health_router(longhaul, config).merge(services.routes()).merge(dashboard::routes());
    Ok(admin.merge(guarded(origins.around(others), Reach::Services)))
}

fn listens_locally(deps: &Deps) -> bool {
    deps.listener.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// Lets in whoever has a user's token that says admin: `longhaul token --admin`.
fn admins_of(auth: Auth) -> Verifier {
    Verifier::new(move |token| {
        let user = auth.verify(token).ok()?;
        (user.role == Role::Admin).then_some(user.sub)
    })
}
