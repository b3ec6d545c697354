use crate::problem::{Code, FieldError, Problem};

/// Everything that is wrong with a request, so that its caller need not find out one by one.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Where in the body the fields are that are being looked at.
    pub(crate) place: Place,
    code: Option<Code>,
    errors: Vec<FieldError>,
}

/// Where in the body a job is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Place {
    /// It is the body.
    #[default]
    Whole,
    /// At this index of a batch.
    Index(usize),
}

impl Faults {
    /// How many there are.
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
        let field = match self.place {
            Place::Whole => field.to_owned(),
            Place::Index(index) => format!("[{index}].{field}"),
        };
        self.errors.push(FieldError { field, message: message.into() });
    }

    /// The value of a check of the engine's, or a note of what it found.
    pub(crate) fn check<T>(&mut self, checked: longhaul::Result<T>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(longhaul::Error::Invalid { field, reason }) => {
                self.add(Code::Invalid, &field, reason);
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
