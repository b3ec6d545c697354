//! Simple jobs are created by a script of their own, which must write what the general one writes.

use std::collections::BTreeMap;

use longhaul::{Clock, NewJob, Prefer, Store};
use longhaul_conformance::jobs::{HOUR, claim, delayed, id, job, named, slots};
use longhaul_redis::redis::cmd;
use longhaul_redis::{RedisOptions, RedisStore};

use crate::server::shared;

type Bytes = Vec<u8>;

/// All that is kept under a prefix, by the rest of each key's name, with what is no text escaped.
pub(crate) fn kept(options: &RedisOptions) -> BTreeMap<String, Vec<String>> {
    let root = format!("{{{}}}:", options.prefix);
    let keys: Vec<String> = shared().tell(cmd("KEYS").arg(format!("{root}*"))).unwrap();
    let read = |key: &String| -> Vec<Bytes> {
        let kind: String = shared().tell(cmd("TYPE").arg(key)).unwrap();
        let tell = |command: &mut longhaul_redis::redis::Cmd| shared().tell::<Vec<Bytes>>(command).unwrap();
        match kind.as_str() {
            "string" => vec![shared().tell(cmd("GET").arg(key)).unwrap()],
            "zset" => tell(cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES")),
            "hash" => {
                let pairs: BTreeMap<Bytes, Bytes> = shared().tell(cmd("HGETALL").arg(key)).unwrap();
                pairs.into_iter().flat_map(|(field, value)| [field, value]).collect()
            }
            "list" => tell(cmd("LRANGE").arg(key).arg(0).arg(-1)),
            "set" => {
                let mut members = tell(cmd("SMEMBERS").arg(key));
                members.sort_unstable();
                members
            }
            other => panic!("{key} is a {other}"),
        }
    };
    let shown = |values: Vec<Bytes>| values.iter().map(|value| value.escape_ascii().to_string()).collect();
    keys.iter().map(|key| (key[root.len()..].to_owned(), shown(read(key)))).collect()
}

#[tokio::test]
async fn simple_jobs_are_kept_as_those_that_had_to_be_looked_up() {
    let clock = Clock::manual();
    let (simple, looked_up) = (shared().options(), shared().options());
    let first = RedisStore::open_with_clock(simple.clone(), clock.clone()).await.unwrap();
    let second = RedisStore::open_with_clock(looked_up.clone(), clock.clone()).await.unwrap();
    let labels = [("tenant".to_owned(), "ada".to_owned())].into_iter().collect();
    let cost = longhaul::Cost { slots: 2, rate: 0 };
    let costly = longhaul::Policy { cost, ..longhaul::Policy::default() };
    let jobs = vec![
        job(),
        NewJob { priority: 3, limit_keys: vec!["post".into()], labels, ..job() },
        NewJob { limit_keys: vec!["post".into(), "tenant:1".into()], policy: costly, ..job() },
        NewJob { limit_keys: vec!["post".into()], ..delayed(HOUR) },
        NewJob { prefer: Some(Prefer::soft([("gpu", "a100")])), ..job() },
        NewJob { limit_keys: vec!["post".into()], prefer: Some(Prefer::hard([("gpu", "a100")])), ..job() },
        NewJob { kind: "crop".into(), version: 2, queue: "others".into(), ..job() },
        NewJob {
            policy: longhaul::Policy { timeout: Some(HOUR), ..longhaul::Policy::default() },
            max_attempts: 1,
            ..delayed(HOUR)
        },
        job(),
    ];
    // More than one call, so that the second goes on from the first one's numbers. In the last no job has limit keys.
    let plain = vec![job(), NewJob { priority: 3, ..job() }, delayed(HOUR), job()];
    for jobs in [jobs.clone(), jobs, plain] {
        let drawn = first.enqueue(jobs.clone()).await.unwrap();
        let named = jobs.into_iter().zip(drawn).map(|(job, drawn)| NewJob { id: Some(drawn.id), ..job });
        second.enqueue(named.collect()).await.unwrap();
    }
    let (simple, looked_up) = (kept(&simple), kept(&looked_up));
    assert!(simple.contains_key("lane|images|resize|1") && simple.contains_key("scheduled"), "{simple:?}");
    assert_eq!(simple, looked_up);
}

#[tokio::test]
async fn plain_jobs_are_claimed_as_those_beside_which_more_is_to_be_looked_at() {
    let clock = Clock::manual();
    let (plain, looked_at) = (shared().options(), shared().options());
    let first = RedisStore::open_with_clock(plain.clone(), clock.clone()).await.unwrap();
    let second = RedisStore::open_with_clock(looked_at.clone(), clock.clone()).await.unwrap();
    second.pause_queue("others").await.unwrap();
    let mut claimed = Vec::new();
    for store in [&first, &second] {
        store.enqueue(["a", "b", "c"].map(named).to_vec()).await.unwrap();
        store.enqueue(vec![NewJob { priority: 1, ..named("first") }]).await.unwrap();
        let two = longhaul::Claim { queues: vec![slots("images", 2)], ..claim() };
        let some = store.claim(two).await.unwrap();
        claimed.push((some, store.claim(claim()).await.unwrap()));
    }
    let (some, rest) = &claimed[0];
    assert_eq!((&some[0].lease.id, some.len(), rest.len()), (&id("first"), 2, 2));
    assert_eq!(format!("{:?}", claimed[0]), format!("{:?}", claimed[1]));
    let (plain, mut looked_at) = (kept(&plain), kept(&looked_at));
    looked_at.remove("paused_queues").unwrap();
    assert_eq!(plain, looked_at);
}
