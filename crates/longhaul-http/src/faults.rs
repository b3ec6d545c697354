use std::time::Duration;

use longhaul::JsonRule;

use crate::problem::{Code, FieldError, Problem};
use crate::time::{LONGEST, seconds};

/// Everything that is wrong with a request, so that its caller need not find out one by one.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The part of the body that is being looked at.
    pub(crate) path: FieldPath,
    code: Option<Code>,
    errors: Vec<FieldError>,
}

/// The part of a body that fields are named within.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum FieldPath {
    /// The whole body.
    #[default]
    Whole,
    /// The item at this index of a body that is an array.
    Index(usize),
    /// The member `job`.
    Job,
}

impl Faults {
    /// The number of faults.
    pub(crate) fn count(&self) -> usize {
        self.errors.len()
    }

    /// Notes that a field is not as it must be.
    pub(crate) fn add(&mut self, code: Code, field: &str, message: impl Into<String>) {
        self.code = match self.code {
            None => Some(code),
            // Several sorts at once have only their being invalid in common.
            Some(first) if first != code => Some(Code::Invalid),
            same => same,
        };
        let field = match self.path {
            FieldPath::Whole => field.to_owned(),
            FieldPath::Index(index) => format!("[{index}].{field}"),
            FieldPath::Job => format!("job.{field}"),
        };
        self.errors.push(FieldError { field, message: message.into() });
    }

    /// The value of a check of the engine's, or a note of what it found.
    pub(crate) fn check<T>(&mut self, checked: longhaul::Result<T>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(longhaul::Error::Invalid { field, reason }) => {
                let is_deep = reason == JsonRule::Depth.to_string();
                self.add(if is_deep { Code::TooDeep } else { Code::Invalid }, &field, reason);
                None
            }
            Err(error) => {
                self.add(Code::Invalid, "body", error.to_string());
                None
            }
        }
    }

    /// The answer, if anything was wrong.
    pub(crate) fn into_result(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::fields(self.code.unwrap_or(Code::Invalid), self.errors))
    }
}

/// A duration of a request, from seconds.
pub(crate) fn duration(field: &str, given: f64, faults: &mut Faults) -> Option<Duration> {
    let duration = seconds(given);
    if duration.is_none() {
        faults.add(Code::Invalid, field, format!("must be from 0 to {LONGEST} seconds"));
    }
    duration
}
