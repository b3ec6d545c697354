//! `longhaul doctor` and `longhaul completions`.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::crew::{Act, Crew};
use crate::server::{LONGHAUL, Place, stderr, stdout, until};

/// The statuses by check, where one of a name is enough.
fn statuses(output: &Output) -> BTreeMap<String, String> {
    let report: Value =
        serde_json::from_str(&stdout(output)).unwrap_or_else(|_| panic!("JSON: {}", stderr(output)));
    let checks = report["checks"].as_array().expect("checks").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let statuses: BTreeMap<String, String> =
        checks.clone().map(|check| (word(&check["check"]), word(&check["status"]))).collect();
    for check in checks.filter(|check| check["status"] != "ok") {
        assert!(check["advice"].as_str().is_some_and(|advice| advice.len() > 10), "no advice: {check}");
    }
    let is_healthy = !statuses.values().any(|status| status == "fail");
    assert_eq!(
        (report["healthy"].as_bool(), output.status.success()),
        (Some(is_healthy), is_healthy),
        "{report}"
    );
    statuses
}

/// Looks until all of these checks are ok. A server listens before its worker is first heard of, and is not ready while
/// its disk takes seconds for a write.
async fn sound(look: impl AsyncFn() -> Output, checks: &[&str]) -> Output {
    until(look, |output| {
        let statuses = statuses(output);
        checks.iter().all(|check| statuses.get(*check).is_some_and(|status| status == "ok"))
    })
    .await
}

#[tokio::test]
async fn a_doctor_tells_a_sound_place_from_one_that_is_not() {
    let place = Place::new();
    let before = statuses(&place.run(&["doctor", "--json"]).await);
    assert_eq!((before["store"].as_str(), before["data folder"].as_str()), ("warn", "warn"));
    assert!(!place.data().exists(), "nothing is made by looking");

    let server = place.serve(&["--services", "lessons"]).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let checks = ["store", "store writable", "workers", "port", "data folder", "services", "clock"];
    let looked = sound(async || place.run(&["doctor", "--json", "--listen", &address]).await, &checks).await;
    assert!(stdout(&looked).contains(&format!("a Longhaul server {} listens on", env!("CARGO_PKG_VERSION"))));

    let mut command = place.command(&["doctor", "--json", "--listen", "0.0.0.0:0"]);
    command
        .env("LONGHAUL_STORES", "x")
        .env("LLM_BASE_URL", "http://127.0.0.1:1/v1")
        .env("OCR_LANGUAGES", "!");
    let broken = crate::server::output(&mut command).await;
    let text = stdout(&broken);
    assert!(
        text.contains("nothing reads LONGHAUL_STORES") && text.contains("is it LONGHAUL_STORE?"),
        "{text}"
    );
    let broken = statuses(&broken);
    for (check, status) in [
        ("variables", "warn"),
        ("LLM_BASE_URL", "fail"),
        ("services", "fail"),
        ("admin token", "fail"),
        ("store", "ok"),
    ] {
        assert_eq!(broken[check], status, "{check}: {broken:?}");
    }

    let longhaul = Crew::idle(&place).await;
    longhaul.enqueue(Act { how: "stay".into(), n: 0 }).await.expect("it is enqueued");
    let alone = place.run(&["doctor"]).await;
    assert!(stdout(&alone).contains("1 jobs wait in stage, which no worker serves"), "{}", stdout(&alone));
}

#[tokio::test]
async fn a_doctor_names_what_keeps_a_server_from_starting() {
    let place = Place::new();
    let nowhere = statuses(&place.run(&["doctor", "--json", "--data", "/proc/x"]).await);
    assert_eq!(nowhere["data folder"], "fail", "{nowhere:?}");
    place.printed(&["migrate"]).await;
    let mut command = place.command(&["doctor", "--json"]);
    let strange = crate::server::output(command.env("LONGHAUL_REDACT", "password")).await;
    assert!(stdout(&strange).contains("'password' must begin with args"), "{}", stdout(&strange));
    let strange = statuses(&strange);
    assert_eq!((strange["LONGHAUL_REDACT"].as_str(), strange["store"].as_str()), ("fail", "ok"));
}

#[tokio::test]
async fn a_doctor_looks_at_a_server_from_afar() {
    let place = Place::new();
    let secret = "0123456789abcdef-secret";
    let server = place.serve_with(&["--services", "lessons"], &[("LONGHAUL_ADMIN_TOKEN", secret)]).await;
    let elsewhere = Place::new();
    let looked = async |url: &str, token: &str| {
        let mut command = elsewhere.command(&["doctor", "--json", "--url", url]);
        crate::server::output(command.env("LONGHAUL_TOKEN", token)).await
    };
    let checks = ["server", "ready", "token", "workers", "clock"];
    sound(async || looked(&server.url, secret).await, &checks).await;
    assert_eq!(statuses(&looked(&server.url, "not-the-token").await)["token"], "fail");
    assert_eq!(statuses(&looked("http://127.0.0.1:1", secret).await)["server"], "fail");
}

#[tokio::test]
async fn a_shell_takes_the_completions_and_completes_with_them() {
    let script = "source <(\"$0\" completions bash); COMP_WORDS=(longhaul jobs ''); COMP_CWORD=2; \
                  _longhaul longhaul '' jobs; echo \"${COMPREPLY[@]}\"";
    let output = crate::server::output(Command::new("bash").args(["-c", script, LONGHAUL])).await;
    let words = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    for word in ["list", "show", "tail", "retry", "cancel", "delete"] {
        assert!(words.split_whitespace().any(|offered| offered == word), "{word} in {words}");
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(Place::new().printed(&["completions", shell]).await.contains("longhaul"), "{shell}");
    }
}
