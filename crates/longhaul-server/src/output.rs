//! Lines on standard output and standard error. Their reader may close the pipe (`longhaul jobs list | head`), upon
//! which
//! `println!` and `eprintln!` panic.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line of what was asked for. A closed pipe is an error, with which `main` ends the command quietly.
pub(crate) fn print(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Writes a line to standard error. A closed standard error does not fail the command.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A command that ended because its reader went away has not failed.
pub(crate) fn is_closed_pipe(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
