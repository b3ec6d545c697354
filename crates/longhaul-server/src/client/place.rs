//! The flags that say where a command finds its jobs.

use clap::Args;

use super::Client;
use crate::Result;
use crate::stores::StoreArgs;

/// A store that is opened, or a server that is asked.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where the jobs are")]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
    /// Ask this server instead of opening the store: http://HOST:PORT or https://HOST. --store and --data go before
    /// the variable
    #[arg(long, global = true, env = "LONGHAUL_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The token for that server; better set as LONGHAUL_TOKEN, because everyone on the machine can read flags
    /// [default: LONGHAUL_ADMIN_TOKEN where set]
    #[arg(long, global = true, env = "LONGHAUL_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl Place {
    /// A client of the server that is named, or of the store, which must be there already.
    pub(crate) async fn open(&self) -> Result<Client> {
        match self.named_url() {
            Some(url) => Client::at(url, self.token()),
            None => {
                let (longhaul, described) = self.stores.open_existing().await?;
                Ok(Client::over(longhaul, described))
            }
        }
    }

    /// The server's address, where one is given.
    pub(crate) fn named_url(&self) -> Option<&str> {
        self.url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }

    pub(crate) fn token(&self) -> Option<String> {
        let set = |token: &String| !token.trim().is_empty();
        let admin = || std::env::var("LONGHAUL_ADMIN_TOKEN").ok();
        self.token.clone().filter(set).or_else(|| admin().filter(set)).map(|token| token.trim().to_owned())
    }
}
