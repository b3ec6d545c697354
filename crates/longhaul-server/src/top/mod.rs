//! `longhaul top`: queues, running jobs and failures in a terminal, live.

mod data;
mod keys;
mod screen;
mod view;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args as ClapArgs;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::data::Snapshot;
use self::keys::Wish;
use self::screen::Screen;
use crate::Result;
use crate::client::{Client, Place};
use crate::jobs::search::word;

/// Watch queues, running jobs and failures live, and pause, cancel and retry from the keyboard; ? shows the keys.
///
/// It reads the counts of queues once a second, the running jobs while there are any, and the failures when there are new
/// ones; where nothing happens it looks less often.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul top
  longhaul top queue:materials label.course:17    only what fits
  longhaul top --url https://jobs.example

Keys: Tab changes the list, ↑ ↓ choose, p pauses or resumes a queue, c cancels, r retries, R retries all that failed
in a queue, / searches, ? helps, q quits.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Words of a search, which the lists of jobs are narrowed to
    #[arg(value_name = "SEARCH", value_parser = word)]
    words: Vec<String>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(
            "top needs a terminal; scripts have longhaul queues --json and longhaul jobs list --json".into(),
        );
    }
    let client = args.place.open().await?;
    let mut screen = Screen::new(client.described.clone(), args.words);
    // The first read comes before the screen is drawn, so that an error is printed as plain text.
    screen.take(Snapshot::read(&client, &screen, None).await?);
    let mut terminal =
        ratatui::try_init().map_err(|error| format!("failed to take over the terminal: {error}"))?;
    let watched = watch(&client, screen, &mut terminal).await;
    ratatui::restore();
    client.flush().await;
    watched
}

/// The pauses between two looks: while something happens, and at most while nothing does.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

async fn watch(client: &Client, mut screen: Screen, terminal: &mut DefaultTerminal) -> Result<()> {
    let mut events = events();
    let mut end = signal(SignalKind::terminate())?;
    let mut pause = PAUSE;
    loop {
        terminal.draw(|frame| view::draw(frame, &screen))?;
        let wish = tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    pause = PAUSE;
                    screen.heed(&event)
                }
                None => return Ok(()),
            },
            _ = end.recv() => return Ok(()),
            () = tokio::time::sleep(pause) => Wish::Look,
        };
        match wish {
            Wish::Nothing => continue,
            Wish::Quit => return Ok(()),
            Wish::Look => {}
            Wish::Act(deed) => {
                let told = deed.act(client).await;
                screen.tell(told.unwrap_or_else(|error| error.to_string()));
            }
        }
        // An unreachable server is reported in the last line, and tried again.
        match Snapshot::read(client, &screen, Some(&screen.now)).await {
            Ok(snapshot) => {
                pause = if screen.take(snapshot) { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) }
            }
            Err(error) => {
                screen.tell(error.to_string());
                pause = LONGEST_PAUSE;
            }
        }
    }
}

/// The terminal's events, which only a thread can wait for.
fn events() -> mpsc::Receiver<event::Event> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}
