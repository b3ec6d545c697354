use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use super::embedded::unread_format;
use super::numbering::Numbering;
use super::package::{Package, Relation};
use super::tidy::{parts, tidy};
use super::writer::Writer;
use super::xml::Node;
use super::{ExtractError, FileKind, Limits, Plan, PlannedPage, Warning, WarningCode, html, plain, rtf};

/// Reads a Word document in parts, or a presentation slide by slide, in the order in which it is shown.
pub(super) fn inspect(path: &Path, kind: FileKind, limits: &Limits) -> Result<Plan, ExtractError> {
    let package = Package::open(path, kind, limits)?;
    let mut reader = Office::new(package, kind, limits);
    let main = reader.main()?;
    let pages = match kind {
        FileKind::Pptx => reader.slides(&main)?,
        _ => reader.document(&main)?,
    };
    reader.plan(pages)
}

/// An Office document that is being read.
pub(super) struct Office<'a> {
    pub(super) package: Package,
    kind: FileKind,
    limits: &'a Limits,
    /// Of text so far, over all parts.
    bytes: usize,
    /// The pictures that have been met: each is read once, however often it is shown.
    pictures: HashSet<String>,
    /// Pictures of formats that are not read, by their format.
    unread: BTreeMap<String, usize>,
    /// The files within the document, which are not read.
    pub(super) files: BTreeSet<String>,
    warnings: Vec<Warning>,
}

/// The text of a part, and the parts that it shows.
pub(super) struct Part {
    pub(super) text: String,
    pub(super) pictures: Vec<String>,
    inclusions: Vec<String>,
}

impl<'a> Office<'a> {
    pub(super) fn new(package: Package, kind: FileKind, limits: &'a Limits) -> Self {
        Self {
            package,
            kind,
            limits,
            bytes: 0,
            pictures: HashSet::new(),
            unread: BTreeMap::new(),
            files: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }

    /// The name of the main part: where the package says, else where all programs put it.
    pub(super) fn main(&mut self) -> Result<String, ExtractError> {
        let main = self.package.relations("")?.into_iter().find(|relation| relation.kind == "officeDocument");
        let usual = match self.kind {
            FileKind::Pptx => "ppt/presentation.xml",
            FileKind::Xlsx => "xl/workbook.xml",
            _ => "word/document.xml",
        };
        let mut names = main.map(|relation| relation.part).into_iter().chain([usual.to_owned()]);
        let main = names.find(|name| self.package.has(name));
        main.ok_or_else(|| ExtractError::unreadable(self.kind, "it has no main part"))
    }

    fn document(&mut self, main: &str) -> Result<Vec<PlannedPage>, ExtractError> {
        let relations = self.package.relations(main)?;
        let mut numbering = Numbering::default();
        for relation in of_kinds(&relations, &["numbering", "styles"]) {
            if self.package.has(&relation.part) {
                self.package.walk_beside(&relation.part, &mut |node| {
                    numbering.read(&node);
                    Ok(())
                })?;
            }
        }
        self.tell_files(&relations);
        let body = self.main_part(main, Writer::numbered(&mut numbering))?;
        let mut pictures = body.pictures;
        let mut text = body.text;
        for inclusion in body.inclusions {
            text.push_str("\n\n");
            text.push_str(&self.included(&relations, &inclusion)?);
        }
        let charts = of_kinds(&relations, &["chart", "chartEx", "diagramData"]).cloned().collect::<Vec<_>>();
        for chart in charts {
            text.push_str("\n\n");
            text.push_str(&self.drawn(&chart)?);
        }
        // Sections repeat their headers, so the same text counts once.
        let mut margins = HashSet::new();
        for kind in ["footnotes", "endnotes", "comments", "header", "footer"] {
            for relation in of_kinds(&relations, &[kind]).cloned().collect::<Vec<_>>() {
                if !self.package.has(&relation.part) {
                    continue;
                }
                let part = self.part(&relation.part, Writer::default())?;
                pictures.extend(part.pictures);
                let more = tidy(&part.text);
                if !more.is_empty() && margins.insert(more.clone()) {
                    text.push_str("\n\n");
                    text.push_str(&more);
                }
            }
        }
        let text = tidy(&text);
        let mut pages: Vec<PlannedPage> = parts(&text).into_iter().map(PlannedPage::Text).collect();
        let pictured = |name| PlannedPage::Pictured { text: String::new(), pictures: vec![name] };
        pages.extend(pictures.into_iter().map(pictured));
        Ok(pages)
    }

    fn slides(&mut self, main: &str) -> Result<Vec<PlannedPage>, ExtractError> {
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
        let mut hidden = Vec::new();
        for (number, id) in (1..).zip(ids) {
            self.package.page = Some(number);
            let Some(slide) = relations.iter().find(|relation| relation.id == id) else {
                self.package
                    .told::<()>(Err(ExtractError::unreadable(self.kind, format!("no slide {id}"))))?;
                slides.push(PlannedPage::Text(String::new()));
                continue;
            };
            if self.is_hidden_slide(&slide.part)? {
                hidden.push(number.to_string());
            }
            slides.push(self.slide(&slide.part)?);
        }
        self.package.page = None;
        if !hidden.is_empty() {
            let message = format!("hidden slides were read too: {}", hidden.join(", "));
            self.warnings.push(Warning::new(WarningCode::HiddenRead, message));
        }
        Ok(slides)
    }

    fn is_hidden_slide(&mut self, part: &str) -> Result<bool, ExtractError> {
        let mut is_hidden = false;
        self.package.walk_beside(part, &mut |node| {
            if let Node::Open("sld", attributes) = node {
                is_hidden = matches!(attributes.value("show"), Some("0" | "false"));
            }
            Ok(())
        })?;
        Ok(is_hidden)
    }

    /// A slide, then what is drawn on it from data, its notes, and what was remarked on it.
    fn slide(&mut self, part: &str) -> Result<PlannedPage, ExtractError> {
        let slide = self.part(part, Writer::default())?;
        let (mut text, mut pictures) = (slide.text, slide.pictures);
        let relations = self.package.relations(part)?;
        self.tell_files(&relations);
        for relation in
            of_kinds(&relations, &["diagramData", "chart", "chartEx"]).cloned().collect::<Vec<_>>()
        {
            text.push_str("\n\n");
            text.push_str(&self.drawn(&relation)?);
        }
        for relation in of_kinds(&relations, &["notesSlide", "comments"]).cloned().collect::<Vec<_>>() {
            if self.package.has(&relation.part) {
                let notes = self.part(&relation.part, Writer::with_text_in("text"))?;
                text.push_str("\n\n");
                text.push_str(&notes.text);
                pictures.extend(notes.pictures);
            }
        }
        let text = tidy(&text);
        Ok(if pictures.is_empty() {
            PlannedPage::Text(text)
        } else {
            PlannedPage::Pictured { text, pictures }
        })
    }

    /// The words of a chart or a diagram, which lie in a part of their own.
    pub(super) fn drawn(&mut self, relation: &Relation) -> Result<String, ExtractError> {
        if !self.package.has(&relation.part) {
            return Ok(String::new());
        }
        let writer = match relation.kind.as_str() {
            "diagramData" => Writer::default(),
            _ => Writer::with_text_in("v"),
        };
        Ok(self.part(&relation.part, writer)?.text)
    }

    /// A document that stands within this one.
    fn included(&mut self, relations: &[Relation], id: &str) -> Result<String, ExtractError> {
        let Some(relation) = relations.iter().find(|relation| relation.id == id) else {
            return Ok(String::new());
        };
        let bytes = self.package.bytes(&relation.part, MAX_INCLUSION);
        let bytes = self.package.told(bytes)?;
        let text = if bytes.starts_with(b"PK\x03\x04") {
            let message = format!("the document {} within this one was not read", relation.part);
            self.warnings.push(Warning::new(WarningCode::AttachmentsLeftOut, message));
            String::new()
        } else if bytes.trim_ascii_start().starts_with(b"{\\rtf") {
            rtf::read(&bytes).text
        } else if relation.part.ends_with(".txt") {
            plain::whole(&bytes, FileKind::Text)?.text
        } else {
            html::read(&bytes)?.text
        };
        self.count(text.len())?;
        Ok(text)
    }

    /// Says that files stand within this part: workbooks, documents, objects of other programs.
    pub(super) fn tell_files(&mut self, relations: &[Relation]) {
        let files = of_kinds(relations, &["package", "oleObject"]);
        self.files.extend(files.map(|relation| relation.part.clone()));
    }

    /// A part beside the main one, as far as it can be read.
    pub(super) fn part(&mut self, part: &str, mut writer: Writer<'_>) -> Result<Part, ExtractError> {
        let (before, limits) = (self.bytes, self.limits);
        self.package.walk_beside(part, &mut |node| {
            writer.write(node);
            limits.check_text(before + writer.text.len())
        })?;
        self.written(part, writer)
    }

    fn main_part(&mut self, part: &str, mut writer: Writer<'_>) -> Result<Part, ExtractError> {
        let (before, limits) = (self.bytes, self.limits);
        self.package.walk(part, &mut |node| {
            writer.write(node);
            limits.check_text(before + writer.text.len())
        })?;
        self.written(part, writer)
    }

    fn written(&mut self, part: &str, writer: Writer<'_>) -> Result<Part, ExtractError> {
        self.bytes += writer.text.len();
        let (text, inclusions) = (writer.text, writer.inclusions);
        let shown = writer.pictures;
        let pictures = if shown.is_empty() { Vec::new() } else { self.package.relations(part)? };
        let found = shown.iter().filter_map(|id| pictures.iter().find(|relation| relation.id == *id));
        let pictures = found.map(|relation| relation.part.clone()).collect();
        Ok(Part { text, pictures: self.new_pictures(pictures), inclusions })
    }

    /// Those of the pictures that OCR can read and that have not been met; the others are counted.
    pub(super) fn new_pictures(&mut self, names: Vec<String>) -> Vec<String> {
        let mut read = Vec::new();
        for name in names {
            if !self.pictures.insert(name.clone()) {
                continue;
            }
            if !self.package.has(&name) {
                let message = format!("the picture {name} is not in the document");
                self.warnings.push(Warning::new(WarningCode::PictureUnreadable, message));
                continue;
            }
            match unread_format(&name) {
                None => read.push(name),
                Some(format) => *self.unread.entry(format).or_default() += 1,
            }
        }
        read
    }

    pub(super) fn count(&mut self, bytes: usize) -> Result<(), ExtractError> {
        self.bytes += bytes;
        self.limits.check_text(self.bytes)
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// The plan of what was read; a document of which a fault has left nothing fails.
    pub(super) fn plan(self, pages: Vec<PlannedPage>) -> Result<Plan, ExtractError> {
        let is_empty = |page: &PlannedPage| matches!(page, PlannedPage::Text(text) if text.is_empty());
        if let Some(fault) = self.package.unread.first()
            && pages.iter().all(is_empty)
        {
            return Err(ExtractError::unreadable(self.kind, &fault.message));
        }
        let mut warnings = self.package.unread;
        warnings.extend(self.warnings);
        if !self.files.is_empty() {
            let names = self.files.iter().map(|name| name.rsplit('/').next().unwrap_or(name));
            let shown = names.take(10).collect::<Vec<_>>().join(", ");
            let message = format!("files within the document were not read ({}): {shown}", self.files.len());
            warnings.push(Warning::new(WarningCode::AttachmentsLeftOut, message));
        }
        for (format, count) in self.unread {
            let message = format!("pictures of a format that is not read ({format}) were left out: {count}");
            warnings.push(Warning::new(WarningCode::PictureUnreadable, message));
        }
        Ok(Plan { kind: self.kind, pages, warnings })
    }
}

/// The most bytes of a document within a document.
const MAX_INCLUSION: u64 = 16 << 20;

pub(super) fn of_kinds<'r>(
    relations: &'r [Relation],
    kinds: &'r [&str],
) -> impl Iterator<Item = &'r Relation> {
    relations.iter().filter(move |relation| kinds.contains(&relation.kind.as_str()))
}
