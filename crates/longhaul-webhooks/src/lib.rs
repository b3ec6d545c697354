#![doc = include_str!("../README.md")]

mod address;
mod answered;
mod deliver;
mod outbound;
mod request;
mod sign;

pub use address::Allowed;
pub use deliver::{Deliver, Sender};
pub use outbound::{Answer, CallError, Outbound, Request};
pub use request::HttpRequest;
pub use sign::sign;

use longhaul::{WorkerBuilder, webhook};

/// The queues of the kinds that [`register`] adds.
pub const QUEUES: [&str; 2] = [webhook::QUEUE, request::QUEUE];

/// Lets a worker deliver webhooks and run jobs of kind `http.request`.
#[must_use]
pub fn register(worker: WorkerBuilder, outbound: &Outbound) -> WorkerBuilder {
    worker.register::<Deliver>(Sender::new(outbound.clone())).register::<HttpRequest>(outbound.clone())
}
