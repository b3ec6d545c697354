use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::formula::{Formula, raise};
use super::office::Office;
use super::package::{Package, walk_file};
use super::tidy::{parts, tidy};
use super::xml::{Attributes, Node};
use super::{ExtractError, FileKind, Limits, Plan, PlannedPage, html};

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
    content.end_page();
    if content.pages.is_empty() {
        content.pages.push(Slide::default());
    }
    office.files.append(&mut content.files);
    let pictures: Vec<Vec<String>> = content
        .pages
        .iter_mut()
        .map(|page| office.new_pictures(std::mem::take(&mut page.pictures)))
        .collect();
    let mut texts = Vec::with_capacity(content.pages.len());
    for page in content.pages {
        let mut text = page.text;
        for object in page.objects.iter().filter(|object| office.package.has(object)).collect::<Vec<_>>() {
            let mut drawn = Content { is_object: true, ..Content::default() };
            office.package.walk_beside(object, &mut |node| {
                drawn.read(&node);
                Ok(())
            })?;
            text.push_str("\n\n");
            text.push_str(&drawn.text);
        }
        texts.push(text);
    }
    if kind == FileKind::Odt && office.package.has("styles.xml") {
        let mut margins = Content { only_margins: true, ..Content::default() };
        office.package.walk_beside("styles.xml", &mut |node| {
            margins.read(&node);
            Ok(())
        })?;
        if let Some(last) = texts.last_mut() {
            last.push_str("\n\n");
            last.push_str(&margins.text);
        }
    }
    let pages = planned(kind, &texts, pictures, limits)?;
    office.plan(pages)
}

/// Reads a document that is one file of XML, pictures included, which are not read.
pub(super) fn inspect_flat(path: &Path, kind: FileKind, limits: &Limits) -> Result<Plan, ExtractError> {
    let (mut content, mut margins) =
        (Content::default(), Content { only_margins: true, ..Content::default() });
    let (mut bodies, mut is_encrypted, mut pictures) = (0_usize, false, 0);
    walk_file(path, kind, limits, &mut |node| {
        is_encrypted |= matches!(node, Node::Open("encryption-data", _));
        pictures += usize::from(matches!(node, Node::Open("binary-data", _)));
        // Fields that stand before the body are the document's own, and styles hold headers and footers.
        bodies += usize::from(matches!(node, Node::Open("body", _)));
        if bodies > 0 {
            content.read(&node)
        } else {
            margins.read(&node)
        }
        bodies -= usize::from(bodies > 0 && matches!(node, Node::Close("body")));
        limits.check_text(content.text.len() + margins.text.len())
    })?;
    if is_encrypted {
        return Err(ExtractError::Encrypted(kind));
    }
    content.end_page();
    let mut texts: Vec<String> = content.pages.into_iter().map(|page| page.text).collect();
    if texts.is_empty() {
        texts.push(String::new());
    }
    if kind == FileKind::Fodt {
        texts.push(format!("\n\n{}", margins.text));
    }
    let none = vec![Vec::new(); texts.len()];
    Ok(Plan {
        kind,
        pages: planned(kind, &texts, none, limits)?,
        warnings: html::left_out(pictures).into_iter().collect(),
    })
}

/// The pages of slides, or the parts of texts and sheets.
fn planned(
    kind: FileKind,
    texts: &[String],
    pictures: Vec<Vec<String>>,
    limits: &Limits,
) -> Result<Vec<PlannedPage>, ExtractError> {
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
    Ok(pages)
}

#[derive(Default)]
struct Slide {
    text: String,
    pictures: Vec<String>,
    objects: Vec<String>,
}

#[derive(Default)]
struct Content {
    text: String,
    pages: Vec<Slide>,
    pictures: Vec<String>,
    /// Charts and equations of the page.
    objects: Vec<String>,
    /// Objects of other programs.
    files: BTreeSet<String>,
    is_page: bool,
    /// The depth within an element whose content is not to be read.
    skipped: usize,
    /// The number of open elements whose content is text.
    texts: usize,
    cells: usize,
    /// The starts and the repetitions of the cells that are open.
    repeats: Vec<(usize, usize)>,
    readings: Vec<String>,
    reading: Option<String>,
    /// Notes, remarks and boxes, which follow their paragraph: within it they would part a sentence or a word.
    notes: Vec<String>,
    /// The text, the open paragraphs and the notes around each that is open.
    around: Vec<(String, usize, Vec<String>)>,
    /// The shapes that are open, and whether each stands within a paragraph.
    shapes: Vec<bool>,
    /// True within the words that stand for a picture.
    is_caption: bool,
    is_object: bool,
    formula: Formula,
    /// The style that is being defined, those whose text stands above the line, and where the spans begin that are open.
    style: String,
    raised: HashSet<String>,
    spans: Vec<Option<usize>>,
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
            "tracked-changes" | "script" | "forms" | "binary-data" | "page-number" | "note-citation"
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
            "mi" | "mn" | "mo" | "mtext" if self.is_object => {
                self.formula.open(name, self.text.len());
                self.texts += 1;
            }
            "style" => attributes.value("name").unwrap_or_default().clone_into(&mut self.style),
            "text-properties" if attributes.value("text-position").is_some_and(is_raised) => {
                self.raised.insert(self.style.clone());
            }
            "span" => {
                let style = attributes.value("style-name").unwrap_or_default();
                self.spans.push(self.raised.contains(style).then_some(self.text.len()));
            }
            // An equation within a file that holds all of its document.
            "math" => {
                self.is_object = true;
                self.formula.open(name, self.text.len());
            }
            name if self.formula.is_open() => self.formula.open(name, self.text.len()),
            "s" => self.push(&" ".repeat(count("c").min(80))),
            "tab" => self.text.push('\t'),
            "line-break" => self.text.push('\n'),
            "ruby-text" => self.reading = Some(String::new()),
            "note" | "annotation" => {
                self.begin_aside();
            }
            name if is_shape(name) => {
                let is_within = self.texts > 0;
                self.shapes.push(is_within);
                if is_within {
                    self.begin_aside();
                }
            }
            "title" | "desc" if self.texts == 0 && self.shapes.last() == Some(&true) => {
                self.is_caption = true;
                self.texts += 1;
            }
            "page" => {
                self.end_page();
                self.is_page = true;
            }
            "image" => {
                let name = attributes.value("href").unwrap_or_default().trim_start_matches("./");
                // What is read of an object is not looked at as well.
                let shows = name.strip_prefix("ObjectReplacements/").unwrap_or_default();
                if !self.objects.contains(&format!("{shows}/content.xml")) {
                    self.pictures.push(name.to_owned());
                }
            }
            "object-ole" => {
                let name = attributes.value("href").unwrap_or_default().trim_start_matches("./");
                self.files.insert(name.to_owned());
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
            name if is_shape(name) => self.end_shape(),
            "title" | "desc" if std::mem::take(&mut self.is_caption) => {
                self.texts = self.texts.saturating_sub(1);
                self.text.push('\n');
            }
            "mi" | "mn" | "mo" | "mtext" if self.is_object => {
                self.texts = self.texts.saturating_sub(1);
                self.text.push(' ');
                self.formula.close(name, &mut self.text);
            }
            "math" => {
                self.is_object = false;
                self.formula.close(name, &mut self.text);
            }
            name if self.formula.is_open() => self.formula.close(name, &mut self.text),
            "span" => {
                if let Some(start) = self.spans.pop().flatten() {
                    raise(&mut self.text, start);
                }
            }
            "ruby-text" => self.readings.extend(self.reading.take()),
            "note" | "annotation" => self.end_aside(),
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

    fn end_shape(&mut self) {
        if self.shapes.pop() == Some(true) {
            self.end_aside();
        }
    }

    fn begin_aside(&mut self) {
        let (text, texts) = (std::mem::take(&mut self.text), std::mem::take(&mut self.texts));
        self.around.push((text, texts, std::mem::take(&mut self.notes)));
    }

    fn end_aside(&mut self) {
        let (around, texts, notes) = self.around.pop().unwrap_or_default();
        let aside = std::mem::replace(&mut self.text, around);
        self.texts = texts;
        let within = std::mem::replace(&mut self.notes, notes);
        self.notes.extend(within);
        if !aside.trim().is_empty() {
            self.notes.push(aside);
        }
    }

    /// A slide with nothing on it counts: those behind it keep their numbers.
    fn end_page(&mut self) {
        let text = std::mem::take(&mut self.text);
        let (pictures, objects) = (std::mem::take(&mut self.pictures), std::mem::take(&mut self.objects));
        if self.is_page || !text.trim().is_empty() || !pictures.is_empty() || !objects.is_empty() {
            self.pages.push(Slide { text, pictures, objects });
        }
    }
}

/// True for `super 58%` and `33% 58%`, which is by how much of a line.
fn is_raised(position: &str) -> bool {
    let first = position.split_whitespace().next().unwrap_or_default();
    first == "super" || first.trim_end_matches('%').parse::<f64>().is_ok_and(|above| above > 0.0)
}

fn is_shape(name: &str) -> bool {
    matches!(
        name,
        "frame"
            | "custom-shape"
            | "g"
            | "rect"
            | "line"
            | "polyline"
            | "polygon"
            | "regular-polygon"
            | "path"
            | "circle"
            | "ellipse"
            | "connector"
            | "caption"
            | "measure"
    )
}

#[cfg(test)]
mod tests {
    use super::super::xml::{Budget, walk};
    use super::*;

    fn read(xml: &str) -> Content {
        let mut content = Content::default();
        let mut budget = Budget { left: 1 << 20, is_exceeded: false };
        walk(xml.as_bytes(), &mut budget, &mut |node| {
            content.read(&node);
            Ok::<(), String>(())
        })
        .unwrap();
        content.end_page();
        content
    }

    fn texts(xml: &str) -> Vec<String> {
        read(xml).pages.iter().map(|page| tidy(&page.text)).collect()
    }

    #[test]
    fn fields_of_a_letter_are_read_and_who_remarked_when_is_not() {
        let letter = "<text><p>Köln, <date>30. November</date>, <creator>Ada</creator><annotation><creator>Bob</creator>\
                      <date>2020-01-01</date><p>remark</p></annotation></p></text>";
        assert_eq!(texts(letter), ["Köln, 30. November, Ada\n\nremark"]);
    }

    #[test]
    fn a_box_follows_its_paragraph_and_parts_no_word() {
        let boxed = "<text><p>Pro<frame><text-box><p>boxed</p></text-box></frame>ject<custom-shape><p>shaped</p></custom-shape>s\
                     <frame><image href='a.png'/><title>a leaf</title><desc>in light</desc></frame></p><p>next</p></text>";
        assert_eq!(texts(boxed), ["Projects\n\nboxed\n\nshaped\n\na leaf\nin light\n\nnext"]);
    }

    #[test]
    fn what_stands_above_the_line_is_no_part_of_the_number_before_it() {
        let xml = "<b><style name='T1'><text-properties text-position='super 58%'/></style><style name='T2'><text-properties \
                   text-position='-33% 58%'/></style><p>10<span style-name='T1'>6</span> H<span style-name='T2'>2</span>O</p>\
                   <p><math><mfrac><mn>1</mn><msup><mi>x</mi><mn>2</mn></msup></mfrac></math></p></b>";
        assert_eq!(texts(xml), ["10^6 H2O\n\n1/(x^2)"]);
    }

    #[test]
    fn slides_keep_their_numbers_and_their_charts() {
        let slides = "<b><page><frame><text-box><p>one</p></text-box></frame></page><page/><page><frame><object \
                      href='./Object 1'/><image href='./ObjectReplacements/Object 1'/></frame><object-ole href='./Object 2'/>\
                      <image href='./ObjectReplacements/Object 2'/></page></b>";
        let read = read(slides);
        assert_eq!(read.pages.iter().map(|page| page.text.trim()).collect::<Vec<_>>(), ["one", "", ""]);
        assert_eq!(read.pages[2].objects, ["Object 1/content.xml"]);
        assert_eq!(read.pages[2].pictures, ["ObjectReplacements/Object 2"]);
        assert_eq!(read.files.into_iter().collect::<Vec<_>>(), ["Object 2"]);
    }
}
