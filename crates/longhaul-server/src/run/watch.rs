//! Follows one job to its end under the eyes of a person, or of a script.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use axum::http::Method;
use indicatif::ProgressBar;
use longhaul::State;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Result;
use crate::client::{Client, Event, Flow, Job, Said, encoded, one_line};
use crate::output::tell;
use crate::terminal::bar;

/// The end of a wait.
#[derive(Debug)]
pub(super) enum Ended {
    Job { state: State, output: Option<String> },
    TimedOut,
    Interrupted,
}

/// Whether the progress of a job is printed on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Aloud,
    Silent,
}

/// The effect of the first Ctrl-C on the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnInterrupt {
    LeaveJob,
    CancelJob,
}

impl From<bool> for OnInterrupt {
    fn from(cancel: bool) -> Self {
        if cancel { OnInterrupt::CancelJob } else { OnInterrupt::LeaveJob }
    }
}

/// Ctrl-C, from when this is made.
pub(super) struct Interrupts(Signal);

impl Interrupts {
    pub(super) fn listen() -> Result<Self> {
        let listen = signal(SignalKind::interrupt());
        Ok(Self(listen.map_err(|error| format!("failed to listen for Ctrl-C: {error}"))?))
    }
}

/// The time for a second Ctrl-C, which cancels the job.
const SECOND_THOUGHTS: Duration = Duration::from_secs(2);
/// The longest line of a log or an error.
const LONGEST: usize = 2_000;

pub(super) struct Watch<'a> {
    client: &'a Client,
    id: &'a str,
    screen: Screen,
}

impl<'a> Watch<'a> {
    pub(super) fn new(client: &'a Client, job: &'a Job, voice: Voice) -> Self {
        let screen = Screen::new(voice, &job.kind);
        screen.say(&job.id);
        Self { client, id: &job.id, screen }
    }

    pub(super) async fn follow(
        mut self,
        mut interrupts: Interrupts,
        give_up: Option<Duration>,
        on_interrupt: OnInterrupt,
    ) -> Result<Ended> {
        let (client, id) = (self.client, self.id);
        let (mut state, mut output) = (None, None);
        let screen = &mut self.screen;
        let mut following = Box::pin(client.follow(id, 0, |event| {
            screen.show(event);
            match &event.said {
                Said::State { state: now, .. } => state = Some(*now),
                Said::Output(json) => output = Some(json.get().to_owned()),
                _ => {}
            }
            Ok(Flow::GoOn)
        }));
        let timer = async {
            match give_up {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let mut timer = Box::pin(timer);
        let mut has_cancelled = false;
        let early = loop {
            tokio::select! {
                biased;
                ended = &mut following => {
                    ended?;
                    break None;
                }
                _ = interrupts.0.recv() => {
                    if on_interrupt == OnInterrupt::LeaveJob || has_cancelled {
                        break Some(Ended::Interrupted);
                    }
                    has_cancelled = true;
                    cancel(client, id).await?;
                }
                () = &mut timer => break Some(Ended::TimedOut),
            }
        };
        drop(following);
        screen.close();
        if let Some(early) = early {
            let why = if matches!(early, Ended::TimedOut) { "it has not ended yet; " } else { "" };
            screen.say(&format!("{why}the job goes on: longhaul jobs tail {id}"));
            if matches!(early, Ended::Interrupted) && !has_cancelled {
                screen.say("Ctrl-C once more cancels it");
                if tokio::time::timeout(SECOND_THOUGHTS, interrupts.0.recv()).await.is_ok() {
                    cancel(client, id).await?;
                    screen.say(&format!("{id} cancelled, or asked to stop"));
                }
            }
            return Ok(early);
        }
        match state.filter(|state| state.is_finished()) {
            Some(state) => Ok(Ended::Job { state, output }),
            // All of its events had been seen by the time of the first look.
            None => {
                let job: Job = client.get(&format!("/jobs/{}", encoded(id))).await?;
                Ok(Ended::Job { state: job.state, output: job.output.map(|output| output.get().to_owned()) })
            }
        }
    }
}

async fn cancel(client: &Client, id: &str) -> Result<()> {
    client.text(Method::POST, &format!("/jobs/{}/cancel", encoded(id)), None).await.map(drop)
}

/// Standard error: a bar on a terminal, lines elsewhere.
struct Screen {
    voice: Voice,
    /// Absent where there is no terminal, and once the job streams text, which would run into the bar.
    bar: Option<ProgressBar>,
    /// True in the middle of a line of what the job streams.
    is_in_line: bool,
    /// The last progress that was printed, so that a script's log does not repeat itself.
    told: String,
}

impl Screen {
    fn new(voice: Voice, kind: &str) -> Self {
        let has_bar = voice == Voice::Aloud && io::stderr().is_terminal();
        let bar = has_bar.then(|| {
            let bar = bar(100, "{prefix} {spinner} {wide_bar} {pos:>3} % {elapsed:>4} {msg}");
            bar.set_prefix(one_line(kind, 40));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { voice, bar, is_in_line: false, told: String::new() }
    }

    fn show(&mut self, event: &Event) {
        match &event.said {
            Said::Progress { percent, message } => self.progress(*percent, &one_line(message, 200)),
            Said::Log { level, message } if level == "info" => self.say(&one_line(message, LONGEST)),
            Said::Log { level, message } => self.say(&format!("{level}: {}", one_line(message, LONGEST))),
            Said::Chunk(data) => self.chunk(data.get()),
            Said::Reset if event.seq > 0 => {
                self.end_line();
                self.say("starts over; what it had streamed before is void");
            }
            Said::State { state, error, children, stopping } => {
                self.end_line();
                let children = children.map(|children| format!(": {children}")).unwrap_or_default();
                let error = error.as_ref().map(|error| format!(": {}", one_line(error, LONGEST)));
                let stopping = stopping.as_ref().map(|reason| format!(", asked to stop ({reason})"));
                let text =
                    format!("{state}{}{children}{}", stopping.unwrap_or_default(), error.unwrap_or_default());
                match &self.bar {
                    Some(bar) if !state.is_finished() => bar.set_message(text),
                    _ => self.say(&text),
                }
            }
            Said::Reset | Said::Gap | Said::Output(_) | Said::Other => {}
        }
    }

    fn progress(&mut self, percent: f64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(percent.clamp(0.0, 100.0) as u64);
            bar.set_message(message.to_owned());
            return;
        }
        let text = format!("{percent:.0} % {message}");
        if text != self.told && !self.is_in_line {
            self.say(&text);
            self.told = text;
        }
    }

    /// Text as it comes, without the escape sequences that a terminal would obey; anything else as JSON, a line each.
    fn chunk(&mut self, json: &str) {
        if self.voice == Voice::Silent {
            return;
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        let text = value.as_str().or_else(|| value["text"].as_str());
        let text = match text {
            Some(text) => text.chars().filter(|c| !c.is_control() || *c == '\n').collect(),
            None => format!("{}\n", one_line(json, LONGEST)),
        };
        if let Some(last) = text.chars().last() {
            let _ = write!(io::stderr(), "{text}");
            self.is_in_line = last != '\n';
        }
    }

    fn say(&self, text: &str) {
        match (&self.bar, self.voice) {
            (_, Voice::Silent) => {}
            (Some(bar), Voice::Aloud) => bar.println(text),
            (None, Voice::Aloud) => tell(text),
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_in_line) {
            tell("");
        }
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.end_line();
    }
}
