//! Patterns of schedules, and the names of zones behind a `|`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longhaul::Timing;

fuzz_target!(|text: &str| {
    let (cron, timezone) = text.split_once('|').unwrap_or((text, "UTC"));
    let timing = Timing::Cron { cron: cron.into(), timezone: timezone.into() };
    if timing.validate().is_ok() {
        assert!(!timing.describe().is_empty());
    }
});
