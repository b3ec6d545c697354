//! PDFs as scanners, publishers, gateways and accidents leave them.

use materials::extract::{FileKind, Limits, WarningCode, extract};

use super::{codes, document, read_document, text_of};

async fn refused(name: &str) -> String {
    let read = extract(&document(name), FileKind::Pdf, &Limits::default(), &mut |_| {}).await;
    let error = read.map(|read| read.pages).unwrap_err();
    assert!(error.is_final(), "{name}: {error:?}");
    error.to_string()
}

#[tokio::test]
async fn letters_that_only_a_map_explains_are_read() {
    assert!(text_of("cjk-predefined-cmap.pdf").await.contains("光合作用是植物利用阳光制造葡萄糖的过程"));
}

#[tokio::test]
async fn a_map_that_is_not_installed_is_named() {
    assert_eq!(
        refused("unknown-map.pdf").await,
        "PDF needs the character map Adobe-Xx1, which is not installed (Debian package poppler-data)"
    );
}

#[tokio::test]
async fn a_stamp_over_a_scan_hides_none_of_it() {
    let text = text_of("stamp-over-scan.pdf").await;
    assert!(text.contains("Downloaded from https://library.example.edu by user 4711"), "{text}");
    assert!(text.contains("Zanzibar") && text.contains("Calvin cycle"), "{text}");
    assert_eq!(text.matches("Downloaded").count(), 1);
}

#[tokio::test]
async fn a_picture_within_a_page_of_text_is_read_too() {
    let text = text_of("picture-in-text.pdf").await;
    assert!(text.contains("The leaf number 17 of this plant") && text.contains("OCTOPUS"), "{text}");
    assert_eq!(text.matches("number 17 ").count(), 1);
}

#[tokio::test]
async fn a_scan_among_pages_of_text_and_a_blank_one_are_all_in_their_place() {
    let read = read_document("mixed-pages.pdf").await;
    for (page, word) in read.pages.iter().zip(["ALBATROSS", "Zanzibar", "", "PELICAN"]) {
        assert!(page.contains(word), "{page}");
    }
    assert_eq!((read.pages.len(), read.pages[2].as_str(), codes(&read)), (4, "", vec![]));
}

#[tokio::test]
async fn a_layer_unlike_language_is_told_where_nothing_better_is_to_be_seen() {
    let read = read_document("garbage-layer.pdf").await;
    assert!(codes(&read).contains(&WarningCode::LayerDoubtful), "{read:?}");
}

#[tokio::test]
async fn a_form_that_asks_to_wait_is_no_document() {
    assert_eq!(refused("xfa-please-wait.pdf").await, "PDF is a form that only Adobe's programs show");
}

#[tokio::test]
async fn a_password_is_only_needed_for_what_asks_for_it() {
    for name in ["owner-only-rc4.pdf", "owner-only-aes256.pdf"] {
        assert!(text_of(name).await.contains("FLAMINGO"), "{name}");
    }
    assert_eq!(refused("user-password.pdf").await, "PDF is encrypted");
}

#[tokio::test]
async fn pages_are_read_whichever_way_up() {
    let read = read_document("sideways.pdf").await;
    for page in &read.pages[..2] {
        assert!(page.contains("Zanzibar") && page.contains("Calvin cycle"), "{page}");
    }
    assert_eq!(read.pages[2], "Krakatoa erupted loudly");
}

#[tokio::test]
async fn damaged_files_are_refused_in_words_or_read() {
    for name in ["truncated.pdf", "zero-pages.pdf", "page-tree-circle.pdf", "page-count-lie.pdf"] {
        assert_eq!(refused(name).await, "PDF cannot be read", "{name}");
    }
    assert!(text_of("nul-in-text.pdf").await.contains("CASSOWARY"));
}

#[tokio::test]
async fn a_page_that_is_damaged_is_told_and_the_others_are_read() {
    let read = read_document("damaged-page.pdf").await;
    assert!(read.pages[0].contains("CORRUPT0PAGE") && read.pages[2].contains("CORRUPT2PAGE"), "{read:?}");
    assert_eq!((codes(&read), read.warnings[0].page), (vec![WarningCode::PageUnreadable], Some(2)));
}

#[tokio::test]
async fn a_scan_that_is_damaged_is_told() {
    let read = read_document("damaged-scan.pdf").await;
    assert_eq!((read.pages.concat().as_str(), codes(&read)), ("", vec![WarningCode::PageUnreadable]));
}

#[tokio::test]
async fn letters_that_ocr_hardly_knows_stay_upright() {
    let text = text_of("drawn-font.pdf").await;
    assert!(text.contains("FLAMINGO") && text.contains("HERON"), "{text}");
}

#[tokio::test]
async fn ligatures_are_letters_and_marks_of_direction_are_none() {
    let read = read_document("ligatures.pdf").await;
    assert_eq!(read.pages, ["scientific office flow\ndifferent fire flour scientific scientific"]);
    assert_eq!(codes(&read), []);
    let hebrew = text_of("hebrew-visual.pdf").await;
    assert!(hebrew.starts_with("שלום עולם") && hebrew.ends_with("כטקסט"), "{hebrew:?}");
}

#[tokio::test]
async fn files_within_a_pdf_are_told() {
    let read = read_document("attachment.pdf").await;
    assert_eq!(codes(&read), [WarningCode::AttachmentsLeftOut]);
    assert!(read.warnings[0].message.contains("notes.txt"), "{read:?}");
}
