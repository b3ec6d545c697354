use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;

/// All events of a run, in their order: a digest, and the lines if they are wanted.
#[derive(Debug)]
pub(crate) struct Trace(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    digest: u64,
    line: String,
    kept: Option<Vec<String>>,
}

/// The treatment of a trace's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// They are counted in the digest and forgotten.
    Forgotten,
    /// They are kept.
    Kept,
}

/// Whether readers of a trace get a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Shown,
    DigestOnly,
}

impl Trace {
    pub(crate) fn new(lines: Lines) -> Self {
        let kept = (lines == Lines::Kept).then(Vec::new);
        Self(Mutex::new(Inner { digest: 0xcbf2_9ce4_8422_2325, line: String::new(), kept }))
    }

    /// Notes a line; one that is not shown is part of the digest only.
    pub(crate) fn note(&self, at: Duration, who: &str, what: fmt::Arguments<'_>, interest: Interest) {
        use fmt::Write;
        let inner = &mut *self.0.lock();
        inner.line.clear();
        // Writing to a string cannot fail.
        let _ = write!(inner.line, "{:>9.3} {who:<4} {what}", at.as_secs_f64());
        for byte in inner.line.bytes() {
            // FNV-1a.
            inner.digest = (inner.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(kept) = inner.kept.as_mut().filter(|_| interest == Interest::Shown) {
            kept.push(inner.line.clone());
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.0.lock().digest
    }

    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.0.lock().kept.take().unwrap_or_default()
    }
}
