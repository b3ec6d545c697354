use std::fs;
use std::path::Path;

use crate::cpu::children;

/// Bytes of memory that a process has, with its children that live. What several processes share counts for each in part, so that the
/// sum of all is what they take. `None` where there is no such process.
#[must_use]
pub fn memory_bytes(process: u32) -> Option<u64> {
    let children = children(process).into_iter().filter_map(own_memory_bytes).sum::<u64>();
    Some(own_memory_bytes(process)? + children)
}

fn own_memory_bytes(process: u32) -> Option<u64> {
    let sums = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let share = sums.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = share.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Bytes of all files in a folder and in those below it. A file that is removed meanwhile counts for nothing.
#[must_use]
pub fn disk_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
