use std::sync::Arc;

use axum::extract::{Path, Query, Request};
use axum::http::header::{CONTENT_TYPE, LOCATION, USER_AGENT};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Desk;
use crate::fault::Incomplete;

/// Wikipedia's Action API, as far as it searches, and the summaries of its REST API. There is an article for whatever
/// is searched, made up by rule from its title, with these exceptions: a search or a title with a word that begins with
/// `zzz` finds nothing, the article called `Mercury` only lists what else is called so, and a title that ends in
/// `(old name)` leads to the one without. The same stands under `/wikipedia/{language}`, as one wiki for each language.
pub(crate) fn routes() -> Router<Arc<Desk>> {
    let wiki = || {
        Router::new()
            .route("/w/api.php", get(action))
            .route("/api/rest_v1/page/summary/{title}", get(summary))
    };
    wiki().nest("/wikipedia/{language}", wiki()).layer(from_fn(require_agent))
}

/// Results of a search that names no number.
const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 500;
/// Titles of related articles, as an encyclopedia has them.
const RELATED: [&str; 9] = [
    "History of @",
    "Theory of @",
    "List of @",
    "Glossary of @",
    "Outline of @",
    "@ in education",
    "Philosophy of @",
    "Applications of @",
    "Index of @",
];
/// Articles that are not made up, and the words that find them.
const KNOWN: [(&str, &[&str]); 2] =
    [("English verbs", &["english", "verbs"]), ("Photosynthesis", &["photosynthesis"])];
const MEDIAWIKI_API_ERROR: HeaderName = HeaderName::from_static("mediawiki-api-error");

/// Wikimedia refuses clients without a name and a contact.
async fn require_agent(request: Request, next: Next) -> Response {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    if !agent.contains("http") && !agent.contains('@') {
        let told = "Please set a user-agent and respect our robot policy https://w.wiki/4wJS.\n";
        return (StatusCode::FORBIDDEN, [(CONTENT_TYPE, "text/plain")], told).into_response();
    }
    next.run(request).await
}

#[derive(Deserialize)]
struct Action {
    action: Option<String>,
    list: Option<String>,
    srsearch: Option<String>,
    srlimit: Option<String>,
    sroffset: Option<String>,
    format: Option<String>,
}

async fn action(Query(query): Query<Action>, incomplete: Option<axum::Extension<Incomplete>>) -> Response {
    if query.format.as_deref() != Some("json") {
        let page = "<!DOCTYPE html><html><body><h1>MediaWiki API result</h1></body></html>";
        return ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    }
    match (query.action.as_deref(), query.list.as_deref()) {
        (Some("query"), Some("search")) => {}
        (Some("query"), None) => return Json(json!({ "batchcomplete": "" })).into_response(),
        (Some("query"), Some(_)) => return refuse("badvalue", "Unrecognized value for parameter \"list\"."),
        _ => return refuse("badvalue", "Unrecognized value for parameter \"action\"."),
    }
    let Some(search) = query.srsearch.filter(|search| !search.trim().is_empty()) else {
        return refuse("missingparam", "The \"srsearch\" parameter must be set.");
    };
    if search.len() > 300 {
        return refuse("search-error", "Search request is longer than the maximum allowed length.");
    }
    let number = |text: Option<String>, default: usize| text.map_or(Some(default), |text| text.parse().ok());
    let (Some(limit), Some(offset)) = (number(query.srlimit, DEFAULT_LIMIT), number(query.sroffset, 0))
    else {
        return refuse("badinteger", "Invalid value for integer parameter \"srlimit\".");
    };
    let titles = titles(&search);
    let total = titles.len();
    let found: Vec<Value> = titles
        .iter()
        .skip(offset)
        .take(limit.clamp(1, MAX_LIMIT))
        .map(|title| {
            let text = extract(title);
            json!({
                "ns": 0, "title": title, "pageid": page_id(title), "size": text.len(),
                "wordcount": text.split_whitespace().count(), "snippet": snippet(title, &text),
                "timestamp": "2025-05-29T14:55:20Z",
            })
        })
        .collect();
    let next = offset + found.len();
    let mut answer = json!({
        "batchcomplete": "",
        "query": { "searchinfo": { "totalhits": total }, "search": found },
    });
    if next < total {
        answer["continue"] = json!({ "sroffset": next, "continue": "-||" });
    }
    if incomplete.is_some() {
        answer["query"].as_object_mut().map(|query| query.remove("search"));
    }
    Json(answer).into_response()
}

/// The Action API says 200 to what it refuses.
fn refuse(code: &'static str, info: &str) -> Response {
    let error = json!({ "error": { "code": code, "info": info, "*": "See /w/api.php for API usage." } });
    ([(MEDIAWIKI_API_ERROR, HeaderValue::from_static(code))], Json(error)).into_response()
}

/// The parts of the path: a title, and a language where it has one.
#[derive(Deserialize)]
struct Page {
    title: String,
}

async fn summary(Path(page): Path<Page>, incomplete: Option<axum::Extension<Incomplete>>) -> Response {
    let title = capitalized(page.title.replace('_', " ").trim());
    if let Some(name) = title.strip_suffix(" (old name)") {
        let there = [(LOCATION, name.replace(' ', "_"))];
        return (StatusCode::FOUND, there).into_response();
    }
    if is_missing(&title) || title.is_empty() {
        let uri = format!("/en.wikipedia.org/v1/page/summary/{}", title.replace(' ', "_"));
        let body = json!({
            "type": "https://mediawiki.org/wiki/HyperSwitch/errors/not_found", "title": "Not found.",
            "method": "get", "detail": "Page or revision not found.", "uri": uri,
        });
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        return (StatusCode::NOT_FOUND, kind, body.to_string()).into_response();
    }
    let canonical = title.replace(' ', "_");
    let (extract, is_standard) = (extract(&title), !lists_meanings(&title));
    let page = |host: &str| {
        let page = format!("https://{host}.wikipedia.org/wiki/{canonical}");
        json!({
            "page": page, "revisions": format!("{page}?action=history"), "edit": format!("{page}?action=edit"),
            "talk": format!("https://{host}.wikipedia.org/wiki/Talk:{canonical}"),
        })
    };
    let display = format!("<span class=\"mw-page-title-main\">{title}</span>");
    let mut body = json!({
        "type": if is_standard { "standard" } else { "disambiguation" },
        "title": title, "displaytitle": display,
        "namespace": { "id": 0, "text": "" },
        "titles": { "canonical": canonical, "normalized": title, "display": display },
        "pageid": page_id(&title), "lang": "en", "dir": "ltr", "revision": "1292000000",
        "tid": "6f2a5a10-3c9b-11f0-8000-000000000000", "timestamp": "2025-05-29T14:55:20Z",
        "description": if is_standard { "Article of a stand-in encyclopedia" } else {
            "Topics referred to by the same term"
        },
        "description_source": "local",
        "content_urls": { "desktop": page("en"), "mobile": page("en.m") },
        "extract": extract, "extract_html": format!("<p>{extract}</p>"),
    });
    if is_standard {
        let file = "https://upload.wikimedia.org/wikipedia/commons";
        let picture =
            |source: String, width: u32| json!({ "source": source, "width": width, "height": width });
        body["thumbnail"] = picture(format!("{file}/thumb/{canonical}.png/320px-{canonical}.png"), 320);
        body["originalimage"] = picture(format!("{file}/{canonical}.png"), 1_200);
    }
    if incomplete.is_some() {
        body.as_object_mut().map(|body| body.remove("title"));
    }
    Json(body).into_response()
}

/// The titles that a search finds, best first.
fn titles(search: &str) -> Vec<String> {
    if is_missing(search) {
        return Vec::new();
    }
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    let is_of = |needed: &[&str]| needed.iter().all(|needed| words.iter().any(|word| word == needed));
    let best = match KNOWN.iter().find(|(_, needed)| is_of(needed)) {
        Some((title, _)) => (*title).to_owned(),
        // The first of several words is likely to say of what sort the others are.
        None => capitalized(&words[usize::from(words.len() > 1)..].join(" ")),
    };
    let related: Vec<String> = RELATED.iter().map(|name| capitalized(&name.replace('@', &best))).collect();
    std::iter::once(best).chain(related).collect()
}

fn is_missing(text: &str) -> bool {
    text.to_lowercase().split_whitespace().any(|word| word.starts_with("zzz"))
}

fn lists_meanings(title: &str) -> bool {
    title == "Mercury" || title.ends_with("(disambiguation)")
}

/// The beginning of an article.
fn extract(title: &str) -> String {
    match title {
        _ if lists_meanings(title) => format!("{title} most commonly refers to:"),
        "English verbs" => "Verbs constitute one of the main parts of speech in the English language. Most of them are \
            regular: the past tense and the past participle are formed with the ending -ed, as in play, played. About \
            two hundred are irregular, such as go, went, gone. Auxiliary verbs like be, have and do help to form \
            questions, negations and the compound tenses. Modal auxiliaries such as can and must express possibility \
            or obligation, and take no ending in the third person. English expresses aspect, simple, progressive or \
            perfect, by combining auxiliaries with participles."
            .into(),
        "Photosynthesis" => "Photosynthesis is the process by which plants, algae and some \
            bacteria convert light into chemical energy. The pigment chlorophyll, held in chloroplasts, absorbs mainly \
            red and blue light. In the light-dependent reactions water is split, and oxygen is set free. The energy \
            gained is stored in ATP and NADPH. In the Calvin cycle these build carbon dioxide into sugars such as \
            glucose. Nearly all the oxygen of the atmosphere comes from photosynthesis."
            .into(),
        _ => format!(
            "{title} is the subject of this article, which a stand-in encyclopedia made up by rule. Scholars describe \
             {title} by its structure, its origin and its use. The structure follows from a few principles, each of \
             which can be observed in examples. Its origin is disputed: early sources mention similar practices, while \
             later ones give another account. In use, the principles are combined, and the examples show where they \
             reach their limits."
        ),
    }
}

/// The beginning, with what was found marked as MediaWiki marks it.
fn snippet(title: &str, text: &str) -> String {
    let beginning: String = text.chars().take(150).collect();
    let escaped = beginning.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let word = title.split_whitespace().next_back().unwrap_or(title);
    escaped.replacen(word, &format!("<span class=\"searchmatch\">{word}</span>"), 1)
}

fn page_id(title: &str) -> u64 {
    title.bytes().fold(7, |id: u64, byte| (id * 131 + u64::from(byte)) % 79_999_999)
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
