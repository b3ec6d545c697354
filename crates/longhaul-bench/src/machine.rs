//! The state of the machine: the speed of its disk just now, and the use of its cores by others.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use longhaul::clock::Stopwatch;

use crate::{Result, tell};

const PAGE: usize = 4096;
/// Pages of the file that is written over and over: 1 MiB of them.
const PAGES: u64 = 256;
const PROBE_FOR: Duration = Duration::from_millis(300);

/// The number of times a second that this disk makes an overwrite of 4 KiB durable, measured for 0.3 s in `folder` and
/// rounded up: a disk that takes longer than a second for one has a speed, too.
///
/// On a shared machine the figure moves tenfold within minutes, and with it all that waits for a sync.
pub(crate) fn disk_syncs_per_s(folder: &Path) -> io::Result<u64> {
    let file: File = tempfile::tempfile_in(folder)?;
    file.write_all_at(&vec![1; PAGE * PAGES as usize], 0)?;
    file.sync_all()?;
    let page = [2; PAGE];
    let probing = Stopwatch::start();
    let mut syncs = 0;
    while probing.elapsed() < PROBE_FOR {
        file.write_all_at(&page, syncs % PAGES * PAGE as u64)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok((syncs as f64 / probing.elapsed().as_secs_f64()).ceil() as u64)
}

/// Waits for the machine's other users, as long as its patience lasts.
#[derive(Debug)]
pub(crate) struct Quiet {
    left: Duration,
}

const LOOK_FOR: Duration = Duration::from_millis(250);
/// The share of all cores' time that must be unused.
const IDLE_ENOUGH: f64 = 0.85;

impl Quiet {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { left: patience }
    }

    /// Returns once the cores are mostly idle, or with no patience left.
    pub(crate) async fn wait(&mut self) -> Result<()> {
        while !self.left.is_zero() {
            let before = CpuTime::read()?;
            tokio::time::sleep(LOOK_FOR).await;
            let used = CpuTime::read()?.since(before);
            if used.idle_share() >= IDLE_ENOUGH {
                return Ok(());
            }
            self.left = self.left.saturating_sub(LOOK_FOR);
            if self.left.is_zero() {
                tell("the machine does not come to rest; measuring all the same");
            }
        }
        Ok(())
    }
}

/// Time that all cores together have spent, in the kernel's ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct CpuTime {
    idle: u64,
    total: u64,
}

impl CpuTime {
    fn read() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat");
        let stat = stat.map_err(|e| format!("failed to read /proc/stat: {e}"))?;
        Ok(Self::parse(&stat).ok_or("failed to understand /proc/stat")?)
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal, and more that are counted above.
    fn parse(stat: &str) -> Option<Self> {
        let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let ticks: Vec<u64> = numbers.map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
        Some(Self { idle: ticks.get(3)? + ticks.get(4)?, total: ticks.iter().sum() })
    }

    fn since(self, before: Self) -> Self {
        Self { idle: self.idle.saturating_sub(before.idle), total: self.total.saturating_sub(before.total) }
    }

    fn idle_share(self) -> f64 {
        self.idle as f64 / self.total.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_share_counts_waiting_for_the_disk_as_idle_and_guests_only_once() {
        let before = CpuTime::parse("cpu  100 0 50 800 50 0 0 0 100 0\ncpu0 1 2 3 4\n").unwrap();
        let after = CpuTime::parse("cpu  110 0 50 880 60 0 0 0 110 0\n").unwrap();
        assert_eq!(after.since(before), CpuTime { idle: 90, total: 100 });
        assert!(after.since(before).idle_share() > IDLE_ENOUGH);
        assert_eq!(CpuTime::parse("intr 5"), None);
    }

    #[test]
    fn a_disk_syncs_at_least_once_in_the_time_of_the_probe() {
        let folder = tempfile::tempdir().unwrap();
        assert!(disk_syncs_per_s(folder.path()).unwrap() >= 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn no_patience_means_no_wait() {
        Quiet::new(Duration::ZERO).wait().await.unwrap();
    }
}
