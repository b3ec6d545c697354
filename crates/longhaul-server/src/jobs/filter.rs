use clap::Args;
use longhaul::{JobFilter, JobId, State};

/// The jobs that are meant: those that fit everything that is given.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Filter {
    /// In one of these states: blocked, scheduled, available, running, completed, failed, cancelled
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',')]
    states: Vec<State>,
    /// Of one of these kinds
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<String>,
    /// In one of these queues
    #[arg(long = "queue", value_name = "QUEUE", value_delimiter = ',')]
    queues: Vec<String>,
    /// That belong to one of these jobs: the children of a batch
    #[arg(long = "parent", value_name = "ID", value_delimiter = ',', value_parser = id)]
    parents: Vec<JobId>,
    /// With this label, and every other one given
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// With this text in the id, the kind, the args or the last error
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

impl Filter {
    pub(super) fn job_filter(self) -> JobFilter {
        JobFilter {
            ids: Vec::new(),
            parents: self.parents,
            states: self.states,
            kinds: self.kinds,
            queues: self.queues,
            labels: self.labels,
            text: self.text,
            ..JobFilter::default()
        }
    }
}

fn id(text: &str) -> Result<JobId, String> {
    JobId::new(text).map_err(|error| error.to_string())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
