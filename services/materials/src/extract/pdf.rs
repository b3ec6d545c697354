use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::grey::{CONTRAST, Grey};
use super::tidy::{join_broken_words, letters, tidy};
use super::tool::{Ending, Input, Run};
use super::{
    ExtractError, FileKind, Limits, Plan, PlannedPage, Shown, Warning, WarningCode, blocking, layer,
};

/// A page with more letters, all of them language, and hardly a picture is not looked at: it would cost time and show
/// nothing more.
const FULL_LETTERS: usize = 600;
/// The share of a page that pictures may cover on such a page.
const PICTURE_SHARE: f64 = 0.05;
/// The resolution that tesseract was trained on.
const DPI: f64 = 300.0;
/// Posters are rendered more coarsely, so that no page takes more pixels or a longer side than this. An A3 page
/// at 300 dots per inch is 17 million pixels.
const MAX_PAGE_PIXELS: f64 = 18e6;
const MAX_PAGE_SIDE: f64 = 16_000.0;
/// Pages whose text is read by one run of a program.
const PAGES_PER_RUN: usize = 50;

/// A page as an OCR program takes it.
pub(super) struct Picture {
    pub(super) grey: Grey,
    /// Its dots per inch, which the image itself does not say.
    pub(super) dpi: u32,
}

/// Counts the pages, reads the text that they carry, and finds out which of them have to be looked at.
pub(super) async fn inspect(path: &Path, limits: &Limits) -> Result<Plan, ExtractError> {
    let file = path.to_owned();
    let is_whole = blocking(move || is_whole(&file).map_err(ExtractError::io("read the document"))).await?;
    if !is_whole {
        return Err(unreadable("it ends in the middle"));
    }
    let about = pdfinfo(path, &[], limits).await?;
    let pages = number_after(&about, "Pages:").ok_or_else(|| unreadable("it tells no number of pages"))?;
    if pages < 1.0 {
        return Err(unreadable("it has no pages"));
    }
    // No number of pages that is a number is too large for a float that is truncated on purpose.
    let pages = pages as usize;
    limits.check_pages(pages)?;
    let sizes = sizes(path, pages, limits).await?;
    if sizes.iter().all(Option::is_none) {
        // Poppler's answer for pages that it cannot find: their tree runs in a circle, or leads nowhere.
        return Err(unreadable("no page has a size"));
    }
    let text = layers(path, pages, limits).await?;
    if about.contains("XFA") && is_please_wait(&text.layers) {
        return Err(ExtractError::DynamicForm);
    }
    let covered = covered(path, &sizes, limits).await;
    let mut warnings = attachments(path, limits).await;
    if let Some(map) = text.missing_map {
        if text.layers.iter().all(|layer| letters(layer) == 0) && covered.iter().all(|share| *share == 0.0) {
            return Err(ExtractError::MapMissing { map });
        }
        let message = format!(
            "the character map {map} is not installed (Debian package poppler-data), so some text may be missing"
        );
        warnings.push(Warning::new(WarningCode::MapMissing, message));
    }
    let missing: Vec<String> = (1..)
        .zip(&sizes)
        .filter(|(_, size)| size.is_none())
        .map(|(number, _): (u32, _)| number.to_string())
        .collect();
    if !missing.is_empty() {
        let message = format!("the document counts pages that are not in it: {}", missing.join(", "));
        warnings.push(Warning::new(WarningCode::PagesMissing, message));
    }
    let read = (0..).zip(text.layers).zip(covered).zip(&sizes);
    let planned = read.map(|(((at, layer), covered), size): (((usize, _), _), _)| match size {
        // Rendering it finds the damage, and adds a warning.
        Some(_) if text.damaged.contains(&at) => PlannedPage::Picture { layer },
        Some(_) => plan(layer, covered),
        None => PlannedPage::Text(layer),
    });
    Ok(Plan { kind: FileKind::Pdf, pages: planned.collect(), warnings })
}

/// Renders a page (from 1).
pub(super) async fn render(
    path: &Path,
    number: u32,
    limits: &Limits,
) -> Result<Shown<Picture>, ExtractError> {
    let dpi = dpi_of(path, number, limits).await?;
    let (grey, damage) = rendered(path, number, dpi, limits).await?;
    // Nine million pixels are looked at: not where requests are answered.
    let (grey, is_blank) = blocking(move || {
        let is_blank = grey.is_blank();
        Ok((grey, is_blank))
    })
    .await?;
    Ok(Shown {
        picture: (!is_blank).then_some(Picture { grey, dpi }),
        warnings: damage.into_iter().collect(),
    })
}

/// Renders a page (from 1) as a PNG.
pub(super) async fn render_png(
    path: &Path,
    number: u32,
    limits: &Limits,
) -> Result<Shown<Vec<u8>>, ExtractError> {
    let Shown { picture, warnings } = render(path, number, limits).await?;
    let Some(Picture { dpi, .. }) = picture else { return Ok(Shown { picture: None, warnings }) };
    let (png, _) = pdftoppm(path, number, dpi, &["-gray", "-png"], limits).await?;
    Ok(Shown { picture: Some(png), warnings })
}

/// True if what a page shows is explained by the words that it carries: painted over with paper, hardly any ink is
/// left. Ink that is left is a scan below a stamp, a picture, or letters that are drawn as lines.
pub(super) async fn is_explained(path: &Path, number: u32, limits: &Limits) -> Result<bool, ExtractError> {
    /// Dots per inch: enough to see that a line is there.
    const COARSE: u32 = 40;
    /// Of the page's pixels: some words of print.
    const LEFT: f64 = 0.004;
    let page = number.to_string();
    let args = ["-bbox", "-cropbox", "-f", &page, "-l", &page].map(OsStr::new);
    let boxes = match poppler("pdftotext", &args, path, &["-"], limits.expanded_bytes, limits).await? {
        Ending::Done(boxes, _) => String::from_utf8_lossy(&boxes).into_owned(),
        Ending::Failed(_) | Ending::TooMuchOutput => return Ok(false),
    };
    let Some((width, height)) = boxes.lines().find_map(page_size) else { return Ok(false) };
    let dpi = COARSE.min(dpi(width, height));
    let (mut grey, damage) = rendered(path, number, dpi, limits).await?;
    if damage.is_some() {
        return Ok(false);
    }
    blocking(move || {
        let paper = grey.paper();
        let scale = (grey.width as f64 / width, grey.height as f64 / height);
        for [left, top, right, bottom] in boxes.lines().filter_map(word_box) {
            // A little more than the word: what belongs to its letters may stand out of its box.
            let margin = 0.25 * (bottom - top).max(2.0);
            let to = |at: f64, scale: f64, most: usize| ((at * scale).max(0.0) as usize).min(most);
            let columns = to(left - margin, scale.0, grey.width)
                ..to(right + margin + 1.0 / scale.0, scale.0, grey.width);
            for y in to(top - margin, scale.1, grey.height)
                ..to(bottom + margin + 1.0 / scale.1, scale.1, grey.height)
            {
                let start = y * grey.width;
                if columns.start < columns.end {
                    grey.pixels[start + columns.start..start + columns.end].fill(paper);
                }
            }
        }
        let ink = grey.pixels.iter().filter(|shade| shade.abs_diff(paper) > CONTRAST / 2).count();
        Ok(ink as f64 <= LEFT * grey.pixels.len() as f64)
    })
    .await
}

fn plan(layer: String, covered: f64) -> PlannedPage {
    let is_full = letters(&layer) >= FULL_LETTERS && covered < PICTURE_SHARE;
    if is_full && layer::is_trusted(&layer) {
        PlannedPage::Text(layer)
    } else {
        PlannedPage::Picture { layer }
    }
}

struct Layers {
    layers: Vec<String>,
    /// The places (from 0) of pages whose text may be damaged.
    damaged: Vec<usize>,
    missing_map: Option<String>,
}

/// The texts that the pages carry. Some pages at a time, and one by one where a program fails over one of them.
async fn layers(path: &Path, pages: usize, limits: &Limits) -> Result<Layers, ExtractError> {
    let mut found = Layers { layers: Vec::with_capacity(pages), damaged: Vec::new(), missing_map: None };
    let mut bytes = 0;
    let mut first = 1;
    while first <= pages {
        let last = pages.min(first + PAGES_PER_RUN - 1);
        match pdftotext(path, first, last, limits).await? {
            Ending::Done(text, complaint) if !tells_damage(&complaint) => {
                found.add(&text, &complaint, last + 1 - first);
            }
            _ => {
                for page in first..=last {
                    match pdftotext(path, page, page, limits).await? {
                        Ending::Done(text, complaint) => {
                            if tells_damage(&complaint) {
                                found.damaged.push(page - 1);
                            }
                            found.add(&text, &complaint, 1);
                        }
                        Ending::TooMuchOutput => return Err(limits.too_large()),
                        // What cannot be read as text may still be seen.
                        Ending::Failed(_) => found.add(b"", "", 1),
                    }
                }
            }
        }
        bytes += found.layers[first - 1..].iter().map(String::len).sum::<usize>();
        limits.check_text(bytes)?;
        first = last + 1;
    }
    Ok(found)
}

impl Layers {
    fn add(&mut self, text: &[u8], complaint: &str, pages: usize) {
        let text = String::from_utf8_lossy(text);
        let mut layers = text.split('\x0C').map(|layer| join_broken_words(&tidy(layer)));
        self.layers.extend((0..pages).map(|_| layers.next().unwrap_or_default()));
        self.missing_map = self.missing_map.take().or_else(|| missing_map(complaint));
    }
}

/// True if poppler lost data of what it read. It ends well all the same, and shows a page without it; most of its
/// other complaints are about files that it shows whole.
fn tells_damage(complaint: &str) -> bool {
    let lost = include_str!("pdf_damage.txt");
    // The bytes that decoders of JPEG skip are padding, which some cameras and scanners write.
    let is_harmless = |line: &str| line.contains("extraneous bytes");
    complaint
        .lines()
        .filter(|line| !is_harmless(line))
        .any(|line| lost.lines().any(|words| line.contains(words)))
}

/// Poppler ends well without a map, and with no text.
fn missing_map(complaint: &str) -> Option<String> {
    let told = ["Missing language pack for '", "CMap file for '"];
    let after = told.into_iter().find_map(|words| complaint.split_once(words))?.1;
    Some(after.split_once('\'')?.0.to_owned())
}

async fn pdftotext(path: &Path, first: usize, last: usize, limits: &Limits) -> Result<Ending, ExtractError> {
    let (first, last) = (first.to_string(), last.to_string());
    let args = ["-enc", "UTF-8", "-f", &first, "-l", &last].map(OsStr::new);
    let most = limits.text_bytes.saturating_mul(2).min(limits.expanded_bytes);
    poppler("pdftotext", &args, path, &["-"], most, limits).await
}

/// The page that Adobe's programs replace by the form itself; the others show it. It says so in the language of the
/// program that made it, so what counts is that it is alone, short and tells to wait.
fn is_please_wait(layers: &[String]) -> bool {
    let [layer] = layers else { return false };
    let text = layer.to_lowercase();
    let says = include_str!("please_wait.txt").lines().any(|words| text.contains(words));
    says && letters(layer) < 2_500
}

/// The share of each page that pictures cover, at most 1.
async fn covered(path: &Path, sizes: &[Option<(f64, f64)>], limits: &Limits) -> Vec<f64> {
    let mut shares = vec![0.0; sizes.len()];
    let args = ["-list"].map(OsStr::new);
    let listed = poppler("pdfimages", &args, path, &[], 16 << 20, limits).await;
    let Ok(Ending::Done(list, _)) = listed else {
        // A list that cannot be had says nothing against pictures: each page is looked at.
        return vec![1.0; sizes.len()];
    };
    for row in String::from_utf8_lossy(&list).lines() {
        let cells: Vec<&str> = row.split_whitespace().collect();
        let number = |at: usize| cells.get(at).and_then(|cell| cell.parse::<f64>().ok());
        let is_shown = matches!(cells.get(2), Some(&"image" | &"stencil"));
        let columns = (
            number(0),
            number(3),
            number(4),
            number(cells.len().wrapping_sub(4)),
            number(cells.len().wrapping_sub(3)),
        );
        let (Some(page), Some(width), Some(height), Some(x), Some(y)) = columns else { continue };
        let page = page as usize;
        if let Some(Some((page_width, page_height))) = page.checked_sub(1).and_then(|at| sizes.get(at))
            && is_shown
            && x > 0.0
            && y > 0.0
        {
            let area = (width / x * 72.0) * (height / y * 72.0);
            shares[page - 1] += area / (page_width * page_height);
        }
    }
    shares
}

/// Says that a PDF carries files: a portfolio is hardly more than them.
async fn attachments(path: &Path, limits: &Limits) -> Vec<Warning> {
    let args = ["-list"].map(OsStr::new);
    let Ok(Ending::Done(list, _)) = poppler("pdfdetach", &args, path, &[], 1 << 20, limits).await else {
        return Vec::new();
    };
    let list = String::from_utf8_lossy(&list);
    let names: Vec<&str> =
        list.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(_, name)| name.trim()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let shown = names[..names.len().min(10)].join(", ");
    let message = format!("{} attached files were not read: {shown}", names.len());
    vec![Warning::new(WarningCode::AttachmentsLeftOut, message)]
}

/// Width and height of each page in points; `None` for a page that is not there.
async fn sizes(path: &Path, pages: usize, limits: &Limits) -> Result<Vec<Option<(f64, f64)>>, ExtractError> {
    let last = pages.to_string();
    let about = pdfinfo(path, &["-f", "1", "-l", &last], limits).await?;
    let mut sizes = vec![None; pages];
    for line in about.lines() {
        let Some((number, size)) = line.strip_prefix("Page ").and_then(|rest| rest.split_once("size:"))
        else {
            continue;
        };
        let mut points = size.split(" x ").map(leading_number);
        if let (Ok(number), Some(width), Some(height)) =
            (number.trim().parse::<usize>(), points.next().flatten(), points.next().flatten())
            && let Some(size) = number.checked_sub(1).and_then(|at| sizes.get_mut(at))
        {
            *size = (width > 0.0 && height > 0.0).then_some((width, height));
        }
    }
    Ok(sizes)
}

async fn dpi_of(path: &Path, number: u32, limits: &Limits) -> Result<u32, ExtractError> {
    let page = number.to_string();
    let about = pdfinfo(path, &["-f", &page, "-l", &page], limits).await?;
    let size = about.lines().find_map(|line| line.strip_prefix("Page ")?.split_once("size:"));
    let mut points = size.map_or("", |(_, size)| size).split(" x ").map(leading_number);
    match (points.next().flatten(), points.next().flatten()) {
        (Some(width), Some(height)) if width > 0.0 && height > 0.0 => Ok(dpi(width, height)),
        _ => Err(unreadable("a page has no size")),
    }
}

/// Dots per inch for a page of so many points (1/72 inch).
fn dpi(width: f64, height: f64) -> u32 {
    let (width, height) = (width.max(1.0) / 72.0, height.max(1.0) / 72.0);
    let fits_area = (MAX_PAGE_PIXELS / (width * height)).sqrt();
    let fits_side = MAX_PAGE_SIDE / width.max(height);
    // Between 1 and 300, so the cast only drops the fraction.
    DPI.min(fits_area).min(fits_side).max(1.0) as u32
}

async fn rendered(
    path: &Path,
    number: u32,
    dpi: u32,
    limits: &Limits,
) -> Result<(Grey, Option<Warning>), ExtractError> {
    let (bytes, complaint) = pdftoppm(path, number, dpi, &["-gray"], limits).await?;
    let grey = Grey::from_pgm(bytes).ok_or_else(|| unreadable("a page is rendered as no picture"))?;
    let damage = tells_damage(&complaint).then(|| {
        let message = "a part of the page is damaged; what is left of it was read";
        Warning::new(WarningCode::PageUnreadable, message)
    });
    Ok((grey, damage))
}

/// A page as a picture, and what poppler complained about on the way.
async fn pdftoppm(
    path: &Path,
    number: u32,
    dpi: u32,
    form: &[&str],
    limits: &Limits,
) -> Result<(Vec<u8>, String), ExtractError> {
    let (page, dpi) = (number.to_string(), dpi.to_string());
    // The crop box is the visible page, and the one whose size pdfinfo prints.
    let mut args: Vec<&OsStr> = ["-cropbox", "-r", &dpi, "-f", &page, "-l", &page].map(OsStr::new).to_vec();
    args.extend(form.iter().map(OsStr::new));
    match poppler("pdftoppm", &args, path, &[], limits.image_pixels, limits).await? {
        Ending::Done(picture, _) if picture.is_empty() => Err(unreadable("a page cannot be rendered")),
        Ending::Done(picture, complaint) => Ok((picture, complaint)),
        Ending::Failed(reason) => Err(refused(reason)),
        Ending::TooMuchOutput => Err(ExtractError::ImageTooLarge { limit: limits.image_pixels }),
    }
}

async fn pdfinfo(path: &Path, args: &[&str], limits: &Limits) -> Result<String, ExtractError> {
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    match poppler("pdfinfo", &args, path, &[], 1 << 20, limits).await? {
        Ending::Done(about, _) => Ok(String::from_utf8_lossy(&about).into_owned()),
        Ending::Failed(reason) => Err(refused(reason)),
        Ending::TooMuchOutput => Err(unreadable("it tells too much about itself")),
    }
}

async fn poppler(
    tool: &'static str,
    args: &[&OsStr],
    path: &Path,
    last: &[&str],
    output_bytes: u64,
    limits: &Limits,
) -> Result<Ending, ExtractError> {
    let mut all = args.to_vec();
    all.push(path.as_os_str());
    all.extend(last.iter().map(OsStr::new));
    Run { tool, args: &all, input: Input::Nothing, output_bytes, limits }.run().await
}

/// Poppler exits with 1 for every fault of a document; only its message shows that a password is missing.
fn refused(reason: String) -> ExtractError {
    if reason.contains("Incorrect password") || reason.contains("security handler") {
        return ExtractError::Encrypted(FileKind::Pdf);
    }
    unreadable(&reason)
}

fn unreadable(reason: &str) -> ExtractError {
    ExtractError::unreadable(FileKind::Pdf, reason)
}

/// True if a PDF goes on to its end: after its last object comes the trailer that lists them all. Poppler mends a file
/// that was cut short and shows what is left of it, and half a document must not pass for a whole one. Whether the mark
/// of the end follows does not matter, nor what a gateway wrote behind it.
fn is_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let (mut last_end, mut last_object) = (None, None);
    let mut buffer = vec![0; 256 * 1024];
    let (mut kept, mut position) = (0, 0);
    loop {
        let length = file.read(&mut buffer[kept..])?;
        if length == 0 {
            return Ok(last_end.is_some_and(|end| last_object.is_none_or(|object| object < end)));
        }
        let filled = &buffer[..kept + length];
        let last = |mark: &[u8]| filled.windows(mark.len()).rposition(|window| window == mark);
        let at = |found: usize| position + found;
        let ends = [&b"startxref"[..], b"%%EOF", b"trailer"].map(last);
        last_end = ends.into_iter().max().flatten().map(at).or(last_end);
        last_object = last_object_in(filled).map(at).or(last_object);
        // A mark may lie across two reads.
        let filled = filled.len();
        kept = filled.min(MARK_BYTES);
        position += filled - kept;
        buffer.copy_within(filled - kept..filled, 0);
    }
}

/// As many bytes as the beginning of an object may take: two numbers and `obj`.
const MARK_BYTES: usize = 24;

/// The place of the last `12 0 obj` that begins a line. A comment that speaks of objects has none.
fn last_object_in(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    while let Some(found) = bytes[..end].windows(4).rposition(|window| window == b" obj") {
        let line =
            bytes[..found].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        let head = &bytes[line..found];
        let is_numbers = head.len() < MARK_BYTES
            && head.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ')
            && head.iter().filter(|byte| **byte == b' ').count() >= 1;
        if is_numbers {
            return Some(found);
        }
        end = found;
    }
    None
}

fn page_size(line: &str) -> Option<(f64, f64)> {
    let line = line.trim().strip_prefix("<page ")?;
    Some((attribute(line, "width")?, attribute(line, "height")?))
        .filter(|(width, height)| *width > 0.0 && *height > 0.0)
}

fn word_box(line: &str) -> Option<[f64; 4]> {
    let line = line.trim().strip_prefix("<word ")?;
    Some([
        attribute(line, "xMin")?,
        attribute(line, "yMin")?,
        attribute(line, "xMax")?,
        attribute(line, "yMax")?,
    ])
}

fn attribute(tag: &str, name: &str) -> Option<f64> {
    let value = tag.split_once(name)?.1.strip_prefix("=\"")?;
    value.split_once('"')?.0.parse().ok().filter(|number: &f64| number.is_finite())
}

fn number_after(text: &str, label: &str) -> Option<f64> {
    text.lines().find_map(|line| leading_number(line.strip_prefix(label)?))
}

fn leading_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_rendered_finely_and_posters_within_bounds() {
        assert_eq!(dpi(595.0, 842.0), 300);
        assert_eq!(dpi(0.1, 0.1), 300);
        for (width, height) in [(2384.0, 3370.0), (14_400.0, 14_400.0), (10.0, 1e9)] {
            let dpi = f64::from(dpi(width, height));
            assert!((1.0..300.0).contains(&dpi));
            assert!(dpi == 1.0 || width / 72.0 * dpi * height / 72.0 * dpi <= MAX_PAGE_PIXELS);
        }
    }

    #[test]
    fn a_file_that_goes_on_after_its_last_end_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pdf");
        let check = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            is_whole(&file).unwrap()
        };
        assert!(check(b"%PDF-1.4\n1 0 obj\nendobj\nstartxref\n9\n%%EOF\n\0\0 left by a mailer"));
        assert!(check(b"%PDF-1.4\n1 0 obj\nendobj\nstartxref\n9\n%%EOF\n<!-- a gateway saw 12 0 obj -->"));
        assert!(check(b"%PDF-1.4\n1 0 obj\nendobj\ntrailer\n<< /Size 2 >>\n"));
        assert!(!check(b"%PDF-1.4\n1 0 obj\n<< /Length 100 >> stream"));
        assert!(!check(b"%PDF-1.4\n1 0 obj\nstartxref\n0\n%%EOF\n2 0 obj\n<<"));
        let filler = vec![b'.'; 256 * 1024 - 4];
        assert!(check(&[b"1 0 obj", &filler[..], b"%%EOF", &filler[..]].concat()));
        assert!(!check(&[b"%%EOF", &filler[..], b"\n1 0 obj"].concat()));
    }

    #[test]
    fn a_full_page_of_language_is_not_looked_at_and_others_are() {
        let prose = "The powerhouse of the cell is the mitochondrion, and the leaf makes sugar. ".repeat(12);
        assert_eq!(plan(prose.clone(), 0.0), PlannedPage::Text(prose.clone()));
        assert_eq!(plan(prose.clone(), 0.9), PlannedPage::Picture { layer: prose });
        assert_eq!(plan("page 7".to_owned(), 0.0), PlannedPage::Picture { layer: "page 7".to_owned() });
        // The text of a font without a character map.
        let garbage = "\u{E001}".repeat(900);
        assert_eq!(plan(garbage.clone(), 0.0), PlannedPage::Picture { layer: garbage });
    }

    #[test]
    fn a_map_that_is_missing_is_found_among_the_complaints() {
        let complaint =
            "Syntax Error: Unknown\nSyntax Error: Missing language pack for 'Adobe-GB1' mapping\n";
        assert_eq!(missing_map(complaint).as_deref(), Some("Adobe-GB1"));
        assert_eq!(missing_map("Syntax Error: no"), None);
    }

    #[test]
    fn only_complaints_about_lost_data_are_damage() {
        for lost in [
            "Syntax Error (437): Unknown compression method in flate stream",
            "Syntax Error: Could not find start of jpeg data",
            "Syntax Error (99): Bad 2D code 0000 in CCITTFax stream",
        ] {
            assert!(tells_damage(&format!("Syntax Warning: no\n{lost}\n")), "{lost}");
        }
        for harmless in [
            "",
            "Syntax Error: non-embedded font using identity encoding: X",
            "Syntax Error (2): Corrupt JPEG data: 12 extraneous bytes before marker 0xd9",
        ] {
            assert!(!tells_damage(harmless), "{harmless}");
        }
    }

    #[test]
    fn boxes_of_words_are_read() {
        let line = r#"    <word xMin="40.0" yMin="20.5" xMax="61.2" yMax="30">The</word>"#;
        assert_eq!(word_box(line), Some([40.0, 20.5, 61.2, 30.0]));
        assert_eq!(page_size(r#"  <page width="595" height="842">"#), Some((595.0, 842.0)));
    }
}
