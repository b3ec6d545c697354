//! Schedules from the command line, and from a file.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::crew::Crew;
use crate::server::{PATIENCE, Place, client, stderr};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn a_schedule_is_made_looked_at_run_paused_and_deleted() {
    let place = Place::new();
    Crew::idle(&place).await;
    assert_eq!(
        place.printed(&["schedules"]).await,
        "there is no schedule: longhaul schedules set --help makes one\n"
    );
    let set = ["schedules", "set", "nightly", "act", "how=talk", "--queue", "stage", "--cron", "0 3 * * *"];
    let made =
        place.printed(&[&set[..], &["--timezone", "Europe/Berlin", "--label", "team=ops"]].concat()).await;
    assert!(made.contains("fires      At 03:00 (Europe/Berlin)\n"), "{made}");
    assert!(made.contains("job        act {\"how\":\"talk\"} in queue stage\n"), "{made}");
    let list = place.printed(&["schedules"]).await;
    assert!(
        list.starts_with("SCHEDULE") && list.contains("nightly   At 03:00 (Europe/Berlin)  act"),
        "{list}"
    );
    let listed = json(&place.printed(&["schedules", "list", "--json"]).await);
    assert_eq!(listed["job"]["labels"]["team"], "ops");
    assert_eq!(json(&place.printed(&["schedules", "show", "nightly", "--json"]).await), listed);

    let id = place.printed(&["schedules", "run", "nightly"]).await;
    assert!(id.starts_with("schedule:nightly:run:"), "{id}");
    let jobs = place.printed(&["jobs", "list", "label.schedule:nightly", "--json"]).await;
    assert_eq!(json(&jobs)["id"], id.trim());
    assert_eq!(
        place.printed(&["schedules", "pause", "nightly"]).await,
        "nightly is paused; longhaul schedules resume nightly goes on\n"
    );
    assert!(place.printed(&["schedules"]).await.trim_end().ends_with("paused"));
    assert!(
        place
            .printed(&["schedules", "resume", "nightly"])
            .await
            .starts_with("nightly is not paused: its next tick is ")
    );
    assert!(place.printed(&["schedules", "delete", "nightly"]).await.starts_with("nightly is deleted; "));

    let often =
        place.printed(&["schedules", "set", "often", "act", "--queue", "stage", "--every", "15m"]).await;
    assert!(often.contains("fires      Every 15 minutes\n"), "{often}");
    let missing = stderr(&place.run(&["schedules", "run", "ofen"]).await);
    assert_eq!(missing, "longhaul: there is no schedule ofen; there are often\n");
}

#[tokio::test]
async fn a_schedule_takes_the_options_of_a_job_that_is_run() {
    let place = Place::new();
    Crew::idle(&place).await;
    let options = ["--prefer", "gpu=a100", "--prefer-hard", "--on-exhausted", "pause"];
    let webhook = ["--webhook", "https://example.com/hooks", "--webhook-events", "failed"];
    let set = ["schedules", "set", "s", "act", "--queue", "stage", "--every", "1h", "--paused", "--json"];
    let made = json(&place.printed(&[&set[..], &options, &webhook].concat()).await);
    assert_eq!(made["paused"], true);
    let expected = serde_json::json!({"url": "https://example.com/hooks", "events": ["failed"]});
    assert_eq!(made["job"]["webhook"], expected);
    let run = ["run", "act", "--queue", "stage", "--json"];
    let run = json(&place.printed(&[&run[..], &options].concat()).await);
    for (field, value) in [
        ("prefer", serde_json::json!({"gpu": "a100"})),
        ("prefer_hard", true.into()),
        ("on_exhausted", "pause".into()),
    ] {
        assert_eq!((&made["job"][field], &run[field]), (&value, &value), "{field}");
    }

    let flags = async |command: &[&str]| -> BTreeSet<String> {
        let help = place.printed(&[command, &["--help"]].concat()).await;
        let flag = |line: &str| {
            let line = line.trim_start();
            let flag = line.split([' ', ',']).find(|word| word.starts_with("--"))?;
            line.starts_with('-').then(|| flag.to_owned())
        };
        help.lines().filter_map(flag).collect()
    };
    let (of_run, of_set) = (flags(&["run"]).await, flags(&["schedules", "set"]).await);
    assert!(of_run.contains("--webhook") && of_run.len() > 20, "{of_run:?}");
    let missing: Vec<&str> = of_run.difference(&of_set).map(String::as_str).collect();
    // A tick has its own time and id, belongs to no other job, and nobody waits for it.
    let of_one_run = [
        "--at",
        "--cancel-on-interrupt",
        "--delay",
        "--depends-on",
        "--give-up-after",
        "--id",
        "--parent",
        "--quiet",
        "--wait",
    ];
    assert_eq!(missing, of_one_run);
}

#[tokio::test]
async fn a_schedule_that_is_wrong_is_refused_with_what_is_right() {
    let place = Place::new();
    Crew::idle(&place).await;
    let set = ["schedules", "set", "s", "act", "--queue", "stage"];
    for (flags, told) in [
        (&["--cron", "0 3 * *"][..], "cron must be 'minute hour day-of-month month day-of-week'"),
        (
            &["--cron", "0 3 * * *", "--timezone", "Berlin"],
            "timezone must be a time zone of the IANA database",
        ),
        (&["--every", "1500ms"], "every must be a whole number of seconds"),
        (&["--every", "soon"], "use 30s, 10m, 2h or 7d"),
        (&[], "--cron <PATTERN>|--every <DURATION>"),
        (&["--every", "15m", "--timezone", "UTC"], "cannot be used with"),
    ] {
        let refused = place.run(&[&set[..], flags].concat()).await;
        let words = stderr(&refused).replace("cron: must", "cron must").replace("zone: must", "zone must");
        let words = words.replace("every: must", "every must");
        assert!(!refused.status.success() && words.contains(told), "{flags:?}: {words}");
    }
}

#[tokio::test]
async fn a_server_keeps_the_schedules_of_its_file_and_fires_them() {
    let place = Place::new();
    let file = place.log().with_file_name("schedules.toml");
    let path = file.to_str().expect("a path");
    let write = |text: &str| std::fs::write(&file, text).expect("it is written");
    write(
        r#"
[schedules.often]
every = 1
catch_up = "none"
job = { kind = "of-a-remote-worker", args = { n = 1, path = "/tmp" }, queue = "elsewhere" }

[schedules.nightly]
cron = "0 3 * * *"
timezone = "Europe/Berlin"
[schedules.nightly.job]
kind = "of-a-remote-worker"
args = {}
"#,
    );
    let server = place.serve(&["--schedules", path]).await;
    let http = client();
    let get = async |path: &str| -> Value {
        http.get(server.at(path)).send().await.expect("it answers").json().await.expect("JSON")
    };
    let listed = get("/api/schedules").await;
    assert_eq!(
        (&listed["schedules"][0]["name"], &listed["schedules"][0]["origin"]),
        (&"nightly".into(), &"file".into())
    );
    let fired = async {
        loop {
            let schedule = get("/api/schedules/often").await;
            if let Some(id) = schedule["last_job"].as_str() {
                return id.to_owned();
            }
            // Until the next whole second; the answer comes by itself.
            tokio::task::yield_now().await;
        }
    };
    let id = tokio::time::timeout(PATIENCE, fired).await.expect("it fires");
    let job = get(&format!("/api/jobs/{id}")).await;
    assert_eq!((&job["args"]["n"], &job["queue"]), (&1.into(), &"elsewhere".into()), "{job}");
    server.kill().await;

    write("[schedules.nightly]\ncron = \"0 4 * * *\"\njob = { kind = \"of-a-remote-worker\", args = {} }\n");
    let server = place.serve_with(&["--no-worker"], &[("LONGHAUL_SCHEDULES", path)]).await;
    let listed: Value =
        http.get(server.at("/api/schedules")).send().await.expect("it answers").json().await.expect("JSON");
    assert_eq!(listed["schedules"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["schedules"][0]["cron"], "0 4 * * *");
    server.kill().await;

    write("[schedules.nightly]\ncron = \"0 4 * *\"\njob = { kind = \"k\" }\n");
    let told = stderr(&place.run(&["serve", "--schedules", path]).await);
    assert!(told.contains("schedules.nightly.job: missing field `args`"), "{told}");
    let missing = stderr(&place.run(&["serve", "--schedules", "nowhere.toml"]).await);
    assert!(missing.contains("failed to read the schedules of nowhere.toml"), "{missing}");
}
