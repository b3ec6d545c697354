use std::io::{self, IsTerminal};

use longhaul::State;

/// The colours of words on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Words are coloured.
    Colours,
    /// They are left as they are.
    None,
}

/// A colour of terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Grey = 90,
}

impl Paint {
    /// Colours where a terminal shows the output, unless `NO_COLOR` is set.
    pub(crate) fn of_output() -> Self {
        let is_shown = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        if is_shown { Paint::Colours } else { Paint::None }
    }

    /// A word in a colour.
    pub(crate) fn word(self, word: &str, colour: Colour) -> String {
        match self {
            Paint::Colours => format!("\u{1b}[{}m{word}\u{1b}[0m", colour as u8),
            Paint::None => word.to_owned(),
        }
    }

    /// A state in its colour.
    pub(crate) fn state(self, state: State) -> String {
        let colour = match state {
            State::Completed => Colour::Green,
            State::Failed => Colour::Red,
            State::Running => Colour::Blue,
            State::Cancelled => Colour::Grey,
            State::Scheduled | State::Blocked | State::Available => Colour::Yellow,
        };
        self.word(state.as_str(), colour)
    }
}
