//! The OpenAPI document of a whole server, held together with the routers of the services, with what they answer, and
//! with the pages that show their requests.

use std::collections::{BTreeMap, BTreeSet};

use fakes::pages::{Exchange, Page};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value};

use crate::server::{Place, Server, client};

const SERVICES: [&str; 5] = ["curriculum", "github", "lessons", "materials", "sessions"];
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const PAGES: [&str; 5] = [
    include_str!("../../../../docs/services/curriculum.md"),
    include_str!("../../../../docs/services/github.md"),
    include_str!("../../../../docs/services/lessons.md"),
    include_str!("../../../../docs/services/materials.md"),
    include_str!("../../../../docs/services/sessions.md"),
];

struct Document(Value);

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    /// The service that it belongs to, or a group of the common routes.
    tag: &'a str,
    told: &'a Value,
}

impl Document {
    async fn of(server: &Server) -> Self {
        let answer = client().get(server.at("/api/openapi.json")).send().await.expect("an answer");
        Self(answer.json().await.expect("it is JSON"))
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in self.0["paths"].as_object().expect("paths") {
            for (method, told) in
                item.as_object().expect("an item").iter().filter(|(name, _)| METHODS.contains(&name.as_str()))
            {
                let tag = told["tags"][0].as_str().expect("every operation has a tag");
                operations.push(Operation { method, path, tag, told });
            }
        }
        operations
    }

    /// The schema behind a reference.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("references are local");
                self.resolve(self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere")))
            }
            None => schema,
        }
    }

    /// The parts of a value that do not fit the schema: types, members that must be there, and members that are not described.
    /// `…` in a page stands for anything.
    fn faults(&self, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        let schema = self.resolve(schema);
        if *value == "…" || schema.as_object().is_none_or(Map::is_empty) {
            return Vec::new();
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(forms) = schema[choice].as_array() {
                let all: Vec<Vec<String>> =
                    forms.iter().map(|form| self.faults(form, value, place)).collect();
                return all.into_iter().min_by_key(Vec::len).unwrap_or_default();
            }
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let fits = types.contains(&is) || (is == "integer" && types.contains(&"number"));
        if !types.is_empty() && !fits {
            return vec![format!("{place} is a {is} and not a {types:?}")];
        }
        match value {
            Value::Array(items) => {
                let each = items.iter().enumerate().filter(|(_, item)| **item != "…");
                each.flat_map(|(at, item)| self.faults(&schema["items"], item, &format!("{place}[{at}]")))
                    .collect()
            }
            Value::Object(members) => self.faults_of_members(schema, members, place),
            _ => Vec::new(),
        }
    }

    fn faults_of_members(&self, schema: &Value, members: &Map<String, Value>, place: &str) -> Vec<String> {
        let mut properties: BTreeMap<&str, &Value> = BTreeMap::new();
        let mut required: BTreeSet<&str> = BTreeSet::new();
        let mut parts = vec![schema];
        while let Some(part) = parts.pop() {
            let part = self.resolve(part);
            parts.extend(part["allOf"].as_array().into_iter().flatten());
            let own = part["properties"].as_object().into_iter().flatten();
            properties.extend(own.map(|(name, schema)| (name.as_str(), schema)));
            required.extend(part["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        }
        if properties.is_empty() {
            let each = members.iter();
            let inner = &schema["additionalProperties"];
            return each
                .flat_map(|(name, value)| self.faults(inner, value, &format!("{place}.{name}")))
                .collect();
        }
        let is_cut = members.contains_key("…");
        let mut faults: Vec<String> = required
            .iter()
            .filter(|name| !is_cut && !members.contains_key(**name))
            .map(|name| format!("{place}.{name} is missing"))
            .collect();
        for (name, value) in members.iter().filter(|(name, _)| *name != "…") {
            match properties.get(name.as_str()) {
                Some(schema) => faults.extend(self.faults(schema, value, &format!("{place}.{name}"))),
                None if schema.get("additionalProperties").is_some() => {}
                None => faults.push(format!("{place}.{name} is not described")),
            }
        }
        faults
    }

    /// The answer that an operation describes for a status.
    fn answer<'a>(&'a self, operation: &'a Operation<'_>, status: u16) -> Option<&'a Value> {
        let responses = &operation.told["responses"];
        let answer = responses.get(status.to_string());
        answer.or_else(|| (status >= 400).then(|| responses.get("default")).flatten())
    }
}

/// A path of which every parameter has some value.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_document_has_the_services_that_are_on_and_no_others() {
    let place = Place::new();
    let all = Document::of(&place.serve(&[]).await).await;
    let tags: BTreeSet<&str> = all.operations().iter().map(|operation| operation.tag).collect();
    assert!(SERVICES.iter().all(|service| tags.contains(service)), "{tags:?}");
    let ids: Vec<&str> = all.operations().iter().filter_map(|o| o.told["operationId"].as_str()).collect();
    assert_eq!(
        ids.iter().collect::<BTreeSet<_>>().len(),
        ids.len(),
        "each operation has an id of its own: {ids:?}"
    );

    let place = Place::new();
    let some = Document::of(&place.serve(&["--services", "lessons"]).await).await;
    let tags: BTreeSet<&str> = some.operations().iter().map(|operation| operation.tag).collect();
    let on: Vec<&&str> = SERVICES.iter().filter(|service| tags.contains(**service)).collect();
    assert_eq!(on, [&"lessons"]);
    assert!(tags.contains("jobs") && tags.contains("queues"), "{tags:?}");
}

/// Each is asked for with nothing that it needs: so no service lets it in, and tells so in its own form.
#[tokio::test]
async fn every_operation_is_served_as_described_and_no_other_method_is() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let (document, client) = (Document::of(&server).await, client());
    let mut faults = Vec::new();
    for (path, item) in document.0["paths"].as_object().expect("paths") {
        let tag = document.operations().iter().find(|o| o.path == path).map_or("", |o| o.tag).to_owned();
        let places = item["servers"]
            .as_array()
            .map_or(vec!["/"], |all| all.iter().filter_map(|s| s["url"].as_str()).collect());
        for base in places {
            let url = server.at(&format!("{}{}", base.trim_end_matches('/'), filled(path)));
            // What waits, streams or looks far is not asked for here.
            let is_long = path.contains("claim") || path.contains("/events") || path.contains("/turn");
            for method in METHODS.iter().filter(|_| !is_long) {
                let request =
                    client.request(method.to_uppercase().parse::<Method>().expect("a method"), &url);
                let answer = request
                    .header("content-type", "application/json")
                    .body("[]")
                    .send()
                    .await
                    .expect("an answer");
                let status = answer.status();
                let kind = answer
                    .headers()
                    .get("content-type")
                    .map(|kind| kind.to_str().unwrap_or_default().to_owned());
                let body = answer.text().await.expect("a body");
                let here = format!("{} {path} answers {status} {body}", method.to_uppercase());
                let operations = document.operations();
                let Some(operation) = operations.iter().find(|o| o.path == path && o.method == *method)
                else {
                    let is_refused = status == StatusCode::METHOD_NOT_ALLOWED || body.contains("Cannot ");
                    if !is_refused {
                        faults.push(format!("{here}, and is not described"));
                    }
                    continue;
                };
                if status == StatusCode::METHOD_NOT_ALLOWED || body.contains("no_such_route") {
                    faults.push(format!("{here}, and is described"));
                    continue;
                }
                let Some(told) = document.answer(operation, status.as_u16()) else {
                    faults.push(format!("{here}, which is not described"));
                    continue;
                };
                if status.is_client_error() {
                    let kind = kind.unwrap_or_default();
                    let form = &told["content"][kind.as_str()]["schema"];
                    match serde_json::from_str(&body) {
                        Ok(body) if !form.is_null() => faults.extend(document.faults(form, &body, &here)),
                        _ => {
                            faults.push(format!("{here} as {kind}, and {tag} describes {}", told["content"]))
                        }
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The pages' requests are sent to the services by their own tests. So what the pages show is what is answered, and the
/// document must describe it.
#[tokio::test]
async fn what_the_pages_of_the_services_show_is_what_the_document_describes() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let document = Document::of(&server).await;
    let operations = document.operations();
    let mut faults = Vec::new();
    let (mut requests, mut answers) = (0, 0);
    let pages = PAGES.iter().filter(|page| page.contains("```http\n"));
    for exchange in pages.flat_map(|page| Page::read(page).exchanges) {
        let Exchange { request, answer, .. } = &exchange;
        let target = request.target.split('?').next().unwrap_or_default();
        let Some(operation) = find(&operations, &request.method, target) else {
            faults.push(format!("{} {target} is in no path of the document", request.method));
            continue;
        };
        let here = format!("{} {target}", request.method);
        if let Some((_, query)) = request.target.split_once('?') {
            let known: BTreeSet<&str> = operation.told["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|p| p["name"].as_str())
                .collect();
            let names = query.split('&').filter_map(|pair| pair.split('=').next());
            faults.extend(
                names
                    .filter(|name| !known.contains(name))
                    .map(|name| format!("{here} has no parameter {name}")),
            );
        }
        let Some(answer) = answer else { continue };
        let status = answer.status.unwrap_or(200);
        let Some(told) = document.answer(operation, status) else {
            // A page may print the body alone, of any 2xx.
            faults.extend(answer.status.map(|status| format!("{here} describes no {status}")));
            continue;
        };
        if status < 300
            && let Ok(body) = read(&request.body)
        {
            requests += 1;
            let form = &operation.told["requestBody"]["content"]["application/json"]["schema"];
            if operation.path.contains("step10") || form.is_null() {
                faults.push(format!("{here} has a body that is not described"));
            } else {
                faults.extend(document.faults(form, &body, &format!("the body of {here}")));
            }
        }
        let form = &told["content"]["application/json"]["schema"];
        if let Ok(body) = read(&answer.body) {
            answers += 1;
            faults.extend(document.faults(form, &body, &format!("the answer of {here}")));
        }
    }
    assert!(requests > 10 && answers > 40, "{requests} requests and {answers} answers were compared");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn find<'a>(operations: &'a [Operation<'a>], method: &str, target: &str) -> Option<&'a Operation<'a>> {
    let asked: Vec<&str> = target.split('/').collect();
    let fits = |operation: &&Operation<'_>| {
        let template: Vec<&str> = operation.path.split('/').collect();
        let alike =
            template.iter().zip(&asked).all(|(wanted, part)| wanted.starts_with('{') || wanted == part);
        operation.method.eq_ignore_ascii_case(method) && template.len() == asked.len() && alike
    };
    operations.iter().filter(fits).min_by_key(|operation| operation.path.matches('{').count())
}

/// The JSON of a page, in which `…` stands for values, entries and members.
fn read(body: &str) -> Result<Value, serde_json::Error> {
    let mut json = String::new();
    let mut is_text = false;
    let mut before = ' ';
    for letter in body.chars() {
        if letter == '"' && before != '\\' {
            is_text = !is_text;
        }
        if letter == '…' && !is_text {
            let is_member = json.trim_end().ends_with(['{', ',']) && in_object(&json);
            json.push_str(if is_member { "\"…\": \"…\"" } else { "\"…\"" });
        } else {
            json.push(letter);
        }
        before = letter;
    }
    serde_json::from_str(&json)
}

/// True where the innermost bracket that is open is that of an object.
fn in_object(json: &str) -> bool {
    let mut open = Vec::new();
    let mut is_text = false;
    let mut before = ' ';
    for letter in json.chars() {
        match letter {
            '"' if before != '\\' => is_text = !is_text,
            '{' | '[' if !is_text => open.push(letter),
            '}' | ']' if !is_text => drop(open.pop()),
            _ => {}
        }
        before = letter;
    }
    open.last() == Some(&'{')
}
