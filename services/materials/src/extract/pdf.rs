use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::tool::{Ending, Input, Run};
use super::{ExtractError, FileKind, Limits, PlannedPage, blocking, plain};

/// A page with fewer letters of its own than this is looked at: a scan that carries a stamp or a page number.
const MIN_LETTERS: usize = 50;
/// The resolution that tesseract was trained on.
const DPI: f64 = 300.0;
/// Posters are rendered more coarsely, so that no page takes more pixels or a longer side than this. An A3 page
/// at 300 dots per inch is 17 million pixels.
const MAX_PAGE_PIXELS: f64 = 40e6;
const MAX_PAGE_SIDE: f64 = 16_000.0;

/// A page as an OCR program takes it.
pub(super) struct Picture {
    /// A grey PNM image.
    pub(super) bytes: Vec<u8>,
    /// Its dots per inch, which the image itself does not say.
    pub(super) dpi: u32,
}

/// Counts the pages, and reads the text of all of them at once: starting a program for each costs more.
pub(super) async fn inspect(path: &Path, limits: &Limits) -> Result<Vec<PlannedPage>, ExtractError> {
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
    let args = ["-enc", "UTF-8"].map(OsStr::new);
    let text = match poppler("pdftotext", &args, path, &["-"], limits.expanded_bytes, limits).await? {
        Ending::Done(text) => String::from_utf8_lossy(&text).into_owned(),
        Ending::Failed(reason) => return Err(refused(reason)),
        Ending::TooMuchOutput => return Err(limits.too_large()),
    };
    limits.check_text(text.len())?;
    let mut layers = text.split('\x0C').map(|layer| plain::join_broken_words(&plain::tidy(layer)));
    Ok((0..pages).map(|_| plan(layers.next().unwrap_or_default())).collect())
}

/// Renders a page (from 1); `None` where it is blank.
pub(super) async fn render(
    path: &Path,
    number: u32,
    limits: &Limits,
) -> Result<Option<Picture>, ExtractError> {
    let dpi = dpi_of(path, number, limits).await?;
    let Some(bytes) = pdftoppm(path, number, dpi, &["-gray"], limits).await? else {
        return Err(ExtractError::ImageTooLarge { limit: limits.image_pixels });
    };
    // Nine million pixels are looked at: not where requests are answered.
    let (bytes, is_blank) = blocking(move || {
        let is_blank = is_blank(&bytes);
        Ok((bytes, is_blank))
    })
    .await?;
    Ok((!is_blank).then_some(Picture { bytes, dpi }))
}

/// Renders a page (from 1) as a PNG; `None` where it is blank.
pub(super) async fn render_png(
    path: &Path,
    number: u32,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, ExtractError> {
    let Some(Picture { dpi, .. }) = render(path, number, limits).await? else { return Ok(None) };
    let png = pdftoppm(path, number, dpi, &["-gray", "-png"], limits).await?;
    png.map(Some).ok_or(ExtractError::ImageTooLarge { limit: limits.image_pixels })
}

fn plan(layer: String) -> PlannedPage {
    if plain::letters(&layer) < MIN_LETTERS {
        PlannedPage::Picture { layer }
    } else {
        PlannedPage::Text(layer)
    }
}

async fn dpi_of(path: &Path, number: u32, limits: &Limits) -> Result<u32, ExtractError> {
    let page = number.to_string();
    let about = pdfinfo(path, &["-f", &page, "-l", &page], limits).await?;
    let size = about.lines().find_map(|line| line.strip_prefix("Page ")?.split_once("size:"));
    let mut points = size.map_or("", |(_, size)| size).split(" x ").map(leading_number);
    match (points.next().flatten(), points.next().flatten()) {
        (Some(width), Some(height)) if width > 0.0 && height > 0.0 => Ok(dpi(width, height)),
        // Poppler's answer for a page that it cannot find: its tree runs in a circle, or leads nowhere.
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

/// `None` where the picture has more bytes than a page may have pixels.
async fn pdftoppm(
    path: &Path,
    number: u32,
    dpi: u32,
    form: &[&str],
    limits: &Limits,
) -> Result<Option<Vec<u8>>, ExtractError> {
    let (page, dpi) = (number.to_string(), dpi.to_string());
    // The crop box is what people see, and what pdfinfo tells the size of.
    let mut args: Vec<&OsStr> = ["-cropbox", "-r", &dpi, "-f", &page, "-l", &page].map(OsStr::new).to_vec();
    args.extend(form.iter().map(OsStr::new));
    match poppler("pdftoppm", &args, path, &[], limits.image_pixels, limits).await? {
        Ending::Done(picture) if picture.is_empty() => Err(unreadable("a page cannot be rendered")),
        Ending::Done(picture) => Ok(Some(picture)),
        Ending::Failed(reason) => Err(refused(reason)),
        Ending::TooMuchOutput => Ok(None),
    }
}

async fn pdfinfo(path: &Path, args: &[&str], limits: &Limits) -> Result<String, ExtractError> {
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    match poppler("pdfinfo", &args, path, &[], 1 << 20, limits).await? {
        Ending::Done(about) => Ok(String::from_utf8_lossy(&about).into_owned()),
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

/// Poppler exits with 1 for all that is wrong with a document; only its words tell a password apart.
fn refused(reason: String) -> ExtractError {
    if reason.contains("Incorrect password") || reason.contains("security handler") {
        return ExtractError::Encrypted(FileKind::Pdf);
    }
    unreadable(&reason)
}

fn unreadable(reason: &str) -> ExtractError {
    ExtractError::unreadable(FileKind::Pdf, reason)
}

/// True if a PDF goes on to its end: after the last mark of an end there is no further object. Poppler mends a
/// file that was cut short and shows what is left of it, and half a document must not pass for a whole one.
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
        last_end = last(b"startxref").max(last(b"%%EOF")).map(at).or(last_end);
        last_object = last(b" obj").map(at).or(last_object);
        // A mark may lie across two reads.
        let filled = filled.len();
        kept = filled.min(8);
        position += filled - kept;
        buffer.copy_within(filled - kept..filled, 0);
    }
}

/// True if a grey PNM image shows nothing: hardly a pixel differs from the paper, whatever its colour. The dots
/// of one printed digit are enough for it to show something.
fn is_blank(pnm: &[u8]) -> bool {
    /// Of the pixels of a page: one character of twelve points on A4 at 300 dots per inch.
    const INK: f64 = 0.000_05;
    const CONTRAST: usize = 48;
    let mut shades = [0_u64; 256];
    for pixel in pnm {
        shades[usize::from(*pixel)] += 1;
    }
    let paper = (0..256).max_by_key(|shade| shades[*shade]).unwrap_or(255);
    let ink = (0..256).filter(|shade: &usize| shade.abs_diff(paper) > CONTRAST).map(|shade| shades[shade]);
    // Counts of pixels are far below what a float holds exactly. The few bytes of the header drown in the rest.
    ink.sum::<u64>() as f64 <= INK * pnm.len() as f64
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
        assert!(!check(b"%PDF-1.4\n1 0 obj\n<< /Length 100 >> stream"));
        assert!(!check(b"%PDF-1.4\n1 0 obj\nstartxref\n0\n%%EOF\n2 0 obj\n<<"));
        let filler = vec![b'.'; 256 * 1024 - 4];
        assert!(check(&[b"1 0 obj", &filler[..], b"%%EOF", &filler[..]].concat()));
        assert!(!check(&[b"%%EOF", &filler[..], b"1 0 obj"].concat()));
    }

    #[test]
    fn blank_is_what_has_less_ink_than_a_character() {
        let mut page = vec![250; 1_000_000];
        assert!(is_blank(&page));
        page[..60].fill(10);
        assert!(!is_blank(&page));
        let night: Vec<u8> = page.iter().map(|shade| 255 - shade).collect();
        assert!(!is_blank(&night));
    }

    #[test]
    fn a_page_of_its_own_letters_is_not_looked_at() {
        assert_eq!(plan("A".repeat(50)), PlannedPage::Text("A".repeat(50)));
        assert_eq!(plan("page 7".to_owned()), PlannedPage::Picture { layer: "page 7".to_owned() });
        // The text of a font without a character map.
        let garbage = "\u{E001}".repeat(500);
        assert_eq!(plan(garbage.clone()), PlannedPage::Picture { layer: garbage });
    }
}
