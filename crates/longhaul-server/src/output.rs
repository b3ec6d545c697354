//! Lines on standard output and standard error. Their reader may close the pipe (`longhaul jobs list | head`), upon
//! which
//! `println!` and `eprintln!` panic.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe;

/// Prints a line of what was asked for. A closed pipe is an error, with which `main` ends the command quietly.
pub(crate) fn print(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Writes a line to standard error. A closed standard error does not fail the command.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Ends once nobody reads standard output any more, which a command that waits would find out with its next line alone. Never ends
/// where standard output is no pipe.
pub(crate) async fn reader_gone() {
    let gone = async || -> io::Result<()> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        // Unchecked, because the checks of the other way make standard output answer that it would block.
        let _ready = pipe::Sender::from_owned_fd_unchecked(stdout)?.ready(Interest::ERROR).await?;
        Ok(())
    };
    if gone().await.is_err() {
        std::future::pending().await
    }
}

/// A command that ended because its reader went away has not failed.
pub(crate) fn is_closed_pipe(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
