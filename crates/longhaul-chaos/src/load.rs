//! Clients: each enqueues job after job at some API server, and repeats a request until it is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{Job, JobId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use serde_json::json;
use tokio::sync::watch;

use crate::Result;
use crate::history::{History, What};
use crate::worker::{Behaviour, Probe, QUEUE};

/// A job that a client has sent, whether or not anybody answered.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Its id.
    pub(crate) id: JobId,
    /// Its behaviour.
    pub(crate) behaviour: Behaviour,
}

/// The state that all clients share.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// The API servers' addresses, as they are now.
    pub(crate) servers: watch::Receiver<Vec<String>>,
    /// The history that acknowledgements are noted in.
    pub(crate) history: History,
    /// Jobs per second of all clients together.
    pub(crate) rate: f64,
    /// The phase of the run.
    pub(crate) over: watch::Receiver<Phase>,
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Jobs are sent.
    Load,
    /// No more jobs are sent; those that were must be acknowledged and done.
    Drain,
}

impl Load {
    /// Sends jobs until the load is over, and answers all of them.
    ///
    /// # Errors
    /// No client can be made.
    pub(crate) async fn run(self, seed: u64, clients: u64) -> Result<Vec<Sent>> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let load = Arc::new(self);
        let one = |number: u64| {
            let (load, client) = (Arc::clone(&load), client.clone());
            let random = StdRng::seed_from_u64(seed.wrapping_add(number));
            tokio::spawn(async move { load.client(client, random, number, clients).await })
        };
        let running: Vec<_> = (0..clients).map(one).collect();
        let mut sent = Vec::new();
        for client in running {
            sent.extend(client.await??);
        }
        Ok(sent)
    }

    async fn client(
        &self,
        client: Client,
        mut random: StdRng,
        number: u64,
        clients: u64,
    ) -> Result<Vec<Sent>> {
        let pause = Duration::from_secs_f64(clients as f64 / self.rate);
        let mut sent = Vec::new();
        while *self.over.borrow() == Phase::Load {
            let id = format!("chaos-{number}-{}", sent.len());
            let behaviour = match random.random_range(0..100) {
                0..5 => Behaviour::Limited,
                5..15 => Behaviour::Fails,
                _ => Behaviour::Plain,
            };
            sent.push(Sent { id: JobId::from_store(id.clone()), behaviour });
            let probe = Probe { millis: random.random_range(1..120), behaviour };
            let mut body =
                json!({ "id": id, "kind": Probe::KIND, "args": probe, "queue": QUEUE, "max_attempts": 3 });
            if let Some(key) = probe.limit_keys().pop() {
                body["key"] = key.into();
            }
            post_until_accepted(&self.servers, &client, &body, &mut random).await?;
            self.history.note(vec![What::Acknowledged { job: id }]);
            tokio::time::sleep(pause.mul_f64(random.random_range(0.5..1.5))).await;
        }
        Ok(sent)
    }
}

/// Posts a job to one server after another until one accepts it: its id keeps it from being created twice.
pub(crate) async fn post_until_accepted(
    servers: &watch::Receiver<Vec<String>>,
    client: &Client,
    body: &serde_json::Value,
    random: &mut StdRng,
) -> Result<()> {
    loop {
        let server = servers.borrow().choose(random).cloned();
        if let Some(server) = server {
            let answer = client.post(format!("{server}/api/jobs")).json(body).send().await;
            match answer {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if answer.status().is_client_error() => {
                    return Err(format!("a server refuses the job: {}", answer.text().await?).into());
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(20..120))).await;
    }
}
