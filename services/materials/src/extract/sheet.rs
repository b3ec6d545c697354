use std::path::Path;

use super::format::{Format, digits, percent, time};
use super::formula::raise;
use super::office::{Office, of_kinds};
use super::package::Package;
use super::tidy::{parts, tidy};
use super::writer::Writer;
use super::xml::{Attributes, Node};
use super::{ExtractError, FileKind, Limits, Plan, PlannedPage, Warning, WarningCode};

/// Reads a workbook sheet by sheet: a line for each row, its cells side by side.
pub(super) fn inspect(path: &Path, limits: &Limits) -> Result<Plan, ExtractError> {
    let kind = FileKind::Xlsx;
    let mut office = Office::new(Package::open(path, kind, limits)?, kind, limits);
    let main = office.main()?;
    let mut sheets = Vec::new();
    let mut book = Book::default();
    office.package.walk(&main, &mut |node| {
        match node {
            Node::Open("sheet", attributes) => {
                let get = |name| attributes.value(name).unwrap_or_default().to_owned();
                let id = attributes.get_foreign("id").unwrap_or_default().to_owned();
                sheets.push((get("name"), id, get("state")));
            }
            Node::Open("workbookPr", attributes)
                if matches!(attributes.value("date1904"), Some("1" | "true" | "on")) =>
            {
                book.epoch = DAYS_TO_1904;
            }
            _ => {}
        }
        Ok(())
    })?;
    let relations = office.package.relations(&main)?;
    for relation in of_kinds(&relations, &["sharedStrings", "styles"]) {
        if office.package.has(&relation.part) {
            office.package.walk_beside(&relation.part, &mut |node| {
                book.read(node);
                limits.check_text(book.bytes)
            })?;
        }
    }
    let (mut pages, mut hidden) = (Vec::new(), Vec::new());
    for (name, id, state) in sheets {
        let Some(relation) = relations.iter().find(|relation| relation.id == id) else {
            office.package.told::<()>(Err(ExtractError::unreadable(kind, format!("no sheet {name}"))))?;
            continue;
        };
        if !state.is_empty() && state != "visible" {
            hidden.push(name.clone());
        }
        office.package.page = u32::try_from(pages.len() + 1).ok();
        let mut sheet = Sheet::new(&book, name);
        office.package.walk_beside(&relation.part, &mut |node| {
            sheet.read(node);
            limits.check_text(sheet.text.len())
        })?;
        let mut text = sheet.text;
        for margin in sheet.margins {
            text.push_str("\n\n");
            text.push_str(&margin);
        }
        office.count(text.len())?;
        let mut pictures = Vec::new();
        let around = office.package.relations(&relation.part)?;
        office.tell_files(&around);
        for part in
            of_kinds(&around, &["comments", "threadedComment", "drawing"]).cloned().collect::<Vec<_>>()
        {
            if !office.package.has(&part.part) {
                continue;
            }
            let read = office.part(&part.part, Writer::with_text_in("text"))?;
            text.push_str("\n\n");
            text.push_str(&read.text);
            pictures.extend(read.pictures);
            let drawn = office.package.relations(&part.part)?;
            for chart in of_kinds(&drawn, &["chart", "chartEx", "diagramData"]) {
                text.push('\n');
                text.push_str(&office.drawn(chart)?);
            }
        }
        pages.extend(parts(&tidy(&text)).into_iter().map(PlannedPage::Text));
        let pictured = |name| PlannedPage::Pictured { text: String::new(), pictures: vec![name] };
        pages.extend(pictures.into_iter().map(pictured));
    }
    if !hidden.is_empty() {
        let message = format!("hidden sheets were read too: {}", hidden.join(", "));
        office.warn(Warning::new(WarningCode::HiddenRead, message));
    }
    office.plan(pages)
}

/// The parts that all sheets share: texts, and the formats by which days differ from numbers.
#[derive(Default)]
struct Book {
    texts: Vec<String>,
    bytes: usize,
    is_text: bool,
    is_reading: bool,
    /// Where the run of a text begins, and whether it stands above the line.
    run: usize,
    is_raised: bool,
    /// Formats of its own by their numbers.
    custom: Vec<(u32, Format)>,
    in_cell_formats: bool,
    formats: Vec<Format>,
    /// Days from that on which other workbooks count from to that of this one.
    epoch: f64,
}

/// Excel for Macintosh once counted days from the first of 1904.
const DAYS_TO_1904: f64 = 1_462.0;

impl Book {
    fn read(&mut self, node: Node<'_>) {
        match node {
            Node::Open("si", _) => self.texts.push(String::new()),
            Node::Open("r", _) => {
                self.run = self.texts.last().map_or(0, String::len);
                self.is_raised = false;
            }
            Node::Open("vertAlign", attributes) => {
                self.is_raised = attributes.value("val") == Some("superscript");
            }
            Node::Close("r") if std::mem::take(&mut self.is_raised) => {
                if let Some(last) = self.texts.last_mut() {
                    raise(last, self.run);
                }
            }
            Node::Open("rPh", _) => self.is_reading = true,
            Node::Close("rPh") => self.is_reading = false,
            Node::Open("t", _) => self.is_text = !self.is_reading,
            Node::Close("t") => self.is_text = false,
            Node::Close("si") => {
                if let Some(last) = self.texts.last_mut() {
                    *last = unescaped(last);
                }
            }
            Node::Text(text) if self.is_text => {
                self.bytes += text.len();
                if let Some(last) = self.texts.last_mut() {
                    last.push_str(text);
                }
            }
            Node::Open("numFmt", attributes) => {
                let code = attributes.value("formatCode").unwrap_or_default();
                self.custom.push((number(attributes, "numFmtId"), Format::of_code(code)));
            }
            Node::Open("cellXfs", _) => self.in_cell_formats = true,
            Node::Close("cellXfs") => self.in_cell_formats = false,
            Node::Open("xf", attributes) if self.in_cell_formats => {
                let format = number(attributes, "numFmtId");
                let custom = self.custom.iter().find(|(id, _)| *id == format);
                let shown = custom.map_or_else(|| Format::of_number(format), |(_, shown)| shown.clone());
                self.formats.push(shown);
            }
            _ => {}
        }
    }
}

struct Sheet<'b> {
    book: &'b Book,
    text: String,
    kind: String,
    style: usize,
    value: Option<String>,
    is_value: bool,
    /// How the value is reckoned, which is all that there is where no program has reckoned it.
    formula: String,
    is_formula: bool,
    is_reading: bool,
    /// Headers and footers of the printed pages, and whether one is being read.
    margins: Vec<String>,
    is_margin: bool,
    /// The column of the next cell, from 0.
    column: usize,
}

/// More empty cells side by side than this are shown as so many.
const MAX_GAP: usize = 30;

impl<'b> Sheet<'b> {
    fn new(book: &'b Book, name: String) -> Self {
        let text = name + "\n\n";
        Self {
            book,
            text,
            kind: String::new(),
            style: 0,
            value: None,
            is_value: false,
            formula: String::new(),
            is_formula: false,
            is_reading: false,
            margins: Vec::new(),
            is_margin: false,
            column: 0,
        }
    }

    fn read(&mut self, node: Node<'_>) {
        match node {
            Node::Open("row", _) => self.column = 0,
            Node::Close("row") => self.text.push('\n'),
            Node::Open("c", attributes) => {
                self.kind = attributes.value("t").unwrap_or("n").to_owned();
                self.style = usize::try_from(number(attributes, "s")).unwrap_or(0);
                let column = attributes.value("r").map_or(self.column, column);
                let gap = column.saturating_sub(self.column).min(MAX_GAP) + usize::from(self.column > 0);
                self.text.push_str(&"\t".repeat(gap));
                self.column = column;
            }
            // The reading of an East Asian text that stands in the cell itself.
            Node::Open("rPh", _) => self.is_reading = true,
            Node::Close("rPh") => self.is_reading = false,
            Node::Open("v" | "t", _) if !self.is_reading => {
                self.is_value = true;
                self.value.get_or_insert_default();
            }
            Node::Close("v" | "t") => self.is_value = false,
            Node::Open("f", _) => self.is_formula = true,
            Node::Close("f") => self.is_formula = false,
            Node::Text(text) if self.is_formula => self.formula.push_str(text),
            Node::Open(name, _) if is_margin(name) => {
                self.is_margin = true;
                self.value = None;
            }
            Node::Close(name) if is_margin(name) => {
                self.is_margin = false;
                let margin = margin(&self.value.take().unwrap_or_default());
                if !margin.is_empty() && !self.margins.contains(&margin) {
                    self.margins.push(margin);
                }
            }
            Node::Text(text) if self.is_margin => self.value.get_or_insert_default().push_str(text),
            Node::Text(text) if self.is_value => self.value.get_or_insert_default().push_str(text),
            Node::Close("c") => {
                let (value, formula) = (self.value.take(), std::mem::take(&mut self.formula));
                let value = value.unwrap_or_default();
                // A text of no letters is a value.
                let is_reckoned = !value.is_empty() || self.kind == "str";
                let shown =
                    if formula.is_empty() || is_reckoned { self.shown(value) } else { format!("={formula}") };
                self.text.push_str(&shown.replace("\r\n", " ").replace(['\n', '\r'], " "));
                self.column += 1;
            }
            _ => {}
        }
    }

    fn shown(&self, value: String) -> String {
        match self.kind.as_str() {
            "s" => value
                .trim()
                .parse()
                .ok()
                .and_then(|at: usize| self.book.texts.get(at))
                .cloned()
                .unwrap_or_default(),
            "b" => if value.trim() == "1" { "TRUE" } else { "FALSE" }.to_owned(),
            "n" => match value.trim().parse::<f64>() {
                Ok(number) => match self.book.formats.get(self.style) {
                    Some(Format::Day) => day(number + self.book.epoch).unwrap_or(value),
                    Some(Format::Time(code)) => time(number, code).unwrap_or(value),
                    Some(Format::Percent(digits)) => percent(number, *digits),
                    Some(Format::Digits(patterns)) => {
                        digits(number, patterns).unwrap_or_else(|| number.to_string())
                    }
                    // Files hold all digits of a float; the shortest that mean the same are those that people typed.
                    Some(Format::Number) | None => number.to_string(),
                },
                Err(_) => value,
            },
            "str" | "inlineStr" => unescaped(&value),
            _ => value,
        }
    }
}

fn is_margin(name: &str) -> bool {
    matches!(name, "oddHeader" | "oddFooter" | "evenHeader" | "evenFooter" | "firstHeader" | "firstFooter")
}

/// The text of a header or a footer, in which `&` begins a code: `&C` for what is centred, `&"Arial,Bold"`, `&12`, `&P` for
/// the number of the page.
fn margin(source: &str) -> String {
    let mut text = String::new();
    let mut characters = source.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '&' {
            text.push(c);
            continue;
        }
        match characters.next() {
            Some('&') => text.push('&'),
            Some('"') => while characters.next().is_some_and(|c| c != '"') {},
            Some('K') => {
                let mut digits = 0;
                while digits < 6 && characters.next_if(char::is_ascii_hexdigit).is_some() {
                    digits += 1;
                }
            }
            Some('L' | 'C' | 'R') => text.push('\n'),
            Some(c) if c.is_ascii_digit() => while characters.next_if(char::is_ascii_digit).is_some() {},
            _ => {}
        }
    }
    tidy(text.trim())
}

/// Excel writes characters that XML has no place for, or would change, as `_x000D_`, and `_x005F_` for a `_` that would
/// begin such a code.
fn unescaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let (before, code) = rest.split_at(at);
        shown.push_str(before);
        let digits = code.get(2..6).filter(|_| code.get(6..7) == Some("_"));
        let unit = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match unit.and_then(|unit| u32::from_str_radix(unit, 16).ok()).and_then(char::from_u32) {
            Some(c) => {
                shown.push(c);
                rest = &code[7..];
            }
            None => {
                shown.push_str("_x");
                rest = &code[2..];
            }
        }
    }
    shown.push_str(rest);
    shown
}

/// The day of a serial number, of which 1 is the first of 1900; a part of a day is a time.
fn day(serial: f64) -> Option<String> {
    /// Days from 30 December 1899 to the first of 1970.
    const TO_1970: i64 = 25_569;
    if !(0.0..2_958_466.0).contains(&serial) {
        return None;
    }
    // In range, so the casts only drop fractions.
    let days = serial.trunc() as i64 - TO_1970;
    let seconds = ((serial.fract() * 86_400.0).round() as i64).min(86_399);
    let date = date(days);
    Some(if seconds == 0 { date } else { format!("{date} {:02}:{:02}", seconds / 3_600, seconds / 60 % 60) })
}

/// The date of a day counted from the first of 1970, in the proleptic calendar of Gregory: years of March to February in
/// cycles of four hundred, so that the day that is sometimes missing is the last.
fn date(days: i64) -> String {
    const CYCLE: i64 = 146_097;
    let from_march = days + 719_468;
    let (cycle, day) = (from_march.div_euclid(CYCLE), from_march.rem_euclid(CYCLE));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + 400 * cycle + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

fn number(attributes: &Attributes, name: &str) -> u32 {
    attributes.value(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The column of a cell's name, from 0: `C5` is 2.
fn column(name: &str) -> usize {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic).take(4);
    let count =
        letters.fold(0, |count, letter| count * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1);
    count.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::super::xml::{Budget, walk};
    use super::*;

    #[test]
    fn serial_numbers_are_days() {
        assert_eq!(day(45_000.0).as_deref(), Some("2023-03-15"));
        assert_eq!(day(45_000.5).as_deref(), Some("2023-03-15 12:00"));
        assert_eq!(day(1.0).as_deref(), Some("1899-12-31"));
        assert_eq!(day(45_351.0).as_deref(), Some("2024-02-29"));
        assert_eq!(day(-1.0), None);
    }

    #[test]
    fn escapes_of_a_cell_and_codes_of_a_margin_are_no_text() {
        assert_eq!(
            unescaped("one_x000D_\ntwo _x005F_x0041_ _x 5_x00_x0041_é"),
            "one\r\ntwo _x0041_ _x 5_x00Aé"
        );
        assert_eq!(unescaped("_xé000_ _x000"), "_xé000_ _x000");
        assert_eq!(
            margin("&L&\"Arial,Bold\"&12Plants && light&C&P of &N&R&KFF00002024"),
            "Plants & light\n of\n2024"
        );
    }

    fn read(book: &Book, xml: &str) -> Vec<String> {
        let mut sheet = Sheet::new(book, String::new());
        let mut budget = Budget { left: 1 << 20, is_exceeded: false };
        let mut visit = |node: Node<'_>| {
            sheet.read(node);
            Ok::<(), String>(())
        };
        walk(xml.as_bytes(), &mut budget, &mut visit).unwrap();
        let mut lines = vec![tidy(&sheet.text)];
        lines.extend(sheet.margins);
        lines
    }

    #[test]
    fn a_sheet_is_read_with_its_margins_and_without_readings() {
        let sheet = "<s><row><c t='inlineStr'><is><t>漢字</t><rPh><t>かんじ</t></rPh></is></c><c t='str'><v>a_x000D_\nb</v></c></row>\
                     <oddHeader>&amp;CPlants</oddHeader><evenHeader>Plants</evenHeader><oddFooter>&amp;P</oddFooter></s>";
        assert_eq!(read(&Book::default(), sheet), ["漢字\ta b", "Plants"]);
    }

    #[test]
    fn what_stands_above_the_line_is_no_part_of_the_number_before_it() {
        let texts = "<s><si><r><t>10</t></r><r><rPr><vertAlign val='superscript'/></rPr><t>6</t></r><r><t> m</t></r></si></s>";
        let mut book = Book::default();
        let mut budget = Budget { left: 1 << 20, is_exceeded: false };
        walk(texts.as_bytes(), &mut budget, &mut |node| {
            book.read(node);
            Ok::<(), String>(())
        })
        .unwrap();
        assert_eq!(book.texts, ["10^6 m"]);
    }

    #[test]
    fn what_nobody_has_reckoned_is_shown_as_it_is_to_be_reckoned() {
        let sheet = "<s><row><c r='A1'><f>SUM(B1:B9)</f><v></v></c><c r='B1'><f>1+1</f><v>2</v></c><c r='C1' t='str'><f>\"\"</f>\
                     <v></v></c><c r='D1'><f t='shared' si='0'>A1&amp;B1</f></c><c r='E1'><v>5</v></c></row></s>";
        assert_eq!(read(&Book::default(), sheet), ["=SUM(B1:B9)\t2\t\t=A1&B1\t5"]);
    }

    #[test]
    fn days_are_counted_from_the_day_that_the_workbook_names() {
        let sheet = "<s><row><c s='0'><v>43538</v></c></row></s>";
        let book = Book { formats: vec![Format::Day], ..Book::default() };
        assert_eq!(read(&book, sheet), ["2019-03-14"]);
        assert_eq!(read(&Book { epoch: DAYS_TO_1904, ..book }, sheet), ["2023-03-15"]);
    }

    #[test]
    fn codes_of_digits_keep_their_zeros_and_their_signs() {
        let mut book = Book::default();
        let styles = "<s><numFmts><numFmt numFmtId='164' formatCode='00000'/><numFmt numFmtId='165' formatCode='000\\-0000'/></numFmts>\
                      <cellXfs><xf numFmtId='0'/><xf numFmtId='164'/><xf numFmtId='165'/></cellXfs></s>";
        let mut budget = Budget { left: 1 << 20, is_exceeded: false };
        walk(styles.as_bytes(), &mut budget, &mut |node| {
            book.read(node);
            Ok::<(), String>(())
        })
        .unwrap();
        let sheet = "<s><row><c s='0'><v>1067</v></c><c s='1'><v>1067</v></c><c s='2'><v>5551234</v></c>\
                     <c s='1'><v>0.5</v></c></row></s>";
        assert_eq!(read(&book, sheet), ["1067\t01067\t555-1234\t0.5"]);
    }

    #[test]
    fn columns_are_counted_by_their_letters() {
        assert_eq!((column("A1"), column("C5"), column("AA10")), (0, 2, 26));
    }
}
