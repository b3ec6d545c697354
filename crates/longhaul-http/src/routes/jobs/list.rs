use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use longhaul::access::CREATED_BY;
use longhaul::{JobFilter, JobPage, Longhaul, Page, Payloads};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::JobBody;
use super::filter::{bound, id, short, state, word};
use crate::auth::Caller;
use crate::faults::Faults;
use crate::path::Mount;
use crate::problem::{Code, Problem};
use crate::query;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 100;

/// Part of a list of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobPage)]
pub(crate) struct PageBody<'a> {
    /// The jobs, newest first. A page may be short, even empty, and yet not be the last.
    jobs: Vec<JobBody<'a>>,
    /// The cursor of the next page; null after the last.
    #[schema(required)]
    next: Option<&'a str>,
    /// The part of the jobs that was looked at for this page.
    searched: Searched,
}

/// The bound of a search: a page looks at a bounded number of jobs, fitting or not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Searched {
    /// The jobs that were looked at for this page.
    jobs: u64,
    /// True where no older job is left to be looked at; false where the next page goes on.
    complete: bool,
}

/// Lists jobs
///
/// Newest first, by keyset: pages neither overlap nor skip while jobs come and go. Args and outputs of more than 1 KiB
/// are left out: they are null, and `args_cut` or `output_cut` is true. A parameter without a value fits no job. A token whose scope
/// is `read:own` is shown the jobs that were enqueued with it.
#[utoipa::path(
    get,
    path = "/jobs",
    operation_id = "listJobs",
    tag = "jobs",
    params(
        ("state" = Option<Vec<String>>, Query, description = "In any of these states"),
        ("kind" = Option<Vec<String>>, Query, description = "Of any of these kinds"),
        ("queue" = Option<Vec<String>>, Query, description = "In any of these queues"),
        ("parent" = Option<Vec<String>>, Query, description = "That belong to any of these jobs"),
        ("label" = Option<Vec<String>>, Query, description = "With all of these labels, each as `name:value`"),
        ("created_by" = Option<String>, Query, description = "Enqueued with the token of this id"),
        ("q" = Option<String>, Query, description = "That fit all of these words: `queue:` `kind:` `state:` `id:` (an id, or a prefix and `*`) `parent:` \
            `key:` (the limit key) `label.NAME:` `args.PATH:` (dots between names; a scalar, or one of an array) `error:` \
            (a fingerprint, or text of the last error), and any other text, which is looked for in the id, the kind, the \
            args and the last error (the case of ASCII letters does not count). `\"…\"` keeps blanks together, `-` before a \
            word turns it round. The same on every store"),
        ("cursor" = Option<String>, Query, description = "Where the last page ended"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "The most jobs of a page, 50 \
            unless given"),
        ("full" = Option<bool>, Query, description = "`true` carries args and outputs of any size; without it those \
            of more than 1 KiB are null"),
    ),
    responses(
        (status = 200, description = "A page of jobs", body = PageBody, headers(
            ("Link" = Option<String>, description = "The next page, as `rel=\"next\"`"),
        )),
    ),
)]
pub(crate) async fn list(
    State(longhaul): State<Longhaul>,
    caller: Caller,
    mount: Mount,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (filter, page) = read_query(query.as_deref())?;
    let page = match filter {
        Some(mut filter) => {
            caller.narrow(&mut filter);
            longhaul.store().list(&filter, page).await?
        }
        None => JobPage::default(),
    };
    let body = PageBody {
        jobs: page.jobs.iter().map(JobBody::from).collect(),
        next: page.next.as_deref(),
        searched: Searched { jobs: page.searched, complete: page.next.is_none() },
    };
    let mut response = Json(body).into_response();
    if let Some(next) = &page.next {
        let query = query::with(query.as_deref(), "cursor", next);
        let link = format!("<{}/jobs?{query}>; rel=\"next\"", mount.base());
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(response)
}

/// The filter and the page of a query. No filter where no job can fit, because a parameter has no value.
fn read_query(query: Option<&str>) -> Result<(Option<JobFilter>, Page), Problem> {
    let mut faults = Faults::default();
    let mut filter = JobFilter::default();
    let mut page = Page { limit: DEFAULT_LIMIT, payloads: Payloads::Short, ..Page::default() };
    let (mut without_value, mut search) = (Vec::new(), None);
    for (name, value) in query::pairs(query) {
        match &*name {
            "kind" | "queue" | "label" | "created_by" => word(&name, &value, &mut faults),
            "q" => short("q", &value, &mut faults),
            _ => {}
        }
        match &*name {
            "state" | "kind" | "queue" | "parent" if value.is_empty() => without_value.push(name),
            "state" => filter.states.extend(state("state", &value, &mut faults)),
            "kind" => filter.kinds.push(value.into_owned()),
            "queue" => filter.queues.push(value.into_owned()),
            "parent" => filter.parents.extend(id("parent", value.into_owned(), &mut faults)),
            "label" => match value.split_once(':') {
                Some((label, value)) => filter.labels.push((label.to_owned(), value.to_owned())),
                None => faults.add(Code::Invalid, "label", "must have the form 'name:value'"),
            },
            "created_by" => filter.labels.push((CREATED_BY.into(), value.into_owned())),
            "q" => search = Some(value.into_owned()),
            "cursor" => page.cursor = Some(value.into_owned()),
            "limit" => match query::number(&value, 1..=MAX_LIMIT) {
                Ok(limit) => page.limit = limit,
                Err(message) => faults.add(Code::Invalid, "limit", message),
            },
            "full" => match &*value {
                "true" => page.payloads = Payloads::Whole,
                "false" => page.payloads = Payloads::Short,
                _ => faults.add(Code::Invalid, "full", "must be true or false"),
            },
            other => faults.add(
                Code::Invalid,
                other,
                "is not a parameter; use state, kind, queue, parent, label, created_by, q, cursor, limit or full",
            ),
        }
    }
    let lists = [
        ("state", filter.states.len()),
        ("kind", filter.kinds.len()),
        ("queue", filter.queues.len()),
        ("parent", filter.parents.len()),
        ("label", filter.labels.len()),
    ];
    lists.into_iter().for_each(|(field, count)| bound(field, count, &mut faults));
    let fits_nothing = without_value.iter().any(|name| match &**name {
        "state" => filter.states.is_empty(),
        "kind" => filter.kinds.is_empty(),
        "queue" => filter.queues.is_empty(),
        _ => filter.parents.is_empty(),
    });
    if let Some(search) = search {
        filter = faults.check(filter.with_query(&search)).unwrap_or_default();
    }
    faults.into_result()?;
    Ok(((!fits_nothing).then_some(filter), page))
}
