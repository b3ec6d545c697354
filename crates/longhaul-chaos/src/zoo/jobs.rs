use std::time::Duration;

use longhaul::{
    Backoff, Context, Error, Job, JobError, JobResult, Json, LogLevel, NewJob, Policy, Result, Unique, admit,
};
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The queue of all jobs of a zoo.
pub(super) const QUEUE: &str = "zoo";

/// A job without a fault.
#[derive(Serialize, Deserialize)]
pub(super) struct Good {
    pub(super) number: usize,
}

impl Job for Good {
    const KIND: &'static str = "zoo.good";
    const QUEUE: &'static str = QUEUE;
    type State = ();
    type Output = usize;

    async fn run(self, cx: Context<()>) -> JobResult<usize> {
        cx.log(LogLevel::Info, "one of a thousand");
        let number = cx.step("number", async || Ok(self.number)).await?;
        cx.progress(50, "half way");
        Ok(number)
    }
}

/// A job with one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Bad {
    Errs,
    ErrsAtLength,
    Panics,
    PanicsWithoutText,
    PanicsInStep,
    PanicsInOutput,
    PanicsWhenDropped,
    Hangs,
    LargeOutput,
    NulInOutput,
    KeyTwiceInOutput,
    NulInStepName,
    LargeStep,
    NulInStep,
    LargeChunk,
    NulInProgress,
    ManyFollowUps,
    NulInFollowUp,
}

impl Bad {
    /// Each fault, with words of the reason that its job must end with.
    pub(super) const ALL: [(Self, &str); 18] = [
        (Self::Errs, "nothing could be done"),
        (Self::ErrsAtLength, "b and so on"),
        (Self::Panics, "panicked: a fault in run"),
        (Self::PanicsWithoutText, "panicked with a value that is no text"),
        (Self::PanicsInStep, "panicked: a fault in a step"),
        (Self::PanicsInOutput, "panicked: a fault in Serialize"),
        (Self::PanicsWhenDropped, "panicked: a fault in Drop"),
        (Self::Hangs, "timed out"),
        (Self::LargeOutput, "failed to keep the output: it is"),
        (Self::NulInOutput, "must not hold a NUL character"),
        (Self::KeyTwiceInOutput, "must not name a key twice"),
        (Self::NulInStepName, "step name: must not hold a NUL character"),
        (Self::LargeStep, "must be at most 1048576 bytes"),
        (Self::NulInStep, "must not hold a NUL character"),
        (Self::LargeChunk, "chunk: must be at most 65536 bytes"),
        (Self::NulInProgress, "progress.data: must not hold a NUL character"),
        (Self::ManyFollowUps, "must be at most 1000 jobs"),
        (Self::NulInFollowUp, "unique.key: must not hold a NUL character"),
    ];
}

impl Job for Bad {
    const KIND: &'static str = "zoo.bad";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 1;
    type State = ();
    type Output = Output;

    async fn run(self, cx: Context<()>) -> JobResult<Output> {
        let text = |bytes: usize| "x".repeat(bytes);
        match self {
            Self::Errs => return Err(JobError::fatal("nothing could be done")),
            Self::ErrsAtLength => {
                let message = format!("a\0b and so on{}", text(2 * admit::MAX_ERROR_BYTES));
                cx.log(LogLevel::Error, message.clone());
                return Err(JobError::fatal(message));
            }
            Self::Panics => panic!("a fault in {}", "run"),
            Self::PanicsWithoutText => std::panic::panic_any(17),
            Self::PanicsInStep => {
                cx.step("step", async || -> JobResult<()> { panic!("a fault in a step") }).await?
            }
            Self::PanicsInOutput => return Ok(Output::Panics),
            Self::PanicsWhenDropped => drop(PanicsWhenDropped),
            Self::Hangs => std::future::pending().await,
            Self::LargeOutput => return Ok(Output::Text(text(admit::MAX_OUTPUT_BYTES))),
            Self::NulInOutput => return Ok(Output::Text("a\0b".into())),
            Self::KeyTwiceInOutput => return Ok(Output::KeyTwice),
            Self::NulInStepName => cx.step("a\0b", async || Ok(())).await?,
            Self::LargeStep => {
                cx.step("step", async || Ok(text(admit::MAX_STEP_BYTES))).await?;
            }
            Self::NulInStep => {
                cx.step("step", async || Ok("a\0b".to_owned())).await?;
            }
            Self::LargeChunk => cx.emit(text(admit::MAX_CHUNK_BYTES)).await?,
            Self::NulInProgress => cx.progress_with(50, "half way", json(r#""\u0000""#)),
            Self::ManyFollowUps => {
                for number in 0..=admit::MAX_FOLLOW_UPS {
                    cx.follow_up(follow_up(format!("next-{number}"))?)?;
                }
            }
            Self::NulInFollowUp => cx.follow_up(follow_up("a\0b".into())?)?,
        }
        Ok(Output::Nothing)
    }
}

fn unique(key: String) -> Unique {
    Unique::new(key)
}

/// JSON of this text, which a store refuses.
fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).expect("its grammar is JSON's")
}

fn follow_up(key: String) -> Result<NewJob> {
    Ok(NewJob { unique: Some(unique(key)), ..NewJob::of(&Good { number: 0 })? })
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("a fault in Drop");
    }
}

/// The output of a bad job.
pub(super) enum Output {
    Nothing,
    Text(String),
    KeyTwice,
    Panics,
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::KeyTwice => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("a", &1)?;
                map.serialize_entry("a", &2)?;
                map.end()
            }
            Self::Panics => panic!("a fault in Serialize"),
        }
    }
}

/// A job whose args panic when they are read.
#[derive(Serialize)]
pub(super) struct PanicsInArgs {}

impl<'de> Deserialize<'de> for PanicsInArgs {
    fn deserialize<D: Deserializer<'de>>(_: D) -> std::result::Result<Self, D::Error> {
        panic!("a fault in Deserialize")
    }
}

impl Job for PanicsInArgs {
    const KIND: &'static str = "zoo.panics-in-args";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 1;
    type State = ();
    type Output = ();

    async fn run(self, _: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

/// A job whose args are refused by the type that reads them.
#[derive(Serialize)]
pub(super) struct RefusesArgs {}

impl<'de> Deserialize<'de> for RefusesArgs {
    fn deserialize<D: Deserializer<'de>>(_: D) -> std::result::Result<Self, D::Error> {
        Err(D::Error::custom("written by another program"))
    }
}

impl Job for RefusesArgs {
    const KIND: &'static str = "zoo.refuses-args";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 3;
    type State = ();
    type Output = ();

    async fn run(self, _: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

/// A job whose `backoff()` panics.
#[derive(Serialize, Deserialize)]
pub(super) struct PanicsInBackoff {}

impl Job for PanicsInBackoff {
    const KIND: &'static str = "zoo.panics-in-backoff";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 2;
    type State = ();
    type Output = ();

    fn backoff() -> Backoff {
        panic!("a fault in backoff()")
    }

    async fn run(self, _: Context<()>) -> JobResult<()> {
        Err(JobError::retry("it did not work"))
    }
}

/// Jobs that must be refused: each with the field that its error names.
pub(super) fn refused() -> Vec<(NewJob, &'static str)> {
    let good = || NewJob::of(&Good { number: 0 }).expect("a number is JSON");
    let endless = Backoff { factor: f64::INFINITY, ..Backoff::default() };
    let args = |text: &str| NewJob { args: json(text), ..good() };
    vec![
        (args(r#"{"number":"\u0000"}"#), "args"),
        (args(r#"{"number":"\ud800"}"#), "args"),
        (args(r#"{"number":1,"number":2}"#), "args"),
        (args(&format!("\"{}\"", "x".repeat(1024 * 1024))), "args"),
        (NewJob { queue: "".into(), ..good() }, "queue"),
        (NewJob { kind: "a b".into(), ..good() }, "kind"),
        (NewJob { version: 0, ..good() }, "version"),
        (NewJob { max_attempts: 0, ..good() }, "max_attempts"),
        (NewJob { unique: Some(unique("a\0b".into())), ..good() }, "unique.key"),
        (
            NewJob { policy: Policy { backoff: Some(endless), ..Policy::default() }, ..good() },
            "backoff.factor",
        ),
    ]
}

/// True for the error of a caller's own fault in this field.
pub(super) fn names(error: &Error, field: &str) -> bool {
    matches!(error, Error::Invalid { field: named, .. } if named == field)
}

/// The time limit of jobs that hang.
pub(super) const TIMEOUT: Duration = Duration::from_millis(100);
