//! What could not be read costs itself only.

use materials::extract::{ExtractError, FileKind, Limits, WarningCode, extract};

use super::{codes, document};

#[tokio::test]
async fn a_page_that_is_too_much_costs_no_other() {
    // Enough for a coarse look at a page, not for one that OCR can read.
    let limits = Limits { image_pixels: 2_000_000, ..Limits::default() };
    let read = extract(&document("mixed-pages.pdf"), FileKind::Pdf, &limits, &mut |_| {}).await.unwrap();
    assert!(read.pages[0].contains("ALBATROSS") && read.pages[3].contains("PELICAN"));
    assert_eq!(codes(&read), [WarningCode::PageUnreadable; 2]);
    assert_eq!(read.warnings[0].page, Some(2));
    assert_eq!(read.warnings[0].message, "the page could not be read: Image exceeds 2 megapixels");
}

#[tokio::test]
async fn a_document_without_a_page_that_could_be_read_fails_with_the_reason() {
    let limits = Limits { image_pixels: 1_000, ..Limits::default() };
    let error = extract(&document("sideways.pdf"), FileKind::Pdf, &limits, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, ExtractError::ImageTooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_page_that_cannot_be_seen_keeps_the_text_that_it_carries() {
    let limits = Limits { image_pixels: 2_000_000, ..Limits::default() };
    let read = extract(&document("stamp-over-scan.pdf"), FileKind::Pdf, &limits, &mut |_| {}).await.unwrap();
    assert!(read.pages[0].contains("Downloaded"), "{read:?}");
    assert_eq!(codes(&read), [WarningCode::PageUnreadable]);
}
