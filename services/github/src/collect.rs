//! Asks GitHub, a durable step for each call, so that a retry or another worker repeats none that was answered.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use longhaul::{JobError, JobResult};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::analysis::{
    Commit, Contribution, Coverage, Dependency, Evidence, Examined, Manifest, Size, dependencies, is_manifest,
};
use crate::client::lenient::List;
use crate::client::objects::{
    CommitDetail, CommitItem, Entry, FileContent, FoundCommits, Languages, Organization, Repo, Starred, User,
};
use crate::client::{Answer, CallError, Client, Keeping};
use crate::failure::{UNREADABLE, no_user};
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
const MAX_MESSAGE_CHARS: usize = 1_500;
/// Of the commits, those in repositories of others.
const MAX_ELSEWHERE: usize = 50;
/// Calls that an analysis does without although they might have gone well at another time.
const DISPENSABLE: usize = 3;
/// Notes of what was not read.
const MAX_NOTES: usize = 20;

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
    /// Calls in all, at most; those of further pages of repositories are not counted.
    calls: u64,
}

/// With a token: at most 88 calls, and one for each further hundred of more than 300 repositories.
const FULL: Depth = Depth { repository_pages: 20, measured_commits: 30, manifests: 20, calls: 88 };
const LIGHT: Depth = Depth { repository_pages: 1, measured_commits: 0, manifests: 7, calls: 42 };

/// The calls that an analysis is likely to make.
pub(crate) fn calls_of(client: &Client) -> u64 {
    depth_of(client).calls
}

fn depth_of(client: &Client) -> Depth {
    if client.has_token() { FULL } else { LIGHT }
}

/// Collects all that an analysis is made from.
pub(crate) async fn collect(client: &Client, username: &Username, run: Run<'_>) -> JobResult<Evidence> {
    let depth = depth_of(client);
    let (dispensable, notes) = (AtomicUsize::new(DISPENSABLE), Mutex::default());
    let calls = AtomicU32::new(0);
    // Of a run whose steps are all there from a former one, no call is made.
    run.settle(0);
    Collector { client, run, depth, dispensable, notes, calls }.collect(username).await
}

#[derive(Debug)]
struct Collector<'a> {
    client: &'a Client,
    run: Run<'a>,
    depth: Depth,
    /// Calls that may still fail in the last attempt before the analysis does.
    dispensable: AtomicUsize,
    notes: Mutex<Vec<String>>,
    /// Calls of this run.
    calls: AtomicU32,
}

/// The reply to a call that an analysis can do without.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told<T> {
    value: T,
    /// The address of the next page.
    next: Option<String>,
    /// The parts that could not be read, and why.
    note: Option<String>,
}

impl Collector<'_> {
    /// Calls GitHub. What the job costs is settled with each call, because a run may be cut off behind any.
    async fn get<T>(&self, path: &str, keeping: Keeping) -> Result<Answer<T>, CallError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.run.settle(self.calls.fetch_add(1, Ordering::Relaxed) + 1);
        self.client.get(path, keeping).await
    }

    async fn collect(&self, asked: &Username) -> JobResult<Evidence> {
        self.run.progress(2, "Analyzing GitHub profile...");
        let user = self.run.step("profile", || self.profile(asked)).await?;
        // A user who was renamed is answered under the new name.
        let login = Username::try_from(user.login.clone()).unwrap_or_else(|_| asked.clone()).login();
        self.run.progress(6, "Analyzing repositories...");
        let repositories = self.repositories(&login, &user).await?;
        self.run.progress(12, "Analyzing stars and organizations...");
        let mut evidence = Evidence { user, ..repositories };
        if !evidence.is_organization() {
            self.stars_and_organizations(&login, &mut evidence).await?;
            evidence.elsewhere = self.elsewhere(&login).await?;
        }
        let mut examined: Vec<Examined> = choose(&evidence.repositories)
            .into_iter()
            .map(|repo| Examined { repo, ..Examined::default() })
            .collect();
        self.languages(&mut examined).await?;
        self.commits(&login, &evidence, &mut examined).await?;
        self.measure(&mut examined).await?;
        self.files(&mut examined).await?;
        self.manifests(&mut examined).await?;
        self.run.progress(96, "Analyzing skills...");
        evidence.coverage.repositories_examined = examined.len();
        evidence.coverage.notes.append(&mut self.notes.lock());
        evidence.coverage.notes.truncate(MAX_NOTES);
        Ok(Evidence { examined, ..evidence })
    }

    async fn profile(&self, username: &Username) -> JobResult<User> {
        match self.get::<User>(&format!("/users/{}", username.login()), self.run.keeping()).await? {
            Answer::Page(page) => Ok(page.body),
            Answer::Missing => Err(JobError::fatal(no_user(username))),
            Answer::Nothing => Err(JobError::retry(format!("{UNREADABLE}: it is empty"))),
        }
    }

    /// Reads the pages of repositories one after the other, up to the bound of the depth.
    async fn repositories(&self, login: &str, user: &User) -> JobResult<Evidence> {
        let mut repositories: Vec<Repo> = Vec::new();
        let mut known = HashSet::new();
        let first = format!("/users/{login}/repos?type=owner&sort=pushed&per_page={PAGE}");
        let mut next = Some(first);
        for number in 1..=self.depth.repository_pages {
            let Some(path) = next.take() else { break };
            let step = format!("page {number} of repositories");
            let page: Told<List<Repo>> = match number {
                1 => {
                    let read = || async { Ok(told(self.get(&path, self.run.keeping()).await?, |list| list)) };
                    self.run.step(&step, read).await?
                }
                _ => self.told(&step, &path, &step, |list| list).await?,
            };
            next = page.next;
            // One that was pushed to meanwhile moves to another page.
            let new = page.value.0.into_iter().filter(|repo| known.insert(repo.full_name.to_lowercase()));
            repositories.extend(new);
        }
        let read = repositories.len();
        let is_cut = next.is_some();
        let total = if is_cut { usize::try_from(user.public_repos).unwrap_or(read).max(read) } else { read };
        if is_cut {
            self.notes.lock().push(format!("{read} of {total} repositories were read: those pushed to last"));
        }
        let coverage = Coverage { repositories_read: read, repositories_total: total, ..Coverage::default() };
        Ok(Evidence { repositories, coverage, ..Evidence::default() })
    }

    async fn stars_and_organizations(&self, login: &str, evidence: &mut Evidence) -> JobResult<()> {
        let starred = format!("/users/{login}/starred?per_page={PAGE}");
        let organizations = format!("/users/{login}/orgs?per_page={PAGE}");
        // Both are waited for, whatever becomes of one: the other's answer is kept as its step.
        let (starred, organizations) = tokio::join!(
            self.told("stars", &starred, "stars", |list: List<Starred>| list),
            self.told("member of", &organizations, "organizations", |list: List<Organization>| list)
        );
        let starred = starred?;
        if starred.next.is_some() {
            self.notes.lock().push(format!("only the newest {} stars were read", starred.value.0.len()));
        }
        evidence.coverage.stars_read = starred.value.0.len();
        evidence.starred = starred.value.0;
        evidence.organizations = organizations?.value.0;
        Ok(())
    }

    /// The newest commits in repositories of others, by GitHub's search.
    async fn elsewhere(&self, login: &str) -> JobResult<Vec<Contribution>> {
        let query =
            format!("author:{login}+-user:{login}&sort=author-date&order=desc&per_page={MAX_ELSEWHERE}");
        let path = format!("/search/commits?q={query}");
        let told = self.told(
            "commits elsewhere",
            &path,
            "commits in repositories of others",
            |found: FoundCommits| contributions(login, found),
        );
        Ok(told.await?.value)
    }

    async fn languages(&self, examined: &mut [Examined]) -> JobResult<()> {
        let count = Count::of(examined.len());
        let calls = examined.iter().map(|examined| {
            let name = &examined.repo.full_name;
            let count = &count;
            async move {
                let (path, what) = (format!("/repos/{name}/languages"), format!("languages of {name}"));
                let told = self.told(&what, &path, &what, |languages: Languages| languages.0).await?;
                self.run.progress(15.0 + 20.0 * count.part(), "Analyzing languages...");
                Ok(told.value)
            }
            .boxed()
        });
        let found = side_by_side(calls.collect()).await?;
        examined.iter_mut().zip(found).for_each(|(examined, languages)| examined.languages = languages);
        Ok(())
    }

    /// Reads the newest commits of each repository: the user's, or everybody's to what an organization owns.
    async fn commits(&self, login: &str, evidence: &Evidence, examined: &mut [Examined]) -> JobResult<()> {
        let elsewhere: usize = evidence.elsewhere.iter().map(|known| known.commits.len()).sum();
        let each = ((MAX_COMMITS - elsewhere) / examined.len().max(1)).min(PAGE);
        let author = if evidence.is_organization() { String::new() } else { format!("author={login}&") };
        let count = Count::of(examined.len());
        let calls = examined.iter().map(|examined| {
            let (name, author) = (&examined.repo.full_name, &author);
            let count = &count;
            async move {
                let path = format!("/repos/{name}/commits?{author}per_page={each}");
                let what = format!("commits of {name}");
                let read = |list: List<CommitItem>| list.0.into_iter().take(each).map(commit).collect();
                let told: Told<Vec<Commit>> = self.told(&what, &path, &what, read).await?;
                let message = format!("Analyzing commits of {name}...");
                self.run.progress(35.0 + 20.0 * count.part(), message);
                Ok(told.value)
            }
            .boxed()
        });
        let found = side_by_side(calls.collect()).await?;
        // The history of a repository that was copied is in both; it was written once.
        let mut known = HashSet::new();
        for (examined, commits) in examined.iter_mut().zip(found) {
            examined.commits =
                commits.into_iter().filter(|commit| known.insert(commit.sha.clone())).collect();
        }
        Ok(())
    }

    /// Reads the newest commits of each repository singly, because the list does not contain their sizes.
    async fn measure(&self, examined: &mut [Examined]) -> JobResult<()> {
        let each = self.depth.measured_commits / examined.len().max(1);
        let is_plain = |sha: &str| sha.chars().all(|c| c.is_ascii_alphanumeric());
        let wanted: Vec<(String, String)> = examined
            .iter()
            .flat_map(|examined| {
                let authored =
                    examined.commits.iter().filter(|commit| !commit.is_merge && is_plain(&commit.sha));
                authored.take(each).map(|commit| (examined.repo.full_name.clone(), commit.sha.clone()))
            })
            .collect();
        let count = Count::of(wanted.len());
        let calls = wanted.iter().map(|(name, sha)| {
            let count = &count;
            async move {
                let (path, what) =
                    (format!("/repos/{name}/commits/{sha}"), format!("commit {sha} of {name}"));
                let told = self.told(&what, &path, &what, |detail: CommitDetail| Some(size(&detail))).await?;
                self.run.progress(55.0 + 15.0 * count.part(), "Analyzing the impact of commits...");
                Ok::<Option<Size>, JobError>(told.value)
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
                let (path, what) = (format!("/repos/{name}/contents/"), format!("files of {name}"));
                let told =
                    self.told(&what, &path, &what, |entries: List<Entry>| root_files(entries.0)).await?;
                self.run.progress(70.0 + 10.0 * count.part(), "Analyzing tools...");
                Ok(told.value)
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
                let (path, what) = (format!("/repos/{name}/contents/{file}"), format!("{file} of {name}"));
                let read = |content: FileContent| packages(*manifest, &content);
                let told = self.told(&what, &path, &what, read).await?;
                self.run.progress(80.0 + 15.0 * count.part(), "Analyzing dependencies...");
                Ok::<Vec<Dependency>, JobError>(told.value)
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

    /// A step that the analysis can do without: its failure becomes a warning.
    async fn told<T, U>(
        &self,
        step: &str,
        path: &str,
        what: &str,
        read: impl FnOnce(T) -> U + Send,
    ) -> JobResult<Told<U>>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
        U: Serialize + DeserializeOwned + Default + Send,
    {
        let work = || async {
            match self.get::<T>(path, self.run.keeping()).await {
                Ok(answer) => Ok(told(answer, read)),
                Err(error) if self.can_do_without(&error) => {
                    let note = format!("{what} could not be read: {}", error.words());
                    Ok(Told { note: Some(note), ..Told::default() })
                }
                Err(error) => Err(error.into()),
            }
        };
        let told = self.run.step(step, work).await?;
        self.notes.lock().extend(told.note.clone());
        Ok(told)
    }

    /// A lasting failure becomes a warning. A temporary one is retried first, and only a few are done without: an
    /// analysis that misses more would pass for a complete one.
    fn can_do_without(&self, error: &CallError) -> bool {
        let spend = |left: usize| left.checked_sub(1);
        error.is_of_one_thing()
            || (error.is_githubs()
                && self.run.is_last_attempt()
                && self.dispensable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok())
    }
}

fn told<T, U: Default>(answer: Answer<T>, read: impl FnOnce(T) -> U) -> Told<U> {
    match answer {
        Answer::Page(page) => Told { value: read(page.body), next: page.next, note: None },
        Answer::Nothing | Answer::Missing => Told::default(),
    }
}

/// The repositories to look into: the user's own, the most starred and then those pushed to last; those that seem to be
/// empty (GitHub rounds kilobytes down, so a small one does too) come last.
fn choose(repositories: &[Repo]) -> Vec<Repo> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let seems_empty = |repo: &Repo| repo.size == 0 && repo.language.is_none();
    let mut own: Vec<&Repo> = repositories
        .iter()
        .filter(|repo| !repo.fork && repo.full_name.chars().all(is_plain) && !repo.full_name.contains("/."))
        .collect();
    own.sort_by_key(|repo| (seems_empty(repo), Reverse(repo.stargazers_count)));
    let mut rest = own.split_off(own.len().min(BY_STARS));
    rest.sort_by_key(|repo| (seems_empty(repo), Reverse(repo.pushed_at.clone())));
    own.into_iter().chain(rest).take(EXAMINED).cloned().collect()
}

/// The commits of a search by repository, without those in the user's own: these are read there.
fn contributions(login: &str, found: FoundCommits) -> Vec<Contribution> {
    let mut contributions: Vec<Contribution> = Vec::new();
    let mut known = HashSet::new();
    for mut item in found.items.0 {
        let Some(repo) = item.repository.take() else { continue };
        let owner = repo.full_name.split('/').next().unwrap_or_default();
        if repo.private || owner.eq_ignore_ascii_case(login) || !known.insert(item.sha.clone()) {
            continue;
        }
        let commit = commit(item);
        match contributions.iter_mut().find(|known| known.repo.full_name == repo.full_name) {
            Some(known) => known.commits.push(commit),
            None => contributions.push(Contribution { repo, commits: vec![commit] }),
        }
        if known.len() >= MAX_ELSEWHERE {
            break;
        }
    }
    contributions
}

fn commit(item: CommitItem) -> Commit {
    // Without the list of parents, the messages that Git and GitHub write show a merge.
    let words = ["Merge branch ", "Merge pull request #", "Merge remote-tracking branch ", "Merge tag "];
    let is_told = || words.iter().any(|words| item.commit.message.starts_with(words));
    Commit {
        is_merge: item.parents.0.len() > 1 || (item.parents.0.is_empty() && is_told()),
        sha: item.sha,
        html_url: item.html_url,
        message: item.commit.message.chars().take(MAX_MESSAGE_CHARS).collect(),
        date: item.commit.author.and_then(|author| author.date),
        size: None,
    }
}

fn size(detail: &CommitDetail) -> Size {
    let files = detail.files.0.len() as u64;
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
    dependencies(manifest, &BASE64_STANDARD.decode(text).unwrap_or_default())
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
