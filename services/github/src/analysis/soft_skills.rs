use super::areas::Area;
use super::dates::Days;
use super::{Commit, Evidence};
use crate::client::objects::Repo;

/// Fewer commits say nothing of how somebody works.
const MIN_COMMITS: usize = 5;

/// The signs in commits and repositories of how a user works. Each has its rule:
///
/// - *Collaboration*: a merge among the commits, or a public organization.
/// - *Written communication*: a body in a quarter of the messages.
/// - *Documentation*: a tenth of the commits is about it.
/// - *Quality focus*: a tenth of the commits is about tests.
/// - *Consistency*: a commit on four days in a row, or on twenty days in all.
/// - *Open source sharing*: a license on half of the user's own repositories, and at least three of them.
/// - *Community building*: ten forks of the user's own repositories, or a hundred followers.
/// - *Continuous learning*: four main languages among all repositories.
///
/// Those that are about commits need at least five of them.
pub(super) fn soft_skills(evidence: &Evidence, commits: &[(&Repo, &Commit)], days: &Days) -> Vec<String> {
    let authored: Vec<&Commit> =
        commits.iter().map(|(_, commit)| *commit).filter(|commit| !commit.is_merge).collect();
    let part = |fits: &dyn Fn(&Commit) -> bool| {
        let count = authored.iter().filter(|commit| fits(commit)).count();
        if authored.len() < MIN_COMMITS { 0.0 } else { count as f64 / authored.len() as f64 }
    };
    let own: Vec<&Repo> = evidence.repositories.iter().filter(|repo| !repo.fork).collect();
    let licensed = own.iter().filter(|repo| repo.license.is_some()).count();
    let forks: u64 = own.iter().map(|repo| repo.forks_count).sum();
    let mut languages: Vec<&str> = own.iter().filter_map(|repo| repo.language.as_deref()).collect();
    languages.sort_unstable();
    languages.dedup();
    let rules = [
        (
            "Collaboration",
            commits.iter().any(|(_, commit)| commit.is_merge) || !evidence.organizations.is_empty(),
        ),
        ("Written communication", part(&Commit::has_body) >= 0.25),
        ("Documentation", part(&|commit| Area::of(commit) == Area::Documentation) >= 0.1),
        ("Quality focus", part(&|commit| Area::of(commit) == Area::Testing) >= 0.1),
        ("Consistency", days.longest_streak() >= 4 || days.active.len() >= 20),
        ("Open source sharing", own.len() >= 3 && licensed * 2 >= own.len()),
        ("Community building", forks >= 10 || evidence.user.followers >= 100),
        ("Continuous learning", languages.len() >= 4),
    ];
    rules.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::objects::{License, Organization};

    #[test]
    fn each_rule_needs_its_evidence() {
        assert!(soft_skills(&Evidence::default(), &[], &Days::default()).is_empty());
        let repo = Repo::default();
        let commit = |message: &str| Commit { message: message.into(), ..Commit::default() };
        let commits =
            [commit("docs: a\n\nwhy"), commit("test: b\n\nwhy"), commit("x"), commit("y"), commit("z")];
        let commits: Vec<_> = commits.iter().map(|commit| (&repo, commit)).collect();
        let mut evidence = Evidence {
            organizations: vec![Organization { login: "x".into(), description: None }],
            repositories: (0..4)
                .map(|n| Repo {
                    language: Some(format!("L{n}")),
                    license: (n < 2).then(License::default),
                    forks_count: 3,
                    ..Repo::default()
                })
                .collect(),
            ..Evidence::default()
        };
        let all = [
            "Collaboration",
            "Written communication",
            "Documentation",
            "Quality focus",
            "Open source sharing",
            "Community building",
            "Continuous learning",
        ];
        assert_eq!(soft_skills(&evidence, &commits, &Days::default()), all);
        assert!(
            !soft_skills(&evidence, &commits[..4], &Days::default()).contains(&"Documentation".to_owned())
        );
        evidence.repositories.truncate(1);
        assert_eq!(soft_skills(&evidence, &[], &Days::default()), ["Collaboration"]);
    }
}
