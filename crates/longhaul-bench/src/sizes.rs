use std::time::Duration;

/// The sizes of the workloads. Each knob is also read from the variable that the harness of the other systems sets, so
/// that one setting sizes them all.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub(crate) struct Sizes {
    /// Jobs of a run of enqueue64, bulk, drain and http, in place of each one's own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    jobs: Option<u64>,
    /// Jobs of enqueue1
    #[arg(long, env = "PEERS_N1", value_name = "N", default_value_t = 5_000, hide_env_values = true)]
    enqueue1_jobs: u64,
    /// Seconds after which enqueue1 stops
    #[arg(long, env = "PEERS_T1", value_name = "S", default_value_t = 10.0, hide_env_values = true)]
    enqueue1_seconds: f64,
    /// Jobs of enqueue64
    #[arg(long, env = "PEERS_N64", value_name = "N", default_value_t = 20_000, hide_env_values = true)]
    enqueue64_jobs: u64,
    /// Seconds after which enqueue64 stops
    #[arg(long, env = "PEERS_T64", value_name = "S", default_value_t = 15.0, hide_env_values = true)]
    enqueue64_seconds: f64,
    /// Jobs of bulk
    #[arg(long, env = "PEERS_NBULK", value_name = "N", default_value_t = 50_000, hide_env_values = true)]
    bulk_jobs: u64,
    /// Seconds after which bulk stops
    #[arg(long, env = "PEERS_TBULK", value_name = "S", default_value_t = 30.0, hide_env_values = true)]
    bulk_seconds: f64,
    /// Jobs of drain and claim-history
    #[arg(long, env = "PEERS_NDRAIN", value_name = "N", default_value_t = 20_000, hide_env_values = true)]
    drain_jobs: u64,
    /// Seconds that a worker is waited for
    #[arg(long, env = "PEERS_TDRAIN", value_name = "S", default_value_t = 60.0, hide_env_values = true)]
    drain_seconds: f64,
    /// Slots of the worker in drain and pickup
    #[arg(long, env = "PEERS_CONC", value_name = "N", default_value_t = 64, hide_env_values = true)]
    slots: usize,
    /// Jobs of pickup
    #[arg(long, env = "PEERS_NPICK", value_name = "N", default_value_t = 200, hide_env_values = true)]
    pickup_jobs: u64,
    /// Requests of http
    #[arg(long, env = "PEERS_NHTTP", value_name = "N", default_value_t = 30_000, hide_env_values = true)]
    http_jobs: u64,
    /// Seconds after which http stops
    #[arg(long, env = "PEERS_THTTP", value_name = "S", default_value_t = 15.0, hide_env_values = true)]
    http_seconds: f64,
    /// Finished jobs that claim-history puts into the table first
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    history_jobs: u64,
    /// Seconds, in all, that are spent waiting for the machine's other users to rest
    #[arg(long, env = "PEERS_QUIET_S", value_name = "S", default_value_t = 60.0, hide_env_values = true)]
    quiet_seconds: f64,
}

/// So many jobs, or fewer where the time is up before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) jobs: u64,
    pub(crate) time: Duration,
}

impl Sizes {
    pub(crate) fn enqueue1(&self) -> Bound {
        Bound { jobs: self.enqueue1_jobs, time: seconds(self.enqueue1_seconds) }
    }

    pub(crate) fn enqueue64(&self) -> Bound {
        Bound { jobs: self.jobs.unwrap_or(self.enqueue64_jobs), time: seconds(self.enqueue64_seconds) }
    }

    pub(crate) fn bulk(&self) -> Bound {
        Bound { jobs: self.jobs.unwrap_or(self.bulk_jobs), time: seconds(self.bulk_seconds) }
    }

    pub(crate) fn drain(&self) -> Bound {
        Bound { jobs: self.jobs.unwrap_or(self.drain_jobs), time: seconds(self.drain_seconds) }
    }

    pub(crate) fn http(&self) -> Bound {
        Bound { jobs: self.jobs.unwrap_or(self.http_jobs), time: seconds(self.http_seconds) }
    }

    pub(crate) fn pickup_jobs(&self) -> u64 {
        self.pickup_jobs.max(1)
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots.max(1)
    }

    pub(crate) fn history_jobs(&self) -> u64 {
        self.history_jobs
    }

    pub(crate) fn quiet(&self) -> Duration {
        seconds(self.quiet_seconds)
    }
}

/// A number that is no length of time (negative, not a number) is none at all.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    /// The sizes of a command line, with as much time for everything as a busy machine may need.
    pub(crate) fn sizes(args: &[&str]) -> Sizes {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            sizes: Sizes,
        }
        let patient =
            ["enqueue1", "enqueue64", "bulk", "drain", "http"].map(|name| format!("--{name}-seconds=300"));
        let args = args.iter().map(|arg| (*arg).to_owned());
        Cli::parse_from(["bench".to_owned()].into_iter().chain(patient).chain(args)).sizes
    }

    #[test]
    fn one_number_of_jobs_stands_for_all_but_the_slow_ones() {
        let sizes = sizes(&["--jobs=7"]);
        let jobs = [sizes.enqueue64(), sizes.bulk(), sizes.drain(), sizes.http()].map(|bound| bound.jobs);
        assert_eq!(jobs, [7; 4]);
        assert_eq!(sizes.enqueue1().time, Duration::from_secs(300));
    }

    #[test]
    fn no_length_of_time_is_no_time() {
        assert_eq!(seconds(-1.0), Duration::ZERO);
        assert_eq!(seconds(f64::NAN), Duration::ZERO);
        assert_eq!(seconds(0.25), Duration::from_millis(250));
    }
}
