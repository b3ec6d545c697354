use std::path::Path;

use super::package::Package;
use super::tidy::{parts, tidy};
use super::xml::{Attributes, Node};
use super::{ExtractError, FileKind, Limits, Plan, PlannedPage};

/// Reads a Word document in parts, or a presentation slide by slide, in the order in which it is shown.
pub(super) fn inspect(path: &Path, kind: FileKind, limits: &Limits) -> Result<Plan, ExtractError> {
    if kind == FileKind::Html {
        let bytes = std::fs::read(path).map_err(ExtractError::io("read the document"))?;
        let page = super::html::read(&bytes)?;
        limits.check_text(page.text.len())?;
        let pages = parts(&page.text).into_iter().map(PlannedPage::Text).collect();
        return Ok(Plan { kind, pages, warnings: page.warnings });
    }
    let texts = read(path, kind, limits)?;
    let texts = if kind.has_pages() { texts } else { texts.iter().flat_map(|text| parts(text)).collect() };
    Ok(Plan { kind, pages: texts.into_iter().map(PlannedPage::Text).collect(), warnings: Vec::new() })
}

fn read(path: &Path, kind: FileKind, limits: &Limits) -> Result<Vec<String>, ExtractError> {
    let mut package = Package::open(path, kind, limits)?;
    let main = package.relations("")?.into_iter().find(|relation| relation.kind == "officeDocument");
    let main = main.ok_or_else(|| ExtractError::unreadable(kind, "it names no main part"))?.part;
    let mut reader = Reader { package, kind, limits, bytes: 0 };
    match kind {
        FileKind::Pptx => reader.slides(&main),
        _ => reader.document(&main).map(|text| vec![text]),
    }
}

struct Reader<'a> {
    package: Package,
    kind: FileKind,
    limits: &'a Limits,
    /// Of text so far, over all parts.
    bytes: usize,
}

impl Reader<'_> {
    fn document(&mut self, main: &str) -> Result<String, ExtractError> {
        let notes = self.package.relations(main)?;
        let notes = notes.into_iter().filter(|to| matches!(to.kind.as_str(), "footnotes" | "endnotes"));
        let mut text = self.part(main)?;
        for note in notes {
            text.push_str("\n\n");
            text.push_str(&self.part(&note.part)?);
        }
        Ok(tidy(&text))
    }

    fn slides(&mut self, main: &str) -> Result<Vec<String>, ExtractError> {
        let mut ids = Vec::new();
        self.package.walk(main, &mut |node| {
            if let Node::Open("sldId", attributes) = node {
                ids.extend(attributes.get_foreign("id").map(str::to_owned));
            }
            Ok(())
        })?;
        self.limits.check_pages(ids.len())?;
        let relations = self.package.relations(main)?;
        let mut slides = Vec::with_capacity(ids.len());
        for id in ids {
            let slide = relations.iter().find(|relation| relation.id == id);
            let slide = slide.ok_or_else(|| ExtractError::unreadable(self.kind, format!("no slide {id}")))?;
            let mut text = self.part(&slide.part)?;
            for notes in self.package.relations(&slide.part)? {
                if notes.kind == "notesSlide" {
                    text.push_str("\n\n");
                    text.push_str(&self.part(&notes.part)?);
                }
            }
            slides.push(tidy(&text));
        }
        Ok(slides)
    }

    fn part(&mut self, part: &str) -> Result<String, ExtractError> {
        let (before, limits) = (self.bytes, self.limits);
        let mut writer = Writer::default();
        self.package.walk(part, &mut |node| {
            writer.write(node);
            limits.check_text(before + writer.text.len())
        })?;
        self.bytes += writer.text.len();
        Ok(writer.text)
    }
}

/// Turns the elements of a part into text. WordprocessingML (`w:p`, `w:r`, `w:t`) and DrawingML (`a:p`, `a:r`,
/// `a:t`) use the same names for the same things.
#[derive(Default)]
struct Writer {
    text: String,
    /// The depth within an element whose content is not to be read.
    skipped: usize,
    /// The number of open `t` elements: only their content is text.
    texts: usize,
    /// The starts of the texts of the table cells that are open.
    cells: Vec<usize>,
}

impl Writer {
    fn write(&mut self, node: Node<'_>) {
        match node {
            Node::Open(name, attributes) if self.skipped > 0 || is_skipped(name, attributes) => {
                self.skipped += 1
            }
            Node::Close(_) if self.skipped > 0 => self.skipped -= 1,
            Node::Text(_) if self.skipped > 0 => {}
            Node::Open(name, _) => self.open(name),
            Node::Close(name) => self.close(name),
            Node::Text(text) if self.texts > 0 => self.text.push_str(text),
            Node::Text(_) => {}
        }
    }

    fn open(&mut self, name: &str) {
        match name {
            "t" => self.texts += 1,
            "tc" => self.cells.push(self.text.len()),
            "tab" => self.text.push('\t'),
            "br" | "cr" => self.text.push('\n'),
            "noBreakHyphen" => self.text.push('-'),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "t" => self.texts = self.texts.saturating_sub(1),
            "p" if !self.cells.is_empty() => self.text.push('\n'),
            "p" => self.text.push_str("\n\n"),
            // A row is one line with its cells side by side.
            "tc" => {
                let start = self.cells.pop().unwrap_or_default();
                let length = self.text[start..].trim_end_matches('\n').len();
                self.text.truncate(start + length);
                self.text.push('\t');
            }
            "tr" => self.text.push('\n'),
            "tbl" => self.text.push('\n'),
            _ => {}
        }
    }
}

/// Properties (which hold tab stops, not tabs), text that was deleted or moved elsewhere, the second form of
/// what is there in a first, and the number of the slide.
fn is_skipped(name: &str, attributes: &Attributes) -> bool {
    match name {
        "pPr" | "rPr" | "del" | "moveFrom" | "Fallback" => true,
        "fld" => attributes.get("type").is_some_and(|field| field.starts_with("slidenum")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::xml::{Budget, walk};
    use super::*;

    fn text(xml: &str) -> String {
        let mut writer = Writer::default();
        let mut budget = Budget { left: 1 << 20, is_exceeded: false };
        walk(xml.as_bytes(), &mut budget, &mut |node| {
            writer.write(node);
            Ok::<(), String>(())
        })
        .unwrap();
        tidy(&writer.text)
    }

    #[test]
    fn paragraphs_breaks_and_tabs_are_kept_and_tab_stops_are_not_tabs() {
        let xml = "<b><p><pPr><tabs><tab/></tabs></pPr><r><t>one</t><tab/><t> two</t><br/><t>three</t></r></p>\n\
                   <p><r><t>four</t><noBreakHyphen/><t>five</t></r></p></b>";
        assert_eq!(text(xml), "one\t two\nthree\n\nfour-five");
    }

    #[test]
    fn what_was_deleted_or_is_there_twice_is_left_out() {
        let xml = "<b><p><del><r><t>gone</t><tab/></r></del><r><t>kept</t></r></p><AlternateContent><Choice><p><r>\
                   <t>new</t></r></p></Choice><Fallback><p><r><t>old</t></r></p></Fallback></AlternateContent>\
                   <p><fld type=\"slidenum\"><t>7</t></fld></p><instrText>PAGE</instrText></b>";
        assert_eq!(text(xml), "kept\n\nnew");
    }

    #[test]
    fn a_row_of_a_table_is_a_line() {
        let cell = |text: &str| format!("<tc><p><r><t>{text}</t></r></p></tc>");
        let row = |a: &str, b: &str| format!("<tr>{}{}</tr>", cell(a), cell(b));
        let xml = format!("<b><tbl>{}{}</tbl><p><r><t>after</t></r></p></b>", row("a", "b"), row("", "d"));
        assert_eq!(text(&xml), "a\tb\n\td\n\nafter");
    }
}
