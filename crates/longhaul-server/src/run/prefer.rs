//! The flags for the workers that a job prefers.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::{by_name, pair};

/// The labels of the workers that a job prefers, or must have.
#[derive(Debug, ClapArgs)]
pub(crate) struct PreferArgs {
    /// A label of the workers that it prefers; may be given again. Others are given it once it has been due for a second
    #[arg(long = "prefer", value_name = "LABEL=VALUE", value_parser = pair)]
    prefer: Vec<(String, String)>,
    /// No other worker is given it, however long it waits
    #[arg(long, requires = "prefer")]
    prefer_hard: bool,
}

impl PreferArgs {
    /// The fields of the request.
    pub(crate) fn fields(&self) -> Result<Vec<(&'static str, Option<Value>)>, String> {
        Ok(vec![
            ("prefer", by_name("--prefer", &self.prefer)?),
            ("prefer_hard", self.prefer_hard.then(|| true.into())),
        ])
    }
}
