use std::io::{self, BufRead, IsTerminal, Write};

use crate::Result;

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// There is no terminal to ask on.
    Nobody,
}

/// Asks on the terminal, where standard input and error are one. Anything but a yes is a no.
pub(crate) fn ask(question: &str) -> Result<Answer> {
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Ok(Answer::Nobody);
    }
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Answer::Yes
    } else {
        Answer::No
    })
}
