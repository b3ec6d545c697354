use std::collections::HashMap;
use std::sync::LazyLock;

use super::numbering::Numbering;
use super::xml::{Attributes, Node};

/// Turns the elements of a part into text. WordprocessingML (`w:p`, `w:r`, `w:t`) and DrawingML (`a:p`, `a:r`,
/// `a:t`) use the same names for the same things, and equations (`m:r`, `m:t`) too.
#[derive(Default)]
pub(super) struct Writer<'a> {
    pub(super) text: String,
    /// The references of the pictures that are shown, in their order.
    pub(super) pictures: Vec<String>,
    /// The references of documents that stand within this one.
    pub(super) inclusions: Vec<String>,
    numbering: Option<&'a mut Numbering>,
    /// The element, beside `t`, whose content is text.
    also_text: &'static str,
    /// The depth within an element whose content is not to be read.
    skipped: usize,
    /// The depth within properties: they hold tab stops, not tabs.
    properties: usize,
    /// The number of open elements whose content is text.
    texts: usize,
    /// The starts of the texts of the table cells, runs, and parts of fractions that are open.
    cells: Vec<usize>,
    runs: Vec<usize>,
    fractions: Vec<usize>,
    is_hidden: bool,
    /// Contents that are there in more than one form: whether one of them has been read, and the length of all before it.
    choices: Vec<Option<usize>>,
    /// The texts around the text boxes that are open, and those of the boxes of this paragraph.
    around: Vec<String>,
    boxes: Vec<String>,
    /// Readings of characters, which follow the paragraph: between the characters they would part a word.
    reading: Option<String>,
    readings: Vec<String>,
    equations: usize,
    style: Option<String>,
    number: (Option<String>, Option<usize>),
}

impl<'a> Writer<'a> {
    pub(super) fn numbered(numbering: &'a mut Numbering) -> Self {
        Self { numbering: Some(numbering), ..Self::default() }
    }

    /// A writer for parts whose text is the content of an element `name` too.
    pub(super) fn with_text_in(name: &'static str) -> Self {
        Self { also_text: name, ..Self::default() }
    }

    pub(super) fn write(&mut self, node: Node<'_>) {
        match node {
            Node::Open(name, attributes) if self.skipped > 0 || self.is_skipped(name, attributes) => {
                self.skipped += 1
            }
            Node::Close(_) if self.skipped > 0 => self.skipped -= 1,
            Node::Text(_) if self.skipped > 0 => {}
            Node::Open(name, attributes) => self.open(name, attributes),
            Node::Close(name) => self.close(name),
            Node::Text(text) if self.texts > 0 => self.push(text),
            Node::Text(_) => {}
        }
    }

    fn push(&mut self, text: &str) {
        match &mut self.reading {
            Some(reading) => reading.push_str(text),
            None => self.text.push_str(text),
        }
    }

    /// Text that was deleted or moved elsewhere, the second form of what is there in a first, and the number of a slide.
    fn is_skipped(&self, name: &str, attributes: &Attributes) -> bool {
        match name {
            "del" | "moveFrom" => true,
            "Choice" | "Fallback" => matches!(self.choices.last(), Some(None)),
            "fld" => attributes.get("type").is_some_and(|field| field.starts_with("slidenum")),
            _ => false,
        }
    }

    fn open(&mut self, name: &str, attributes: &Attributes) {
        let value = || attributes.value("val");
        match name {
            "pPr" | "rPr" | "tblPr" | "trPr" | "tcPr" | "sectPr" | "ctrlPr" => self.properties += 1,
            "vanish" if self.properties == 1 && !self.runs.is_empty() => {
                self.is_hidden |= !matches!(value(), Some("0" | "false" | "off"));
            }
            "pStyle" if self.properties > 0 => self.style = value().map(str::to_owned),
            "numId" if self.properties > 0 => self.number.0 = value().map(str::to_owned),
            "ilvl" if self.properties > 0 => self.number.1 = value().and_then(|level| level.parse().ok()),
            _ if self.properties > 0 => {}
            "t" => self.texts += 1,
            name if name == self.also_text => self.texts += 1,
            "r" => self.runs.push(self.text.len()),
            "tc" => self.cells.push(self.text.len()),
            "tab" | "ptab" => self.push("\t"),
            "br" | "cr" => self.push("\n"),
            "noBreakHyphen" => self.push("-"),
            "softHyphen" => self.push("\u{AD}"),
            "sym" => self.push(&symbol(attributes)),
            "AlternateContent" => self.choices.push(Some(self.text.len())),
            "txbxContent" => self.around.push(std::mem::take(&mut self.text)),
            "rt" => self.reading = Some(String::new()),
            "blip" => self.pictures.extend(attributes.get_foreign("embed").map(str::to_owned)),
            "imagedata" => self.pictures.extend(attributes.get_foreign("id").map(str::to_owned)),
            "altChunk" => self.inclusions.extend(attributes.get_foreign("id").map(str::to_owned)),
            // Letters as a drawing: a watermark, a title.
            "textpath" => self.boxes.extend(attributes.value("string").map(str::to_owned)),
            "oMath" => self.equations += 1,
            name if self.equations > 0 => self.open_equation(name, value()),
            _ => {}
        }
    }

    fn open_equation(&mut self, name: &str, value: Option<&str>) {
        match name {
            "num" | "den" | "sup" | "sub" => self.fractions.push(self.text.len()),
            "rad" => self.push("√("),
            "d" => self.push("("),
            "chr" => self.push(value.unwrap_or("∫")),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "pPr" if self.properties == 1 => {
                self.properties = 0;
                self.write_number();
            }
            "pPr" | "rPr" | "tblPr" | "trPr" | "tcPr" | "sectPr" | "ctrlPr" => {
                self.properties = self.properties.saturating_sub(1);
            }
            _ if self.properties > 0 => {}
            "t" => self.texts = self.texts.saturating_sub(1),
            name if name == self.also_text => {
                self.texts = self.texts.saturating_sub(1);
                self.text.push('\n');
            }
            "r" => {
                let start = self.runs.pop().unwrap_or_default();
                if std::mem::take(&mut self.is_hidden) {
                    self.text.truncate(start);
                }
            }
            "p" => self.end_paragraph(),
            // A row is one line with its cells side by side.
            "tc" => {
                let start = self.cells.pop().unwrap_or_default().min(self.text.len());
                let length = self.text[start..].trim_end_matches('\n').len();
                self.text.truncate(start + length);
                self.text.push('\t');
            }
            "tr" | "tbl" => self.text.push('\n'),
            "Choice" => {
                // A form that says nothing leaves the word to the next.
                let has_said = |before: usize| self.text.len() > before || !self.boxes.is_empty();
                if self.choices.last().is_some_and(|choice| choice.is_some_and(has_said)) {
                    self.choices.pop();
                    self.choices.push(None);
                }
            }
            "AlternateContent" => drop(self.choices.pop()),
            "txbxContent" => {
                let around = self.around.pop().unwrap_or_default();
                self.boxes.push(std::mem::replace(&mut self.text, around));
            }
            "rt" => self.readings.extend(self.reading.take()),
            "oMath" => self.equations = self.equations.saturating_sub(1),
            name if self.equations > 0 => self.close_equation(name),
            _ => {}
        }
    }

    fn close_equation(&mut self, name: &str) {
        match name {
            "num" | "den" | "sup" | "sub" => {
                let start = self.fractions.pop().unwrap_or_default().min(self.text.len());
                let part = self.text.split_off(start);
                let part = if part.chars().count() > 1 { format!("({part})") } else { part };
                let (before, after) = match name {
                    "num" => ("", "/"),
                    "sup" if !part.is_empty() => ("^", ""),
                    "sub" if !part.is_empty() => ("_", ""),
                    _ => ("", ""),
                };
                self.text.push_str(&format!("{before}{part}{after}"));
            }
            "rad" | "d" => self.push(")"),
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        for reading in std::mem::take(&mut self.readings) {
            self.text.push_str(&format!(" ({reading})"));
        }
        self.text.push_str(if self.cells.is_empty() { "\n\n" } else { "\n" });
        for text in std::mem::take(&mut self.boxes) {
            self.text.push_str(text.trim_end());
            self.text.push_str(if self.cells.is_empty() { "\n\n" } else { "\n" });
        }
        (self.style, self.number) = (None, (None, None));
    }

    fn write_number(&mut self) {
        if let Some(numbering) = &mut self.numbering
            && let Some(number) =
                numbering.next(self.style.as_deref(), self.number.0.as_deref(), self.number.1)
        {
            self.text.push_str(&number);
            self.text.push(' ');
        }
    }
}

/// A character of a font whose letters are signs, as the letter that it shows.
fn symbol(attributes: &Attributes) -> String {
    static SIGNS: LazyLock<HashMap<(&str, u32), &str>> = LazyLock::new(|| {
        let rows = include_str!("symbols.txt").lines();
        rows.filter_map(|row| {
            let mut cells = row.split(' ');
            let (font, code, sign) = (cells.next()?, cells.next()?, cells.next()?);
            Some(((font, u32::from_str_radix(code, 16).ok()?), sign))
        })
        .collect()
    });
    let code =
        attributes.value("char").and_then(|code| u32::from_str_radix(code, 16).ok()).unwrap_or_default();
    let font = attributes.value("font").unwrap_or_default().to_lowercase();
    // Word writes them in the private area from F000 on.
    let low = if (0xF000..=0xF0FF).contains(&code) { code - 0xF000 } else { code };
    match SIGNS.get(&(font.as_str(), low)) {
        Some(sign) => (*sign).to_owned(),
        None if code == low => char::from_u32(code).map(String::from).unwrap_or_default(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tidy::tidy;
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
        let empty = "<b><AlternateContent><Choice/><Fallback><p><r><t>old</t></r></p></Fallback></AlternateContent></b>";
        assert_eq!(text(empty), "old");
    }

    #[test]
    fn a_row_of_a_table_is_a_line() {
        let cell = |text: &str| format!("<tc><p><r><t>{text}</t></r></p></tc>");
        let row = |a: &str, b: &str| format!("<tr>{}{}</tr>", cell(a), cell(b));
        let xml = format!("<b><tbl>{}{}</tbl><p><r><t>after</t></r></p></b>", row("a", "b"), row("", "d"));
        assert_eq!(text(&xml), "a\tb\n\td\n\nafter");
    }

    #[test]
    fn hidden_runs_are_left_out_and_shown_ones_are_not() {
        let run = |property: &str, text: &str| format!("<r><rPr>{property}</rPr><t>{text}</t></r>");
        let xml = format!(
            "<b xmlns:w='w'><p><pPr><rPr><vanish/></rPr></pPr>{}{}{}</p></b>",
            run("<vanish/>", "gone"),
            run("<vanish w:val='false'/>", "kept"),
            run("<b/>", " too")
        );
        assert_eq!(text(&xml), "kept too");
    }

    #[test]
    fn a_text_box_follows_its_paragraph_and_parts_no_word() {
        let xml = "<b><p><r><t>Pro</t></r><r><txbxContent><p><r><t>boxed</t></r></p></txbxContent></r><r><t>ject</t></r></p>\
                   <p><r><t>next</t></r></p></b>";
        assert_eq!(text(xml), "Project\n\nboxed\n\nnext");
    }

    #[test]
    fn readings_signs_and_equations_are_text() {
        let ruby = "<p><r><ruby><rt><r><t>かん</t></r></rt><rubyBase><r><t>漢</t></r></rubyBase></ruby></r><r><t>字</t></r></p>";
        assert_eq!(text(&format!("<b>{ruby}</b>")), "漢字 (かん)");
        let signs = "<p xmlns:w='w'><r><sym w:font='Symbol' w:char='F061'/><t>-particle </t><sym w:font='Wingdings' w:char='F0FC'/></r></p>";
        assert_eq!(text(signs), "α-particle ✓");
        let fraction = "<p><oMath><r><t>E=m</t></r><sSup><e><r><t>c</t></r></e><sup><r><t>2</t></r></sup></sSup><r><t>+</t></r>\
                        <f><num><r><t>a+b</t></r></num><den><r><t>2</t></r></den></f><rad><e><r><t>x</t></r></e></rad></oMath></p>";
        assert_eq!(text(fraction), "E=mc^2+(a+b)/2√(x)");
    }
}
