//! The keys and their deeds.

use axum::http::Method;
use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use super::screen::{List, Mode, Screen};
use crate::Result;
use crate::client::{Client, State, encoded};
use crate::jobs::act::{self, Bounds, Look, Yes};
use crate::jobs::search::{Fields, Search};

/// The consequence of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    Look,
    Act(Deed),
}

/// Something that is done to jobs or queues.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    Cancel(String),
    Retry(String),
    RetryAll(String),
    Pause(String),
    Resume(String),
}

impl Deed {
    /// The question before it.
    pub(super) fn question(&self) -> String {
        match self {
            Deed::Cancel(id) => format!("cancel {id}?"),
            Deed::Retry(id) => format!("run {id} again?"),
            Deed::RetryAll(queue) => format!("run all failed jobs of {queue} again?"),
            Deed::Pause(queue) => format!("pause {queue}?"),
            Deed::Resume(queue) => format!("resume {queue}?"),
        }
    }

    /// Does it, and answers what came of it.
    pub(super) async fn act(&self, client: &Client) -> Result<String> {
        let post = async |path: String| client.text(Method::POST, &path, None).await;
        Ok(match self {
            Deed::Cancel(id) => {
                post(format!("/jobs/{}/cancel", encoded(id))).await?;
                format!("{id} cancelled, or asked to stop")
            }
            Deed::Retry(id) => {
                post(format!("/jobs/{}/retry", encoded(id))).await?;
                format!("{id} will run again")
            }
            Deed::RetryAll(queue) => {
                let search = Search::new(Fields::failed_of(queue), Vec::new());
                let bounds = Bounds { limit: None, yes: Yes::Given, look: Look::ThenAct };
                let acted = act::all(client, &search, &act::Deed::Retry, &bounds).await?;
                format!("{} jobs of {queue} will run again", acted.done)
            }
            Deed::Pause(queue) => {
                post(format!("/queues/{}/pause", encoded(queue))).await?;
                format!("{queue} is paused")
            }
            Deed::Resume(queue) => {
                post(format!("/queues/{}/resume", encoded(queue))).await?;
                format!("{queue} is not paused")
            }
        })
    }
}

impl Screen {
    /// Does what an event of the terminal asks for, and answers what is left to do.
    pub(super) fn heed(&mut self, event: &Event) -> Wish {
        let Event::Key(key) = event else { return Wish::Nothing };
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Wish::Quit;
        }
        match std::mem::replace(&mut self.mode, Mode::Normal) {
            Mode::Normal => self.key(key.code),
            Mode::Help => Wish::Nothing,
            Mode::Search(text) => self.write(text, key.code),
            Mode::Confirm(deed) => match key.code {
                KeyCode::Char('y' | 'Y') | KeyCode::Enter => Wish::Act(deed),
                _ => {
                    self.tell("nothing was done".into());
                    Wish::Nothing
                }
            },
        }
    }

    fn key(&mut self, code: KeyCode) -> Wish {
        self.message.clear();
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Search(self.words()),
            KeyCode::Tab | KeyCode::Right => self.list = self.list.next(),
            KeyCode::BackTab | KeyCode::Left => self.list = self.list.previous(),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-10),
            KeyCode::PageDown => self.step(10),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Char(' ') => return Wish::Look,
            KeyCode::Char('p') => {
                let deed = self.queue().map(|queue| match queue.paused {
                    true => Deed::Resume(queue.name.clone()),
                    false => Deed::Pause(queue.name.clone()),
                });
                self.ask(deed, "choose a queue, or a job of it");
            }
            KeyCode::Char('c') => {
                let deed =
                    self.job().filter(|job| !job.state.is_finished()).map(|job| Deed::Cancel(job.id.clone()));
                self.ask(deed, "choose a running job: Tab changes the list");
            }
            KeyCode::Char('r') => {
                let deed =
                    self.job().filter(|job| job.state.is_finished()).map(|job| Deed::Retry(job.id.clone()));
                self.ask(deed, "choose a failed job: Tab changes the list");
            }
            KeyCode::Char('R') => {
                let queue = self.queue().filter(|queue| queue.count(State::Failed) > 0);
                let deed = queue.map(|queue| Deed::RetryAll(queue.name.clone()));
                self.ask(deed, "choose a queue with failed jobs");
            }
            _ => {}
        }
        Wish::Nothing
    }

    fn ask(&mut self, deed: Option<Deed>, hint: &str) {
        match deed {
            Some(deed) => self.mode = Mode::Confirm(deed),
            None => self.tell(hint.into()),
        }
    }

    fn write(&mut self, mut text: String, code: KeyCode) -> Wish {
        match code {
            KeyCode::Enter => {
                self.set_words(&text);
                if self.list == List::Queues && !text.trim().is_empty() {
                    self.list = List::Running;
                }
                return Wish::Look;
            }
            KeyCode::Esc => return Wish::Nothing,
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Char(c) => text.push(c),
            _ => {}
        }
        self.mode = Mode::Search(text);
        Wish::Nothing
    }
}
