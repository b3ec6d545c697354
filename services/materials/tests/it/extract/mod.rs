//! Real documents through the real programs.

mod kinds;
mod mail;
mod office;
mod pdf;
mod pictures;
mod planted;
mod texts;
mod warnings;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use materials::extract::{
    ExtractError, Extracted, FileKind, Limits, Page, PlannedPage, WarningCode, extract, inspect,
    missing_tools, page, page_png, sniff_file,
};
use zip::write::{SimpleFileOptions, ZipWriter};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn known(name: &str) -> String {
    std::fs::read_to_string(sample(name)).unwrap()
}

/// A small document after a report from the field, with words planted in it.
fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(name)
}

/// Reads a document of any kind, as an upload would be.
async fn read_document(name: &str) -> Extracted {
    let path = document(name);
    let kind = sniff_file(&path, name).unwrap().unwrap_or_else(|| panic!("{name} is not taken"));
    let read = extract(&path, kind, &Limits::default(), &mut |_| {}).await;
    read.unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

async fn text_of(name: &str) -> String {
    read_document(name).await.pages.join("\n\n")
}

fn codes(read: &Extracted) -> Vec<WarningCode> {
    read.warnings.iter().map(|warning| warning.code).collect()
}

async fn read(path: &Path, kind: FileKind) -> Result<String, ExtractError> {
    Ok(extract(path, kind, &Limits::default(), &mut |_| {}).await?.pages.join("\n\n").trim().to_owned())
}

async fn refused(path: &Path, kind: FileKind) -> String {
    let error = read(path, kind).await.unwrap_err();
    assert!(error.is_final(), "{error}");
    error.to_string()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// The share of the words of `known` that `found` has.
fn recall(known: &str, found: &str) -> f64 {
    let found: HashSet<String> = words(found).into_iter().collect();
    let known = words(known);
    known.iter().filter(|word| found.contains(*word)).count() as f64 / known.len() as f64
}

fn zip(path: &Path, parts: &[(&str, &str)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn add_to_zip(path: &Path, name: &str, bytes: &[u8]) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut zip = ZipWriter::new_append(file).unwrap();
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap();
}

const TYPES: (&str, &str) = ("[Content_Types].xml", "<Types/>");
const WORD: (&str, &str) = (
    "_rels/.rels",
    r#"<Relationships><Relationship Id="r" Type="x/officeDocument" Target="word/document.xml"/></Relationships>"#,
);

fn docx(path: &Path, document: &str) {
    zip(path, &[TYPES, WORD, ("word/document.xml", document)]);
}

/// A PDF of the objects from number 1, of which the first is the catalog.
fn pdf(objects: &[String]) -> String {
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = String::new();
    for (number, object) in (1..).zip(objects) {
        writeln!(offsets, "{:010} 00000 n ", file.len()).unwrap();
        write!(file, "{number} 0 obj\n{object}\nendobj\n").unwrap();
    }
    let (start, count) = (file.len(), objects.len() + 1);
    write!(
        file,
        "xref\n0 {count}\n0000000000 65535 f \n{offsets}trailer\n<< /Size {count} /Root 1 0 R >>\n\
         startxref\n{start}\n%%EOF\n"
    )
    .unwrap();
    file
}

fn pages(count: usize, page: &str) -> String {
    let kids: String = (0..count).map(|n| format!("{} 0 R ", n + 3)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {count} >>"),
    ];
    objects.extend(vec![format!("<< /Type /Page /Parent 2 0 R {page} >>"); count]);
    pdf(&objects)
}

#[test]
fn every_program_is_here() {
    assert_eq!(missing_tools(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_scan_is_read_page_by_page() {
    let mut seen = Vec::new();
    let mut progress = |page: Page| seen.push((page.number, page.total));
    let limits = Limits::default();
    let text = extract(&sample("scanned.pdf"), FileKind::Pdf, &limits, &mut progress).await.unwrap();
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
    let joined = text.pages.join("\n");
    assert!(recall(&known("scanned.txt"), &joined) > 0.97, "{joined}");
    for (page, mark) in text.pages.iter().zip(["chloroplasts", "photosystem", "rubisco"]) {
        assert!(page.contains(mark), "{page}");
    }
}

#[tokio::test]
async fn a_scan_can_be_taken_up_at_any_page() {
    let (path, limits) = (sample("scanned.pdf"), Limits::default());
    let plan = inspect(&path, FileKind::Pdf, &limits).await.unwrap();
    assert_eq!((plan.total(), plan.pictures()), (3, vec![1, 2, 3]));
    let text = page(&path, &plan, 3, &limits).await.unwrap().text;
    assert!(text.contains("The Calvin cycle") && !text.contains("spinach"), "{text}");
    let beyond = page(&path, &plan, 4, &limits).await.unwrap_err();
    assert_eq!(beyond.to_string(), "failed to read page 4: the document has 3");
    let png = page_png(&path, &plan, 3, &limits).await.unwrap().picture.unwrap();
    assert!(png.starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn pictures_of_every_format_are_read_whichever_way_up() {
    for (name, kind, known_text) in [
        ("scanned-page.png", FileKind::Png, known("scanned.txt").split("---").next().unwrap().to_owned()),
        (
            "title.gif",
            FileKind::Gif,
            "Photosynthesis Lecture 4: how a leaf turns light into sugar".to_owned(),
        ),
        (
            "title.webp",
            FileKind::Webp,
            "Photosynthesis Lecture 4: how a leaf turns light into sugar".to_owned(),
        ),
        ("title-sideways.jpg", FileKind::Jpeg, "Plants, algae and some bacteria catch sunlight".to_owned()),
    ] {
        assert_eq!(sniff_file(&sample(name), name).unwrap(), Some(kind));
        let text = read(&sample(name), kind).await.unwrap();
        assert!(recall(&known_text, &text) > 0.97, "{name}: {text}");
    }
}

#[tokio::test]
async fn a_pdf_with_a_text_layer_needs_no_ocr() {
    let path = sample("lecture.pdf");
    let plan = inspect(&path, FileKind::Pdf, &Limits::default()).await.unwrap();
    assert!(plan.pictures().is_empty());
    let text = read(&path, FileKind::Pdf).await.unwrap();
    let without_marks = known("scanned.txt").replace("--- Page 2 ---", "").replace("--- Page 3 ---", "");
    assert_eq!(words(&text), words(&without_marks));
}

#[tokio::test]
async fn a_page_with_little_text_and_nothing_else_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.pdf");
    let font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned();
    let shown = "BT /F1 24 Tf 60 700 Td (Chapter 7: Roots) Tj ET";
    let page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R 6 0 R] /Count 2 >>".to_owned(),
        page.to_owned(),
        format!("<< /Length {} >>\nstream\n{shown}\nendstream", shown.len()),
        font,
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>".to_owned(),
    ];
    std::fs::write(&path, pdf(&objects)).unwrap();
    let plan = inspect(&path, FileKind::Pdf, &Limits::default()).await.unwrap();
    assert_eq!(plan.pages[0], PlannedPage::Picture { layer: "Chapter 7: Roots".to_owned() });
    let text = read(&path, FileKind::Pdf).await.unwrap();
    assert_eq!(text, "Chapter 7: Roots");
}

#[tokio::test]
async fn blank_documents_are_empty_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blank.pdf");
    std::fs::write(&path, pages(2, "/MediaBox [0 0 595 842]")).unwrap();
    assert_eq!(read(&path, FileKind::Pdf).await.unwrap(), "");
    let path = folder.path().join("blank.docx");
    docx(&path, "<document><body><p/></body></document>");
    assert_eq!(read(&path, FileKind::Docx).await.unwrap(), "");
}

#[tokio::test]
async fn pdfs_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut updated = std::fs::read(sample("lecture.pdf")).unwrap();
    updated.extend(b"9 0 obj\n<< /Length 5000 >>\nstream\nBT (A page that was added");
    // Of an update that was cut short poppler shows the document as it was before.
    let cut = file("cut.pdf", &updated);
    let circle = pdf(&[
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [2 0 R] /Count 1 >>".to_owned(),
    ]);
    let circle = file("circle.pdf", circle.as_bytes());
    assert_eq!(refused(&sample("encrypted.pdf"), FileKind::Pdf).await, "PDF is encrypted");
    assert_eq!(refused(&sample("truncated.pdf"), FileKind::Pdf).await, "PDF cannot be read");
    assert_eq!(refused(&cut, FileKind::Pdf).await, "PDF cannot be read");
    assert_eq!(refused(&circle, FileKind::Pdf).await, "PDF cannot be read");
    assert_eq!(refused(&file("junk.pdf", b"%PDF-1.7\nhello"), FileKind::Pdf).await, "PDF cannot be read");
    assert_eq!(refused(&file("empty.pdf", b""), FileKind::Pdf).await, "File is empty");
    let gone = read(&folder.path().join("gone.pdf"), FileKind::Pdf).await.unwrap_err();
    assert!(matches!(gone, ExtractError::Io { .. }) && !gone.is_final(), "{gone}");
}

#[tokio::test]
async fn too_many_pages_are_refused_before_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.pdf");
    std::fs::write(&path, pages(2000, "/MediaBox [0 0 595 842]")).unwrap();
    assert_eq!(refused(&path, FileKind::Pdf).await, "Document exceeds 500 pages");
    let limits = Limits { pages: 2, ..Limits::default() };
    let slides = inspect(&sample("slides.pptx"), FileKind::Pptx, &limits).await.unwrap_err();
    assert_eq!(slides.to_string(), "Document exceeds 2 pages");
}

#[tokio::test]
async fn a_page_as_large_as_a_field_is_rendered_coarsely() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("field.pdf");
    std::fs::write(&path, pages(1, "/MediaBox [0 0 200000 200000]")).unwrap();
    assert_eq!(read(&path, FileKind::Pdf).await.unwrap(), "");
}

#[tokio::test]
async fn ocr_stops_when_its_time_is_up() {
    let path = sample("scanned.pdf");
    let plan = inspect(&path, FileKind::Pdf, &Limits::default()).await.unwrap();
    let limits = Limits { page_time: Duration::from_millis(100), ..Limits::default() };
    let late = page(&path, &plan, 1, &limits).await.unwrap_err();
    assert_eq!(late.to_string(), "OCR processing timeout after 0.1s");
    assert!(!late.is_final());
    let limits = Limits { total_time: Duration::ZERO, ..Limits::default() };
    let late = extract(&path, FileKind::Pdf, &limits, &mut |_| {}).await.unwrap_err();
    assert_eq!(late.to_string(), "Document processing timeout after 0.0s");
}

#[tokio::test]
async fn a_language_that_is_not_installed_is_not_the_documents_fault() {
    let limits = Limits { languages: "tlh".to_owned(), ..Limits::default() };
    let error = extract(&sample("title.gif"), FileKind::Gif, &limits, &mut |_| {}).await.unwrap_err();
    let told = "failed to read by OCR: language 'tlh' is not installed (Debian package tesseract-ocr-tlh)";
    assert_eq!(error.to_string(), told);
    assert!(!error.is_final());
}

#[tokio::test]
async fn word_documents_are_read_with_tables_and_footnotes() {
    let path = sample("notes.docx");
    assert_eq!(sniff_file(&path, "notes.docx").unwrap(), Some(FileKind::Docx));
    let text = read(&path, FileKind::Docx).await.unwrap();
    assert!(text.starts_with("Photosynthesis\n\nLecture 4"), "{text}");
    assert!(text.contains("Stage\tPlace\tProduct\nCalvin cycle\tstroma\tglyceraldehyde & sugar\n"), "{text}");
    assert!(text.ends_with("Seminar\tRoom 12\n\nBring your own leaf."), "{text}");
    assert!(!text.contains("struck out"), "{text}");
}

#[tokio::test]
async fn slides_are_read_in_the_order_in_which_they_are_shown_with_their_notes() {
    let path = sample("slides.pptx");
    assert_eq!(sniff_file(&path, "slides.pptx").unwrap(), Some(FileKind::Pptx));
    let plan = inspect(&path, FileKind::Pptx, &Limits::default()).await.unwrap();
    assert_eq!(plan.total(), 3);
    let second = page(&path, &plan, 2, &Limits::default()).await.unwrap().text;
    assert!(second.starts_with("The light reactions") && second.ends_with("Show the spinach leaf now."));
    let third = page(&path, &plan, 3, &Limits::default()).await.unwrap().text;
    assert!(third.starts_with("The Calvin cycle"));
}

#[tokio::test]
async fn a_zip_bomb_is_refused_by_what_it_unpacks_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.docx");
    let mut bomb = ZipWriter::new(File::create(&path).unwrap());
    for (name, text) in [TYPES, WORD] {
        bomb.start_file(name, SimpleFileOptions::default()).unwrap();
        bomb.write_all(text.as_bytes()).unwrap();
    }
    bomb.start_file("word/document.xml", SimpleFileOptions::default()).unwrap();
    bomb.write_all(b"<document><body>").unwrap();
    let run = format!("<r>{}</r>", " ".repeat(1 << 20));
    for _ in 0..201 {
        bomb.write_all(run.as_bytes()).unwrap();
    }
    bomb.write_all(b"</body></document>").unwrap();
    bomb.finish().unwrap();
    assert!(path.metadata().unwrap().len() < 2 << 20);
    assert_eq!(sniff_file(&path, "bomb.docx").unwrap(), Some(FileKind::Docx));
    assert_eq!(refused(&path, FileKind::Docx).await, "Document expands beyond 200 MB");
}

#[tokio::test]
async fn a_zip_of_many_small_files_is_refused_before_they_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.docx");
    let mut many = ZipWriter::new(File::create(&path).unwrap());
    for (name, text) in [TYPES, WORD, ("word/document.xml", "<document/>")] {
        many.start_file(name, SimpleFileOptions::default()).unwrap();
        many.write_all(text.as_bytes()).unwrap();
    }
    for number in 0..Limits::default().entries {
        many.start_file(format!("word/{number}"), SimpleFileOptions::default()).unwrap();
    }
    many.finish().unwrap();
    assert_eq!(sniff_file(&path, "many.docx").unwrap(), None);
    assert_eq!(refused(&path, FileKind::Docx).await, "Document expands beyond 200 MB");
}

#[tokio::test]
async fn text_that_unpacks_to_more_than_a_text_file_may_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.docx");
    docx(&path, &format!("<document><p><t>{}</t></p></document>", "word ".repeat(3000)));
    let limits = Limits { text_bytes: 10 << 10, ..Limits::default() };
    let error = extract(&path, FileKind::Docx, &limits, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, ExtractError::TooMuchText { .. }) && error.is_final(), "{error}");
}

#[tokio::test]
async fn an_xml_bomb_is_refused_and_broken_packages_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.docx");
    let mut entities = r#"<!ENTITY a0 "ha">"#.to_owned();
    for n in 1..30 {
        write!(entities, r#"<!ENTITY a{n} "&a{};&a{};">"#, n - 1, n - 1).unwrap();
    }
    docx(&path, &format!("<!DOCTYPE d [{entities}]><d><p><t>&a29;</t></p></d>"));
    assert_eq!(refused(&path, FileKind::Docx).await, "Document cannot be read");
    docx(&path, &"<p>".repeat(100_000));
    assert_eq!(refused(&path, FileKind::Docx).await, "Document cannot be read");
    zip(&path, &[TYPES, WORD]);
    assert_eq!(refused(&path, FileKind::Docx).await, "Document cannot be read");
    let whole = std::fs::read(sample("notes.docx")).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(refused(&path, FileKind::Docx).await, "Document cannot be read");
    assert_eq!(sniff_file(&path, "a.docx").unwrap(), None);
}

#[tokio::test]
async fn a_zip_that_is_no_office_document_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.docx");
    zip(&path, &[("readme.txt", "hello")]);
    assert_eq!(sniff_file(&path, "a.docx").unwrap(), None);
    zip(&path, &[TYPES, ("ppt/presentation.xml", "<presentation/>")]);
    assert_eq!(sniff_file(&path, "a.docx").unwrap(), Some(FileKind::Pptx));
}

#[tokio::test]
async fn texts_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let utf16: Vec<u8> = "\u{FEFF}Übung\r\nmacht".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, utf16).unwrap();
    assert_eq!(sniff_file(&path, "notes.txt").unwrap(), Some(FileKind::Text));
    assert_eq!(read(&path, FileKind::Text).await.unwrap(), "Übung\nmacht");
    let limits = Limits { text_bytes: 4, ..Limits::default() };
    let long = extract(&path, FileKind::Text, &limits, &mut |_| {}).await.unwrap_err();
    assert!(matches!(long, ExtractError::TooMuchText { limit: 4 }));
}

#[tokio::test]
async fn a_picture_that_is_cut_short_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.png");
    let mut half = Vec::new();
    File::open(sample("scanned-page.png")).unwrap().take(2000).read_to_end(&mut half).unwrap();
    std::fs::write(&path, half).unwrap();
    assert_eq!(refused(&path, FileKind::Png).await, "Image cannot be read");
}
