//! Keeps Markdown pages true: a test sends each printed request to a started server, runs each printed command in a
//! shell ([`Session`]), and compares the answer with the printed one.
//!
//! A page shows real exchanges, one after the other, in pairs of fenced blocks. A block `http` that begins with a
//! method is a request; the block after it is its answer, either `http` (status line, headers, an empty line, the
//! body) or `json` (only the body, of any answer with a 2xx):
//!
//! ````md
//! ```http
//! POST /skills
//! Authorization: Bearer {token}
//! Content-Type: application/json
//!
//! {"name": "React Development"}
//! ```
//! ```http
//! HTTP/1.1 201 Created
//!
//! {"_id": "60d5ec49f1b2c8b1f8e4f1a1", "name": "React Development", "createdAt": "2026-01-31T09:30:00.000Z"}
//! ```
//! ````
//!
//! Values that differ from run to run are matched by their sort, and everything else to the letter:
//! - An id (a UUID, or 24, 32, 40 or 64 hex digits, alone or within a longer text) stands for any other of its form.
//!   The checker remembers which: where a later request or answer prints the same id, the real one is meant. So a
//!   page prints ids as a user sees them, and its requests follow each other.
//! - A time stands for any time written in the same form; so do Unix seconds (10 digits) and milliseconds (13),
//!   within a text or as a number. Dates without a time stand for themselves.
//! - `…` stands for anything: within a text for any part of it, as a value for any value, as an entry of a list for
//!   any entries, and as a field of an object (`{"id": "…", …}`) for further fields, which are an error otherwise.
//! - `{name}` in a request is a variable that the test has [set](Checker::set); a text that is exactly `{name}` in
//!   an answer sets it.
//! - `http://127.0.0.1:8000` stands for the server that is tested.
//!
//! Headers of an answer that the page prints must be there; others are not looked at. Bodies that are not JSON are
//! compared as text, line by line. Blocks of other languages, and `json` blocks that follow no request, are not
//! looked at. What a test must do between two exchanges is told to it by a comment, which readers do not see:
//! `<!-- test: the job has ended -->`.
//!
//! ```no_run
//! # async fn example() {
//! use fakes::pages::{Checker, Page};
//!
//! let page = Page::read(include_str!("mod.rs"));
//! let mut checker = Checker::new("http://127.0.0.1:8000");
//! checker.set("token", "eyJ…");
//! checker.check_page(&page, async |note| panic!("nobody told this test what '{note}' is")).await;
//! # }
//! ```

mod alike;
mod check;
mod session;

pub use check::Checker;
pub use session::{Session, Step};

/// The exchanges of a page, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Each request with its answer.
    pub exchanges: Vec<Exchange>,
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The line of the page on which the request stands, from 1.
    pub line: usize,
    /// The notes to the test before the request.
    pub notes: Vec<String>,
    /// The request.
    pub request: Request,
    /// The answer; `None` if the page has none.
    pub answer: Option<Answer>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Empty where there is none.
    pub body: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `None` where only the body is printed: any 2xx.
    pub status: Option<u16>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Empty where there is none.
    pub body: String,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// Panics if a block has no valid form, naming its line, and where the page has no exchange at all.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut exchanges: Vec<Exchange> = Vec::new();
        let mut notes = Vec::new();
        // True if the next block may be the answer of the last exchange.
        let mut answers_next = false;
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let line = line.trim();
            if let Some(note) = line.strip_prefix("<!-- test:").and_then(|rest| rest.strip_suffix("-->")) {
                notes.push(note.trim().to_owned());
                answers_next = false;
            }
            let Some(language) = line.strip_prefix("```") else { continue };
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|l| l.trim() != "```").collect();
            let first = block.first().copied().unwrap_or_default();
            let place = number + 2;
            match language.trim() {
                "http" if first.starts_with("HTTP/") => {
                    let asked = exchanges.last_mut().filter(|_| answers_next);
                    let asked = asked.unwrap_or_else(|| panic!("line {place}: an answer without a request"));
                    asked.answer = Some(answer(&block, place));
                    answers_next = false;
                }
                "json" if answers_next => {
                    if let Some(asked) = exchanges.last_mut() {
                        let body = block.join("\n");
                        asked.answer = Some(Answer { status: None, headers: Vec::new(), body });
                    }
                    answers_next = false;
                }
                "http" => {
                    let request = request(&block, place);
                    let notes = std::mem::take(&mut notes);
                    exchanges.push(Exchange { line: place, notes, request, answer: None });
                    answers_next = true;
                }
                _ => {}
            }
        }
        assert!(!exchanges.is_empty(), "the page has no block that begins with ```http and a request");
        Self { exchanges }
    }
}

fn request(block: &[&str], line: usize) -> Request {
    let first = block.first().copied().unwrap_or_default();
    let mut words = first.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        panic!("line {line}: '{first}' is neither a request (GET /path) nor an answer (HTTP/1.1 200 OK)")
    };
    let is_method = method.bytes().all(|byte| byte.is_ascii_uppercase());
    assert!(is_method && target.starts_with('/'), "line {line}: '{first}' is no request line");
    let (headers, body) = headers_and_body(&block[1..], line);
    Request { method: method.to_owned(), target: target.to_owned(), headers, body }
}

fn answer(block: &[&str], line: usize) -> Answer {
    let first = block.first().copied().unwrap_or_default();
    let status = first.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    assert!(status.is_some(), "line {line}: '{first}' has no status");
    let (headers, body) = headers_and_body(&block[1..], line);
    Answer { status, headers, body }
}

fn headers_and_body(lines: &[&str], line: usize) -> (Vec<(String, String)>, String) {
    let end = lines.iter().position(|line| line.trim().is_empty()).unwrap_or(lines.len());
    let header = |text: &&str| match text.split_once(':') {
        Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
        None => panic!("line {line}: '{text}' is no header; an empty line comes before the body"),
    };
    let body = lines.get(end + 1..).unwrap_or_default().join("\n");
    (lines[..end].iter().map(header).collect(), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# A page

```json
{\"belongs\": \"to nothing\"}
```

```http
POST /skills?x=1
Authorization: Bearer {token}

{\"name\": \"React\"}
```
is answered
```http
HTTP/1.1 201 Created
Location: /skills/1

{\"_id\": \"1\"}
```
<!-- test: wait -->
   ```http
   GET /skills
   ```
   ```json
   []
   ```
```http
DELETE /skills/1
```
";

    #[test]
    fn exchanges_are_found_in_order() {
        let page = Page::read(PAGE);
        let [post, get, delete] = &page.exchanges[..] else { panic!("{page:?}") };
        assert_eq!((post.line, post.request.target.as_str()), (8, "/skills?x=1"));
        assert_eq!(post.request.headers, [("Authorization".into(), "Bearer {token}".into())]);
        assert_eq!(post.request.body, "{\"name\": \"React\"}");
        let answer = post.answer.as_ref().unwrap();
        assert_eq!(
            (answer.status, answer.headers.len(), answer.body.as_str()),
            (Some(201), 1, "{\"_id\": \"1\"}")
        );
        assert_eq!((get.notes.as_slice(), get.request.body.as_str()), (&["wait".to_owned()][..], ""));
        assert_eq!(get.answer.as_ref().unwrap().body.trim(), "[]");
        assert_eq!((&delete.answer, delete.request.method.as_str()), (&None, "DELETE"));
    }

    #[test]
    #[should_panic(expected = "line 2: an answer without a request")]
    fn an_answer_needs_a_request() {
        let _ = Page::read("```http\nHTTP/1.1 200 OK\n```\n");
    }
}
