//! Every example, run as its reader would: in an empty folder, on a free port.

mod programs;

use std::path::Path;

/// An example that does not fit on a screen or two teaches nothing.
#[test]
fn every_example_has_less_than_eighty_lines() {
    let mut seen = 0;
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the folder of the examples") {
        let path = entry.expect("a file").path();
        let is_example = path
            .extension()
            .and_then(|end| end.to_str())
            .is_some_and(|end| ["rs", "py", "mjs", "html"].contains(&end));
        if is_example {
            let lines = std::fs::read_to_string(&path).expect("a text").lines().count();
            assert!(lines < 80, "{} has {lines} lines", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen} examples");
}

/// The guide shows the files themselves, so that it cannot say what is not run.
#[test]
fn the_guide_shows_every_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = root.join("../docs");
    let mut shown = String::new();
    let mut folders = vec![guide];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the guide") {
            let path = entry.expect("an entry").path();
            match path.extension().and_then(|end| end.to_str()) {
                None if path.is_dir() => folders.push(path),
                Some("md") => shown.push_str(&std::fs::read_to_string(path).expect("a page")),
                _ => {}
            }
        }
    }
    for example in [
        "hello.rs",
        "upload.rs",
        "llm_stream.rs",
        "llm_stream.html",
        "fan_out.rs",
        "tenants.rs",
        "unique.rs",
        "collect.rs",
        "layers.rs",
        "schedules.rs",
        "transactional.rs",
        "python_worker.py",
        "react-page.mjs",
        "webhook_receiver.py",
        "webhook-receiver.mjs",
    ] {
        assert!(root.join(example).is_file(), "{example}");
        assert!(shown.contains(&format!("examples/{example}}}}}")), "no page includes {example}");
    }
}
