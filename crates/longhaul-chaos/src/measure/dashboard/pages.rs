use serde_json::Value;

use super::fill::{Filled, KINDS, queue};
use crate::Result;
use crate::measure::served::Served;

/// A page of the dashboard: all that it asks for when it is opened.
pub(super) struct Page {
    pub(super) name: String,
    paths: Box<dyn Fn(usize) -> Vec<String>>,
}

impl Page {
    fn new(name: impl Into<String>, paths: impl Fn(usize) -> Vec<String> + 'static) -> Self {
        Self { name: name.into(), paths: Box::new(paths) }
    }

    /// A list of jobs, beside the counts of its tabs.
    fn listing(name: impl Into<String>, query: impl Fn(usize) -> String + 'static) -> Self {
        Self::new(name, move |number| vec![jobs(&query(number)), "/api/queues".into()])
    }

    fn searching(qualifier: &str, query: impl Fn(usize) -> String + 'static) -> Self {
        Self::listing(format!("Jobs, search {qualifier}"), query)
    }

    /// The requests of one opening; each looks at something else, where the page has a choice.
    pub(super) fn paths(&self, number: usize) -> Vec<String> {
        (self.paths)(number)
    }
}

/// The requests of the dashboard's pages.
pub(super) async fn all(served: &Served, filled: Filled) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for (name, window, step) in [("1 h", 3_600, 60), ("24 h", 86_400, 3_600), ("7 d", 604_800, 7_200)] {
        pages.push(Page::new(format!("Overview, {name}"), move |_| {
            let stats = format!("/api/stats?window={window}&step={step}");
            vec!["/api/queues".into(), stats, format!("/api/errors?window={window}")]
        }));
        pages.push(Page::new(format!("Errors, {name}"), move |_| {
            vec![format!("/api/errors?window={window}")]
        }));
    }
    let groups = served.get("/api/errors?window=604800").await?;
    let fingerprint = groups["groups"][0]["fingerprint"].as_str().ok_or("no failures are known")?.to_owned();
    let far = far_cursors(served).await?;
    pages.push(Page::new("Queues", |_| vec!["/api/queues".into(), "/api/keys".into()]));
    pages.push(Page::new("Workers", |_| vec!["/api/workers".into(), jobs("state:running")]));
    pages.push(Page::new("Kinds", |_| vec!["/api/kinds".into()]));
    pages.push(Page::new("Batches, open", |_| vec![jobs("state:blocked")]));
    pages.push(Page::new("Batches, ended", |_| vec![jobs("")]));
    pages.push(Page::listing("Jobs", |_| String::new()));
    pages.push(Page::new("Jobs, scrolled far", move |number| {
        vec![format!("{}&cursor={}", jobs(""), encoded(&far[number % far.len()]))]
    }));
    for state in ["available", "running", "scheduled", "blocked", "completed", "failed", "cancelled"] {
        pages.push(Page::searching(&format!("state:{state}"), move |_| format!("state:{state}")));
    }
    let kind = |number: usize| KINDS[number % KINDS.len()];
    let tenant = |number: usize| format!("label.tenant:tenant-{}", number % 500);
    pages.extend([
        Page::searching("queue:", |number| format!("queue:{}", queue(number % 12))),
        Page::searching("kind:", move |number| format!("kind:{}", kind(number))),
        Page::searching("queue: kind: state:failed", move |number| {
            format!("queue:{} kind:{} state:failed", queue(number % 12), kind(number))
        }),
        Page::searching("queue: that there is not", |_| "queue:nowhere".into()),
        Page::searching("kind: that there is not", |_| "kind:nothing".into()),
        Page::searching("label.tenant:", tenant),
        Page::searching("label.tenant: that there is not", |_| "label.tenant:nobody".into()),
        Page::searching("args.region:", |number| format!("args.region:eu-{}", number % 7)),
        Page::searching("args.user.id:", |number| format!("args.user.id:{number}")),
        Page::searching("key:", |number| format!("key:provider-{}", number % 40)),
        Page::searching("error: by text", |_| "error:503".into()),
        Page::searching("error: by fingerprint", move |_| format!("error:{fingerprint}")),
        Page::searching("error: and state:failed", |_| "error:refused state:failed".into()),
        Page::searching("a word", |_| "warehouse".into()),
        Page::searching("a word that no job holds", |_| "xylophone".into()),
        Page::searching("-state:completed", |_| "-state:completed".into()),
    ]);
    let Filled { completed, failed, waiting, running, batches } = filled;
    let ids = completed.clone();
    pages.push(Page::searching("id:", move |number| format!("id:{}", ids[number % ids.len()])));
    let parents = batches.clone();
    pages.push(Page::searching("parent:", move |number| {
        format!("parent:{}", parents[number % parents.len()])
    }));
    // The log of one that has ended is read to its end; that of another stays open.
    for (name, ids, reads) in [
        ("Job, completed", completed, &["", "/steps", "/events"][..]),
        ("Job, failed", failed, &["", "/steps", "/events"]),
        ("Job, available", waiting, &["", "/steps", "/why"]),
        ("Job, running", running, &["", "/steps", "/why"]),
        ("Job, a batch", batches, &["", "/steps", "/why"]),
    ] {
        pages.push(Page::new(name, move |number| {
            let id = &ids[number % ids.len()];
            reads.iter().map(|read| format!("/api/jobs/{id}{read}")).collect()
        }));
    }
    Ok(pages)
}

fn jobs(query: &str) -> String {
    format!("/api/jobs?limit=100&q={}", encoded(query))
}

/// Places in the list that are up to a thousand pages from its begin.
async fn far_cursors(served: &Served) -> Result<Vec<String>> {
    let mut cursors = Vec::new();
    let mut path = jobs("");
    for _ in 0..1_000 {
        let page = served.get(&path).await?;
        let Value::String(next) = &page["next"] else { break };
        path = format!("{}&cursor={}", jobs(""), encoded(next));
        cursors.push(next.clone());
    }
    cursors.reverse();
    cursors.truncate(100);
    if cursors.is_empty() { Err("the list has one page".into()) } else { Ok(cursors) }
}

/// A value as it stands in an address.
fn encoded(value: &str) -> String {
    let letter = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(letter).collect()
}
