//! `longhaul export` and `longhaul import`

pub(crate) mod export;
mod file;
pub(crate) mod import;
mod lines;
mod marks;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// A part of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// The rows of the services' tables.
    Services,
    /// The store of jobs.
    Jobs,
}

/// The flag that leaves a part out.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// Only the store of jobs, or only the rows of the services' tables [default: both]
    #[arg(long, value_name = "jobs|services", hide_possible_values = true)]
    pub(crate) only: Option<Part>,
}

/// The parts that are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Both,
    Only(Part),
}

impl Parts {
    /// The parts that are asked for.
    fn wanted(self) -> Wanted {
        self.only.map_or(Wanted::Both, Wanted::Only)
    }
}

impl Wanted {
    pub(crate) fn jobs(self) -> bool {
        self != Wanted::Only(Part::Services)
    }

    pub(crate) fn services(self) -> bool {
        self != Wanted::Only(Part::Jobs)
    }

    /// The parts that are asked for and that a file has; `None` where it has none of them.
    fn among(self, parts: &[Part]) -> Option<Self> {
        let has = |part| parts.contains(&part);
        match (self.services() && has(Part::Services), self.jobs() && has(Part::Jobs)) {
            (true, true) => Some(Wanted::Both),
            (true, false) => Some(Wanted::Only(Part::Services)),
            (false, true) => Some(Wanted::Only(Part::Jobs)),
            (false, false) => None,
        }
    }
}

/// What comes over and what does not, for the helps of both commands.
const WHAT_COMES_OVER: &str = "\
What comes over: jobs in every state with their attempts, errors, steps, logs, outputs, labels,
keys, parents, dependencies and waits; settings and pauses of queues and limit keys; schedules,
webhook secrets, idempotency keys, statistics, and the ids of removed jobs. With them the rows of
all services' tables (lessons, courses, materials and what they are searched by, sessions, skills,
curricula, analyses), from the database that a server finds with the same --database, --data and
DATABASE_URL. --only jobs or --only services leaves the other part out.

What does not: workers and their leases (a running job comes over as one that its worker gave
back, at no cost of an attempt); what rates have counted and the turns of fair queues, which begin
anew; uploaded files and the secret of users' tokens. Copy these from the old data folder to the
new one, before a server starts there: cp -a data/files data/jwt-secret NEW/. With STORAGE_URL the
files stay in their bucket.";
