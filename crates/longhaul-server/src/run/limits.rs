//! The flags for the limits of one job.

use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};

/// The limit keys of a job, and what it takes of their limits.
#[derive(Debug, ClapArgs)]
pub(crate) struct LimitArgs {
    /// A limit key, whose limits and pauses it keeps to; may be given again, up to 4
    #[arg(long = "key", visible_alias = "limit-key", value_name = "KEY")]
    keys: Vec<String>,
    /// The slots of its keys and its queue that a run takes [default: 1]
    #[arg(long, value_name = "N")]
    cost_slots: Option<u32>,
    /// What a start takes of their rates: tokens, say [default: 1]
    #[arg(long, value_name = "N")]
    cost_rate: Option<u32>,
}

impl LimitArgs {
    /// The fields of the request.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Option<Value>)> {
        let cost: Map<String, Value> = [("slots", self.cost_slots), ("rate", self.cost_rate)]
            .into_iter()
            .filter_map(|(name, units)| Some((name.to_owned(), units?.into())))
            .collect();
        vec![
            ("limit_keys", (!self.keys.is_empty()).then(|| json!(self.keys))),
            ("cost", (!cost.is_empty()).then(|| cost.into())),
        ]
    }
}
