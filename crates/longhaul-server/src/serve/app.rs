//! All routes under one roof.

use axum::Router;
use longhaul::Timestamp;
use longhaul_http::{Access, HttpConfig, Identity, Redaction, Role, Secret, UnknownKinds, Verifier};
use service_support::{Auth, Claims, Deps};
use tokio_util::sync::CancellationToken;

use super::access::{self, Admin};
use super::arrival::{self, BasePath};
use super::cors::Origins;
use super::dashboard;
use super::guard::{Guard, Reach};
use crate::Result;
use crate::services::Services;

/// The jobs' API under `/api`, health at the root, and the services' routes.
pub(super) fn app(
    services: &Services,
    redaction: Redaction,
    admin: Admin,
    unknown_kinds: UnknownKinds,
    base_path: BasePath,
    stopping: CancellationToken,
) -> Result<Router> {
    let is_open = admin == Admin::Open;
    let origins = Origins::from_env(&services.deps.env)?;
    let config = HttpConfig {
        redaction,
        base_path: base_path.to_string(),
        origins: origins.words(),
        access: match admin {
            Admin::Open => Access::Open,
            Admin::Token(token) => Access::Bearer {
                token: Secret(token.into_bytes()),
                verifier: Some(holders_of(services.deps.auth.clone())),
            },
        },
        unknown_kinds,
        worker_token: access::worker_token()?.map(|token| Secret(token.into_bytes())),
        read_token_secret: Some(Secret(services.secret()?)),
        health: services.details(),
        stopping,
        ..HttpConfig::default()
    };
    let longhaul = services.deps.longhaul.clone();
    let jobs = longhaul_http::router(longhaul.clone(), config.clone());
    let guard = listens_locally(&services.deps)
        .then(|| Guard { proxies: services.deps.config.trusted_proxies.clone(), origins: origins.clone() });
    let guarded = |routes, reach| match &guard {
        Some(guard) => guard.around(routes, reach),
        None => routes,
    };
    let reach = if is_open { Reach::OpenAdmin } else { Reach::Services };
    let admin = guarded(origins.around(Router::new().nest("/api", jobs)), reach);
    let others = longhaul_http::health_router(longhaul, config.clone()).merge(services.routes());
    // The pages of other sites neither sign in nor look.
    let pages = Router::new().nest("/admin", longhaul_http::login_router(config)).merge(dashboard::routes());
    let routes =
        admin.merge(guarded(origins.around(others), Reach::Services)).merge(guarded(pages, Reach::Services));
    Ok(arrival::around(routes, base_path, services.deps.config.trusted_proxies.clone()))
}

fn listens_locally(deps: &Deps) -> bool {
    deps.listener.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// Lets in whoever has a user's token that gives a role: `longhaul token --role viewer`.
fn holders_of(auth: Auth) -> Verifier {
    Verifier::new(move |token| {
        let Claims { sub, name, exp, role, .. } = auth.claims(token).ok()?;
        let role = match role {
            service_support::Role::User => return None,
            service_support::Role::Viewer => Role::Viewer,
            service_support::Role::Operator => Role::Operator,
            service_support::Role::Admin => Role::Admin,
        };
        Some(Identity { subject: sub, name, role, expires_at: Some(Timestamp(exp.saturating_mul(1_000))) })
    })
}
