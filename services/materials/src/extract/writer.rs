use std::collections::HashMap;
use std::sync::LazyLock;

use super::formula::raise;
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
    /// Whether the run is hidden, where it says so itself.
    is_hidden: Option<bool>,
    /// Contents that are there in more than one form: whether one of them has been read, and the length of the text and the
    /// number of drawings before it.
    choices: Vec<Option<(usize, usize)>>,
    /// The texts around the text boxes that are open, and those of the boxes of this paragraph.
    around: Vec<String>,
    boxes: Vec<String>,
    /// Readings of characters, which follow the paragraph: between the characters they would part a word.
    reading: Option<String>,
    readings: Vec<String>,
    equations: usize,
    /// True behind an operand of an equation, and before the next one of the same row, list or column.
    is_between_operands: bool,
    /// The number of charts and the like that stand in parts of their own.
    drawings: usize,
    accent: Option<String>,
    font: Option<String>,
    /// True for a run above the line.
    is_raised: bool,
    /// The end of the last run above the line: the next one goes on where it ends.
    raised_end: Option<usize>,
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
        self.is_between_operands = false;
        let shown = signs(text, self.font.as_deref());
        let text = shown.as_deref().unwrap_or(text);
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
            "pPr" | "rPr" | "tblPr" | "trPr" | "tcPr" | "sectPr" | "ctrlPr" => {
                self.properties += 1;
                // Drawings say by how much of a line.
                let above = attributes.get("baseline").and_then(|above| above.parse::<i64>().ok());
                if name == "rPr" && !self.runs.is_empty() && above.is_some_and(|above| above > 0) {
                    self.is_raised = true;
                }
            }
            "vertAlign" if self.properties == 1 && !self.runs.is_empty() => {
                self.is_raised = value() == Some("superscript");
            }
            "vanish" if self.properties == 1 && !self.runs.is_empty() => {
                self.is_hidden = Some(!matches!(value(), Some("0" | "false" | "off")));
            }
            "rStyle"
                if self.properties == 1
                    && !self.runs.is_empty()
                    && value().is_some_and(|style| self.hides(style)) =>
            {
                self.is_hidden = Some(true);
            }
            "rFonts" if self.properties == 1 && !self.runs.is_empty() => {
                self.font = attributes.value("ascii").map(str::to_lowercase);
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
            "AlternateContent" => self.choices.push(Some((self.text.len(), self.drawings))),
            // In its place, older programs have a notice that they cannot show it.
            "chart" | "relIds" | "slicer" | "timeslicer" | "model3d" => self.drawings += 1,
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
            "num" | "den" | "sup" | "sub" | "lim" => self.fractions.push(self.text.len()),
            "e" if self.is_between_operands => self.push(" "),
            "rad" => self.push("√("),
            "d" => self.push("("),
            // An accent stands behind the letter that it is on.
            "chr" if value.is_some_and(|sign| sign.chars().all(is_accent)) => {
                self.accent = value.map(str::to_owned);
            }
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
                self.font = None;
                let is_hidden = self.is_hidden.take();
                let of_style = || self.style.as_deref().is_some_and(|style| self.hides(style));
                let is_hidden = is_hidden.unwrap_or_else(of_style);
                if is_hidden {
                    self.text.truncate(start);
                }
                if std::mem::take(&mut self.is_raised) && !is_hidden {
                    if self.raised_end != Some(start) {
                        raise(&mut self.text, start);
                    }
                    self.raised_end = Some(self.text.len());
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
                let has_said = |(length, drawings): (usize, usize)| {
                    self.text.len() > length || self.drawings > drawings || !self.boxes.is_empty()
                };
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
            "num" | "den" | "sup" | "sub" | "lim" => {
                let start = self.fractions.pop().unwrap_or_default().min(self.text.len());
                let part = self.text.split_off(start);
                let part = if part.chars().count() > 1 { format!("({part})") } else { part };
                let (before, after) = match name {
                    "num" => ("", "/"),
                    "sup" if !part.is_empty() => ("^", ""),
                    "sub" | "lim" if !part.is_empty() => ("_", ""),
                    _ => ("", ""),
                };
                self.text.push_str(&format!("{before}{part}{after}"));
            }
            "rad" | "d" => self.push(")"),
            "acc" => {
                if let Some(accent) = self.accent.take() {
                    self.push(&accent);
                }
            }
            // A root of two has an empty degree.
            "deg" if self.text.ends_with('(') => {}
            "e" | "deg" | "fName" => self.is_between_operands = true,
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

    fn hides(&self, style: &str) -> bool {
        self.numbering.as_ref().is_some_and(|numbering| numbering.hides(style))
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
    let code =
        attributes.value("char").and_then(|code| u32::from_str_radix(code, 16).ok()).unwrap_or_default();
    let font = attributes.value("font").unwrap_or_default().to_lowercase();
    let low = low(code);
    match sign(&font, low) {
        Some(sign) => sign.to_owned(),
        None if code == low => char::from_u32(code).map(String::from).unwrap_or_default(),
        None => String::new(),
    }
}

fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{20D0}'..='\u{20FF}')
}

/// A text in which letters of such a font stand as private characters; `None` where none does.
fn signs(text: &str, font: Option<&str>) -> Option<String> {
    let is_private = |c: char| matches!(c, '\u{F020}'..='\u{F0FF}');
    if !text.contains(is_private) {
        return None;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match sign(font.unwrap_or_default(), low(c.into())).filter(|_| is_private(c)) {
            Some(sign) => shown.push_str(sign),
            None => shown.push(c),
        }
    }
    Some(shown)
}

/// Word writes the letters of such fonts in the private area from F000 on.
fn low(code: u32) -> u32 {
    if (0xF000..=0xF0FF).contains(&code) { code - 0xF000 } else { code }
}

fn sign(font: &str, code: u32) -> Option<&'static str> {
    static SIGNS: LazyLock<HashMap<(&str, u32), &str>> = LazyLock::new(|| {
        let rows = include_str!("symbols.txt").lines();
        rows.filter_map(|row| {
            let mut cells = row.split(' ');
            let (font, code, sign) = (cells.next()?, cells.next()?, cells.next()?);
            Some(((font, u32::from_str_radix(code, 16).ok()?), sign))
        })
        .collect()
    });
    SIGNS.get(&(font, code)).copied()
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
    fn what_stands_above_the_line_is_no_part_of_the_number_before_it() {
        let above = |text: &str| format!("<r><rPr><vertAlign val=\"superscript\"/></rPr><t>{text}</t></r>");
        let plain = |text: &str| format!("<r><rPr><vertAlign val=\"subscript\"/></rPr><t>{text}</t></r>");
        let drawn = "<r><rPr baseline=\"30000\"/><t>2</t></r><r><rPr baseline=\"-25000\"/><t>3</t></r>";
        let xml = format!(
            "<b><p><r><t>10</t></r>{}{}<r><t> and m</t></r>{drawn}</p><p><r><t>H</t></r>{}<r><t>O, 1</t></r>{}</p></b>",
            above("1"),
            above("2"),
            plain("2"),
            above("st"),
        );
        assert_eq!(text(&xml), "10^12 and m^23\n\nH2O, 1st");
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
    fn runs_and_paragraphs_of_hidden_styles_are_left_out() {
        let mut budget = Budget { left: 1 << 20, is_exceeded: false };
        let mut numbering = Numbering::default();
        let styles = "<n xmlns:w='w'><style w:styleId='H'><rPr><vanish/></rPr></style></n>";
        walk(styles.as_bytes(), &mut budget, &mut |node| {
            numbering.read(&node);
            Ok::<(), String>(())
        })
        .unwrap();
        let mut writer = Writer::numbered(&mut numbering);
        let xml = "<b xmlns:w='w'><p><r><rPr><rStyle w:val='H'/></rPr><t>gone</t></r><r><t>kept</t></r></p>\
                   <p><pPr><pStyle w:val='H'/></pPr><r><t>gone</t></r><r><rPr><vanish w:val='0'/></rPr><t>shown</t></r></p>\
                   <p><r><t>last</t></r></p></b>";
        walk(xml.as_bytes(), &mut budget, &mut |node| {
            writer.write(node);
            Ok::<(), String>(())
        })
        .unwrap();
        assert_eq!(tidy(&writer.text), "kept\n\nshown\n\nlast");
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

    #[test]
    fn a_chart_that_older_programs_cannot_show_is_not_their_notice() {
        let choice = |inner: &str| {
            format!(
                "<b><AlternateContent><Choice>{inner}</Choice><Fallback><p><r><t>This chart is not available.</t></r></p>\
                 </Fallback></AlternateContent></b>"
            )
        };
        assert_eq!(text(&choice("<graphicData><chart/></graphicData>")), "");
        assert_eq!(text(&choice("<graphicData/>")), "This chart is not available.");
    }

    #[test]
    fn letters_of_fonts_of_signs_and_cells_of_a_matrix_are_told_apart() {
        let run = |font: &str| {
            format!(
                "<p xmlns:w='w'><r><rPr><rFonts w:ascii='{font}'/></rPr><t>\u{F061}</t></r><r><t>-ray \u{F061}</t></r></p>"
            )
        };
        assert_eq!(text(&run("Symbol")), "α-ray \u{F061}");
        assert_eq!(text(&run("Arial")), "\u{F061}-ray \u{F061}");
        let e = |text: &str| format!("<e><r><t>{text}</t></r></e>");
        let row = |a: &str, b: &str| format!("<mr>{}{}</mr>", e(a), e(b));
        let matrix = format!(
            "<p><oMath><m>{}{}</m><d>{}{}</d></oMath></p>",
            row("1", "2"),
            row("3", "4"),
            e("a"),
            e("b")
        );
        assert_eq!(text(&matrix), "1 2 3 4(a b)");
        let sine = format!("<func><fName><r><t>sin</t></r></fName>{}</func>", e("x"));
        assert_eq!(text(&format!("<p><oMath><rad><deg/>{}</rad></oMath></p>", e("x"))), "√(x)");
        let root = format!("<rad><deg><r><t>3</t></r></deg>{}</rad>", e("8"));
        let accent = format!("<acc><accPr><chr val='\u{302}'/></accPr>{}</acc>", e("y"));
        let limit = format!("<limLow>{}<lim><r><t>n</t></r></lim></limLow>", e("lim"));
        let all = format!("<p><oMath>{sine}<r><t>+</t></r>{root}{accent}{limit}</oMath></p>");
        assert_eq!(text(&all), "sin x+√(3 8)ŷlim_n");
    }
}
