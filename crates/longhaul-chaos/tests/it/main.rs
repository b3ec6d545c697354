//! The program's own answers; what it finds is for `make chaos` and `make outage`.

use std::process::{Command, Output};

fn chaos(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul-chaos")).args(words).output().expect("the program runs")
}

#[test]
fn an_outage_of_a_store_without_a_server_is_refused() {
    let refused = chaos(&["outage", "--store", "sqlite", "--longhaul", "/nowhere"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("sqlite has no server that could go away"), "{said}");
}

#[test]
fn a_store_of_an_unknown_scheme_is_refused() {
    let words =
        ["worker", "--store", "mysql:jobs", "--history", "/dev/null", "--slots", "1", "--lease", "3000"];
    let refused = chaos(&words);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("failed to open mysql:jobs"), "{said}");
}
