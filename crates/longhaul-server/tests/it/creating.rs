//! What people write as JSON on a command line, and many jobs at once.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::crew::{Act, Crew};
use crate::server::{Place, client, output, stderr, stdout};

/// A number that no number type of this machine holds.
const DIGITS: &str = "123456789012345678901234567890.10";

/// A command that reads `input`.
async fn fed(place: &Place, args: &[&str], input: &str) -> std::process::Output {
    let mut command = place.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    tokio::time::timeout(crate::server::PATIENCE, child.wait_with_output())
        .await
        .expect("in time")
        .expect("it ends")
}

#[tokio::test]
async fn json_of_a_command_line_keeps_its_digits_and_its_faults() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let run = ["run", "act", "--queue", "stage"];
    let args_of = async |id: &str| place.printed(&["jobs", "show", id, "--json"]).await;
    let (field, list) = (format!("n={DIGITS}"), format!("[{DIGITS}]"));
    place.printed(&[&run[..], &["--id", "words", "how=stay", field.as_str()]].concat()).await;
    assert!(args_of("words").await.contains(&format!("\"n\": {DIGITS}\n")), "{}", args_of("words").await);
    place.printed(&[&run[..], &["--id", "value", list.as_str()]].concat()).await;
    assert!(args_of("value").await.contains(DIGITS));
    let read =
        fed(&place, &[&run[..], &["--id", "read", "-"]].concat(), &format!("{{\"n\":{DIGITS}}}\n")).await;
    assert_eq!(stdout(&read), "read\n", "{}", stderr(&read));
    assert!(args_of("read").await.contains(DIGITS));
    place.printed(&["jobs", "signal", "read", "total", DIGITS]).await;
    assert!(place.printed(&["jobs", "steps", "read", "--json"]).await.contains(DIGITS));
    place.printed(&["jobs", "cancel", "read"]).await;
    place.printed(&["jobs", "retry", "read", "--args", &format!("{{\"m\":{DIGITS}}}")]).await;
    assert!(args_of("read").await.contains(&format!("\"m\": {DIGITS}")));
    let fork = place.printed(&["jobs", "fork", "read", "--args", &format!("{{\"f\":{DIGITS}}}")]).await;
    assert!(args_of(fork.trim()).await.contains(&format!("\"f\": {DIGITS}")));
    let set = ["schedules", "set", "often", "act", "--queue", "stage", "--every", "1h", "--json"];
    let set = place.printed(&[&set[..], &[field.as_str()]].concat()).await;
    assert!(set.contains(&format!("\"n\": {DIGITS}")), "{set}");

    for (words, said) in [
        (&["{\"a\":1,\"a\":2}"][..], "args.a must not name a key twice"),
        (&["a=1", "a=2"], "a is given twice"),
        (&["--label", "a=1", "--label", "a=2"], "--label a is given twice"),
        (&["--prefer", "a=1", "--prefer", "a=2"], "--prefer a is given twice"),
    ] {
        let refused = place.run(&[&run[..], words].concat()).await;
        assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(2), ""), "{words:?}");
        assert!(stderr(&refused).contains(said), "{words:?}: {}", stderr(&refused));
    }
    for act in ["list", "cancel"] {
        let refused = place.run(&["jobs", act, "--label", "a=1", "--label", "a=2"]).await;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(stderr(&refused).contains("--label a is given twice"), "{refused:?}");
    }
}

#[tokio::test]
async fn many_jobs_are_created_in_one_call_or_none_of_them() {
    let place = Place::new();
    let _store = Crew::idle(&place).await;
    let lines = format!(
        "{{\"kind\":\"act\",\"id\":\"one\",\"args\":{DIGITS}}}\n\n{{\"kind\":\"act\",\"id\":\"two\",\"args\":{{}}}}\n"
    );
    let unknown = fed(&place, &["jobs", "create"], &lines).await;
    assert_eq!((unknown.status.code(), stdout(&unknown).as_str()), (Some(1), ""));
    assert!(
        stderr(&unknown).contains("its queue is not known: name it with --queue"),
        "{}",
        stderr(&unknown)
    );
    let created = fed(&place, &["jobs", "create", "--queue", "stage"], &lines).await;
    assert_eq!((stdout(&created).as_str(), stderr(&created).as_str()), ("one\ntwo\n", ""));
    let one = place.printed(&["jobs", "show", "one", "--json"]).await;
    assert!(one.contains(&format!("\"args\": {DIGITS}")) && one.contains("\"queue\": \"stage\""), "{one}");

    // By now the queue of the kind is known; a queue of its own stays.
    let file = place.data().join("jobs.json");
    let array = r#"[{"kind":"act","id":"two","args":{}}, {"kind":"act","id":"three","queue":"attic","args":{}},
        {"kind":"act","id":"four","args":{},"unique":{"key":"k","on_clash":"reject"}},
        {"kind":"act","args":{},"unique":{"key":"k","on_clash":"reject"}}]"#;
    std::fs::write(&file, array).expect("it is written");
    let file = file.to_str().expect("UTF-8");
    let some = place.run(&["jobs", "create", file]).await;
    assert_eq!((some.status.code(), stdout(&some).as_str()), (Some(1), "two\nthree\nfour\n"));
    let told = "job 1: two stands for it already\njob 4: was not created: four holds its unique key\n\
                longhaul: 1 of 4 jobs were refused\n";
    assert_eq!(stderr(&some), told);
    for (id, queue) in [("three", "attic"), ("four", "stage")] {
        let shown = place.printed(&["jobs", "show", id, "--json"]).await;
        assert!(shown.contains(&format!("\"queue\": \"{queue}\"")), "{shown}");
    }
    let json = stdout(&place.run(&["jobs", "create", file, "--json"]).await);
    let json: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        (json.len(), &json[1]["duplicate"], &json[3]["refused"]),
        (4, &true.into(), &"duplicate".into())
    );

    for (text, said, code) in [
        ("[{\"kind\":\"act\",\"args\":1},{\"kind\":\"act\"}]", "[1]", 2),
        ("{\"kind\":\"act\",\"args\":1}\n{\"kind\"", "has no JSON objects, one a line or in an array", 2),
        ("\n", "has no job", 2),
        (
            &"{\"kind\":\"act\",\"args\":1}\n".repeat(10_001),
            "has 10001 jobs, and a call has at most 10000",
            2,
        ),
    ] {
        let refused = fed(&place, &["jobs", "create", "-", "--queue", "stage"], text).await;
        assert_eq!(
            (refused.status.code(), stdout(&refused).as_str()),
            (Some(code), ""),
            "{}",
            stderr(&refused)
        );
        assert!(stderr(&refused).contains(said), "{said}: {}", stderr(&refused));
    }
    let missing = place.run(&["jobs", "create", "nowhere.json"]).await;
    assert!(stderr(&missing).contains("failed to read nowhere.json"), "{missing:?}");
    assert_eq!(
        place.printed(&["jobs", "list", "--json"]).await.lines().count(),
        4,
        "those that are refused leave nothing"
    );
}

#[tokio::test]
async fn a_caller_is_told_who_it_is_and_finds_the_jobs_of_a_token() {
    const ADMIN: &str = "an-admin-token-of-32-characters!";
    let place = Place::new();
    let server = place
        .serve_with(&["--accept-unknown-kinds", "--no-worker"], &[("LONGHAUL_ADMIN_TOKEN", ADMIN)])
        .await;
    let by = async |token: &str, args: &[&str]| {
        let mut command = place.command(args);
        output(command.env("LONGHAUL_URL", &server.url).env("LONGHAUL_TOKEN", token)).await
    };
    let made = by(
        ADMIN,
        &["tokens", "create", "The shop", "--scope", "enqueue:act", "--scope", "read:own", "--json"],
    )
    .await;
    let (token, id) = match serde_json::from_str::<Value>(&stdout(&made)) {
        Ok(made) => (
            made["token"].as_str().unwrap_or_default().to_owned(),
            made["id"].as_str().unwrap_or_default().to_owned(),
        ),
        Err(error) => panic!("{error}: {made:?}"),
    };
    let admin = stdout(&by(ADMIN, &["whoami"]).await);
    assert_eq!(admin, format!("at         {}\nrole       admin\n", server.url));
    let shop = stdout(&by(&token, &["whoami"]).await);
    for line in [
        "role       none: the scopes of the token decide\n",
        "name       The shop\n",
        "scope      enqueue:act\n",
        "scope      read:own\n",
    ] {
        assert!(shop.contains(line), "{line:?} in {shop:?}");
    }
    let json: Value = serde_json::from_str(&stdout(&by(&token, &["whoami", "--json"]).await)).expect("JSON");
    assert_eq!(
        json,
        client()
            .get(server.at("/api/me"))
            .bearer_auth(&token)
            .send()
            .await
            .expect("an answer")
            .json::<Value>()
            .await
            .expect("JSON")
    );
    let nobody = by("nonsense", &["whoami"]).await;
    assert!(!nobody.status.success() && stderr(&nobody).contains("Set LONGHAUL_TOKEN"), "{nobody:?}");
    let local = place.printed(&["whoami"]).await;
    assert!(local.contains("role       admin\n"), "{local}");

    by(&token, &["run", "act", "--queue", "stage", "--id", "hers"]).await;
    by(ADMIN, &["run", "act", "--queue", "stage", "--id", "his"]).await;
    let hers = place.printed(&["jobs", "list", "--created-by", &id, "--json"]).await;
    assert!(hers.lines().count() == 1 && hers.contains("\"id\":\"hers\""), "{hers}");
    assert_eq!(
        place.printed(&["jobs", "cancel", "--created-by", &id]).await,
        "1 cancelled, or asked to stop\n"
    );
    let his = place.printed(&["jobs", "list", "--state", "available"]).await;
    assert!(his.contains("his ") && !his.contains("hers"), "{his}");
}

#[tokio::test]
async fn all_failed_jobs_of_a_queue_are_retried_however_many_they_are() {
    const COUNT: usize = 10_050;
    let place = Place::new();
    let longhaul = Crew::idle(&place).await;
    for part in [COUNT / 2, COUNT - COUNT / 2] {
        let jobs =
            (0..part).map(|n| longhaul::NewJob::of(&Act { how: "stay".into(), n: n as u64 }).expect("a job"));
        longhaul.enqueue_many(jobs.collect()).await.expect("they are enqueued");
    }
    let store = longhaul.store();
    let mut left = COUNT;
    while left > 0 {
        use longhaul_conformance::jobs::{claim, failed, finish, slots};
        let kinds = vec![longhaul_conformance::jobs::kind("act", 1)];
        let claim = longhaul::Claim { queues: vec![slots("stage", left.min(1_000))], kinds, ..claim() };
        let claimed = store.claim(claim).await.expect("they are claimed");
        left -= claimed.len();
        store
            .finish(claimed.iter().map(|one| finish(&one.lease, failed())).collect())
            .await
            .expect("they fail");
    }
    let retried = place.run(&["queues", "retry-failed", "stage"]).await;
    assert_eq!(
        stdout(&retried),
        format!("{COUNT} of {COUNT} failed jobs of stage will run again\n"),
        "{}",
        stderr(&retried)
    );
    let cancelled = place.printed(&["jobs", "cancel", "--queue", "stage", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&cancelled).expect("JSON")["done"], COUNT);
    let some = place.printed(&["jobs", "retry", "--queue", "stage", "--limit", "10020"]).await;
    assert_eq!(some, "10020 will run again\nthere may be more: raise --limit, or run this again\n");
}

#[tokio::test]
async fn what_is_refused_for_its_words_ends_with_the_code_of_a_wrong_command_line() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    for (args, said) in [
        (&["queues", "set", "stage", "--slots", "0"][..], "slots must be from 1 to 1000000"),
        (&["keys", "set", "a*b", "--slots", "1"], "key must be"),
        (&["stats", "--window", "8d"], "window must be a whole number from 60 to 604800"),
        (&["tokens", "create", "shop", "--scope", "everything"], "scopes[0] must be"),
        (&["jobs", "show", ""], "an id or a name is empty, or . or .., which name nothing"),
        (&["jobs", "tail", ".."], "an id or a name is empty, or . or .., which name nothing"),
        (&["jobs", "signal", "a", "."], "an id or a name is empty, or . or .., which name nothing"),
        (&["keys", "show", "."], "an id or a name is empty, or . or .., which name nothing"),
    ] {
        let refused = place.run(args).await;
        assert_eq!(
            (refused.status.code(), stdout(&refused).as_str()),
            (Some(2), ""),
            "{args:?}: {}",
            stderr(&refused)
        );
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
    }
    let unknown = place.run(&["jobs", "show", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1), "the words were good: {unknown:?}");
}
