use crate::model::{Entry, LogLevel};

/// Entries of a running job that are not stored yet. They are bounded while the store is slow or unreachable: the last
/// report of progress replaces earlier ones, log lines are dropped and counted, and a caller that emits chunks waits.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    entries: Vec<Entry>,
    bytes: usize,
    /// The number of log lines that were dropped after `entries`.
    left_out: u64,
}

/// A job's pending entries are full beyond this number, or these bytes.
const MAX_ENTRIES: usize = 1_000;
const MAX_BYTES: usize = 1024 * 1024;

impl Pending {
    pub(crate) fn push(&mut self, entry: Entry) {
        match &entry {
            Entry::Log { .. } if self.is_full() => {
                self.left_out += 1;
                return;
            }
            // Only the last of several pending reports is kept if no other entry stands in between, or if the entries
            // are full; in that case their order is given up.
            Entry::Progress(_) => {
                let earlier = self.entries.iter().rposition(|entry| matches!(entry, Entry::Progress(_)));
                if let Some(at) = earlier.filter(|at| at + 1 == self.entries.len() || self.is_full()) {
                    self.bytes -= size(&self.entries.remove(at));
                }
            }
            Entry::Log { .. } | Entry::Chunk { .. } | Entry::Step { .. } => {}
        }
        self.bytes += size(&entry);
        self.entries.push(entry);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_ENTRIES || self.bytes >= MAX_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.left_out == 0
    }

    /// Puts back what the store did not take, before what was said since.
    pub(crate) fn put_back(&mut self, earlier: Pending) {
        let later = std::mem::replace(self, earlier);
        self.left_out += later.left_out;
        for entry in later.entries {
            self.push(entry);
        }
    }

    /// The entries as the store is given them, with a line that says how many were left out.
    pub(crate) fn to_entries(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        if self.left_out > 0 {
            let message = format!("… {} lines left out while the store was away", with_commas(self.left_out));
            entries.push(Entry::Log { level: LogLevel::Warn, message });
        }
        entries
    }
}

impl From<Vec<Entry>> for Pending {
    fn from(entries: Vec<Entry>) -> Self {
        Self { bytes: entries.iter().map(size).sum(), entries, left_out: 0 }
    }
}

/// About how many bytes an entry takes.
fn size(entry: &Entry) -> usize {
    let content = match entry {
        Entry::Progress(progress) => {
            progress.message.len() + progress.data.as_ref().map_or(0, |data| data.as_str().len())
        }
        Entry::Log { message, .. } => message.len(),
        Entry::Chunk { data } => data.as_str().len(),
        Entry::Step { name, output, .. } => name.len() + output.as_str().len(),
    };
    content + size_of::<Entry>()
}

/// 1234567 as people write it: 1,234,567.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Json, Progress};

    fn line(message: &str) -> Entry {
        Entry::Log { level: LogLevel::Info, message: message.into() }
    }

    fn percent(percent: f64) -> Entry {
        Entry::Progress(Progress { percent, message: String::new(), data: None })
    }

    #[test]
    fn lines_beyond_the_bound_are_left_out_and_counted_in_a_last_line() {
        let mut pending = Pending::default();
        for _ in 0..MAX_ENTRIES + 1_234 {
            pending.push(line("again"));
        }
        // As when the store does not take them, and more is said.
        let taken = std::mem::take(&mut pending);
        pending.push(line("one more"));
        pending.put_back(taken);
        let entries = pending.to_entries();
        assert_eq!(entries.len(), MAX_ENTRIES + 1);
        let Entry::Log { level: LogLevel::Warn, message } = entries.last().unwrap() else { panic!() };
        assert_eq!(message, "… 1,235 lines left out while the store was away");
        assert_eq!(with_commas(1_234_567), "1,234,567");
        assert_eq!(with_commas(123), "123");
    }

    #[test]
    fn few_large_lines_fill_it_as_many_small_ones_do() {
        let mut pending = Pending::default();
        for _ in 0..1_000 {
            pending.push(line(&"x".repeat(8 * 1024)));
        }
        assert!(pending.bytes <= MAX_BYTES + 9 * 1024, "{}", pending.bytes);
        assert!(pending.to_entries().len() <= 130);
    }

    #[test]
    fn the_last_report_of_progress_replaces_the_one_before_it_and_when_full_any() {
        let mut pending = Pending::default();
        pending.push(percent(1.0));
        pending.push(percent(2.0));
        pending.push(line("between"));
        pending.push(percent(3.0));
        assert_eq!(pending.to_entries(), [percent(2.0), line("between"), percent(3.0)]);
        for n in 0..2 * MAX_ENTRIES {
            pending.push(line("more"));
            pending.push(percent(n as f64));
        }
        assert!(pending.entries.len() <= MAX_ENTRIES + 1);
        let last = pending.entries.last().cloned();
        assert_eq!(last, Some(percent((2 * MAX_ENTRIES - 1) as f64)));
        assert_eq!(pending.bytes, pending.entries.iter().map(size).sum::<usize>());
    }

    #[test]
    fn a_step_that_was_put_back_stays_in_its_place() {
        let step = Entry::Step { name: "paid".into(), output: Json::null(), took: std::time::Duration::ZERO };
        let mut pending = Pending::default();
        pending.push(line("after"));
        pending.put_back(vec![line("before"), step.clone()].into());
        assert_eq!(pending.to_entries(), [line("before"), step, line("after")]);
    }
}
