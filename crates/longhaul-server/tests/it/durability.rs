//! `longhaul serve --durability`.

use serde_json::{Value, json};

use crate::server::{Place, client, stderr, stdout};

#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged_before_a_sync() {
    let place = Place::new();
    let serve = || place.serve(&["--accept-unknown-kinds", "--no-worker", "--durability", "60s"]);
    let server = serve().await;
    // No sync is due for half a minute: what is found again is what the system has, and not the disk.
    let jobs = (0..8).map(|sender| {
        let address = server.at("/api/jobs");
        tokio::spawn(async move {
            let client = client();
            for n in 0..100 {
                let job = json!({ "kind": "story", "args": {}, "id": format!("job-{sender}-{n}") });
                let answer = client.post(&address).json(&job).send().await.expect("the server answers");
                assert_eq!(answer.status(), 202);
            }
        })
    });
    for sender in jobs.collect::<Vec<_>>() {
        sender.await.expect("all are acknowledged");
    }
    server.kill().await;
    let server = serve().await;
    for id in (0..8).flat_map(|sender| (0..100).map(move |n| format!("job-{sender}-{n}"))) {
        let found = client().get(server.at(&format!("/api/jobs/{id}"))).send().await.expect("it answers");
        assert_eq!(found.status(), 200, "{id} was acknowledged and is lost");
    }
}

#[tokio::test]
async fn a_server_says_when_a_power_cut_may_lose_something() {
    let place = Place::new();
    let relaxed = place.serve_with(&[], &[("LONGHAUL_DURABILITY", "50ms")]).await;
    let health: Value =
        client().get(relaxed.at("/health")).send().await.expect("it answers").json().await.expect("JSON");
    assert_eq!(health["durability"], "50ms");
    assert!(relaxed.log().contains("a power cut loses at most"), "{}", relaxed.log());
    let doctor = place.run(&["doctor", "--url", &relaxed.url]).await;
    assert!(stdout(&doctor).contains("50ms: a power cut loses at most"), "{}", stdout(&doctor));
    let local = place.run(&["doctor", "--listen", relaxed.url.trim_start_matches("http://")]).await;
    assert!(stdout(&local).contains(", durability 50ms"), "{}", stdout(&local));
    relaxed.kill().await;

    let place = Place::new();
    let usual = place.serve(&[]).await;
    let health: Value =
        client().get(usual.at("/health")).send().await.expect("it answers").json().await.expect("JSON");
    assert_eq!(health["durability"], "sync");
    assert!(!usual.log().contains("power cut"), "{}", usual.log());
}

#[tokio::test]
async fn a_durability_that_would_not_be_heeded_is_refused() {
    let place = Place::new();
    for (args, told) in [
        (&["serve", "--durability", "fast"][..], "use sync, or a time from 2ms to 60s"),
        (&["serve", "--durability", "1ms"], "use sync, or a time from 2ms to 60s"),
        (
            &["serve", "--durability", "50ms", "--store", "postgres://127.0.0.1/jobs"],
            "synchronous_commit=off",
        ),
        (&["serve", "--durability", "50ms", "--store", "redis://127.0.0.1:1"], "appendfsync everysec"),
        (
            &["worker", "--durability", "50ms", "--store", "http://127.0.0.1:1"],
            "where that server is started",
        ),
    ] {
        let refused = place.run(args).await;
        assert!(
            !refused.status.success() && stderr(&refused).contains(told),
            "{args:?}: {}",
            stderr(&refused)
        );
    }
}
