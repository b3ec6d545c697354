//! `longhaul token`

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use longhaul::Clock;
use service_support::{Auth, Config, Env, Role, User};

use crate::Result;
use crate::output::print;
use crate::stores::{self, StoreArgs};

/// Print a bearer token for a user of the services, or for the dashboard and the admin API, signed with the secret that the
/// server checks with: JWT_SECRET where it is set, else the one in the data folder (which is made on first use).
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    stores: StoreArgs,
    /// The user's id [default: the name]
    #[arg(long, value_name = "USER", required_unless_present_any = ["name", "role", "admin"])]
    sub: Option<String>,
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    /// The name that the dashboard shows
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Also open the dashboard and the admin API (/api/jobs and its like) with this token
    #[arg(long, value_enum)]
    role: Option<RoleWord>,
    /// The same as --role admin
    #[arg(long, conflicts_with = "role")]
    admin: bool,
    /// Days until it expires
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

/// Each role may do what those before it may.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleWord {
    /// Reads everything, changes nothing
    Viewer,
    /// Also enqueues, cancels, retries and deletes jobs, pauses queues
    Operator,
    /// Also configures queues, and does what remote workers do
    Admin,
}

const EXAMPLES: &str = "\
Examples:
  TOKEN=$(longhaul token --sub ada --email ada@example.com)
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8000/courses
  longhaul token --role viewer --name \"The wall\" --days 365   to sign in to /admin with, and look on
  longhaul token --role admin --name root --days 1            for all of the admin API";

pub(crate) fn run(args: &Args) -> Result<()> {
    let role = args.role();
    // A token for the dashboard alone need not say whose it is.
    let sub = args.sub.as_deref().or(args.name.as_deref()).unwrap_or(match role {
        Role::User | Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    });
    if sub.trim().is_empty() {
        return Err("--sub is empty: it is the user's id".into());
    }
    stores::make_private_folder(&args.stores.data)?;
    let config = Config::from_env(&Env::of_process(&args.stores.data))?;
    let auth = Auth::open(&config.auth, Clock::system())?;
    let user = User { sub: sub.into(), email: args.email.clone(), name: args.name.clone(), role };
    print(auth.sign(&user, DAY * u32::from(args.days))?)?;
    Ok(())
}

impl Args {
    fn role(&self) -> Role {
        match self.role {
            Some(RoleWord::Viewer) => Role::Viewer,
            Some(RoleWord::Operator) => Role::Operator,
            Some(RoleWord::Admin) => Role::Admin,
            None if self.admin => Role::Admin,
            None => Role::User,
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
