//! The meaning of packages, topics, files and words. A name that is not there is still a dependency; it is no skill.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Dependency;

/// The sort of thing that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Framework,
    Tool,
}

type Meaning = (Sort, &'static str);

#[derive(Debug, Default)]
struct Catalog {
    /// By registry and name, as they stand in the file: `npm:react`.
    packages: HashMap<&'static str, Meaning>,
    topics: HashMap<&'static str, Meaning>,
    words: HashMap<&'static str, &'static str>,
    /// Names, or patterns with one `*`.
    files: Vec<(&'static str, &'static str)>,
    domains: HashMap<&'static str, &'static str>,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| read(include_str!("data/catalog.txt")));

fn read(text: &'static str) -> Catalog {
    let mut catalog = Catalog::default();
    let mut section = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((label, names)) = line.split_once(" = ") else {
            section = line.trim_matches(['[', ']']);
            continue;
        };
        for name in names.split(", ") {
            match section {
                "frameworks" => catalog.add(name, (Sort::Framework, label)),
                "tools" => catalog.add(name, (Sort::Tool, label)),
                "files" => catalog.files.push((name, label)),
                _ => drop(catalog.domains.insert(name, label)),
            }
        }
    }
    catalog
}

impl Catalog {
    fn add(&mut self, name: &'static str, meaning: Meaning) {
        if name.contains(':') {
            self.packages.insert(name, meaning);
        } else if let Some(topic) = name.strip_prefix('#') {
            self.topics.insert(topic, meaning);
        } else {
            self.topics.insert(name, meaning);
            self.words.insert(name, meaning.1);
        }
    }
}

/// The meaning of a package, by the exact name in its registry.
pub(super) fn package(dependency: &Dependency) -> Option<Meaning> {
    let Dependency { name, registry } = dependency;
    CATALOG.packages.get(format!("{registry}:{}", without_major(registry, name)).as_str()).copied()
}

/// A module of Go's has its major version at its end from the second on: `github.com/labstack/echo/v4`.
fn without_major<'a>(registry: &str, name: &'a str) -> &'a str {
    match name.rsplit_once("/v") {
        Some((module, major)) if registry == "go" && major.bytes().all(|byte| byte.is_ascii_digit()) => {
            module
        }
        _ => name,
    }
}

/// The meaning of a repository's topic.
pub(super) fn topic(topic: &str) -> Option<Meaning> {
    CATALOG.topics.get(topic.to_lowercase().as_str()).copied()
}

/// The tool or framework that a word of a message names.
pub(super) fn word(word: &str) -> Option<&'static str> {
    CATALOG.words.get(word).copied()
}

/// The tool that a file or folder at the root belongs to.
pub(super) fn file(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let fits = |pattern: &str| match pattern.split_once('*') {
        None => name == pattern,
        Some((start, end)) => {
            name.len() > start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    };
    CATALOG.files.iter().find(|(pattern, _)| fits(pattern)).map(|(_, tool)| *tool)
}

/// The field that a topic, a framework or a language points to.
pub(super) fn domain(name: &str) -> Option<&'static str> {
    CATALOG.domains.get(name.to_lowercase().as_str()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(registry: &str, name: &str) -> Option<&'static str> {
        package(&Dependency { name: name.into(), registry: registry.into() }).map(|(_, label)| label)
    }

    #[test]
    fn packages_are_known_by_their_exact_name_in_their_registry() {
        assert_eq!(of("npm", "react-dom"), Some("React"));
        assert_eq!(of("npm", "preact"), None);
        assert_eq!(of("npm", "next"), Some("Next.js"));
        assert_eq!(of("cargo", "next"), None);
        assert_eq!(of("pypi", "apache-airflow"), Some("Apache Airflow"));
        assert_eq!(of("go", "github.com/labstack/echo/v4"), Some("Echo"));
        assert_eq!(of("npm", "left-pad"), None);
    }

    #[test]
    fn topics_words_files_and_fields_have_their_meaning() {
        assert_eq!(topic("ReactJS"), Some((Sort::Framework, "React")));
        assert_eq!((word("docker"), word("next"), word("express")), (Some("Docker"), None, None));
        for name in ["Dockerfile", "Dockerfile.dev", "web.dockerfile", "Containerfile"] {
            assert_eq!(file(name), Some("Docker"), "{name}");
        }
        assert_eq!((file("vars.tf"), file(".tf"), file("dockerfiles")), (Some("Terraform"), None, None));
        assert_eq!(file("docker-compose.prod.yml"), Some("Docker Compose"));
        assert_eq!((domain("Jupyter Notebook"), domain("maintain")), (Some("Data Science"), None));
    }

    #[test]
    fn the_file_has_its_form() {
        let text = include_str!("data/catalog.txt");
        assert!(text.lines().all(|l| l.is_empty() || l.starts_with(['#', '[']) || l.contains(" = ")));
        let registries = ["npm", "pypi", "cargo", "go", "gem", "composer", "maven"];
        let is_known =
            |name: &&str| name.split_once(':').is_some_and(|(registry, _)| registries.contains(&registry));
        assert!(CATALOG.packages.keys().all(is_known));
        let all = CATALOG.packages.keys().chain(CATALOG.topics.keys()).chain(CATALOG.domains.keys());
        assert!(all.into_iter().all(|name| *name == name.to_lowercase() && name.trim() == *name));
    }
}
