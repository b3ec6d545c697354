//! All routes under one roof.

use std::path::PathBuf;

use axum::Router;
use longhaul::Timestamp;
use longhaul_http::{
    Access, Described, HttpConfig, Identity, Redaction, Role, Secret, UnknownKinds, Verifier,
};
use longhaul_sqlite::Durability;
use service_support::{Auth, Claims, Deps};
use tokio_util::sync::CancellationToken;

use super::access::{self, Admin};
use super::arrival::{self, BasePath};
use super::cors::Origins;
use super::dashboard;
use super::guard::{Guard, Reach};
use super::sign_on::SignOn;
use crate::Result;
use crate::pages::{self, About, ServiceAbout};
use crate::services::Services;

/// The routes of the pages, with what they show.
pub(super) struct Shown {
    /// The kind of store that has the jobs.
    pub(super) store: &'static str,
    /// The durability of answered writes, if this process chooses it.
    pub(super) durability: Option<Durability>,
    /// True if jobs run in this process, too.
    pub(super) works: bool,
    /// The folder of the built guide, where one is named.
    pub(super) guide: Option<PathBuf>,
    pub(super) base_path: BasePath,
    /// Recognises users of an external sign-on, if that is configured.
    pub(super) sign_on: Option<SignOn>,
}

/// The jobs' API under `/api`, health at the root, and the services' routes.
pub(super) fn app(
    services: &Services,
    redaction: Redaction,
    admin: Admin,
    unknown_kinds: UnknownKinds,
    shown: Shown,
    stopping: CancellationToken,
) -> Result<Router> {
    let Shown { store, durability, works, guide, base_path, sign_on } = shown;
    let mut details = services.details();
    details.extend(durability.map(|durability| ("durability".to_owned(), durability.to_string())));
    let is_open = admin == Admin::Open;
    let document = longhaul_http::document(&base_path.to_string(), "/api", services.documents());
    let (described, about_services) = (Described::of(&document), ServiceAbout::all(&document));
    drop(document);
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
        health: details.clone(),
        stopping,
        document: Some(described.clone()),
        pages: vec!["/", "/admin", "/admin/jobs", "/admin/queues", "/docs", "/api/reference"],
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
    let login = longhaul_http::login_router(&longhaul, config.clone());
    let others = longhaul_http::health_router(longhaul, config.clone())
        .merge(longhaul_http::traced(services.routes()));
    // The pages of other sites neither sign in nor look.
    let about = About {
        base_path: base_path.to_string(),
        store,
        works,
        services: about_services,
        systems: details.into_iter().collect(),
    };
    let shown = Router::new()
        .nest("/admin", login)
        .merge(dashboard::routes())
        .merge(pages::home_routes(about))
        .merge(pages::reference_routes(described.json))
        .merge(pages::guide_routes(pages::find(guide), base_path.to_string()));
    let shown = longhaul_http::pages(shown, &config);
    let routes =
        admin.merge(guarded(origins.around(others), Reach::Services)).merge(guarded(shown, Reach::Services));
    let routes = pages::for_browsers(routes, base_path.to_string());
    let routes = match sign_on {
        Some(sign_on) => sign_on.around(routes),
        None => routes,
    };
    Ok(arrival::around(routes, base_path, services.deps.config.trusted_proxies.clone()))
}

fn listens_locally(deps: &Deps) -> bool {
    deps.listener.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// Admits users' tokens with a role: `longhaul token --role viewer`.
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
