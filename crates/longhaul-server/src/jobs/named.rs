//! Ids of jobs as people type them: whole, or a prefix that no other has.

use std::fmt;

use crate::Result;
use crate::client::{Client, Job, JobPage, Refusal, encoded};
use crate::terminal::grouped;

/// The shortest prefix of an id that stands for it.
const SHORTEST: usize = 4;
/// The most jobs that are listed if a name fits several.
const TOLD: usize = 5;
/// The most pages that are looked at for a prefix; a store looks at thousands of jobs for each.
const MOST_PAGES: usize = 20;

/// Asks about the job that `given` names: the one of this id, or else the only one with this prefix. Answers its whole id, too.
pub(crate) async fn named<T>(
    client: &Client,
    given: &str,
    ask: impl AsyncFn(&str) -> Result<T>,
) -> Result<(String, T)> {
    match ask(given).await {
        Ok(answer) => Ok((given.to_owned(), answer)),
        Err(error) if is_unknown(&*error) => {
            let id = by_prefix(client, given).await?;
            let answer = ask(&id).await?;
            Ok((id, answer))
        }
        Err(error) => Err(error),
    }
}

/// An id that names no job, or more than one.
#[derive(Debug)]
pub(crate) struct NoOneJob(String);

impl fmt::Display for NoOneJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoOneJob {}

fn is_unknown(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.code == "no_such_job")
}

/// The id of the only job whose id has this prefix.
async fn by_prefix(client: &Client, prefix: &str) -> Result<String> {
    let can_be_id = prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-'));
    if !can_be_id || prefix.len() < SHORTEST {
        let hint = match can_be_id {
            true => format!("a prefix of an id does from {SHORTEST} characters on"),
            false => "longhaul jobs list searches for a text".into(),
        };
        return Err(NoOneJob(format!("there is no job {prefix}; {hint}")).into());
    }
    let query = encoded(&format!("id:{prefix}*"));
    let (mut found, mut looked_at, mut next) = (Vec::new(), 0, None::<String>);
    for _ in 0..MOST_PAGES {
        let cursor = next.take().map(|next| format!("&cursor={}", encoded(&next))).unwrap_or_default();
        let page: JobPage = client.get(&format!("/jobs?limit={}&q={query}{cursor}", TOLD + 1)).await?;
        for job in &page.jobs {
            found.push(serde_json::from_str::<Job>(job.get())?);
        }
        looked_at += page.searched.map_or(0, |searched| searched.jobs);
        next = page.next;
        if next.is_none() || found.len() > 1 {
            break;
        }
    }
    let message = match (found.as_slice(), next) {
        ([job], None) => return Ok(job.id.clone()),
        ([], None) => {
            format!(
                "there is no job {prefix}, and none whose id begins so; longhaul jobs list shows what is there"
            )
        }
        ([], Some(_)) => format!(
            "there is no job {prefix}, and among the newest {} none whose id begins so; an older one needs its whole id",
            grouped(looked_at)
        ),
        ([job], Some(_)) => format!(
            "{prefix} is the prefix of {} among the newest {} jobs, and may be that of older ones; give the whole id",
            job.id,
            grouped(looked_at)
        ),
        (several, _) => {
            let told =
                several.iter().take(TOLD).map(|job| format!("\n  {}  {} {}", job.id, job.kind, job.state));
            let more = if several.len() > TOLD { "\n  and others" } else { "" };
            format!(
                "{prefix} is the prefix of several ids; give more of it:{}{more}",
                told.collect::<String>()
            )
        }
    };
    Err(NoOneJob(message).into())
}
