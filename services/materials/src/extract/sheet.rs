use std::path::Path;

use super::format::{Format, percent, time};
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
    office.package.walk(&main, &mut |node| {
        if let Node::Open("sheet", attributes) = node {
            let get = |name| attributes.value(name).unwrap_or_default().to_owned();
            let id = attributes.get_foreign("id").unwrap_or_default().to_owned();
            sheets.push((get("name"), id, get("state")));
        }
        Ok(())
    })?;
    let relations = office.package.relations(&main)?;
    let mut book = Book::default();
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
        let Some(relation) = relations.iter().find(|relation| relation.id == id) else { continue };
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
        office.count(text.len())?;
        let mut pictures = Vec::new();
        let around = office.package.relations(&relation.part)?;
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
            for chart in of_kinds(&office.package.relations(&part.part)?, &["chart", "chartEx"]) {
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
    /// Formats of its own by their numbers.
    custom: Vec<(u32, Format)>,
    in_cell_formats: bool,
    formats: Vec<Format>,
}

impl Book {
    fn read(&mut self, node: Node<'_>) {
        match node {
            Node::Open("si", _) => self.texts.push(String::new()),
            Node::Open("rPh", _) => self.is_reading = true,
            Node::Close("rPh") => self.is_reading = false,
            Node::Open("t", _) => self.is_text = !self.is_reading,
            Node::Close("t") => self.is_text = false,
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
    /// The column of the next cell, from 0.
    column: usize,
}

/// More empty cells side by side than this are shown as so many.
const MAX_GAP: usize = 30;

impl<'b> Sheet<'b> {
    fn new(book: &'b Book, name: String) -> Self {
        let text = name + "\n\n";
        Self { book, text, kind: String::new(), style: 0, value: None, is_value: false, column: 0 }
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
            Node::Open("v" | "t", _) => {
                self.is_value = true;
                self.value.get_or_insert_default();
            }
            Node::Close("v" | "t") => self.is_value = false,
            Node::Text(text) if self.is_value => self.value.get_or_insert_default().push_str(text),
            Node::Close("c") => {
                let value = self.value.take().unwrap_or_default();
                let shown = self.shown(value);
                self.text.push_str(&shown.replace('\n', " "));
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
                    Some(Format::Day) => day(number).unwrap_or(value),
                    Some(Format::Time(code)) => time(number, code).unwrap_or(value),
                    Some(Format::Percent(digits)) => percent(number, *digits),
                    // Files hold all digits of a float; the shortest that mean the same are those that people typed.
                    Some(Format::Number) | None => number.to_string(),
                },
                Err(_) => value,
            },
            _ => value,
        }
    }
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
    fn columns_are_counted_by_their_letters() {
        assert_eq!((column("A1"), column("C5"), column("AA10")), (0, 2, 26));
    }
}
