//! The cost of a server that has nothing to do.

use std::time::Duration;

use longhaul::clock::Stopwatch;

use crate::Result;
use crate::child::ServerProcess;
use crate::report::{Contender, Line, round};
use crate::target::StoreUrl;

/// The time for which the server is left alone before it is watched.
const SETTLE: Duration = Duration::from_secs(3);
/// The time for which it is watched.
const WATCH_FOR: Duration = Duration::from_secs(10);
/// The kernel counts CPU time in these, whatever its own tick is.
const TICKS_PER_S: f64 = 100.0;

/// Starts this binary as a server with everything on, and watches what it uses for 10 s.
pub(crate) async fn measure() -> Result<Line> {
    let server = ServerProcess::start().await?;
    tokio::time::sleep(SETTLE).await;
    let pid = server.pid()?;
    let (watching, before) = (Stopwatch::start(), Usage::of(pid)?);
    tokio::time::sleep(WATCH_FOR).await;
    let (time, after) = (watching.elapsed(), Usage::of(pid)?);
    let mut line = Contender::longhaul(&StoreUrl::Sqlite(server.folder().to_owned())).line("idle");
    server.kill().await?;
    let cpu_s = after.cpu_ticks.saturating_sub(before.cpu_ticks) as f64 / TICKS_PER_S;
    line.seconds = Some(round(time.as_secs_f64(), 3));
    line.note = "a server with every service, started on an empty folder".into();
    line.figures.insert("rss_mb".into(), round(after.rss_kib as f64 / 1024.0, 1).into());
    line.figures.insert("cpu_percent".into(), round(100.0 * cpu_s / time.as_secs_f64(), 2).into());
    Ok(line)
}

/// The resources of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    rss_kib: u64,
    cpu_ticks: u64,
}

impl Usage {
    fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).map_err(|e| format!("failed to read {path}: {e}"))
        };
        let (status, stat) = (read("status")?, read("stat")?);
        Ok(Self::parse(&status, &stat).ok_or("failed to understand what /proc says of a process")?)
    }

    fn parse(status: &str, stat: &str) -> Option<Self> {
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        // The command's name may hold anything, even spaces and brackets; what follows it is in order.
        let after_name = &stat[stat.rfind(')')? + 1..];
        let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
        let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
        Some(Self { rss_kib: rss.trim().trim_end_matches(" kB").parse().ok()?, cpu_ticks: user + system })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_the_process_is_called() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmRSS:\t   20480 kB\n";
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 9 0 100 200 300";
        assert_eq!(Usage::parse(status, stat), Some(Usage { rss_kib: 20_480, cpu_ticks: 12 }));
        assert_eq!(Usage::parse(status, "42"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of(std::process::id()).unwrap().rss_kib > 500);
    }
}
