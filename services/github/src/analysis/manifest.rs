//! The packages that a repository's manifests name. A repository may hold anything under such a name: what cannot be read
//! names none.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::Dependency;

/// A form of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manifest {
    PackageJson,
    ComposerJson,
    Cargo,
    PyProject,
    Pipfile,
    /// `requirements.txt` and its like.
    Requirements,
    GoMod,
    Gemfile,
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
        "package.json" => Some(Manifest::PackageJson),
        "composer.json" => Some(Manifest::ComposerJson),
        "Cargo.toml" => Some(Manifest::Cargo),
        "pyproject.toml" => Some(Manifest::PyProject),
        "Pipfile" => Some(Manifest::Pipfile),
        "requirements.txt"
        | "requirements.in"
        | "requirements-dev.txt"
        | "requirements_dev.txt"
        | "dev-requirements.txt"
        | "requirements-test.txt"
        | "test-requirements.txt" => Some(Manifest::Requirements),
        "go.mod" => Some(Manifest::GoMod),
        "Gemfile" | "gems.rb" => Some(Manifest::Gemfile),
        "pom.xml" => Some(Manifest::Pom),
        "build.gradle" | "build.gradle.kts" => Some(Manifest::Gradle),
        _ => None,
    }
}

/// The packages that a manifest names, by the alphabet.
pub(crate) fn dependencies(manifest: Manifest, bytes: &[u8]) -> Vec<Dependency> {
    let text = &*decode(bytes);
    let (registry, names) = match manifest {
        Manifest::PackageJson => ("npm", package_json(&json(text))),
        Manifest::ComposerJson => ("composer", composer(&json(text))),
        Manifest::Cargo => ("cargo", cargo(&toml(text))),
        Manifest::PyProject => ("pypi", py_project(&toml(text))),
        Manifest::Pipfile => ("pypi", keys(&toml(text), &["/packages", "/dev-packages"])),
        Manifest::Requirements => ("pypi", requirements(text)),
        Manifest::GoMod => ("go", go_mod(text)),
        Manifest::Gemfile => ("gem", text.lines().filter_map(gem).collect()),
        Manifest::Pom => ("maven", pom(text)),
        Manifest::Gradle => ("maven", text.lines().filter_map(gradle).collect()),
    };
    let names: BTreeSet<String> = names.into_iter().map(|name| normal(registry, &name)).collect();
    let fits = |name: &String| {
        let is_plain = |c: char| c.is_alphanumeric() || "@/._-".contains(c);
        !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain)
    };
    let named = names.into_iter().filter(fits).take(MAX_DEPENDENCIES);
    named.map(|name| Dependency { name, registry: registry.to_owned() }).collect()
}

/// The text of a manifest: UTF-8, or UTF-16 with its mark, as `pip freeze > requirements.txt` makes it on Windows.
fn decode(bytes: &[u8]) -> String {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xff, 0xfe, text @ ..] => utf_16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf_16(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        text => String::from_utf8_lossy(text).into_owned(),
    }
}

/// The form in which names are the same: PyPI does not tell `scikit_learn` from `Scikit-Learn` (PEP 503).
fn normal(registry: &str, name: &str) -> String {
    let name = name.trim().to_lowercase();
    if registry != "pypi" {
        return name;
    }
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// A document with mistakes gives what is readable of it.
fn toml(text: &str) -> Value {
    let (table, _) = DeTable::parse_recoverable(text);
    object(table.get_ref())
}

fn object(table: &DeTable<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| (key.get_ref().to_string(), of_toml(value.get_ref())));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn of_toml(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Array(values) => values.iter().map(|value| of_toml(value.get_ref())).collect(),
        DeValue::Table(table) => object(table),
        // Versions and switches: no dependency is in them.
        _ => Value::Null,
    }
}

/// The keys of the objects that are at these places.
fn keys(document: &Value, places: &[&str]) -> Vec<String> {
    let tables = places.iter().filter_map(|place| document.pointer(place)?.as_object());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

fn package_json(document: &Value) -> Vec<String> {
    let tables = ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];
    let tables = tables.iter().filter_map(|table| document.get(table)?.as_object());
    let name = |(key, version): (&String, &Value)| {
        // `"old": "npm:react@^17"` is react under another name.
        let alias = version.as_str().and_then(|version| version.strip_prefix("npm:"));
        let renamed = alias.map(|alias| match alias.rfind('@') {
            Some(at) if at > 0 => alias.get(..at).unwrap_or(alias).to_owned(),
            _ => alias.to_owned(),
        });
        renamed.unwrap_or_else(|| key.clone())
    };
    tables.flatten().map(name).collect()
}

/// Without the language and its extensions, which are no packages.
fn composer(document: &Value) -> Vec<String> {
    let mut names = keys(document, &["/require", "/require-dev"]);
    names.retain(|name| name.contains('/'));
    names
}

fn cargo(document: &Value) -> Vec<String> {
    let mut tables: Vec<&Value> = vec![document];
    tables.extend(document.get("workspace"));
    tables.extend(document.get("target").and_then(Value::as_object).into_iter().flat_map(Map::values));
    let lists = ["dependencies", "dev-dependencies", "dev_dependencies", "build-dependencies"];
    let lists = tables.iter().flat_map(|table| lists.iter().filter_map(|list| table.get(list)?.as_object()));
    // `json = { package = "serde_json" }` is serde_json under another name.
    let name = |(key, value): (&String, &Value)| {
        value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
    };
    lists.flatten().map(name).collect()
}

/// PEP 621 and PEP 735, and the tables of Poetry, PDM, uv and Hatch.
fn py_project(document: &Value) -> Vec<String> {
    let poetry = "/tool/poetry/group";
    let mut names = keys(document, &["/tool/poetry/dependencies", "/tool/poetry/dev-dependencies"]);
    let groups = document.pointer(poetry).and_then(Value::as_object).into_iter().flat_map(Map::values);
    names.extend(groups.flat_map(|group| keys(group, &["/dependencies"])));
    names.retain(|name| name != "python");

    let lists = ["/project/dependencies", "/tool/uv/dev-dependencies"];
    let mut lists: Vec<&Value> = lists.iter().filter_map(|place| document.pointer(place)).collect();
    let tables = ["/project/optional-dependencies", "/dependency-groups", "/tool/pdm/dev-dependencies"];
    let tables = tables.iter().filter_map(|place| document.pointer(place)?.as_object());
    lists.extend(tables.flat_map(Map::values));
    let environments = document.pointer("/tool/hatch/envs").and_then(Value::as_object);
    let environments = environments.into_iter().flat_map(Map::values);
    lists.extend(environments.filter_map(|environment| environment.get("dependencies")));
    let entries = lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    names.extend(entries.filter_map(requirement));
    names
}

/// A line that ends in a backslash goes on, with hashes as a rule.
fn requirements(text: &str) -> Vec<String> {
    text.replace("\\\r\n", " ").replace("\\\n", " ").lines().filter_map(requirement).collect()
}

/// The package of a requirement: `requests[security]>=2.8 ; python_version < "3"`, `name @ https://…`, `-e git+…#egg=name`.
fn requirement(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some((_, egg)) = line.split_once("#egg=") {
        return leading_name(egg);
    }
    let line = line.split(" #").next().unwrap_or_default();
    let name = leading_name(line)?;
    let rest = line.get(name.len()..).unwrap_or_default().trim_start();
    // What is no name is an address or a path.
    (rest.is_empty() || rest.starts_with(['[', '=', '<', '>', '!', '~', ';', '@', '(', '#', '-', ',']))
        .then_some(name)
}

fn leading_name(text: &str) -> Option<String> {
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(text.len());
    text.get(..end).map(str::to_owned)
}

fn go_mod(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(')') {
            in_block = false;
        } else if let Some(rest) = line.strip_prefix("require").map(str::trim_start).filter(|_| !in_block) {
            in_block = rest.starts_with('(');
            names.extend(module(rest.trim_start_matches('(')));
        } else if in_block {
            names.extend(module(line));
        }
    }
    names
}

/// A dependency of a dependency says nothing of the author.
fn module(line: &str) -> Option<String> {
    let (line, comment) = line.split_once("//").unwrap_or((line, ""));
    let name = line.split_whitespace().next()?;
    (comment.trim() != "indirect").then(|| name.trim_matches('"').to_owned())
}

/// The gem of `gem 'rails', '~> 7'`.
fn gem(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("gem")?;
    if !rest.starts_with([' ', '(', '\t']) {
        return None;
    }
    quoted(rest)
}

/// The artifacts of dependencies and of the parent; those of plugins and of what is left out are none.
fn pom(text: &str) -> Vec<String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut open: Vec<Vec<u8>> = Vec::new();
    let mut names = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => open.push(element.local_name().as_ref().to_vec()),
            Ok(Event::End(_)) => drop(open.pop()),
            Ok(Event::Text(text)) => {
                let is_named = match open.as_slice() {
                    [.., parent, name] => {
                        name == b"artifactId"
                            && (parent == b"dependency" || (parent == b"parent" && open.len() == 3))
                    }
                    _ => false,
                };
                if is_named && !open.iter().any(|name| name == b"plugin") {
                    names.push(String::from_utf8_lossy(&text).trim().to_owned());
                }
            }
            Ok(Event::Eof) | Err(_) => return names,
            Ok(_) => {}
        }
    }
}

/// The words that Gradle's dependencies begin with, in any case at the end of a longer one: `testImplementation`.
const CONFIGURATIONS: [&str; 9] = [
    "implementation",
    "api",
    "compileonly",
    "runtimeonly",
    "annotationprocessor",
    "compile",
    "kapt",
    "ksp",
    "classpath",
];

/// The artifact of `implementation("group:artifact:version")` or `implementation group: 'g', name: 'a'`, and the plugin of
/// `id("org.springframework.boot")`.
fn gradle(line: &str) -> Option<String> {
    let line = line.trim();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (word, rest) = line.split_at_checked(end)?;
    let word = word.to_ascii_lowercase();
    let rest = rest.trim_start();
    if word == "id" {
        return quoted(rest).filter(|id| id.contains('.'));
    }
    let is_call =
        rest.starts_with(['(', '"', '\'']) || rest.starts_with("group") || rest.starts_with("platform");
    if !is_call || !CONFIGURATIONS.iter().any(|configuration| word.ends_with(configuration)) {
        return None;
    }
    if let Some((_, named)) = rest.split_once("name:").or_else(|| rest.split_once("name =")) {
        return quoted(named);
    }
    quoted(rest)?.split(':').nth(1).map(str::to_owned)
}

fn quoted(text: &str) -> Option<String> {
    let start = text.find(['"', '\''])?;
    let quote = text.as_bytes().get(start).copied()? as char;
    let rest = text.get(start + 1..)?;
    rest.split_once(quote).map(|(inside, _)| inside.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(file: &str, text: &str) -> Vec<String> {
        of_bytes(file, text.as_bytes())
    }

    fn of_bytes(file: &str, bytes: &[u8]) -> Vec<String> {
        dependencies(is_manifest(file).unwrap(), bytes)
            .into_iter()
            .map(|dependency| dependency.name)
            .collect()
    }

    #[test]
    fn packages_of_javascript_and_php() {
        let json = "\u{feff}{\"name\":\"x\",\"dependencies\":{\"react\":\"^18\",\"@angular/core\":\"1\",\"old\":\"npm:@types/node@20\"},\
                    \"devDependencies\":{\"Jest\":\"1\"},\"peerDependencies\":{\"vue\":\"3\"},\"optionalDependencies\":null,\
                    \"bundledDependencies\":[\"x\"]}";
        assert_eq!(names("package.json", json), ["@angular/core", "@types/node", "jest", "react", "vue"]);
        let json = r#"{"require":{"php":">=8","ext-mbstring":"*","laravel/framework":"^11"},"require-dev":{"phpunit/phpunit":"1"}}"#;
        assert_eq!(names("composer.json", json), ["laravel/framework", "phpunit/phpunit"]);
    }

    #[test]
    fn packages_of_rust() {
        let cargo = "[package]\nname = \"x\"\n[dependencies]\nserde.workspace = true # why\n\
                     json = { package = \"serde_json\", version = \"1\" }\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
                     [dev-dependencies.proptest]\nversion = \"1\"\n[build-dependencies]\ncc = \"1\"\n[features]\na = []\n\
                     [workspace]\nmembers = [\"a\"]\n[workspace.dependencies]\ntokio = { version = \"1\", features = [\"full\"] }";
        assert_eq!(names("Cargo.toml", cargo), ["cc", "libc", "proptest", "serde", "serde_json", "tokio"]);
        // A mistake costs its own line.
        assert_eq!(names("Cargo.toml", "[dependencies]\na = \"1\"\na = \"2\"\nb = \nc = \"1\"\n")[0], "a");
    }

    #[test]
    fn packages_of_python() {
        let project = "[build-system]\nrequires = [\"setuptools\"]\n[project]\nname = \"x\"\n\
            dependencies = [\n  \"fastapi>=0.1\", # why\n  'uvicorn[standard]',\n  \"a @ https://x/a.whl\",\n]\n\
            [project.optional-dependencies]\ndev = [\"pytest\", \"ruff ; python_version > '3'\"]\n\
            [dependency-groups]\nlint = [\"mypy\", {include-group = \"test\"}]\n\
            [tool.poetry.dependencies]\npython = \"^3\"\nFlask = \"*\"\n\
            [tool.poetry.group.dev.dependencies]\nblack = \"*\"\n[tool.uv]\ndev-dependencies = [\"tox\"]\n\
            [tool.hatch.envs.default]\ndependencies = [\"hypothesis\"]\n";
        assert_eq!(
            names("pyproject.toml", project),
            ["a", "black", "fastapi", "flask", "hypothesis", "mypy", "pytest", "ruff", "tox", "uvicorn"]
        );
        let text = "\u{feff}Django==5\n# x\n-r other.txt\n--hash=sha256:0\nrequests[security]>=2 ; python_version < '3'\r\n\
                    scikit_learn\nzope.interface # why\n-e git+https://github.com/x/y#egg=y\nhttps://x/z.whl\n./local\n\
                    c:/wheels/w.whl\nnumpy==1 \\\n    --hash=sha256:1\npip-tools\nname @ git+https://x/y\n\n";
        assert_eq!(
            names("requirements.txt", text),
            ["django", "name", "numpy", "pip-tools", "requests", "scikit-learn", "y", "zope-interface"]
        );
        let utf_16: Vec<u8> = [0xfeff_u16]
            .into_iter()
            .chain("Flask==3\r\n".encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(of_bytes("requirements.txt", &utf_16), ["flask"]);
        assert_eq!(
            names("Pipfile", "[packages]\nflask = \"*\"\n[dev-packages]\npytest = \"*\"\n"),
            ["flask", "pytest"]
        );
    }

    #[test]
    fn packages_of_go_ruby_and_java() {
        let go = "module x\ngo 1.22\nrequire github.com/a/b v1\nrequire (\n\tgithub.com/gin-gonic/gin v1 // why\n\tgolang.org/x/sys v0 // indirect\n)\nreplace x => y\n";
        assert_eq!(names("go.mod", go), ["github.com/a/b", "github.com/gin-gonic/gin"]);
        let gems = "source 'https://x'\ngem 'rails', '~> 7'\n  gem \"rspec\"\n# gem 'no'\ngemspec\ngem('pg')";
        assert_eq!(names("Gemfile", gems), ["pg", "rails", "rspec"]);
        let pom = "<project><parent><artifactId>spring-boot-starter-parent</artifactId></parent><artifactId>mine</artifactId>\
            <dependencies><dependency><artifactId> junit </artifactId><exclusions><exclusion><artifactId>no</artifactId></exclusion></exclusions></dependency></dependencies>\
            <dependencyManagement><dependencies><dependency><artifactId>bom</artifactId></dependency></dependencies></dependencyManagement>\
            <build><plugins><plugin><artifactId>no</artifactId><dependencies><dependency><artifactId>no</artifactId></dependency></dependencies></plugin></plugins></build></project>";
        assert_eq!(names("pom.xml", pom), ["bom", "junit", "spring-boot-starter-parent"]);
        let gradle = "plugins {\n id(\"org.springframework.boot\") version \"3\"\n}\ndependencies {\n\
            implementation(libs.androidx.core)\n implementation(\"io.ktor:ktor-server:2\")\n testImplementation 'junit:junit:4'\n\
            implementation(platform(\"a:bom:1\"))\n api project(':core')\n runtimeOnly group: 'g', name: 'driver', version: '1'\n\
            // implementation(\"a:no:1\")\n apiVersion = \"a:no:1\"\n x(\"a:no:1\")\n}";
        assert_eq!(
            names("build.gradle.kts", gradle),
            ["bom", "driver", "junit", "ktor-server", "org.springframework.boot"]
        );
    }

    #[test]
    fn what_is_no_manifest_names_nothing() {
        let files = [
            "package.json",
            "composer.json",
            "Cargo.toml",
            "pyproject.toml",
            "go.mod",
            "Gemfile",
            "pom.xml",
            "build.gradle",
        ];
        for file in files {
            for text in [
                "",
                "\u{0}\u{1}",
                "{",
                "[",
                "null",
                "[1]",
                "[dependencies",
                "<artifactId>",
                "gem '",
                "require (",
                "api(",
                "{\"dependencies\":[],\"require\":7}",
                "dependencies = 1",
                "[project]\ndependencies = {}",
            ] {
                assert_eq!(names(file, text), Vec::<String>::new(), "{file} {text:?}");
            }
        }
        assert_eq!(names("requirements.txt", "\u{0}\n# x\n-e .\n"), Vec::<String>::new());
        assert_eq!(is_manifest("README.md"), None);
        let many: String = (0..500).map(|n| format!("package{n}\n")).collect();
        assert_eq!(names("requirements.txt", &many).len(), MAX_DEPENDENCIES);
    }
}
