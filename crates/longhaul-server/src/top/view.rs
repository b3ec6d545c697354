//! Draws the screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState};

use super::screen::{List, Mode, Screen};
use crate::client::{Job, Queue, State, one_line};
use crate::terminal::{grouped, since};

const DIM: Style = Style::new().fg(Color::DarkGray);
const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// The cells of a job's bar.
const BAR: usize = 16;

pub(super) fn draw(frame: &mut Frame, screen: &Screen) {
    let queues = u16::try_from(screen.now.queues.len()).unwrap_or(u16::MAX).clamp(1, 8) + 3;
    let areas = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(queues),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ]);
    let [head, queues, running, failed, foot] = areas.areas(frame.area());
    draw_head(frame, screen, head);
    draw_queues(frame, screen, queues);
    draw_jobs(frame, screen, running, List::Running);
    draw_jobs(frame, screen, failed, List::Failed);
    draw_foot(frame, screen, foot);
    if screen.mode == Mode::Help {
        draw_help(frame);
    }
}

fn draw_head(frame: &mut Frame, screen: &Screen, area: Rect) {
    let [words, graph] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(32)]).areas(area);
    let now = &screen.now;
    let count =
        |state: State, style: Style| Span::styled(format!("{} {state}  ", grouped(now.sum(state))), style);
    let counts = Line::from(vec![
        count(State::Running, GOOD),
        count(State::Available, Style::new()),
        count(State::Scheduled, Style::new()),
        count(State::Blocked, Style::new()),
        count(State::Failed, BAD),
        count(State::Completed, DIM),
    ]);
    let rates = format!(
        "{:.1} completed/s  {:.1} failed/s  {} workers  {} queues",
        screen.completed_per_second,
        screen.failed_per_second,
        now.workers,
        now.queues.len(),
    );
    let title = Line::from(vec![
        Span::styled("longhaul top ", BOLD),
        Span::raw(one_line(&screen.place, 200)),
        Span::styled(search_of(screen), DIM),
    ]);
    frame.render_widget(Paragraph::new(vec![title, counts, Line::raw(rates)]), words);
    frame.render_widget(Sparkline::default().data(&screen.rates).style(GOOD), graph);
}

fn search_of(screen: &Screen) -> String {
    let words = screen.words();
    if words.is_empty() { String::new() } else { format!("  /{}", one_line(&words, 100)) }
}

fn block(screen: &Screen, list: List, title: String) -> Block<'static> {
    let style = if screen.list == list { BOLD } else { DIM };
    Block::new().borders(ratatui::widgets::Borders::TOP).border_style(style).title(Span::styled(title, style))
}

fn draw_queues(frame: &mut Frame, screen: &Screen, area: Rect) {
    let headings = ["QUEUE", "AVAILABLE", "RUNNING", "SCHEDULED", "BLOCKED", "FAILED", "COMPLETED"];
    let rows = screen.now.queues.iter().map(|queue| queue_row(queue));
    let widths = [20, 9, 9, 9, 9, 9, 9].map(Constraint::Length);
    let table = Table::new(rows, widths)
        .header(Row::new(headings).style(DIM))
        .row_highlight_style(highlight(screen, List::Queues))
        .block(block(screen, List::Queues, " queues ".into()));
    draw_table(frame, screen, area, List::Queues, table);
}

fn queue_row(queue: &Queue) -> Row<'static> {
    let number = |state: State| {
        let count = queue.count(state);
        let style = match (state, count) {
            (_, 0) => DIM,
            (State::Failed, _) => BAD,
            (State::Running, _) => GOOD,
            _ => Style::new(),
        };
        Cell::new(grouped(count)).style(style)
    };
    let name = if queue.paused { format!("{} ⏸ paused", queue.name) } else { queue.name.clone() };
    Row::new([
        Cell::new(one_line(&name, 40)),
        number(State::Available),
        number(State::Running),
        number(State::Scheduled),
        number(State::Blocked),
        number(State::Failed),
        number(State::Completed),
    ])
}

fn draw_jobs(frame: &mut Frame, screen: &Screen, area: Rect, list: List) {
    let (jobs, title) = match list {
        List::Running => (&screen.now.running, " running "),
        List::Failed | List::Queues => (&screen.now.failed, " failed "),
    };
    let rows = jobs.iter().map(|job| match list {
        List::Running => running_row(job, screen),
        List::Failed | List::Queues => failed_row(job, screen),
    });
    let widths = [
        Constraint::Length(22),
        Constraint::Length(8),
        Constraint::Length(BAR as u16 + 6),
        Constraint::Fill(1),
        Constraint::Length(38),
    ];
    let table = Table::new(rows, widths).row_highlight_style(highlight(screen, list)).block(block(
        screen,
        list,
        title.into(),
    ));
    draw_table(frame, screen, area, list, table);
}

fn running_row(job: &Job, screen: &Screen) -> Row<'static> {
    let (percent, message) = match &job.progress {
        Some(progress) => (progress.percent.clamp(0.0, 100.0), progress.message.as_str()),
        None => (0.0, ""),
    };
    let age = job.started_at.as_deref().map(|at| since(at, screen.now.at)).unwrap_or_default();
    let message = if job.cancel_requested { "asked to stop" } else { message };
    Row::new([
        Cell::new(one_line(&job.kind, 22)),
        Cell::new(age).style(DIM),
        Cell::new(bar(percent)).style(GOOD),
        Cell::new(one_line(message, 120)),
        Cell::new(job.id.clone()).style(DIM),
    ])
}

fn bar(percent: f64) -> String {
    let full = (percent / 100.0 * BAR as f64).round() as usize;
    format!("{}{} {percent:>3.0} %", "█".repeat(full.min(BAR)), "░".repeat(BAR.saturating_sub(full)))
}

fn failed_row(job: &Job, screen: &Screen) -> Row<'static> {
    let ago = job.finished_at.as_deref().map(|at| since(at, screen.now.at)).unwrap_or_default();
    let error = job.errors.last().map(|error| error.message.as_str()).unwrap_or_default();
    Row::new([
        Cell::new(one_line(&job.kind, 22)),
        Cell::new(ago).style(DIM),
        Cell::new(format!("attempt {} of {}", job.attempt, job.max_attempts)).style(DIM),
        Cell::new(one_line(error, 200)).style(BAD),
        Cell::new(job.id.clone()).style(DIM),
    ])
}

fn highlight(screen: &Screen, list: List) -> Style {
    if screen.list == list { CHOSEN } else { Style::new() }
}

fn draw_table(frame: &mut Frame, screen: &Screen, area: Rect, list: List, table: Table) {
    let chosen = (screen.rows(list) > 0).then_some(screen.chosen[list as usize]);
    let mut state = TableState::new().with_selected(chosen);
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_foot(frame: &mut Frame, screen: &Screen, area: Rect) {
    let line = match &screen.mode {
        Mode::Search(text) => {
            Line::from(vec![Span::styled("/", BOLD), Span::raw(text.clone()), Span::styled("▏", DIM)])
        }
        Mode::Confirm(deed) => Line::styled(format!("{} y / n", deed.question()), BOLD),
        Mode::Normal | Mode::Help if !screen.message.is_empty() => Line::raw(one_line(&screen.message, 300)),
        Mode::Normal | Mode::Help => Line::styled(
            "Tab list  ↑↓ choose  p pause  c cancel  r retry  R retry all  / search  ? help  q quit",
            DIM,
        ),
    };
    frame.render_widget(Paragraph::new(line), area);
}

const HELP: &str = "\
Tab  ← →     the next list: queues, running, failed
↑ ↓  j k     choose; PgUp PgDn Home End too
p            pause or resume the queue, or that of the job
c            cancel the running job
r            run the failed job again
R            run all failed jobs of the queue again
/            search: queue:mail label.team:a \"timed out\"
space        look at once
q  Esc       quit

Any key goes back.";

fn draw_help(frame: &mut Frame) {
    let height = u16::try_from(HELP.lines().count()).unwrap_or(12) + 2;
    let area = frame.area().centered(Constraint::Length(62), Constraint::Length(height));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" keys ")), area);
}
