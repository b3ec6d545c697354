//! The original document's own frontend code, run by node against the service.

use tokio::process::Command;

use crate::fixture::{Fixture, modules};

/// The original document's "Manual polling", as it stands.
const POLLING: &str = include_str!("frontend/polling.ts");
/// The surroundings of the frontend's code: `api`, `workflowId`, and a clock that runs fast.
const AROUND: &str = include_str!("frontend/around.mjs");
/// The fields that the original document's React component shows, computed from the status as its hook does.
const VIEW: &str = include_str!("frontend/view.mjs");

/// Runs a script with node and answers what it prints.
async fn node(f: &Fixture, script: &str, id: &str) -> String {
    let file = f.folder.path().join("script.mjs");
    std::fs::write(&file, script).unwrap();
    let ran = Command::new("node").arg(&file).args([&f.url, id]).kill_on_drop(true).output().await;
    let ran = ran.unwrap_or_else(|e| panic!("failed to run node ({e}): scripts/install-tools installs it"));
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[tokio::test]
async fn manual_polling_sees_the_end() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(3, 3.0)).await;
    let _worker = f.work();
    let printed = node(&f, &format!("{AROUND}\n{POLLING}"), &id).await;
    assert_eq!(printed, "Generation complete!\n");
    assert_eq!(f.status(&id).await["status"], "complete");
}

#[tokio::test]
async fn the_component_has_what_it_shows() {
    let double = fakes::Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(4, 3.0)).await;
    let script = format!("{AROUND}\n{VIEW}");
    f.start(&id).await;
    // The first module is written; the second one's lessons are not.
    double.fail_after(crate::fixture::CHAT, 3, fakes::Fault::Hang);
    let _worker = f.work();
    double.wait_for(crate::fixture::CHAT, 4).await;
    assert_eq!(
        node(&f, &script, &id).await,
        "progress 25\nGenerating module 2 of 4\nEstimated time remaining: 45 minutes\n"
    );
    let outline = Fixture::alone().await;
    let id = outline.workflow(&modules(4, 3.0)).await;
    outline.start(&id).await;
    let _other = outline.work();
    outline.completes(&id, 4).await;
    assert_eq!(
        node(&outline, &script, &id).await,
        "✅ All 4 modules generated!\nTotal lessons: 8\nTotal contact hours: 12\n"
    );
}
