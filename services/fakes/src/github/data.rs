//! Made-up users, the same each time: everything follows from the name.

use serde_json::{Value, json};

/// True if there is a user of this name.
pub(crate) fn exists(user: &str) -> bool {
    !user.to_ascii_lowercase().starts_with("ghost")
}

/// The template of a kind of repository.
struct Template {
    suffix: &'static str,
    language: &'static str,
    /// Parts of the bytes, in percent.
    languages: &'static [(&'static str, u64)],
    topics: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
}

const TEMPLATES: [Template; 7] = [
    Template {
        suffix: "web",
        language: "TypeScript",
        languages: &[("TypeScript", 78), ("CSS", 15), ("HTML", 7)],
        topics: &["react", "frontend", "web"],
        files: &[
            ("README.md", "# Web\n"),
            (
                "package.json",
                "{\"dependencies\":{\"react\":\"^18.2.0\",\"next\":\"14.0.0\"},\"devDependencies\":{\"jest\":\"^29\",\"typescript\":\"^5\"}}",
            ),
            ("tsconfig.json", "{}"),
            (".github", ""),
            ("src", ""),
        ],
    },
    Template {
        suffix: "api",
        language: "Python",
        languages: &[("Python", 94), ("Dockerfile", 2), ("Shell", 4)],
        topics: &["fastapi", "backend", "api"],
        files: &[
            ("Dockerfile", "FROM python:3.12\n"),
            ("README.md", "# API\n"),
            ("requirements.txt", "fastapi==0.110.0\nsqlalchemy>=2\ncelery[redis]\n# tests\npytest\n"),
            ("docker-compose.yml", "services: {}\n"),
            ("app", ""),
        ],
    },
    Template {
        suffix: "cli",
        language: "Rust",
        languages: &[("Rust", 99), ("Shell", 1)],
        topics: &["cli", "rust"],
        files: &[
            (
                "Cargo.toml",
                "[package]\nname = \"cli\"\n\n[dependencies]\nserde = { version = \"1\", features = [\"derive\"] }\ntokio = \"1\"\n\n[dev-dependencies]\ncriterion = \"0.5\"\n",
            ),
            ("LICENSE", "MIT\n"),
            ("README.md", "# CLI\n"),
            (".github", ""),
            ("src", ""),
        ],
    },
    Template {
        suffix: "service",
        language: "Go",
        languages: &[("Go", 96), ("Makefile", 4)],
        topics: &["kubernetes", "grpc"],
        files: &[
            ("Makefile", "all:\n"),
            (
                "go.mod",
                "module example.com/service\n\ngo 1.22\n\nrequire (\n\tgithub.com/gin-gonic/gin v1.9.1\n\tgoogle.golang.org/grpc v1.60.0\n\tgolang.org/x/sys v0.15.0 // indirect\n)\n",
            ),
            ("main.go", "package main\n"),
        ],
    },
    Template {
        suffix: "models",
        language: "Jupyter Notebook",
        languages: &[("Jupyter Notebook", 90), ("Python", 10)],
        topics: &["machine-learning", "pytorch"],
        files: &[
            ("README.md", "# Models\n"),
            (
                "pyproject.toml",
                "[project]\nname = \"models\"\ndependencies = [\n  \"torch>=2\",\n  \"pandas\",\n  \"numpy\",\n]\n",
            ),
            ("notebooks", ""),
        ],
    },
    Template {
        suffix: "kernel",
        language: "C",
        languages: &[("C", 92), ("Assembly", 5), ("Makefile", 3)],
        topics: &["kernel", "operating-system"],
        files: &[("Kconfig", ""), ("Makefile", "obj-y :=\n"), ("README", "kernel\n")],
    },
    Template {
        suffix: "dotfiles",
        language: "Shell",
        languages: &[("Shell", 80), ("Vim Script", 20)],
        topics: &[],
        files: &[("README.md", "# dotfiles\n"), ("install.sh", "#!/bin/sh\n")],
    },
];

const MESSAGES: [&str; 14] = [
    "feat: add a command to export data",
    "fix(parser): accept an empty line at the end",
    "docs: explain how to install it with Docker",
    "refactor(core)!: one type for both sides\n\nThe two had grown apart.\n\nBREAKING CHANGE: `Side` is gone",
    "test: cover what happens at midnight",
    "Add support for PostgreSQL",
    "Merge pull request #12 from octo-org/topic",
    "perf(search): cache what was found",
    "ci: run the tests on every push",
    "fix: security hole in the upload of files\n\nPaths were taken as they came.",
    "chore: bump dependencies",
    "Update README.md",
    "wip",
    "Implement the React front page",
];

/// A number that depends on a text alone: FNV-1a, and a finish that keeps texts that differ little far apart.
fn hash(text: &str) -> u64 {
    let text = text.to_ascii_lowercase();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

pub(crate) fn user(user: &str) -> Value {
    let login = login(user);
    let seed = hash(user);
    let api = format!("https://api.github.com/users/{login}");
    json!({
        "login": login, "id": seed % 90_000_000 + 1, "node_id": format!("U_{seed:x}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", seed % 90_000_000 + 1),
        "gravatar_id": "", "url": api, "html_url": format!("https://github.com/{login}"),
        "repos_url": format!("{api}/repos"), "type": "User", "site_admin": false,
        "name": match login.as_str() {
            "octocat" => "The Octocat".to_owned(),
            "torvalds" => "Linus Torvalds".to_owned(),
            other => format!("{other} Example"),
        },
        "company": if seed.is_multiple_of(2) { Value::from("@octo-org") } else { Value::Null },
        "blog": if seed.is_multiple_of(3) { format!("https://{login}.example") } else { String::new() },
        "location": "San Francisco", "email": null, "hireable": null,
        "bio": if seed.is_multiple_of(5) { Value::Null } else { Value::from("Builds things that last.") },
        "twitter_username": null, "public_repos": count_repos(user), "public_gists": seed % 9,
        "followers": seed % 900, "following": seed % 50,
        "created_at": format!("20{:02}-01-25T18:44:36Z", 8 + seed % 12), "updated_at": "2025-12-01T10:00:00Z",
    })
}

/// `many…` has more than two pages of a hundred, the others 4 to 13.
fn count_repos(user: &str) -> u64 {
    if user.to_ascii_lowercase().starts_with("many") { 230 } else { 4 + hash(user) % 10 }
}

/// Names are known in lower case, but for those that begin in upper case.
fn login(user: &str) -> String {
    user.to_ascii_lowercase()
}

pub(crate) fn repos(user: &str) -> Vec<Value> {
    (0..count_repos(user)).map(|number| repo_numbered(user, number)).collect()
}

pub(crate) fn repo(owner: &str, name: &str) -> Option<Value> {
    if !exists(owner) {
        return None;
    }
    let number = name.rsplit('-').next()?.parse().ok().filter(|number| *number < count_repos(owner))?;
    let repo = repo_numbered(owner, number);
    repo["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)).then_some(repo)
}

fn template(seed: u64) -> &'static Template {
    &TEMPLATES[usize::try_from(seed % TEMPLATES.len() as u64).unwrap_or(0)]
}

fn repo_numbered(user: &str, number: u64) -> Value {
    let login = login(user);
    let seed = hash(&format!("{user}/{number}"));
    let template = template(seed / 7 + number);
    let name = format!("{}-{number}", template.suffix);
    let full_name = format!("{login}/{name}");
    let is_fork = number % 5 == 4;
    // One in nine has no commit yet.
    let size = if number % 9 == 8 { 0 } else { 20 + seed % 5_000 };
    json!({
        "id": seed % 900_000_000, "node_id": format!("R_{seed:x}"), "name": name, "full_name": full_name,
        "private": false, "html_url": format!("https://github.com/{full_name}"),
        "description": if seed.is_multiple_of(4) { Value::Null } else { Value::from(format!("A {} of mine", template.suffix)) },
        "owner": { "login": login, "id": hash(user) % 90_000_000 + 1, "type": "User" },
        "fork": is_fork, "url": format!("https://api.github.com/repos/{full_name}"),
        "language": if size == 0 { Value::Null } else { Value::from(template.language) },
        "forks_count": seed % 40, "stargazers_count": seed % 1_500, "watchers_count": seed % 1_500,
        "open_issues_count": seed % 30, "size": size, "default_branch": "main", "topics": template.topics,
        "archived": number % 11 == 10, "disabled": false, "visibility": "public",
        "license": if seed.is_multiple_of(3) { Value::Null } else { json!({ "key": "mit", "name": "MIT License", "spdx_id": "MIT" }) },
        "created_at": "2020-01-26T19:01:12Z",
        "updated_at": format!("2025-11-{:02}T08:00:00Z", 1 + seed % 28),
        "pushed_at": format!("2025-11-{:02}T07:59:00Z", 1 + seed % 28),
    })
}

fn of_repo(repo: &Value) -> (u64, &'static Template) {
    let full_name = repo["full_name"].as_str().unwrap_or_default();
    let (owner, name) = full_name.split_once('/').unwrap_or_default();
    let number: u64 = name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let seed = hash(&format!("{owner}/{number}"));
    (seed, template(seed / 7 + number))
}

pub(crate) fn languages(repo: &Value) -> Value {
    let (seed, template) = of_repo(repo);
    if repo["size"] == 0 {
        return json!({});
    }
    let bytes = 4_000 + seed % 90_000;
    template
        .languages
        .iter()
        .map(|(language, percent)| ((*language).to_owned(), Value::from(bytes * percent)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

pub(crate) fn starred(user: &str) -> Vec<Value> {
    let seed = hash(user);
    (0..5 + seed % 40)
        .map(|number| {
            let template = template(seed / 3 + number);
            let name = format!("{}-{number}", template.suffix);
            json!({
                "id": seed % 1_000 + number, "name": name, "full_name": format!("octo-org/{name}"), "fork": false,
                "language": template.language, "topics": template.topics, "stargazers_count": 100 + number,
            })
        })
        .collect()
}

pub(crate) fn orgs(user: &str) -> Vec<Value> {
    (0..hash(user) % 3)
        .map(|number| {
            let login = ["octo-org", "rustaceans", "cloud-natives"][usize::try_from(number).unwrap_or(0)];
            json!({ "login": login, "id": number + 1, "description": "People who build", "url": format!("https://api.github.com/orgs/{login}") })
        })
        .collect()
}

/// Three commits in two repositories, for names that begin with `contrib`.
pub(crate) fn commits_elsewhere(author: &str, base: &str) -> Vec<Value> {
    if !author.to_ascii_lowercase().starts_with("contrib") {
        return Vec::new();
    }
    let repo = |name: &str| json!({ "name": name, "full_name": format!("octo-org/{name}"), "size": 1, "private": false, "fork": false, "owner": { "login": "octo-org" } });
    let found = [(repo("kernel-5"), 0), (repo("kernel-5"), 1), (repo("web-6"), 0)];
    let found = found.into_iter().map(|(repo, number)| {
        let mut commit = commit_numbered(&repo, number, base);
        commit["author"] = json!({ "login": author });
        commit["repository"] = repo;
        commit
    });
    found.collect()
}

fn sha(repo: &Value, number: u64) -> String {
    let seed = hash(&format!("{}#{number}", repo["full_name"].as_str().unwrap_or_default()));
    format!("{seed:016x}{:016x}{:08x}", seed.rotate_left(17), seed >> 32)
}

fn count_commits(repo: &Value) -> u64 {
    let (seed, _) = of_repo(repo);
    if repo["size"] == 0 { 0 } else { 3 + seed % 60 }
}

/// Newest first.
pub(crate) fn commits(repo: &Value, base: &str) -> Vec<Value> {
    (0..count_commits(repo)).map(|number| commit_numbered(repo, number, base)).collect()
}

fn commit_numbered(repo: &Value, number: u64, base: &str) -> Value {
    let (seed, _) = of_repo(repo);
    let full_name = repo["full_name"].as_str().unwrap_or_default();
    let login = &repo["owner"]["login"];
    let message = MESSAGES[usize::try_from((seed + number) % MESSAGES.len() as u64).unwrap_or(0)];
    let parents = if message.starts_with("Merge") { 2 } else { 1 };
    let parent = |n: u64| json!({ "sha": sha(repo, number + n), "url": format!("{base}/repos/{full_name}/commits/{}", sha(repo, number + n)) });
    // From 2025-11-28 backwards, a commit every other day at changing hours.
    let day = number * 2;
    let date = format!(
        "2025-{:02}-{:02}T{:02}:{:02}:00Z",
        (11_u64.saturating_sub(day / 28)).max(1),
        28 - day % 28,
        (seed + number * 3) % 24,
        number % 60
    );
    let signature = json!({ "name": login, "email": format!("{}@users.noreply.github.com", login.as_str().unwrap_or_default()), "date": date });
    json!({
        "sha": sha(repo, number), "node_id": "C_x", "html_url": format!("https://github.com/{full_name}/commit/{}", sha(repo, number)),
        "url": format!("{base}/repos/{full_name}/commits/{}", sha(repo, number)),
        "commit": { "message": message, "author": signature, "committer": signature, "comment_count": 0 },
        "author": { "login": login }, "committer": { "login": login },
        "parents": (1..=parents).map(parent).collect::<Vec<_>>(),
    })
}

pub(crate) fn commit(repo: &Value, wanted: &str, base: &str) -> Option<Value> {
    let number = (0..count_commits(repo)).find(|number| sha(repo, *number) == wanted)?;
    let mut commit = commit_numbered(repo, number, base);
    let size = hash(wanted);
    let (additions, deletions) = (1 + size % 300, size / 300 % 100);
    let files: Vec<Value> = (0..1 + size % 6)
        .map(|n| json!({ "filename": format!("src/part{n}.txt"), "status": "modified", "additions": 1, "deletions": 0, "changes": 1 }))
        .collect();
    commit["stats"] =
        json!({ "additions": additions, "deletions": deletions, "total": additions + deletions });
    commit["files"] = files.into();
    Some(commit)
}

pub(crate) fn root(repo: &Value) -> Vec<Value> {
    let (_, template) = of_repo(repo);
    template.files.iter().map(|(name, text)| entry(name, text)).collect()
}

pub(crate) fn file(repo: &Value, path: &str) -> Option<Value> {
    let (_, template) = of_repo(repo);
    let (name, text) = template.files.iter().find(|(name, _)| *name == path)?;
    let mut file = entry(name, text);
    file["encoding"] = "base64".into();
    file["content"] = base64(text.as_bytes()).into();
    Some(file)
}

fn entry(name: &str, text: &str) -> Value {
    // A folder has no text of its own.
    let kind = if text.is_empty() && !name.contains("config") { "dir" } else { "file" };
    json!({ "type": kind, "name": name, "path": name, "size": text.len(), "sha": format!("{:016x}", hash(text)) })
}

/// Base64 in lines of sixty characters, as GitHub sends it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let byte = |n: usize| u32::from(piece.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= piece.len() { char::from(letter) } else { '=' });
            if text.len() % 61 == 60 {
                text.push('\n');
            }
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_follow_from_the_name() {
        assert_eq!(repos("octocat"), repos("Octocat"));
        assert_ne!(user("octocat")["id"], user("torvalds")["id"]);
        assert!(!exists("ghost-1") && exists("octocat"));
        for known in repos("octocat") {
            let name = known["name"].as_str().unwrap();
            assert_eq!(repo("octocat", name), Some(known.clone()));
            for commit in commits(&known, "").iter().take(3) {
                let sha = commit["sha"].as_str().unwrap();
                assert_eq!(sha.len(), 40);
                assert!(super::commit(&known, sha, "").is_some());
            }
        }
        assert_eq!(repo("octocat", "linux"), None);
    }

    #[test]
    fn base64_is_padded_and_cut_into_lines() {
        assert_eq!(base64(b"M"), "TQ==\n");
        assert_eq!(base64(b"Ma"), "TWE=\n");
        assert_eq!(base64(b"Man"), "TWFu\n");
        assert_eq!(base64(&[b'a'; 90]).lines().map(str::len).collect::<Vec<_>>(), [60, 60]);
    }
}
