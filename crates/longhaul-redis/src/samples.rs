use std::time::Duration;

use longhaul::{MAX_SAMPLES, Result, Sample, Timestamp};
use redis::Value;

use crate::answer::{int, json, list, text};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::bounded;
use crate::scripts;

/// The most samples that one call looks at.
const SAMPLES_PER_CALL: usize = 1_000;

const SIGN: u64 = 1 << 63;

/// A moment as digits that sort as the moments do.
fn place_of(at: Timestamp) -> String {
    format!("{:016x}", at.0 as u64 ^ SIGN)
}

/// Keeps samples, all of a call or none.
pub(crate) async fn put(driver: &Driver, samples: &[Sample]) -> Result<()> {
    let arguments = |sample: &Sample| {
        let name = name_of(sample);
        let keep_for = bounded(sample.keep_for).to_string();
        [name.into_bytes(), keep_for.into_bytes(), sample.body.as_str().as_bytes().to_vec()]
    };
    driver.call(&scripts::PUT_SAMPLES, samples.iter().flat_map(arguments).collect()).await.map(drop)
}

/// The samples of a series from a moment on.
pub(crate) async fn read(driver: &Driver, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
    let mut first = format!("[{series}|{}|", place_of(from));
    // Before whatever follows the bar that ends the name of the series.
    let last = format!("({series}}}");
    let mut samples = Vec::new();
    loop {
        let many = SAMPLES_PER_CALL.min(MAX_SAMPLES - samples.len());
        let arguments = [first, last.clone(), many.to_string()].map(String::into_bytes).to_vec();
        let answer = driver.call(&scripts::SAMPLES, arguments).await?;
        let (next, part) = read_part(answer).ok_or_else(|| unreadable(scripts::SAMPLES.operation))?;
        samples.extend(part);
        match next {
            Some(next) if samples.len() < MAX_SAMPLES => first = format!("({next}"),
            _ => return Ok(samples),
        }
    }
}

/// Samples, and the name of the last one that was looked at where there may be more.
fn read_part(answer: Value) -> Option<(Option<String>, Vec<Sample>)> {
    let answer = list(answer)?;
    let (next, samples) = answer.split_first()?;
    let next = text(next).map(str::to_owned);
    Some((next, samples.chunks_exact(3).map(sample).collect::<Option<_>>()?))
}

fn sample(parts: &[Value]) -> Option<Sample> {
    let keep_for = Duration::from_millis(u64::try_from(int(&parts[1])?).ok()?);
    sample_of(text(&parts[0])?, keep_for, json(&parts[2])?)
}

/// The name of a sample.
pub(crate) fn name_of(sample: &Sample) -> String {
    format!("{}|{}|{}", sample.series, place_of(sample.at), sample.source)
}

/// The sample of a name.
pub(crate) fn sample_of(name: &str, keep_for: Duration, body: longhaul::Json) -> Option<Sample> {
    let mut name = name.splitn(3, '|');
    let (series, place, source) = (name.next()?, name.next()?, name.next()?);
    Some(Sample {
        series: series.to_owned(),
        at: Timestamp((u64::from_str_radix(place, 16).ok()? ^ SIGN) as i64),
        source: source.to_owned(),
        keep_for,
        body,
    })
}
