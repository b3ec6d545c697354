use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::error::ErrorShape;

/// The description that is said once of all routes of a service.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// The service's name.
    pub service: &'a str,
    /// A line about it.
    pub about: &'a str,
    /// The callers of its routes. A route that names its own security has another.
    pub callers: Callers,
    /// The parameters in its paths, by name, each with its meaning.
    pub parameters: &'a [(&'a str, &'a str)],
}

/// The callers that a service lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Everybody.
    Anybody,
    /// Whoever has a user's token.
    Users,
}

/// The name of the scheme of users' tokens.
const USER: &str = "user";

impl Described<'_> {
    /// Adds to the OpenAPI document of a service's routes what is the same for all of them: the service as their tag, its
    /// form `S` of errors, the parameters in paths, `Idempotency-Key`, and the users' tokens.
    #[must_use]
    pub fn complete<S: ErrorShape>(&self, mut document: OpenApi) -> OpenApi {
        document.tags =
            Some(vec![TagBuilder::new().name(self.service).description(Some(self.about)).build()]);
        let components = document.components.get_or_insert_with(Components::new);
        components.schemas.insert(S::Form::name().into_owned(), S::Form::schema());
        let mut inner = Vec::new();
        S::Form::schemas(&mut inner);
        components.schemas.extend(inner);
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let told = "A user's token: `longhaul token --sub ada` prints one";
        let scheme = SecurityScheme::Http(scheme.description(Some(told)).build());
        components.add_security_scheme(USER, scheme);
        for (path, item) in &mut document.paths.paths {
            if let Some(post) = &mut item.post {
                post.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
            }
            for operation in operations(item) {
                self.complete_operation::<S>(path, operation);
            }
        }
        document
    }

    fn complete_operation<S: ErrorShape>(&self, path: &str, operation: &mut Operation) {
        operation.tags = Some(vec![self.service.to_owned()]);
        operation.security.get_or_insert_with(|| match self.callers {
            Callers::Anybody => vec![SecurityRequirement::default()],
            Callers::Users => vec![SecurityRequirement::new::<_, [&str; 0], &str>(USER, [])],
        });
        let parameters = operation.parameters.get_or_insert_default();
        let known: BTreeSet<String> = parameters
            .iter()
            .filter_map(|parameter| match parameter {
                RefOr::T(parameter) => Some(parameter.name.clone()),
                RefOr::Ref(_) => None,
            })
            .collect();
        let missing = names(path).filter(|name| !known.contains(*name));
        let missing: Vec<_> = missing.map(|name| RefOr::T(self.path_parameter(name))).collect();
        parameters.splice(0..0, missing);

        let other = ResponseBuilder::new().description("Any other fault").build();
        let responses = &mut operation.responses.responses;
        responses.entry("default".to_owned()).or_insert(RefOr::T(other));
        for (status, response) in responses {
            let is_fault = status.starts_with(['4', '5']) || status == "default";
            if let RefOr::T(response) = response
                && is_fault
                && response.content.is_empty()
            {
                let form = Content::new(Some(Ref::from_schema_name(S::Form::name())));
                response.content.insert("application/json".into(), RefOr::T(form));
            }
        }
    }

    fn path_parameter(&self, name: &str) -> Parameter {
        let about = self.parameters.iter().find(|(known, _)| *known == name).map(|(_, about)| *about);
        parameter(name, ParameterIn::Path, about).required(Required::True).build()
    }
}

fn idempotency_key() -> Parameter {
    let about =
        "Makes it safe to send the request again within 24 hours: the same key and body get the first answer";
    parameter("Idempotency-Key", ParameterIn::Header, Some(about)).required(Required::False).build()
}

fn parameter(name: &str, place: ParameterIn, about: Option<&str>) -> ParameterBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new().name(name).parameter_in(place).description(about).schema(Some(text))
}

/// The names of the parameters in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}
