use std::path::Path;

use super::office::Office;
use super::package::Package;
use super::tidy::{parts, tidy};
use super::xml::{Attributes, Node};
use super::{ExtractError, FileKind, Limits, Plan, PlannedPage};

/// Reads a document of OpenDocument: slides one by one, texts and sheets in parts.
pub(super) fn inspect(path: &Path, kind: FileKind, limits: &Limits) -> Result<Plan, ExtractError> {
    let package = Package::open(path, kind, limits)?;
    let mut office = Office::new(package, kind, limits);
    if office.package.has("META-INF/manifest.xml") {
        let mut is_encrypted = false;
        office.package.walk("META-INF/manifest.xml", &mut |node| {
            is_encrypted |= matches!(node, Node::Open("encryption-data", _));
            Ok(())
        })?;
        if is_encrypted {
            return Err(ExtractError::Encrypted(kind));
        }
    }
    let mut content = Content::default();
    office.package.walk("content.xml", &mut |node| {
        content.read(&node);
        limits.check_text(content.text.len())
    })?;
    let objects = std::mem::take(&mut content.objects);
    content.end_page();
    let pictures: Vec<Vec<String>> = content
        .pages
        .iter_mut()
        .map(|page| office.new_pictures(std::mem::take(&mut page.pictures)))
        .collect();
    let mut texts: Vec<String> = content.pages.into_iter().map(|page| page.text).collect();
    let mut around = String::new();
    for object in objects.iter().filter(|object| office.package.has(object)).cloned().collect::<Vec<_>>() {
        let mut drawn = Content { is_object: true, ..Content::default() };
        office.package.walk_beside(&object, &mut |node| {
            drawn.read(&node);
            Ok(())
        })?;
        around.push_str("\n\n");
        around.push_str(&drawn.text);
    }
    if kind == FileKind::Odt && office.package.has("styles.xml") {
        let mut margins = Content { only_margins: true, ..Content::default() };
        office.package.walk_beside("styles.xml", &mut |node| {
            margins.read(&node);
            Ok(())
        })?;
        around.push_str("\n\n");
        around.push_str(&margins.text);
    }
    if let Some(last) = texts.last_mut() {
        last.push_str(&around);
    }
    let mut pages = Vec::new();
    if kind.has_pages() {
        limits.check_pages(texts.len())?;
        for (text, pictures) in texts.iter().zip(pictures) {
            let text = tidy(text);
            pages.push(if pictures.is_empty() {
                PlannedPage::Text(text)
            } else {
                PlannedPage::Pictured { text, pictures }
            });
        }
    } else {
        pages.extend(parts(&tidy(&texts.concat())).into_iter().map(PlannedPage::Text));
        let pictured = |name| PlannedPage::Pictured { text: String::new(), pictures: vec![name] };
        pages.extend(pictures.into_iter().flatten().map(pictured));
    }
    office.plan(pages)
}

#[derive(Default)]
struct Slide {
    text: String,
    pictures: Vec<String>,
}

#[derive(Default)]
struct Content {
    text: String,
    pages: Vec<Slide>,
    pictures: Vec<String>,
    objects: Vec<String>,
    /// The depth within an element whose content is not to be read.
    skipped: usize,
    /// The number of open elements whose content is text.
    texts: usize,
    cells: usize,
    /// The starts and the repetitions of the cells that are open.
    repeats: Vec<(usize, usize)>,
    readings: Vec<String>,
    reading: Option<String>,
    /// Notes and remarks, which follow their paragraph: within it they would part a sentence.
    notes: Vec<String>,
    around: Vec<(String, usize)>,
    is_object: bool,
    only_margins: bool,
    margins: usize,
}

impl Content {
    fn read(&mut self, node: &Node<'_>) {
        match node {
            Node::Open(name, attributes) if self.skipped > 0 || self.is_skipped(name, attributes) => {
                self.skipped += 1
            }
            Node::Close(_) if self.skipped > 0 => self.skipped -= 1,
            Node::Text(_) if self.skipped > 0 => {}
            Node::Open(name, attributes) => self.open(name, attributes),
            Node::Close(name) => self.close(name),
            Node::Text(text) if self.texts > 0 && (!self.only_margins || self.margins > 0) => self.push(text),
            Node::Text(_) => {}
        }
    }

    fn is_skipped(&self, name: &str, attributes: &Attributes) -> bool {
        match name {
            "tracked-changes" | "script" | "forms" | "page-number" | "note-citation" | "creator" | "date"
            | "settings" => true,
            "annotation" => self.is_object,
            "hidden-text" | "hidden-paragraph" => attributes.value("is-hidden") == Some("true"),
            _ => false,
        }
    }

    fn open(&mut self, name: &str, attributes: &Attributes) {
        let count =
            |name: &str| attributes.value(name).and_then(|count| count.parse().ok()).unwrap_or(1_usize);
        match name {
            "p" | "h" => self.texts += 1,
            "mi" | "mn" | "mo" | "mtext" if self.is_object => self.texts += 1,
            "s" => self.push(&" ".repeat(count("c").min(80))),
            "tab" => self.text.push('\t'),
            "line-break" => self.text.push('\n'),
            "ruby-text" => self.reading = Some(String::new()),
            "note" | "annotation" => {
                self.around.push((std::mem::take(&mut self.text), std::mem::take(&mut self.texts)));
            }
            "page" => self.end_page(),
            "image" => {
                let name = attributes.value("href").unwrap_or_default().trim_start_matches("./");
                self.pictures.push(name.to_owned());
            }
            "object" => {
                let name = attributes.value("href").unwrap_or_default().trim_start_matches("./");
                self.objects.push(format!("{name}/content.xml"));
            }
            "table-cell" => {
                self.cells += 1;
                self.repeats.push((self.text.len(), count("number-columns-repeated")));
            }
            "header" | "footer" | "header-left" | "footer-left" | "header-first" | "footer-first" => {
                self.margins += 1
            }
            "table" if attributes.value("name").is_some() => {
                if let Some(name) = attributes.value("name").filter(|_| self.cells == 0) {
                    let name = name.to_owned();
                    self.text.push_str(&name);
                    self.text.push_str("\n\n");
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" | "h" => {
                self.texts = self.texts.saturating_sub(1);
                for reading in std::mem::take(&mut self.readings) {
                    self.text.push_str(&format!(" ({reading})"));
                }
                let gap = if self.cells > 0 { "\n" } else { "\n\n" };
                self.text.push_str(gap);
                if self.texts == 0 {
                    for note in std::mem::take(&mut self.notes) {
                        self.text.push_str(note.trim());
                        self.text.push_str(gap);
                    }
                }
            }
            "mi" | "mn" | "mo" | "mtext" if self.is_object => {
                self.texts = self.texts.saturating_sub(1);
                self.text.push(' ');
            }
            "ruby-text" => self.readings.extend(self.reading.take()),
            "note" | "annotation" => {
                let (around, texts) = self.around.pop().unwrap_or_default();
                self.notes.push(std::mem::replace(&mut self.text, around));
                self.texts = texts;
            }
            "table-cell" => {
                self.cells = self.cells.saturating_sub(1);
                let (start, repeats) = self.repeats.pop().unwrap_or_default();
                let start = start.min(self.text.len());
                let cell = self.text.split_off(start);
                let cell = cell.trim_end_matches('\n');
                // A row is filled up with a thousand empty cells.
                let repeats = if cell.is_empty() { 1 } else { repeats.clamp(1, 50) };
                for _ in 0..repeats {
                    self.text.push_str(cell);
                    self.text.push('\t');
                }
            }
            "table-row" => {
                self.text.truncate(self.text.trim_end_matches('\t').len());
                self.text.push('\n');
            }
            "table" => self.text.push('\n'),
            "header" | "footer" | "header-left" | "footer-left" | "header-first" | "footer-first" => {
                self.margins = self.margins.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        if let Some(reading) = &mut self.reading {
            reading.push_str(text);
            return;
        }
        // An editor's own line breaks are none of the writer's.
        for c in text.chars() {
            let is_space = matches!(c, '\n' | '\r' | '\t');
            self.text.push(if is_space { ' ' } else { c });
        }
    }

    fn end_page(&mut self) {
        if self.text.trim().is_empty() && self.pictures.is_empty() {
            self.text.clear();
            return;
        }
        let (text, pictures) = (std::mem::take(&mut self.text), std::mem::take(&mut self.pictures));
        self.pages.push(Slide { text, pictures });
    }
}
