//! `longhaul completions`

use std::io::{self, Write};

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use crate::Result;
use crate::cli::Cli;

/// Print a script that completes commands and flags in a shell.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  source <(longhaul completions bash)             for this shell
  longhaul completions bash > ~/.local/share/bash-completion/completions/longhaul
  longhaul completions zsh > ~/.zfunc/_longhaul   where fpath has ~/.zfunc
  longhaul completions fish > ~/.config/fish/completions/longhaul.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // Into memory first: the generator takes a pipe that was closed for a bug.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "longhaul", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}
