use std::fs;

/// Seconds of CPU time that a process has used, with its children that live: the kernel counts in hundredths. `None` where
/// there is no such process.
#[must_use]
pub fn cpu_seconds(process: u32) -> Option<f64> {
    let children = children(process).into_iter().filter_map(own_cpu_seconds).sum::<f64>();
    Some(own_cpu_seconds(process)? + children)
}

fn own_cpu_seconds(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold spaces, and ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// The processes that a process has started and that live, by any of its threads.
pub(crate) fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> = children.collect();
    children.iter().flat_map(|line| line.split_whitespace()).filter_map(|child| child.parse().ok()).collect()
}
