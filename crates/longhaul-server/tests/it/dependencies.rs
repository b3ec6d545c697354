//! The allowed dependencies between the packages. Their direction keeps the engine usable without a database or a web framework,
//! and a service removable.

use std::process::Command;

use serde_json::Value;

/// The packages of this workspace that each package may use. The packages that are not named are services: each may
/// use [`SERVICE`], and the server may use each.
const MAY_USE: [(&str, &[&str]); 15] = [
    ("longhaul", &[]),
    ("longhaul-conformance", &["longhaul"]),
    ("longhaul-sqlite", &["longhaul"]),
    ("longhaul-postgres", &["longhaul"]),
    ("longhaul-redis", &["longhaul"]),
    ("longhaul-simulation", &["longhaul"]),
    ("longhaul-testservers", &[]),
    ("longhaul-http", &["longhaul"]),
    ("longhaul-webhooks", &["longhaul"]),
    ("service-support", &["longhaul", "longhaul-http", "longhaul-postgres", "longhaul-sqlite"]),
    ("fakes", &["longhaul"]),
    ("examples", &["longhaul", "longhaul-http", "longhaul-sqlite"]),
    (
        "longhaul-bench",
        &["longhaul", "longhaul-http", "longhaul-postgres", "longhaul-redis", "longhaul-sqlite"],
    ),
    ("longhaul-chaos", CHAOS_USES),
    (SERVER, SERVER_USES),
];
/// A program for tests: it starts stores, and the servers under them.
const CHAOS_USES: &[&str] =
    &["longhaul", "longhaul-postgres", "longhaul-redis", "longhaul-sqlite", "longhaul-testservers"];
const SERVICE: &[&str] = &["longhaul", "longhaul-http", "service-support"];
const SERVER: &str = "longhaul-server";
const SERVER_USES: &[&str] = &[
    "longhaul",
    "longhaul-bench",
    "longhaul-http",
    "longhaul-sqlite",
    "longhaul-postgres",
    "longhaul-redis",
    "longhaul-webhooks",
    "service-support",
];

/// Databases and web frameworks, none of which the engine may bring with it.
const FOREIGN_TO_THE_ENGINE: [&str; 8] =
    ["axum", "hyper", "tower", "reqwest", "rusqlite", "libsqlite3-sys", "tokio-postgres", "redis"];

#[test]
fn packages_depend_only_on_what_they_may() {
    let packages = workspace();
    let names: Vec<&str> = packages.iter().map(|package| text(&package["name"])).collect();
    assert!(names.contains(&SERVER), "cargo metadata lists this package among {names:?}");
    for package in &packages {
        let name = text(&package["name"]);
        let allowed =
            MAY_USE.iter().find(|(known, _)| *known == name).map_or(SERVICE, |(_, allowed)| allowed);
        for dependency in package["dependencies"].as_array().expect("a list") {
            let on = text(&dependency["name"]);
            // A test may use anything but the server: its own store, the suite, the doubles.
            let for_tests = dependency["kind"] == "dev";
            if !names.contains(&on) || (for_tests && on != SERVER) {
                continue;
            }
            let is_service = !MAY_USE.iter().any(|(known, _)| *known == on);
            let may = allowed.contains(&on) || (name == SERVER && is_service);
            assert!(may, "{name} must not depend on {on}");
        }
    }
}

#[test]
fn the_engine_brings_no_database_and_no_web_framework() {
    let brought = tree(&["--package", "longhaul"]);
    assert!(brought.contains(&"tokio".to_owned()), "cargo tree lists what the engine needs: {brought:?}");
    for foreign in FOREIGN_TO_THE_ENGINE {
        assert!(!brought.contains(&foreign.to_owned()), "longhaul must not bring {foreign}");
    }
}

#[test]
fn ring_is_the_only_tls_backend() {
    let brought = tree(&["--workspace"]);
    assert!(brought.contains(&"ring".to_owned()), "cargo tree lists the whole workspace");
    for other in ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"] {
        let why =
            format!("{other} costs build time and a C toolchain; find who brings it: cargo tree -i {other}");
        assert!(!brought.contains(&other.to_owned()), "{why}");
    }
}

/// The workspace's packages with their direct dependencies.
fn workspace() -> Vec<Value> {
    let json = cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&json).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

/// The names of all packages that get into a build, tests aside.
fn tree(of: &[&str]) -> Vec<String> {
    let base = ["tree", "--edges=normal,build", "--prefix=none", "--format={p}", "--offline"];
    let lines = cargo(&[&base[..], of].concat());
    lines.lines().filter_map(|line| line.split(' ').next()).map(String::from).collect()
}

fn cargo(args: &[&str]) -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(env!("CARGO")).args(args).args(["--manifest-path", manifest]).output();
    let output = output.expect("cargo runs, for it runs this test");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
