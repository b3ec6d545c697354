//! Asks GitHub, a durable step for each call, so that a retry or another worker repeats none that was answered.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use longhaul::{JobError, JobResult};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::analysis::{Commit, Dependency, Evidence, Examined, Manifest, Size, dependencies, is_manifest};
use crate::client::objects::{
    CommitDetail, CommitItem, Entry, FileContent, Languages, Organization, Repo, Starred, User,
};
use crate::client::{Client, Page};
use crate::name::Username;
use crate::run::Run;

/// Calls that an analysis makes at once.
const CALLS_AT_ONCE: usize = 3;
/// Repositories that are looked into.
const EXAMINED: usize = 10;
/// Of those, the ones that are chosen by their stars; the rest are those pushed to last.
const BY_STARS: usize = 5;
/// Commits in all.
const MAX_COMMITS: usize = 150;
/// The most that GitHub gives on one page.
const PAGE: usize = 100;
/// Larger manifests are made by programs.
const MAX_MANIFEST_BYTES: u64 = 256 * 1024;
/// Of a longer message the rest is dropped.
const MAX_MESSAGE_CHARS: usize = 2_000;

/// The depth of an analysis. Without a token GitHub allows 60 calls an hour, of which an analysis then makes at most
/// 42.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// Pages of repositories.
    repository_pages: usize,
    /// Commits that are looked at singly.
    measured_commits: usize,
    /// Manifests that are read.
    manifests: usize,
}

/// With a token: at most 88 calls.
const FULL: Depth = Depth { repository_pages: 5, measured_commits: 30, manifests: 20 };
const LIGHT: Depth = Depth { repository_pages: 1, measured_commits: 0, manifests: 8 };

/// Collects all that an analysis is made from.
pub(crate) async fn collect(client: &Client, username: &Username, run: Run<'_>) -> JobResult<Evidence> {
    let depth = if client.has_token() { FULL } else { LIGHT };
    Collector { client, run, depth }.collect(username).await
}

#[derive(Clone, Copy, Debug)]
struct Collector<'a> {
    client: &'a Client,
    run: Run<'a>,
    depth: Depth,
}

impl Collector<'_> {
    async fn collect(&self, username: &Username) -> JobResult<Evidence> {
        self.run.progress(2, "Analyzing GitHub profile...");
        let user = self.run.step("profile", || self.profile(username)).await?;
        self.run.progress(6, "Analyzing repositories...");
        let repositories = self.repositories(username).await?;
        self.run.progress(12, "Analyzing stars and organizations...");
        let (starred, organizations) = self.stars_and_organizations(username).await?;
        let mut examined: Vec<Examined> =
            choose(&repositories).into_iter().map(|repo| Examined { repo, ..Examined::default() }).collect();
        self.languages(&mut examined).await?;
        self.commits(username, &mut examined).await?;
        self.measure(&mut examined).await?;
        self.files(&mut examined).await?;
        self.manifests(&mut examined).await?;
        self.run.progress(96, "Analyzing skills...");
        Ok(Evidence { user, repositories, starred, organizations, examined })
    }

    async fn profile(&self, username: &Username) -> JobResult<User> {
        let page = self.call::<User>(&format!("/users/{}", username.login())).await?;
        page.map(|page| page.body)
            .ok_or_else(|| JobError::fatal(format!("GitHub user '{username}' not found")))
    }

    async fn repositories(&self, username: &Username) -> JobResult<Vec<Repo>> {
        let mut repositories = Vec::new();
        let mut path = format!("/users/{}/repos?type=owner&sort=pushed&per_page={PAGE}", username.login());
        for number in 1..=self.depth.repository_pages {
            let read = || async {
                let page = self.call::<Vec<Repo>>(&path).await?;
                Ok(page.map_or_else(|| (Vec::new(), None), |page| (page.body, page.next)))
            };
            let (page, next): (Vec<Repo>, Option<String>) =
                self.run.step(&format!("repositories {number}"), read).await?;
            repositories.extend(page);
            match next {
                Some(next) => path = next,
                None => break,
            }
        }
        Ok(repositories)
    }

    async fn stars_and_organizations(
        &self,
        username: &Username,
    ) -> JobResult<(Vec<Starred>, Vec<Organization>)> {
        let login = username.login();
        let starred = format!("/users/{login}/starred?per_page={PAGE}");
        let organizations = format!("/users/{login}/orgs?per_page={PAGE}");
        // Both are waited for, whatever becomes of one: the other's answer is kept as its step.
        let (starred, organizations) = tokio::join!(
            self.list_step("starred", &starred),
            self.list_step("organizations", &organizations)
        );
        Ok((starred?, organizations?))
    }

    async fn list_step<T>(&self, step: &str, path: &str) -> JobResult<Vec<T>>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
    {
        let read =
            || async { Ok(self.call::<Vec<T>>(path).await?.map(|page| page.body).unwrap_or_default()) };
        self.run.step(step, read).await
    }

    async fn languages(&self, examined: &mut [Examined]) -> JobResult<()> {
        let count = Count::of(examined.len());
        let calls = examined.iter().map(|examined| {
            let name = &examined.repo.full_name;
            let count = &count;
            async move {
                let read = || async {
                    let page = self.call::<Languages>(&format!("/repos/{name}/languages")).await?;
                    Ok(page.map(|page| page.body).unwrap_or_default())
                };
                let languages = self.run.step(&format!("languages {name}"), read).await?;
                self.run.progress(15.0 + 20.0 * count.part(), "Analyzing languages...");
                Ok(languages)
            }
            .boxed()
        });
        let found = side_by_side(calls.collect()).await?;
        examined.iter_mut().zip(found).for_each(|(examined, languages)| examined.languages = languages);
        Ok(())
    }

    async fn commits(&self, username: &Username, examined: &mut [Examined]) -> JobResult<()> {
        let login = username.login();
        let each = (MAX_COMMITS / examined.len().max(1)).min(PAGE);
        let count = Count::of(examined.len());
        let calls = examined.iter().map(|examined| {
            let (name, login) = (&examined.repo.full_name, &login);
            let count = &count;
            async move {
                let path = format!("/repos/{name}/commits?author={login}&per_page={each}");
                let read = || async {
                    let page = self.call::<Vec<CommitItem>>(&path).await?;
                    let items = page.map(|page| page.body).unwrap_or_default();
                    Ok(items.into_iter().take(each).map(commit).collect::<Vec<Commit>>())
                };
                let commits = self.run.step(&format!("commits {name}"), read).await?;
                let message = format!("Analyzing commits of {name}...");
                self.run.progress(35.0 + 20.0 * count.part(), message);
                Ok(commits)
            }
            .boxed()
        });
        let found = side_by_side(calls.collect()).await?;
        examined.iter_mut().zip(found).for_each(|(examined, commits)| examined.commits = commits);
        Ok(())
    }

    /// Looks at the newest commits of each repository singly: the list does not tell what they changed.
    async fn measure(&self, examined: &mut [Examined]) -> JobResult<()> {
        let each = self.depth.measured_commits / examined.len().max(1);
        let wanted: Vec<(String, String)> = examined
            .iter()
            .flat_map(|examined| {
                let authored = examined.commits.iter().filter(|commit| !commit.is_merge);
                authored.take(each).map(|commit| (examined.repo.full_name.clone(), commit.sha.clone()))
            })
            .collect();
        let count = Count::of(wanted.len());
        let calls = wanted.iter().map(|(name, sha)| {
            let count = &count;
            async move {
                let read = || async {
                    let page = self.call::<CommitDetail>(&format!("/repos/{name}/commits/{sha}")).await?;
                    Ok(page.map(|page| size(&page.body)))
                };
                let size = self.run.step(&format!("commit {name} {sha}"), read).await?;
                self.run.progress(55.0 + 15.0 * count.part(), "Analyzing the impact of commits...");
                Ok::<Option<Size>, JobError>(size)
            }
            .boxed()
        });
        let found = side_by_side(calls.collect()).await?;
        for ((name, sha), size) in wanted.iter().zip(found) {
            let of_repo = examined.iter_mut().filter(|examined| examined.repo.full_name == *name);
            let commits = of_repo.flat_map(|examined| &mut examined.commits);
            commits.filter(|commit| commit.sha == *sha).for_each(|commit| commit.size = size);
        }
        Ok(())
    }

    async fn files(&self, examined: &mut [Examined]) -> JobResult<()> {
        let count = Count::of(examined.len());
        let calls = examined.iter().map(|examined| {
            let name = &examined.repo.full_name;
            let count = &count;
            async move {
                let read = || async {
                    let page = self.call::<Vec<Entry>>(&format!("/repos/{name}/contents/")).await?;
                    Ok(root_files(page.map(|page| page.body).unwrap_or_default()))
                };
                let files = self.run.step(&format!("files {name}"), read).await?;
                self.run.progress(70.0 + 10.0 * count.part(), "Analyzing tools...");
                Ok(files)
            }
            .boxed()
        });
        let found: Vec<Vec<String>> = side_by_side(calls.collect()).await?;
        examined.iter_mut().zip(found).for_each(|(examined, files)| examined.files = files);
        Ok(())
    }

    async fn manifests(&self, examined: &mut [Examined]) -> JobResult<()> {
        // One of each repository before a second of any.
        let mut wanted: Vec<(usize, usize, String, Manifest)> = Vec::new();
        for (repository, examined) in examined.iter().enumerate() {
            let manifests = examined.files.iter().filter_map(|file| Some((file.clone(), is_manifest(file)?)));
            let numbered = manifests.enumerate();
            wanted.extend(numbered.map(|(number, (file, manifest))| (number, repository, file, manifest)));
        }
        wanted.sort_by_key(|(number, repository, _, _)| (*number, *repository));
        wanted.truncate(self.depth.manifests);
        let count = Count::of(wanted.len());
        let repos: Vec<&str> = examined.iter().map(|examined| examined.repo.full_name.as_str()).collect();
        let calls = wanted.iter().filter_map(|(_, repository, file, manifest)| {
            let name = *repos.get(*repository)?;
            let count = &count;
            let call = async move {
                let read = || async {
                    let page = self.call::<FileContent>(&format!("/repos/{name}/contents/{file}")).await?;
                    Ok(page.map(|page| packages(*manifest, &page.body)).unwrap_or_default())
                };
                let packages = self.run.step(&format!("manifest {name} {file}"), read).await?;
                self.run.progress(80.0 + 15.0 * count.part(), "Analyzing dependencies...");
                Ok::<Vec<Dependency>, JobError>(packages)
            };
            Some(call.boxed())
        });
        let found = side_by_side(calls.collect()).await?;
        for ((_, repository, _, _), packages) in wanted.iter().zip(found) {
            if let Some(examined) = examined.get_mut(*repository) {
                examined.dependencies.extend(packages);
            }
        }
        Ok(())
    }

    async fn call<T>(&self, path: &str) -> JobResult<Option<Page<T>>>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
    {
        Ok(self.client.get(path, self.run.keeping()).await?)
    }
}

/// The repositories to look into: the user's own that are not empty, the most starred and then those pushed to last.
fn choose(repositories: &[Repo]) -> Vec<Repo> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let mut own: Vec<&Repo> = repositories
        .iter()
        .filter(|repo| !repo.fork && repo.size > 0 && repo.full_name.chars().all(is_plain))
        .collect();
    own.sort_by_key(|repo| Reverse(repo.stargazers_count));
    let mut rest = own.split_off(own.len().min(BY_STARS));
    rest.sort_by(|a, b| b.pushed_at.cmp(&a.pushed_at));
    own.into_iter().chain(rest).take(EXAMINED).cloned().collect()
}

fn commit(item: CommitItem) -> Commit {
    Commit {
        is_merge: item.parents.len() > 1,
        sha: item.sha,
        html_url: item.html_url,
        message: item.commit.message.chars().take(MAX_MESSAGE_CHARS).collect(),
        date: item.commit.author.and_then(|author| author.date),
        size: None,
    }
}

fn size(detail: &CommitDetail) -> Size {
    let files = detail.files.len() as u64;
    Size { additions: detail.stats.additions, deletions: detail.stats.deletions, files }
}

/// Manifests that are too large are as good as not there.
fn root_files(entries: Vec<Entry>) -> Vec<String> {
    let fits = |entry: &Entry| {
        is_manifest(&entry.name).is_none() || (entry.kind == "file" && entry.size <= MAX_MANIFEST_BYTES)
    };
    entries.into_iter().filter(fits).map(|entry| entry.name).take(200).collect()
}

fn packages(manifest: Manifest, file: &FileContent) -> Vec<Dependency> {
    if file.encoding != "base64" {
        return Vec::new();
    }
    // GitHub breaks the text into lines.
    let text: String = file.content.split_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
    dependencies(manifest, &String::from_utf8_lossy(&bytes))
}

/// Makes calls, three at once, and answers in their order. Where one fails no more are begun, but those that are under
/// way are waited for: they have been made, and their answers are kept as steps.
async fn side_by_side<T: Send>(calls: Vec<BoxFuture<'_, JobResult<T>>>) -> JobResult<Vec<T>> {
    let has_failed = AtomicBool::new(false);
    let gated = calls.into_iter().map(|call| {
        let has_failed = &has_failed;
        async move {
            if has_failed.load(Ordering::Relaxed) {
                return None;
            }
            let result = call.await;
            if result.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            Some(result)
        }
        .boxed()
    });
    let gated: Vec<BoxFuture<'_, Option<JobResult<T>>>> = gated.collect();
    let results: Vec<Option<JobResult<T>>> = stream::iter(gated).buffered(CALLS_AT_ONCE).collect().await;
    // Nothing was skipped without an error, which the caller looks for.
    results.into_iter().flatten().collect()
}

/// The progress of a number of calls.
#[derive(Debug)]
struct Count {
    done: AtomicUsize,
    of: usize,
}

impl Count {
    fn of(of: usize) -> Self {
        Self { done: AtomicUsize::new(0), of }
    }

    /// Counts one more, and answers what part is done.
    fn part(&self) -> f64 {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        done as f64 / self.of.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_known_and_the_newest_are_looked_into() {
        let repo = |n: u64| Repo {
            full_name: format!("a/r{n}"),
            stargazers_count: n,
            size: 1,
            pushed_at: Some(format!("2025-01-{:02}T00:00:00Z", 30 - n)),
            ..Repo::default()
        };
        let mut repositories: Vec<Repo> = (1..=20).map(repo).collect();
        repositories.push(Repo { fork: true, stargazers_count: 99, size: 1, ..repo(21) });
        repositories.push(Repo { stargazers_count: 99, size: 0, ..repo(22) });
        repositories.push(Repo { full_name: "a/b?c".into(), ..repo(23) });
        let names: Vec<String> =
            choose(&repositories).into_iter().map(|repo| repo.name + &repo.full_name).collect();
        assert_eq!(
            names,
            ["a/r20", "a/r19", "a/r18", "a/r17", "a/r16", "a/r1", "a/r2", "a/r3", "a/r4", "a/r5"]
        );
    }

    #[tokio::test]
    async fn a_failure_begins_no_more_and_leaves_none_half_way() {
        let ended = AtomicUsize::new(0);
        let calls = (0..10).map(|n| {
            let ended = &ended;
            async move {
                tokio::task::yield_now().await;
                if n == 1 {
                    return Err(JobError::retry("no"));
                }
                ended.fetch_add(1, Ordering::Relaxed);
                Ok(n)
            }
            .boxed()
        });
        let error = side_by_side(calls.collect()).await.unwrap_err();
        assert_eq!((error.message.as_str(), ended.load(Ordering::Relaxed)), ("no", 2));
        let calls = (0..10).map(|n| async move { Ok(n) }.boxed());
        assert_eq!(side_by_side(calls.collect()).await.unwrap(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_manifest_is_read_from_its_lines_of_base64() {
        let content = BASE64_STANDARD.encode("flask\nrequests\n");
        let (a, b) = content.split_at(7);
        let file = FileContent { encoding: "base64".into(), content: format!("{a}\n{b}\n") };
        assert_eq!(packages(Manifest::Requirements, &file).len(), 2);
        assert!(
            packages(Manifest::Requirements, &FileContent { encoding: "none".into(), ..file }).is_empty()
        );
    }
}
