use std::collections::BTreeSet;

use super::catalog::{self, Sort};
use super::dates::Days;
use super::soft_skills::soft_skills;
use super::{Commit, Evidence, LanguageShare, Skills, most_frequent};
use crate::client::objects::Repo;

/// A language with less of the bytes is no skill yet.
const MIN_PERCENT: f64 = 1.0;
/// Names that are listed, each list for itself.
const LISTED: usize = 30;
/// Packages that are listed.
const DEPENDENCIES: usize = 200;

/// See [`Skills`].
pub(super) fn skills(
    evidence: &Evidence,
    languages: &[LanguageShare],
    commits: &[(&Repo, &Commit)],
    days: &Days,
) -> Skills {
    let technical_skills = technical_skills(evidence, languages);
    let packages = || evidence.examined.iter().flat_map(|examined| &examined.dependencies);
    let own = || evidence.repositories.iter().filter(|repo| !repo.fork);
    let topics = || own().flat_map(|repo| repo.topics.iter().map(String::as_str));
    let of = |sort: Sort| {
        let named = packages().filter_map(catalog::package).chain(topics().filter_map(catalog::topic));
        named.filter(move |(s, _)| *s == sort).map(|(_, label)| label)
    };
    let files = evidence.examined.iter().flat_map(|examined| &examined.files);
    let files = files.filter_map(|file| catalog::file(file));
    let frameworks = listed(of(Sort::Framework));
    let tools = listed(of(Sort::Tool).chain(files));
    let pointers = topics().chain(frameworks.iter().map(String::as_str));
    let domains =
        listed(pointers.chain(technical_skills.iter().map(String::as_str)).filter_map(catalog::domain));
    let dependencies: BTreeSet<&str> = packages().map(|package| package.name.as_str()).collect();
    Skills {
        technical_skills,
        frameworks,
        tools,
        domains,
        dependencies_found: dependencies.into_iter().take(DEPENDENCIES).map(str::to_owned).collect(),
        soft_skills: soft_skills(evidence, commits, days),
    }
}

fn technical_skills(evidence: &Evidence, languages: &[LanguageShare]) -> Vec<String> {
    let measured = languages.iter().filter(|share| share.percentage >= MIN_PERCENT);
    let mut skills: Vec<String> = measured.map(|share| share.language.clone()).collect();
    let own = evidence.repositories.iter().filter(|repo| !repo.fork);
    let main = most_frequent(own.filter_map(|repo| repo.language.as_deref()), LISTED);
    for (language, _) in main {
        if !skills.iter().any(|known| known == language) {
            skills.push(language.to_owned());
        }
    }
    skills.truncate(LISTED);
    skills
}

/// Those that are named most often first.
fn listed<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    most_frequent(labels, LISTED).into_iter().map(|(label, _)| label.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Dependency, Examined};

    #[test]
    fn skills_come_from_what_the_code_says() {
        let repo = |language: &str, fork, topics: &[&str]| Repo {
            language: Some(language.into()),
            fork,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            ..Repo::default()
        };
        let dependency = |name: &str| Dependency { name: name.into(), registry: "npm".into() };
        let evidence = Evidence {
            repositories: vec![
                repo("Rust", false, &["cli", "docker"]),
                repo("Go", false, &[]),
                repo("Perl", true, &["game"]),
            ],
            examined: vec![Examined {
                dependencies: vec![
                    dependency("react"),
                    dependency("react-dom"),
                    dependency("left-pad"),
                    dependency("jest"),
                ],
                files: vec!["Dockerfile".into(), ".github".into(), "README.md".into()],
                ..Examined::default()
            }],
            ..Evidence::default()
        };
        let share = |language: &str, percentage| LanguageShare {
            language: language.into(),
            repository_count: 1,
            percentage,
            lines_of_code: 1,
        };
        let languages = [share("Rust", 99.5), share("Awk", 0.5)];
        let skills = skills(&evidence, &languages, &[], &Days::default());
        assert_eq!(skills.technical_skills, ["Rust", "Go"]);
        assert_eq!(skills.frameworks, ["React"]);
        assert_eq!(skills.tools, ["Docker", "GitHub Actions", "Jest"]);
        assert_eq!(skills.domains, ["DevOps", "Developer Tools", "Systems Programming", "Web Development"]);
        assert_eq!(skills.dependencies_found, ["jest", "left-pad", "react", "react-dom"]);
    }
}
