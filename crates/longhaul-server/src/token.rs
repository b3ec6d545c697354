//! `longhaul token`

use std::time::Duration;

use clap::Args as ClapArgs;
use longhaul::Clock;
use service_support::{Auth, Config, Env, Role, User};

use crate::Result;
use crate::stores::{self, StoreArgs};

/// Print a bearer token for a user of the services, signed with the secret that the server checks with:
/// JWT_SECRET where it is set, else the one in the data folder (which is made on first use).
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    stores: StoreArgs,
    /// The user's id
    #[arg(long, value_name = "USER")]
    sub: String,
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    /// Also open the admin API (/api/jobs and its like) with this token
    #[arg(long)]
    admin: bool,
    /// Days until it expires
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

const EXAMPLES: &str = "\
Examples:
  TOKEN=$(longhaul token --sub ada --email ada@example.com)
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8000/courses
  longhaul token --sub root --admin --days 1      for the admin API of a server that is not on loopback";

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.sub.trim().is_empty() {
        return Err("--sub is empty: it is the user's id".into());
    }
    stores::make_private_folder(&args.stores.data)?;
    let config = Config::from_env(&Env::of_process(&args.stores.data))?;
    let auth = Auth::open(&config.auth, Clock::system())?;
    let user = User {
        sub: args.sub.clone(),
        email: args.email.clone(),
        role: if args.admin { Role::Admin } else { Role::User },
    };
    println!("{}", auth.sign(&user, DAY * u32::from(args.days))?);
    Ok(())
}

const DAY: Duration = Duration::from_secs(24 * 3600);
