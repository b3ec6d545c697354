//! The flags, the start and the end of a worker, for `serve` and `worker`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use longhaul::{Clock, QueueSlots, Worker};
use longhaul_http::{Redaction, Secret, SignalTokens, redacted};
use longhaul_webhooks::{Allowed, Deliver, HttpRequest, Outbound, Sender};

use crate::Result;
use crate::services::Services;

/// The flags of a worker.
#[derive(Args, Clone, Debug)]
pub(crate) struct Work {
    /// The number of heavy jobs (reading a document) that run at once [default: the number of cores]
    #[arg(long, env = "LONGHAUL_SLOTS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    slots: Option<u16>,
    /// The number of jobs of each other queue that run at once: they wait for systems outside, and cost memory only
    #[arg(long, env = "LONGHAUL_WAITING_SLOTS", value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    waiting_slots: u16,
    /// The queues to take jobs of, separated by commas, each with slots of its own where it is to have others:
    /// lessons,materials=1 [default: all: those of the services, http and longhaul.webhooks]
    #[arg(long, env = "LONGHAUL_QUEUES", value_name = "LIST", value_delimiter = ',')]
    queues: Vec<QueueChoice>,
    /// The labels of this worker, separated by commas, by which jobs prefer it: gpu=a100,zone=eu
    #[arg(long, env = "LONGHAUL_LABELS", value_name = "LIST", value_delimiter = ',')]
    labels: Vec<LabelChoice>,
    /// Networks that webhooks and http.request jobs may call though they are not public, separated by commas:
    /// 127.0.0.1,10.1.0.0/16 [default: none, so that no job can reach what only this machine can]
    #[arg(
        long,
        env = "LONGHAUL_WEBHOOK_ALLOW",
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true
    )]
    webhook_allow: Allowed,
    /// Seconds that running jobs and requests get to finish after SIGTERM; the rest is handed back, at no cost
    /// of an attempt
    #[arg(long, env = "LONGHAUL_GRACE", value_name = "SECONDS", default_value_t = 25)]
    grace: u32,
}

/// A queue that a worker is to serve: `materials`, or `materials=4`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct QueueChoice {
    queue: String,
    slots: Option<usize>,
}

impl FromStr for QueueChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (queue, slots) = match text.split_once('=') {
            None => (text, None),
            Some((queue, slots)) => {
                let slots = slots.parse().ok().filter(|slots| (1..=4096).contains(slots));
                (queue, Some(slots.ok_or_else(|| format!("{text}: the slots must be 1 to 4096"))?))
            }
        };
        if queue.is_empty() {
            return Err("the name of a queue is missing".into());
        }
        Ok(Self { queue: queue.to_owned(), slots })
    }
}

/// A label of a worker, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelChoice(String, String);

impl FromStr for LabelChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let label = text.split_once('=').ok_or_else(|| format!("'{text}' is no label: use gpu=a100"))?;
        let is_name = |name: &str| {
            (1..=128).contains(&name.len())
                && !matches!(name, "." | "..")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
        };
        match label {
            (label, value) if is_name(label) && is_name(value) => Ok(Self(label.into(), value.into())),
            _ => Err(format!(
                "'{text}': a label and its value are 1-128 of A-Z a-z 0-9 . _ : -, and not . or .."
            )),
        }
    }
}

impl Work {
    /// The time that running jobs get to finish after SIGTERM.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace.into())
    }

    /// Starts to run the services' jobs, webhooks and HTTP requests. Webhooks hide the values of `redaction`.
    ///
    /// # Errors
    /// A queue is named that no service has: a mistyped name would be served by no worker.
    pub(crate) fn start(&self, services: &Services, redaction: Redaction) -> Result<Worker> {
        let mut queues = services.queues(self.slots(), self.waiting_slots.into());
        let waiting = |queue: &str| QueueSlots { queue: queue.into(), slots: self.waiting_slots.into() };
        queues.extend(longhaul_webhooks::QUEUES.map(waiting));
        let queues = self.chosen(queues)?;
        let described: Vec<String> = queues.iter().map(|q| format!("{}={}", q.queue, q.slots)).collect();
        tracing::info!(slots = described.join(" "), "running jobs");
        // A worker without a server makes the tokens that the servers of its store accept.
        let tokens = SignalTokens::new(&Secret(services.secret()?), Clock::system());
        services.deps.longhaul.sign_wait_tokens(tokens);
        let outbound = Outbound::new(self.webhook_allow.clone())?;
        let shown = redacted(services.deps.longhaul.store().clone(), redaction);
        let mut registry = services.registry();
        registry.register::<Deliver>(Sender::new(outbound.clone()).showing(shown));
        registry.register::<HttpRequest>(outbound);
        let worker = services.deps.longhaul.worker().registry(registry);
        let worker =
            queues.into_iter().fold(worker, |worker, QueueSlots { queue, slots }| worker.queue(queue, slots));
        let worker =
            self.labels.iter().fold(worker, |worker, LabelChoice(label, value)| worker.label(label, value));
        Ok(worker.run_schedules().start())
    }

    fn chosen(&self, all: Vec<QueueSlots>) -> Result<Vec<QueueSlots>> {
        if self.queues.is_empty() {
            return Ok(all);
        }
        let choose = |choice: &QueueChoice| {
            let Some(known) = all.iter().find(|known| known.queue == choice.queue) else {
                let names: Vec<&str> = all.iter().map(|known| known.queue.as_str()).collect();
                let names = names.join(", ");
                return Err(format!("no service has a queue '{}': use {names}", choice.queue).into());
            };
            Ok(QueueSlots { queue: known.queue.clone(), slots: choice.slots.unwrap_or(known.slots) })
        };
        self.queues.iter().map(choose).collect()
    }

    fn slots(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.slots.map_or_else(cores, usize::from)
    }
}

/// Stops a worker and logs how many jobs it has handed back.
pub(crate) async fn stop(worker: Worker, grace: Duration) {
    let running = worker.running();
    if running > 0 {
        tracing::info!("waiting at most {} s for {running} running jobs", grace.as_secs());
    }
    let shutdown = worker.shutdown(grace).await;
    if shutdown.handed_back > 0 {
        tracing::info!("handed {} unfinished jobs back", shutdown.handed_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(queues: &str) -> std::result::Result<Vec<(String, usize)>, String> {
        let choices: std::result::Result<Vec<QueueChoice>, String> =
            queues.split(',').map(str::parse).collect();
        let work = Work {
            slots: None,
            waiting_slots: 64,
            queues: choices?,
            labels: Vec::new(),
            webhook_allow: Allowed::default(),
            grace: 25,
        };
        let all = [("lessons", 64), ("materials", 2)];
        let all = all.map(|(queue, slots)| QueueSlots { queue: queue.into(), slots });
        let chosen = work.chosen(all.to_vec()).map_err(|error| error.to_string())?;
        Ok(chosen.into_iter().map(|choice| (choice.queue, choice.slots)).collect())
    }

    #[test]
    fn a_label_is_a_name_and_a_value() {
        assert_eq!("gpu=a100".parse(), Ok(LabelChoice("gpu".into(), "a100".into())));
        for text in ["gpu", "gpu=", "=a100", "g pu=a100", "gpu=a=b", "gpu=..", ".=a100"] {
            assert!(text.parse::<LabelChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn queues_are_chosen_by_name_and_may_have_slots_of_their_own() {
        assert_eq!(chosen("materials=1,lessons"), Ok(vec![("materials".into(), 1), ("lessons".into(), 64)]));
        assert_eq!(chosen("lesson").unwrap_err(), "no service has a queue 'lesson': use lessons, materials");
        assert_eq!(chosen("lessons=0").unwrap_err(), "lessons=0: the slots must be 1 to 4096");
        assert_eq!(chosen("=1").unwrap_err(), "the name of a queue is missing");
    }
}
