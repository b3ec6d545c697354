//! A server that is killed at random moments skips no version and doubles none.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};

use fakes::Double;
use longhaul::{Clock, State};

use crate::fixture::{CHAT, Fixture, SEARCH, both, text};

const FOLDER: &str = "LESSONS_TEST_FOLDER";
const DOUBLE: &str = "LESSONS_TEST_DOUBLE";
const KILLS: usize = 20;
const LESSONS: usize = 150;
const TOPICS: [&str; 3] = ["verbs", "nouns", "adverbs"];
const SLOTS: usize = 2;

/// A server in a process of its own, killed without warning when this is dropped.
struct Victim(Child);

impl Victim {
    fn start(folder: &std::path::Path, double: &Double) -> Self {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program)
            .args(["--exact", "crash::victim", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .env(DOUBLE, double.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // SIGKILL; it may have died of something else, which the checks then find.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn vars(url: &str) -> crate::fixture::Vars {
    vec![
        ("WIKIPEDIA_API_URL", url.into()),
        ("LLM_BASE_URL", format!("{url}/v1")),
        ("LLM_MODEL", "double-1".into()),
    ]
}

#[tokio::test]
#[ignore = "the process that the test below starts and kills"]
async fn victim() {
    let (Ok(folder), Ok(double)) = (std::env::var(FOLDER), std::env::var(DOUBLE)) else { return };
    let f = Fixture::open(folder.as_ref(), Clock::system(), vars(&double)).await;
    let _worker = f.work_at(SLOTS);
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_twenty_times_skips_and_doubles_no_version() {
    let folder = tempfile::tempdir().unwrap();
    let double = Double::start().await;
    let f = Fixture::open(folder.path(), Clock::system(), both(&double)).await;
    let mut tasks = BTreeMap::new();
    for number in 0..LESSONS {
        let topic = TOPICS[number % TOPICS.len()];
        tasks.insert(f.start("english", topic).await, topic);
    }
    drop(f);
    for kill in 0..KILLS {
        let victim = Victim::start(folder.path(), &double);
        // Some lessons more are begun, and then it dies while another one is asked for, written, saved or finished. What
        // was under way at the last kill comes first and is done by then: no lesson dies often enough to be given up.
        let more = 5 + kill % 3;
        double.wait_for(CHAT, double.seen(CHAT).len() + more).await;
        drop(victim);
    }
    let f = Fixture::open(folder.path(), Clock::system(), both(&double)).await;
    let _worker = f.work_at(SLOTS);
    let mut versions: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let mut crashes = 0;
    for (task, topic) in &tasks {
        let job = f.job_ended(task).await;
        assert_eq!(job.state, State::Completed, "{job:?}");
        crashes += job.crashes;
        let version = text(&job.output.unwrap().to_value()["version"]);
        let number = version.strip_prefix("1.").unwrap().parse().unwrap();
        assert!(versions.entry(topic).or_default().insert(number), "{topic} {version} is there twice");
    }
    assert!(crashes > 0, "nothing was under way at any of the kills");
    // A crash repeats the step that it fell into, and no other.
    let most = LESSONS + usize::try_from(crashes).unwrap();
    assert!(double.seen(SEARCH).len() <= most && double.seen(CHAT).len() <= most);
    println!("{crashes} runs of {LESSONS} lessons were cut off by {KILLS} kills");
    for (topic, versions) in versions {
        let each = u32::try_from(LESSONS / TOPICS.len()).unwrap();
        assert_eq!(versions, (0..each).collect(), "{topic}");
        assert_eq!(f.versions("english", topic).await.len(), versions.len(), "{topic}");
    }
}
