use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::alike::{Known, text_alike};

/// A page's session in a shell: the commands of its `sh` blocks that begin with a prompt, each with its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The commands in order.
    pub steps: Vec<Step>,
}

/// A command and its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command without its prompt.
    pub command: String,
    /// The printed output.
    pub output: String,
}

/// Printed between the outputs of two commands.
const MARK: &str = "-- end of an output --";
/// Longer than anything takes on a busy machine; only a test that would hang meets it.
const PATIENCE: Duration = Duration::from_secs(120);

impl Session {
    /// Reads a page: lines after `$ ` are commands, lines that follow an open quote or a backslash belong to them, and the
    /// rest is their output.
    ///
    /// # Panics
    /// Panics if the page has no session.
    #[must_use]
    pub fn read(page: &str) -> Self {
        let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut steps: Vec<Step> = Vec::new();
        for line in blocks.filter(|block| block.starts_with("$ ")).flat_map(str::lines) {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.into(), output: String::new() }),
                (None, Some(step)) if is_unfinished(&step.command) => step.command.extend(["\n", line]),
                (None, Some(step)) => step.output.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(!steps.is_empty(), "the page has no block that begins with ```sh and a prompt");
        Self { steps }
    }

    /// Runs the commands in one shell, because they set variables for those after them, and compares their outputs as
    /// [texts](super), with line breaks as spaces. `replacing` names what stands for another text in a command, such as
    /// the address of the server; `shell` carries the folder and the environment.
    ///
    /// # Panics
    /// Panics if a command fails or prints something else, with both.
    pub async fn check(&self, replacing: &[(&str, &str)], mut shell: Command) {
        let mut script = String::new();
        for Step { command, .. } in &self.steps {
            let command =
                replacing.iter().fold(command.clone(), |text, (printed, real)| text.replace(printed, real));
            script.push_str(&format!("{command}\nprintf '\\n%s\\n' '{MARK}'\n"));
        }
        shell.args(["-eu", "-c", &script]).stdin(Stdio::null()).kill_on_drop(true);
        let ran = tokio::time::timeout(PATIENCE, shell.output()).await;
        let ran = ran.expect("the session ends in time").expect("a shell runs");
        let printed = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{printed}\n{}", String::from_utf8_lossy(&ran.stderr));
        let mut known = Known::default();
        for (Step { command, output }, actual) in self.steps.iter().zip(printed.split(MARK)) {
            if let Err(reason) = text_alike(&spaced(output), &spaced(actual), &mut known) {
                panic!("{command}\n{reason}");
            }
        }
    }
}

fn is_unfinished(command: &str) -> bool {
    command.ends_with('\\') || command.matches('\'').count() % 2 == 1
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
```sh
make run
```
```sh
$ X=1; printf 'a %s\\n' \\
  $X
a 1
$ echo 2026-01-31T09:30:00Z b c
2027-01-31T09:30:00Z b
…
```
";

    fn sh() -> Command {
        Command::new("sh")
    }

    #[tokio::test]
    async fn commands_share_a_shell_and_print_what_the_page_says() {
        let session = Session::read(PAGE);
        assert_eq!(session.steps.len(), 2);
        session.check(&[], sh()).await;
        session.check(&[("b c", "b d")], sh()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the page says")]
    async fn another_output_is_a_fault() {
        Session::read(PAGE).check(&[("X=1", "X=2")], sh()).await;
    }
}
