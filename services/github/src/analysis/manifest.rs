use std::collections::BTreeSet;

use serde_json::Value;

use super::Dependency;

/// A form of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manifest {
    /// `package.json` and `composer.json`.
    Json,
    /// `Cargo.toml` and `pyproject.toml`.
    Toml,
    /// `requirements.txt`.
    Requirements,
    /// `go.mod`.
    GoMod,
    /// `Gemfile`.
    Gemfile,
    /// `pom.xml`.
    Pom,
    /// `build.gradle`, in either language.
    Gradle,
}

/// Of one manifest more are not taken.
const MAX_DEPENDENCIES: usize = 200;
/// The longest name of a package that is taken, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// The form of a file at a repository's root that names dependencies; `None` for others.
pub(crate) fn is_manifest(name: &str) -> Option<Manifest> {
    match name {
        "package.json" | "composer.json" => Some(Manifest::Json),
        "Cargo.toml" | "pyproject.toml" => Some(Manifest::Toml),
        "requirements.txt" => Some(Manifest::Requirements),
        "go.mod" => Some(Manifest::GoMod),
        "Gemfile" => Some(Manifest::Gemfile),
        "pom.xml" => Some(Manifest::Pom),
        "build.gradle" | "build.gradle.kts" => Some(Manifest::Gradle),
        _ => None,
    }
}

/// The packages that a manifest names, by the alphabet. What cannot be read names none: a repository may hold anything
/// under such a name.
pub(crate) fn dependencies(manifest: Manifest, text: &str) -> Vec<Dependency> {
    let names = match manifest {
        Manifest::Json => json(text),
        Manifest::Toml => toml(text),
        Manifest::Requirements => text.lines().filter_map(requirement).collect(),
        Manifest::GoMod => go_mod(text),
        Manifest::Gemfile => {
            text.lines().filter_map(|line| quoted(line.trim().strip_prefix("gem ")?)).collect()
        }
        Manifest::Pom => between(text, "<artifactId>", "</artifactId>"),
        Manifest::Gradle => text.lines().filter_map(gradle).collect(),
    };
    let names: BTreeSet<String> = names.into_iter().map(|name| name.trim().to_lowercase()).collect();
    let fits = |name: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@/._-+:".contains(c);
        !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain)
    };
    names.into_iter().filter(fits).take(MAX_DEPENDENCIES).map(|name| Dependency { name }).collect()
}

fn json(text: &str) -> Vec<String> {
    let Ok(json) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let sections = ["dependencies", "devDependencies", "peerDependencies", "require", "require-dev"];
    let sections = sections.iter().filter_map(|section| json.get(section)?.as_object());
    // PHP lists itself and its extensions.
    let names = sections.flat_map(serde_json::Map::keys);
    names.filter(|name| *name != "php" && !name.starts_with("ext-")).cloned().collect()
}

/// Reads the sections and lists that name packages, line by line: enough for manifests, whose form their tools keep.
fn toml(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut section, mut in_list) = (String::new(), false);
    for line in text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()) {
        if in_list {
            names.extend(requirement(line.trim_matches([',', '"', '\'', ' '])));
            in_list = !line.ends_with(']');
        } else if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_owned();
            // `[dependencies.serde]`
            if let Some((table, name)) = section.rsplit_once('.')
                && is_dependency_table(table)
                && table.ends_with("dependencies")
            {
                names.push(name.trim_matches('"').to_owned());
            }
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().trim_matches('"');
            if is_dependency_table(&section) {
                // `serde.workspace = true`; Poetry names Python itself.
                names.extend(key.split('.').next().filter(|name| *name != "python").map(str::to_owned));
            } else if section == "project" && key == "dependencies" {
                let list = value.trim().trim_start_matches('[');
                let items = list
                    .trim_end_matches(']')
                    .split("\",")
                    .map(|item| item.trim_matches(['"', '\'', ' ', ',']));
                names.extend(items.filter_map(requirement));
                in_list = !value.trim().ends_with(']');
            }
        }
    }
    names
}

fn is_dependency_table(section: &str) -> bool {
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables.iter().any(|table| {
        let before = section.strip_suffix(table);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// The package of a requirement: `requests[security]>=2.8 ; python_version < "3"`.
fn requirement(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if !line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(line.len());
    line.get(..end).map(str::to_owned)
}

fn go_mod(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        match line {
            "require (" => in_block = true,
            ")" => in_block = false,
            _ => {
                let module = if in_block { Some(line) } else { line.strip_prefix("require ") };
                // A dependency of a dependency says nothing of the author.
                let module = module.filter(|line| !line.ends_with("// indirect"));
                names.extend(module.and_then(|line| line.split_whitespace().next()).map(str::to_owned));
            }
        }
    }
    names
}

/// The artifact of `implementation("group:artifact:version")`.
fn gradle(line: &str) -> Option<String> {
    let line = line.trim();
    let words = ["implementation", "api", "testImplementation", "compileOnly", "kapt"];
    let rest = words.iter().find_map(|word| line.strip_prefix(word))?;
    quoted(rest)?.split(':').nth(1).map(str::to_owned)
}

fn quoted(text: &str) -> Option<String> {
    let start = text.find(['"', '\''])?;
    let quote = text.as_bytes().get(start).copied()? as char;
    let rest = text.get(start + 1..)?;
    rest.split(quote).next().map(str::to_owned)
}

fn between(text: &str, open: &str, close: &str) -> Vec<String> {
    let parts = text.split(open).skip(1);
    parts.filter_map(|part| part.split_once(close).map(|(name, _)| name.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(file: &str, text: &str) -> Vec<String> {
        dependencies(is_manifest(file).unwrap(), text).into_iter().map(|dependency| dependency.name).collect()
    }

    #[test]
    fn each_form_names_its_packages() {
        let json = r#"{"name":"x","dependencies":{"react":"^18","@angular/core":"1"},"devDependencies":{"Jest":"1"}}"#;
        assert_eq!(names("package.json", json), ["@angular/core", "jest", "react"]);
        assert_eq!(
            names("composer.json", r#"{"require":{"php":">=8","laravel/framework":"^11"}}"#),
            ["laravel/framework"]
        );
        let cargo = "[package]\nname = \"x\"\n[dependencies]\nserde.workspace = true # why\ntokio = { version = \"1\" }\n\
                     [target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n[dev-dependencies.proptest]\nversion = \"1\"\n[features]\na = []";
        assert_eq!(names("Cargo.toml", cargo), ["libc", "proptest", "serde", "tokio"]);
        let project = "[project]\ndependencies = [\n  \"fastapi>=0.1\",\n  'uvicorn[standard]',\n]\nname = \"x\"\n\
                       [tool.poetry.dependencies]\npython = \"^3\"\nFlask = \"*\"";
        assert_eq!(names("pyproject.toml", project), ["fastapi", "flask", "uvicorn"]);
        assert_eq!(
            names("pyproject.toml", "[project]\ndependencies = [\"a>=1\", \"b\"]\n[x]\nc = 1"),
            ["a", "b"]
        );
        assert_eq!(
            names("requirements.txt", "# x\nDjango==5\n-r other.txt\nrequests[security]>=2 ; x\n\n"),
            ["django", "requests"]
        );
        let go = "module x\ngo 1.22\nrequire github.com/a/b v1\nrequire (\n\tgithub.com/gin-gonic/gin v1\n\tgolang.org/x/sys v0 // indirect\n)";
        assert_eq!(names("go.mod", go), ["github.com/a/b", "github.com/gin-gonic/gin"]);
        assert_eq!(
            names("Gemfile", "source 'https://x'\ngem 'rails', '~> 7'\n  gem \"rspec\""),
            ["rails", "rspec"]
        );
        assert_eq!(names("pom.xml", "<dependency><artifactId>junit</artifactId></dependency>"), ["junit"]);
        assert_eq!(
            names("build.gradle.kts", "  implementation(\"io.ktor:ktor-server:2\")\n  x(\"a:b:c\")"),
            ["ktor-server"]
        );
    }

    #[test]
    fn what_is_no_manifest_names_nothing() {
        let files = ["package.json", "Cargo.toml", "go.mod", "Gemfile", "pom.xml", "build.gradle"];
        for file in files {
            for text in
                ["", "\u{0}\u{1}", "{", "[", "[dependencies", "<artifactId>", "gem '", "require (", "api("]
            {
                assert_eq!(names(file, text), Vec::<String>::new(), "{file} {text:?}");
            }
        }
        assert_eq!(names("requirements.txt", "\u{0}\n# x\n-e .\n"), Vec::<String>::new());
        assert_eq!(is_manifest("README.md"), None);
        let many: String = (0..500).map(|n| format!("package{n}\n")).collect();
        assert_eq!(names("requirements.txt", &many).len(), MAX_DEPENDENCIES);
    }
}
