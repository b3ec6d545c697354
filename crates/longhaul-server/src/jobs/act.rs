use clap::Args as ClapArgs;
use longhaul::{Action, CANCEL_GRACE, JobFilter, JobId, Longhaul, Lookup};

use super::filter::Filter;
use crate::Result;

/// The jobs to act on: some by id, or all that fit a filter.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The ids of jobs
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// The most jobs to act on
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs retry 0199c1f2-7a31-7c10-b7a5-0b8a3c1d9e55
  longhaul jobs retry --state failed --text 'provider is down'
  longhaul jobs cancel --state available,scheduled --kind materials.process --limit 100000";

pub(super) async fn retry(longhaul: &Longhaul, args: Args) -> Result<()> {
    act(longhaul, args, &Deed { action: Action::Retry, done: "will run again", needs: "has not ended" }).await
}

pub(super) async fn cancel(longhaul: &Longhaul, args: Args) -> Result<()> {
    let action = Action::Cancel { grace: CANCEL_GRACE };
    act(longhaul, args, &Deed { action, done: "cancelled, or asked to stop", needs: "has ended" }).await
}

/// An action, and the words for it.
struct Deed {
    action: Action,
    done: &'static str,
    /// The states that the action needs, for people.
    needs: &'static str,
}

async fn act(longhaul: &Longhaul, args: Args, deed: &Deed) -> Result<()> {
    let filter = args.filter.job_filter();
    if args.ids.is_empty() && filter == JobFilter::default() {
        return Err(
            "name jobs by id, or say which ones with --state, --kind, --queue, --parent, --label or --text"
                .into(),
        );
    }
    if args.ids.is_empty() {
        let acted = longhaul.store().act(&filter, deed.action.clone(), args.limit).await?;
        println!("{} {}", acted.done, deed.done);
        if !acted.complete {
            println!("there may be more: raise --limit, or run this again");
        }
        return Ok(());
    }
    if filter != JobFilter::default() {
        return Err("name jobs by id or by a filter, not by both".into());
    }
    let mut refused = 0;
    for id in args.ids {
        let id = JobId::new(id)?;
        if longhaul.store().act(&JobFilter::id(id.clone()), deed.action.clone(), 1).await?.done > 0 {
            println!("{id} {}", deed.done);
        } else {
            eprintln!("{}", why_not(longhaul, &id, deed).await?);
            refused += 1;
        }
    }
    if refused > 0 { Err(format!("{refused} of the jobs named were left alone").into()) } else { Ok(()) }
}

async fn why_not(longhaul: &Longhaul, id: &JobId, deed: &Deed) -> Result<String> {
    Ok(match longhaul.get(id).await? {
        Lookup::Found(job) if job.state.is_finished() && deed.action == Action::Retry => {
            format!("{id} is {}, and another job holds its unique key", job.state)
        }
        Lookup::Found(job) => format!("{id} is {}: it {}", job.state, deed.needs),
        Lookup::Gone => format!("{id} is gone: it was deleted, or pruned by its age"),
        Lookup::Unknown => format!("there is no job {id}"),
    })
}
