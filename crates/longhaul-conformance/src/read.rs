//! The contracts of [`Store::get`](longhaul::Store::get) and [`Store::list`](longhaul::Store::list).

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{
    Action, AttemptError, ErrorKind, JobFilter, JobId, Lookup, MAX_POSITION, NewJob, OnClash, Outcome, Page,
    Payloads, SHORT_PAYLOAD_BYTES, State, Unique, UniqueKey,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{as_listed, completed, delayed, id, job, json, named, secs};

/// "An unknown id is unknown."
pub async fn an_unknown_id_is_unknown(fx: &Fixture) {
    fx.enqueue_all(vec![named("a"), named("b")]).await;
    let (a, b) = (fx.lookup(&id("a")).await, fx.lookup(&id("b")).await);
    let unknown = || Lookup::Unknown;
    let ids = ["b", "A", "a", "aa", "b", "%", ""].map(id);
    let found = fx.lookup_all(&ids).await;
    let expected = [b.clone(), unknown(), a, unknown(), b, unknown(), unknown()];
    assert_eq!(found, expected, "one answer for each, in order, also of the same id twice");
    assert_eq!(fx.lookup_all(&[]).await, []);
}

/// "A position counts the available jobs ahead."
pub async fn a_position_counts_the_available_jobs_ahead(fx: &Fixture) {
    let elsewhere = NewJob { queue: "elsewhere".into(), ..named("elsewhere") };
    let jobs = vec![
        named("a"),
        NewJob { kind: "mail".into(), ..named("other-kind") },
        elsewhere,
        NewJob { id: Some(id("delayed")), ..delayed(secs(10)) },
        named("b"),
        NewJob { priority: 5, ..named("first") },
    ];
    fx.enqueue_all(jobs).await;
    let positions = async |names: &[&str]| {
        let ids: Vec<JobId> = names.iter().map(|name| id(name)).collect();
        let records = fx.lookup_all(&ids).await.into_iter().filter_map(Lookup::found);
        records.map(|record| record.position).collect::<Vec<_>>()
    };
    let all = ["first", "a", "other-kind", "b", "elsewhere", "delayed"];
    assert_eq!(positions(&all).await, [Some(1), Some(2), Some(3), Some(4), Some(1), None]);
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.lease.id, id("first"));
    assert_eq!(positions(&all).await, [None, Some(1), Some(2), Some(3), Some(1), None]);
    fx.end(&claimed.lease, completed()).await;
    assert_eq!(positions(&["first"]).await, [None]);
    assert_eq!(fx.act(&id("a"), Action::cancel(secs(1))).await, 1);
    assert_eq!(positions(&all).await, [None, None, Some(1), Some(2), Some(1), None]);

    let many = (0..MAX_POSITION + 5).map(|n| NewJob { queue: "long".into(), ..named(&format!("{n}")) });
    fx.enqueue_all(many.collect()).await;
    let last = MAX_POSITION - 1;
    let names = [0, 1, last - 1, last, last + 1, last + 5].map(|n| n.to_string());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let furthest = Some(MAX_POSITION);
    let expected = [Some(1), Some(2), Some(last), furthest, furthest, furthest];
    assert_eq!(positions(&names).await, expected, "no further than {MAX_POSITION} is counted");
}

/// "A job tells its unique key and the job that holds it."
pub async fn a_job_tells_its_unique_key_and_the_job_that_holds_it(fx: &Fixture) {
    let holder = async |name: &str| {
        let unique = fx.job(&id(name)).await.unique.unwrap_or_else(|| panic!("{name} has a key"));
        assert_eq!(unique.key, "k");
        unique.holder
    };
    let with = |name: &str, on_clash, period| {
        let unique = Unique { on_clash, period, ..Unique::new("k") };
        NewJob { unique: Some(unique), ..named(name) }
    };
    fx.enqueue(named("plain")).await;
    assert_eq!(fx.job(&id("plain")).await.unique, None);
    fx.act(&id("plain"), Action::cancel(Duration::ZERO)).await;
    let first = fx.running_from(with("a", OnClash::Join, None)).await;
    assert_eq!(holder("a").await, Some(id("a")));
    fx.enqueue(with("b", OnClash::Follow, None)).await;
    assert_eq!(
        (holder("a").await, holder("b").await),
        (Some(id("b")), Some(id("b"))),
        "the key was given on"
    );
    fx.act(&id("b"), Action::cancel(Duration::ZERO)).await;
    assert_eq!((holder("a").await, holder("b").await), (Some(id("a")), Some(id("a"))), "and was given back");
    fx.end(&first.lease, completed()).await;
    assert_eq!((holder("a").await, holder("b").await), (None, None), "it is free");

    let cached = fx.running_from(with("c", OnClash::Join, Some(secs(60)))).await;
    fx.end(&cached.lease, completed()).await;
    assert_eq!(holder("a").await, Some(id("c")), "held beyond its end");
    fx.clock.advance(secs(60));
    assert_eq!(holder("c").await, None, "and free after its time, swept or not");
    let listed = fx.list_records(&JobFilter::default()).await;
    let keys = listed.iter().map(|job| job.unique.clone()).collect::<Vec<_>>();
    let key = Some(UniqueKey::new("k"));
    assert_eq!(keys, [key.clone(), key.clone(), key, None], "a list tells the keys alone");
}

/// "A list is newest first."
pub async fn a_list_is_newest_first(fx: &Fixture) {
    assert!(fx.list(&JobFilter::default()).await.is_empty());
    fx.enqueue_all(vec![named("m"), named("z"), NewJob { priority: 9, ..named("a") }]).await;
    fx.enqueue(NewJob { id: Some(id("y")), queue: "elsewhere".into(), ..delayed(secs(100)) }).await;
    fx.clock.advance(secs(1));
    fx.enqueue(named("b")).await;
    let newest_first = ["b", "y", "a", "z", "m"].map(id);
    assert_eq!(fx.list(&JobFilter::default()).await, newest_first);
    let claimed = fx.claim_one().await;
    fx.end(&claimed.lease, completed()).await;
    fx.claim_one().await;
    assert_eq!(fx.list(&JobFilter::default()).await, newest_first, "whatever has happened to them since");

    let records = fx.lookup_all(&newest_first).await.into_iter().filter_map(Lookup::found).map(as_listed);
    let listed = fx.list_records(&JobFilter::default()).await;
    assert_eq!(listed, records.collect::<Vec<_>>(), "the records, but for what only a look-up tells");
}

/// "Pages follow each other without gap or overlap."
pub async fn pages_follow_each_other_without_gap_or_overlap(fx: &Fixture) {
    let names: Vec<String> = (0..10).map(|n| format!("j{n}")).collect();
    // All have one time of creation, and every third is of another queue.
    let queue = |n| if n % 3 == 0 { "elsewhere" } else { "images" };
    let jobs = names.iter().enumerate();
    fx.enqueue_all(jobs.map(|(n, name)| NewJob { queue: queue(n).into(), ..named(name) }).collect()).await;
    let newest_first: Vec<JobId> = names.iter().rev().map(|name| id(name)).collect();
    for limit in [1, 3, 5, 10, 1_000] {
        assert_eq!(walk(fx, &JobFilter::default(), limit, async |_| {}).await, newest_first, "by {limit}");
    }
    let images = JobFilter { queues: vec!["images".into()], ..JobFilter::default() };
    let expected = ["j8", "j7", "j5", "j4", "j2", "j1"].map(id);
    assert_eq!(walk(fx, &images, 2, async |_| {}).await, expected, "with a filter");
    let some = JobFilter { ids: ["j2", "j9", "j0", "j4", "none"].map(id).to_vec(), ..JobFilter::default() };
    let expected = ["j9", "j4", "j2", "j0"].map(id);
    for limit in 1..=5 {
        assert_eq!(walk(fx, &some, limit, async |_| {}).await, expected, "of given ids, by {limit}");
    }

    // Jobs come and go and change between one page and the next.
    let seen = walk(fx, &JobFilter::default(), 3, async |page| {
        fx.enqueue(named(&format!("new-{page}"))).await;
        if page == 0 {
            fx.act(&id("j8"), Action::cancel(secs(1))).await;
            fx.act(&id("j8"), Action::Delete).await;
            fx.act(&id("j5"), Action::cancel(secs(1))).await;
        }
        if page == 1 {
            fx.act(&id("j1"), Action::cancel(secs(1))).await;
            fx.act(&id("j1"), Action::Delete).await;
        }
    })
    .await;
    let expected: Vec<JobId> = newest_first.into_iter().filter(|seen| *seen != id("j1")).collect();
    assert_eq!(seen, expected, "each that was there all the time once, and none that came later");
}

/// Reads all pages, does `between` after each, and answers the ids in the order in which they came.
async fn walk(fx: &Fixture, filter: &JobFilter, limit: usize, between: impl AsyncFn(usize)) -> Vec<JobId> {
    let mut ids = Vec::new();
    let mut cursor = None;
    for number in 0..100 {
        let page = ok("list", fx.store.list(filter, Page { cursor, limit, ..Page::default() }).await);
        assert!(page.jobs.len() <= limit, "a page of at most {limit} has {}", page.jobs.len());
        ids.extend(page.jobs.into_iter().map(|job| job.id));
        let Some(next) = page.next else { return ids };
        cursor = Some(next);
        between(number).await;
    }
    panic!("a walk over {} jobs has an end", ids.len())
}

/// "A filter leaves only what fits."
pub async fn a_filter_leaves_only_what_fits(fx: &Fixture) {
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let jobs = vec![
        NewJob { labels: labels(&[("tenant", "7"), ("env", "test")]), ..named("a") },
        NewJob { labels: labels(&[("tenant", "7")]), kind: "mail".into(), ..named("b") },
        NewJob { labels: labels(&[("tenant", "77"), ("env", "7")]), queue: "mail".into(), ..named("c") },
        NewJob { args: json(r#"{"rebate": "50%_OFF"}"#), ..named("d") },
        NewJob { args: json(r#"{"rebate": "50 x off"}"#), id: Some(id("e")), ..delayed(secs(60)) },
    ];
    fx.enqueue_all(jobs).await;
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.lease.id, id("a"));
    let error = |message: &str| AttemptError::new(ErrorKind::Error, message);
    let again = Outcome::Retry { error: error("Disk FULL at /tmp"), delay: secs(0) };
    fx.end(&claimed.lease, again).await;
    let claimed = fx.claim_one().await;
    fx.end(&claimed.lease, Outcome::Failed { error: error("no such Image") }).await;
    assert_eq!(fx.state(&id("a")).await, State::Failed);

    let all = JobFilter::default;
    let text = |text: &str| JobFilter { text: Some(text.into()), ..all() };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let label = |key: &str, value: &str| JobFilter { labels: vec![pair(key, value)], ..all() };
    let both = JobFilter { labels: vec![pair("tenant", "7"), pair("env", "test")], ..all() };
    let several = JobFilter {
        states: vec![State::Available, State::Failed],
        kinds: vec!["resize".into()],
        queues: vec!["images".into()],
        ..all()
    };
    let cases: Vec<(JobFilter, &[&str])> = vec![
        (all(), &["e", "d", "c", "b", "a"]),
        (JobFilter { ids: vec![id("a"), id("unknown"), id("d"), id("a")], ..all() }, &["d", "a"]),
        (JobFilter { states: vec![State::Scheduled, State::Failed], ..all() }, &["e", "a"]),
        (JobFilter { states: vec![State::Running], ..all() }, &[]),
        (JobFilter { kinds: vec!["mail".into()], ..all() }, &["b"]),
        (JobFilter { kinds: vec!["mai".into(), "MAIL".into()], ..all() }, &[]),
        (JobFilter { kinds: vec!["mail".into(), "resize".into()], ..all() }, &["e", "d", "c", "b", "a"]),
        (JobFilter { queues: vec!["mail".into()], ..all() }, &["c"]),
        (label("tenant", "7"), &["b", "a"]),
        (label("env", "7"), &["c"]),
        (label("7", "tenant"), &[]),
        (both, &["a"]),
        (several.clone(), &["d", "a"]),
        (JobFilter { ids: vec![id("a"), id("b")], ..several }, &["a"]),
        (text("rebate"), &["e", "d"]),
        (text("50%_off"), &["d"]),
        (text("%"), &["d"]),
        (text("MAIL"), &["b"]),
        (text("no such image"), &["a"]),
        (text("disk full"), &[]),
        (text("50 X"), &["e"]),
        (JobFilter { kinds: vec!["resize".into()], ..text("width") }, &["c", "a"]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<JobId> = expected.iter().map(|name| id(name)).collect();
        assert_eq!(fx.list(&filter).await, expected, "{filter:?}");
    }
    fx.enqueue(job()).await;
    let by_id = NewJob { args: json("1"), ..named("Tenant-9:upload") };
    fx.enqueue(by_id).await;
    assert_eq!(fx.list(&text("tenant-9")).await, [id("Tenant-9:upload")], "in the id");
}

/// "A short list leaves large payloads out and tells their sizes."
pub async fn a_short_list_leaves_large_payloads_out_and_tells_their_sizes(fx: &Fixture) {
    let large = json(&format!("\"{}\"", "x".repeat(SHORT_PAYLOAD_BYTES)));
    let small = json(&format!("\"{}\"", "x".repeat(SHORT_PAYLOAD_BYTES - 2)));
    let one = fx.running_from(NewJob { args: large.clone(), ..job() }).await.lease;
    fx.end(&one, Outcome::Completed { output: large.clone() }).await;
    let two = fx.running_from(NewJob { args: small.clone(), ..job() }).await.lease;
    fx.end(&two, Outcome::Completed { output: small.clone() }).await;
    // A search looks at whole jobs, whatever of them it shows.
    let search = ok("read a query", JobFilter::default().with_query("xx -queue:mail"));
    for filter in [JobFilter::default(), search] {
        let page = Page { payloads: Payloads::Short, ..Page::default() };
        let jobs = ok("list", fx.store.list(&filter, page).await).jobs;
        assert_eq!(
            (&jobs[0].args, jobs[0].output.as_ref()),
            (&small, Some(&small)),
            "what is small is there"
        );
        assert_eq!((jobs[0].args_bytes, jobs[0].output_bytes), (None, None));
        assert_eq!((jobs[1].args.as_str(), jobs[1].output.as_ref()), ("null", None));
        let bytes = Some(large.as_str().len() as u64);
        assert_eq!((jobs[1].args_bytes, jobs[1].output_bytes), (bytes, bytes));
        let whole = ok("list", fx.store.list(&filter, Page::default()).await).jobs;
        assert_eq!((&whole[1].args, whole[1].output.as_ref()), (&large, Some(&large)));
        assert_eq!((whole[1].args_bytes, whole[1].output_bytes), (None, None));
    }
    assert_eq!(fx.job(&one.id).await.args, large, "a look-up leaves nothing out");
}
