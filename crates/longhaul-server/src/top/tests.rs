//! The screen over a real store, drawn into memory.

use longhaul::{Longhaul, MemoryStore, NewJob, Store};
use longhaul_conformance::jobs::{claim, failed, finish, job, slots};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use super::data::Snapshot;
use super::keys::{Deed, Wish};
use super::screen::Screen;
use super::view;
use crate::client::Client;

/// A store with three jobs of `mail`: one runs, one has failed, one waits.
async fn place() -> (Longhaul, Client) {
    let longhaul = Longhaul::new(MemoryStore::new());
    let jobs = (0..3).map(|_| NewJob { queue: "mail".into(), ..job() });
    longhaul.store().enqueue(jobs.collect()).await.expect("they are enqueued");
    let claim = longhaul::Claim { queues: vec![slots("mail", 2)], ..claim() };
    let claimed = longhaul.store().claim(claim).await.expect("two are claimed");
    longhaul.store().finish(vec![finish(&claimed[0].lease, failed())]).await.expect("one fails");
    let progress = longhaul::Progress { percent: 50.0, message: "half\u{1b}[2J way".into(), data: None };
    let record = longhaul::Record {
        lease: claimed[1].lease.clone(),
        entries: vec![longhaul::Entry::Progress(progress)],
    };
    longhaul.store().record(vec![record]).await.expect("one tells");
    let client = Client::over(longhaul.clone(), "memory".into());
    (longhaul, client)
}

async fn screen(client: &Client) -> Screen {
    let mut screen = Screen::new("memory".into(), Vec::new());
    screen.take(Snapshot::read(client, &screen, None).await.expect("it can be read"));
    screen
}

fn drawn(screen: &Screen) -> String {
    let mut terminal = Terminal::new(TestBackend::new(120, 30)).expect("memory");
    terminal.draw(|frame| view::draw(frame, screen)).expect("it is drawn");
    terminal.backend().to_string()
}

fn press(screen: &mut Screen, code: KeyCode) -> Wish {
    screen.heed(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

#[tokio::test]
async fn queues_running_jobs_and_failures_are_drawn() {
    let (_longhaul, client) = place().await;
    let shown = drawn(&screen(&client).await);
    let line = |words: &str| shown.lines().find(|line| line.contains(words)).unwrap_or_default().to_owned();
    assert!(line("longhaul top").contains("memory"), "{shown}");
    assert!(line("1 running").contains("1 available") && line("1 running").contains("1 failed"), "{shown}");
    let mail: Vec<String> =
        line("mail").split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
    assert_eq!(mail[..7], ["mail", "1", "1", "0", "0", "1", "0"].map(String::from), "{shown}");
    assert!(shown.contains("████████░░░░░░░░  50 %") && shown.contains("half [2J way"), "{shown}");
    assert!(line("attempt ").contains("no such image"), "{shown}");
}

#[tokio::test]
async fn a_key_asks_before_it_acts_and_the_store_is_told() {
    let (longhaul, client) = place().await;
    let mut screen = screen(&client).await;
    assert_eq!(press(&mut screen, KeyCode::Char('c')), Wish::Nothing);
    assert!(drawn(&screen).contains("choose a running job"), "a queue is no job");
    press(&mut screen, KeyCode::Tab);
    press(&mut screen, KeyCode::Char('c'));
    let id = screen.now.running[0].id.clone();
    assert!(drawn(&screen).contains(&format!("cancel {id}? y / n")));
    assert_eq!(press(&mut screen, KeyCode::Char('n')), Wish::Nothing);
    press(&mut screen, KeyCode::Char('c'));
    let Wish::Act(deed) = press(&mut screen, KeyCode::Char('y')) else { panic!("it is done") };
    assert_eq!(deed, Deed::Cancel(id.clone()));
    assert_eq!(deed.act(&client).await.expect("it is done"), format!("{id} cancelled, or asked to stop"));
    press(&mut screen, KeyCode::BackTab);
    press(&mut screen, KeyCode::Char('R'));
    let Wish::Act(deed) = press(&mut screen, KeyCode::Enter) else { panic!("it is done") };
    assert_eq!(deed.act(&client).await.expect("it is done"), "1 jobs of mail will run again");
    let has_changed =
        screen.take(Snapshot::read(&client, &screen, Some(&screen.now)).await.expect("it can be read"));
    assert!(has_changed && screen.now.failed.is_empty() && screen.now.running[0].cancel_requested);
    assert!(drawn(&screen).contains("asked to stop"));
    drop(longhaul);
}

#[tokio::test]
async fn a_search_narrows_the_lists_and_escape_leaves_it_alone() {
    let (_longhaul, client) = place().await;
    let mut screen = screen(&client).await;
    press(&mut screen, KeyCode::Char('/'));
    for c in "nowhere".chars() {
        assert_eq!(press(&mut screen, KeyCode::Char(c)), Wish::Nothing);
    }
    assert!(drawn(&screen).contains("/nowhere▏"));
    assert_eq!(press(&mut screen, KeyCode::Enter), Wish::Look);
    screen.take(Snapshot::read(&client, &screen, Some(&screen.now)).await.expect("it can be read"));
    assert!(screen.now.running.is_empty() && screen.now.failed.is_empty() && screen.now.queues.len() == 1);
    press(&mut screen, KeyCode::Char('/'));
    press(&mut screen, KeyCode::Backspace);
    press(&mut screen, KeyCode::Esc);
    assert_eq!(screen.words(), "nowhere");
    press(&mut screen, KeyCode::Char('?'));
    assert!(drawn(&screen).contains("pause or resume the queue"));
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Wish::Nothing, "any key leaves the help");
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Wish::Quit);
}

#[tokio::test]
async fn a_place_where_nothing_happens_costs_one_read_a_look() {
    use longhaul::testing::Intercept;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let calls = Arc::new(AtomicUsize::new(0));
    let store = MemoryStore::new();
    store.enqueue(vec![job()]).await.expect("it is enqueued");
    let counter = Arc::clone(&calls);
    let counted = Intercept::new(store, move |store, call| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move { call.on(store.as_ref()).await }
    });
    let client = Client::over(Longhaul::new(counted), "memory".into());
    let mut screen = screen(&client).await;
    let before = calls.load(Ordering::Relaxed);
    for look in 1..=10 {
        let next = Snapshot::read(&client, &screen, Some(&screen.now)).await.expect("it can be read");
        assert!(!screen.take(next), "nothing has happened");
        assert_eq!(calls.load(Ordering::Relaxed) - before, look);
    }
}
